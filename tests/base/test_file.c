/* Files: whole reads, atomic replacement, and what must not be lost when something fails: a full
 * disk, a full file-size limit, an unwritable folder, a second writer, no memory. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/base.h"
#include "scratch.h"

static char folder[256]; /* of the running test */
static char path[MDL_PATH_MAX];

static int make_scratch(void **state)
{
    (void)state;
    if (!scratch_create(folder))
        return -1;
    return mdl_path(path, sizeof(path), folder, "%s", "file") == MDL_OK ? 0 : -1;
}

static int remove_scratch(void **state)
{
    (void)state;
    mdl_alloc_fail_at(0);
    scratch_remove(folder);
    return 0;
}

static void assert_content(const char *name, const char *expected)
{
    char *data;
    size_t size;
    assert_int_equal(mdl_file_read(name, 0, &data, &size), MDL_OK);
    assert_int_equal(size, strlen(expected));
    assert_string_equal(data, expected);
    mdl_free(data);
}

static void write_and_read_back(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 4095, 4096, 4097, 1000003};
    for (size_t i = 0; i < MDL_COUNT(sizes); i++) {
        unsigned char *bytes;
        char *back;
        size_t size;
        assert_int_equal(MDL_NEW(sizes[i], "bytes", &bytes), MDL_OK);
        for (size_t j = 0; j < sizes[i]; j++)
            bytes[j] = (unsigned char)(j * 7 + i);
        assert_int_equal(mdl_file_write(path, bytes, sizes[i]), MDL_OK);
        assert_int_equal(mdl_file_read(path, sizes[i], &back, &size), MDL_OK);
        assert_int_equal(size, sizes[i]);
        assert_memory_equal(back, bytes, size);
        assert_int_equal(back[size], 0);
        mdl_free(back);
        mdl_free(bytes);
    }
    assert_int_equal(scratch_count(folder), 1);
}

static void reading_refuses(void **state)
{
    (void)state;
    char *data;
    size_t size;
    assert_int_equal(mdl_file_read(path, 0, &data, &size), MDL_NOT_FOUND);
    assert_null(data);
    assert_non_null(strstr(mdl_error_detail(), path));
    assert_int_equal(mdl_file_read(folder, 0, &data, &size), MDL_IO);
    assert_null(data);
    assert_int_equal(mdl_file_write(path, "12345", 5), MDL_OK);
    assert_int_equal(mdl_file_read(path, 4, &data, &size), MDL_FORMAT);
    assert_null(data);
    assert_int_equal(size, 0);
    assert_int_equal(mdl_file_read(path, 5, &data, &size), MDL_OK);
    mdl_free(data);
}

static void pipes_are_read_to_their_end(void **state)
{
    (void)state;
    enum { BYTES = 30000 }; /* fits a pipe, does not fit the first buffer */
    char pipe_path[64];
    static char text[BYTES];
    for (int round = 0; round < 2; round++) {
        int ends[2];
        char *data;
        size_t size;
        memset(text, 'p', sizeof(text));
        assert_int_equal(pipe(ends), 0);
        assert_int_equal(write(ends[1], text, BYTES), BYTES);
        close(ends[1]);
        snprintf(pipe_path, sizeof(pipe_path), "/dev/fd/%d", ends[0]);
        mdl_status status = mdl_file_read(pipe_path, round == 0 ? BYTES : BYTES - 1, &data, &size);
        close(ends[0]);
        assert_int_equal(status, round == 0 ? MDL_OK : MDL_FORMAT);
        assert_int_equal(size, round == 0 ? BYTES : 0);
        if (round == 0)
            assert_memory_equal(data, text, BYTES);
        mdl_free(data);
    }
}

static void replaced_only_at_commit(void **state)
{
    (void)state;
    mdl_atomic_file *file;
    assert_int_equal(mdl_file_write(path, "old", 3), MDL_OK);
    assert_int_equal(mdl_atomic_open(path, &file), MDL_OK);
    assert_int_equal(mdl_atomic_write(file, "new ", 4), MDL_OK);
    assert_int_equal(mdl_atomic_printf(file, "%d %s", 42, "times"), MDL_OK);
    assert_content(path, "old");
    assert_int_equal(mdl_atomic_commit(file), MDL_OK);
    assert_content(path, "new 42 times");

    assert_int_equal(mdl_atomic_open(path, &file), MDL_OK);
    assert_int_equal(mdl_atomic_write(file, "never", 5), MDL_OK);
    mdl_atomic_abort(file);
    mdl_atomic_abort(NULL);
    assert_content(path, "new 42 times");
    assert_int_equal(scratch_count(folder), 1);
}

static void killed_writer_leaves_the_old_file(void **state)
{
    (void)state;
    assert_int_equal(mdl_file_write(path, "old", 3), MDL_OK);
    for (int round = 0; round < 3; round++) {
        pid_t child = fork();
        if (child == 0) {
            mdl_atomic_file *file;
            char block[10000] = {'n'};
            if (mdl_atomic_open(path, &file) != MDL_OK ||
                mdl_atomic_write(file, block, sizeof(block)) != MDL_OK)
                _exit(1);
            raise(SIGKILL);
        }
        int how;
        assert_int_equal(waitpid(child, &how, 0), child);
        assert_true(WIFSIGNALED(how));
        assert_content(path, "old");
        assert_true(scratch_count(folder) <= 2); /* what is left does not pile up */
    }
    assert_int_equal(mdl_file_write(path, "new", 3), MDL_OK);
    assert_content(path, "new");
    assert_int_equal(scratch_count(folder), 1);
}

static void second_writer_is_refused(void **state)
{
    (void)state;
    mdl_atomic_file *first, *second;
    assert_int_equal(mdl_atomic_open(path, &first), MDL_OK);
    assert_int_equal(mdl_atomic_open(path, &second), MDL_IO);
    assert_null(second);
    assert_non_null(strstr(mdl_error_detail(), "another process"));
    assert_int_equal(mdl_atomic_write(first, "first", 5), MDL_OK);
    assert_int_equal(mdl_atomic_commit(first), MDL_OK);
    assert_content(path, "first");
}

static void links_are_followed(void **state)
{
    (void)state;
    char link[MDL_PATH_MAX];
    assert_int_equal(mdl_path(link, sizeof(link), folder, "link"), MDL_OK);
    assert_int_equal(mdl_file_write(path, "old", 3), MDL_OK);
    assert_int_equal(symlink("file", link), 0);
    assert_int_equal(mdl_file_write(link, "through", 7), MDL_OK);
    assert_content(path, "through");
    struct stat info;
    assert_int_equal(lstat(link, &info), 0);
    assert_true(S_ISLNK(info.st_mode));
}

static void unwritable_places_are_refused(void **state)
{
    (void)state;
    mdl_atomic_file *file;
    char inner[MDL_PATH_MAX];
    assert_int_equal(mdl_atomic_open(folder, &file), MDL_IO); /* a folder */
    assert_null(file);
    assert_int_equal(mdl_path(inner, sizeof(inner), folder, "absent/file"), MDL_OK);
    assert_int_equal(mdl_atomic_open(inner, &file), MDL_NOT_FOUND);
    assert_null(file);
    assert_int_equal(mdl_file_write(path, "x", 1), MDL_OK);
    assert_int_equal(mdl_path(inner, sizeof(inner), path, "file"), MDL_OK);
    assert_int_equal(mdl_atomic_open(inner, &file), MDL_IO); /* under a file */
    assert_null(file);
    if (geteuid() == 0)
        return; /* permissions do not bind root */
    assert_int_equal(mdl_path(inner, sizeof(inner), folder, "locked"), MDL_OK);
    assert_int_equal(mkdir(inner, 0500), 0);
    assert_int_equal(mdl_path(inner, sizeof(inner), folder, "locked/file"), MDL_OK);
    assert_int_equal(mdl_atomic_open(inner, &file), MDL_IO);
    assert_non_null(strstr(mdl_error_detail(), "permission"));
}

/* Small and large writes on a device that is always full; the error is kept until commit. */
static void full_device_is_reported(void **state)
{
    (void)state;
    if (access("/dev/full", W_OK) != 0)
        skip();
    static const char block[100000];
    mdl_atomic_file *file;
    assert_int_equal(mdl_atomic_open("/dev/full", &file), MDL_OK);
    assert_int_equal(mdl_atomic_write(file, "small", 5), MDL_OK); /* buffered */
    assert_int_equal(mdl_atomic_commit(file), MDL_IO);
    assert_non_null(strstr(mdl_error_detail(), "free some space"));

    assert_int_equal(mdl_atomic_open("/dev/full", &file), MDL_OK);
    assert_int_equal(mdl_atomic_write(file, block, sizeof(block)), MDL_IO);
    assert_int_equal(mdl_atomic_printf(file, "more"), MDL_IO);
    assert_int_equal(mdl_atomic_commit(file), MDL_IO);
    assert_non_null(strstr(mdl_error_detail(), "free some space"));
    struct stat info;
    assert_int_equal(stat("/dev/full", &info), 0);
    assert_true(S_ISCHR(info.st_mode));
}

/* A limit on file sizes stops a regular file in the middle, as a full disk does. */
static void full_disk_keeps_the_old_file(void **state)
{
    (void)state;
    static const char block[100000];
    assert_int_equal(mdl_file_write(path, "old", 3), MDL_OK);
    struct rlimit old, limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    signal(SIGXFSZ, SIG_IGN);
    limit = old;
    limit.rlim_cur = 50000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    mdl_status status = mdl_file_write(path, block, sizeof(block));
    setrlimit(RLIMIT_FSIZE, &old);
    signal(SIGXFSZ, SIG_DFL);
    assert_int_equal(status, MDL_IO);
    assert_non_null(strstr(mdl_error_detail(), path));
    assert_non_null(strstr(mdl_error_detail(), "ulimit"));
    assert_content(path, "old");
    assert_int_equal(scratch_count(folder), 1);
}

static void no_memory_keeps_the_old_file(void **state)
{
    (void)state;
    assert_int_equal(mdl_file_write(path, "old", 3), MDL_OK);
    unsigned long nth = 0;
    mdl_status status;
    do { /* until the nth allocation is behind the last one */
        mdl_alloc_fail_at(++nth);
        status = mdl_file_write(path, "new", 3);
        if (status != MDL_OK) {
            assert_int_equal(status, MDL_NO_MEMORY);
            mdl_alloc_fail_at(0);
            assert_content(path, "old");
            assert_int_equal(scratch_count(folder), 1);
        }
    } while (status != MDL_OK);
    assert_true(nth > 1);
    nth = 0;
    do {
        char *data;
        size_t size;
        int ends[2];
        char text[9000] = {'p'}, pipe_path[64];
        assert_int_equal(pipe(ends), 0);
        assert_int_equal(write(ends[1], text, sizeof(text)), sizeof(text));
        close(ends[1]);
        snprintf(pipe_path, sizeof(pipe_path), "/dev/fd/%d", ends[0]);
        mdl_alloc_fail_at(++nth);
        status = mdl_file_read(pipe_path, 0, &data, &size);
        close(ends[0]);
        assert_int_equal(status == MDL_OK, data != NULL);
        assert_int_equal(size, status == MDL_OK ? sizeof(text) : 0);
        mdl_free(data);
    } while (status != MDL_OK);
    assert_true(nth > 2);
}

static void folders_are_made(void **state)
{
    (void)state;
    char deep[MDL_PATH_MAX];
    assert_int_equal(mdl_path(deep, sizeof(deep), folder, "a//b/%d/", 3), MDL_OK);
    assert_int_equal(mdl_make_folders(deep), MDL_OK);
    assert_true(mdl_file_exists(deep));
    assert_int_equal(mdl_make_folders(deep), MDL_OK); /* again is no error */
    assert_int_equal(mdl_make_folders("/"), MDL_OK);
    assert_int_equal(mdl_make_folders(""), MDL_INVALID);
    assert_string_equal(mdl_folder_of("a/b/c", deep), "a/b");
    assert_string_equal(mdl_folder_of("/c", deep), "/");
    assert_string_equal(mdl_folder_of("c", deep), ".");
    assert_int_equal(mdl_file_write(path, "x", 1), MDL_OK);
    assert_int_equal(mdl_make_folders(path), MDL_IO);
    assert_int_equal(mdl_path(deep, sizeof(deep), path, "below"), MDL_OK);
    assert_int_equal(mdl_make_folders(deep), MDL_IO);

    assert_int_equal(mdl_remove_file(path), MDL_OK);
    assert_false(mdl_file_exists(path));
    assert_int_equal(mdl_remove_file(path), MDL_OK);
    assert_int_equal(mdl_remove_file(folder), MDL_IO);
}

static void paths_fit_or_fail(void **state)
{
    (void)state;
    char text[8];
    assert_int_equal(mdl_path(text, sizeof(text), "a", "%s", "bcdef"), MDL_OK);
    assert_string_equal(text, "a/bcdef");
    assert_int_equal(mdl_path(text, sizeof(text), "a", "%s", "bcdefg"), MDL_INVALID);
    assert_string_equal(text, "");
    assert_int_equal(mdl_path(text, sizeof(text), "a/", "b"), MDL_OK);
    assert_string_equal(text, "a/b");
    assert_int_equal(mdl_path(text, sizeof(text), "", "b%03d", 7), MDL_OK);
    assert_string_equal(text, "b007");
    assert_int_equal(mdl_path(text, sizeof(text), "12345678", "b"), MDL_INVALID);
    assert_int_equal(mdl_path(text, sizeof(text), "1234567", "b"), MDL_INVALID);
    assert_int_equal(mdl_path(text, sizeof(text), "123456", "b"), MDL_INVALID);
    assert_int_equal(mdl_path(text, sizeof(text), "12345", "b"), MDL_OK);
    assert_int_equal(mdl_path(text, 0, "a", "b"), MDL_INVALID);
    static char longest[MDL_PATH_MAX + 10];
    memset(longest, 'd', sizeof(longest) - 1);
    assert_int_equal(mdl_make_folders(longest), MDL_INVALID);
    assert_int_equal(mdl_file_write(longest, "x", 1), MDL_INVALID);
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_scratch, remove_scratch)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(write_and_read_back),
        IN_FOLDER(reading_refuses),
        IN_FOLDER(pipes_are_read_to_their_end),
        IN_FOLDER(replaced_only_at_commit),
        IN_FOLDER(killed_writer_leaves_the_old_file),
        IN_FOLDER(second_writer_is_refused),
        IN_FOLDER(links_are_followed),
        IN_FOLDER(unwritable_places_are_refused),
        cmocka_unit_test(full_device_is_reported),
        IN_FOLDER(full_disk_keeps_the_old_file),
        IN_FOLDER(no_memory_keeps_the_old_file),
        IN_FOLDER(folders_are_made),
        IN_FOLDER(paths_fit_or_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
