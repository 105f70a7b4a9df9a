/* Private to the paper's experiment: its runs, and the parts that other processes may do. */
#ifndef MDL_PAPER_H
#define MDL_PAPER_H

#include "experiment/run.h"

typedef struct mdl__paper_run { /* one run of one method */
    struct mdl__paper *paper;
    const mdl_method *method;
    size_t number;       /* from 0: added to the seed, which names the pair of specialists, too */
    size_t done, total;  /* evaluations */
    bool before;         /* finished by an earlier start, or by another process */
    bool over;           /* finished */
    const mdl__lab *lab; /* of the worker that is at it */
    double top1, loss;   /* on test */
    double seconds;
} mdl__paper_run;

typedef struct mdl__paper {
    mdl__lab *lab;
    char *config_text; /* what checkpoints say of themselves; owned */
    mdl_pool *pool;
    mdl__lab **workers;       /* [workers of the pool], each with a device of its own */
    mdl__progress *unseen;    /* [workers of the pool]; owned */
    mdl_experiment_job quiet; /* what they work for: nobody watches */
    mdl_monitor *monitor;     /* guards the counts below and whoever watches */
    mdl__paper_run *runs;     /* seed by seed, so that all methods advance alike; owned */
    bool *half_done;          /* [2 * seeds] specialists; owned */
    size_t n_runs, n_methods;
    size_t held, left; /* of a pass: parts that another process does, or failed for it */
    mdl_status failed; /* with which one did */
    char *failure;     /* its error detail; owned */
    size_t finished;   /* runs */
    size_t skipped;    /* evaluations of runs that an earlier start finished */
    double start;      /* mdl_time */
} mdl__paper;

/* The lab of a worker, with the seed of a run. */
mdl__lab *mdl__paper_lab(const mdl__paper *paper, size_t worker, size_t number);
/* Try a part, by any worker: *over, unless another process does it or it failed for one. */
mdl_status mdl__paper_try(mdl__paper *paper, mdl__lab *lab, mdl__step *step,
                          bool *over) MDL_MUST_CHECK;
/* Pass over `count` parts, each by a call of `work`, until all are over, here or elsewhere. */
mdl_status mdl__paper_do(mdl__paper *paper, size_t count, mdl_pool_fn work) MDL_MUST_CHECK;

/* ---- specialists (specialists.c) ------------------------------------------------------------- */

/* A file in the folder of a specialist of the lab's pair: 0 the low half, 1 the high one. */
mdl_status mdl__specialist_path(const mdl__lab *lab, size_t half, const char *leaf,
                                char path[MDL_PATH_MAX]) MDL_MUST_CHECK;
/* Name the step that trains it, where the lab has the seed of the pair. */
mdl_status mdl__specialist_name(const mdl__lab *lab, size_t pair, size_t half,
                                mdl__step *step) MDL_MUST_CHECK;
/* Train those of all seeds. */
mdl_status mdl__specialists_train(mdl__paper *paper, size_t seeds) MDL_MUST_CHECK;

#endif
