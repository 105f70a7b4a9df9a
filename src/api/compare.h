/* Private to the comparison of two models: what each of them answered. */
#ifndef MDL_COMPARE_H
#define MDL_COMPARE_H

#include "api/api.h"

typedef struct mdl__compared { /* one of the two */
    const char *path;          /* as the caller named it */
    char file[MDL_PATH_MAX];   /* the checkpoint or the predictions in it */
    const char *kind;          /* "training", "search", "checkpoint", "predictions" */
    const char *model;         /* "mlp"; NULL: predictions do not say */
    mdl_predictions answers;   /* the images by their index */
} mdl__compared;

/* Which file `path` stands for; folders of experiments have none (`file` is "" and `kind`
 * "experiment"). */
mdl_status mdl__compared_find(const char *path, mdl__compared *out) MDL_MUST_CHECK;
/* What it answered: read, or evaluated as `config` and `options` say. */
mdl_status mdl__compared_fill(mdl__compared *side, mdl_context *context, const mdl_config *config,
                              const mdl_data *data,
                              const mdl_compare_options *options) MDL_MUST_CHECK;
void mdl__compared_free(mdl__compared *side);
/* The name of a class, or its number. */
const char *mdl__compared_name(const mdl__compared *side, size_t class_number, char number[32]);

/* The comparison of two folders of experiments, or of pairs of models. */
mdl_status mdl__compare_tables(const char *first, const char *second,
                               struct json_t **out) MDL_MUST_CHECK;
mdl_status mdl__compare_pairs(const mdl__compared *first, const mdl__compared *second, size_t n,
                              struct json_t **out) MDL_MUST_CHECK;

#endif
