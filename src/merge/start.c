/* The first members of a search: random models, or the parents and their averages. */
#include "merge/search.h"

#include <math.h>
#include <string.h>

mdl_status mdl__search_average(mdl__search *s, mdl_weights *next, mdl_weights *out)
{
    mdl__merge_context *m = s->context;
    mdl__genome networks; /* the context's may be of weights by layers */
    mdl_status status = mdl__genome_create(m->graph, s->job->device, MDL__CROSS_WEIGHTS, &networks);
    for (size_t i = 0; i < s->job->n_parents && status == MDL_OK; i++) {
        double n = (double)(i + 1);
        status = mdl__merge_context_load(m, s->job->parents[i], next);
        if (status == MDL_OK)
            status = mdl__genome_mix(&networks, out, i > 0 ? (n - 1) / n : 0, next, 1 / n, out);
    }
    mdl__genome_destroy(&networks);
    return status;
}

/* Evaluate the genome in spare[0], let it ask for a place, and keep it where the strategy wants
 * all.
 */
static mdl_status admit_start(mdl__search *s, const char *source)
{
    bool kept;
    uint64_t dropped;
    size_t number = (size_t)s->next_id - 1;
    if (number < s->n_origins) {
        MDL_TRY(mdl_weights_copy(&s->origins[number], &s->genomes[s->spare[0]]));
        s->origin_ids[number] = s->next_id;
    }
    MDL_TRY(mdl__search_evaluate(s, 0));
    mdl__search_admit(s, 0, &kept, &dropped);
    MDL_TRY(mdl__search_genome(s, s->spare[0]));
    return mdl__lineage_start(s, &s->children[0], source, kept, dropped);
}

static mdl_status from_scratch(mdl__search *s)
{
    for (size_t i = 0; i < s->config->from_scratch; i++) {
        uint32_t word[4];
        char source[64];
        /* Another seed for each, away from the draws of the children. */
        mdl_philox(s->job->seed, MDL_STREAM_MERGE, UINT64_MAX - i, word);
        MDL_TRY(mdl_weights_init(s->context->graph, (uint64_t)word[0] << 32 | word[1],
                                 &s->genomes[s->spare[0]]));
        snprintf(source, sizeof(source), "random %zu", i);
        MDL_TRY(admit_start(s, source));
    }
    return MDL_OK;
}

/* What stands for parent i in the search. */
static mdl_status load_parent(mdl__search *s, size_t i, mdl_weights *out)
{
    mdl__merge_context *m = s->context;
    return m->layers != NULL ? mdl__layers_parent(m->layers, i, out)
                             : mdl__merge_context_load(m, s->job->parents[i], out);
}

static mdl_status from_parents(mdl__search *s)
{
    const mdl_merge_job *job = s->job;
    mdl__merge_context *m = s->context;
    for (size_t i = 0; i < job->n_parents; i++) {
        mdl_weights *parent = &s->genomes[s->spare[0]];
        double n = (double)(i + 1);
        MDL_TRY(load_parent(s, i, parent));
        if (i == 0)
            MDL_TRY(mdl_weights_copy(&s->average, parent));
        else
            MDL_TRY(
                mdl__genome_mix(&m->genome, &s->average, (n - 1) / n, parent, 1 / n, &s->average));
        MDL_TRY(admit_start(s, job->parents[i]));
        if (!isfinite(s->children[0].loss))
            mdl__warn_left_out(job->parents[i]);
    }
    return MDL_OK;
}

static mdl_status pair_averages(mdl__search *s, mdl_weights *second)
{
    const mdl_merge_job *job = s->job;
    mdl__merge_context *m = s->context;
    char source[96];
    for (size_t i = 0; i < job->n_parents; i++)
        for (size_t j = i + 1; j < job->n_parents; j++) {
            mdl_weights *first = &s->genomes[s->spare[0]];
            MDL_TRY(load_parent(s, i, first));
            MDL_TRY(load_parent(s, j, second));
            MDL_TRY(mdl__genome_mix(&m->genome, first, 0.5, second, 0.5, first));
            snprintf(source, sizeof(source), "average of parents %zu and %zu", i + 1, j + 1);
            MDL_TRY(admit_start(s, source));
        }
    return MDL_OK;
}

/* Pairwise averages join where they do not cost more than they may. */
static bool pairs_join(size_t parents, uint64_t total)
{
    return parents * (parents - 1) / 2 <= mdl_max_size(1, (size_t)total / 2);
}

/* Pairwise averages, then that of all. */
static mdl_status averages(mdl__search *s, mdl_weights *second)
{
    size_t n = s->job->n_parents;
    if (n < 2)
        return MDL_OK;
    if (pairs_join(n, s->total))
        MDL_TRY(pair_averages(s, second));
    if (n == 2) /* it is the pair's */
        return MDL_OK;
    MDL_TRY(mdl_weights_copy(&s->genomes[s->spare[0]], &s->average));
    return admit_start(s, "average of all parents");
}

double mdl_search_work(const mdl_merge_job *job)
{
    const mdl_merge_config *c = job->merge;
    const size_t *images = job->data->count;
    size_t children = c->evaluations > 0 ? c->evaluations : c->generations * c->batch;
    size_t n = job->n_parents, models = c->from_scratch > 0 ? c->from_scratch : n;
    size_t judged =
        images[c->fitness == MDL_FITNESS_TRAIN ? MDL_SPLIT_TRAIN : MDL_SPLIT_VALIDATION];
    size_t each = judged, train = images[MDL_SPLIT_TRAIN];
    if (c->from_scratch == 0 && c->start_averages && n >= 2)
        models += (pairs_join(n, children) ? n * (n - 1) / 2 : 0) + (n > 2);
    if (c->batch_norm == MDL_MERGE_BN_RECALIBRATE)
        each += mdl_min_size(MDL__STATISTICS_IMAGES, train);
    /* At the end the winner and the average get new statistics and are judged once more. */
    return (double)(models + children) * (double)each + 2 * (double)(train + judged);
}

/* Without a member there is nobody to draw parents from. */
static mdl_status expect_member(const mdl__search *s)
{
    const mdl__archive *a = &s->archive;
    for (size_t i = 0; i < a->places; i++)
        if (a->member[i].id != 0)
            return MDL_OK;
    return mdl_fail(
        MDL_NUMERIC,
        "the loss on the images of the fitness is finite for none of the models that the "
        "search begins with (%llu)",
        (unsigned long long)s->next_id - 1);
}

mdl_status mdl__search_start(mdl__search *s)
{
    MDL_TRY(mdl__search_genome(s, s->spare[0]));
    /* Whoever gives a wrong parent keeps what an older search left in the folder. */
    for (size_t i = 0; s->config->from_scratch == 0 && i < s->job->n_parents; i++)
        MDL_TRY(load_parent(s, i, &s->genomes[s->spare[0]]));
    MDL_TRY(mdl__lineage_open(s));
    MDL_TRY(s->config->from_scratch > 0 ? from_scratch(s) : from_parents(s));
    MDL_TRY(expect_member(s));
    if (s->config->from_scratch > 0 || !s->config->start_averages)
        return MDL_OK;
    mdl_weights second = {0};
    MDL_TRY(mdl_weights_create(s->context->genome.graph, s->job->device, &second));
    mdl_status status = averages(s, &second);
    mdl_weights_destroy(&second);
    return status;
}
