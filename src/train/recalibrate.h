/* BatchNorm statistics of weights that were not trained but made. */
#ifndef MDL_TRAIN_RECALIBRATE_H
#define MDL_TRAIN_RECALIBRATE_H

#include "checkpoint/checkpoint.h"
#include "data/data.h"
#include "models/models.h"

/* Re-estimate BatchNorm statistics over (at most `limit`, 0: all) training images, without
 * augmentation: cumulative average of batch statistics. */
mdl_status mdl_recalibrate_once(const mdl_model_config *model, const mdl_data *data,
                                mdl_device *device, size_t batch, size_t limit,
                                mdl_weights *weights) MDL_MUST_CHECK;

/* The same for many sets of weights: graph, plan and prepared images are made once. */
typedef struct mdl_recalibrator mdl_recalibrator;
mdl_status mdl_recalibrator_create(const mdl_model_config *model, const mdl_data *data,
                                   mdl_device *device, size_t batch, size_t limit,
                                   mdl_recalibrator **out) MDL_MUST_CHECK;
void mdl_recalibrator_destroy(mdl_recalibrator *recalibrator); /* NULL is allowed */
mdl_status mdl_recalibrator_run(mdl_recalibrator *recalibrator,
                                mdl_weights *weights) MDL_MUST_CHECK;

#endif
