/* The team of threads that walks a sequence of calls, and its two ways of running them. */
#ifndef MDL_CPU_TEAM_H
#define MDL_CPU_TEAM_H

#include <stdatomic.h>

#include "backends/cpu/cpu_internal.h"

typedef struct cpu_team {
    /* A barrier that counts arrivals; the last one opens the next generation.  Each word has a
     * cache line of its own, so that arriving threads do not disturb the waiting ones. */
    _Alignas(MDL_ALIGNMENT) atomic_int arrived;
    _Alignas(MDL_ALIGNMENT) atomic_uint generation;
    _Alignas(MDL_ALIGNMENT) atomic_size_t next_band; /* of the group that runs, not yet taken */
    _Alignas(MDL_ALIGNMENT) int size;                /* threads in the running team */
    const cpu_parts *parts;                          /* [MDL_OP_COUNT], of the chosen kernels */
} cpu_team;

typedef struct cpu_place { /* how far a thread has come; all threads walk alike */
    const mdl_call *calls;
    size_t n;
    size_t index;    /* the next call */
    bool early_done; /* of the next call, the first of two parts has run */
    double *seconds; /* by call, or NULL: this thread does not measure */
} cpu_place;

/* One call, shared by the team. */
void cpu_run_whole(mdl_device *device, const cpu_place *at, const mdl_call *call, int thread,
                   int threads);
/* The group that begins at `at`, which moves behind it. */
void cpu_run_group(mdl_device *device, cpu_place *at, int thread, int threads);

#endif
