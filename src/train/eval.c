/* Evaluation: what a set of weights does on the images of a split.  Graph, plan and arena are made
 * once and serve any number of weights.  The last batch is padded and the padding ignored. */
#include "train/train_internal.h"

#include <math.h>
#include <string.h>

struct mdl_evaluator {
    mdl_evaluator_options options;
    bool halt, stablemax; /* the model's */
    size_t batch, batches, count, classes;
    bool borrows; /* built, images, labels and order are another evaluator's */
    mdl__built built;
    mdl_run *run;
    mdl_loader *loader;                          /* NULL where the images are on the device */
    mdl_buffer *images, *labels;                 /* all batches, on the device; else NULL */
    mdl_buffer *images_as_read, *labels_as_read; /* where `images` may be reordered; else NULL */
    uint32_t *order;                             /* [batches * batch], the image at each place */
    int32_t *host_labels; /* [batches * batch] as they were read, -1 in the padding */
    float *correct;       /* [batch], of the last batch */
    double *losses;       /* [batch], likewise */
    double *step_logits;  /* [n_steps, batch, classes]; NULL where one step is all there is */
    float *step_q;        /* [n_steps, batch]; NULL where the model has none */
};

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
    size_t steps = (size_t)e->built.io.n_steps;
    MDL_TRY(MDL_NEW(e->batch, "correct answers", &e->correct));
    MDL_TRY(MDL_NEW(e->batch, "losses", &e->losses));
    if (steps > 1)
        MDL_TRY(MDL_NEW(steps * e->batch * e->classes, "logits of the steps", &e->step_logits));
    if (e->built.io.step_q[0] != MDL_NONE)
        MDL_TRY(MDL_NEW(steps * e->batch, "halting logits", &e->step_q));
    return MDL_OK;
}

static mdl_status create(mdl_evaluator *e, const mdl_model_config *model, const mdl_data *data,
                         mdl_device *device)
{
    static const char *const names[] = {"train", "validation", "test"};
    MDL_TRY(mdl__check_data(model, data));
    if (e->options.reorders && e->options.keep_logits)
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
    e->correct = NULL;
    e->losses = NULL;
    e->step_logits = NULL;
    e->step_q = NULL;
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
    mdl_free(e->correct);
    mdl_free(e->losses);
    mdl_free(e->step_logits);
    mdl_free(e->step_q);
    mdl_free(e);
}

const mdl_graph *mdl_evaluator_graph(const mdl_evaluator *e)
{
    return e->built.graph;
}

/* ---- scores --------------------------------------------------------------------------------- */

/* Room for whole batches, so that a batch of logits is read straight into its place. */
static mdl_status create_scores(const mdl_evaluator *e, mdl_scores *s)
{
    size_t room = e->batches * e->batch, steps = (size_t)e->built.io.n_steps;
    MDL_TRY(MDL_NEW(room, "correct answers", &s->correct));
    MDL_TRY(MDL_NEW(room, "losses", &s->losses));
    if (e->options.keep_logits)
        MDL_TRY(MDL_NEW(room * e->classes, "logits", &s->logits));
    if (e->step_q != NULL)
        MDL_TRY(MDL_NEW(room * steps, "halting logits", &s->q));
    s->count = e->count;
    s->classes = e->classes;
    s->n_steps = steps;
    return MDL_OK;
}

/* Sample i of the batch: at which step it stops, the last where it does not halt. */
static size_t stopping_step(const mdl_evaluator *e, size_t i)
{
    size_t last = (size_t)e->built.io.n_steps - 1;
    if (!e->halt || e->step_q == NULL)
        return last;
    for (size_t s = 0; s < last; s++)
        if (e->step_q[s * e->batch + i] > 0)
            return s;
    return last;
}

/* Accuracy after each step, and, where samples halt, their answers from the step they stop at. */
static void collect_steps(const mdl_evaluator *e, size_t first, size_t n, mdl_scores *s)
{
    size_t steps = s->n_steps, classes = e->classes;
    for (size_t i = 0; i < n; i++) {
        size_t at = e->order[first + i];
        size_t stop = stopping_step(e, i), label = (size_t)e->host_labels[at];
        s->mean_steps += (double)(stop + 1);
        for (size_t k = 0; k < steps; k++) {
            const double *logits = e->step_logits + (k * e->batch + i) * classes;
            bool right = mdl__argmax(logits, classes) == label;
            s->step_top1[k] += right;
            if (k != stop || !e->halt)
                continue;
            s->correct[at] = right ? 1 : 0;
            s->losses[at] = mdl__loss_of(logits, classes, label, e->stablemax);
            if (s->logits != NULL)
                memcpy(s->logits + at * classes, logits, classes * sizeof(*logits));
        }
    }
}

static mdl_status read_steps(const mdl_evaluator *e, size_t first, size_t n, mdl_scores *s)
{
    const mdl_model_io *io = &e->built.io;
    for (size_t k = 0; k < s->n_steps; k++) {
        if (e->step_logits != NULL) {
            mdl_view logits = mdl_run_view(e->run, io->step_logits[k]);
            MDL_TRY(mdl_view_download_f64(&logits, e->step_logits + k * e->batch * e->classes,
                                          e->batch * e->classes));
        }
        if (e->step_q != NULL) {
            mdl_view q = mdl_run_view(e->run, io->step_q[k]);
            MDL_TRY(mdl_view_download_f32(&q, e->step_q + k * e->batch, e->batch));
            for (size_t i = 0; i < n; i++)
                s->q[e->order[first + i] * s->n_steps + k] = e->step_q[k * e->batch + i];
        }
    }
    if (e->step_logits != NULL)
        collect_steps(e, first, n, s);
    return MDL_OK;
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
    const mdl_model_io *io = &e->built.io;
    size_t first = b * e->batch, n = mdl_min_size(e->batch, e->count - first);
    *mdl_run_state(e->run) = (mdl_step_state){.bn_momentum = -1};
    MDL_TRY(feed(e, b));
    MDL_TRY(mdl_run_step(e->run));
    mdl_view correct = mdl_run_view(e->run, io->correct);
    mdl_view losses = mdl_run_view(e->run, io->losses);
    MDL_TRY(mdl_view_download_f32(&correct, e->correct, e->batch));
    MDL_TRY(mdl_view_download_f64(&losses, e->losses, e->batch));
    for (size_t i = 0; i < n; i++) {
        s->correct[e->order[first + i]] = e->correct[i];
        s->losses[e->order[first + i]] = e->losses[i];
    }
    if (s->logits != NULL) {
        mdl_view logits = mdl_run_view(e->run, io->logits);
        MDL_TRY(
            mdl_view_download_f64(&logits, s->logits + first * e->classes, e->batch * e->classes));
    }
    MDL_TRY(read_steps(e, first, n, s));
    /* The largest of logits among which one is no number is no answer. */
    for (size_t i = 0; i < n; i++)
        if (!isfinite(s->losses[e->order[first + i]]))
            s->correct[e->order[first + i]] = 0;
    return MDL_OK;
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
    *complete = false;
    if (s->correct == NULL)
        MDL_TRY(create_scores(e, s));
    s->top1 = s->loss = s->mean_steps = 0;
    memset(s->step_top1, 0, sizeof(s->step_top1));
    MDL_TRY(mdl_run_bind(e->run, weights->params, weights->buffers, NULL));
    if (e->loader != NULL)
        MDL_TRY(mdl_loader_start(e->loader, 0, 0));
    for (size_t b = 0; b < e->batches; b++) {
        MDL_TRY(run_batch(e, b, s));
        if (watch != NULL && b + 1 < e->batches &&
            !watch(user, s, e->order + b * e->batch, e->batch))
            return MDL_OK;
    }
    *complete = true;
    for (size_t i = 0; i < e->count; i++) {
        s->top1 += (double)s->correct[i];
        s->loss += s->losses[i];
    }
    double n = (double)e->count;
    s->top1 /= n;
    s->loss /= n;
    for (size_t k = 0; k < s->n_steps; k++)
        s->step_top1[k] = e->step_logits != NULL ? s->step_top1[k] / n : s->top1;
    s->mean_steps = e->step_logits != NULL ? s->mean_steps / n : (double)s->n_steps;
    return MDL_OK;
}
