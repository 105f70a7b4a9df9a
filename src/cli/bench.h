/* Private to `mendel bench`: what its files share. */
#ifndef MENDEL_CLI_BENCH_H
#define MENDEL_CLI_BENCH_H

#include "cli/engine.h"

#define BENCH_MAX_BATCHES 16

typedef struct bench { /* all that one run of the command holds */
    mdl_work work;
    const mdl_config *config; /* of the work */
    mdl_device *device;       /* of the work */
    const char *only;         /* "train" or "infer"; NULL: both */
    const char *model;        /* "baseline" or "hybrid"; NULL: both */
    size_t batches[BENCH_MAX_BATCHES], n_batches;
    size_t repeat;
    bool json, ops, layers, profile;
    cli_view view;
} bench;

typedef struct bench_work { /* one thing that is measured */
    mdl_model_config model;
    const char *name; /* of the model */
    bool train;
    size_t batch;
    bool mixed; /* run.precision */
} bench_work;
/* The i-th of what the options ask for; false behind the last. */
bool bench_work_at(const bench *b, size_t i, bench_work *out);

/* ---- what the device is given (bench_profile.c) --------------------------------------------- */

typedef struct bench_profile {        /* of one step, with its batch */
    double calls, launches, up, down; /* up, down: bytes */
    double host, device;              /* seconds; device is 0 where it has no clock of its own */
} bench_profile;

/* Run b->repeat steps and as many with the device's own times. */
mdl_status bench_profile_take(const bench *b, mdl_trial_step *t, bench_profile *out);

/* ---- which variants are fastest (bench_tune.c) ---------------------------------------------- */

/* Measure all variants of all calls, print them, write the machine's table. */
mdl_status bench_tune(bench *b);

/* ---- sums over ranks (bench_comm.c) ---------------------------------------------------------- */

/* Time sums of several sizes, print them; MDL_CONFIG where this process is alone. */
mdl_status bench_comm(const bench *b) MDL_MUST_CHECK;

/* ---- what the machine can do (bench_roofline.c) --------------------------------------------- */

typedef struct bench_roofline { /* a second each */
    double flops;               /* of a product in the caches */
    double memory, cache;       /* bytes to and from memory, and to and from the caches */
} bench_roofline;

mdl_status bench_roofline_take(mdl_device *device, bench_roofline *out);
/* The least time for so much work.  Calls that run interleaved find their tensors in the caches, so
 * it is their bandwidth that bounds. */
double bench_roofline_seconds(const bench_roofline *r, double flops, double bytes);

/* ---- where the time goes (bench_ops.c) ------------------------------------------------------ */

/* Run b->repeat steps with times, print the table with each line's distance to the roofline. */
mdl_status bench_trace(const bench *b, mdl_trial_step *t, const bench_work *work,
                       const bench_roofline *roofline);

#endif
