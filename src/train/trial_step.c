/* One step by itself, with all that it needs to run: synthetic images, weights as initialised. */
#include <math.h>

#include "train/train.h"

static mdl_view flat(mdl_buffer *buffer, size_t elements)
{
    return mdl_buffer_view(buffer, 0, buffer->device->real, MDL_SHAPE1(elements));
}

static mdl_status make_batch(mdl_trial_step *t, size_t batch, size_t classes)
{
    mdl_view images = mdl_run_view(t->run, t->step.io.images);
    size_t count = mdl_shape_count(&images.shape);
    mdl_rng rng = mdl_rng_init(0, MDL_STREAM_SYNTHETIC);
    MDL_TRY(MDL_NEW(count, "images", &t->images));
    for (size_t i = 0; i < count; i++)
        t->images[i] = (float)mdl_rng_normal(&rng);
    if (t->step.io.labels == MDL_NONE)
        return MDL_OK;
    MDL_TRY(MDL_NEW(batch, "labels", &t->labels));
    for (size_t i = 0; i < batch; i++)
        t->labels[i] = (int32_t)mdl_rng_below(&rng, classes);
    return MDL_OK;
}

mdl_status mdl_trial_step_feed(mdl_trial_step *t)
{
    mdl_view images = mdl_run_view(t->run, t->step.io.images);
    MDL_TRY(mdl_view_upload_f32(&images, t->images, mdl_shape_count(&images.shape)));
    if (t->labels == NULL)
        return MDL_OK;
    mdl_view labels = mdl_run_view(t->run, t->step.io.labels);
    return mdl_view_upload_i32(&labels, t->labels, mdl_shape_count(&labels.shape));
}

mdl_status mdl_trial_step_open(mdl_device *device, const mdl_model_config *model, bool train,
                               size_t batch, bool mixed, mdl_trial_step *t)
{
    t->train = train;
    MDL_TRY(mdl_single_step_create(model, device, train, batch, 0, mixed, &t->step));
    t->n_params = mdl_graph_params_size(t->step.graph);
    t->segment = (mdl_segment){0, t->n_params, 1, 1};
    size_t bytes = t->n_params * mdl_dtype_size(device->real);
    MDL_TRY(mdl_run_create(t->step.plan, &t->run));
    MDL_TRY(mdl_weights_create(t->step.graph, device, &t->weights));
    MDL_TRY(mdl_weights_init(t->step.graph, 1, &t->weights));
    if (train) {
        MDL_TRY(mdl_buffer_create(device, bytes, "gradients", &t->gradients));
        MDL_TRY(mdl_buffer_create(device, bytes, "moments", &t->moments[0]));
        MDL_TRY(mdl_buffer_create(device, bytes, "moments", &t->moments[1]));
    }
    MDL_TRY(mdl_run_bind(t->run, t->weights.params, t->weights.buffers, t->gradients));
    *mdl_run_state(t->run) = (mdl_step_state){.seed = 1, .bn_momentum = -1};
    MDL_TRY(make_batch(t, batch, model->classes));
    return mdl_trial_step_feed(t);
}

void mdl_trial_step_close(mdl_trial_step *t)
{
    mdl_free(t->images);
    mdl_free(t->labels);
    mdl_buffer_destroy(t->scratch.buffer);
    mdl_buffer_destroy(t->gradients);
    mdl_buffer_destroy(t->moments[0]);
    mdl_buffer_destroy(t->moments[1]);
    mdl_weights_destroy(&t->weights);
    mdl_run_destroy(t->run);
    mdl_single_step_destroy(&t->step);
}

mdl_status mdl_trial_step_run(mdl_trial_step *t)
{
    mdl_device *device = t->step.device;
    double loss;
    if (!t->train) {
        MDL_TRY(mdl_run_step(t->run));
        return device->backend->finish(device);
    }
    mdl_view grad = flat(t->gradients, t->n_params);
    mdl_attrs zero = {.fill = {0, MDL_SHAPE1(t->n_params)}};
    MDL_TRY(mdl_dispatch_now(device, &t->scratch, MDL_OP_FILL, &zero, NULL, 0, &grad, 1));
    MDL_TRY(mdl_run_step(t->run));
    mdl_view value = mdl_run_view(t->run, t->step.io.loss);
    MDL_TRY(mdl_view_download_f64(&value, &loss, 1));
    uint64_t steps = ++mdl_run_state(t->run)->step;
    mdl_attrs adamw = {.optim = {.lr = 1e-3,
                                 .beta1 = 0.9,
                                 .beta2 = 0.999,
                                 .eps = 1e-8,
                                 .weight_decay = 0.01,
                                 .correction1 = 1 - pow(0.9, (double)steps),
                                 .correction2 = 1 - pow(0.999, (double)steps),
                                 .grad_scale = 1,
                                 .segments = &t->segment,
                                 .n_segments = 1}};
    mdl_view out[3] = {flat(t->weights.params, t->n_params), flat(t->moments[0], t->n_params),
                       flat(t->moments[1], t->n_params)};
    MDL_TRY(mdl_dispatch_now(device, &t->scratch, MDL_OP_ADAMW, &adamw, &grad, 1, out, 3));
    return device->backend->finish(device);
}
