/* M2N2 (arXiv 2508.16204, section 3), the search over random children, and the line between two
 * parents: strategies whose children are crossings.  A plain genetic algorithm is M2N2 with alpha 0
 * and without attraction, as in the published code. */
#include "merge/search.h"

#include <string.h>

/* ---- what they share ------------------------------------------------------------------------ */

double mdl__search_noise(const mdl_merge_config *c)
{
    return c->space == MDL_SPACE_LAYERS ? c->layer_step : c->mutation;
}

double mdl__draw_ratio(const mdl_merge_config *c, mdl_rng *rng)
{
    return c->ratio_from + (c->ratio_to - c->ratio_from) * mdl_rng_uniform(rng);
}

mdl_status mdl__make_crossed(mdl__search *s, mdl__merge_context *m, const mdl__cross *cross,
                             uint64_t number, mdl_weights *child)
{
    const mdl_merge_config *c = s->config;
    if (cross->of[1] != NULL)
        MDL_TRY(mdl__genome_cross(&m->genome, c->angle, cross->of[0], cross->of[1], cross->point,
                                  cross->ratio, child));
    else
        MDL_TRY(mdl_weights_copy(child, cross->of[0]));
    if (mdl__search_noise(c) > 0)
        MDL_TRY(mdl__genome_mutate(&m->genome, mdl__search_noise(c), s->job->seed, number, child));
    return MDL_OK;
}

const mdl_weights *mdl__genome_of(const mdl__search *s, size_t place)
{
    return &s->genomes[s->archive.member[place].genome];
}

static size_t batch_of(const mdl_merge_config *c)
{
    return c->batch;
}

/* ---- competition and attraction ------------------------------------------------------------- */

static size_t niche_places(const mdl_merge_config *c)
{
    return c->archive;
}

static mdl_status niche_check(const mdl_merge_job *job)
{
    const mdl_merge_config *c = job->merge;
    if (c->archive < 2)
        return mdl_fail(MDL_CONFIG, "merge.archive is %zu, expected at least 2", c->archive);
    if (!(c->alpha >= 0))
        return mdl_fail(MDL_CONFIG, "merge.alpha is %g, expected 0 or more", c->alpha);
    if (!c->crossover && mdl__search_noise(c) == 0)
        return mdl_fail(MDL_CONFIG, "without merge.crossover and merge.mutation every child is a "
                                    "copy of its parent");
    return MDL_OK;
}

static mdl_status niche_draw(mdl__search *s, mdl_rng *rng, uint64_t number, mdl__cross *cross)
{
    const mdl_merge_config *c = s->config;
    mdl__archive *a = &s->archive;
    (void)number;
    if (a->rated != a->places)
        mdl__archive_rate(a, a->places);
    size_t first = mdl__archive_first(a, mdl_rng_uniform(rng));
    cross->parents[0] = a->member[first].id;
    cross->of[0] = mdl__genome_of(s, first);
    if (!c->crossover)
        return MDL_OK;
    double u = mdl_rng_uniform(rng);
    size_t second = c->attraction ? mdl__archive_second(a, first, u) : mdl__archive_first(a, u);
    cross->parents[1] = a->member[second].id;
    cross->of[1] = mdl__genome_of(s, second);
    cross->ratio = mdl__draw_ratio(c, rng);
    cross->point = mdl__genome_draw_point(&s->context->genome, c->crossover_point, rng);
    return MDL_OK;
}

static size_t niche_admit(mdl__search *s)
{
    return mdl__archive_replace(&s->archive);
}

static bool niche_cannot_enter(mdl__search *s, const float *scores)
{
    return mdl__archive_cannot_enter(&s->archive, scores, s->room);
}

const mdl__strategy mdl__strategy_niches = {
    .check = niche_check,
    .places = niche_places,
    .batch = batch_of,
    .draw = niche_draw,
    .make = mdl__make_crossed,
    .admit = niche_admit,
    .cannot_enter = niche_cannot_enter,
};

/* ---- the best so far: random children, a line ----------------------------------------------- */

static double sum_of(const float *scores, size_t n)
{
    double sum = 0;
    for (size_t j = 0; j < n; j++)
        sum += (double)scores[j];
    return sum;
}

static size_t one_place(const mdl_merge_config *c)
{
    (void)c;
    return 1;
}

/* The first of equal ones stays, as in the published brute force. */
static size_t best_admit(mdl__search *s)
{
    mdl__archive *a = &s->archive;
    if (a->member[0].id != 0 &&
        sum_of(a->scores[1], a->samples) <= sum_of(a->scores[0], a->samples))
        return 1;
    mdl__archive_swap(a, 0);
    return 0;
}

static bool best_cannot_enter(mdl__search *s, const float *scores)
{
    const mdl__archive *a = &s->archive;
    double margin = 1e-9 * (double)a->samples;
    return a->member[0].id != 0 &&
           sum_of(scores, a->samples) <= sum_of(a->scores[0], a->samples) - margin;
}

static size_t first_members(const mdl_merge_job *job)
{
    return job->merge->from_scratch > 0 ? job->merge->from_scratch : job->n_parents;
}

/* Two of the first models, a ratio and a crossover point, each uniform: what selection is to be
 * measured against. */
static mdl_status random_draw(mdl__search *s, mdl_rng *rng, uint64_t number, mdl__cross *cross)
{
    (void)number;
    size_t first = (size_t)mdl_rng_below(rng, s->n_origins), second = first;
    if (s->n_origins > 1) {
        second = (size_t)mdl_rng_below(rng, s->n_origins - 1);
        second += second >= first;
    }
    cross->parents[0] = s->origin_ids[first];
    cross->parents[1] = s->origin_ids[second];
    cross->of[0] = &s->origins[first];
    cross->of[1] = &s->origins[second];
    cross->ratio = mdl__draw_ratio(s->config, rng);
    cross->point = mdl__genome_draw_point(&s->context->genome, s->config->crossover_point, rng);
    return MDL_OK;
}

const mdl__strategy mdl__strategy_random = {
    .places = one_place,
    .batch = batch_of,
    .origins = first_members,
    .draw = random_draw,
    .make = mdl__make_crossed,
    .admit = best_admit,
    .cannot_enter = best_cannot_enter,
};

static mdl_status line_check(const mdl_merge_job *job)
{
    if (first_members(job) != 2)
        return mdl_fail(MDL_CONFIG, "the line between two models: %zu given", first_members(job));
    return MDL_OK;
}

/* Ratios 0 to 1 in equal steps, both ends included; the published code takes 10,000. */
static mdl_status line_draw(mdl__search *s, mdl_rng *rng, uint64_t number, mdl__cross *cross)
{
    (void)rng;
    for (size_t i = 0; i < 2; i++) {
        cross->parents[i] = s->origin_ids[i];
        cross->of[i] = &s->origins[i];
    }
    cross->ratio = s->total > 1 ? (double)number / (double)(s->total - 1) : 0.5;
    cross->point = s->context->genome.elements;
    return MDL_OK;
}

static mdl_status line_make(mdl__search *s, mdl__merge_context *m, const mdl__cross *cross,
                            uint64_t number, mdl_weights *child)
{
    (void)number;
    return mdl__genome_cross(&m->genome, s->config->angle, cross->of[0], cross->of[1], cross->point,
                             cross->ratio, child);
}

const mdl__strategy mdl__strategy_line = {
    .check = line_check,
    .places = one_place,
    .batch = batch_of,
    .origins = first_members,
    .draw = line_draw,
    .make = line_make,
    .admit = best_admit,
    .cannot_enter = best_cannot_enter,
};
