/* A search over several processes.  Recipes and scores travel, never genomes: each rank holds the
 * archive and draws the same children, since they follow from the seed, their numbers and the
 * archive; rank r judges those with number mod size = r; the scores of all go round once; all admit
 * alike, and make for themselves the children that got a place.
 *
 * A child is abandoned where it could get no place in the archive as it was before the batch.
 * Children before it may have changed the archive meanwhile, so all look again, with the scores
 * that were sent, and where it could get one now its rank judges it to the end.
 *
 * With every message goes a hash of all members so far, genomes and scores: a rank whose processor
 * rounds differently is noticed before anything that it did counts. */
#include "merge/search.h"

#include <string.h>

typedef struct heading { /* of a message */
    uint64_t hash;
    int32_t status; /* of what was to be judged */
    uint32_t stop;  /* it was asked to stop */
} heading;

typedef struct judged { /* of a child, behind which its scores stand */
    double top1, loss;
    uint64_t abandoned;
} judged;

typedef struct shift { /* a batch on its way, for the workers */
    mdl__search *s;
    bool all_samples;
} shift;

mdl_status mdl__ranks_create(mdl__search *s)
{
    mdl__ranks *r = &s->ranks;
    size_t ranks = (size_t)r->comm->size, most = (s->batch + ranks - 1) / ranks;
    const mdl_weights *genome = &s->genomes[0];
    if (ranks == 1)
        return MDL_OK;
    if (ranks > s->batch)
        mdl_log(MDL_LOG_WARN,
                "%zu children are drawn at a time (merge.batch): %zu of the %zu ranks have nothing "
                "to judge; more at a time is another search with other results",
                s->batch, ranks - s->batch, ranks);
    r->record = sizeof(judged) + mdl_round_up(s->archive.samples * sizeof(float), sizeof(double));
    r->bytes = sizeof(heading) + most * r->record;
    MDL_TRY(MDL_NEW(r->bytes, "a message to other ranks", &r->own));
    MDL_TRY(mdl_alloc(ranks, r->bytes, "messages of all ranks", (void **)&r->all));
    MDL_TRY(MDL_NEW(s->batch, "children", &r->pieces));
    MDL_TRY(MDL_NEW(s->batch, "children", &r->made));
    MDL_TRY(MDL_NEW(s->batch, "children", &r->kept));
    if (s->job->device->backend->host_memory || genome->params == NULL)
        return MDL_OK;
    size_t buffers = genome->buffers != NULL ? genome->buffers->bytes : 0;
    return mdl_alloc(mdl_max_size(genome->params->bytes, buffers), 1, "a genome", &r->genome);
}

void mdl__ranks_destroy(mdl__ranks *r)
{
    mdl_free(r->own);
    mdl_free(r->all);
    mdl_free(r->pieces);
    mdl_free(r->made);
    mdl_free(r->kept);
    mdl_free(r->genome);
    *r = (mdl__ranks){0};
}

/* ---- the hash of the archive ---------------------------------------------------------------- */

static mdl_status add_buffer(mdl__search *s, const mdl_buffer *buffer)
{
    mdl__ranks *r = &s->ranks;
    if (buffer == NULL || buffer->bytes == 0)
        return MDL_OK;
    const void *bytes = buffer->host;
    if (bytes == NULL) {
        MDL_TRY(mdl_buffer_download(buffer, 0, r->genome, buffer->bytes));
        bytes = r->genome;
    }
    r->hash = mdl_hash_bytes(r->hash, bytes, buffer->bytes);
    return MDL_OK;
}

static mdl_status add_weights(mdl__search *s, const mdl_weights *weights)
{
    MDL_TRY(add_buffer(s, weights->params));
    return add_buffer(s, weights->buffers);
}

static mdl_status add_member(mdl__search *s, const mdl__member *member, const float *scores)
{
    mdl__ranks *r = &s->ranks;
    r->hash = mdl_hash_word(r->hash, member->id);
    r->hash = mdl_hash_bytes(r->hash, &member->top1, sizeof(member->top1));
    r->hash = mdl_hash_bytes(r->hash, &member->loss, sizeof(member->loss));
    r->hash = mdl_hash_bytes(r->hash, scores, s->archive.samples * sizeof(*scores));
    return add_weights(s, &s->genomes[member->genome]);
}

/* What a strategy keeps besides the members. */
static mdl_status add_origins(mdl__search *s)
{
    for (size_t i = 0; i < s->n_origins; i++)
        MDL_TRY(add_weights(s, &s->origins[i]));
    s->ranks.hash = mdl_hash_bytes(s->ranks.hash, &s->sigma, sizeof(s->sigma));
    return MDL_OK;
}

mdl_status mdl__ranks_begin(mdl__search *s)
{
    const mdl__archive *a = &s->archive;
    mdl_fingerprint fp;
    mdl_status status = MDL_OK;
    if (s->ranks.comm->size == 1)
        return MDL_OK;
    mdl__search_settings(s, &fp);
    MDL_TRY(mdl_comm_same(s->ranks.comm, "the search", fp.text));
    s->ranks.hash = MDL_HASH_START;
    for (size_t i = 0; i < a->places && status == MDL_OK; i++)
        if (a->member[i].id != 0)
            status = add_member(s, &a->member[i], a->scores[i]);
    if (status == MDL_OK)
        status = add_origins(s);
    MDL_TRY(mdl_comm_agree(s->ranks.comm, status));
    return mdl__ranks_compare(s);
}

static mdl_status diverged(const mdl_comm *comm, int rank)
{
    return mdl_fail(MDL_DEVICE,
                    "%s has made other models than %s from the same recipes: their processors "
                    "round differently; use equal ones, or kernels that all have (`run.backend=cpu:"
                    "base`)",
                    mdl_comm_rank_name(comm, rank), mdl_comm_rank_name(comm, 0));
}

mdl_status mdl__ranks_compare(mdl__search *s)
{
    mdl__ranks *r = &s->ranks;
    uint64_t *hashes = (uint64_t *)(void *)r->all;
    if (r->comm->size == 1)
        return MDL_OK;
    MDL_TRY(mdl_comm_allgather(r->comm, &r->hash, sizeof(r->hash), hashes));
    for (int i = 1; i < r->comm->size; i++)
        if (hashes[i] != hashes[0])
            return mdl_comm_agree(r->comm, diverged(r->comm, i));
    return MDL_OK;
}

/* ---- judging -------------------------------------------------------------------------------- */

static int judge_of(const mdl__search *s, size_t c)
{
    return (int)((s->evaluations + c) % (uint64_t)s->ranks.comm->size);
}

static mdl_status judge(void *user, size_t worker, size_t i)
{
    const shift *w = user;
    size_t c = w->s->ranks.pieces[i];
    if (!w->s->ranks.made[c])
        MDL_TRY(mdl__search_make(w->s, worker, c));
    w->s->ranks.made[c] = true;
    return mdl__search_judge(w->s, worker, c, w->all_samples);
}

/* Judge those of this rank among children first to n - 1. */
static mdl_status judge_own(mdl__search *s, size_t first, size_t n, bool all_samples)
{
    shift w = {s, all_samples};
    size_t count = 0;
    for (size_t c = first; c < n; c++)
        if (judge_of(s, c) == s->ranks.comm->rank)
            s->ranks.pieces[count++] = c;
    return mdl_pool_run(s->workers.pool, count, judge, &w);
}

static void write_judged(mdl__search *s, size_t c, unsigned char *to)
{
    judged j = {s->children[c].top1, s->children[c].loss, s->abandoned[c]};
    size_t samples = s->archive.samples;
    memcpy(to, &j, sizeof(j));
    memcpy(to + sizeof(j), s->child_scores + c * samples, samples * sizeof(float));
}

static void read_judged(mdl__search *s, size_t c, const unsigned char *from)
{
    judged j;
    size_t samples = s->archive.samples;
    memcpy(&j, from, sizeof(j));
    s->children[c].top1 = j.top1;
    s->children[c].loss = j.loss;
    s->abandoned[c] = j.abandoned != 0;
    s->evaluated[c] = true;
    memcpy(s->child_scores + c * samples, from + sizeof(j), samples * sizeof(float));
}

/* What the headings of all say: a failure, a stop, another archive. */
static mdl_status look_at_headings(mdl__search *s, mdl_status own)
{
    mdl__ranks *r = &s->ranks;
    heading first, h;
    bool failed = false, cancelled = false;
    memcpy(&first, r->all, sizeof(first));
    for (int i = 0; i < r->comm->size; i++) {
        memcpy(&h, r->all + (size_t)i * r->bytes, sizeof(h));
        failed = failed || (h.status != MDL_OK && h.status != MDL_CANCELLED);
        cancelled = cancelled || h.status == MDL_CANCELLED;
        r->stop = r->stop || h.stop != 0;
    }
    if (failed)
        return mdl_comm_agree(r->comm, own);
    for (int i = 1; i < r->comm->size; i++) {
        memcpy(&h, r->all + (size_t)i * r->bytes, sizeof(h));
        if (h.hash != first.hash)
            return mdl_comm_agree(r->comm, diverged(r->comm, i));
    }
    return cancelled ? mdl_fail(MDL_CANCELLED, "interrupted") : MDL_OK;
}

/* Send what this rank has judged of children first to n - 1, and take what the others have. */
static mdl_status exchange(mdl__search *s, size_t first, size_t n, mdl_status own)
{
    mdl__ranks *r = &s->ranks;
    heading h = {r->hash, own, mdl_stop_requested()};
    unsigned char *at = r->own + sizeof(h);
    memcpy(r->own, &h, sizeof(h));
    for (size_t c = first; c < n; c++)
        if (judge_of(s, c) == r->comm->rank) {
            write_judged(s, c, at);
            at += r->record;
        }
    MDL_TRY(mdl_comm_allgather(r->comm, r->own, r->bytes, r->all));
    MDL_TRY(look_at_headings(s, own));
    for (int i = 0; i < r->comm->size; i++) {
        const unsigned char *from = r->all + (size_t)i * r->bytes + sizeof(h);
        for (size_t c = first; c < n; c++)
            if (judge_of(s, c) == i) {
                read_judged(s, c, from);
                from += r->record;
            }
    }
    return MDL_OK;
}

/* ---- admitting ------------------------------------------------------------------------------ */

/* Admit in order, up to a child that was abandoned but could get a place by now.  All ranks stop at
 * the same one, also where a line of the lineage could not be written. */
static mdl_status admit(mdl__search *s, size_t n)
{
    mdl_status status = MDL_OK;
    while (s->admitted < n) {
        size_t c = s->admitted;
        const float *row = s->child_scores + c * s->archive.samples;
        if (s->abandoned[c] && !s->strategy->cannot_enter(s, row))
            break;
        mdl_status here = mdl__search_admit_next(s, &s->ranks.kept[c]);
        status = status == MDL_OK ? here : status;
    }
    return status;
}

static mdl_status make(void *user, size_t worker, size_t i)
{
    mdl__search *s = user;
    size_t c = s->ranks.pieces[i];
    MDL_TRY(mdl__search_make(s, worker, c));
    return mdl__merge_context_statistics(&s->workers.contexts[worker],
                                         &s->genomes[s->children[c].genome]);
}

static size_t place_of(const mdl__search *s, uint64_t id)
{
    size_t place = 0;
    while (place < s->archive.places && s->archive.member[place].id != id)
        place++;
    return place;
}

/* Make the genomes that were judged elsewhere, as far as anybody will look at them. */
static mdl_status make_missing(mdl__search *s, size_t n)
{
    size_t count = 0;
    for (size_t c = 0; c < n; c++) {
        s->ranks.kept[c] = s->ranks.kept[c] && place_of(s, s->children[c].id) < s->archive.places;
        bool wanted = s->ranks.kept[c] || s->strategy->finish_batch != NULL;
        if (wanted && !s->ranks.made[c])
            s->ranks.pieces[count++] = c;
    }
    return mdl_pool_run(s->workers.pool, count, make, s);
}

static mdl_status finish(mdl__search *s, size_t n)
{
    MDL_TRY(make_missing(s, n));
    if (s->strategy->finish_batch != NULL) {
        MDL_TRY(s->strategy->finish_batch(s, n));
        MDL_TRY(add_origins(s));
    }
    for (size_t c = 0; c < n; c++) {
        size_t place = s->ranks.kept[c] ? place_of(s, s->children[c].id) : 0;
        if (s->ranks.kept[c])
            MDL_TRY(add_member(s, &s->archive.member[place], s->archive.scores[place]));
    }
    return MDL_OK;
}

mdl_status mdl__ranks_batch(mdl__search *s, size_t n, mdl_status drawn)
{
    mdl__ranks *r = &s->ranks;
    for (size_t c = 0; c < n; c++)
        r->made[c] = r->kept[c] = s->abandoned[c] = false;
    mdl_status status = drawn;
    for (size_t c = 0; c < n && status == MDL_OK && s->context->layers != NULL; c++) {
        status = mdl__search_make(s, 0, c); /* it is small, and the lineage has its numbers */
        r->made[c] = true;
    }
    mdl_stop_resume(); /* the caller has deferred it */
    if (status == MDL_OK)
        status = judge_own(s, 0, n, false);
    mdl_stop_defer();
    MDL_TRY(exchange(s, 0, n, status));
    status = admit(s, n);
    while (s->admitted < n) {
        size_t c = s->admitted;
        if (status == MDL_OK)
            status = judge_own(s, c, c + 1, true);
        MDL_TRY(exchange(s, c, c + 1, status));
        status = admit(s, n);
    }
    if (status == MDL_OK)
        status = finish(s, n);
    return mdl_comm_agree(r->comm, status);
}
