/* Private to the experiment: the runs of the M2N2 paper's experiment, and what comes of them. */
#ifndef MDL_PAPER_H
#define MDL_PAPER_H

#include "experiment/step.h"

typedef struct mdl__paper_run { /* one run of one method */
    struct mdl__paper *paper;
    const mdl_method *method;
    size_t number;      /* from 0: its seed, or its pair */
    size_t done, total; /* evaluations */
    bool before;        /* finished by an earlier start */
    double top1, loss;  /* on test */
    double seconds;
} mdl__paper_run;

typedef struct mdl__paper {
    mdl__lab *lab;
    mdl_pool *pool;
    mdl__lab **workers;         /* [workers of the pool], each with a device of its own */
    mdl_experiment_job quiet;   /* what they work for: nobody watches */
    mdl_monitor *monitor;       /* guards the counts below and whoever watches */
    const mdl_method **methods; /* owned */
    size_t n_methods;
    mdl__paper_run *runs; /* [n_methods * seeds], seed by seed; owned */
    size_t n_runs;
    size_t finished; /* runs */
    size_t skipped;  /* evaluations of runs that an earlier start finished */
    double start;    /* mdl_time */
} mdl__paper;

/* Progress of one run, and its end, told as progress of all; any thread. */
void mdl__paper_progress(mdl__paper_run *run, const mdl_merge_progress *p);
void mdl__paper_finished(mdl__paper_run *run);
mdl_status mdl__paper_results(const mdl__paper *paper, mdl_table *table) MDL_MUST_CHECK;

#endif
