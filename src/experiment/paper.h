/* Private to the experiment of the M2N2 paper: its plan (paper.c) and the kinds of its steps
 * (steps/search_run.c, steps/specialist.c). */
#ifndef MDL_PAPER_H
#define MDL_PAPER_H

#include "experiment/run.h"

typedef struct mdl__paper_run { /* one run of one method */
    const mdl_method *method;
    size_t number;       /* from 0: added to the seed, which names the pair of specialists, too */
    size_t done, total;  /* evaluations */
    bool today;          /* this process did it, not an earlier start or another one */
    const mdl__lab *lab; /* of the worker that is at it */
    double top1, loss;   /* on test */
    double seconds;
} mdl__paper_run;

typedef struct mdl__paper {
    const mdl__lab *lab;  /* whose plan it is, and who is told */
    char *config_text;    /* what checkpoints say of themselves; owned */
    mdl__paper_run *runs; /* seed by seed, so that all methods advance alike; owned */
    mdl__progress untold; /* of the steps: what is told is that of all evaluations */
    mdl_monitor *monitor; /* guards the counts below and whoever watches; owned */
    size_t n_runs, n_methods;
    size_t finished; /* runs */
    size_t skipped;  /* evaluations of runs that an earlier start finished */
    double start;    /* mdl_time; 0: not begun */
} mdl__paper;

extern const mdl__step_kind mdl__step_run, mdl__step_specialist;

/* A file in the folder of a specialist of the pair with a seed: 0 the low half, 1 the high one. */
mdl_status mdl__specialist_path(const mdl__lab *lab, uint64_t seed, size_t half, const char *leaf,
                                char path[MDL_PATH_MAX]) MDL_MUST_CHECK;

#endif
