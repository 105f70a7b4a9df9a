/* CMA-ES with the covariance held at the identity: weighted recombination and cumulative step-size
 * adaptation (Hansen & Ostermeier 2001; constants as in Hansen's tutorial, arXiv 1604.00772, table
 * 1).  A covariance of the small MLP's 19,210 parameters would be 369 million numbers, and with
 * 50,000 evaluations its learning rate leaves it near the identity anyway. */
#include "merge/search.h"

#include <math.h>
#include <stdlib.h>

enum { MEAN, PATH, NEXT, BEST_KEPT }; /* the origins */

static size_t cma_origins(const mdl_merge_job *job)
{
    (void)job;
    return BEST_KEPT;
}

static size_t cma_places(const mdl_merge_config *c)
{
    (void)c;
    return 1;
}

static size_t cma_batch(const mdl_merge_config *c)
{
    return c->archive;
}

static mdl_status cma_check(const mdl_merge_job *job)
{
    const mdl_merge_config *c = job->merge;
    if (c->archive < 2)
        return mdl_fail(MDL_CONFIG, "cma-es: merge.archive is %zu, expected at least 2 children",
                        c->archive);
    if (c->space == MDL_SPACE_LAYERS) /* of which mdl__layers_check knows the rest */
        return MDL_OK;
    if (c->from_scratch != 1 || !c->slerp_all)
        return mdl_fail(MDL_CONFIG, "cma-es starts from one random model, all of whose parameters "
                                    "are alike: set merge.from_scratch 1, merge.slerp_all true");
    if (!(c->step > 0))
        return mdl_fail(MDL_CONFIG, "merge.step is %g, expected more than 0", c->step);
    if (mdl_model_def_of(job->model->kind)->statistics)
        return mdl_fail(MDL_CONFIG, "cma-es adapts no running statistics: set model.kind: mlp");
    return MDL_OK;
}

/* The first member is the mean, which admit_start kept as origin 0; by layers all parents are it
 * alike. */
static mdl_status cma_begin(mdl__search *s)
{
    bool layers = s->context->layers != NULL;
    s->sigma = layers ? s->config->layer_step : s->config->step;
    if (layers)
        MDL_TRY(mdl__layers_alike(s->context->layers, &s->origins[MEAN]));
    return mdl__genome_mix(&s->context->genome, &s->origins[MEAN], 0, &s->origins[MEAN], 0,
                           &s->origins[PATH]);
}

static mdl_status cma_draw(mdl__search *s, mdl_rng *rng, uint64_t number, mdl__cross *cross)
{
    (void)rng;
    (void)number;
    cross->of[0] = &s->origins[MEAN];
    return MDL_OK;
}

static mdl_status cma_make(mdl__search *s, mdl__merge_context *m, const mdl__cross *cross,
                           uint64_t number, mdl_weights *child)
{
    MDL_TRY(mdl_weights_copy(child, cross->of[0]));
    return mdl__genome_mutate(&m->genome, s->sigma, s->job->seed, number, child);
}

/* The child's genome is wanted for the mean: the place gets a copy of it. */
static size_t cma_admit(mdl__search *s)
{
    const mdl__archive *a = &s->archive;
    if (a->member[0].id != 0 && a->member[1].top1 <= a->member[0].top1)
        return 1;
    mdl__archive_swap(&s->archive, 0);
    return 0;
}

mdl__cma mdl__cma_constants(size_t children, size_t parameters)
{
    mdl__cma c = {.parents = children / 2};
    double n = (double)parameters, sum = 0, squares = 0;
    for (size_t i = 0; i < c.parents; i++) {
        double w = mdl__cma_weight(children, i);
        sum += w;
        squares += w * w;
    }
    c.sum = sum;
    c.mu_eff = sum * sum / squares;
    c.c_sigma = (c.mu_eff + 2) / (n + c.mu_eff + 5);
    c.damping = 1 + 2 * fmax(0, sqrt((c.mu_eff - 1) / (n + 1)) - 1) + c.c_sigma;
    c.length = sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n * n)); /* expected, of N(0, I) */
    return c;
}

double mdl__cma_weight(size_t children, size_t rank)
{
    return log((double)children / 2 + 0.5) - log((double)rank + 1);
}

/* Rank of child i among n by accuracy; equal ones in order, those without a finite loss at last. */
static size_t rank_of(const mdl__search *s, size_t i, size_t n)
{
    size_t rank = 0;
    for (size_t k = 0; k < n; k++) {
        double other = s->children[k].top1, own = s->children[i].top1;
        rank += mdl_better(other, own) || (!mdl_better(own, other) && k < i);
    }
    return rank;
}

static size_t count_finite(const mdl__search *s, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += isfinite(s->children[i].top1) ? 1 : 0;
    return count;
}

/* Where the child's genome lies: in its spare place, or, if it is the best so far, with the
 * member. */
static const mdl_weights *child_genome(const mdl__search *s, size_t i)
{
    return &s->genomes[s->children[i].genome];
}

static mdl_status cma_finish(mdl__search *s, size_t n)
{
    mdl__genome *g = &s->context->genome;
    mdl_weights *mean = &s->origins[MEAN], *path = &s->origins[PATH], *next = &s->origins[NEXT];
    double squares;
    if (n < s->batch) /* the last children of a search that ends within a generation */
        return MDL_OK;
    mdl__cma c = mdl__cma_constants(n, g->elements);
    if (count_finite(s, n) < c.parents) { /* the steps are so wide that most children overflow */
        s->sigma /= 2;
        return MDL_OK;
    }
    MDL_TRY(mdl__genome_mix(g, mean, 0, mean, 0, next));
    for (size_t rank = 0; rank < c.parents; rank++)
        for (size_t i = 0; i < n; i++)
            if (rank_of(s, i, n) == rank)
                MDL_TRY(mdl__genome_mix(g, next, 1, child_genome(s, i),
                                        mdl__cma_weight(n, rank) / c.sum, next));
    double step = sqrt(c.c_sigma * (2 - c.c_sigma) * c.mu_eff) / s->sigma;
    MDL_TRY(mdl__genome_mix(g, path, 1 - c.c_sigma, next, step, path));
    MDL_TRY(mdl__genome_mix(g, path, 1, mean, -step, path));
    MDL_TRY(mdl__genome_norm(g, path, &squares));
    MDL_TRY(mdl_weights_copy(mean, next));
    s->sigma *= exp(fmin(1, c.c_sigma / c.damping * (sqrt(squares) / c.length - 1)));
    return MDL_OK;
}

const mdl__strategy mdl__strategy_cma_es = {
    .check = cma_check,
    .places = cma_places,
    .batch = cma_batch,
    .origins = cma_origins,
    .begin = cma_begin,
    .draw = cma_draw,
    .make = cma_make,
    .admit = cma_admit,
    .finish_batch = cma_finish,
};
