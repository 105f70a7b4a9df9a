/* Experiments: models that are trained, merged and compared on the same images, and the report of
 * what is in a folder.  The habits are those of mendel/work.h. */
#ifndef MENDEL_EXPERIMENT_H
#define MENDEL_EXPERIMENT_H

#include <stddef.h>
#include <stdint.h>

#include "mendel/config.h"
#include "mendel/context.h"
#include "mendel/status.h"
#include "mendel/work.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- experiment ----------------------------------------------------------------------------- */

typedef struct mdl_experiment_step { /* told when a step begins, and when it says what it is at */
    const char *text;                /* "A, seed 1 of 2: train the baseline" */
    uint64_t step, steps;            /* which of how many, from 1; 0: something between steps */
    double seconds_left;             /* of all steps, about; negative: not known yet */
} mdl_experiment_step;

typedef struct mdl_experiment_progress { /* of the step that was begun last */
    uint64_t step, steps;
    double seconds_left;           /* of all steps, about; negative: not known yet */
    const mdl_train_step *train;   /* a training; else NULL */
    const mdl_evolve_step *search; /* a search; else NULL */
    const char *what;              /* else `done` of `total` of this, as "frost" */
    uint64_t done, total;
} mdl_experiment_progress;

typedef struct mdl_experiment_options {
    size_t size;   /* of this struct */
    int resume;    /* go on even where the folder's experiment has another configuration */
    int overwrite; /* remove what an earlier run wrote in `out` */
    int numbered; /* `out` is a name without its number: the newest of out, out-2, ... that holds an
                     experiment of the same configuration, else a new one */
    int (*on_begin)(void *user, const char *facts);                    /* may be NULL: below */
    int (*on_step)(void *user, const mdl_experiment_step *step);       /* may be NULL */
    int (*on_epoch)(void *user, const mdl_train_epoch *epoch);         /* may be NULL */
    int (*on_progress)(void *user, const mdl_experiment_progress *is); /* may be NULL */
    void *user;
} mdl_experiment_options;
#define MDL_EXPERIMENT_OPTIONS                                                                     \
    {                                                                                              \
        sizeof(mdl_experiment_options), 0, 0, 0, NULL, NULL, NULL, NULL, NULL                      \
    }

/* Train, merge and compare what the configuration names (experiment.*), on the images of
 * data.source, in the folder `out`.  An experiment that was stopped goes on where it was; a step
 * that is finished is not done again unless what it depends on has changed.  The test split comes
 * last and chooses nothing.  on_begin is told {"out", "goes_on", "joins", "differs"} as JSON; the
 * last is the first key that the folder's experiment had otherwise, or null.  Several processes may
 * run the same experiment in one folder at the same time (docs/several-machines.md): they share its
 * steps ("joins": others are at work), each gets the result, and one of them ("wrote") writes the
 * table.  The result is what table.json holds, with "out" and "wrote".  table.txt, table.md and
 * table.csv are written beside it; the report is not (mdl_report).
 * Errors: those of mendel/work.h. */
MDL_API mdl_status mdl_experiment(mdl_context *context, const mdl_config *config, const char *out,
                                  const mdl_experiment_options *options,
                                  char **result) MDL_MUST_CHECK;

/* ---- report --------------------------------------------------------------------------------- */

typedef struct mdl_report_options {
    size_t size;      /* of this struct */
    const char *html; /* the page, a name that ends in .html; the Markdown goes beside it as .md.
                         NULL: report.html in the folder */
} mdl_report_options;
#define MDL_REPORT_OPTIONS                                                                         \
    {                                                                                              \
        sizeof(mdl_report_options), NULL                                                           \
    }

/* Write one page, and the same as Markdown, of what is in a folder: an experiment, finished or not,
 * a training, a search, what an evaluation wrote.  gnuplot and Graphviz draw the pictures; where
 * they are missing the status is MDL_NOT_FOUND.  The result is {"folder", "html", "markdown"},
 * paths. Errors: MDL_INVALID (NULL), MDL_CONFIG (options.html), MDL_NOT_FOUND (no such folder,
 * nothing to report), MDL_IO, MDL_FORMAT, MDL_NO_MEMORY, MDL_CANCELLED. */
MDL_API mdl_status mdl_report(mdl_context *context, const char *folder,
                              const mdl_report_options *options, char **result) MDL_MUST_CHECK;

/* The table of a finished experiment as a text: the verdict, the rows, and the tests where they
 * are asked for.
 *   columns  the width of a line, 40 or more
 *   tests    1: with the tests; 0: without
 * *text is the caller's, to be freed with mdl_free; NULL on failure.
 * Errors: MDL_INVALID (NULL, columns), MDL_NOT_FOUND (there is no table), MDL_IO, MDL_FORMAT,
 * MDL_NO_MEMORY. */
MDL_API mdl_status mdl_report_text(mdl_context *context, const char *folder, size_t columns,
                                   int tests, char **text) MDL_MUST_CHECK;

/* ---- how far a run is ----------------------------------------------------------------------- */

/* How far the training, the search or the experiment in a folder is, on which this process, others
 * or none may be at work; nothing is changed.  *result is JSON (docs/formats.md, `status`), the
 * caller's, to be freed with mdl_free; NULL on failure.
 * Errors: MDL_INVALID (NULL), MDL_NOT_FOUND (there is no such folder, or no run in it), MDL_IO,
 * MDL_FORMAT, MDL_NO_MEMORY. */
MDL_API mdl_status mdl_run_status(mdl_context *context, const char *folder,
                                  char **result) MDL_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif
