/* BatchNorm statistics estimated anew from training images, as after averaging weights (Izmailov et
 * al. 2018, SWA): the cumulative average of the batches' means and variances.  The images are not
 * augmented; their order is shuffled, so that no batch is of one class. */
#include "train/train_internal.h"

struct mdl_recalibrator {
    mdl__built built;
    mdl_run *run;
    mdl_loader *loader;
    size_t batches, image, batch;
    bool needed; /* the model has running statistics */
};

/* Prepared images up to this many elements are kept by the loader. */
#define MDL_KEEP_LIMIT ((size_t)1 << 24)

static mdl_status create(mdl_recalibrator *r, const mdl_model_config *model, const mdl_data *data,
                         mdl_device *device, size_t batch, size_t limit)
{
    size_t count = data->count[MDL_SPLIT_TRAIN];
    MDL_TRY(mdl__check_data(model, data));
    if (count == 0)
        return mdl_fail(MDL_CONFIG, "the train split has no images to estimate statistics from");
    r->batch = mdl_min_size(batch > 0 ? batch : 128, count);
    r->image = data->height * data->width * data->channels;
    MDL_TRY(mdl__build(model, MDL_MODE_RECALIBRATE, r->batch, NULL, 0, false, device, &r->built));
    for (size_t i = 0; i < mdl_graph_buffer_count(r->built.graph); i++)
        r->needed |= mdl_graph_buffer_at(r->built.graph, i)->role == MDL_ROLE_VAR;
    if (!r->needed)
        return MDL_OK;
    mdl_loader_options options = {.split = MDL_SPLIT_TRAIN,
                                  .batch = r->batch,
                                  .shuffle = true,
                                  .drop_last = true,
                                  .wide = device->real == MDL_F64,
                                  .keep_in_memory = count * r->image <= MDL_KEEP_LIMIT};
    MDL_TRY(mdl_loader_create(data, &options, &r->loader));
    r->batches = mdl_loader_batches(r->loader);
    if (limit > 0)
        r->batches = mdl_min_size(r->batches, (limit + r->batch - 1) / r->batch);
    return mdl_run_create(r->built.plan, &r->run);
}

mdl_status mdl_recalibrator_create(const mdl_model_config *model, const mdl_data *data,
                                   mdl_device *device, size_t batch, size_t limit,
                                   mdl_recalibrator **out)
{
    mdl_recalibrator *r = NULL;
    *out = NULL;
    MDL_TRY(MDL_NEW((size_t)1, "recalibrator", &r));
    mdl_status status = create(r, model, data, device, batch, limit);
    if (status != MDL_OK) {
        mdl_recalibrator_destroy(r);
        return status;
    }
    *out = r;
    return MDL_OK;
}

void mdl_recalibrator_destroy(mdl_recalibrator *r)
{
    if (r == NULL)
        return;
    mdl_loader_destroy(r->loader);
    mdl_run_destroy(r->run);
    mdl__built_destroy(&r->built);
    mdl_free(r);
}

mdl_status mdl_recalibrator_run(mdl_recalibrator *r, mdl_weights *weights)
{
    mdl_batch batch;
    if (!r->needed)
        return MDL_OK;
    MDL_TRY(mdl_run_bind(r->run, weights->params, weights->buffers, NULL));
    MDL_TRY(mdl_loader_start(r->loader, 0, 0));
    mdl_view images = mdl_run_view(r->run, r->built.io.images);
    for (size_t k = 0; k < r->batches; k++) {
        /* momentum 1 / (k + 1): after each batch the average of all so far */
        *mdl_run_state(r->run) = (mdl_step_state){.bn_momentum = 1 / (double)(k + 1)};
        MDL_TRY(mdl_loader_next(r->loader, &batch));
        MDL_TRY(mdl__upload_images(&images, batch.images, 0, r->batch * r->image));
        MDL_TRY(mdl_run_step(r->run));
    }
    return MDL_OK;
}

mdl_status mdl_recalibrate_once(const mdl_model_config *model, const mdl_data *data,
                                mdl_device *device, size_t batch, size_t limit,
                                mdl_weights *weights)
{
    mdl_recalibrator *r = NULL;
    MDL_TRY(mdl_recalibrator_create(model, data, device, batch, limit, &r));
    mdl_status status = mdl_recalibrator_run(r, weights);
    mdl_recalibrator_destroy(r);
    return status;
}
