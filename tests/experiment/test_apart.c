/* Ranks that work apart: threads with random delays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "experiment/apart.h"
#include "thread_ranks.h"

static double seconds_of[MOST]; /* of each rank's work */
static int fails, stopped;      /* the rank that does; -1: none */

static mdl_status work_alone(void *user)
{
    rank *r = user;
    double start = mdl_time();
    r->number = mdl_comm_current()->size;
    if (r->comm->rank == stopped)
        mdl_context_stop(mdl_context_current());
    while (mdl_time() - start < seconds_of[r->comm->rank])
        if (mdl_stop_requested())
            return mdl_fail(MDL_CANCELLED, "it was asked to stop");
    return r->comm->rank == fails ? mdl_fail(MDL_NUMERIC, "no number") : MDL_OK;
}

static void work_apart(rank *r)
{
    mdl_context_set_comm(mdl_context_current(), r->comm);
    r->status = mdl__apart(r->comm, work_alone, r);
    r->all[0] = mdl_comm_current() == r->comm;
    if (r->status == MDL_OK) /* and together again */
        r->status = mdl_comm_agree(r->comm, MDL_OK);
}

static void ranks_work_apart(void **state)
{
    (void)state;
    rank ranks[MOST];
    fails = stopped = -1;
    memset(seconds_of, 0, sizeof(seconds_of));
    seconds_of[1] = 0.5;
    for (int n = 1; n <= 3; n++) {
        with_ranks(n, work_apart, ranks);
        for (int i = 0; i < n; i++) {
            assert_int_equal(ranks[i].status, MDL_OK);
            assert_int_equal(ranks[i].number, 1);
            assert_true(ranks[i].all[0]);
        }
    }
}

/* Whoever would work for a minute is stopped, and the failure counts, not the stops. */
static void a_failure_apart_stops_all(void **state)
{
    (void)state;
    rank ranks[MOST];
    fails = 1;
    stopped = -1;
    seconds_of[0] = seconds_of[2] = 60;
    seconds_of[1] = 0.1;
    with_ranks(3, work_apart, ranks);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ranks[i].status, MDL_NUMERIC);
        assert_non_null(strstr(ranks[i].detail, "rank 1 ("));
        assert_non_null(strstr(ranks[i].detail, "): no number"));
    }
}

static void a_stop_apart_stops_all(void **state)
{
    (void)state;
    rank ranks[MOST];
    fails = -1;
    stopped = 2;
    seconds_of[0] = seconds_of[1] = seconds_of[2] = 60;
    with_ranks(3, work_apart, ranks);
    for (int i = 0; i < 3; i++)
        assert_int_equal(ranks[i].status, MDL_CANCELLED);
}

static void one_hangs_apart(rank *r)
{
    r->status = mdl_comm_set_patience(r->comm, 0.05);
    if (r->comm->rank != 1)
        r->status = mdl__apart(r->comm, work_alone, r);
}

static void a_rank_that_hangs_apart_is_seen(void **state)
{
    (void)state;
    rank ranks[MOST];
    fails = stopped = -1;
    seconds_of[0] = 60;
    with_ranks(2, one_hangs_apart, ranks);
    assert_int_equal(ranks[0].status, MDL_DEVICE);
    assert_non_null(strstr(ranks[0].detail, "nothing came from rank 1 ("));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranks_work_apart),
        cmocka_unit_test(a_failure_apart_stops_all),
        cmocka_unit_test(a_stop_apart_stops_all),
        cmocka_unit_test(a_rank_that_hangs_apart_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
