/* Log, time, machine, threads, stop flag, communicator. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"

static struct {
    int count;
    mdl_log_level level;
    char text[4 * MDL_PATH_MAX]; /* longer than any line */
} logged;

static void keep_line(void *user, mdl_log_level level, const char *text)
{
    *(int *)user += 1;
    logged.level = level;
    memcpy(logged.text, text, strlen(text) + 1);
}

static void log_goes_to_the_sink(void **state)
{
    (void)state;
    int calls = 0;
    mdl_log(MDL_LOG_WARN, "nobody listens %d", 1);
    mdl_context_set_log(mdl_context_current(), keep_line, &calls);
    mdl_log(MDL_LOG_INFO, "op %s falls back (%d)", "conv2d", 3);
    assert_int_equal(calls, 1);
    assert_int_equal(logged.level, MDL_LOG_INFO);
    assert_string_equal(logged.text, "op conv2d falls back (3)");
    static char text[5 * MDL_PATH_MAX];
    memset(text, 'y', sizeof(text) - 1);
    mdl_log(MDL_LOG_DEBUG, "%s", text);
    assert_int_equal(calls, 2);
    assert_in_range(strlen(logged.text), 1000, sizeof(logged.text));
    mdl_context_set_log(mdl_context_current(), NULL, NULL);
    mdl_log(MDL_LOG_WARN, "nobody again");
    assert_int_equal(calls, 2);
}

static void machine_is_plausible(void **state)
{
    (void)state;
    double before = mdl_time();
    assert_true(mdl_time() >= before);
    assert_in_range(mdl_cpu_count(), 1, 65536);
    unsigned char *block;
    size_t size = (size_t)64 << 20;
    assert_int_equal(MDL_NEW(size, "block", &block), MDL_OK); /* zeroing touches all pages */
    assert_true(mdl_peak_memory() >= size || mdl_peak_memory() == 0);
    mdl_free(block);
    assert_in_range(mdl_build_version()[0], '0', '9');
}

typedef struct relay {
    mdl_monitor *monitor;
    int turn;              /* whose turn: 0 the test's, 1 the thread's */
    int rounds;            /* done by the thread */
    bool detail_was_empty; /* the thread does not see the test's error detail */
} relay;

static void play(void *user)
{
    relay *r = user;
    r->detail_was_empty = mdl_error_detail()[0] == '\0';
    (void)mdl_fail(MDL_IO, "from the thread");
    mdl_monitor_lock(r->monitor);
    for (int i = 0; i < 100; i++) {
        while (r->turn != 1)
            mdl_monitor_wait(r->monitor);
        r->rounds++;
        r->turn = 0;
        mdl_monitor_notify(r->monitor);
    }
    mdl_monitor_unlock(r->monitor);
}

static void threads_take_turns(void **state)
{
    (void)state;
    relay r = {0};
    mdl_thread *thread;
    (void)mdl_fail(MDL_SHAPE, "from the test");
    assert_int_equal(mdl_monitor_create(&r.monitor), MDL_OK);
    assert_int_equal(mdl_thread_start(play, &r, &thread), MDL_OK);
    bool in_step = true;
    mdl_monitor_lock(r.monitor);
    for (int i = 0; i < 100; i++) {
        r.turn = 1;
        mdl_monitor_notify(r.monitor);
        while (r.turn != 0)
            mdl_monitor_wait(r.monitor);
        in_step = in_step && r.rounds == i + 1;
    }
    mdl_monitor_unlock(r.monitor);
    mdl_thread_join(thread);
    mdl_monitor_destroy(r.monitor);
    mdl_monitor_destroy(NULL);
    assert_true(in_step);
    assert_true(r.detail_was_empty);
    assert_string_equal(mdl_error_detail(), "from the test");
}

static void thread_allocation_may_fail(void **state)
{
    (void)state;
    mdl_thread *thread;
    mdl_monitor *monitor;
    mdl_alloc_fail_at(1);
    assert_int_equal(mdl_thread_start(play, NULL, &thread), MDL_NO_MEMORY);
    assert_null(thread);
    mdl_alloc_fail_at(1);
    assert_int_equal(mdl_monitor_create(&monitor), MDL_NO_MEMORY);
    assert_null(monitor);
    mdl_alloc_fail_at(0);
}

static void on_signal(int number)
{
    (void)number;
    mdl_context_stop(mdl_context_current());
}

static void stop_is_requested_by_a_signal(void **state)
{
    (void)state;
    assert_false(mdl_stop_requested());
    signal(SIGINT, on_signal);
    raise(SIGINT);
    signal(SIGINT, SIG_DFL);
    assert_true(mdl_stop_requested());
    mdl_context_reset(mdl_context_current());
    assert_false(mdl_stop_requested());
}

static void single_process_is_the_identity(void **state)
{
    (void)state;
    const mdl_comm *comm = mdl_comm_single();
    float data[3] = {1, 2, 3};
    assert_int_equal(comm->size, 1);
    assert_int_equal(comm->rank, 0);
    float all[3];
    assert_int_equal(mdl_comm_allgather(comm, data, sizeof(data), all), MDL_OK);
    assert_memory_equal(all, data, sizeof(data));
    assert_int_equal(mdl_comm_broadcast(comm, data, sizeof(data), 0), MDL_OK);
    assert_int_equal(mdl_comm_agree(comm, MDL_IO), MDL_IO);
    assert_int_equal(mdl_comm_same(comm, "a text", "any"), MDL_OK);
    for (int i = 0; i < 3; i++)
        assert_true(data[i] == (float)(i + 1));
    assert_int_equal(mdl_comm_broadcast(comm, data, sizeof(data), 1), MDL_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(log_goes_to_the_sink),
        cmocka_unit_test(machine_is_plausible),
        cmocka_unit_test(threads_take_turns),
        cmocka_unit_test(thread_allocation_may_fail),
        cmocka_unit_test(stop_is_requested_by_a_signal),
        cmocka_unit_test(single_process_is_the_identity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
