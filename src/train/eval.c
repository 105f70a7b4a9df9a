/* Evaluation: what a set of weights does on the images of a split.  Graph, plan and arena are made
 * once and serve any number of weights.  The last batch is padded and the padding ignored. */
#include "train/train_internal.h"

#include <math.h>
#include <string.h>

/* Splits up to this many elements (the raw digits) are cut into few batches, whose activations in a
 * small network stay in a processor's second-level cache. */
#define MDL_SMALL_SPLIT ((size_t)1 << 18)
#define MDL_SMALL_BATCH 240
/* Prepared images up to this many elements are kept by the loader. */
#define MDL_KEEP_LIMIT ((size_t)1 << 24)

static size_t default_batch(size_t count, size_t image)
{
    if (count * image > MDL_SMALL_SPLIT)
        return mdl_min_size(count, 128);
    size_t batches = (count + MDL_SMALL_BATCH - 1) / MDL_SMALL_BATCH;
    return (count + batches - 1) / batches;
}

size_t mdl__evaluated(const mdl_data *data, size_t count, size_t batch)
{
    if (count == 0)
        return 0;
    if (batch == 0)
        batch = default_batch(count, data->height * data->width * data->channels);
    return (count + batch - 1) / batch * batch;
}

static mdl_status create_images_on(mdl_evaluator *e, mdl_device *device, size_t image,
                                   mdl_buffer **images, mdl_buffer **labels)
{
    size_t real = mdl_dtype_size(device->real), all = e->batches * e->batch;
    MDL_TRY(mdl_buffer_create_slabs(device, all * image * real, "images of a split", images));
    return mdl_buffer_create(device, all * sizeof(int32_t), "labels of a split", labels);
}

/* Prepare all images once and leave them on the device. */
static mdl_status fill_device(mdl_evaluator *e, mdl_device *device, size_t image)
{
    size_t real = mdl_dtype_size(device->real), all = e->batches * e->batch;
    mdl_batch batch;
    MDL_TRY(create_images_on(e, device, image, &e->images, &e->labels));
    MDL_TRY(mdl_loader_start(e->loader, 0, 0));
    for (size_t b = 0; b < e->batches; b++) {
        MDL_TRY(mdl_loader_next(e->loader, &batch));
        mdl_view images = mdl_buffer_view(e->images, b * e->batch * image * real, device->real,
                                          MDL_SHAPE2(e->batch, image));
        mdl_view labels = mdl_buffer_view(e->labels, b * e->batch * sizeof(int32_t), MDL_I32,
                                          MDL_SHAPE1(e->batch));
        MDL_TRY(mdl__upload_images(&images, batch.images, 0, e->batch * image));
        MDL_TRY(mdl_view_upload_i32(&labels, batch.labels, e->batch));
    }
    mdl_loader_destroy(e->loader);
    e->loader = NULL;
    /* Elsewhere a copy an image is more than what a better order saves. */
    if (!e->options.reorders || !device->backend->host_memory)
        return MDL_OK;
    MDL_TRY(create_images_on(e, device, image, &e->images_as_read, &e->labels_as_read));
    MDL_TRY(mdl_buffer_copy(e->images_as_read, 0, e->images, 0, all * image * real));
    return mdl_buffer_copy(e->labels_as_read, 0, e->labels, 0, all * sizeof(int32_t));
}

static mdl_status create_loader(mdl_evaluator *e, const mdl_data *data, mdl_device *device)
{
    size_t image = data->height * data->width * data->channels;
    mdl_loader_options options = {.split = e->options.split,
                                  .batch = e->batch,
                                  .keep_in_memory = e->count * image <= MDL_KEEP_LIMIT &&
                                                    !e->options.keep_on_device,
                                  .wide = device->real == MDL_F64};
    return mdl_loader_create(data, &options, &e->loader);
}

static mdl_status create_images(mdl_evaluator *e, const mdl_data *data, mdl_device *device)
{
    size_t image = data->height * data->width * data->channels;
    MDL_TRY(create_loader(e, data, device));
    MDL_TRY(MDL_NEW(e->batches * e->batch, "labels of a split", &e->host_labels));
    MDL_TRY(MDL_NEW(e->batches * e->batch, "order of a split", &e->order));
    for (size_t i = 0; i < e->batches * e->batch; i++)
        e->order[i] = (uint32_t)i;
    for (size_t i = e->count; i < e->batches * e->batch; i++)
        e->host_labels[i] = -1;
    mdl_data_labels(data, e->options.split, e->host_labels);
    return e->options.keep_on_device ? fill_device(e, device, image) : MDL_OK;
}

static mdl_status create_room(mdl_evaluator *e)
{
    size_t steps = (size_t)e->built.io.n_steps, ranks = (size_t)e->comm->size;
    if (ranks > 1)
        MDL_TRY(MDL_NEW(ranks * (steps + 1), "counts of all ranks", &e->counts));
    MDL_TRY(MDL_NEW(e->batch, "correct answers", &e->correct));
    MDL_TRY(MDL_NEW(e->batch, "losses", &e->losses));
    if (steps > 1)
        MDL_TRY(MDL_NEW(steps * e->batch * e->classes, "logits of the steps", &e->step_logits));
    if (e->built.io.step_q[0] != MDL_NONE)
        MDL_TRY(MDL_NEW(steps * e->batch, "halting logits", &e->step_q));
    if (e->options.keep_answers && !e->options.keep_logits)
        MDL_TRY(MDL_NEW(e->batch * e->classes, "logits", &e->logits));
    return MDL_OK;
}

static mdl_status create(mdl_evaluator *e, const mdl_model_config *model, const mdl_data *data,
                         mdl_device *device)
{
    static const char *const names[] = {"train", "validation", "test"};
    MDL_TRY(mdl__check_data(model, data));
    if (e->options.reorders && (e->options.keep_logits || e->options.keep_answers))
        return mdl_fail(MDL_INVALID, "an evaluator that reorders images keeps no logits");
    e->count = data->count[e->options.split];
    if (e->count == 0)
        return mdl_fail(MDL_CONFIG, "the %s split has no images (%s)", names[e->options.split],
                        data->train == NULL
                            ? "only the test side was read"
                            : "data.validation_fraction takes a part of train for the "
                              "validation split");
    e->batch = e->options.batch;
    if (e->batch == 0)
        e->batch = default_batch(e->count, data->height * data->width * data->channels);
    e->batches = (e->count + e->batch - 1) / e->batch;
    e->comm = e->options.comm != NULL ? e->options.comm : mdl_comm_single();
    e->part = (e->batches + (size_t)e->comm->size - 1) / (size_t)e->comm->size;
    e->classes = model->classes;
    e->halt = mdl_model_def_of(model->kind)->recursive && model->trm.halt;
    e->stablemax = model->trm.stablemax;
    MDL_TRY(mdl__build(model, MDL_MODE_INFER, e->batch, NULL, e->options.steps, false, device,
                       &e->built));
    MDL_TRY(mdl_run_create_in(e->built.plan, e->options.share, &e->run));
    MDL_TRY(create_room(e));
    return create_images(e, data, device);
}

mdl_status mdl_evaluator_twin(const mdl_evaluator *of, const mdl_data *data, mdl_device *device,
                              mdl_evaluator **out)
{
    mdl_evaluator *e = NULL;
    *out = NULL;
    MDL_TRY(MDL_NEW((size_t)1, "evaluator", &e));
    *e = *of;
    e->borrows = true;
    e->run = NULL;
    e->loader = NULL;
    e->counts = NULL;
    e->correct = NULL;
    e->losses = NULL;
    e->step_logits = NULL;
    e->step_q = NULL;
    e->logits = NULL;
    mdl_status status = mdl_run_create_on(e->built.plan, device, &e->run);
    if (status == MDL_OK)
        status = create_room(e);
    if (status == MDL_OK && e->images == NULL)
        status = create_loader(e, data, device);
    if (status != MDL_OK) {
        mdl_evaluator_destroy(e);
        return status;
    }
    *out = e;
    return MDL_OK;
}

mdl_status mdl_evaluator_order(mdl_evaluator *e, const uint32_t *order)
{
    if (e->images_as_read == NULL)
        return MDL_OK;
    mdl_view images = mdl_run_view(e->run, e->built.io.images);
    size_t image = mdl_shape_count(&images.shape) / e->batch * mdl_dtype_size(images.dtype);
    for (size_t i = 0; i < e->count; i++) {
        size_t from = order[i];
        e->order[i] = order[i];
        MDL_TRY(mdl_buffer_copy(e->images, i * image, e->images_as_read, from * image, image));
        MDL_TRY(mdl_buffer_copy(e->labels, i * sizeof(int32_t), e->labels_as_read,
                                from * sizeof(int32_t), sizeof(int32_t)));
    }
    return MDL_OK;
}

size_t mdl_evaluator_bytes(const mdl_evaluator *e)
{
    return mdl_plan_arena_bytes(e->built.plan);
}

mdl_status mdl_evaluator_create(const mdl_model_config *model, const mdl_data *data,
                                mdl_device *device, const mdl_evaluator_options *options,
                                mdl_evaluator **out)
{
    mdl_evaluator *e = NULL;
    *out = NULL;
    MDL_TRY(MDL_NEW((size_t)1, "evaluator", &e));
    e->options = *options;
    mdl_status status = create(e, model, data, device);
    if (status != MDL_OK) {
        mdl_evaluator_destroy(e);
        return status;
    }
    *out = e;
    return MDL_OK;
}

void mdl_evaluator_destroy(mdl_evaluator *e)
{
    if (e == NULL)
        return;
    mdl_loader_destroy(e->loader);
    mdl_run_destroy(e->run);
    if (!e->borrows) {
        mdl_buffer_destroy(e->images);
        mdl_buffer_destroy(e->labels);
        mdl_buffer_destroy(e->images_as_read);
        mdl_buffer_destroy(e->labels_as_read);
        mdl_free(e->order);
        mdl__built_destroy(&e->built);
        mdl_free(e->host_labels);
    }
    mdl_free(e->counts);
    mdl_free(e->correct);
    mdl_free(e->losses);
    mdl_free(e->step_logits);
    mdl_free(e->step_q);
    mdl_free(e->logits);
    mdl_free(e);
}

const mdl_graph *mdl_evaluator_graph(const mdl_evaluator *e)
{
    return e->built.graph;
}

/* ---- running -------------------------------------------------------------------------------- */

static mdl_status feed(mdl_evaluator *e, size_t b)
{
    mdl_view images = mdl_run_view(e->run, e->built.io.images);
    mdl_view labels = mdl_run_view(e->run, e->built.io.labels);
    size_t elements = mdl_shape_count(&images.shape);
    if (e->images != NULL) {
        size_t bytes = elements * mdl_dtype_size(images.dtype), ints = e->batch * sizeof(int32_t);
        MDL_TRY(mdl_buffer_copy(images.buffer, images.offset, e->images, b * bytes, bytes));
        return mdl_buffer_copy(labels.buffer, labels.offset, e->labels, b * ints, ints);
    }
    mdl_batch batch;
    MDL_TRY(mdl_loader_next(e->loader, &batch));
    MDL_TRY(mdl__upload_images(&images, batch.images, 0, elements));
    return mdl_view_upload_i32(&labels, batch.labels, e->batch);
}

static mdl_status run_batch(mdl_evaluator *e, size_t b, mdl_scores *s)
{
    *mdl_run_state(e->run) = (mdl_step_state){.bn_momentum = -1};
    MDL_TRY(feed(e, b));
    MDL_TRY(mdl_run_step(e->run));
    return mdl__batch_read(e, b, s);
}

/* Those of this rank.  *complete: `watch` did not end it. */
static mdl_status run_batches(mdl_evaluator *e, mdl_evaluator_watch watch, void *user,
                              mdl_scores *s, bool *complete)
{
    size_t first, end;
    mdl__eval_part(e, &first, &end);
    if (e->loader != NULL && first < end)
        MDL_TRY(mdl_loader_start(e->loader, 0, first));
    for (size_t b = first; b < end; b++) {
        MDL_TRY(run_batch(e, b, s));
        if (watch != NULL && b + 1 < end && !watch(user, s, e->order + b * e->batch, e->batch))
            return MDL_OK;
    }
    *complete = true;
    return MDL_OK;
}

static void add_up(const mdl_evaluator *e, mdl_scores *s)
{
    double n = (double)e->count;
    for (size_t i = 0; i < e->count; i++) {
        s->top1 += (double)s->correct[i];
        s->loss += s->losses[i];
    }
    s->top1 /= n;
    s->loss /= n;
    for (size_t k = 0; k < s->n_steps; k++)
        s->step_top1[k] = e->step_logits != NULL ? s->step_top1[k] / n : s->top1;
    s->mean_steps = e->step_logits != NULL ? s->mean_steps / n : (double)s->n_steps;
}

mdl_status mdl_evaluator_run(mdl_evaluator *e, const mdl_weights *weights, mdl_scores *s)
{
    bool complete;
    return mdl_evaluator_run_while(e, weights, NULL, NULL, s, &complete);
}

mdl_status mdl_evaluator_run_while(mdl_evaluator *e, const mdl_weights *weights,
                                   mdl_evaluator_watch watch, void *user, mdl_scores *s,
                                   bool *complete)
{
    mdl_status status = s->correct == NULL ? mdl__scores_create(e, s) : MDL_OK;
    *complete = false;
    s->top1 = s->loss = s->mean_steps = 0;
    memset(s->step_top1, 0, sizeof(s->step_top1));
    if (status == MDL_OK)
        status = mdl_run_bind(e->run, weights->params, weights->buffers, NULL);
    if (status == MDL_OK)
        status = run_batches(e, watch, user, s, complete);
    MDL_TRY(mdl__eval_share(e, status, s));
    if (*complete)
        add_up(e, s);
    return MDL_OK;
}
