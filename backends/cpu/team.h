/* The team of threads that walks a sequence of calls, step by step.
 *
 * A step is a piece of a call, or of a group of calls, that is cut into shares.  Whoever finishes
 * the last share of a step opens the next one, and every thread takes shares that nobody has begun.
 * So nobody is waited for but a thread that is in the middle of a share: one that the system lets
 * wait for a processor, or that sleeps, is done without.  A thread that finds no share looks for
 * one for some microseconds, then it sleeps until one is opened.  What a share does depends on the
 * step and on the number of shares, not on who does it. */
#ifndef MDL_CPU_TEAM_H
#define MDL_CPU_TEAM_H

#include <stdatomic.h>

#include "backends/cpu/cpu_internal.h"

/* Shares that are open are the bits of a word. */
#define CPU_MAX_THREADS ((int)(8 * sizeof(size_t)))

typedef struct cpu_item { /* of a group of calls that run interleaved */
    const mdl_call *call;
    const cpu_part *part; /* NULL: runs whole, behind the tiles */
} cpu_item;

typedef enum cpu_stage {
    CPU_STEP_CALLS,   /* the next call or group begins */
    CPU_STEP_PREPARE, /* of the group */
    CPU_STEP_BANDS,
    CPU_STEP_FINISH,
    CPU_STEP_REST, /* the calls of the group that run whole */
} cpu_stage;

typedef struct cpu_walk { /* how far the sequence is, and the step that runs */
    const mdl_call *calls;
    size_t n;
    const mdl_kernel *kernels; /* [MDL_OP_COUNT], the backend's own */
    int shares;                /* that a step has at most */
    double *seconds;           /* by call, or NULL: nobody wants to know */
    double since;              /* when the step began */
    size_t index;              /* the next call */
    bool first_part_done;      /* of the next call, the first of two parts has run */
    /* The step: of the group, or of a call that runs whole. */
    cpu_stage step, next;
    const mdl_call *whole; /* NULL: the step is one of the group's */
    size_t phase;          /* of the whole call: which of `before` comes next */
    cpu_phase *run;        /* which of them this is; NULL: the kernel's own function */
    /* The group. */
    cpu_item items[MDL_MAX_GROUP];
    size_t n_items, rest; /* rest: the next that may run whole */
    size_t images, tile, bands;
    atomic_size_t next_band; /* not yet taken */
} cpu_walk;

typedef struct cpu_team cpu_team;

/* A team of up to `threads`, of which the caller of cpu_team_run is one. */
mdl_status cpu_team_create(mdl_device *device, const cpu_parts *parts, cpu_team **out);
void cpu_team_destroy(cpu_team *team); /* NULL is allowed */
mdl_status cpu_team_run(cpu_team *team, const mdl_call *calls, size_t n, double *seconds);

/* Goes to the next step and returns its number of shares; 0: there is none. */
int cpu_walk_next(cpu_walk *walk, const cpu_parts *parts);
/* One share of the step. */
void cpu_walk_share(cpu_walk *walk, mdl_device *device, int share, int shares);

/* The group that begins at the next call, which moves behind it. */
void cpu_group_find(cpu_walk *walk, const cpu_parts *parts);
/* One share of its tiles. */
void cpu_group_bands(cpu_walk *walk, int share);

#endif
