/* Experiment: the runner of A, B and C, and the table. */
#ifndef MDL_EXPERIMENT_H
#define MDL_EXPERIMENT_H

#include "config/config.h"
#include "experiment/table.h"
#include "runs/runs.h"
#include "stats/stats.h"

/* ---- the experiment ------------------------------------------------------------------------- */

typedef struct mdl_experiment_events {           /* each may be NULL */
    void (*stage)(void *user, const char *text); /* "A, seed 1 of 2: train baseline" */
    const mdl_train_events *train;
    void (*merge)(void *user, const mdl_merge_progress *progress);
    void (*assess)(void *user, const char *what, size_t done, size_t total);
    /* A table was written to FOLDER/table.json; the caller may put a text for people beside it. */
    mdl_status (*table)(void *user, const char *folder, const mdl_table *table);
    void *user;
} mdl_experiment_events;

typedef struct mdl_experiment_job {
    const mdl_config *config;
    const char *out;                   /* folder; a finished step in it is not run again */
    const mdl_lock *lock;              /* the caller's on it; NULL: it is taken for the run */
    mdl_status (*prepare)(void *user); /* before anything in `out` changes, when the data was read;
                                          NULL: there is nothing to do */
    void *prepare_user;
    const char *revision; /* of the program's sources, for made.json; NULL: not known */
    const mdl_experiment_events *events;
} mdl_experiment_job;

/* what a row is, for the verdict */
typedef enum mdl_old_row_kind {
    MDL_OLD_ROW_BASELINE,    /* mean over seeds */
    MDL_OLD_ROW_HYBRID,      /* mean over seeds */
    MDL_OLD_ROW_FUSED,       /* M2N2's winner */
    MDL_OLD_ROW_BEST_PARENT, /* by held-out score */
    MDL_OLD_ROW_AVERAGE,     /* uniform, of all parents */
    MDL_OLD_ROW_SOUP,        /* greedy */
    MDL_OLD_ROW_SLERP,       /* midpoint of two */
    MDL_OLD_ROW_ENSEMBLE,    /* mean of logits */
    MDL_OLD_ROW_PARENT,      /* a child of the trunk */
    MDL_OLD_ROW_TRUNK,
    MDL_OLD_ROW_MATCHED,     /* one training of the same total of epochs */
    MDL_OLD_ROW_INDEPENDENT, /* of independent seeds, beside a trunk */
    MDL_OLD_ROW_CONTROL,     /* of the hybrid */
    MDL_OLD_ROW_OTHER
} mdl_old_row_kind;

/* "best_parent" and the like, as in table.json. */
const char *mdl__old_row_kind_name(mdl_old_row_kind kind);

typedef struct mdl_old_row { /* a row of the table; numbers that are not known are NAN, or 0 */
    char name[64];
    char note[160]; /* what it was made of */
    char arm[16];   /* "baseline", "hybrid"; "": neither */
    mdl_old_row_kind kind;
    double top1, low, high; /* on test; mdl_old_table_interval */
    double loss;            /* on test */
    size_t parameters;
    double multiply_adds;              /* for an image */
    double train_seconds;              /* all computing that went into it */
    double latency, latency_p95;       /* seconds at batch 1 */
    double seed_top1[MDL_MAX_REPEATS]; /* where it is a mean over seeds */
    size_t n_seeds;
    double published; /* the same figure in print; 0: none */
} mdl_old_row;

typedef struct mdl_old_comparison { /* a test of one row against another */
    char first[64], second[64];     /* names */
    bool paired;                    /* the same images (McNemar, bootstrap), else over seeds */
    bool repeats;                   /* over repeats: paired t and sign flips; else Welch */
    double difference;              /* top-1 of the first less that of the second */
    double low, high;               /* paired: bootstrap 95 % interval of the difference */
    double p;                       /* two-sided; NAN where there is no test */
    double t, df;                   /* Welch, or the paired t-test */
    double sign_flip_p;             /* over repeats: the exact test beside it */
    size_t seeds[2];                /* on each side */
    size_t only_first, only_second; /* paired: images that only one of them gets right (b, c) */
} mdl_old_comparison;

typedef struct mdl_old_table { /* all zeros is an empty one; it grows as it is filled */
    char title[128];
    size_t images; /* of the test split */
    mdl_old_row *rows;
    size_t n_rows;
    mdl_old_comparison *comparisons;
    size_t n_comparisons;
    char *verdict; /* in plain words, a sentence a line: what is and what is not shown; or NULL */
} mdl_old_table;

/* Frees what the table holds, and empties it. */
void mdl_old_table_free(mdl_old_table *table);
/* A copy of the row behind those that are there; pointers to them end here. */
mdl_status mdl_old_table_add_row(mdl_old_table *table, const mdl_old_row *row) MDL_MUST_CHECK;
/* Tests of two models on the same images (correct: 1 or 0 for each) and of two recipes (accuracy of
 * each seed), added to the table. */
mdl_status mdl_old_table_compare_models(mdl_old_table *table, const char *first, const char *second,
                                        const float *first_correct, const float *second_correct,
                                        size_t images) MDL_MUST_CHECK;
mdl_status mdl_old_table_compare_seeds(mdl_old_table *table, const mdl_old_row *first,
                                       const mdl_old_row *second) MDL_MUST_CHECK;
/* The same seeds on both sides: row values are pairs. */
mdl_status mdl_old_table_compare_repeats(mdl_old_table *table, const mdl_old_row *first,
                                         const mdl_old_row *second) MDL_MUST_CHECK;
/* The 95 % interval of a row: of one model Wilson's for the table's images, of a mean over n_seeds
 * Student's, within 0 .. 1. */
void mdl_old_table_interval(const mdl_old_table *table, mdl_old_row *row);
/* Write table->verdict from rows and comparisons, and `more` (NULL: nothing) as its last line. */
mdl_status mdl_old_table_judge(mdl_old_table *table, const char *more) MDL_MUST_CHECK;

/* What was in *table before is not looked at; free it with mdl_old_table_free, also on failure. */
mdl_status mdl_experiment_run(const mdl_experiment_job *job, mdl_old_table *table) MDL_MUST_CHECK;

/* What was asked for of an assessment, as in evaluation.json; a new reference. */
struct json_t;
struct json_t *mdl_assessment_json(const mdl_assess_job *job, const mdl_assessment *assessment);

typedef enum mdl_old_table_format {
    MDL_OLD_TABLE_TERMINAL,
    MDL_OLD_TABLE_MARKDOWN,
    MDL_OLD_TABLE_CSV,
    MDL_OLD_TABLE_JSON
} mdl_old_table_format;
/* Free *text with mdl_free. */
mdl_status mdl_old_table_text(const mdl_old_table *table, mdl_old_table_format format,
                              char **text) MDL_MUST_CHECK;

/* A line between two checkpoints as JSON (src/README.md has the format).  Free *text with mdl_free.
 */
mdl_status mdl_path_text(const mdl_path_result *path, const char *first, const char *second,
                         char **text) MDL_MUST_CHECK;

#endif
