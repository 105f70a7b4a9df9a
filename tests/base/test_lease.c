/* Leases: one of many gets it, a dead owner's is taken at once, one without a sign of life by its
 * age, and whoever lost one writes nothing more. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/base.h"
#include "scratch.h"

static char root[256], folder[300];

static int setup(void **state)
{
    (void)state;
    if (!scratch_create(root))
        return -1;
    snprintf(folder, sizeof(folder), "%s/leases", root);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    scratch_remove(root);
    return 0;
}

static const char *in(const char *name)
{
    static char path[2][400];
    static int next;
    char *out = path[next++ % 2];
    snprintf(out, 400, "%s/%s", root, name);
    return out;
}

static void pause_for(double seconds)
{
    const struct timespec moment = {.tv_nsec = 10000000};
    for (double start = mdl_time(); mdl_time() - start < seconds;)
        nanosleep(&moment, NULL);
}

static mdl_leases *open_leases(double seconds)
{
    mdl_leases *all;
    assert_int_equal(mdl_leases_open(folder, seconds, "0.1.0, cpu, base", &all), MDL_OK);
    return all;
}

static mdl_lease *take(mdl_leases *all, const char *name, mdl_lease_owner *owner, bool *anew)
{
    mdl_lease *lease;
    if (mdl_lease_take(all, name, "some work", &lease, owner, anew) != MDL_OK)
        fail_msg("%s", mdl_error_detail());
    return lease;
}

/* A process that has the lease, and writes into `a` under it when the pipe says so. */
static pid_t hold(double seconds, int go[2])
{
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(go), 0);
    pid_t child = fork();
    if (child == 0) {
        mdl_leases *all;
        mdl_lease *lease = NULL;
        close(go[1]);
        if (mdl_leases_open(folder, seconds, "0.1.0, cpu, base", &all) != MDL_OK ||
            mdl_lease_take(all, "step", "some work", &lease, NULL, NULL) != MDL_OK || lease == NULL)
            _exit(9);
        (void)mdl_lease_enter(lease);
        if (write(ready[1], "x", 1) != 1 || read(go[0], &byte, 1) != 1)
            _exit(8);
        mdl_status status = mdl_file_write(in("a"), "child", 5);
        _exit(status == MDL_OK ? 0 : mdl_lease_lost(lease) && mdl_stop_requested() ? 1 : 2);
    }
    close(ready[1]);
    close(go[0]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return child;
}

static void one_of_many_gets_it(void **state)
{
    (void)state;
    enum { PROCESSES = 8 };
    pid_t child[PROCESSES];
    int got = 0, code;
    for (int i = 0; i < PROCESSES; i++) {
        child[i] = fork();
        if (child[i] == 0) {
            mdl_leases *all;
            mdl_lease *lease;
            if (mdl_leases_open(folder, 60, "", &all) != MDL_OK ||
                mdl_lease_take(all, "step", "work", &lease, NULL, NULL) != MDL_OK)
                _exit(2);
            pause_for(0.5); /* else it would have ended, and another one would get it */
            _exit(lease != NULL);
        }
    }
    for (int i = 0; i < PROCESSES; i++) {
        assert_int_equal(waitpid(child[i], &code, 0), child[i]);
        assert_true(WIFEXITED(code) && WEXITSTATUS(code) <= 1);
        got += WEXITSTATUS(code);
    }
    assert_int_equal(got, 1);
}

static void what_it_says_and_leaves(void **state)
{
    (void)state;
    mdl_leases *all = open_leases(0.3), *other = open_leases(0.3);
    mdl_lease_owner owner;
    bool anew;
    mdl_lease *lease = take(all, "step", NULL, &anew);
    assert_non_null(lease);
    assert_false(anew);
    mdl_lease_tell(lease, 0.25, 40);
    assert_null(take(other, "step", &owner, NULL));
    assert_string_equal(owner.by, "0.1.0, cpu, base");
    assert_string_equal(owner.text, "some work");
    assert_int_equal(owner.pid, getpid());
    mdl_lease *second = take(other, "another", NULL, NULL);
    assert_non_null(second);
    pause_for(1); /* its beats keep it, over more than its time */
    assert_null(take(other, "step", &owner, NULL));
    assert_true(owner.beat > 2 && owner.part == 0.25 && owner.left == 40);
    mdl_lease_release(lease);
    lease = take(other, "step", NULL, &anew);
    assert_non_null(lease);
    assert_false(anew);
    mdl_lease_release(lease);
    mdl_lease_release(second);
    mdl_leases_close(all);
    mdl_leases_close(other);
    assert_false(mdl_file_exists(folder));
}

static void a_dead_owner_is_seen_at_once(void **state)
{
    (void)state;
    int go[2];
    bool anew;
    mdl_leases *all = open_leases(3600);
    pid_t child = hold(3600, go);
    assert_null(take(all, "step", NULL, NULL));
    assert_int_equal(mdl_file_write(in("a.00112233445566ff.mendel-tmp"), "left", 4), MDL_OK);
    assert_int_equal(mdl_file_write(in("a.mendel-tmp"), "left", 4), MDL_OK);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    close(go[1]);
    mdl_lease *lease = take(all, "step", NULL, &anew);
    assert_non_null(lease);
    assert_true(anew);
    /* Only what has the token of a lease that is no more is cleared away. */
    assert_int_equal(mdl_leases_clean(folder, root), MDL_OK);
    assert_false(mdl_file_exists(in("a.00112233445566ff.mendel-tmp")));
    assert_true(mdl_file_exists(in("a.mendel-tmp")));
    mdl_lease_release(lease);
    mdl_leases_close(all);
}

/* It wakes, notices, and does not write. */
static void a_suspended_owner_is_fenced(void **state)
{
    (void)state;
    int go[2], code;
    char *text;
    size_t size;
    mdl_leases *all = open_leases(0.4);
    pid_t child = hold(0.4, go);
    kill(child, SIGSTOP);
    mdl_lease *lease = NULL;
    double start = mdl_time();
    while ((lease = take(all, "step", NULL, NULL)) == NULL)
        pause_for(0.05);
    assert_true(mdl_time() - start >= 0.4); /* not before its time */
    (void)mdl_lease_enter(lease);
    assert_int_equal(mdl_file_write(in("a"), "mine", 4), MDL_OK);
    (void)mdl_lease_enter(NULL);
    kill(child, SIGCONT);
    assert_int_equal(write(go[1], "x", 1), 1);
    assert_int_equal(waitpid(child, &code, 0), child);
    assert_true(WIFEXITED(code));
    assert_int_equal(WEXITSTATUS(code), 1);
    assert_int_equal(mdl_file_read(in("a"), 0, &text, &size), MDL_OK);
    assert_string_equal(text, "mine");
    mdl_free(text);
    close(go[1]);
    assert_false(mdl_lease_lost(lease));
    mdl_lease_release(lease);
    mdl_leases_close(all);
}

/* Whatever lies there, nobody waits for ever and nothing is followed. */
static void foreign_files(void **state)
{
    (void)state;
    mdl_leases *all = open_leases(0.3);
    mdl_lease *lease;
    mdl_lease_seen *seen;
    size_t count;
    assert_int_equal(mdl_make_folders(folder), MDL_OK);
    assert_int_equal(mdl_file_write(in("leases/step.lease"), "nonsense", 8), MDL_OK);
    assert_int_equal(symlink("/etc/passwd", in("leases/link.lease")), 0);
    assert_int_equal(mdl_lease_take(all, "link", "", &lease, NULL, NULL), MDL_IO);
    assert_null(take(all, "step", NULL, NULL));
    assert_int_equal(mdl_leases_list(folder, &seen, &count), MDL_OK);
    assert_int_equal(count, 1);
    assert_string_equal(seen[0].name, "step");
    mdl_free(seen);
    for (double start = mdl_time(); (lease = take(all, "step", NULL, NULL)) == NULL;) {
        assert_true(mdl_time() - start < 60);
        pause_for(0.05);
    }
    mdl_lease_release(lease);
    mdl_leases_close(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_of_many_gets_it, setup, teardown),
        cmocka_unit_test_setup_teardown(what_it_says_and_leaves, setup, teardown),
        cmocka_unit_test_setup_teardown(a_dead_owner_is_seen_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(a_suspended_owner_is_fenced, setup, teardown),
        cmocka_unit_test_setup_teardown(foreign_files, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
