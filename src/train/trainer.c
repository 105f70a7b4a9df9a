/* The trainer: all that a training needs is made before its first step: graph, plan, arenas,
 * loader, evaluator, and the weights it begins with. */
#include "train/train_internal.h"

#include <stdarg.h>
#include <string.h>

void mdl__notify(const mdl__trainer *t, const char *format, ...)
{
    const mdl_train_events *events = t->job->events;
    if (events == NULL || events->message == NULL)
        return;
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    events->message(events->user, text);
}

static mdl_status create_loader(mdl__trainer *t)
{
    const mdl_train_job *job = t->job;
    size_t count = job->data->count[MDL_SPLIT_TRAIN], batch = job->train->batch;
    if (count == 0)
        return mdl_fail(MDL_CONFIG, "%s has no images to train on", job->data->config.source);
    if (count < batch)
        return mdl_fail(MDL_CONFIG,
                        "train.batch %zu is larger than the training split of %zu images", batch,
                        count);
    if (t->stepwise) {
        t->batches = (count + batch - 1) / batch;
        return mdl__slots_create(t);
    }
    mdl_loader_options options = {.split = MDL_SPLIT_TRAIN,
                                  .batch = batch,
                                  .augment = true,
                                  .shuffle = true,
                                  .drop_last = true,
                                  .seed = job->seed,
                                  .wide = job->device->real == MDL_F64,
                                  .part_first = t->shards.first * mdl__shard_size(job->train),
                                  .part_count = t->shards.own * mdl__shard_size(job->train)};
    MDL_TRY(mdl_loader_create(job->data, &options, &t->loader));
    t->batches = mdl_loader_batches(t->loader);
    return MDL_OK;
}

static mdl_status create_evaluator(mdl__trainer *t)
{
    size_t count = t->job->data->count[MDL_SPLIT_VALIDATION];
    if (count == 0)
        return MDL_OK;
    mdl_evaluator_options options = {.split = MDL_SPLIT_VALIDATION,
                                     .batch = mdl_min_size((size_t)t->choice.micro_batch, count),
                                     .comm = t->shards.comm,
                                     .share = t->run};
    return mdl_evaluator_create(t->job->model, t->job->data, t->job->device, &options,
                                &t->evaluator);
}

mdl_status mdl__trainer_create(const mdl_train_job *job, mdl__choice choice, mdl__trainer *t)
{
    const mdl_train_config *train = job->train;
    mdl_memory_plan memory;
    memset(t, 0, sizeof(*t));
    t->job = job;
    t->choice = choice;
    t->image = job->data->height * job->data->width * job->data->channels;
    t->stepwise = mdl_model_is_stepwise(job->model);
    MDL_TRY(mdl__memory_with(job->model, train, job->device, choice, &memory));
    t->planned_bytes = memory.total;
    MDL_TRY(mdl__build(job->model, MDL_MODE_TRAIN, (size_t)choice.micro_batch, train, 0,
                       choice.recompute != 0, job->device, &t->built));
    t->n_params = mdl_graph_trained_size(t->built.graph);
    t->n_buffers = mdl_graph_buffers_size(t->built.graph);
    MDL_TRY(mdl_run_create(t->built.plan, &t->run));
    MDL_TRY(mdl_weights_create(t->built.graph, job->device, &t->weights));
    if (train->ema > 0)
        MDL_TRY(mdl_weights_create(t->built.graph, job->device, &t->ema));
    MDL_TRY(mdl__optimizer_create(t));
    MDL_TRY(mdl__shards_create(t));
    MDL_TRY(mdl_run_bind(t->run, t->weights.params, t->weights.buffers, t->gradients));
    MDL_TRY(create_loader(t));
    MDL_TRY(create_evaluator(t));
    MDL_TRY(mdl__pending_create(t));
    return MDL_NEW(train->epochs + 1, "history of a training", &t->history);
}

void mdl__trainer_destroy(mdl__trainer *t)
{
    mdl_scores_free(&t->scores);
    mdl_evaluator_destroy(t->evaluator);
    mdl_loader_destroy(t->loader);
    mdl__slots_destroy(&t->slots);
    mdl__shards_destroy(&t->shards);
    mdl_weights_destroy(&t->weights);
    mdl_weights_destroy(&t->ema);
    mdl_buffer_destroy(t->gradients);
    mdl_buffer_destroy(t->moments[0]);
    mdl_buffer_destroy(t->moments[1]);
    mdl_buffer_destroy(t->norm);
    mdl_buffer_destroy(t->scratch.buffer);
    mdl_run_destroy(t->run);
    mdl__built_destroy(&t->built);
    mdl_free(t->segments);
    mdl__pending_destroy(&t->pending);
    mdl__leave_free(&t->leave);
    mdl_tensorboard_close(&t->board);
    mdl_free(t->history);
}

/* A start from other classes is a good start.  Where their number is the same, the last layer's
 * rows are others'. */
static mdl_status say_classes(const mdl_train_job *job, const char *text)
{
    char *own;
    MDL_TRY(mdl_classes_text(job->data, &own));
    mdl_status status = mdl_classes_agree(text, job->train->init, own, job->data->config.source);
    mdl_free(own);
    if (status != MDL_SHAPE)
        return status;
    mdl_log(MDL_LOG_WARN, "train.init: %s; the last layer learns the new ones", mdl_error_detail());
    return MDL_OK;
}

static mdl_status load_init(mdl__trainer *t)
{
    const mdl_train_job *job = t->job;
    const char *path = job->train->init;
    MDL_TRY(mdl_weights_init(t->built.graph, job->seed, &t->weights));
    if (path[0] == 0)
        return MDL_OK;
    mdl_tensors *file = NULL;
    MDL_TRY(mdl_tensors_load(path, &file));
    mdl_status status = mdl_weights_load_part(file, path, t->built.graph, &t->weights);
    if (status == MDL_OK)
        status = say_classes(job, mdl_tensors_metadata(file, MDL_CLASSES_KEY));
    mdl_tensors_close(file);
    return status;
}

mdl_status mdl__trainer_begin(mdl__trainer *t, const mdl_state *state)
{
    if (state != NULL) {
        MDL_TRY(mdl__state_load(t, state));
        if (t->job->goes_on != NULL)
            MDL_TRY(t->job->goes_on(t->job->prepare_user));
    } else {
        MDL_TRY(load_init(t)); /* before the folder is cleared: it may come from there */
        if (t->ema.params != NULL)
            MDL_TRY(mdl_weights_copy(&t->ema, &t->weights));
        if (t->stepwise)
            MDL_TRY(mdl__slots_fill(t));
        if (t->job->prepare != NULL)
            MDL_TRY(t->job->prepare(t->job->prepare_user));
        MDL_TRY(mdl__folder_prepare(t->job));
    }
    MDL_TRY(mdl__metrics_write(t, t->n_history));
    return mdl__metrics_events_open(t->job, t->history, t->n_history, &t->board);
}
