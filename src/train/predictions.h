/* Predictions as CSV, as `mendel eval --predictions` writes them: a line for each image. */
#ifndef MDL_TRAIN_PREDICTIONS_H
#define MDL_TRAIN_PREDICTIONS_H

#include "train/evaluate.h"

/* Columns: index, label, predicted, logit_0, ..., and with names label_name, predicted_name.
 * `wide`: logits with as many digits as doubles need. */
mdl_status mdl_predictions_write(const char *path, const mdl_data *data, mdl_split split,
                                 const mdl_scores *scores, bool wide) MDL_MUST_CHECK;

typedef struct mdl_prediction {
    uint32_t index, label, called; /* in the data set; by the model's numbers */
} mdl_prediction;

typedef struct mdl_predictions {
    mdl_prediction *images; /* [count] */
    size_t count, classes, right;
    char **names; /* [classes], as bytes; each, and all of them, may be NULL */
} mdl_predictions;

/* Whether a file begins as one of them. */
bool mdl_predictions_are(const char *path);
/* Read a file of at most `limit` bytes; mdl_predictions_free, also on failure. */
mdl_status mdl_predictions_read(const char *path, size_t limit,
                                mdl_predictions *out) MDL_MUST_CHECK;
void mdl_predictions_free(mdl_predictions *predictions);

/* {"images": ..., "top1": ..., "classes": {...}}, the classes as in evaluation.json; a new
 * reference. */
struct json_t;
mdl_status mdl_predictions_json(const mdl_predictions *predictions,
                                struct json_t **out) MDL_MUST_CHECK;

#endif
