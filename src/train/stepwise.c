/* Stepwise supervision of the TRM (Jolicoeur-Martineau 2025, Algorithm 3): the batch is a set of
 * slots.  A sample stays in its slot, with y and z carried over, until it halts (q > 0) or has had
 * n_sup steps; then the next sample of the epoch's order takes its place.  An epoch ends when all
 * its samples were drawn; what is in the slots then goes on in the next one.
 *
 * Over several ranks each knows what is in all slots, and has images and carry of those of its own
 * shards.  Which samples halt is told to all after each step, so that all draw alike. */
#include "train/train_internal.h"

#include <string.h>

mdl_status mdl__slots_create(mdl__trainer *t)
{
    const mdl_train_job *job = t->job;
    mdl__slots *s = &t->slots;
    const mdl_desc *y = mdl_graph_desc(t->built.graph, t->built.io.carry_y);
    size_t micro = (size_t)t->choice.micro_batch;
    s->count = job->train->batch;
    s->first = t->shards.first * mdl__shard_size(job->train);
    s->own = t->shards.own * mdl__shard_size(job->train);
    s->image = t->image;
    s->samples = job->data->count[MDL_SPLIT_TRAIN];
    s->options = (mdl_loader_options){.split = MDL_SPLIT_TRAIN,
                                      .batch = s->count,
                                      .augment = true,
                                      .shuffle = true,
                                      .seed = job->seed,
                                      .wide = job->device->real == MDL_F64};
    s->carry_bytes = mdl_shape_count(&y->shape) / micro * mdl_dtype_size(y->dtype);
    MDL_TRY(MDL_NEW(s->count, "slots", &s->slot));
    MDL_TRY(mdl_alloc(s->own, s->image * mdl_dtype_size(job->device->real), "images of slots",
                      &s->images));
    MDL_TRY(MDL_NEW(s->count, "labels of slots", &s->labels));
    MDL_TRY(MDL_NEW(s->count, "marks of slots", &s->fresh));
    MDL_TRY(MDL_NEW(s->count, "halting logits of slots", &s->q));
    MDL_TRY(MDL_NEW(s->samples, "order of an epoch", &s->order));
    MDL_TRY(mdl_buffer_create(job->device, s->count * s->carry_bytes, "carry y", &s->y));
    return mdl_buffer_create(job->device, s->count * s->carry_bytes, "carry z", &s->z);
}

void mdl__slots_destroy(mdl__slots *s)
{
    mdl_buffer_destroy(s->y);
    mdl_buffer_destroy(s->z);
    mdl_free(s->slot);
    mdl_free(s->images);
    mdl_free(s->labels);
    mdl_free(s->fresh);
    mdl_free(s->q);
    mdl_free(s->order);
    memset(s, 0, sizeof(*s));
}

static mdl_status load_image(mdl__trainer *t, size_t i)
{
    mdl__slots *s = &t->slots;
    size_t bytes = s->image * mdl_dtype_size(t->job->device->real);
    if (i < s->first || i >= s->first + s->own)
        return MDL_OK;
    return mdl_prepare_image(t->job->data, &s->options, s->slot[i].epoch, s->slot[i].position,
                             (char *)s->images + (i - s->first) * bytes, &s->labels[i]);
}

static mdl_status draw(mdl__trainer *t, size_t i)
{
    mdl__slots *s = &t->slots;
    if (s->drawn == s->samples) {
        s->epoch++;
        s->drawn = 0;
        mdl_epoch_order(t->job->data, &s->options, s->epoch, s->order);
    }
    s->slot[i] = (mdl__slot){.epoch = s->epoch, .position = s->order[s->drawn++]};
    s->fresh[i] = 1;
    return load_image(t, i);
}

mdl_status mdl__slots_fill(mdl__trainer *t)
{
    mdl__slots *s = &t->slots;
    s->epoch = s->drawn = 0;
    mdl_epoch_order(t->job->data, &s->options, 0, s->order);
    for (size_t i = 0; i < s->count; i++)
        MDL_TRY(draw(t, i));
    return MDL_OK;
}

mdl_status mdl__slots_feed(mdl__trainer *t, size_t m)
{
    mdl__slots *s = &t->slots;
    const mdl_model_io *io = &t->built.io;
    size_t micro = (size_t)t->choice.micro_batch, first = s->first + m * micro;
    size_t at = first * s->carry_bytes, bytes = micro * s->carry_bytes;
    mdl_view images = mdl_run_view(t->run, io->images), labels = mdl_run_view(t->run, io->labels);
    mdl_view fresh = mdl_run_view(t->run, io->carry_fresh);
    mdl_view y = mdl_run_view(t->run, io->carry_y), z = mdl_run_view(t->run, io->carry_z);
    MDL_TRY(mdl__upload_images(&images, s->images, m * micro * s->image, micro * s->image));
    MDL_TRY(mdl_view_upload_i32(&labels, s->labels + first, micro));
    MDL_TRY(mdl_view_upload_i32(&fresh, s->fresh + first, micro));
    MDL_TRY(mdl_buffer_copy(y.buffer, y.offset, s->y, at, bytes));
    return mdl_buffer_copy(z.buffer, z.offset, s->z, at, bytes);
}

mdl_status mdl__slots_collect(mdl__trainer *t, size_t m)
{
    mdl__slots *s = &t->slots;
    const mdl_model_io *io = &t->built.io;
    size_t micro = (size_t)t->choice.micro_batch, first = s->first + m * micro;
    size_t at = first * s->carry_bytes, bytes = micro * s->carry_bytes;
    mdl_view y = mdl_run_view(t->run, io->next_y), z = mdl_run_view(t->run, io->next_z);
    mdl_view q = mdl_run_view(t->run, io->step_q[0]);
    MDL_TRY(mdl_buffer_copy(s->y, at, y.buffer, y.offset, bytes));
    MDL_TRY(mdl_buffer_copy(s->z, at, z.buffer, z.offset, bytes));
    return mdl_view_download_f32(&q, s->q + first, micro);
}

/* A rank's own part of a vector with so many bytes a slot goes to all. */
static mdl_status gather(const mdl__trainer *t, void *vector, size_t each)
{
    const mdl__slots *s = &t->slots;
    char *own = (char *)vector + s->first * each;
    return t->shards.comm->size > 1 ? mdl_comm_allgather(t->shards.comm, own, s->own * each, vector)
                                    : MDL_OK;
}

mdl_status mdl__slots_share(mdl__trainer *t)
{
    return t->stepwise ? gather(t, t->slots.q, sizeof(*t->slots.q)) : MDL_OK;
}

static mdl_status gather_carry(const mdl__trainer *t, mdl_buffer *carry, void *host)
{
    const mdl__slots *s = &t->slots;
    size_t at = s->first * s->carry_bytes, bytes = s->own * s->carry_bytes;
    MDL_TRY(
        mdl_comm_agree(t->shards.comm, mdl_buffer_download(carry, at, (char *)host + at, bytes)));
    MDL_TRY(gather(t, host, s->carry_bytes));
    return mdl_buffer_upload(carry, 0, host, carry->bytes);
}

mdl_status mdl__slots_gather(const mdl__trainer *t)
{
    const mdl__slots *s = &t->slots;
    void *host = NULL;
    if (!t->stepwise || t->shards.comm->size == 1)
        return MDL_OK;
    mdl_status status = mdl_alloc(s->count, s->carry_bytes, "what slots carry", &host);
    status = mdl_comm_agree(t->shards.comm, status);
    if (status == MDL_OK)
        status = gather_carry(t, s->y, host);
    status = mdl_comm_agree(t->shards.comm, status);
    if (status == MDL_OK)
        status = gather_carry(t, s->z, host);
    mdl_free(host);
    return mdl_comm_agree(t->shards.comm, status);
}

mdl_status mdl__slots_refill(mdl__trainer *t)
{
    mdl__slots *s = &t->slots;
    size_t most = t->job->model->trm.n_sup;
    for (size_t i = 0; i < s->count; i++) {
        s->slot[i].used++;
        s->fresh[i] = 0;
        if (s->q[i] > 0 || s->slot[i].used >= most)
            MDL_TRY(draw(t, i));
    }
    return MDL_OK;
}

bool mdl__slots_epoch_drawn(const mdl__trainer *t)
{
    const mdl__slots *s = &t->slots;
    /* Where the last image was drawn and no slot needs another yet, the sampler is an epoch behind.
     */
    return s->epoch > t->position.epoch ||
           (s->epoch == t->position.epoch && s->drawn == s->samples);
}

mdl_status mdl__slots_write(const mdl__trainer *t, mdl_state_writer *state)
{
    const mdl__slots *s = &t->slots;
    uint64_t sampler[2] = {s->epoch, s->drawn};
    MDL_TRY(mdl_state_put(state, "sampler", sampler, sizeof(sampler)));
    MDL_TRY(mdl_state_put(state, "slots", s->slot, s->count * sizeof(*s->slot)));
    MDL_TRY(mdl_state_put_buffer(state, "carry_y", s->y));
    return mdl_state_put_buffer(state, "carry_z", s->z);
}

mdl_status mdl__slots_get(mdl__trainer *t, const mdl_state *state)
{
    mdl__slots *s = &t->slots;
    uint64_t sampler[2];
    MDL_TRY(mdl_state_get(state, "sampler", sampler, sizeof(sampler)));
    MDL_TRY(mdl_state_get(state, "slots", s->slot, s->count * sizeof(*s->slot)));
    MDL_TRY(mdl_state_get_buffer(state, "carry_y", s->y));
    MDL_TRY(mdl_state_get_buffer(state, "carry_z", s->z));
    if (sampler[1] > s->samples)
        return mdl_fail(MDL_FORMAT, "the saved state drew %llu samples of %zu",
                        (unsigned long long)sampler[1], s->samples);
    s->epoch = sampler[0];
    s->drawn = sampler[1];
    mdl_epoch_order(t->job->data, &s->options, s->epoch, s->order);
    for (size_t i = 0; i < s->count; i++) {
        if (s->slot[i].position >= s->samples)
            return mdl_fail(MDL_FORMAT, "the saved state has sample %lu of %zu in a slot",
                            (unsigned long)s->slot[i].position, s->samples);
        s->fresh[i] = s->slot[i].used == 0;
        MDL_TRY(load_image(t, i));
    }
    return MDL_OK;
}
