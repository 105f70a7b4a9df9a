/* A training or inference step by itself, as the trainer builds it: to be looked at (`mendel
 * plan`), timed (`mendel bench`), or as the measure of what an experiment will take. */
#ifndef MDL_TRAIN_SINGLE_STEP_H
#define MDL_TRAIN_SINGLE_STEP_H

#include "models/models.h"

typedef struct mdl_single_step { /* planned */
    mdl_device *device;          /* borrowed */
    mdl_graph *graph;
    mdl_model_io io;
    mdl_plan *plan;
    double multiply_adds; /* for an image */
} mdl_single_step;
mdl_status mdl_single_step_create(const mdl_model_config *model, mdl_device *device, bool train,
                                  size_t batch, double label_smoothing, bool mixed,
                                  mdl_single_step *out) MDL_MUST_CHECK;
void mdl_single_step_destroy(mdl_single_step *step);
/* FLOPs and bytes of a call of a plan. */
mdl_cost mdl_call_cost(const mdl_call *call);

typedef struct mdl_trial_step { /* with all that it needs to run: random images, fresh weights */
    mdl_single_step step;
    mdl_run *run;
    mdl_weights weights;
    mdl_buffer *gradients, *moments[2];
    mdl_segment segment;
    mdl_scratch scratch;
    size_t n_params;
    float *images;   /* the batch */
    int32_t *labels; /* NULL where the step takes none */
    bool train;
} mdl_trial_step;
/* *t is zeroed before; close it in every case. */
mdl_status mdl_trial_step_open(mdl_device *device, const mdl_model_config *model, bool train,
                               size_t batch, bool mixed, mdl_trial_step *t) MDL_MUST_CHECK;
void mdl_trial_step_close(mdl_trial_step *t);
/* Give it its batch again, as training does before each step. */
mdl_status mdl_trial_step_feed(mdl_trial_step *t) MDL_MUST_CHECK;
/* Forward; for training also backward and AdamW, and the loss is read as training does. */
mdl_status mdl_trial_step_run(mdl_trial_step *t) MDL_MUST_CHECK;

#endif
