/* The communicator: a thread that owns the link to the other ranks and does what it is given, in
 * order, and the calls that wait for it. */
#include <string.h>

#include "base/comm_internal.h"

const mdl_comm *mdl_comm_single(void)
{
    static const mdl_comm single = {.size = 1};
    return &single;
}

/* ---- the thread ----------------------------------------------------------------------------- */

static mdl_status open_link(mdl_comm_state *s, void *user)
{
    (void)user;
    MDL_TRY(s->open(s->open_user, &s->link));
    s->comm.size = s->link.size;
    s->comm.rank = s->link.rank;
    MDL_TRY(MDL_NEW((size_t)s->link.size, "names of ranks", &s->names));
    MDL_TRY(MDL_NEW((size_t)s->link.size, "verdicts of ranks", &s->verdicts));
    return mdl__link_introduce(s);
}

/* The first piece of work opens the link; the link is closed where it was opened. */
static void run(void *user)
{
    mdl_comm_state *s = user;
    mdl_monitor_lock(s->monitor);
    for (;;) {
        while (s->done == s->posted && !s->quit)
            mdl_monitor_wait(s->monitor);
        if (s->done == s->posted)
            break;
        size_t place = s->done % MDL__COMM_JOBS;
        bool skip = s->broken != MDL_OK;
        mdl_monitor_unlock(s->monitor);
        double start = mdl_time();
        mdl_status status = skip ? MDL_OK : s->jobs[place].work(s, s->jobs[place].user);
        s->stats.seconds += mdl_time() - start;
        mdl_monitor_lock(s->monitor);
        if (status != MDL_OK) {
            s->broken = status;
            snprintf(s->detail, sizeof(s->detail), "%s", mdl_error_detail());
        }
        s->done++;
        mdl_monitor_notify(s->monitor);
    }
    bool sound = s->broken == MDL_OK;
    mdl_monitor_unlock(s->monitor);
    if (s->link.close != NULL && sound)
        s->link.close(&s->link);
}

uint64_t mdl__comm_post(mdl_comm_state *s, mdl__comm_work work, void *user)
{
    mdl_monitor_lock(s->monitor);
    while (s->posted - s->done == MDL__COMM_JOBS)
        mdl_monitor_wait(s->monitor);
    uint64_t number = s->posted;
    s->jobs[number % MDL__COMM_JOBS].work = work;
    s->jobs[number % MDL__COMM_JOBS].user = user;
    s->posted++;
    mdl_monitor_notify(s->monitor);
    mdl_monitor_unlock(s->monitor);
    return number;
}

mdl_status mdl__comm_wait(mdl_comm_state *s, uint64_t number)
{
    mdl_monitor_lock(s->monitor);
    while (s->done <= number)
        mdl_monitor_wait(s->monitor);
    mdl_status status = s->broken;
    mdl_monitor_unlock(s->monitor);
    return status == MDL_OK ? MDL_OK : mdl_fail(status, "%s", s->detail);
}

mdl_status mdl__comm_run(mdl_comm_state *s, mdl__comm_work work, void *user)
{
    return mdl__comm_wait(s, mdl__comm_post(s, work, user));
}

/* ---- opening and closing -------------------------------------------------------------------- */

/* Wait until the link is open; whether it is in time.  Starting MPI waits for all ranks, and cannot
 * be told to stop. */
static bool opens_in_time(mdl_comm_state *s, uint64_t number)
{
    double start = mdl_time();
    for (;;) {
        mdl_monitor_lock(s->monitor);
        bool done = s->done > number;
        mdl_monitor_unlock(s->monitor);
        if (done || (s->patience > 0 && mdl_time() - start > s->patience))
            return done;
        mdl_sleep(0.001);
    }
}

static mdl_status open_in_time(mdl_comm_state *s, bool *hangs)
{
    uint64_t number = mdl__comm_post(s, open_link, NULL);
    *hangs = !opens_in_time(s, number);
    if (*hangs)
        return mdl_fail(MDL_DEVICE,
                        "the ranks did not come together in %g seconds (comm.timeout): one of them "
                        "hangs while it starts",
                        s->patience);
    return mdl__comm_wait(s, number);
}

mdl_status mdl_comm_open(mdl_link_open_fn open, void *user, double patience, mdl_comm **out)
{
    bool hangs = false;
    mdl_comm_state *s;
    *out = NULL;
    MDL_TRY(MDL_NEW(1, "communicator", &s));
    s->comm = (mdl_comm){.size = 1, .state = s};
    s->open = open;
    s->open_user = user;
    s->patience = patience;
    mdl_status status = mdl_monitor_create(&s->monitor);
    if (status == MDL_OK)
        status = mdl_thread_start(run, s, &s->thread);
    if (status == MDL_OK)
        status = open_in_time(s, &hangs);
    if (hangs) /* the thread goes on using the state */
        return status;
    if (status != MDL_OK) {
        mdl_comm_close(&s->comm);
        return status;
    }
    *out = &s->comm;
    return MDL_OK;
}

void mdl_comm_close(mdl_comm *comm)
{
    if (comm == NULL || comm->state == NULL)
        return;
    mdl_comm_state *s = comm->state;
    if (s->thread != NULL) {
        mdl_monitor_lock(s->monitor);
        s->quit = true;
        mdl_monitor_notify(s->monitor);
        mdl_monitor_unlock(s->monitor);
        mdl_thread_join(s->thread);
    }
    mdl_monitor_destroy(s->monitor);
    mdl_free(s->names);
    mdl_free(s->verdicts);
    mdl_free(s);
}

void mdl_comm_abort(const mdl_comm *comm, int code)
{
    if (comm->state != NULL && comm->state->link.abort != NULL)
        comm->state->link.abort(&comm->state->link, code);
}

static mdl_status set_patience(mdl_comm_state *s, void *seconds)
{
    s->patience = *(const double *)seconds;
    return MDL_OK;
}

mdl_status mdl_comm_set_patience(const mdl_comm *comm, double seconds)
{
    return comm->state != NULL ? mdl__comm_run(comm->state, set_patience, &seconds) : MDL_OK;
}

/* ---- who is who ----------------------------------------------------------------------------- */

const char *mdl_comm_name(const mdl_comm *comm)
{
    return comm->state != NULL ? comm->state->link.name : "";
}

const char *mdl_comm_rank_name(const mdl_comm *comm, int rank)
{
    return comm->state != NULL ? comm->state->names[rank].text : "the only process";
}

static bool shares(const mdl__rank_name *a, const mdl__rank_name *b)
{
    return a->processors == b->processors && strcmp(a->host, b->host) == 0;
}

int mdl_comm_ranks_here(const mdl_comm *comm)
{
    int here = 0;
    for (int i = 0; comm->state != NULL && i < comm->size; i++)
        here += shares(&comm->state->names[i], &comm->state->names[comm->rank]) ? 1 : 0;
    return here > 0 ? here : 1;
}

static mdl_status copy_stats(mdl_comm_state *s, void *out)
{
    *(mdl_comm_stats *)out = s->stats;
    return MDL_OK;
}

mdl_comm_stats mdl_comm_get_stats(const mdl_comm *comm)
{
    mdl_comm_stats stats = {0};
    if (comm->state == NULL || mdl__comm_run(comm->state, copy_stats, &stats) != MDL_OK)
        return (mdl_comm_stats){0};
    return stats;
}
