/* Private to the experiment's runner: the records of finished steps, and what A, B and C hand on to
 * the table. */
#ifndef MDL_RUNNER_INTERNAL_H
#define MDL_RUNNER_INTERNAL_H

#include <jansson.h>
#include <stdarg.h>

#include "experiment/experiment.h"

/* ---- records: a small JSON file for each step ----------------------------------------------- */

/* A step depends on some text (configuration, the hashes of its inputs).  While the hash of that
 * text stays the same, a finished step is not run again and a begun one is resumed. */
typedef struct mdl__record {
    char path[MDL_PATH_MAX];
    char hash[65];
    bool begun; /* something was started with this very hash: resume */
    bool done;
    json_t *json; /* the results; owned */
} mdl__record;

/* Open OUT/<name>/step.json or OUT/<name>.json and compare. */
mdl_status mdl__record_open(const char *path, const char *depends, mdl__record *out) MDL_MUST_CHECK;
void mdl__record_close(mdl__record *record);
mdl_status mdl__record_begin(mdl__record *record) MDL_MUST_CHECK;  /* before the work */
mdl_status mdl__record_finish(mdl__record *record) MDL_MUST_CHECK; /* with the results in json */
double mdl__json_number(const json_t *object, const char *key);    /* NAN where there is none */
/* Both take `value`; what could not be made (NULL) lets the saving fail.  The second adds it to a
 * list that is there. */
void mdl__record_set(mdl__record *record, const char *key, json_t *value);
void mdl__record_append(mdl__record *record, const char *key, json_t *value);
double mdl__record_number(const mdl__record *record, const char *key); /* NAN where absent */
/* A whole number; 0 where it is none. */
size_t mdl__record_count(const mdl__record *record, const char *key);

/* ---- the runner ----------------------------------------------------------------------------- */

#define MDL__MAX_SEEDS MDL_MAX_REPEATS /* of experiment.seeds; children and extras are fewer */

typedef struct mdl__model { /* a checkpoint and what is known of it */
    char name[64];          /* "seed 1, epoch 39" */
    char path[MDL_PATH_MAX];
    double fitness_top1, fitness_loss; /* on the held-out split */
    size_t seed;                       /* number of its training, from 0 */
    /* The test split; filled at the very end. */
    double top1, loss;
    float *correct; /* [images]; owned */
} mdl__model;

typedef struct mdl__training {
    const char *role;  /* "seed", "trunk", "child", "matched", "independent", "control" */
    char name[32];     /* "seed 1", "child 2", "trunk" */
    char label[64];    /* what is told while it runs: "child 2 of 3" */
    mdl_config config; /* its own epochs, rate, seed and model */
    char folder[MDL_PATH_MAX];
    char hash[65];
    uint64_t seed;
    double seconds;
    size_t parameters;
    double multiply_adds;
    size_t best; /* of its parents: which stands for this training (final or EMA) */
} mdl__training;

typedef struct mdl__other { /* a model of the table that is not made by C */
    mdl__model model;       /* its name is the row's */
    mdl_old_row_kind kind;
    const mdl__training *training; /* NULL: made of two */
    double seconds;
    char note[128];
} mdl__other;

enum { MDL__BEST_PARENT, MDL__FUSED, MDL__AVERAGE, MDL__SOUP, MDL__SLERP, MDL__MERGED_COUNT };

typedef struct mdl__branch {                /* A or B, and C on it */
    mdl_config config;                      /* model.kind is this branch's */
    const char *name;                       /* "baseline" */
    char letter;                            /* 'A' */
    mdl__training training[MDL__MAX_SEEDS]; /* of the parents: seeds, or children of the trunk */
    size_t n_trainings;
    mdl__training extra[MDL__MAX_SEEDS]; /* trunk, matched run, independent seeds, controls */
    size_t n_extras;
    bool has_trunk;    /* it is extra[0] */
    mdl__other *other; /* owned */
    size_t n_others;
    char others_hash[65];
    mdl__model *parents; /* candidates for merging; owned */
    size_t n_parents;
    size_t best;                          /* of the parents by held-out score */
    bool merges;                          /* whether C runs on it */
    mdl__model merged[MDL__MERGED_COUNT]; /* path "": there is none */
    mdl__model ensemble;                  /* no path */
    double merge_seconds[MDL__MERGED_COUNT];
    size_t evaluations; /* of M2N2 */
    bool is_average;    /* its winner is the uniform average */
    char hash[65];      /* of everything above */
    size_t parameters;
    double multiply_adds;
    mdl_latency latency;
} mdl__branch;

typedef struct mdl__runner {
    const mdl_experiment_job *job;
    mdl_config config; /* with the input of the model from the data */
    mdl_data *data;
    mdl_device *device;
    mdl__branch branch[2]; /* A, B */
    size_t n_branches;
} mdl__runner;

/* "text" to the one who watches. */
void mdl__stage(const mdl__runner *r, const char *format, ...) MDL_PRINTF(2, 3);
/* Text of the keys that a training, or a search, depends on.  Free with mdl_free. */
mdl_status mdl__depends_training(const mdl_config *config, char **text) MDL_MUST_CHECK;
mdl_status mdl__depends_merge(const mdl_config *config, char **text) MDL_MUST_CHECK;
/* Whether C's search, or `method` in its place, can run from so many parents (0: none are given).
 */
mdl_status mdl__check_search(const mdl_config *config, const mdl_method *method,
                             size_t parents) MDL_MUST_CHECK;
/* Whether what comes after a branch's trainings can be done. */
mdl_status mdl__check_branch(const mdl__branch *branch) MDL_MUST_CHECK;
mdl_status mdl__check_controls(const mdl__branch *branch) MDL_MUST_CHECK;
/* Train what has no part in C: matched run, independent seeds, controls. */
mdl_status mdl__train_extras(mdl__runner *r, mdl__branch *branch) MDL_MUST_CHECK;
mdl_status mdl__train_one(mdl__runner *r, mdl__branch *branch, mdl__training *t) MDL_MUST_CHECK;
/* Name a training and its folder; its configuration is the branch's with another seed. */
mdl_status mdl__name_training(const mdl__runner *r, const mdl__branch *branch, mdl__training *t,
                              const char *role, uint64_t seed, const char *format, ...)
    MDL_PRINTF(6, 7) MDL_MUST_CHECK;
/* The models of the table that C does not make: parents and the matched run with statistics
 * re-estimated like those of the merged, averages of independent seeds, controls. */
mdl_status mdl__make_others(mdl__runner *r, mdl__branch *branch) MDL_MUST_CHECK;
/* A model of the table named "<branch>: <name>"; *out is good until the next. */
mdl_status mdl__add_other(mdl__branch *branch, mdl_old_row_kind kind, const char *name,
                          mdl__other **out) MDL_MUST_CHECK;
/* experiment.methods: other searches on the same parents, TIES, DARE. */
mdl_status mdl__make_method_rows(mdl__runner *r, mdl__branch *branch) MDL_MUST_CHECK;
/* paths.json: lines between parents. */
mdl_status mdl__walk_paths(mdl__runner *r) MDL_MUST_CHECK;
/* experiment.repeats: whole experiments with other seeds, and the table over them. */
mdl_status mdl__repeat(const mdl_experiment_job *job, mdl_old_table *table) MDL_MUST_CHECK;
/* Whether a step of an experiment was begun in the folder.  What comes before the first step
 * (config.yaml, tuning.json, made.json) is written anew until then: a kill between those files
 * leaves no folder that looks older than it is. */
mdl_status mdl__has_begun(const char *folder, bool *begun) MDL_MUST_CHECK;
/* made.json: version, machine and data; `begun`: a step was begun in the folder before. */
mdl_status mdl__write_made(const mdl__runner *r, bool begun) MDL_MUST_CHECK;
/* The data was read: from here on the folder changes.  A table whose steps are about to change may
 * not stand beside them.  `begun`: there are steps in it, which stay. */
mdl_status mdl__prepare_folder(const mdl_experiment_job *job, bool *begun) MDL_MUST_CHECK;
mdl_status mdl__write_table(const char *folder, const mdl_old_table *table) MDL_MUST_CHECK;
/* Paths of the checkpoints whose midpoint and line the table has, of the first two trainings. */
void mdl__first_two(const mdl__branch *branch, const char *pair[2]);
/* C: candidates, their held-out scores, the search and the baselines of merging. */
mdl_status mdl__fuse(mdl__runner *r, mdl__branch *branch) MDL_MUST_CHECK;
void mdl__branch_free(mdl__branch *branch);
/* The test split, once, and the table. */
mdl_status mdl__conclude(mdl__runner *r, mdl_old_table *table) MDL_MUST_CHECK;
/* evaluation.json: calibration, corruptions and the like of the fused, the average, the best
 * parent.
 */
mdl_status mdl__assess_all(mdl__runner *r) MDL_MUST_CHECK;
/* Evaluate checkpoints of one model on a split; `sum` (may be NULL) gets the sum of the logits of
 * those for which adds[i]. */
typedef struct mdl__checkpoints {
    mdl_evaluator *evaluator;
    mdl_weights weights;
    mdl_scores scores;
} mdl__checkpoints;
mdl_status mdl__checkpoints_open(const mdl__runner *r, const mdl_model_config *model,
                                 mdl_split split, bool logits,
                                 mdl__checkpoints *out) MDL_MUST_CHECK;
mdl_status mdl__checkpoints_run(mdl__checkpoints *c, const char *path) MDL_MUST_CHECK;
void mdl__checkpoints_close(mdl__checkpoints *c);
/* merge.from_scratch or experiment.specialists: the M2N2 paper's experiment. */
mdl_status mdl__digits_run(mdl__runner *r, mdl_old_table *table) MDL_MUST_CHECK;

/* The line between two checkpoints; NULL where there is no memory. */
json_t *mdl__path_json(const mdl_path_result *path, const char *first, const char *second);

#endif
