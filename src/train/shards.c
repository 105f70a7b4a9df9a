/* A batch as virtual shards, over one process or several.  Each shard has its own BatchNorm
 * statistics and its own gradient; the gradient of the batch is their sum by a fixed tree
 * (mdl_shard_sum), so that it has the same bits whoever computes which shard.  Running statistics
 * begin each shard as they were before the step; what the shards change of them is averaged by the
 * same tree.
 *
 * A rank computes its shards one after another.  Sums that it can make for itself it makes as soon
 * as both sides are there, so few gradients wait (as many as the tree is deep).  Those with its
 * last shard are left to the communicator's thread, in buckets, which begins with them as soon as
 * the backward pass has no more to do with a bucket (comm.overlap) or when all is computed. */
#include "train/train_internal.h"

#include <string.h>

size_t mdl__shard_count(const mdl_train_config *train)
{
    return mdl_max_size(1, train->shards);
}

size_t mdl__shard_size(const mdl_train_config *train)
{
    return train->batch / mdl__shard_count(train);
}

static bool is_narrow(const mdl_train_config *train)
{
    return train->gradients == MDL_GRADIENTS_BFLOAT16;
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
                   mdl_shard_scratch(comm, shards, n_params + n_buffers, is_narrow(train)));
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
    const mdl_train_config *train = t->job->train;
    size_t size = mdl_dtype_size(t->job->device->real);
    s->n_buckets = mdl_buckets_cut(t->n_params, size, train->bucket, s->buckets);
    mdl_buckets_mark(t->built.plan, s->buckets, s->n_buckets);
    MDL_TRY(MDL_NEW(s->n_buckets + 1, "sums over shards", &s->sums));
    MDL_TRY(MDL_NEW(s->n_buckets + 1, "sums over shards", &s->tickets));
    for (size_t b = 0; b <= s->n_buckets; b++) {
        mdl_shard_sum *sum = &s->sums[b];
        sum->shards = s->count;
        sum->wide = t->job->device->real == MDL_F64;
        sum->narrow = b < s->n_buckets && is_narrow(train);
        sum->count = b < s->n_buckets ? s->buckets[b].count : t->n_buffers;
        size_t scratch = mdl_shard_scratch(s->comm, s->count, sum->count, sum->narrow);
        MDL_TRY(mdl_alloc(1 + scratch, size, "what other ranks send", &sum->scratch));
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
    s->overlap = t->job->train->overlap && s->comm->size > 1;
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
    for (size_t b = 0; s->sums != NULL && b <= s->n_buckets; b++)
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
    s->n_waiting = s->started = 0;
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

/* ---- a shard ends --------------------------------------------------------------------------- */

/* How many of the nodes that wait are added to the present one, which becomes that of them all: the
 * halves of larger ones, and behind the rank's last shard also what has no other half, since it is
 * at the end of the tree. */
static size_t joins(const mdl__shards *s, size_t i, mdl_span *now)
{
    mdl_span spans[MDL_SPANS_MOST];
    bool last = i + 1 == s->own;
    size_t keep = last ? mdl_shard_spans(s->count, s->first, s->own, spans) - 1 : s->n_waiting;
    size_t n = s->n_waiting;
    *now = (mdl_span){s->first + i, 1};
    for (; n > 0 && (n > keep || are_halves(&s->waiting[n - 1], now)); n--)
        *now = (mdl_span){s->waiting[n - 1].span.first, s->waiting[n - 1].span.count + now->count};
    return s->n_waiting - n;
}

/* What a shard has changed of the statistics, and the nodes that join it. */
static mdl_status end_statistics(mdl__trainer *t, size_t joined)
{
    mdl__shards *s = &t->shards;
    bool wide = t->job->device->real == MDL_F64;
    if (t->n_buffers == 0)
        return MDL_OK;
    MDL_TRY(mdl_buffer_download(t->weights.buffers, 0, s->statistics, t->weights.buffers->bytes));
    subtract(s->statistics, s->before, t->n_buffers, wide);
    for (size_t k = 1; k <= joined; k++)
        mdl_vector_add(s->statistics, element(t, s->waiting[s->n_waiting - k].data, t->n_params),
                       t->n_buffers, wide);
    return MDL_OK;
}

/* The gradient of a shard that is not the rank's last, with the nodes that join it, waits. */
static void let_wait(mdl__trainer *t, size_t joined, mdl_span now)
{
    mdl__shards *s = &t->shards;
    size_t size = mdl_dtype_size(t->job->device->real);
    if (is_narrow(t->job->train))
        mdl_vector_round(s->gradients, t->n_params);
    for (size_t k = 1; k <= joined; k++)
        mdl_vector_add(s->gradients, s->waiting[s->n_waiting - k].data, t->n_params,
                       t->job->device->real == MDL_F64);
    s->n_waiting -= joined;
    mdl_shard_vector *place = &s->waiting[s->n_waiting++];
    place->span = now;
    memcpy(place->data, s->gradients, t->n_params * size);
    memcpy(element(t, place->data, t->n_params), s->statistics, t->n_buffers * size);
}

/* Bring elements of the gradient to the host, where they are not there. */
static mdl_status fetch(mdl__trainer *t, size_t first, size_t count)
{
    const mdl__shards *s = &t->shards;
    size_t size = mdl_dtype_size(t->job->device->real);
    return s->mirror == NULL ? MDL_OK
                             : mdl_buffer_download(t->gradients, first * size,
                                                   element(t, s->mirror, first), count * size);
}

mdl_status mdl__shards_end(mdl__trainer *t, size_t i)
{
    mdl__shards *s = &t->shards;
    bool last = i + 1 == s->own;
    mdl_span now;
    size_t joined = joins(s, i, &now);
    if (!last || !s->overlap)
        MDL_TRY(fetch(t, 0, t->n_params));
    MDL_TRY(end_statistics(t, joined));
    if (!last)
        let_wait(t, joined, now);
    return MDL_OK;
}

/* ---- sums ----------------------------------------------------------------------------------- */

/* Begin the next sum.  The nodes that the last shard completes are added to it on the
 * communicator's thread; those of the statistics are there already.  A step that is not sound may
 * have fewer nodes: the sum is made with anything. */
static void start_next(mdl__trainer *t, bool sound)
{
    mdl__shards *s = &t->shards;
    size_t b = s->started++;
    bool statistics = b == s->n_buckets;
    size_t first = statistics ? t->n_params : s->buckets[b].first;
    mdl_shard_sum *sum = &s->sums[b];
    mdl_span now, spans[MDL_SPANS_MOST];
    size_t nodes = mdl_shard_spans(s->count, s->first, s->own, spans);
    size_t joined = sound ? joins(s, s->own - 1, &now) : 0;
    char *own = statistics ? s->statistics : element(t, s->gradients, first);
    for (size_t k = 0; k + 1 < nodes; k++)
        sum->parts[k] = sound ? element(t, s->waiting[k].data, first) : own;
    sum->parts[nodes - 1] = own;
    sum->n_joined = statistics ? 0 : joined;
    for (size_t k = 0; k < sum->n_joined; k++)
        sum->joined[k] = element(t, s->waiting[s->n_waiting - 1 - k].data, first);
    mdl_shard_sum_start(s->comm, sum, &s->tickets[b]);
}

mdl_status mdl__shards_run(mdl__trainer *t)
{
    mdl__shards *s = &t->shards;
    size_t done = 0;
    for (size_t b = 0; b < s->n_buckets; b++) {
        MDL_TRY(mdl_run_part(t->run, done, s->buckets[b].steps));
        done = s->buckets[b].steps;
        MDL_TRY(fetch(t, s->buckets[b].first, s->buckets[b].count));
        start_next(t, true);
    }
    return mdl_run_part(t->run, done, mdl_plan_step_count(t->built.plan));
}

mdl_status mdl__shards_sum(mdl__trainer *t, mdl_status status)
{
    mdl__shards *s = &t->shards;
    char detail[1024];
    snprintf(detail, sizeof(detail), "%s", mdl_error_detail());
    while (s->started <= s->n_buckets)
        start_next(t, status == MDL_OK);
    double start = mdl_time();
    mdl_status sums = mdl_shard_sum_wait(s->comm, s->tickets[s->n_buckets]); /* and those before */
    s->waited += mdl_time() - start;
    if (status == MDL_OK || sums == MDL_OK)
        return status != MDL_OK ? status : sums;
    /* What all know goes before what this rank knows, and that before a broken line. */
    return mdl_comm_agreed(s->comm, sums) ? sums : mdl_fail(status, "%s", detail);
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

mdl_status mdl__shards_take(mdl__trainer *t)
{
    mdl__shards *s = &t->shards;
    if (s->mirror != NULL)
        MDL_TRY(mdl_buffer_upload(t->gradients, 0, s->mirror, t->gradients->bytes));
    add_mean(t);
    return t->n_buffers > 0
               ? mdl_buffer_upload(t->weights.buffers, 0, s->statistics, t->weights.buffers->bytes)
               : MDL_OK;
}
