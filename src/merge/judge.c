/* Judging the children of a search: how one is made, scored and abandoned, and how it gets its
 * place. */
#include "merge/search.h"

#include <math.h>
#include <string.h>

#define MDL_ORDER_EVERY 50 /* children between looks at which samples are the hardest */

/* The score s_ij of image j. */
static float score(const mdl__search *s, const mdl_scores *scores, size_t j)
{
    return s->config->score == MDL_SCORE_CORRECT ? scores->correct[j]
                                                 : expf(-(float)scores->losses[j]);
}

typedef struct watch { /* a child that is being evaluated */
    mdl__search *s;
    size_t child;
} watch;

/* Whether to go on: not where the child is the next to be admitted and sure to get no place. */
static bool go_on(void *user, const mdl_scores *scores, const uint32_t *images, size_t n)
{
    watch *w = user;
    mdl__search *s = w->s;
    float *row = s->child_scores + w->child * s->archive.samples;
    for (size_t i = 0; i < n; i++)
        row[images[i]] = score(s, scores, images[i]);
    mdl_monitor_lock(s->workers.monitor);
    bool next = s->admitted == w->child || s->ranks.comm->size > 1; /* ranks.c looks again */
    bool cannot_enter = next && s->strategy->cannot_enter(s, row);
    mdl_monitor_unlock(s->workers.monitor);
    return !cannot_enter;
}

/* Scores of the genome in spare[c], by the network that it stands for.  One that is not finite is
 * nothing to stop for. */
static mdl_status evaluate(mdl__search *s, size_t worker, size_t c, mdl_evaluator_watch ask,
                           void *user, bool *complete)
{
    mdl__merge_context *m = &s->workers.contexts[worker];
    mdl_weights *model;
    mdl_status status = mdl__merge_context_express(m, &s->genomes[s->spare[c]], &model);
    if (status == MDL_NUMERIC && m->layers != NULL) {
        *complete = true;
        s->workers.scores[worker].loss = (double)NAN;
        return MDL_OK;
    }
    MDL_TRY(status);
    return mdl__merge_context_evaluate(m, model, ask, user, &s->workers.scores[worker], complete);
}

static bool abandons(const mdl__search *s)
{
    return s->config->abandon && s->strategy->cannot_enter != NULL;
}

mdl_status mdl__search_judge(mdl__search *s, size_t worker, size_t c, bool all_samples)
{
    mdl_scores *scores = &s->workers.scores[worker];
    float *row = s->child_scores + c * s->archive.samples;
    watch w = {s, c};
    bool complete;
    mdl_evaluator_watch ask = !all_samples && abandons(s) ? go_on : NULL;
    for (size_t j = 0; j < s->archive.samples; j++)
        row[j] = 1; /* until it is known */
    MDL_TRY(evaluate(s, worker, c, ask, &w, &complete));
    s->abandoned[c] = !complete;
    if (!complete)
        return MDL_OK;
    for (size_t j = 0; j < s->archive.samples && isfinite(scores->loss); j++)
        row[j] = score(s, scores, j);
    s->children[c].top1 = isfinite(scores->loss) ? scores->top1 : (double)NAN;
    s->children[c].loss = scores->loss;
    return MDL_OK;
}

mdl_status mdl__search_evaluate(mdl__search *s, size_t c)
{
    s->children[c] = (mdl__member){.id = s->next_id++, .genome = s->spare[c]};
    return mdl__search_judge(s, 0, c, true);
}

void mdl__search_admit(mdl__search *s, size_t c, bool *kept, uint64_t *dropped)
{
    mdl__archive *a = &s->archive;
    size_t k = a->places;
    *kept = false;
    *dropped = 0;
    if (s->abandoned[c] || !isfinite(s->children[c].loss))
        return; /* scores that are no numbers are no answers to compete with */
    a->member[k] = s->children[c];
    memcpy(a->scores[k], s->child_scores + c * a->samples, a->samples * sizeof(float));
    *kept = s->strategy->admit(s) < k;
    *dropped = *kept ? a->member[k].id : 0;
    s->spare[c] = a->member[k].genome;
}

mdl_status mdl__search_admit_next(mdl__search *s, bool *kept)
{
    size_t c = s->admitted++;
    uint64_t dropped;
    mdl__search_admit(s, c, kept, &dropped);
    s->given_up += s->abandoned[c];
    return mdl__lineage_child(s, &s->children[c], &s->crosses[c], *kept, dropped);
}

mdl_status mdl__search_make(mdl__search *s, size_t worker, size_t c)
{
    return s->strategy->make(s, &s->workers.contexts[worker], &s->crosses[c], s->evaluations + c,
                             &s->genomes[s->children[c].genome]);
}

/* Evaluate the hardest samples first, so that children are abandoned sooner; what becomes of them
 * is the same in any order. */
mdl_status mdl__search_order(mdl__search *s)
{
    if (!abandons(s) || s->evaluations < s->next_order)
        return MDL_OK;
    s->next_order = s->evaluations + MDL_ORDER_EVERY;
    mdl__archive_hardest_first(&s->archive, s->order);
    return mdl_evaluator_order(s->context->evaluator, s->order);
}
