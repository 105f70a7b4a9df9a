/* The baselines of merging: SLERP of two checkpoints, the uniform average, the greedy soup
 * (Wortsman et al. 2022).  Statistics of BatchNorm are re-estimated at the end, as the search's. */
#include "merge/context.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static mdl_status expect_parents(const mdl_merge_job *job, size_t least, const char *what)
{
    if (job->n_parents >= least)
        return MDL_OK;
    return mdl_fail(MDL_INVALID, "%s: %zu checkpoints given, expected at least %zu", what,
                    job->n_parents, least);
}

mdl_status mdl_merge_slerp(const mdl_merge_job *job, double ratio, const char *path)
{
    mdl__merge_context m;
    mdl_weights a = {0}, b = {0};
    MDL_TRY(expect_parents(job, 2, "slerp"));
    MDL_TRY(mdl__merge_context_create(job, job->device, false, &m));
    mdl_status status = mdl__merge_context_load_two(&m, &a, &b);
    if (status == MDL_OK) /* no crossover point: all of it lies in the first part */
        status =
            mdl__genome_cross(&m.genome, job->merge->angle, &a, &b, m.genome.elements, ratio, &a);
    if (status == MDL_OK)
        status = mdl__merge_context_recalibrate(&m, &a);
    if (status == MDL_OK)
        status = mdl__merge_context_save(&m, path, "slerp", &a);
    mdl_weights_destroy(&a);
    mdl_weights_destroy(&b);
    mdl__merge_context_destroy(&m);
    return status;
}

static mdl_status average(mdl__merge_context *m, mdl_weights *sum, mdl_weights *next)
{
    const mdl_merge_job *job = m->job;
    MDL_TRY(mdl__merge_context_load(m, job->parents[0], sum));
    for (size_t i = 1; i < job->n_parents; i++) {
        double n = (double)(i + 1);
        MDL_TRY(mdl__merge_context_load(m, job->parents[i], next));
        MDL_TRY(mdl__genome_mix(&m->genome, sum, (n - 1) / n, next, 1 / n, sum));
    }
    return mdl__merge_context_recalibrate(m, sum);
}

mdl_status mdl_merge_average(const mdl_merge_job *job, const char *path)
{
    mdl__merge_context m;
    mdl_weights sum = {0}, next = {0};
    MDL_TRY(expect_parents(job, 1, "average"));
    MDL_TRY(mdl__merge_context_create(job, job->device, false, &m));
    mdl_status status = mdl_weights_create(m.graph, job->device, &sum);
    if (status == MDL_OK)
        status = mdl_weights_create(m.graph, job->device, &next);
    if (status == MDL_OK)
        status = average(&m, &sum, &next);
    if (status == MDL_OK)
        status = mdl__merge_context_save(&m, path, "average", &sum);
    mdl_weights_destroy(&sum);
    mdl_weights_destroy(&next);
    mdl__merge_context_destroy(&m);
    return status;
}

/* ---- greedy soup ---------------------------------------------------------------------------- */

typedef struct ingredient {
    size_t parent;
    double top1, loss;
} ingredient;

/* The best first; equal ones by loss, then in the order given; those without a finite loss, whose
 * top1 is NAN, at last. */
static int by_accuracy(const void *a, const void *b)
{
    const ingredient *x = a, *y = b;
    if (mdl_better(x->top1, y->top1) || mdl_better(y->top1, x->top1))
        return mdl_better(x->top1, y->top1) ? -1 : 1;
    if (mdl_better(-x->loss, -y->loss) || mdl_better(-y->loss, -x->loss))
        return mdl_better(-x->loss, -y->loss) ? -1 : 1;
    return (x->parent > y->parent) - (x->parent < y->parent);
}

typedef struct soup {
    mdl_weights best, trial; /* the soup, and what it would be with one more */
    mdl_scores scores;
    ingredient *order; /* [n_parents] */
} soup;

static mdl_status cook(mdl__merge_context *m, soup *s, bool *taken)
{
    const mdl_merge_job *job = m->job;
    bool complete;
    for (size_t i = 0; i < job->n_parents; i++) {
        MDL_TRY(mdl__merge_context_load(m, job->parents[i], &s->trial));
        MDL_TRY(mdl__merge_context_evaluate(m, &s->trial, NULL, NULL, &s->scores, &complete));
        s->order[i] = (ingredient){i, s->scores.top1, s->scores.loss};
        if (isfinite(s->scores.loss))
            continue;
        s->order[i].top1 = (double)NAN;
        mdl__warn_left_out(job->parents[i]);
    }
    qsort(s->order, job->n_parents, sizeof(*s->order), by_accuracy);
    double top1 = s->order[0].top1, n = 1;
    if (isnan(top1))
        return mdl_fail(MDL_NUMERIC, "greedy soup: no parent's loss on the validation split is "
                                     "finite: there is nothing to begin with");
    MDL_TRY(mdl__merge_context_load(m, job->parents[s->order[0].parent], &s->best));
    if (taken != NULL) {
        memset(taken, 0, job->n_parents * sizeof(*taken));
        taken[s->order[0].parent] = true;
    }
    for (size_t i = 1; i < job->n_parents && isfinite(s->order[i].top1); i++) {
        size_t parent = s->order[i].parent;
        MDL_TRY(mdl__merge_context_load(m, job->parents[parent], &s->trial));
        MDL_TRY(
            mdl__genome_mix(&m->genome, &s->best, n / (n + 1), &s->trial, 1 / (n + 1), &s->trial));
        MDL_TRY(mdl__merge_context_evaluate(m, &s->trial, NULL, NULL, &s->scores, &complete));
        if (s->scores.top1 < top1 || !isfinite(s->scores.loss))
            continue;
        MDL_TRY(mdl_weights_copy(&s->best, &s->trial));
        top1 = s->scores.top1;
        n++;
        if (taken != NULL)
            taken[parent] = true;
    }
    return mdl__merge_context_recalibrate(m, &s->best);
}

mdl_status mdl_merge_greedy_soup(const mdl_merge_job *job, const char *path, bool *taken)
{
    mdl__merge_context m;
    soup s = {0};
    MDL_TRY(expect_parents(job, 1, "greedy soup"));
    MDL_TRY(mdl__merge_context_create(job, job->device, true, &m));
    mdl_status status = mdl_weights_create(m.graph, job->device, &s.best);
    if (status == MDL_OK)
        status = mdl_weights_create(m.graph, job->device, &s.trial);
    if (status == MDL_OK)
        status = MDL_NEW(job->n_parents, "order of the soup", &s.order);
    if (status == MDL_OK)
        status = cook(&m, &s, taken);
    if (status == MDL_OK)
        status = mdl__merge_context_save(&m, path, "greedy soup", &s.best);
    mdl_weights_destroy(&s.best);
    mdl_weights_destroy(&s.trial);
    mdl_scores_free(&s.scores);
    mdl_free(s.order);
    mdl__merge_context_destroy(&m);
    return status;
}
