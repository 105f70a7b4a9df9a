/* Losses, correct answers and gradient norms on their way from the device.  They stay there in a
 * row of slots, one for each micro-batch, and come down together, because every reading waits for
 * the device.  The sums do not depend on when they are read. */
#include "train/train_internal.h"

#include <math.h>
#include <string.h>

/* A slot: the sum of the gradient's squares (f64; of the step, in its last slot), the loss, the
 * correct answers. */
enum { LOSS_AT = 8, CORRECT_AT = 16, STEPS_BETWEEN = 20 };
#define SECONDS_BETWEEN 0.5

static size_t slot_bytes(const mdl_device *device, size_t micro_batch)
{
    return mdl_round_up(CORRECT_AT + micro_batch * mdl_dtype_size(device->real), MDL_ALIGNMENT);
}

static size_t steps_between(const mdl_train_config *train, const mdl_model_config *model,
                            const mdl_device *device)
{
    if (train->metrics_every > 0)
        return train->metrics_every;
    return device->backend->host_memory || mdl_model_is_stepwise(model) ? 1 : STEPS_BETWEEN;
}

size_t mdl__pending_bytes(const mdl_train_config *train, const mdl_model_config *model,
                          const mdl_device *device, size_t micro_batch)
{
    return steps_between(train, model, device) * (train->batch / micro_batch) *
           slot_bytes(device, micro_batch);
}

mdl_status mdl__pending_create(mdl__trainer *t)
{
    mdl__pending *p = &t->pending;
    const mdl_train_job *job = t->job;
    size_t micro = (size_t)t->choice.micro_batch;
    size_t bytes = mdl__pending_bytes(job->train, job->model, job->device, micro);
    p->slot = slot_bytes(job->device, micro);
    p->steps = steps_between(job->train, job->model, job->device);
    size_t numbers = 2 * p->steps * t->accumulate;
    MDL_TRY(MDL_NEW(numbers, "metrics", &p->own));
    MDL_TRY(MDL_NEW(numbers * (size_t)t->shards.comm->size, "metrics of all ranks", &p->all));
    MDL_TRY(mdl_alloc(bytes, 1, "metrics", (void **)&p->host));
    return mdl_buffer_create(job->device, bytes, "metrics", &p->values);
}

void mdl__pending_destroy(mdl__pending *pending)
{
    mdl_buffer_destroy(pending->values);
    mdl_free(pending->host);
    mdl_free(pending->own);
    mdl_free(pending->all);
    memset(pending, 0, sizeof(*pending));
}

mdl_status mdl__pending_micro(mdl__trainer *t)
{
    mdl__pending *p = &t->pending;
    mdl_view loss = mdl_run_view(t->run, t->built.io.loss);
    mdl_view correct = mdl_run_view(t->run, t->built.io.correct);
    size_t at = p->count * p->slot;
    size_t bytes = mdl_shape_count(&correct.shape) * mdl_dtype_size(correct.dtype);
    MDL_TRY(mdl_buffer_copy(p->values, at + LOSS_AT, loss.buffer, loss.offset,
                            mdl_dtype_size(loss.dtype)));
    MDL_TRY(mdl_buffer_copy(p->values, at + CORRECT_AT, correct.buffer, correct.offset, bytes));
    p->count++;
    return MDL_OK;
}

mdl_status mdl__pending_norm(mdl__trainer *t)
{
    mdl__pending *p = &t->pending;
    return mdl_buffer_copy(p->values, (p->count - 1) * p->slot, t->norm, 0, sizeof(double));
}

bool mdl__pending_due(const mdl__trainer *t)
{
    const mdl__pending *p = &t->pending;
    if (p->count >= p->steps * t->accumulate)
        return true;
    if (t->shards.comm->size > 1) /* they read together, whatever their clocks say */
        return false;
    return t->job->train->metrics_every == 0 && mdl_time() - p->read > SECONDS_BETWEEN;
}

static double number(const unsigned char *at, mdl_dtype dtype)
{
    double wide;
    float narrow;
    if (dtype == MDL_F64) {
        memcpy(&wide, at, sizeof(wide));
        return wide;
    }
    memcpy(&narrow, at, sizeof(narrow));
    return (double)narrow;
}

/* Loss and correct answers of each micro-batch that was run here. */
static void look_at_slots(mdl__trainer *t, size_t slots)
{
    mdl__pending *p = &t->pending;
    mdl_dtype real = t->job->device->real;
    size_t micro = (size_t)t->choice.micro_batch, size = mdl_dtype_size(real);
    for (size_t m = 0; m < slots; m++) {
        const unsigned char *slot = p->host + m * p->slot;
        double correct = 0;
        for (size_t i = 0; i < micro; i++)
            correct += number(slot + CORRECT_AT + i * size, real);
        p->own[2 * m] = number(slot + LOSS_AT, real);
        p->own[2 * m + 1] = correct;
    }
}

/* Optimizer step `s` of the `steps` that were read: the micro-batches of all ranks, in the order of
 * the shards. */
static mdl_status count_step(mdl__trainer *t, size_t s, size_t steps)
{
    const mdl__pending *p = &t->pending;
    size_t micro = (size_t)t->choice.micro_batch, n = t->accumulate;
    double loss = 0, correct = 0, squares = 0;
    for (int rank = 0; rank < t->shards.comm->size; rank++)
        for (size_t m = 0; m < n; m++) {
            const double *value = p->all + 2 * (((size_t)rank * steps + s) * n + m);
            if (!isfinite(value[0]))
                return mdl_fail(MDL_NUMERIC, "the loss is %g", value[0]);
            loss += value[0] * (double)micro;
            correct += value[1];
        }
    memcpy(&squares, p->host + ((s + 1) * n - 1) * p->slot, sizeof(squares));
    if (!isfinite(squares))
        return mdl_fail(MDL_NUMERIC, "the gradient's norm is %g", sqrt(squares));
    t->position.images += t->job->train->batch;
    t->position.loss_sum += loss;
    t->position.correct += correct;
    return MDL_OK;
}

mdl_status mdl__pending_read(mdl__trainer *t)
{
    mdl__pending *p = &t->pending;
    const mdl_comm *comm = t->shards.comm;
    size_t steps = p->count / t->accumulate, slots = steps * t->accumulate;
    p->read = mdl_time();
    if (p->count == 0)
        return MDL_OK;
    MDL_TRY(mdl_comm_agree(comm, mdl_buffer_download(p->values, 0, p->host, p->count * p->slot)));
    p->count = 0;
    look_at_slots(t, slots);
    MDL_TRY(mdl_comm_allgather(comm, p->own, 2 * slots * sizeof(*p->own), p->all));
    for (size_t s = 0; s < steps; s++) {
        mdl_status status = count_step(t, s, steps);
        if (status != MDL_OK)
            return mdl_fail_context(
                status,
                "step %llu (epoch %llu): training cannot go on; what was saved before stays as it "
                "is",
                (unsigned long long)(t->position.step - steps + s + 1),
                (unsigned long long)(t->position.epoch + 1));
    }
    return MDL_OK;
}
