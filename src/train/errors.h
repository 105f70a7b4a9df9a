/* Where a model errs: how good it is at each class, what is taken for what, and the mistakes that
 * it is surest of. */
#ifndef MDL_TRAIN_ERRORS_H
#define MDL_TRAIN_ERRORS_H

#include "train/evaluate.h"

enum {
    MDL_TOP_FEW = 5,              /* answers that count as right for the top-5 accuracy */
    MDL_CONFUSION_CLASSES = 1000, /* a confusion matrix of more is not written */
    MDL_CONFUSED_MOST = 20,       /* pairs of classes that are listed */
    MDL_THUMBNAILS_MOST = 32,     /* of mistakes; more have no picture */
    MDL_THUMBNAIL_SIDE = 64       /* pixels, at most */
};

typedef struct mdl_class_errors {
    size_t images, called, right; /* of the class; called so; both */
} mdl_class_errors;

typedef struct mdl_confused { /* images of one class that were called by one */
    uint32_t label, called;
    size_t images;
} mdl_confused;

typedef struct mdl_errors {
    size_t images, classes, right;
    size_t among;         /* images whose class is among the first MDL_TOP_FEW answers */
    mdl_class_errors *of; /* [classes] */
    mdl_confused *cells;  /* of the confusion matrix that are not 0, row by row */
    size_t n_cells;
    uint32_t *mistakes; /* positions in the split, the surest first, of equal ones the first */
    size_t n_mistakes;
} mdl_errors;

/* From scores with answers and the labels of their images; `mistakes`: how many are wanted. */
mdl_status mdl_errors_find(const mdl_scores *scores, const int32_t *labels, size_t mistakes,
                           mdl_errors *out) MDL_MUST_CHECK;
void mdl_errors_free(mdl_errors *errors);

/* {"classes": ..., "mistakes": [...]} as in evaluation.json, from the answers on a split of `data`.
 * A new reference. */
struct json_t;
mdl_status mdl_errors_json(const mdl_scores *scores, const mdl_data *data, mdl_split split,
                           size_t mistakes, struct json_t **out) MDL_MUST_CHECK;

#endif
