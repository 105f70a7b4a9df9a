/* A folder that a report is made of, read once: whatever is in it, an experiment, a training, a
 * search, what `mendel eval` wrote. */
#ifndef MDL_REPORT_LOAD_H
#define MDL_REPORT_LOAD_H

#include "experiment/experiment.h"
#include "report/fields.h"

enum { MDL__CURVE_MOST = 2048, MDL__BINS = 15, MDL__SEVERITIES = 5 };
#define MDL__LIST(type)                                                                            \
    struct {                                                                                       \
        type *data;                                                                                \
        size_t n;                                                                                  \
    }

/* ---- evaluation.json, or what `mendel eval --json` printed ---------------------------------- */

typedef struct mdl__bin {
    size_t count;
    double confidence, accuracy;
} mdl__bin;

typedef struct mdl__calibration {
    double temperature, ece, brier, loss; /* NAN where it was not measured */
    MDL__LIST(mdl__bin) bins;
} mdl__calibration;

typedef struct mdl__corruption {
    char *name, *group;
    MDL__LIST(double) top1; /* at each severity */
} mdl__corruption;

typedef struct mdl__passes { /* of one batch size */
    double median, p95, joules;
    size_t runs; /* 0: not measured */
} mdl__passes;

typedef struct mdl__look { /* a closer look at one model */
    char *row;             /* id in the table, "" for a file of `mendel eval` */
    char *checkpoint, *data, *split, *file;
    size_t images;
    double top1, low, high, loss;
    struct {
        size_t images, fitted;
        mdl__calibration plain, scaled;
    } calibration;
    struct {
        size_t images;
        double clean, mean;
        MDL__LIST(mdl__corruption) kinds;
    } robustness;
    struct {
        size_t images;
        double plain, flip, shifts, both;
    } tta;
    struct {
        size_t trained;
        MDL__LIST(double) top1;
    } steps;
    struct {
        mdl__passes one, many;
    } latency;
} mdl__look;

/* ---- the lines between parents -------------------------------------------------------------- */

typedef struct mdl__way { /* one way to walk the line */
    bool aligned, recalibrated;
    MDL__LIST(double) top1;
    double barrier;
} mdl__way;

typedef struct mdl__line {
    char *arm, *between, *first, *second;
    size_t images;
    MDL__LIST(double) t;
    MDL__LIST(mdl__way) ways;
} mdl__line;

/* ---- searches ------------------------------------------------------------------------------- */

typedef struct mdl__member { /* of the archive, or an ancestor of its best */
    double id, top1, owns, ratio;
    char *right;               /* a digit for each image */
    MDL__LIST(double) parents; /* none or two */
} mdl__member;

typedef struct mdl__source { /* what a model of the beginning was made of */
    double id;
    char *source;
} mdl__source;

typedef struct mdl__search {
    char *folder; /* "" where it is the whole folder */
    double winner;
    bool is_average;
    char *split;
    size_t images;
    MDL__LIST(mdl__member) members;
    MDL__LIST(mdl__member) ancestors;
    MDL__LIST(mdl__source) sources; /* by id; of the searches that are drawn */
} mdl__search;

/* ---- trainings ------------------------------------------------------------------------------ */

typedef struct mdl__epoch {
    double epoch, top1, loss, joules;
} mdl__epoch;

typedef struct mdl__training {
    char *folder; /* "" where it is the whole folder; "repeat-2/B-child1" */
    char *role, *name, *depends;
    size_t repeat;  /* of which, from 1; 0: there are none */
    bool hybrid;    /* its arm */
    bool done;      /* its record says so */
    double seconds; /* NAN until it is done */
    size_t seed, epochs, steps;
    MDL__LIST(mdl__epoch) curve; /* thinned out to MDL__CURVE_MOST */
    size_t lines;                /* of the curve before */
    double joules;               /* NAN: not known for all epochs */
} mdl__training;

/* ---- who made it ---------------------------------------------------------------------------- */

typedef struct mdl__maker {
    char *version, *revision, *compiler, *backend, *device;
    size_t threads;
    bool tuned;
    struct {
        char *source, *sha256;
        size_t train, validation, test;
    } data;
} mdl__maker;

typedef struct mdl__predictions { /* a CSV of `mendel eval --predictions` */
    char *file;
    size_t classes, images;
    size_t *count; /* [classes][classes]: of each class, called each class */
    char **name;   /* of each class, its number where it has none */
} mdl__predictions;

/* What there is; bits. */
typedef enum mdl__content {
    MDL__TRAINING = MDL_RUN_TRAINING,
    MDL__SEARCH = MDL_RUN_SEARCH,
    MDL__EXPERIMENT = MDL_RUN_EXPERIMENT,
    MDL__EVALUATION = 8
} mdl__content;

typedef struct mdl__folder {
    const char *path;
    unsigned content;
    bool has_table;
    mdl_table table;
    mdl_config config; /* the default where there is none that can be read */
    char *config_text; /* NULL: there is none */
    MDL__LIST(mdl__look) looks;
    MDL__LIST(mdl__line) lines;
    MDL__LIST(mdl__search) searches;
    MDL__LIST(mdl__training) trainings;
    MDL__LIST(mdl__maker) makers;
    MDL__LIST(mdl__predictions) predictions;
    MDL__LIST(mdl_table) repeats; /* their tables, empty where one is not finished */
    bool tuned;                   /* tuning.json lies there */
    char *merged;                 /* the first model that the experiment is about; "": none yet */
    char merged_hash[65];         /* its SHA-256 */
    mdl__pool pool;
} mdl__folder;

/* Fails where a file is damaged, or where there is nothing to report; free it in any case. */
mdl_status mdl__folder_read(const char *path, mdl__folder *out) MDL_MUST_CHECK;
void mdl__folder_free(mdl__folder *folder);

#endif
