/* The training loop.  Everything is made before the first step (trainer.c); the loop itself only
 * uploads, runs and reads back. */
#include "train/train_internal.h"

#include <math.h>
#include <string.h>

/* ---- a step --------------------------------------------------------------------------------- */

/* Images of micro-batch m of this rank are in place: run it, keep loss and correct answers.  Those
 * of the step are counted over all shards, so that dropout does not depend on who computes it. */
static mdl_status run_micro(mdl__trainer *t, size_t m)
{
    const mdl__shards *s = &t->shards;
    size_t number = s->first * s->micros + m;
    *mdl_run_state(t->run) = (mdl_step_state){
        .seed = t->job->seed, .step = t->position.micro + number, .bn_momentum = -1};
    bool last = s->overlap && m + 1 == t->accumulate;
    MDL_TRY(last ? mdl__shards_run(t) : mdl_run_step(t->run));
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

/* The micro-batches of this rank's shard i; their gradients are added to what is there. */
static mdl_status run_shard(mdl__trainer *t, const mdl_batch *batch, size_t i)
{
    const mdl__shards *s = &t->shards;
    for (size_t m = i * s->micros; m < (i + 1) * s->micros; m++) {
        MDL_TRY(batch != NULL ? feed_batch(t, batch, m) : mdl__slots_feed(t, m));
        MDL_TRY(run_micro(t, m));
        if (batch == NULL)
            MDL_TRY(mdl__slots_collect(t, m));
    }
    return MDL_OK;
}

static mdl_status run_shards(mdl__trainer *t, const mdl_batch *batch)
{
    const mdl__shards *s = &t->shards;
    if (s->count == 1) {
        MDL_TRY(mdl__gradients_clear(t));
        return run_shard(t, batch, 0);
    }
    MDL_TRY(mdl__shards_begin(t));
    for (size_t i = 0; i < s->own; i++) {
        MDL_TRY(mdl__shards_next(t, i));
        MDL_TRY(run_shard(t, batch, i));
        MDL_TRY(mdl__shards_end(t, i));
    }
    return MDL_OK;
}

/* The gradient of the whole batch.  That all have computed their part is what they agree on, and
 * whether somebody was asked to stop: before the sums, or where these begin earlier, behind them.
 * Then a gate is in front of them for ranks that have failed since the last step. */
static mdl_status add_gradients(mdl__trainer *t, const mdl_batch *batch)
{
    mdl__shards *s = &t->shards;
    if (s->overlap)
        mdl_comm_gate(s->comm);
    mdl_status status = run_shards(t, batch);
    if (s->overlap)
        status = mdl__shards_sum(t, status);
    MDL_TRY(mdl_comm_agree_stop(s->comm, status, &s->stop));
    MDL_TRY(mdl__slots_share(t));
    if (s->count > 1 && !s->overlap)
        MDL_TRY(mdl__shards_sum(t, MDL_OK));
    if (s->count > 1)
        MDL_TRY(mdl__shards_take(t));
    t->position.micro += s->count * s->micros;
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
    return batch == NULL ? mdl__slots_refill(t) : MDL_OK;
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
    uint64_t drawn = s->epoch > t->position.epoch   ? s->samples
                     : s->epoch < t->position.epoch ? 0
                                                    : s->drawn;
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

static void notify_step(const mdl__trainer *t)
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

/* Several ranks stop where they have agreed on it. */
static bool asked_to_stop(const mdl__trainer *t)
{
    return t->shards.comm->size > 1 ? t->shards.stop : mdl_stop_requested();
}

static mdl_status stop_if_asked(mdl__trainer *t)
{
    return asked_to_stop(t) ? stop(t) : MDL_OK;
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
    t->waited = t->not_watched = 0;
    MDL_TRY(mdl__metrics_write(t, t->n_history));
    MDL_TRY(mdl__metrics_events_add(&t->board, line));
    MDL_TRY(mdl__epoch_save(t));
    MDL_TRY(mdl__best_save(t));
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

/* Whether too many epochs have passed since the best one. */
static bool out_of_patience(const mdl__trainer *t)
{
    uint64_t best = mdl__best_epoch(t);
    size_t patience = t->job->train->patience;
    return patience > 0 && best > 0 && t->position.epoch - best >= patience;
}

static mdl_status next_batch(mdl__trainer *t, mdl_batch *batch)
{
    double begun = mdl_time();
    mdl_status status = mdl_loader_next(t->loader, batch);
    t->waited += mdl_time() - begun;
    return status;
}

/* From where the position is to the end of the epoch or to max_steps. */
static mdl_status run_epoch(mdl__trainer *t)
{
    size_t every = t->job->train->save_every;
    mdl_batch batch = {0};
    if (!t->stepwise)
        MDL_TRY(mdl_loader_start(t->loader, t->position.epoch, (size_t)t->position.batch));
    while (!reached_max_steps(t)) {
        mdl_status status = t->stepwise ? MDL_OK : next_batch(t, &batch);
        if (status == MDL_OK)
            status = step(t, t->stepwise ? NULL : &batch);
        if (status == MDL_CANCELLED)
            return stop_before_step(t);
        MDL_TRY(status);
        bool last = epoch_is_complete(t);
        bool save = every > 0 && t->position.step % every == 0;
        /* What is saved was seen to be finite. */
        bool read = last || save || reached_max_steps(t) || asked_to_stop(t);
        if (read || mdl__pending_due(t)) {
            MDL_TRY(mdl__pending_read(t));
            count_time(t);
            notify_step(t);
        }
        if (last) {
            MDL_TRY(mdl_comm_agree(t->shards.comm, finish_epoch(t)));
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
    MDL_TRY(mdl__metrics_events_add(&t->board, line));
    MDL_TRY(mdl__state_save(t));
    if (events != NULL && events->epoch != NULL)
        events->epoch(events->user, line);
    return MDL_OK;
}

mdl_status mdl__train_loop(mdl__trainer *t, mdl_train_result *result)
{
    mdl_energy_open(NULL, &t->energy);
    t->mark = t->session_time = mdl_time();
    t->session_start = fraction_done(t);
    t->not_watched = t->position.epoch_seconds;
    t->first_step = t->position.step;
    t->shards.begun = mdl_comm_get_stats(t->shards.comm);
    if (t->position.images > 0 && epoch_is_complete(t)) /* it was stopped while it was evaluated */
        MDL_TRY(finish_epoch(t));
    while (t->position.epoch < t->job->train->epochs && !reached_max_steps(t) &&
           !out_of_patience(t)) {
        mdl_status status = run_epoch(t);
        if (status == MDL_DEVICE || status == MDL_NO_MEMORY)
            return mdl_fail_context(
                status,
                "after step %llu %s; what was saved before stays as it is, `resume` goes on from "
                "it%s",
                (unsigned long long)t->position.step,
                status == MDL_DEVICE ? "the device failed" : "there was not enough memory",
                t->job->device->backend->host_memory ? "" : ", also with `run.backend=cpu`");
        MDL_TRY(status);
    }
    bool part = t->position.images > 0;
    if (part)
        MDL_TRY(finish_part(t));
    if (t->position.epoch < t->job->train->epochs && out_of_patience(t))
        mdl__notify(t,
                    "ended after epoch %llu: none since epoch %llu was better on the validation "
                    "split (train.patience)",
                    (unsigned long long)t->position.epoch, (unsigned long long)mdl__best_epoch(t));
    MDL_TRY(mdl__final_save(t));
    result->best_epoch = mdl__best_epoch(t);
    size_t lines = t->n_history + (part ? 1 : 0);
    if (lines > 0)
        result->last = t->history[lines - 1];
    result->steps = t->position.step;
    result->seconds = t->position.seconds;
    return MDL_OK;
}
