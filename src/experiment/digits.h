/* Private to the experiment: the runs of the M2N2 paper's experiment, and their results. */
#ifndef MDL_DIGITS_H
#define MDL_DIGITS_H

#include "experiment/runner_internal.h"

typedef struct mdl__digits_method {
    const mdl_method *method;
    const char *folder, *title;
    double published; /* percent on test; NAN: not published */
} mdl__digits_method;

typedef struct mdl__digits_task { /* one run of one method */
    struct mdl__digits *all;
    const mdl__digits_method *method;
    size_t run;         /* from 0: its seed, or its pair */
    size_t done, total; /* evaluations */
    bool before;        /* finished by an earlier start */
    double top1, loss;  /* on test */
    double fitness;     /* accuracy of the winner on the fitness images */
    double seconds;
} mdl__digits_task;

typedef struct mdl__digits {
    mdl__runner *r;
    mdl_pool *pool;
    mdl__runner **runners;       /* [workers], each with a device of its own */
    mdl_monitor *monitor;        /* guards the counts below and whoever watches */
    mdl__digits_method *methods; /* owned */
    size_t n_methods;
    mdl__digits_task *tasks; /* [n_methods * seeds], run by run; owned */
    size_t n_tasks;
    size_t finished; /* tasks */
    size_t skipped;  /* evaluations of tasks that an earlier start finished */
    double start;    /* mdl_time */
} mdl__digits;

/* Progress of one run, and its end, told as progress of all; any thread. */
void mdl__digits_tell(mdl__digits *all, mdl__digits_task *task, const mdl_merge_progress *p);
void mdl__digits_done(mdl__digits *all, mdl__digits_task *task);
/* The table, and results.json. */
mdl_status mdl__digits_table(const mdl__digits *all, mdl_old_table *table) MDL_MUST_CHECK;

#endif
