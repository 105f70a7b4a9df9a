/* Ranks that are threads of a test, with random delays. */
#ifndef MDL_TESTS_THREAD_RANKS_H
#define MDL_TESTS_THREAD_RANKS_H

#include <string.h>

#include "base/base.h"

enum { MOST = 8 };

typedef struct rank { /* a thread that is one; asserts belong to the main thread */
    mdl_comm *comm;
    void *end;
    void (*body)(struct rank *r);
    mdl_status status;
    char detail[512];
    int64_t all[MOST];
    int64_t number;
    char text[64];
} rank;

static void run(void *user)
{
    rank *r = user;
    mdl_context *context;
    r->status = mdl_context_create(&context);
    if (r->status != MDL_OK)
        return;
    (void)mdl_context_enter(context);
    r->status = mdl_comm_open(mdl_thread_link_open, r->end, 0, &r->comm);
    if (r->status == MDL_OK)
        r->body(r);
    snprintf(r->detail, sizeof(r->detail), "%s", mdl_error_detail());
    mdl_comm_close(r->comm);
    (void)mdl_context_enter(NULL);
    mdl_context_destroy(context);
}

static void with_ranks(int n, void (*body)(rank *), rank ranks[MOST])
{
    mdl_thread_links *links;
    mdl_thread *threads[MOST];
    memset(ranks, 0, MOST * sizeof(*ranks));
    assert_int_equal(mdl_thread_links_create(n, 300, &links), MDL_OK);
    for (int i = 0; i < n; i++) {
        ranks[i].end = mdl_thread_links_end(links, i);
        ranks[i].body = body;
        assert_int_equal(mdl_thread_start(run, &ranks[i], &threads[i]), MDL_OK);
    }
    for (int i = 0; i < n; i++)
        mdl_thread_join(threads[i]);
    mdl_thread_links_destroy(links);
}

#endif
