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
void mdl__give_logits(mdl_builder *b, size_t step, int logits);
/* Cross-entropy of logits with the labels; per-sample results become outputs.  Returns the mean
 * loss, MDL_NONE where the mode has no labels. */
int mdl__cross_entropy(mdl_builder *b, int logits);

/* The convolutional part: images [N, H, W, C] -> features [N, H', W', 1280]. */
int mdl__efficientnet_lite(mdl_builder *b);
/* Features [N, F] or [N, L, F] -> logits, halting logits and losses, which go to b->io. */
void mdl__trm(mdl_builder *b, int features);

void mdl__build_efficientnet_lite(mdl_builder *b);
void mdl__build_hybrid(mdl_builder *b);
void mdl__build_mlp(mdl_builder *b);

#endif
