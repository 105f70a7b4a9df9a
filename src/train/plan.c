/* Graphs of a model with their plans, and what a training needs in memory.  The search for a way
 * into a memory limit: as it is, then with recomputation, then with smaller micro-batches. */
#include "train/train_internal.h"

#include <string.h>

/* PyTorch refuses the same: the one value is its own mean, and what comes out is beta. */
static mdl_status refuse_lone_norms(const mdl_graph *graph, const mdl_train_config *train,
                                    size_t batch)
{
    char name[96], more[48] = "";
    size_t found = mdl_graph_lone_norms(graph, name);
    if (found == 0)
        return MDL_OK;
    if (found > 1)
        snprintf(more, sizeof(more), " (and %zu more)", found - 1);
    if (train == NULL)
        return mdl_fail(MDL_CONFIG,
                        "the statistics of the BatchNorm layer %s%s cannot be estimated from "
                        "batches of %zu image, of which it sees one value a channel: more training "
                        "images are needed",
                        name, more, batch);
    return mdl_fail(MDL_CONFIG,
                    "the BatchNorm layer %s%s would see one value a channel, whose variance is 0, "
                    "and learn nothing: its maps are 1x1, and a batch of %zu (train.batch) runs in "
                    "micro-batches of %zu; make these at least 2 images (larger train.batch, "
                    "smaller train.accumulate), or the images larger (data.image_size)",
                    name, more, train->batch, batch);
}

mdl_status mdl__build(const mdl_model_config *model, mdl_mode mode, size_t batch,
                      const mdl_train_config *train, size_t steps, bool recompute,
                      mdl_device *device, mdl__built *out)
{
    memset(out, 0, sizeof(*out));
    mdl_plan_options options = {.recompute = recompute,
                                .mixed = train != NULL && train->precision == MDL_PRECISION_MIXED};
    mdl_status status = mdl_graph_create(device->real, &out->graph);
    if (status != MDL_OK)
        return status;
    double smoothing = train != NULL ? train->label_smoothing : 0;
    status = mdl_model_build(model, mode, batch, smoothing, steps, out->graph, &out->io);
    if (status != MDL_OK)
        goto fail;
    if (mode != MDL_MODE_INFER && (status = refuse_lone_norms(out->graph, train, batch)) != MDL_OK)
        goto fail;
    out->multiply_adds = mdl_graph_multiply_adds(out->graph) / (double)batch;
    if ((status = mdl_graph_fuse(out->graph)) != MDL_OK)
        goto fail;
    if (mode == MDL_MODE_TRAIN) {
        /* The gradients of the micro-batches add up to that of the mean over the batch. */
        double scale = train != NULL ? (double)batch / (double)train->batch : 1;
        if ((status = mdl_graph_backward(out->graph, out->io.loss, scale)) != MDL_OK)
            goto fail;
    }
    if ((status = mdl_graph_status(out->graph)) != MDL_OK)
        goto fail;
    if ((status = mdl_plan_create(out->graph, device, &options, &out->plan)) != MDL_OK)
        goto fail;
    return MDL_OK;
fail:
    mdl__built_destroy(out);
    return status;
}

void mdl__built_destroy(mdl__built *built)
{
    mdl_plan_destroy(built->plan);
    mdl_graph_destroy(built->graph);
    memset(built, 0, sizeof(*built));
}

mdl_status mdl__upload_images(const mdl_view *to, const void *images, size_t first, size_t count)
{
    const char *bytes = images;
    return mdl_view_stream(to, bytes + first * mdl_dtype_size(to->dtype), to->dtype, count);
}

static mdl_status transfers(const mdl_model_config *model, const mdl_train_config *train,
                            mdl_device *device, mdl__choice choice, mdl__built *built, size_t *out)
{
    size_t batch = (size_t)choice.micro_batch, real = mdl_dtype_size(device->real), norm;
    mdl_status status =
        mdl__optimizer_workspace(device, mdl_graph_trained_size(built->graph), &norm);
    size_t image = mdl_shape_count(&mdl_graph_desc(built->graph, built->io.images)->shape) / batch;
    *out = norm + sizeof(double) + device->backend->streams * batch * image * real +
           mdl__pending_bytes(train, model, device, batch);
    if (mdl_model_is_stepwise(model)) {
        size_t carry = mdl_shape_count(&mdl_graph_desc(built->graph, built->io.carry_y)->shape);
        *out += 2 * (train->batch / batch) * carry * real;
    }
    if (status != MDL_OK)
        mdl__built_destroy(built);
    return status;
}

mdl_status mdl__memory_with(const mdl_model_config *model, const mdl_train_config *train,
                            mdl_device *device, mdl__choice choice, mdl_memory_plan *out)
{
    mdl__built built;
    size_t batch = (size_t)choice.micro_batch, real = mdl_dtype_size(device->real);
    memset(out, 0, sizeof(*out));
    /* The validation split is evaluated between the epochs, with the same batch. */
    MDL_TRY(mdl__build(model, MDL_MODE_INFER, batch, NULL, 0, false, device, &built));
    size_t evaluation = mdl_plan_arena_bytes(built.plan);
    mdl__built_destroy(&built);
    MDL_TRY(
        mdl__build(model, MDL_MODE_TRAIN, batch, train, 0, choice.recompute != 0, device, &built));
    out->arena = mdl_plan_arena_bytes(built.plan);
    if (evaluation > out->arena) /* else it has its place there */
        out->arena += evaluation;
    out->params = real * mdl_graph_params_size(built.graph);
    /* An empty arena has one element, since no device gives a buffer of none. */
    out->buffers = real * mdl_max_size(1, mdl_graph_buffers_size(built.graph));
    out->gradients = real * mdl_graph_trained_size(built.graph);
    out->moments = (train->optim.kind == MDL_OPTIM_ADAMW ? 2 : 1) * out->gradients;
    MDL_TRY(transfers(model, train, device, choice, &built, &out->transfers));
    out->shards = mdl__shards_bytes(train, mdl_graph_trained_size(built.graph),
                                    mdl_graph_buffers_size(built.graph), device);
    mdl__built_destroy(&built);
    out->ema = train->ema > 0 ? out->params + out->buffers : 0;
    out->total = out->arena + out->params + out->buffers + out->gradients + out->moments +
                 out->ema + out->transfers + out->shards;
    out->recompute = choice.recompute != 0;
    out->micro_batch = batch;
    return MDL_OK;
}

/* The largest divisor of n below `below`, which is half of it where n is a power of two; 0 where
 * there is none but 1: BatchNorm needs more than one image. */
static size_t smaller_divisor(size_t n, size_t below)
{
    for (size_t d = below; d-- > 2;)
        if (n % d == 0 && d <= below / 2)
            return d;
    return 0;
}

/* The layer because of which micro-batches of one image cannot be, "" where there is none. */
static mdl_status find_lone_norm(const mdl_model_config *model, mdl_dtype real, char name[96])
{
    mdl_graph *graph = NULL;
    mdl_model_io io;
    name[0] = '\0';
    MDL_TRY(mdl_graph_create(real, &graph));
    mdl_status status = mdl_model_build(model, MDL_MODE_TRAIN, 1, 0, 0, graph, &io);
    if (status == MDL_OK)
        (void)mdl_graph_lone_norms(graph, name);
    mdl_graph_destroy(graph);
    return status;
}

mdl_status mdl_memory_check(const mdl_memory_plan *plan)
{
    if (plan->fits)
        return MDL_OK;
    mdl_status status = mdl_fail(
        MDL_MEMORY_LIMIT,
        "training needs at least %zu bytes (micro-batches of %zu images), the limit is %zu",
        plan->total, plan->micro_batch, plan->limit);
    if (plan->lone_norm[0] == '\0')
        return status;
    return mdl_fail(status,
                    "%s; micro-batches of one image are no way: the BatchNorm layer %s would see "
                    "one value a channel",
                    mdl_error_detail(), plan->lone_norm);
}

mdl_model_config mdl__frozen_model(const mdl_model_config *model, const mdl_train_config *train)
{
    mdl_model_config frozen = *model;
    frozen.freeze = train->freeze[0] != '\0' ? train->freeze : NULL;
    return frozen;
}

mdl_status mdl_train_plan(const mdl_model_config *model, const mdl_train_config *train,
                          mdl_device *device, size_t limit, mdl_memory_plan *out)
{
    size_t accumulate = train->accumulate, shard = mdl__shard_size(train);
    if (shard == 0 || shard * mdl__shard_count(train) != train->batch)
        return mdl_fail(MDL_CONFIG,
                        "train.batch %zu cannot be cut into train.shards %zu equal shards",
                        train->batch, mdl__shard_count(train));
    if (accumulate == 0 || shard % accumulate != 0)
        return mdl_fail(MDL_CONFIG, "%s %zu cannot be cut into train.accumulate %zu equal parts",
                        shard == train->batch ? "train.batch" : "a shard of", shard, accumulate);
    mdl_model_config frozen = mdl__frozen_model(model, train);
    mdl__choice choice = {.micro_batch = shard / accumulate};
    if (limit == 0)
        limit = device->memory;
    for (;;) {
        mdl_status status = mdl__memory_with(&frozen, train, device, choice, out);
        if (status != MDL_OK && status != MDL_MEMORY_LIMIT)
            return status;
        out->limit = limit;
        out->fits = status == MDL_OK && (limit == 0 || out->total <= limit);
        if (out->fits)
            return MDL_OK;
        if (!choice.recompute) {
            choice.recompute = 1;
            continue;
        }
        size_t next = smaller_divisor(shard, (size_t)choice.micro_batch);
        if (next == 0) { /* the least that is possible, and it does not fit */
            mdl_status sought = find_lone_norm(model, device->real, out->lone_norm);
            return sought != MDL_OK ? sought : status;
        }
        choice.micro_batch = next;
    }
}
