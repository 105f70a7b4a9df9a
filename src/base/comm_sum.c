/* Sums over virtual shards, over all ranks: each rank adds up its own piece of the vector, from
 * what all others send it for that, and sends the sum to all.  Every addition is that of two nodes
 * of a tree over the shards, whoever does it. */
#include <string.h>

#include "base/comm_internal.h"

enum { GRAIN = 16 }; /* elements: pieces begin at cache lines */

void mdl_vector_add(void *to, const void *from, size_t count, bool wide)
{
    if (wide) {
        double *a = to;
        const double *b = from;
        for (size_t i = 0; i < count; i++)
            a[i] = b[i] + a[i];
    } else {
        float *a = to;
        const float *b = from;
        for (size_t i = 0; i < count; i++)
            a[i] = b[i] + a[i];
    }
}

void mdl_vector_round(float *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        values[i] = mdl_bf16_value(mdl_bf16_of(values[i]));
}

static void pack(const float *from, uint16_t *to, size_t count)
{
    for (size_t i = 0; i < count; i++)
        to[i] = mdl_bf16_of(from[i]);
}

static void unpack(const uint16_t *from, float *to, size_t count)
{
    for (size_t i = 0; i < count; i++)
        to[i] = mdl_bf16_value(from[i]);
}

/* ---- the tree ------------------------------------------------------------------------------- */

/* The largest power of two below n (n > 1): so many shards are the left half of a node. */
static size_t left_of(size_t n)
{
    size_t left = 1;
    while (2 * left < n)
        left *= 2;
    return left;
}

/* Add the nodes that lie in [from, to) of the node, and are in no larger one that does. */
static size_t cover(mdl_span node, size_t from, size_t to, mdl_span *spans)
{
    size_t end = node.first + node.count;
    if (end <= from || to <= node.first)
        return 0;
    if (from <= node.first && end <= to) {
        *spans = node;
        return 1;
    }
    size_t left = left_of(node.count);
    size_t n = cover((mdl_span){node.first, left}, from, to, spans);
    return n + cover((mdl_span){node.first + left, node.count - left}, from, to, spans + n);
}

size_t mdl_shard_spans(size_t shards, size_t first, size_t count, mdl_span *spans)
{
    return cover((mdl_span){0, shards}, first, first + count, spans);
}

static size_t spans_of(const mdl_comm *comm, size_t shards, int rank, mdl_span *spans)
{
    size_t own = shards / (size_t)comm->size;
    return mdl_shard_spans(shards, (size_t)rank * own, own, spans);
}

/* ---- who sums which piece ------------------------------------------------------------------- */

static size_t piece_begin(const mdl_comm *comm, size_t count, int rank)
{
    size_t each = mdl_round_up((count + (size_t)comm->size - 1) / (size_t)comm->size, GRAIN);
    return mdl_min_size(count, (size_t)rank * each);
}

static size_t piece_count(const mdl_comm *comm, size_t count, int rank)
{
    return piece_begin(comm, count, rank + 1) - piece_begin(comm, count, rank);
}

/* Nodes that any rank has, at most. */
static size_t spans_most(const mdl_comm *comm, size_t shards)
{
    mdl_span spans[MDL_SPANS_MOST];
    size_t most = 0;
    for (int i = 0; i < comm->size; i++)
        most = mdl_max_size(most, spans_of(comm, shards, i, spans));
    return most;
}

/* Behind the nodes of others: room for a piece that goes and one that comes, in half as many bytes.
 */
size_t mdl_shard_scratch(const mdl_comm *comm, size_t shards, size_t count, bool narrow)
{
    if (comm->size == 1)
        return 0;
    size_t places = (size_t)comm->size * spans_most(comm, shards);
    return (places + (narrow ? 1 : 0)) * piece_count(comm, count, 0);
}

/* ---- summing -------------------------------------------------------------------------------- */

typedef struct work { /* of one rank on one sum */
    const mdl_comm *comm;
    const mdl_shard_sum *sum;
    size_t most;         /* places for nodes of a rank in the scratch memory */
    size_t begin, count; /* this rank's piece */
    size_t size;         /* bytes of an element */
} work;

static work work_of(const mdl_comm *comm, const mdl_shard_sum *sum)
{
    return (work){.comm = comm,
                  .sum = sum,
                  .most = spans_most(comm, sum->shards),
                  .begin = piece_begin(comm, sum->count, comm->rank),
                  .count = piece_count(comm, sum->count, comm->rank),
                  .size = sum->wide ? sizeof(double) : sizeof(float)};
}

static char *part(const work *w, size_t i, size_t element)
{
    return (char *)w->sum->parts[i] + element * w->size;
}

/* Where node i of a rank is, as far as this rank's piece goes. */
static char *node_at(const work *w, int rank, size_t i)
{
    if (rank == w->comm->rank)
        return part(w, i, w->begin);
    return (char *)w->sum->scratch + ((size_t)rank * w->most + i) * w->count * w->size;
}

/* The sum of a node, in the place of its last part. */
static char *sum_of(const work *w, mdl_span node)
{
    size_t own = w->sum->shards / (size_t)w->comm->size, rank = node.first / own;
    mdl_span spans[MDL_SPANS_MOST];
    if (node.first + node.count <= (rank + 1) * own) {
        size_t n = spans_of(w->comm, w->sum->shards, (int)rank, spans);
        for (size_t i = 0; i < n; i++)
            if (spans[i].first == node.first && spans[i].count == node.count)
                return node_at(w, (int)rank, i);
    }
    size_t left = left_of(node.count);
    const char *a = sum_of(w, (mdl_span){node.first, left});
    char *b = sum_of(w, (mdl_span){node.first + left, node.count - left});
    mdl_vector_add(b, a, w->count, w->sum->wide);
    return b;
}

typedef struct message {
    char *at; /* NULL: none */
    size_t count;
    bool narrow; /* it travels in half the bytes */
} message;

static size_t bytes_of(const work *w, message m)
{
    return m.at != NULL ? m.count * (m.narrow ? sizeof(uint16_t) : w->size) : 0;
}

/* Round k: one for another rank, and one from another. */
static mdl_status swap(mdl_comm_state *s, const work *w, int k, message out, message in)
{
    const mdl_comm *c = w->comm;
    size_t each = piece_count(c, w->sum->count, 0);
    size_t nodes = (size_t)c->size * w->most * each;
    uint16_t *goes = (uint16_t *)((float *)w->sum->scratch + nodes), *comes = goes + each;
    if (out.at != NULL && out.narrow)
        pack((const float *)(const void *)out.at, goes, out.count);
    MDL_TRY(mdl__link_exchange(s, (c->rank + k) % c->size, out.narrow ? (const void *)goes : out.at,
                               bytes_of(w, out), (c->rank - k + c->size) % c->size,
                               in.narrow ? (void *)comes : in.at, bytes_of(w, in)));
    if (in.at != NULL && in.narrow)
        unpack(comes, (float *)(void *)in.at, in.count);
    return MDL_OK;
}

/* Round k: my nodes of another's piece for another's nodes of mine. */
static mdl_status trade(mdl_comm_state *s, const work *w, int k)
{
    const mdl_comm *c = w->comm;
    mdl_span mine[MDL_SPANS_MOST], theirs[MDL_SPANS_MOST];
    int to = (c->rank + k) % c->size, from = (c->rank - k + c->size) % c->size;
    size_t n_mine = spans_of(c, w->sum->shards, c->rank, mine);
    size_t n_theirs = spans_of(c, w->sum->shards, from, theirs);
    size_t there = piece_begin(c, w->sum->count, to);
    for (size_t i = 0; i < mdl_max_size(n_mine, n_theirs); i++) {
        message out = {0}, in = {0};
        if (i < n_mine)
            out = (message){part(w, i, there), piece_count(c, w->sum->count, to),
                            w->sum->narrow && mine[i].count == 1};
        if (i < n_theirs)
            in = (message){node_at(w, from, i), w->count, w->sum->narrow && theirs[i].count == 1};
        MDL_TRY(swap(s, w, k, out, in));
    }
    return MDL_OK;
}

/* Round k: my finished piece for another's. */
static mdl_status share(mdl_comm_state *s, const work *w, int k, size_t last)
{
    const mdl_comm *c = w->comm;
    int from = (c->rank - k + c->size) % c->size;
    message out = {part(w, last, w->begin), w->count, w->sum->narrow};
    message in = {part(w, last, piece_begin(c, w->sum->count, from)),
                  piece_count(c, w->sum->count, from), w->sum->narrow};
    return swap(s, w, k, out, in);
}

/* The last part becomes the node that it stands for. */
static void join(const work *w, const mdl_span *spans, size_t last)
{
    const mdl_shard_sum *sum = w->sum;
    if (sum->narrow && (sum->n_joined > 0 || spans[last].count == 1))
        mdl_vector_round(sum->parts[last], sum->count);
    for (size_t i = 0; i < sum->n_joined; i++)
        mdl_vector_add(sum->parts[last], sum->joined[i], sum->count, sum->wide);
}

/* This rank's piece of the sum, in its last part. */
static void finish(const work *w, size_t last)
{
    char *to = part(w, last, w->begin), *total = sum_of(w, (mdl_span){0, w->sum->shards});
    if (w->count > 0 && total != to)
        memcpy(to, total, w->count * w->size);
    if (w->sum->narrow)
        mdl_vector_round((float *)(void *)to, w->count);
}

static mdl_status sum_up(mdl_comm_state *s, void *user)
{
    const mdl_shard_sum *sum = user;
    mdl_span spans[MDL_SPANS_MOST];
    if (s->shut != MDL_OK)
        return MDL_OK;
    const work w = work_of(&s->comm, sum);
    size_t last = spans_of(&s->comm, sum->shards, s->comm.rank, spans) - 1;
    join(&w, spans, last);
    for (int k = 1; k < s->comm.size; k++)
        MDL_TRY(trade(s, &w, k));
    finish(&w, last);
    for (int k = 1; k < s->comm.size; k++)
        MDL_TRY(share(s, &w, k, last));
    return MDL_OK;
}

void mdl_shard_sum_start(const mdl_comm *comm, mdl_shard_sum *sum, uint64_t *ticket)
{
    *ticket = 0;
    if (comm->state != NULL) {
        *ticket = mdl__comm_post(comm->state, sum_up, sum);
        return;
    }
    const work w = work_of(comm, sum);
    mdl_span spans[MDL_SPANS_MOST];
    size_t last = spans_of(comm, sum->shards, 0, spans) - 1;
    join(&w, spans, last);
    finish(&w, last);
}

mdl_status mdl_shard_sum_wait(const mdl_comm *comm, uint64_t ticket)
{
    mdl_comm_state *s = comm->state;
    if (s == NULL)
        return MDL_OK;
    MDL_TRY(mdl__comm_wait(s, ticket));
    mdl_monitor_lock(s->monitor);
    mdl_status shut = s->shut;
    mdl_monitor_unlock(s->monitor);
    if (shut == MDL_OK)
        return MDL_OK;
    s->agreed = shut;
    return mdl_fail(shut, "%s", s->detail);
}
