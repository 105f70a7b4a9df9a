/* Ranks that are threads of one process, with random delays: for tests.  A message lies in the box
 * of its sender and receiver until it is taken. */
#include <string.h>

#include "base/base.h"

typedef struct box {
    const void *data; /* NULL: it is empty */
    size_t bytes;
} box;

typedef struct end {
    mdl_thread_links *links;
    int rank;
    mdl_rng rng; /* of the delays */
} end;

struct mdl_thread_links {
    int ranks;
    unsigned delay; /* microseconds, at most */
    mdl_monitor *monitor;
    box *boxes; /* [from, to] */
    end *ends;  /* [ranks] */
    bool aborted;
};

mdl_status mdl_thread_links_create(int ranks, unsigned delay, mdl_thread_links **out)
{
    MDL_TRY(MDL_NEW(1, "links of threads", out));
    mdl_thread_links *links = *out;
    size_t n = (size_t)ranks;
    links->ranks = ranks;
    links->delay = delay;
    mdl_status status = mdl_monitor_create(&links->monitor);
    if (status == MDL_OK)
        status = MDL_NEW(n * n, "links of threads", &links->boxes);
    if (status == MDL_OK)
        status = MDL_NEW(n, "links of threads", &links->ends);
    if (status != MDL_OK) {
        mdl_thread_links_destroy(links);
        *out = NULL;
        return status;
    }
    for (int i = 0; i < ranks; i++)
        links->ends[i] = (end){links, i, mdl_rng_init(1, (uint64_t)i)};
    return MDL_OK;
}

void mdl_thread_links_destroy(mdl_thread_links *links)
{
    if (links == NULL)
        return;
    mdl_monitor_destroy(links->monitor);
    mdl_free(links->boxes);
    mdl_free(links->ends);
    mdl_free(links);
}

void *mdl_thread_links_end(mdl_thread_links *links, int rank)
{
    return &links->ends[rank];
}

/* Take what has come; whether all that this exchange waits for is over.  The monitor is locked. */
static bool proceed(mdl_link *link, box *sent, box *comes, void *in, size_t in_bytes, bool *taken)
{
    if (comes != NULL && !*taken && comes->data != NULL) {
        if (comes->bytes != in_bytes) {
            snprintf(link->error, sizeof(link->error), "a message of %zu bytes, %zu expected",
                     comes->bytes, in_bytes);
            return false;
        }
        memcpy(in, comes->data, in_bytes);
        *comes = (box){0};
        *taken = true;
    }
    return (sent == NULL || sent->data == NULL) && (comes == NULL || *taken);
}

static mdl_link_result exchange(mdl_link *link, int to, const void *out, size_t out_bytes, int from,
                                void *in, size_t in_bytes, double seconds)
{
    end *e = link->state;
    mdl_thread_links *links = e->links;
    size_t n = (size_t)links->ranks, own = (size_t)e->rank;
    box *sent = to >= 0 ? &links->boxes[own * n + (size_t)to] : NULL;
    box *comes = from >= 0 ? &links->boxes[(size_t)from * n + own] : NULL;
    double start = mdl_time();
    bool taken = false, over = false, aborted = false;
    if (links->delay > 0)
        mdl_sleep(1e-6 * (double)mdl_rng_below(&e->rng, links->delay + 1));
    link->error[0] = '\0';
    mdl_monitor_lock(links->monitor);
    if (sent != NULL)
        *sent = (box){out, out_bytes};
    while (!over) {
        over = proceed(link, sent, comes, in, in_bytes, &taken);
        aborted = links->aborted || link->error[0] != '\0';
        bool late = seconds > 0 && mdl_time() - start > seconds;
        if (over || aborted || late)
            break;
        mdl_monitor_unlock(links->monitor);
        mdl_sleep(20e-6);
        mdl_monitor_lock(links->monitor);
    }
    if (!over && sent != NULL && sent->data == out) /* who comes later would find what is no more */
        *sent = (box){0};
    mdl_monitor_unlock(links->monitor);
    if (aborted && link->error[0] == '\0')
        snprintf(link->error, sizeof(link->error), "it was aborted");
    return over ? MDL_LINK_OK : aborted ? MDL_LINK_BROKEN : MDL_LINK_LATE;
}

static void abort_all(mdl_link *link, int code)
{
    end *e = link->state;
    (void)code;
    mdl_monitor_lock(e->links->monitor);
    e->links->aborted = true;
    mdl_monitor_unlock(e->links->monitor);
}

static void leave(mdl_link *link)
{
    (void)link;
}

mdl_status mdl_thread_link_open(void *user, mdl_link *link)
{
    end *e = user;
    link->rank = e->rank;
    link->size = e->links->ranks;
    link->state = e;
    link->exchange = exchange;
    link->abort = abort_all;
    link->close = leave;
    snprintf(link->name, sizeof(link->name), "threads");
    return MDL_OK;
}
