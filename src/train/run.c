/* A training as a whole: what it checks, how it fits its memory, and the folder that it owns. */
#include "train/train_internal.h"

#include <math.h>
#include <string.h>

static mdl_status check_job(const mdl_train_job *job)
{
    const mdl_train_config *c = job->train;
    MDL_TRY(mdl__check_data(job->model, job->data));
    if (c->epochs == 0)
        return mdl_fail(MDL_CONFIG, "train.epochs is 0, expected at least 1");
    if ((c->keep_best || c->patience > 0) && job->data->count[MDL_SPLIT_VALIDATION] == 0)
        return mdl_fail(MDL_CONFIG,
                        "train.%s needs a validation split: data.validation_fraction "
                        "is 0",
                        c->keep_best ? "keep_best" : "patience");
    if (c->gradients == MDL_GRADIENTS_BFLOAT16 && job->device->real == MDL_F64)
        return mdl_fail(MDL_CONFIG, "comm.gradients: bfloat16 is for training in float32");
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
    if (plan.micro_batch < mdl__shard_size(job->train) / job->train->accumulate) {
        char text[256];
        snprintf(text, sizeof(text),
                 "to fit the memory limit, a batch of %zu is cut into micro-batches of %zu: "
                 "BatchNorm sees these smaller batches, which changes the result",
                 mdl__shard_size(job->train), plan.micro_batch);
        events->message(events->user, text);
    }
    return MDL_OK;
}

/* What the exchanges of this session cost, beside what `mendel plan --ranks` foresees. */
static void say_exchanges(const mdl__trainer *t, const mdl_comm *comm)
{
    if (comm->size == 1)
        return;
    mdl_comm_stats stats = mdl_comm_get_stats(comm);
    const mdl__shards *s = &t->shards;
    double steps = fmax(1, (double)(t->position.step - t->first_step));
    mdl__notify(t,
                "%d ranks by %s: this one sent %.2f MB a step, and exchanges took %.2f ms of it, "
                "waiting for others included; training waited %.2f ms for its sums, of %s in %zu "
                "bucket%s%s",
                comm->size, mdl_comm_name(comm),
                1e-6 * (double)(stats.sent - s->begun.sent) / steps,
                1e3 * (stats.seconds - s->begun.seconds) / steps, 1e3 * s->waited / steps,
                t->job->train->gradients == MDL_GRADIENTS_BFLOAT16 ? "bfloat16" : "float32",
                s->n_buckets, s->n_buckets == 1 ? "" : "s", s->overlap ? ", overlapped" : "");
}

static mdl_status train_locked(const mdl_train_job *job, mdl_train_result *result)
{
    mdl__trainer t = {.job = job};
    mdl__choice choice = {0};
    mdl_state *state = NULL;
    const mdl_comm *comm = job->comm != NULL ? job->comm : mdl_comm_single();
    MDL_TRY(mdl__state_open(job, comm, &state, &choice));
    mdl_status status = state != NULL ? MDL_OK : choose(job, &choice);
    status = mdl_comm_agree(comm, status);
    if (status == MDL_OK) /* of the first rank: others may have more memory */
        status = mdl_comm_broadcast(comm, &choice, sizeof(choice), 0);
    if (status == MDL_OK)
        status = mdl__trainer_create(job, choice, &t);
    if (status == MDL_OK && job->memory_limit > 0 && t.planned_bytes > job->memory_limit)
        status = mdl_fail(MDL_MEMORY_LIMIT, "the saved training needs %zu bytes, the limit is %zu",
                          t.planned_bytes, job->memory_limit);
    if (status == MDL_OK)
        status = mdl__trainer_begin(&t, state);
    mdl_state_free(state);
    if (status == MDL_OK) {
        for (size_t i = 0; i < mdl_graph_param_count(t.built.graph); i++)
            result->parameters += mdl_graph_param_at(t.built.graph, i)->count;
        result->multiply_adds = t.built.multiply_adds;
        result->planned_bytes = t.planned_bytes;
        status = mdl__train_loop(&t, result);
        if (status == MDL_OK)
            say_exchanges(&t, comm);
    }
    result->stats = mdl_device_get_stats(job->device);
    mdl__trainer_destroy(&t);
    return status;
}

/* When sums begin, and in which pieces, is what the first rank says. */
static mdl_status share_order(const mdl_comm *comm, mdl_train_config *train)
{
    uint64_t order[2] = {train->overlap, train->bucket};
    MDL_TRY(mdl_comm_broadcast(comm, order, sizeof(order), 0));
    train->overlap = order[0] != 0;
    train->bucket = (size_t)order[1];
    return MDL_OK;
}

mdl_status mdl_train_run(const mdl_train_job *job, mdl_train_result *result)
{
    mdl_lock *lock = NULL;
    mdl_train_job own = *job;
    mdl_train_config train = *job->train;
    mdl_model_config model = mdl__frozen_model(job->model, job->train);
    memset(result, 0, sizeof(*result));
    MDL_TRY(check_job(job)); /* the same on all ranks */
    own.model = &model;
    own.train = &train;
    bool several = job->comm != NULL && job->comm->size > 1;
    if (several) /* a stop is seen between steps, by all */
        mdl_stop_defer();
    mdl_status status = MDL_OK;
    if (mdl__writes(job) && job->lock == NULL)
        status = mdl_lock_take(job->out, &lock);
    status = several ? mdl_comm_agree(job->comm, status) : status;
    if (status == MDL_OK && several)
        status = share_order(job->comm, &train);
    if (status == MDL_OK)
        status = train_locked(&own, result);
    mdl_lock_release(lock);
    if (several)
        mdl_stop_resume();
    return several ? mdl_comm_agree(job->comm, status) : status;
}
