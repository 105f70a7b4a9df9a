/* Quotas and limits of control groups, from made-up file systems. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/base.h"
#include "base/cgroup.h"

#define V2_MOUNT "30 1 0:26 / /cg rw,relatime shared:4 - cgroup2 cgroup2 rw\n"
#define V1_MOUNT "31 1 0:27 / /v1/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"

typedef struct file {
    const char *path, *text;
} file;

typedef struct setting {
    const char *name;
    file files[9];
    uint64_t expected;
} setting;

static const setting quotas[] = {
    {"nothing", {{NULL, NULL}}, 0},
    {"version 2",
     {{"proc/self/cgroup", "0::/a\n"},
      {"proc/self/mountinfo", V2_MOUNT},
      {"cg/a/cpu.max", "200000 100000\n"}},
     2},
    {"version 2, part of a processor",
     {{"proc/self/cgroup", "0::/a\n"},
      {"proc/self/mountinfo", V2_MOUNT},
      {"cg/a/cpu.max", "5000 100000\n"}},
     1},
    {"version 2, rounded up",
     {{"proc/self/cgroup", "0::/a\n"},
      {"proc/self/mountinfo", V2_MOUNT},
      {"cg/a/cpu.max", "250001 100000\n"}},
     3},
    {"version 2, the folder above has less",
     {{"proc/self/cgroup", "0::/a/b/c\n"},
      {"proc/self/mountinfo", V2_MOUNT},
      {"cg/a/b/c/cpu.max", "800000 100000\n"},
      {"cg/a/b/cpu.max", "max 100000\n"},
      {"cg/a/cpu.max", "300000 100000\n"}},
     3},
    {"version 2, at the mount point (a container's own name space)",
     {{"proc/self/cgroup", "0::/\n"},
      {"proc/self/mountinfo", V2_MOUNT},
      {"cg/cpu.max", "400000 100000\n"}},
     4},
    {"version 2, no limit",
     {{"proc/self/cgroup", "0::/a\n"},
      {"proc/self/mountinfo", V2_MOUNT},
      {"cg/a/cpu.max", "max 100000\n"}},
     0},
    {"version 2, the period is left out",
     {{"proc/self/cgroup", "0::/a\n"},
      {"proc/self/mountinfo", V2_MOUNT},
      {"cg/a/cpu.max", "200000\n"}},
     2},
    {"version 2, garbage",
     {{"proc/self/cgroup", "0::/a\n"},
      {"proc/self/mountinfo", V2_MOUNT},
      {"cg/a/cpu.max", "\x80\xff nan -7\n"}},
     0},
    {"version 2, not a number, nothing, less than nothing",
     {{"proc/self/cgroup", "0::/a/b/c\n"},
      {"proc/self/mountinfo", V2_MOUNT},
      {"cg/a/b/c/cpu.max", "nan nan\n"},
      {"cg/a/b/cpu.max", "0 100000\n"},
      {"cg/a/cpu.max", "-5 -5\n"}},
     0},
    {"version 1",
     {{"proc/self/cgroup", "4:memory:/m\n3:cpu,cpuacct:/job\n"},
      {"proc/self/mountinfo", V1_MOUNT},
      {"v1/cpu/job/cpu.cfs_quota_us", "150000\n"},
      {"v1/cpu/job/cpu.cfs_period_us", "100000\n"}},
     2},
    {"version 1, no limit, and none in the folder above",
     {{"proc/self/cgroup", "3:cpuacct,cpu:/job/step\n"},
      {"proc/self/mountinfo", V1_MOUNT},
      {"v1/cpu/job/step/cpu.cfs_quota_us", "-1\n"},
      {"v1/cpu/job/step/cpu.cfs_period_us", "100000\n"}},
     0},
    {"version 1, no period",
     {{"proc/self/cgroup", "3:cpu:/job\n"},
      {"proc/self/mountinfo", V1_MOUNT},
      {"v1/cpu/job/cpu.cfs_quota_us", "100000\n"}},
     0},
    {"version 1, mounted from the container's folder on",
     {{"proc/self/cgroup", "3:cpu:/docker/abc/inner\n"},
      {"proc/self/mountinfo", "31 1 0:27 /docker/abc /v1/my\\040cpu rw - cgroup cgroup rw,cpu\n"},
      {"v1/my cpu/inner/cpu.cfs_quota_us", "100000\n"},
      {"v1/my cpu/inner/cpu.cfs_period_us", "50000\n"}},
     2},
    {"version 1, the path is another one than the mounted",
     {{"proc/self/cgroup", "3:cpu:/elsewhere\n"},
      {"proc/self/mountinfo", "31 1 0:27 /docker/abc /v1/cpu rw - cgroup cgroup rw,cpu\n"},
      {"v1/cpu/cpu.cfs_quota_us", "100000\n"},
      {"v1/cpu/cpu.cfs_period_us", "100000\n"}},
     1},
    {"both versions, the controller is in the first",
     {{"proc/self/cgroup", "3:cpu:/job\n0::/\n"},
      {"proc/self/mountinfo", V1_MOUNT V2_MOUNT},
      {"v1/cpu/job/cpu.cfs_quota_us", "700000\n"},
      {"v1/cpu/job/cpu.cfs_period_us", "100000\n"}},
     7},
    {"cpuset and cpuacct are no quota",
     {{"proc/self/cgroup", "3:cpuset:/a\n2:cpuacct:/a\n"},
      {"proc/self/mountinfo", "31 1 0:27 / /v1/cpu rw - cgroup cgroup rw,cpuset\n"},
      {"v1/cpu/a/cpu.cfs_quota_us", "100000\n"},
      {"v1/cpu/a/cpu.cfs_period_us", "100000\n"}},
     0},
    {"lines that are none",
     {{"proc/self/cgroup", ":\n\n0:\nx:y\n0::relative\n0::/a"},
      {"proc/self/mountinfo", " - \n1 2 - cgroup2\n- - - - - -\n" V2_MOUNT},
      {"cg/a/cpu.max", "100000 100000"}},
     1},
};

#define V1_MEMORY "32 1 0:28 / /v1/memory rw - cgroup cgroup rw,memory\n"
#define NO_LIMIT  UINT64_MAX

static const setting limits[] = {
    {"nothing", {{NULL, NULL}}, NO_LIMIT},
    {"version 2: what is used counts, but for idle copies of files",
     {{"proc/self/cgroup", "0::/a\n"},
      {"proc/self/mountinfo", V2_MOUNT},
      {"cg/a/memory.max", "1000000\n"},
      {"cg/a/memory.current", "300000\n"},
      {"cg/a/memory.stat", "anon 150000\nfile 150000\ninactive_file 100000\nslab 5\n"}},
     800000},
    {"version 2: memory.high is a limit, too",
     {{"proc/self/cgroup", "0::/a\n"},
      {"proc/self/mountinfo", V2_MOUNT},
      {"cg/a/memory.max", "max\n"},
      {"cg/a/memory.high", "500000\n"}},
     500000},
    {"version 2: the folder above leaves less",
     {{"proc/self/cgroup", "0::/a/b\n"},
      {"proc/self/mountinfo", V2_MOUNT},
      {"cg/a/b/memory.max", "900\n"},
      {"cg/a/memory.max", "1000\n"},
      {"cg/a/memory.current", "400\n"}},
     600},
    {"version 2: more is used than is allowed",
     {{"proc/self/cgroup", "0::/\n"},
      {"proc/self/mountinfo", V2_MOUNT},
      {"cg/memory.max", "1000\n"},
      {"cg/memory.current", "1100\n"}},
     0},
    {"version 2: nothing may be used",
     {{"proc/self/cgroup", "0::/\n"}, {"proc/self/mountinfo", V2_MOUNT}, {"cg/memory.max", "0\n"}},
     0},
    {"version 2: garbage",
     {{"proc/self/cgroup", "0::/a\n"},
      {"proc/self/mountinfo", V2_MOUNT},
      {"cg/a/memory.max", "nan\n"},
      {"cg/memory.max", "-1\n"},
      {"cg/memory.high", "\xff"}},
     NO_LIMIT},
    {"version 1",
     {{"proc/self/cgroup", "4:memory:/m\n3:cpu,cpuacct:/job\n"},
      {"proc/self/mountinfo", V1_MOUNT V1_MEMORY},
      {"v1/memory/m/memory.limit_in_bytes", "1000000\n"},
      {"v1/memory/m/memory.usage_in_bytes", "300000\n"},
      {"v1/memory/m/memory.stat", "inactive_file 1\ntotal_inactive_file 100000\n"}},
     800000},
    {"version 1: no limit",
     {{"proc/self/cgroup", "4:memory:/m\n"},
      {"proc/self/mountinfo", V1_MEMORY},
      {"v1/memory/m/memory.limit_in_bytes", "9223372036854771712\n"},
      {"v1/memory/m/memory.usage_in_bytes", "300000\n"}},
     NO_LIMIT},
};

static void write_file(const char *root, const file *f)
{
    char path[MDL_PATH_MAX], folder[MDL_PATH_MAX];
    assert_int_equal(mdl_path(path, sizeof(path), root, "%s", f->path), MDL_OK);
    snprintf(folder, sizeof(folder), "%s", path);
    *strrchr(folder, '/') = '\0';
    assert_int_equal(mdl_make_folders(folder), MDL_OK);
    assert_int_equal(mdl_file_write(path, f->text, strlen(f->text)), MDL_OK);
}

typedef uint64_t read_fn(const char *root);

static uint64_t cpus(const char *root)
{
    return (uint64_t)mdl__cgroup_cpus(root);
}

static void check(const setting *settings, size_t count, read_fn *read)
{
    char root[MDL_PATH_MAX] = "/tmp/mendel-cgroup-XXXXXX", folder[MDL_PATH_MAX],
         command[MDL_PATH_MAX + 16];
    assert_non_null(mkdtemp(root));
    int failures = 0;
    for (size_t i = 0; i < count; i++) {
        const setting *s = &settings[i];
        assert_int_equal(mdl_path(folder, sizeof(folder), root, "%zu", i), MDL_OK);
        for (const file *f = s->files; f->path != NULL; f++)
            write_file(folder, f);
        uint64_t got = read(folder);
        if (got != s->expected) {
            print_error("%s: %" PRIu64 ", expected %" PRIu64 "\n", s->name, got, s->expected);
            failures++;
        }
    }
    snprintf(command, sizeof(command), "rm -rf '%s'", root);
    assert_int_equal(system(command), 0);
    assert_int_equal(failures, 0);
}

static void processors(void **state)
{
    (void)state;
    check(quotas, MDL_COUNT(quotas), cpus);
}

static void memory(void **state)
{
    (void)state;
    check(limits, MDL_COUNT(limits), mdl__cgroup_memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(processors), cmocka_unit_test(memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
