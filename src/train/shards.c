/* A batch as virtual shards, over one process or several.  Each shard has its own BatchNorm
 * statistics and its own gradient; the gradient of the batch is their sum by a fixed tree
 * (mdl_shard_sum), so that it has the same bits whoever computes which shard.  Running statistics
 * begin each shard as they were before the step; what the shards change of them is averaged by the
 * same tree.
 *
 * A rank computes its shards one after another.  Sums that it can make for itself it makes as soon
 * as both sides are there, so few gradients wait (as many as the tree is deep). */
#include "train/train_internal.h"

#include <string.h>

enum { BUCKET = 1 << 20 }; /* elements that are summed at a time: 4 MB of float */

size_t mdl__shard_count(const mdl_train_config *train)
{
    return mdl_max_size(1, train->shards);
}

size_t mdl__shard_size(const mdl_train_config *train)
{
    return train->batch / mdl__shard_count(train);
}

static mdl_shard_vector *top_of(mdl__shards *s)
{
    return &s->waiting[s->n_waiting - 1];
}

/* Whether the two nodes that came last are the halves of a larger one. */
static bool are_halves(const mdl_shard_vector *left, const mdl_span *right)
{
    return left->span.count == right->count && left->span.first % (2 * right->count) == 0 &&
           left->span.first + left->span.count == right->first;
}

/* How many gradients wait at most while the rank's shards are computed. */
static size_t most_waiting(size_t first, size_t own)
{
    mdl_shard_vector nodes[MDL_SPANS_MOST];
    size_t n = 0, most = 0;
    for (size_t i = 0; i < own; i++) {
        mdl_span now = {first + i, 1};
        for (; n > 0 && are_halves(&nodes[n - 1], &now); n--)
            now = (mdl_span){nodes[n - 1].span.first, 2 * now.count};
        if (i + 1 < own)
            nodes[n++].span = now;
        most = mdl_max_size(most, n);
    }
    return most;
}

size_t mdl__shards_bytes(const mdl_train_config *train, size_t n_params, size_t n_buffers,
                         const mdl_device *device)
{
    size_t size = mdl_dtype_size(device->real), shards = mdl__shard_count(train);
    const mdl_comm *comm = mdl_comm_current();
    if (shards == 1 || shards % (size_t)comm->size != 0)
        return 0;
    size_t own = shards / (size_t)comm->size;
    size_t most = most_waiting((size_t)comm->rank * own, own);
    size_t host = device->backend->host_memory ? 0 : n_params;
    return size * (most * (n_params + n_buffers) + 2 * n_buffers + host +
                   mdl_shard_scratch(comm, shards, n_params + n_buffers));
}

/* ---- making --------------------------------------------------------------------------------- */

static mdl_status check(const mdl__trainer *t, const mdl__shards *s)
{
    const mdl_train_config *train = t->job->train;
    if (s->count % (size_t)s->comm->size != 0)
        return mdl_fail(MDL_CONFIG,
                        "train.shards is %zu, which %d ranks cannot share: start a number of them "
                        "that divides it, or set train.shards, which is part of the recipe, to a "
                        "multiple of it",
                        s->count, s->comm->size);
    if (train->batch % s->count != 0)
        return mdl_fail(MDL_CONFIG,
                        "train.batch %zu cannot be cut into train.shards %zu equal shards",
                        train->batch, s->count);
    return MDL_OK;
}

static mdl_status create_sums(mdl__trainer *t, mdl__shards *s)
{
    size_t params = (t->n_params + BUCKET - 1) / BUCKET,
           size = mdl_dtype_size(t->job->device->real);
    s->n_sums = params + (t->n_buffers > 0 ? 1 : 0);
    MDL_TRY(MDL_NEW(s->n_sums, "sums over shards", &s->sums));
    MDL_TRY(MDL_NEW(s->n_sums, "sums over shards", &s->tickets));
    for (size_t b = 0; b < s->n_sums; b++) {
        mdl_shard_sum *sum = &s->sums[b];
        sum->shards = s->count;
        sum->wide = t->job->device->real == MDL_F64;
        sum->count = b < params ? mdl_min_size(BUCKET, t->n_params - b * BUCKET) : t->n_buffers;
        MDL_TRY(mdl_alloc(1 + mdl_shard_scratch(s->comm, s->count, sum->count), size,
                          "what other ranks send", &sum->scratch));
    }
    return MDL_OK;
}

mdl_status mdl__shards_create(mdl__trainer *t)
{
    mdl__shards *s = &t->shards;
    const mdl_device *device = t->job->device;
    size_t size = mdl_dtype_size(device->real);
    s->comm = t->job->comm != NULL ? t->job->comm : mdl_comm_single();
    s->count = mdl__shard_count(t->job->train);
    MDL_TRY(check(t, s));
    s->own = s->count / (size_t)s->comm->size;
    s->first = (size_t)s->comm->rank * s->own;
    s->micros = mdl__shard_size(t->job->train) / (size_t)t->choice.micro_batch;
    t->accumulate = s->own * s->micros;
    if (s->count == 1)
        return MDL_OK;
    size_t most = most_waiting(s->first, s->own);
    for (size_t i = 0; i < most; i++)
        MDL_TRY(
            mdl_alloc(t->n_params + t->n_buffers, size, "a shard's gradient", &s->waiting[i].data));
    MDL_TRY(mdl_alloc(t->n_buffers + 1, size, "statistics of shards", &s->statistics));
    MDL_TRY(mdl_alloc(t->n_buffers + 1, size, "statistics before a step", &s->before));
    s->gradients = t->gradients->host;
    if (s->gradients == NULL) {
        MDL_TRY(mdl_alloc(t->n_params, size, "the gradient on the host", &s->mirror));
        s->gradients = s->mirror;
    }
    return create_sums(t, s);
}

void mdl__shards_destroy(mdl__shards *s)
{
    for (size_t i = 0; i < MDL_SPANS_MOST; i++)
        mdl_free(s->waiting[i].data);
    for (size_t b = 0; s->sums != NULL && b < s->n_sums; b++)
        mdl_free(s->sums[b].scratch);
    mdl_free(s->sums);
    mdl_free(s->tickets);
    mdl_free(s->statistics);
    mdl_free(s->before);
    mdl_free(s->mirror);
    memset(s, 0, sizeof(*s));
}

/* ---- a step --------------------------------------------------------------------------------- */

static char *element(const mdl__trainer *t, void *vector, size_t i)
{
    return (char *)vector + i * mdl_dtype_size(t->job->device->real);
}

mdl_status mdl__shards_begin(mdl__trainer *t)
{
    mdl__shards *s = &t->shards;
    s->n_waiting = 0;
    return t->n_buffers > 0
               ? mdl_buffer_download(t->weights.buffers, 0, s->before, t->weights.buffers->bytes)
               : MDL_OK;
}

mdl_status mdl__shards_next(mdl__trainer *t, size_t i)
{
    const mdl__shards *s = &t->shards;
    if (i > 0 && t->n_buffers > 0)
        MDL_TRY(mdl_buffer_upload(t->weights.buffers, 0, s->before, t->weights.buffers->bytes));
    return mdl__gradients_clear(t);
}

/* What the shard has changed of the statistics. */
static void subtract(void *from, const void *what, size_t n, bool wide)
{
    for (size_t i = 0; i < n; i++)
        if (wide)
            ((double *)from)[i] -= ((const double *)what)[i];
        else
            ((float *)from)[i] -= ((const float *)what)[i];
}

/* Add the node that waits last to the present one. */
static void join(mdl__trainer *t, mdl_span *now)
{
    mdl__shards *s = &t->shards;
    const mdl_shard_vector *left = top_of(s);
    bool wide = t->job->device->real == MDL_F64;
    mdl_vector_add(s->gradients, left->data, t->n_params, wide);
    mdl_vector_add(s->statistics, element(t, left->data, t->n_params), t->n_buffers, wide);
    *now = (mdl_span){left->span.first, left->span.count + now->count};
    s->n_waiting--;
}

static void let_wait(mdl__trainer *t, mdl_span now)
{
    mdl__shards *s = &t->shards;
    size_t size = mdl_dtype_size(t->job->device->real);
    mdl_shard_vector *place = &s->waiting[s->n_waiting++];
    place->span = now;
    memcpy(place->data, s->gradients, t->n_params * size);
    memcpy(element(t, place->data, t->n_params), s->statistics, t->n_buffers * size);
}

mdl_status mdl__shards_end(mdl__trainer *t, size_t i)
{
    mdl__shards *s = &t->shards;
    mdl_span now = {s->first + i, 1}, spans[MDL_SPANS_MOST];
    if (s->mirror != NULL)
        MDL_TRY(mdl_buffer_download(t->gradients, 0, s->mirror, t->gradients->bytes));
    if (t->n_buffers > 0)
        MDL_TRY(
            mdl_buffer_download(t->weights.buffers, 0, s->statistics, t->weights.buffers->bytes));
    subtract(s->statistics, s->before, t->n_buffers, t->job->device->real == MDL_F64);
    while (s->n_waiting > 0 && are_halves(top_of(s), &now))
        join(t, &now);
    if (i + 1 < s->own) {
        let_wait(t, now);
        return MDL_OK;
    }
    /* What is left over at the end of the tree has no other half. */
    size_t nodes = mdl_shard_spans(s->count, s->first, s->own, spans);
    while (s->n_waiting + 1 > nodes)
        join(t, &now);
    return MDL_OK;
}

static void start_sums(mdl__trainer *t)
{
    mdl__shards *s = &t->shards;
    for (size_t b = 0, begin = 0; b < s->n_sums; b++) {
        mdl_shard_sum *sum = &s->sums[b];
        bool statistics = begin == t->n_params;
        for (size_t k = 0; k < s->n_waiting; k++)
            sum->parts[k] = element(t, s->waiting[k].data, begin);
        sum->parts[s->n_waiting] = statistics ? s->statistics : element(t, s->gradients, begin);
        mdl_shard_sum_start(s->comm, sum, &s->tickets[b]);
        begin += statistics ? 0 : sum->count;
    }
}

/* The statistics before the step, and the mean of what the shards have changed. */
static void add_mean(mdl__trainer *t)
{
    mdl__shards *s = &t->shards;
    double part = 1 / (double)s->count;
    for (size_t i = 0; i < t->n_buffers; i++)
        if (t->job->device->real == MDL_F64)
            ((double *)s->statistics)[i] =
                ((double *)s->before)[i] + part * ((double *)s->statistics)[i];
        else
            ((float *)s->statistics)[i] =
                ((float *)s->before)[i] + (float)part * ((float *)s->statistics)[i];
}

mdl_status mdl__shards_sum(mdl__trainer *t)
{
    mdl__shards *s = &t->shards;
    start_sums(t);
    for (size_t b = 0; b < s->n_sums; b++)
        MDL_TRY(mdl_shard_sum_wait(s->comm, s->tickets[b]));
    if (s->mirror != NULL)
        MDL_TRY(mdl_buffer_upload(t->gradients, 0, s->mirror, t->gradients->bytes));
    add_mean(t);
    return t->n_buffers > 0
               ? mdl_buffer_upload(t->weights.buffers, 0, s->statistics, t->weights.buffers->bytes)
               : MDL_OK;
}
