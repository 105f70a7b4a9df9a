/* Owning a folder: between processes, between two owners in one, after a kill, without locks. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/base.h"

static char root[] = "/tmp/mendel-lock-XXXXXX";

static const char *in(const char *name)
{
    static char path[4][256];
    static int next;
    char *out = path[next++ % 4];
    snprintf(out, 256, "%s/%s", root, name);
    return out;
}

/* A process that owns the folder, says so, and waits until it is killed. */
static pid_t hold(const char *folder)
{
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        mdl_lock *lock;
        close(ready[0]);
        if (mdl_lock_take(folder, &lock) == MDL_OK && write(ready[1], "x", 1) == 1)
            pause();
        _exit(1);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return child;
}

static void end(pid_t child)
{
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

static void refused(const char *folder, pid_t by)
{
    char text[MDL_HOLDER_SIZE], number[32];
    mdl_lock *lock;
    snprintf(number, sizeof(number), "process %ld ", (long)by);
    assert_int_equal(mdl_lock_take(folder, &lock), MDL_IO);
    assert_null(lock);
    assert_non_null(strstr(mdl_error_detail(), number));
    assert_non_null(strstr(mdl_error_detail(), "mendel train"));
    assert_true(mdl_lock_holder(folder, text, sizeof(text)));
    assert_non_null(strstr(text, number));
}

static void one_owner_of_many_processes(void **state)
{
    char text[MDL_HOLDER_SIZE];
    mdl_lock *lock;
    (void)state;
    for (int without = 0; without < 2; without++) {
        mdl_lock_without(without == 1);
        const char *folder = in(without ? "p" : "q");
        assert_false(mdl_lock_holder(folder, text, sizeof(text)));
        pid_t child = hold(folder);
        refused(folder, child);
        end(child); /* its file stays and means nothing */
        assert_true(mdl_file_exists(in(without ? "p/mendel.lock" : "q/mendel.lock")));
        assert_false(mdl_lock_holder(folder, text, sizeof(text)));
        assert_int_equal(mdl_lock_take(folder, &lock), MDL_OK);
        refused(folder, getpid()); /* nor a second one of this process */
        mdl_lock_release(lock);
        assert_false(mdl_lock_holder(folder, text, sizeof(text)));
        assert_false(mdl_file_exists(in(without ? "p/mendel.lock" : "q/mendel.lock")));
    }
    mdl_lock_without(false);
}

static void folders_go_again_when_empty(void **state)
{
    mdl_lock *lock;
    (void)state;
    assert_int_equal(mdl_lock_take(in("deep/er/est/"), &lock), MDL_OK);
    mdl_lock_release(lock);
    assert_false(mdl_file_exists(in("deep")));
    assert_int_equal(mdl_lock_take(in("deep/er/est"), &lock), MDL_OK);
    assert_int_equal(mdl_file_write(in("deep/er/file"), "", 0), MDL_OK);
    mdl_lock_release(lock);
    assert_false(mdl_file_exists(in("deep/er/est")));
    assert_true(mdl_file_exists(in("deep/er/file")));
    assert_int_equal(mkdir(in("was"), 0777), 0);
    assert_int_equal(mdl_lock_take(in("was"), &lock), MDL_OK);
    mdl_lock_release(lock);
    assert_true(mdl_file_exists(in("was"))); /* it was there before */
}

static void new_folders_differ(void **state)
{
    char name[3][256];
    mdl_lock *lock[3];
    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(mdl_lock_take_new(in("runs/train"), name[i], sizeof(name[i]), &lock[i]),
                         MDL_OK);
    assert_string_equal(name[0], in("runs/train"));
    assert_string_equal(name[1], in("runs/train-2"));
    assert_string_equal(name[2], in("runs/train-3"));
    for (int i = 2; i >= 0; i--)
        mdl_lock_release(lock[i]);
    assert_false(mdl_file_exists(in("runs")));
}

/* Several who do the same thing share a folder with each other, and with nobody else. */
static void several_share_a_folder(void **state)
{
    char text[MDL_HOLDER_SIZE];
    mdl_lock *first, *second, *other;
    (void)state;
    for (int without = 0; without < 2; without++) {
        mdl_lock_without(without == 1);
        assert_int_equal(mdl_lock_take(in("s"), &first), MDL_OK);
        assert_int_equal(mdl_lock_join(in("s"), &second), MDL_IO);
        mdl_lock_share(first);
        assert_true(mdl_lock_is_shared(first));
        assert_int_equal(mdl_lock_join(in("s"), &second), MDL_OK);
        assert_int_equal(mdl_lock_take(in("s"), &other), MDL_IO);
        assert_true(mdl_lock_holder(in("s"), text, sizeof(text)));
        mdl_lock_release(second);
        assert_int_equal(mdl_lock_take(in("s"), &other), without == 1 ? MDL_OK : MDL_IO);
        mdl_lock_release(other);
        mdl_lock_release(first);
        assert_int_equal(mdl_lock_take(in("s"), &other), MDL_OK);
        mdl_lock_release(other);
        assert_false(mdl_file_exists(in("s/mendel.lock")));
    }
    mdl_lock_without(false);
}

static void what_is_no_lock_stays(void **state)
{
    char *text;
    size_t size;
    mdl_lock *lock;
    (void)state;
    assert_int_equal(mkdir(in("user"), 0777), 0);
    assert_int_equal(mdl_file_write(in("user/mendel.lock"), "mine", 4), MDL_OK);
    assert_int_equal(mdl_lock_take(in("user"), &lock), MDL_IO);
    assert_int_equal(mdl_file_read(in("user/mendel.lock"), 0, &text, &size), MDL_OK);
    assert_string_equal(text, "mine");
    mdl_free(text);
    assert_int_equal(unlink(in("user/mendel.lock")), 0);
    assert_int_equal(mkfifo(in("user/mendel.lock"), 0666), 0);
    assert_int_equal(mdl_lock_take(in("user"), &lock), MDL_IO); /* and does not wait */
    assert_int_equal(unlink(in("user/mendel.lock")), 0);
    assert_int_equal(symlink("/etc/passwd", in("user/mendel.lock")), 0);
    assert_int_equal(mdl_lock_take(in("user"), &lock), MDL_IO);
}

static int set_up(void **state)
{
    (void)state;
    mdl_lock_program("mendel train");
    return mkdtemp(root) == NULL;
}

static int tear_down(void **state)
{
    char command[300];
    (void)state;
    snprintf(command, sizeof(command), "rm -rf %s", root);
    return system(command); // NOLINT(cert-env33-c)
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_owner_of_many_processes),
        cmocka_unit_test(folders_go_again_when_empty),
        cmocka_unit_test(new_folders_differ),
        cmocka_unit_test(several_share_a_folder),
        cmocka_unit_test(what_is_no_lock_stays),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
