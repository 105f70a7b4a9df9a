/* Activation matching (Ainsworth, Hayase & Srinivasa 2022, section 3.1; the same correlations as Li
 * et al. 2015): channels of two networks correspond where they answer alike to the same images.
 * Channels are standardised over each batch, multiplied, and the products averaged over batches;
 * all of it on the device. */
#include <math.h>

#include "merge/align_internal.h"

enum { BATCH = 64 };
static const double standard_eps = 1e-10; /* a channel that never changes becomes 0 */

typedef struct watched { /* a group's tensor in both networks */
    const mdl_group *group;
    size_t rows, width;  /* of the tensor, seen as a matrix */
    mdl_buffer *product; /* [width, width], of this batch */
    mdl_buffer *average; /* [width, width], of all so far */
} watched;

typedef struct watcher {
    const mdl_merge_job *job;
    mdl_graph *graph;
    mdl_model_io io;
    mdl_plan *plan;
    mdl_run *run[2];
    mdl_loader *loader;
    mdl_groups groups;
    watched *watched;        /* [groups] */
    mdl_buffer *standard[2]; /* standardised tensors */
    mdl_buffer *vectors;     /* six of the widest: gamma, beta, mean, variance, and two outputs */
    size_t batch, batches, widest;
    mdl_scratch scratch;
} watcher;

static mdl_status build(watcher *w)
{
    const mdl_merge_job *job = w->job;
    mdl_plan_options options = {0};
    MDL_TRY(mdl_graph_create(job->device->real, &w->graph));
    MDL_TRY(mdl_model_build(job->model, MDL_MODE_INFER, w->batch, 0, 0, w->graph, &w->io));
    MDL_TRY(mdl_graph_groups(w->graph, &w->groups));
    for (size_t g = 0; g < w->groups.count; g++)
        mdl_graph_output(w->graph, w->groups.group[g].tensor);
    MDL_TRY(mdl_graph_status(w->graph));
    MDL_TRY(mdl_plan_create(w->graph, job->device, &options, &w->plan));
    for (size_t i = 0; i < 2; i++)
        MDL_TRY(mdl_run_create(w->plan, &w->run[i]));
    return MDL_OK;
}

static mdl_status create_buffers(watcher *w)
{
    mdl_device *device = w->job->device;
    size_t real = mdl_dtype_size(device->real), largest = 1;
    w->widest = 1;
    MDL_TRY(MDL_NEW(w->groups.count + 1, "watched channels", &w->watched));
    for (size_t g = 0; g < w->groups.count; g++) {
        watched *x = &w->watched[g];
        x->group = &w->groups.group[g];
        if (x->group->tensor == MDL_NONE)
            continue;
        const mdl_shape *shape = &mdl_graph_desc(w->graph, x->group->tensor)->shape;
        x->width = mdl_shape_last(shape);
        x->rows = mdl_shape_rows(shape);
        size_t bytes = x->width * x->width * real;
        MDL_TRY(mdl_buffer_create(device, bytes, "alignment", &x->product));
        MDL_TRY(mdl_buffer_create(device, bytes, "alignment", &x->average));
        largest = mdl_max_size(largest, x->rows * x->width);
        w->widest = mdl_max_size(w->widest, x->width);
    }
    for (size_t i = 0; i < 2; i++)
        MDL_TRY(mdl_buffer_create(device, largest * real, "alignment", &w->standard[i]));
    return mdl_buffer_create(device, 6 * w->widest * real, "alignment", &w->vectors);
}

static mdl_view vector(const watcher *w, size_t which, size_t width)
{
    mdl_dtype real = w->job->device->real;
    return mdl_buffer_view(w->vectors, which * w->widest * mdl_dtype_size(real), real,
                           MDL_SHAPE1(width));
}

static mdl_status fill(watcher *w, size_t which, size_t width, double value)
{
    mdl_view y = vector(w, which, width);
    const mdl_attrs attrs = {.fill = {.value = value, .shape = MDL_SHAPE1(width)}};
    return mdl_dispatch_now(w->job->device, &w->scratch, MDL_OP_FILL, &attrs, NULL, 0, &y, 1);
}

/* Standardise the tensor of network i over the batch: a BatchNorm with scale 1 and shift 0. */
static mdl_status standardise(watcher *w, const watched *x, size_t i, mdl_view *out)
{
    mdl_device *device = w->job->device;
    mdl_view from = mdl_run_view(w->run[i], x->group->tensor);
    mdl_shape shape = MDL_SHAPE2(x->rows, x->width);
    const mdl_attrs attrs = {.norm = {.eps = standard_eps}};
    for (size_t v = 0; v < 4; v++)
        MDL_TRY(fill(w, v, x->width, v == 0 || v == 3 ? 1 : 0));
    *out = mdl_buffer_view(w->standard[i], 0, device->real, shape);
    mdl_view in[5] = {mdl_buffer_view(from.buffer, from.offset, device->real, shape)};
    for (size_t v = 0; v < 4; v++)
        in[1 + v] = vector(w, v, x->width);
    mdl_view outs[3] = {*out, vector(w, 4, x->width), vector(w, 5, x->width)};
    return mdl_dispatch_now(device, &w->scratch, MDL_OP_BATCH_NORM, &attrs, in, 5, outs, 3);
}

/* After batch number k of both networks. */
static mdl_status collect(watcher *w, const watched *x, size_t k)
{
    mdl_device *device = w->job->device;
    mdl_view in[2];
    mdl_shape shape = MDL_SHAPE2(x->width, x->width);
    mdl_view product = mdl_buffer_view(x->product, 0, device->real, shape);
    for (size_t i = 0; i < 2; i++)
        MDL_TRY(standardise(w, x, i, &in[i]));
    MDL_TRY(
        mdl_dispatch_now(device, &w->scratch, MDL_OP_LINEAR_GRAD_WEIGHT, NULL, in, 2, &product, 1));
    mdl_shape flat = MDL_SHAPE1(x->width * x->width);
    mdl_view from = mdl_buffer_view(x->product, 0, device->real, flat);
    mdl_view to = mdl_buffer_view(x->average, 0, device->real, flat);
    const mdl_attrs attrs = {.lerp = {.t = 1 / (double)(k + 1)}};
    return mdl_dispatch_now(device, &w->scratch, MDL_OP_LERP, &attrs, &from, 1, &to, 1);
}

static mdl_status watch(watcher *w)
{
    mdl_batch batch;
    MDL_TRY(mdl_loader_start(w->loader, 0, 0));
    for (size_t k = 0; k < w->batches; k++) {
        MDL_TRY(mdl_loader_next(w->loader, &batch));
        for (size_t i = 0; i < 2; i++) {
            mdl_view images = mdl_run_view(w->run[i], w->io.images);
            size_t count = mdl_shape_count(&images.shape);
            *mdl_run_state(w->run[i]) = (mdl_step_state){.bn_momentum = -1};
            MDL_TRY(images.dtype == MDL_F64 ? mdl_view_upload_f64(&images, batch.images, count)
                                            : mdl_view_upload_f32(&images, batch.images, count));
            mdl_view labels = mdl_run_view(w->run[i], w->io.labels);
            MDL_TRY(mdl_view_upload_i32(&labels, batch.labels, w->batch));
            MDL_TRY(mdl_run_step(w->run[i]));
        }
        for (size_t g = 0; g < w->groups.count; g++) {
            if (w->watched[g].width > 0)
                MDL_TRY(collect(w, &w->watched[g], k));
        }
    }
    return MDL_OK;
}

/* The places of a group among the channels of its tensor, matched. */
static mdl_status match_group(const watcher *w, const watched *x, uint32_t *match)
{
    size_t n = x->group->size, width = x->width;
    double *all = NULL, *gain = NULL;
    mdl_view view = mdl_buffer_view(x->average, 0, w->job->device->real, MDL_SHAPE2(width, width));
    mdl_status status = MDL_NEW(width * width, "correlations", &all);
    if (status == MDL_OK)
        status = MDL_NEW(n * n, "correlations", &gain);
    if (status == MDL_OK)
        status = mdl_view_download_f64(&view, all, width * width);
    for (size_t i = 0; i < n && status == MDL_OK; i++) {
        for (size_t j = 0; j < n; j++)
            gain[i * n + j] = all[x->group->tensor_at[i] * width + x->group->tensor_at[j]];
    }
    for (size_t i = 0; i < n * n && status == MDL_OK; i++)
        if (!isfinite(gain[i]))
            status = mdl_fail(MDL_NUMERIC,
                              "activations of one of the models overflow on these images, so that "
                              "its channels cannot be matched by them (`method=weights` looks at "
                              "no images)");
    if (status == MDL_OK)
        status = mdl__assign(gain, n, match);
    mdl_free(all);
    mdl_free(gain);
    return status;
}

static mdl_status match_all(watcher *w, size_t images, const mdl_weights *a, const mdl_weights *b,
                            uint32_t *const *match)
{
    const mdl_data *data = w->job->data;
    mdl_loader_options options = {.split = MDL_SPLIT_TRAIN,
                                  .batch = w->batch,
                                  .shuffle = true,
                                  .drop_last = true,
                                  .wide = w->job->device->real == MDL_F64};
    MDL_TRY(build(w));
    MDL_TRY(create_buffers(w));
    MDL_TRY(mdl_loader_create(data, &options, &w->loader));
    w->batches = mdl_min_size(mdl_loader_batches(w->loader), (images + w->batch - 1) / w->batch);
    MDL_TRY(mdl_run_bind(w->run[0], a->params, a->buffers, NULL));
    MDL_TRY(mdl_run_bind(w->run[1], b->params, b->buffers, NULL));
    MDL_TRY(watch(w));
    for (size_t g = 0; g < w->groups.count; g++) {
        if (w->watched[g].width > 0)
            MDL_TRY(match_group(w, &w->watched[g], match[g]));
    }
    return MDL_OK;
}

mdl_status mdl__match_activations(const mdl_merge_job *job, size_t images, const mdl_weights *a,
                                  const mdl_weights *b, uint32_t *const *match)
{
    watcher w = {.job = job};
    if (job->data == NULL || job->data->count[MDL_SPLIT_TRAIN] == 0)
        return mdl_fail(MDL_CONFIG, "matching by activations needs training images; give `data`");
    w.batch = mdl_min_size(BATCH, job->data->count[MDL_SPLIT_TRAIN]);
    mdl_status status = match_all(&w, images, a, b, match);
    mdl_loader_destroy(w.loader);
    for (size_t g = 0; g < w.groups.count && w.watched != NULL; g++) {
        mdl_buffer_destroy(w.watched[g].product);
        mdl_buffer_destroy(w.watched[g].average);
    }
    mdl_free(w.watched);
    for (size_t i = 0; i < 2; i++) {
        mdl_buffer_destroy(w.standard[i]);
        mdl_run_destroy(w.run[i]);
    }
    mdl_buffer_destroy(w.vectors);
    mdl_buffer_destroy(w.scratch.buffer);
    mdl_groups_free(&w.groups);
    mdl_plan_destroy(w.plan);
    mdl_graph_destroy(w.graph);
    return status;
}
