/* Ranks that work apart for a while, each for itself.  A thread of each keeps them in touch: they
 * meet several times a second, say how they are, and part for good when the last one has ended. */
#include "experiment/apart.h"

static const double seconds_between = 0.2; /* two meetings */

typedef struct state { /* of a rank, at a meeting */
    uint32_t over;     /* its work */
    uint32_t stop;     /* it failed, or was asked to stop */
} state;

typedef struct apart {
    const mdl_comm *comm;
    state *states;        /* [ranks] */
    mdl_monitor *monitor; /* guards what follows */
    bool over;            /* this rank's work */
    mdl_status own;       /* what became of it */
    mdl_status met;       /* what became of the meetings; of the thread, as the text */
    char detail[1024];
} apart;

/* One meeting; false: it was the last one. */
static bool meet(apart *a, bool over, mdl_status own)
{
    bool everybody = true, stop = false;
    state mine = {.over = over, .stop = mdl_stop_requested() || own != MDL_OK};
    a->met = mdl_comm_allgather(a->comm, &mine, sizeof(mine), a->states);
    for (int i = 0; i < a->comm->size && a->met == MDL_OK; i++) {
        everybody = everybody && a->states[i].over != 0;
        stop = stop || a->states[i].stop != 0;
    }
    if (a->met != MDL_OK)
        snprintf(a->detail, sizeof(a->detail), "%s", mdl_error_detail());
    if (stop || a->met != MDL_OK)
        mdl_context_stop(mdl_context_current());
    return a->met == MDL_OK && !everybody;
}

static void keep_in_touch(void *user)
{
    apart *a = user;
    for (bool more = true; more;) {
        mdl_monitor_lock(a->monitor);
        if (!a->over)
            mdl_monitor_wait_for(a->monitor, seconds_between);
        bool over = a->over;
        mdl_status own = a->own;
        mdl_monitor_unlock(a->monitor);
        more = meet(a, over, own);
    }
}

static mdl_status do_own(apart *a, mdl_status (*work)(void *user), void *user)
{
    mdl_context *context = mdl_context_current();
    const mdl_comm *before = mdl_comm_current();
    mdl_context_set_comm(context, NULL);
    mdl_status own = work(user);
    mdl_context_set_comm(context, before);
    mdl_monitor_lock(a->monitor);
    a->own = own;
    a->over = true;
    mdl_monitor_notify(a->monitor);
    mdl_monitor_unlock(a->monitor);
    return own;
}

/* All have what they need for it. */
static mdl_status part(apart *a, mdl_status (*work)(void *user), void *user)
{
    mdl_thread *thread = NULL;
    mdl_status status = mdl_thread_start(keep_in_touch, a, &thread);
    if (status == MDL_OK) {
        status = do_own(a, work, user);
        mdl_thread_join(thread);
    } else { /* nothing is done, and the meetings stop the others */
        a->own = status;
        a->over = true;
        keep_in_touch(a);
    }
    if (a->met == MDL_OK)
        return mdl_comm_agree(a->comm, status);
    bool failed = status != MDL_OK && status != MDL_CANCELLED; /* by itself, before the link did */
    return failed ? status : mdl_fail(a->met, "%s", a->detail);
}

mdl_status mdl__apart(const mdl_comm *comm, mdl_status (*work)(void *user), void *user)
{
    apart a = {.comm = comm};
    if (comm->size == 1)
        return work(user);
    mdl_status status = MDL_NEW((size_t)comm->size, "states of ranks", &a.states);
    if (status == MDL_OK)
        status = mdl_monitor_create(&a.monitor);
    status = mdl__agree_anew(comm, status);
    if (status == MDL_OK)
        status = part(&a, work, user);
    mdl_monitor_destroy(a.monitor);
    mdl_free(a.states);
    return status;
}

mdl_status mdl__agree_anew(const mdl_comm *comm, mdl_status own)
{
    MDL_TRY(mdl_comm_agree(comm, MDL_OK)); /* nobody thinks of an earlier one any more */
    return mdl_comm_agree(comm, own);
}
