/* The training loop.  Everything is made before the first step: graph, plan, arenas, loader,
 * evaluator; the loop itself only uploads, runs and reads back. */
#include "train/train_internal.h"

#include <math.h>
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

/* ---- setting up ----------------------------------------------------------------------------- */

static mdl_status create_loader(mdl__trainer *t)
{
    const mdl_train_job *job = t->job;
    size_t count = job->data->count[MDL_SPLIT_TRAIN], batch = job->train->batch;
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
                                  .wide = job->device->real == MDL_F64};
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
    t->accumulate = train->batch / (size_t)choice.micro_batch;
    t->image = job->data->height * job->data->width * job->data->channels;
    t->stepwise = mdl_model_is_stepwise(job->model);
    MDL_TRY(mdl__memory_with(job->model, train, job->device, choice, &memory));
    t->planned_bytes = memory.total;
    MDL_TRY(mdl__build(job->model, MDL_MODE_TRAIN, (size_t)choice.micro_batch, train, 0,
                       choice.recompute != 0, job->device, &t->built));
    t->n_params = mdl_graph_params_size(t->built.graph);
    t->n_buffers = mdl_graph_buffers_size(t->built.graph);
    MDL_TRY(mdl_run_create(t->built.plan, &t->run));
    MDL_TRY(mdl_weights_create(t->built.graph, job->device, &t->weights));
    if (train->ema > 0)
        MDL_TRY(mdl_weights_create(t->built.graph, job->device, &t->ema));
    MDL_TRY(mdl__optimizer_create(t));
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
    mdl_free(t->history);
}

/* A start from other classes is a good start, but the last layer's rows are others'. */
static mdl_status say_classes(const mdl_train_job *job, const char *text)
{
    char *own;
    MDL_TRY(mdl_classes_text(job->data, &own));
    mdl_status status = mdl_classes_agree(text, job->train->init, own, job->data->config.source);
    mdl_free(own);
    if (status != MDL_SHAPE)
        return status;
    mdl_log(MDL_LOG_WARN, "train.init: %s; the last layer learns the new ones from there",
            mdl_error_detail());
    return MDL_OK;
}

static mdl_status load_init(mdl__trainer *t)
{
    const mdl_train_job *job = t->job;
    const char *path = job->train->init;
    if (path[0] == 0)
        return mdl_weights_init(t->built.graph, job->seed, &t->weights);
    mdl_safetensors *file = NULL;
    MDL_TRY(mdl_safetensors_read(path, &file));
    mdl_status status = mdl_weights_load(file, path, t->built.graph, &t->weights);
    if (status == MDL_OK)
        status = say_classes(job, mdl_safetensors_metadata(file, MDL_CLASSES_KEY));
    mdl_safetensors_free(file);
    return status;
}

/* The weights, the position and the files of a training that begins, or that goes on. */
static mdl_status begin(mdl__trainer *t, const mdl_state *state)
{
    if (state != NULL) {
        MDL_TRY(mdl__state_load(t, state));
    } else {
        MDL_TRY(load_init(t)); /* before the folder is cleared: it may come from there */
        if (t->ema.params != NULL)
            MDL_TRY(mdl_weights_copy(&t->ema, &t->weights));
        if (t->stepwise)
            mdl__slots_fill(t);
        if (t->job->prepare != NULL)
            MDL_TRY(t->job->prepare(t->job->prepare_user));
        MDL_TRY(mdl__folder_prepare(t->job));
    }
    return mdl__metrics_write(t, t->n_history);
}

/* ---- a step --------------------------------------------------------------------------------- */

/* Images of the micro-batch are in place: run it, keep loss and correct answers. */
static mdl_status run_micro(mdl__trainer *t)
{
    *mdl_run_state(t->run) =
        (mdl_step_state){.seed = t->job->seed, .step = t->position.micro, .bn_momentum = -1};
    MDL_TRY(mdl_run_step(t->run));
    t->position.micro++;
    return mdl__pending_micro(t);
}

static mdl_status feed_batch(mdl__trainer *t, const mdl_batch *batch, size_t m)
{
    size_t micro = (size_t)t->choice.micro_batch;
    mdl_view images = mdl_run_view(t->run, t->built.io.images);
    mdl_view labels = mdl_run_view(t->run, t->built.io.labels);
    size_t count = micro * t->image;
    MDL_TRY(mdl__upload_images(&images, batch->images, m * count, count));
    return mdl_view_upload_i32(&labels, batch->labels + m * micro, micro);
}

/* Stepwise, the number of steps in an epoch is not known beforehand: the rate follows the samples
 * drawn instead. */
static double learning_rate(const mdl__trainer *t)
{
    const mdl_train_config *c = t->job->train;
    if (!t->stepwise)
        return mdl_schedule_rate(&c->schedule, c->optim.lr, t->position.step,
                                 c->epochs * t->batches, t->batches);
    const mdl__slots *s = &t->slots;
    return mdl_schedule_rate(&c->schedule, c->optim.lr, s->epoch * s->samples + s->drawn,
                             c->epochs * s->samples, s->samples);
}

static mdl_status add_gradients(mdl__trainer *t, const mdl_batch *batch)
{
    MDL_TRY(mdl__gradients_clear(t));
    for (size_t m = 0; m < t->accumulate; m++) {
        MDL_TRY(batch != NULL ? feed_batch(t, batch, m) : mdl__slots_feed(t, m));
        MDL_TRY(run_micro(t));
        if (batch == NULL)
            MDL_TRY(mdl__slots_collect(t, m));
    }
    return MDL_OK;
}

/* One optimizer step with a batch of the loader (NULL where stepwise). */
static mdl_status step(mdl__trainer *t, const mdl_batch *batch)
{
    MDL_TRY(mdl__leave_prepare(t));
    MDL_TRY(mdl__leave_finish(t, add_gradients(t, batch)));
    t->position.lr = learning_rate(t);
    MDL_TRY(mdl__optimizer_step(t, t->position.lr));
    t->position.step++;
    t->position.batch++;
    MDL_TRY(mdl__ema_update(t));
    if (batch == NULL)
        mdl__slots_refill(t);
    return MDL_OK;
}

/* ---- the loop ------------------------------------------------------------------------------- */

/* Add the time since the last call to what was spent training. */
static void count_time(mdl__trainer *t)
{
    double now = mdl_time();
    t->position.epoch_seconds += now - t->mark;
    t->position.seconds += now - t->mark;
    t->mark = now;
}

/* The same for energy, which is read before something is written only: each reading opens files. */
static void count_energy(mdl__trainer *t)
{
    t->position.joules += mdl_energy_spent(&t->energy);
}

/* What was done since the last count was not training. */
static void skip_time(mdl__trainer *t)
{
    t->mark = mdl_time();
    (void)mdl_energy_spent(&t->energy);
}

/* Steps of the current epoch that are done, in units of t->batches. */
static double epoch_progress(const mdl__trainer *t)
{
    if (!t->stepwise)
        return (double)t->position.batch;
    const mdl__slots *s = &t->slots;
    uint64_t drawn = s->epoch > t->position.epoch ? s->samples : s->drawn;
    return (double)drawn / (double)s->count;
}

static double fraction_done(const mdl__trainer *t)
{
    const mdl_train_config *c = t->job->train;
    double epochs = (double)t->position.epoch + epoch_progress(t) / (double)t->batches;
    double done = epochs / (double)c->epochs;
    if (c->max_steps > 0)
        done = fmax(done, (double)t->position.step / (double)c->max_steps);
    return done;
}

static void tell_step(const mdl__trainer *t)
{
    const mdl_train_events *events = t->job->events;
    const mdl__position *p = &t->position;
    if (events == NULL || events->step == NULL)
        return;
    double images = (double)p->images, done = fraction_done(t);
    double gained = done - t->session_start, spent = t->mark - t->session_time;
    double speed = p->epoch_seconds > 0 ? images / p->epoch_seconds : 0;
    events->step(events->user, p->epoch + 1, t->job->train->epochs, (uint64_t)epoch_progress(t),
                 t->batches, p->loss_sum / images, p->correct / images, speed,
                 gained > 0 ? spent * fmax(1 - done, 0) / gained : 0);
}

static bool epoch_is_complete(const mdl__trainer *t)
{
    return t->stepwise ? mdl__slots_epoch_drawn(t) : t->position.batch == t->batches;
}

static mdl_status stop(mdl__trainer *t)
{
    count_energy(t);
    MDL_TRY(mdl__state_save(t));
    return mdl_fail(MDL_CANCELLED, "training was interrupted after step %llu%s",
                    (unsigned long long)t->position.step,
                    mdl__writes(t->job) ? "; it is saved and can be resumed" : "");
}

static mdl_status stop_if_asked(mdl__trainer *t)
{
    return mdl_stop_requested() ? stop(t) : MDL_OK;
}

/* A batch or a step was not begun or not ended: what was done before is read, counted and saved. */
static mdl_status stop_before_step(mdl__trainer *t)
{
    MDL_TRY(mdl__pending_read(t));
    count_time(t);
    return stop(t);
}

/* The epoch is complete: its line, its checkpoint, the saved state. */
static mdl_status finish_epoch(mdl__trainer *t)
{
    const mdl_train_config *c = t->job->train;
    const mdl_train_events *events = t->job->events;
    uint64_t number = t->position.epoch + 1;
    bool last = number == c->epochs;
    bool evaluate = last || (c->evaluate_every > 0 && number % c->evaluate_every == 0);
    mdl_epoch_metrics *line = &t->history[t->n_history];
    count_energy(t);
    mdl_status status = mdl__metrics_line(t, evaluate, line);
    if (status == MDL_CANCELLED)
        return stop(t); /* all steps are done, the rest of the epoch is done when it is resumed */
    MDL_TRY(status);
    t->n_history++;
    t->mark = mdl_time(); /* evaluating and saving is not training */
    t->position.epoch = number;
    t->position.batch = t->position.images = 0;
    t->position.loss_sum = t->position.correct = t->position.epoch_seconds = 0;
    t->position.joules = 0;
    MDL_TRY(mdl__metrics_write(t, t->n_history));
    MDL_TRY(mdl__epoch_save(t));
    MDL_TRY(mdl__state_save(t));
    if (events != NULL && events->epoch != NULL)
        events->epoch(events->user, line);
    skip_time(t);
    return MDL_OK;
}

static bool reached_max_steps(const mdl__trainer *t)
{
    size_t most = t->job->train->max_steps;
    return most > 0 && t->position.step >= most;
}

/* From where the position is to the end of the epoch or to max_steps. */
static mdl_status run_epoch(mdl__trainer *t)
{
    size_t every = t->job->train->save_every;
    mdl_batch batch = {0};
    if (!t->stepwise)
        MDL_TRY(mdl_loader_start(t->loader, t->position.epoch, (size_t)t->position.batch));
    while (!reached_max_steps(t)) {
        mdl_status status = t->stepwise ? MDL_OK : mdl_loader_next(t->loader, &batch);
        if (status == MDL_OK)
            status = step(t, t->stepwise ? NULL : &batch);
        if (status == MDL_CANCELLED)
            return stop_before_step(t);
        MDL_TRY(status);
        bool last = epoch_is_complete(t);
        bool save = every > 0 && t->position.step % every == 0;
        /* What is saved was seen to be finite. */
        bool read = last || save || reached_max_steps(t) || mdl_stop_requested();
        if (read || mdl__pending_due(t)) {
            MDL_TRY(mdl__pending_read(t));
            count_time(t);
            tell_step(t);
        }
        if (last) {
            MDL_TRY(finish_epoch(t));
            return t->position.epoch < t->job->train->epochs ? stop_if_asked(t) : MDL_OK;
        }
        if (t->pending.count > 0)
            continue;
        MDL_TRY(stop_if_asked(t));
        if (save) {
            count_energy(t);
            MDL_TRY(mdl__state_save(t));
            skip_time(t);
        }
    }
    return MDL_OK;
}

/* max_steps came in the middle of an epoch: a line for the part, which is not yet history. */
static mdl_status finish_part(mdl__trainer *t)
{
    const mdl_train_events *events = t->job->events;
    mdl_epoch_metrics *line = &t->history[t->n_history];
    count_energy(t);
    mdl_status status = mdl__metrics_line(t, true, line);
    if (status == MDL_CANCELLED)
        return stop(t);
    MDL_TRY(status);
    MDL_TRY(mdl__metrics_write(t, t->n_history + 1));
    MDL_TRY(mdl__state_save(t));
    if (events != NULL && events->epoch != NULL)
        events->epoch(events->user, line);
    return MDL_OK;
}

static mdl_status run_all(mdl__trainer *t, mdl_train_result *result)
{
    mdl_energy_open(NULL, &t->energy);
    t->mark = t->session_time = mdl_time();
    t->session_start = fraction_done(t);
    if (t->position.images > 0 && epoch_is_complete(t)) /* it was stopped while it was evaluated */
        MDL_TRY(finish_epoch(t));
    while (t->position.epoch < t->job->train->epochs && !reached_max_steps(t)) {
        mdl_status status = run_epoch(t);
        if (status == MDL_DEVICE || status == MDL_NO_MEMORY)
            return mdl_fail_context(
                status,
                "after step %llu %s; what was saved before stays as it is, --resume goes on from "
                "it%s",
                (unsigned long long)t->position.step,
                status == MDL_DEVICE ? "the device failed" : "there was not enough memory",
                t->job->device->backend->host_memory ? "" : ", also with --backend cpu");
        MDL_TRY(status);
    }
    bool part = t->position.images > 0;
    if (part)
        MDL_TRY(finish_part(t));
    MDL_TRY(mdl__final_save(t));
    size_t lines = t->n_history + (part ? 1 : 0);
    if (lines > 0)
        result->last = t->history[lines - 1];
    result->steps = t->position.step;
    result->seconds = t->position.seconds;
    return MDL_OK;
}

static mdl_status check_job(const mdl_train_job *job)
{
    const mdl_train_config *c = job->train;
    if (job->comm != NULL && job->comm->size > 1)
        return mdl_fail(MDL_UNSUPPORTED, "training with %d processes is not there yet",
                        job->comm->size);
    MDL_TRY(mdl__check_data(job->model, job->data));
    if (c->epochs == 0)
        return mdl_fail(MDL_CONFIG, "train.epochs is 0, expected at least 1");
    if (c->ema < 0 || c->ema >= 1)
        return mdl_fail(MDL_CONFIG, "train.ema is %g, expected 0 (off) or less than 1", c->ema);
    return MDL_OK;
}

/* How the training fits its memory limit. */
static mdl_status choose(const mdl_train_job *job, mdl__choice *choice)
{
    mdl_memory_plan plan;
    const mdl_train_events *events = job->events;
    MDL_TRY(mdl_train_plan(job->model, job->train, job->device, job->memory_limit, &plan));
    MDL_TRY(mdl_memory_check(&plan));
    *choice = (mdl__choice){.recompute = plan.recompute, .micro_batch = plan.micro_batch};
    if (events == NULL || events->message == NULL)
        return MDL_OK;
    if (plan.recompute)
        events->message(events->user, "to fit the memory limit, activations are computed again in "
                                      "the backward pass; the result is the same");
    if (plan.micro_batch < job->train->batch / job->train->accumulate) {
        char text[256];
        snprintf(text, sizeof(text),
                 "to fit the memory limit, a batch of %zu is cut into micro-batches of %zu: "
                 "BatchNorm sees these smaller batches, which changes the result",
                 job->train->batch, plan.micro_batch);
        events->message(events->user, text);
    }
    return MDL_OK;
}

static mdl_status train_locked(const mdl_train_job *job, mdl_train_result *result)
{
    mdl__trainer t = {.job = job};
    mdl__choice choice = {0};
    mdl_state *state = NULL;
    MDL_TRY(mdl__state_open(job, &state, &choice));
    mdl_status status = state != NULL ? MDL_OK : choose(job, &choice);
    if (status == MDL_OK)
        status = mdl__trainer_create(job, choice, &t);
    if (status == MDL_OK && job->memory_limit > 0 && t.planned_bytes > job->memory_limit)
        status = mdl_fail(MDL_MEMORY_LIMIT, "the saved training needs %zu bytes, the limit is %zu",
                          t.planned_bytes, job->memory_limit);
    if (status == MDL_OK)
        status = begin(&t, state);
    mdl_state_free(state);
    if (status == MDL_OK) {
        for (size_t i = 0; i < mdl_graph_param_count(t.built.graph); i++)
            result->parameters += mdl_graph_param_at(t.built.graph, i)->count;
        result->multiply_adds = t.built.multiply_adds;
        result->planned_bytes = t.planned_bytes;
        status = run_all(&t, result);
    }
    result->stats = mdl_device_get_stats(job->device);
    mdl__trainer_destroy(&t);
    return status;
}

mdl_status mdl_train(const mdl_train_job *job, mdl_train_result *result)
{
    mdl_lock *lock = NULL;
    memset(result, 0, sizeof(*result));
    MDL_TRY(check_job(job));
    if (mdl__writes(job) && job->lock == NULL)
        MDL_TRY(mdl_lock_take(job->out, &lock));
    mdl_status status = train_locked(job, result);
    mdl_lock_release(lock);
    return status;
}
