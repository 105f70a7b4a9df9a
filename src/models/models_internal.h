/* Private to the models module: the state of a build and the pieces that models share. */
#ifndef MDL_MODELS_INTERNAL_H
#define MDL_MODELS_INTERNAL_H

#include "models/models.h"

typedef struct mdl_builder { /* one call of mdl_model_build */
    const mdl_model_config *config;
    mdl_mode mode;
    size_t batch;
    double smoothing; /* of the labels, training only */
    size_t steps;     /* supervision steps in this graph */
    int block;        /* number of the block that comes next */
    mdl_graph *graph;
    mdl_model_io *io;
} mdl_builder;

/* The parameters that follow belong to the next block. */
void mdl__next_block(mdl_builder *b);
/* A parameter whose name is "<prefix>.<suffix>". */
int mdl__param(mdl_builder *b, const char *prefix, const char *suffix, mdl_role role,
               mdl_shape shape, mdl_init init, double scale);
/* x[..., C] times weight[C, K], plus bias[K] where it is not MDL_NONE. */
int mdl__product(mdl_builder *b, int x, int weight, int bias);
int mdl__activation(mdl_builder *b, int x, mdl_act kind);
/* x + weight * y */
int mdl__add(mdl_builder *b, int x, int y, double weight);
/* x itself where nothing is dropped: outside training, and at rate 0. */
int mdl__dropout(mdl_builder *b, int x, double rate, bool per_sample);
int mdl__mean_rows(mdl_builder *b, int x);
/* Name the logits of supervision step `step` as an output; the last are those of the model. */
void mdl__set_logits(mdl_builder *b, size_t step, int logits);
/* Cross-entropy of logits with the labels; per-sample results become outputs.  Returns the mean
 * loss, MDL_NONE where the mode has no labels. */
int mdl__cross_entropy(mdl_builder *b, int logits);

/* The convolutional part: images [N, H, W, C] -> features [N, H', W', 1280]. */
int mdl__efficientnet_lite(mdl_builder *b);
/* Features [N, F] or [N, L, F] -> logits, halting logits and losses, which go to b->io. */
void mdl__trm(mdl_builder *b, int features);

#define X(NAME, name) extern const mdl_model_def mdl__model_##name;
MDL_MODEL_LIST(X)
#undef X

/* ---- checks of a configuration, in the words of its keys ------------------------------------ */

typedef struct mdl__checker {
    const char *key; /* that is looked at: the key of a failure */
} mdl__checker;
mdl_status mdl__check_size(mdl__checker *at, const char *key, size_t value, size_t least,
                           size_t most) MDL_MUST_CHECK;
/* low < value < high; where an end is allowed, it may be equal.  NaN is refused. */
mdl_status mdl__check_number(mdl__checker *at, const char *key, double value, double low,
                             double high, bool low_allowed, bool high_allowed) MDL_MUST_CHECK;
mdl_status mdl__check_choice(mdl__checker *at, const char *key, int value,
                             int count) MDL_MUST_CHECK;
/* The keys that the convolutional part reads, and those that the TRM reads. */
mdl_status mdl__check_backbone(mdl__checker *at, const mdl_model_config *c) MDL_MUST_CHECK;
mdl_status mdl__check_trm(mdl__checker *at, const mdl_trm_config *c) MDL_MUST_CHECK;

#endif
