/* A folder that a report is made of, read once: whatever is in it, an experiment, a training, a
 * search, what `mendel eval` wrote. */
#ifndef MDL_REPORT_LOAD_H
#define MDL_REPORT_LOAD_H

#include "experiment/experiment.h"
#include "report/values.h"

enum { MDL__CURVE_MOST = 2048, MDL__SEVERITIES = 5 };

typedef struct mdl__epoch {
    double epoch, top1, loss;
} mdl__epoch;

typedef struct mdl__training {
    char *folder;      /* "" where it is the whole folder; "repeat-2/B-child1" */
    json_t *step;      /* step.json; NULL: there is none */
    size_t repeat;     /* of which, from 1; 0: there are none */
    bool hybrid;       /* its arm */
    mdl__epoch *curve; /* thinned out to MDL__CURVE_MOST */
    size_t n, lines;   /* of the curve, and before it was thinned out */
    size_t every;      /* of the lines is one of the curve */
    double joules;     /* NAN: not known for all epochs */
} mdl__training;

/* What there is; bits. */
typedef enum mdl__content {
    MDL__TRAINING = MDL_RUN_TRAINING,
    MDL__SEARCH = MDL_RUN_SEARCH,
    MDL__EXPERIMENT = MDL_RUN_EXPERIMENT,
    MDL__EVALUATION = 8
} mdl__content;

/* JSON is that of the files; values.c has their forms. */
typedef struct mdl__folder {
    const char *path;
    unsigned content;
    bool has_table;
    mdl_table table;
    mdl_config config;            /* the default where there is none that can be read */
    char *config_text;            /* NULL: there is none */
    json_t *made, *interpolation; /* made.json, interpolation.json; NULL: there is none */
    json_t *looks;       /* closer looks at models; of files of `mendel eval` with their "file" */
    json_t *predictions; /* the same of files of predictions */
    json_t *searches;    /* each winner.json, with its "folder" and "sources" */
    mdl__training *trainings;
    mdl_table *repeats; /* their tables, empty where one is not finished */
    size_t n_trainings, n_repeats;
    bool tuned;                /* tuning.json lies there */
    char merged[MDL_PATH_MAX]; /* the first model that the experiment is about; "": none yet */
    char merged_hash[65];      /* its SHA-256 */
    struct mdl__block *memory;
} mdl__folder;

/* Fails where a file is damaged, or where there is nothing to report; free it in any case. */
mdl_status mdl__folder_read(const char *path, mdl__folder *out) MDL_MUST_CHECK;
void mdl__folder_free(mdl__folder *folder);

/* Zeroed memory that lives as long as the folder. */
mdl_status mdl__take(mdl__folder *f, size_t count, size_t size, void **out) MDL_MUST_CHECK;
mdl_status mdl__copy(mdl__folder *f, const char *text, char **out) MDL_MUST_CHECK;
/* What `mendel eval` wrote, and evaluation.json. */
mdl_status mdl__read_evaluations(mdl__folder *f) MDL_MUST_CHECK;

/* Fails where a JSON that was made is NULL. */
mdl_status mdl__whole(const json_t *json) MDL_MUST_CHECK;

/* Names of files, in the folder's memory. */
typedef struct mdl__names {
    char **data;
    size_t n;
} mdl__names;
/* Entries of FOLDER/below that begin and end so and, where `file` is no NULL, hold that file; each
 * with `below` before it, as people count. */
mdl_status mdl__list_files(mdl__folder *f, const char *below, const char *begin, const char *end,
                           const char *file, mdl__names *out) MDL_MUST_CHECK;
/* "folder/leaf" below the whole folder, or "leaf" where it is the whole one; MDL_PATH_MAX bytes. */
mdl_status mdl__path_of(const mdl__folder *f, const char *folder, const char *leaf,
                        char *out) MDL_MUST_CHECK;
/* Whether that file is there. */
bool mdl__has(const mdl__folder *f, const char *folder, const char *leaf, char *out);
/* A file of this form, a new reference; NULL: there is none. */
mdl_status mdl__read_json(mdl__folder *f, const char *folder, const char *leaf, const char *form,
                          json_t **out) MDL_MUST_CHECK;

#endif
