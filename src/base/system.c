/* Time, processors, memory and version: what the system knows of this process. */
#if defined(__linux__)
#define _GNU_SOURCE /* sched_getaffinity, CPU_COUNT_S; NOLINT(bugprone-reserved-identifier) */
#include <sched.h>
#endif
#include <inttypes.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "base/cgroup.h"

double mdl_time(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void mdl_sleep(double seconds)
{
    struct timespec time = {.tv_sec = (time_t)seconds};
    time.tv_nsec = (long)(1e9 * (seconds - (double)time.tv_sec));
    (void)nanosleep(&time, NULL);
}

#if defined(__linux__)
/* How many processors the affinity allows, and which they are, as a hash; 0 where it cannot be
 * found out. */
static int affinity(uint64_t *mask)
{
    *mask = 0;
    /* The kernel refuses a set smaller than its own; machines with more than 65536 processors do
     * not exist. */
    for (int processors = 1024; processors <= 65536; processors *= 2) {
        cpu_set_t *set = CPU_ALLOC((size_t)processors);
        if (set == NULL)
            return 0;
        size_t size = CPU_ALLOC_SIZE((size_t)processors);
        int count = sched_getaffinity(0, size, set) == 0 ? CPU_COUNT_S(size, set) : 0;
        *mask = count > 0 ? mdl_hash_bytes(MDL_HASH_START, set, size) : 0;
        CPU_FREE(set);
        if (count > 0)
            return count;
    }
    return 0;
}
#else
static int affinity(uint64_t *mask)
{
    *mask = 0;
    return 0;
}
#endif

uint64_t mdl_cpu_mask(void)
{
    uint64_t mask;
    (void)affinity(&mask);
    return mask;
}

int mdl_cpu_count(void)
{
    uint64_t mask;
    int count = affinity(&mask);
    if (count < 1)
        count = (int)sysconf(_SC_NPROCESSORS_ONLN);
    int quota = mdl__cgroup_cpus("");
    if (quota > 0 && quota < count)
        count = quota;
    return count < 1 ? 1 : count;
}

#if defined(__linux__)
/* Not ru_maxrss: that one survives exec, so a small program started by a large one would show the
 * large one's peak. */
size_t mdl_peak_memory(void)
{
    FILE *status = fopen("/proc/self/status", "re");
    if (status == NULL)
        return 0;
    char line[256];
    size_t kib = 0;
    while (fgets(line, sizeof(line), status) != NULL && sscanf(line, "VmHWM: %zu", &kib) != 1)
        continue;
    fclose(status);
    return kib * 1024;
}
#else
size_t mdl_peak_memory(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0)
        return 0;
#if defined(__APPLE__)
    return (size_t)usage.ru_maxrss;
#else
    return (size_t)usage.ru_maxrss * 1024;
#endif
}
#endif

/* What Linux says can be had without swapping; elsewhere a half of all there is. */
static uint64_t available_on_machine(void)
{
    FILE *info = fopen("/proc/meminfo", "re");
    char line[256];
    uint64_t kib = 0;
    while (info != NULL && fgets(line, sizeof(line), info) != NULL &&
           sscanf(line, "MemAvailable: %" SCNu64, &kib) != 1)
        continue;
    if (info != NULL)
        fclose(info);
    if (kib > 0)
        return kib * 1024;
    return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE) / 2;
}

size_t mdl_free_memory(void)
{
    struct rlimit limit;
    uint64_t available = available_on_machine(), group = mdl__cgroup_memory("");
    if (group < available)
        available = group;
    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
        (uint64_t)limit.rlim_cur < available)
        available = (uint64_t)limit.rlim_cur;
    return available < SIZE_MAX ? (size_t)available : SIZE_MAX;
}

const char *mdl_build_version(void)
{
    return MDL_VERSION;
}
