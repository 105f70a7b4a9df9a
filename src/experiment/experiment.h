/* Experiment: the configuration (YAML, keys, defaults, checks), the runner of A, B and C,
 * statistics and the table.  The configuration is one struct made of the modules' own structs and
 * one table of keys, from which parsing, printing, help and the nearest valid name come. */
#ifndef MDL_EXPERIMENT_H
#define MDL_EXPERIMENT_H

#include "merge/merge.h"

/* ---- configuration -------------------------------------------------------------------------- */

typedef struct mdl_run_config {
    uint64_t seed;
    size_t threads; /* 0: the backend's default */
    char backend[128];
    size_t memory_limit;       /* bytes, 0: none */
    char tuning[MDL_PATH_MAX]; /* auto, off, or a file: see mdl_tuning_use */
} mdl_run_config;

typedef struct mdl_experiment_config {
    size_t seeds;          /* models of each kind (x2 seeds: 2), at most MDL_MAX_REPEATS */
    bool baseline, hybrid; /* A, B */
    bool merge_baseline;   /* C on A's checkpoints too, for comparison */
    size_t epochs_merged;  /* how many late epoch checkpoints of each seed join the archive */
    bool merge_ema;        /* EMA weights join too */
    /* Trunk and branches: one training, then `children` that start from its last weights with
     * other seeds and a restarted learning rate; they are the parents.  0: independent seeds are.
     */
    size_t trunk_epochs;
    double trunk_final; /* the trunk's schedule.final */
    size_t children, child_epochs;
    double child_lr;    /* times optim.lr */
    bool matched;       /* one run of all their epochs */
    size_t independent; /* independent seeds beside them, the negative control */
    bool control_mlp_head, control_no_recursion, control_tokens; /* of the hybrid */
    size_t path_points; /* on the line between the first two parents; 0: no lines */
    size_t repeats;
    size_t latency_runs;
    char methods[256]; /* rows for other methods on the same parents, separated by commas */
    bool specialists;  /* the M2N2 paper's: searches from pairs trained on half of the classes */
    size_t corrupt_images, tta_images; /* of the test split; 0: no such evaluation */
} mdl_experiment_config;

#define MDL_MAX_REPEATS 16
#define MDL_MAX_KEYS    192
typedef struct mdl_config_origin { /* where each key was set last, for messages; not a setting */
    char file[MDL_PATH_MAX];
    int line[MDL_MAX_KEYS]; /* by number of the key; 0: default, MDL_ORIGIN_SET: --set */
} mdl_config_origin;
#define MDL_ORIGIN_SET (-1)

typedef struct mdl_config {
    mdl_model_config model; /* classes 0: from the data */
    mdl_data_config data;
    mdl_train_config train;
    mdl_merge_config merge;
    mdl_experiment_config experiment;
    mdl_run_config run;
    mdl_config_origin origin;
} mdl_config;

mdl_config mdl_config_default(void);
/* Read a YAML file over *config.  Unknown keys, wrong types, values out of range are refused with
 * file, line, key, what was expected, and the nearest valid key. */
mdl_status mdl_config_read(const char *path, mdl_config *config) MDL_MUST_CHECK;
/* The same from text; `name` stands for the file in messages. */
mdl_status mdl_config_parse(const char *text, size_t size, const char *name,
                            mdl_config *config) MDL_MUST_CHECK;
/* One "key=value" (value in YAML). */
mdl_status mdl_config_set(mdl_config *config, const char *assignment) MDL_MUST_CHECK;
/* Set a key for a text to these bytes, whatever they are. */
mdl_status mdl_config_set_text(mdl_config *config, const char *key,
                               const char *value) MDL_MUST_CHECK;
/* The whole effective configuration as commented YAML; reading it back gives the same struct.
 * Free *text with mdl_free. */
mdl_status mdl_config_text(const mdl_config *config, char **text) MDL_MUST_CHECK;
/* The same without what does not belong into a checkpoint (paths, threads, backend, lengths of a
 * run do not change what the model is): keys of model, trm, and those of data that say how images
 * are prepared and which were held out. */
mdl_status mdl_config_model_text(const mdl_config *config, char **text) MDL_MUST_CHECK;
/* Checks across keys (shapes that cannot be, a batch that cannot be divided, ...). */
mdl_status mdl_config_check(const mdl_config *config) MDL_MUST_CHECK;
/* Take the input size from open data, and model.classes where it is 0; refuses a model with fewer
 * classes than the data. */
mdl_status mdl_config_use_data(mdl_config *config, const mdl_data *data) MDL_MUST_CHECK;
/* The same from what is known without reading the data; fails where that is not enough. */
mdl_status mdl_config_assume_data(mdl_config *config) MDL_MUST_CHECK;

typedef struct mdl_key { /* a row of the table of keys */
    const char *name;    /* "optim.lr" */
    const char *help;    /* one line */
    char type[128];      /* "number", "integer", "text", ..., or the choices "a | b" */
} mdl_key;
size_t mdl_key_count(void);
mdl_key mdl_key_at(size_t index);
/* *config's value of a key as YAML text, into buffer (cut where it does not fit). */
void mdl_key_value(const mdl_config *config, size_t index, char *buffer, size_t size);
/* The number of a key, or mdl_key_count() where there is none of that name. */
size_t mdl_key_find(const char *name);
/* The key whose name is nearest to `name`, or NULL where none is near. */
const char *mdl_key_nearest(const char *name);
/* Whether `name` differs from `candidate` by so little that it may be meant; the number of edits
 * (a swap of neighbours counts as one), or SIZE_MAX where they are too many. */
size_t mdl_near(const char *name, const char *candidate);
/* A size in bytes: "1536", "400MB" (10^6), "2GiB" (2^30), "1.5 GiB". */
mdl_status mdl_parse_bytes(const char *text, size_t *bytes) MDL_MUST_CHECK;

/* ---- folders of runs ------------------------------------------------------------------------ */
/* A folder holds runs of one kind, which is written on the first line of its config.yaml; folders
 * of older versions are known by their files. */

typedef enum mdl_run_kind { /* bits of a set */
                            MDL_RUN_TRAINING = 1,
                            MDL_RUN_SEARCH = 2,
                            MDL_RUN_EXPERIMENT = 4
} mdl_run_kind;
/* "a training", "a search", "an experiment"; of a set the first. */
const char *mdl_run_name(unsigned kinds);
/* Which kinds of run a folder holds (several where older versions mixed them); 0: none, or it does
 * not exist. */
mdl_status mdl_run_kinds(const char *folder, unsigned *kinds) MDL_MUST_CHECK;
/* Whether runs of `kinds` write PATH, relative to their folder, e.g. "A-seed1/final.safetensors".
 */
bool mdl_run_writes(unsigned kinds, const char *path);
/* Fail (MDL_CONFIG) where a new run of `kind` would write over something in `folder` that no run of
 * `removed` (a set; those are to be removed before) wrote. */
mdl_status mdl_run_check_room(const char *folder, mdl_run_kind kind,
                              unsigned removed) MDL_MUST_CHECK;
/* Remove exactly what runs of `kinds` wrote, by their names; `count` gets the number of files. */
mdl_status mdl_run_remove(const char *folder, unsigned kinds, size_t *count) MDL_MUST_CHECK;
/* The absolute path of a file or folder, links resolved; what is not there yet is as it is named.
 */
mdl_status mdl_run_resolve(const char *path, char *out, size_t size) MDL_MUST_CHECK;
/* Fail (MDL_CONFIG) where `path` belongs to a run in one of the folders around it: a part of an
 * experiment, or a file of a run, or (MDL_IO) where its folder is in use.  `file`: it is to be a
 * file; `replace`: one of a run that has ended may be written over. */
mdl_status mdl_run_check_place(const char *path, bool file, bool replace) MDL_MUST_CHECK;
/* The text of config.yaml of a run; free with mdl_free. */
mdl_status mdl_run_config_text(mdl_run_kind kind, const mdl_config *config,
                               char **text) MDL_MUST_CHECK;
/* FOLDER/config.yaml; the folder is made where it is missing. */
mdl_status mdl_run_write_config(const char *folder, mdl_run_kind kind,
                                const mdl_config *config) MDL_MUST_CHECK;
/* Whether the run in `folder` has another configuration than `config`, apart from what does not
 * change its results; `first` gets the first key that differs, with both values. */
mdl_status mdl_run_differs(const char *folder, const mdl_config *config, bool *differs, char *first,
                           size_t size) MDL_MUST_CHECK;

/* ---- statistics ----------------------------------------------------------------------------- */

typedef struct mdl_interval {
    double low, high;
} mdl_interval;
/* 95 % Wilson score interval of a proportion k / n (Wilson 1927). */
mdl_interval mdl_stat_wilson(size_t k, size_t n);
/* Exact two-sided McNemar: b and c are the discordant pairs. */
double mdl_stat_mcnemar(size_t b, size_t c);
/* Paired bootstrap 95 % interval of mean(x) - mean(y) (percentile), seeded. */
mdl_interval mdl_stat_bootstrap(const float *x, const float *y, size_t n, size_t rounds,
                                uint64_t seed);
typedef struct mdl_t_test {
    double t, df, p, difference; /* mean(x) - mean(y); p two-sided; NAN where undefined */
    double low, high;            /* 95 % interval of the difference; NAN where undefined */
} mdl_t_test;
mdl_t_test mdl_stat_welch(const double *x, size_t nx, const double *y, size_t ny);
mdl_t_test mdl_stat_paired_t(const double *x, const double *y, size_t n);
/* Exact two-sided sign-flip permutation test of paired differences (Fisher 1935): the part of the
 * 2^n choices of signs whose mean is at least as far from 0.  n up to 20; else NAN. */
double mdl_stat_sign_flip(const double *x, const double *y, size_t n);
/* 95 % interval of a mean by Student's t (normal values); NAN for fewer than two. */
mdl_interval mdl_stat_mean(const double *x, size_t n);
/* p-values adjusted for their number (Holm 1979), in their order; what is not finite is no test and
 * stays NAN. */
void mdl_stat_holm(const double *p, size_t n, double *out);
/* Quantile (linear interpolation) of values that get sorted in place. */
double mdl_stat_quantile(double *values, size_t n, double q);

/* ---- the experiment ------------------------------------------------------------------------- */

typedef struct mdl_experiment_events {           /* each may be NULL */
    void (*stage)(void *user, const char *text); /* "A, seed 1 of 2: train baseline" */
    const mdl_train_events *train;
    void (*merge)(void *user, const mdl_merge_progress *progress);
    void (*assess)(void *user, const char *what, size_t done, size_t total);
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
typedef enum mdl_row_kind {
    MDL_ROW_BASELINE,    /* mean over seeds */
    MDL_ROW_HYBRID,      /* mean over seeds */
    MDL_ROW_FUSED,       /* M2N2's winner */
    MDL_ROW_BEST_PARENT, /* by held-out score */
    MDL_ROW_AVERAGE,     /* uniform, of all parents */
    MDL_ROW_SOUP,        /* greedy */
    MDL_ROW_SLERP,       /* midpoint of two */
    MDL_ROW_ENSEMBLE,    /* mean of logits */
    MDL_ROW_PARENT,      /* a child of the trunk */
    MDL_ROW_TRUNK,
    MDL_ROW_MATCHED,     /* one training of the same total of epochs */
    MDL_ROW_INDEPENDENT, /* of independent seeds, beside a trunk */
    MDL_ROW_CONTROL,     /* of the hybrid */
    MDL_ROW_OTHER
} mdl_row_kind;

typedef struct mdl_row { /* a row of the table; numbers that are not known are NAN, or 0 */
    char name[64];
    char note[160]; /* what it was made of */
    char arm[16];   /* "baseline", "hybrid"; "": neither */
    mdl_row_kind kind;
    double top1, low, high; /* on test; mdl_table_interval */
    double loss;            /* on test */
    size_t parameters;
    double multiply_adds;              /* for an image */
    double train_seconds;              /* all computing that went into it */
    double latency, latency_p95;       /* seconds at batch 1 */
    double seed_top1[MDL_MAX_REPEATS]; /* where it is a mean over seeds */
    size_t n_seeds;
    double published; /* the same figure in print; 0: none */
} mdl_row;

typedef struct mdl_comparison {     /* a test of one row against another */
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
} mdl_comparison;

typedef struct mdl_table { /* all zeros is an empty one; it grows as it is filled */
    char title[128];
    size_t images; /* of the test split */
    mdl_row *rows;
    size_t n_rows;
    mdl_comparison *comparisons;
    size_t n_comparisons;
    char *verdict; /* in plain words, a sentence a line: what is and what is not shown; or NULL */
} mdl_table;

/* Frees what the table holds, and empties it. */
void mdl_table_free(mdl_table *table);
/* A copy of the row behind those that are there; pointers to them end here. */
mdl_status mdl_table_add_row(mdl_table *table, const mdl_row *row) MDL_MUST_CHECK;
/* Tests of two models on the same images (correct: 1 or 0 for each) and of two recipes (accuracy of
 * each seed), added to the table. */
mdl_status mdl_table_compare_models(mdl_table *table, const char *first, const char *second,
                                    const float *first_correct, const float *second_correct,
                                    size_t images) MDL_MUST_CHECK;
mdl_status mdl_table_compare_seeds(mdl_table *table, const mdl_row *first,
                                   const mdl_row *second) MDL_MUST_CHECK;
/* The same seeds on both sides: row values are pairs. */
mdl_status mdl_table_compare_repeats(mdl_table *table, const mdl_row *first,
                                     const mdl_row *second) MDL_MUST_CHECK;
/* The 95 % interval of a row: of one model Wilson's for the table's images, of a mean over n_seeds
 * Student's, within 0 .. 1. */
void mdl_table_interval(const mdl_table *table, mdl_row *row);
/* Write table->verdict from rows and comparisons, and `more` (NULL: nothing) as its last line. */
mdl_status mdl_table_judge(mdl_table *table, const char *more) MDL_MUST_CHECK;

/* What was in *table before is not looked at; free it with mdl_table_free, also on failure. */
mdl_status mdl_experiment_run(const mdl_experiment_job *job, mdl_table *table) MDL_MUST_CHECK;

/* What was asked for of an assessment, as in evaluation.json; a new reference. */
struct json_t;
struct json_t *mdl_assessment_json(const mdl_assess_job *job, const mdl_assessment *assessment);

typedef enum mdl_table_format {
    MDL_TABLE_TERMINAL,
    MDL_TABLE_MARKDOWN,
    MDL_TABLE_CSV,
    MDL_TABLE_JSON
} mdl_table_format;
/* Free *text with mdl_free. */
mdl_status mdl_table_text(const mdl_table *table, mdl_table_format format,
                          char **text) MDL_MUST_CHECK;

/* A line between two checkpoints as JSON (src/README.md has the format).  Free *text with mdl_free.
 */
mdl_status mdl_path_text(const mdl_path_result *path, const char *first, const char *second,
                         char **text) MDL_MUST_CHECK;

#endif
