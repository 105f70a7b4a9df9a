/* What a training needs in memory. */
#ifndef MDL_TRAIN_MEMORY_H
#define MDL_TRAIN_MEMORY_H

#include "train/settings.h"

/* What a training needs in memory before anything runs, for `mendel plan`. */
typedef struct mdl_memory_plan {
    size_t arena, params, gradients, moments, ema, buffers; /* bytes */
    size_t transfers; /* batches and metrics on their way, sums of the optimizer, the TRM's carry */
    size_t shards;    /* gradients that wait to be summed, on the host */
    size_t total;
    size_t limit;   /* what it was fitted into: the one given, or what the device has; 0: none */
    bool recompute; /* chosen to fit the limit */
    size_t micro_batch; /* chosen to fit the limit; else batch / accumulate */
    bool fits;
    char lone_norm[96]; /* where it does not fit: the BatchNorm layer because of which micro-batches
                           of one image were not tried; "": none */
} mdl_memory_plan;
/* MDL_MEMORY_LIMIT with all that is to be said where a plan does not fit. */
mdl_status mdl_memory_check(const mdl_memory_plan *plan) MDL_MUST_CHECK;
/* limit 0: what the device says that it has, if anything.  Also where it does not fit the status is
 * MDL_OK (out->fits), but MDL_MEMORY_LIMIT where a single tensor is too large for the device. */
mdl_status mdl_train_plan(const mdl_model_config *model, const mdl_train_config *train,
                          mdl_device *device, size_t limit, mdl_memory_plan *out) MDL_MUST_CHECK;

#endif
