/* The end of a search: which member wins, whether the uniform average of the parents stays, and the
 * file merged.safetensors. */
#include "merge/search.h"

#include <math.h>

/* How good one sample's answer is, by the final criterion. */
static double merit(const mdl_scores *s, size_t j, mdl_final criterion)
{
    return criterion == MDL_FINAL_ACCURACY ? (double)s->correct[j] : -s->losses[j];
}

bool mdl__beats(const mdl_scores *winner, const mdl_scores *other, mdl_final criterion)
{
    if (!isfinite(winner->loss) || !isfinite(other->loss))
        return isfinite(winner->loss);
    double n = (double)winner->count, sum = 0, squares = 0;
    for (size_t j = 0; j < winner->count; j++)
        sum += merit(winner, j, criterion) - merit(other, j, criterion);
    double mean = sum / n;
    for (size_t j = 0; j < winner->count; j++) {
        double d = merit(winner, j, criterion) - merit(other, j, criterion) - mean;
        squares += d * d;
    }
    double error = n > 1 ? sqrt(squares / (n - 1) / n) : 0;
    return mean > error;
}

/* The best member; equal ones by the other criterion, then the older. */
static size_t best_member(const mdl__search *s)
{
    const mdl__archive *a = &s->archive;
    bool accuracy = s->config->final == MDL_FINAL_ACCURACY;
    size_t best = a->places;
    for (size_t i = 0; i < a->places; i++) {
        const mdl__member *m = &a->member[i];
        if (m->id == 0)
            continue;
        if (best == a->places) {
            best = i;
            continue;
        }
        const mdl__member *b = &a->member[best];
        double top1 = m->top1 - b->top1, loss = b->loss - m->loss; /* positive: m is better */
        double first = accuracy ? top1 : loss, then = accuracy ? loss : top1;
        if (first > 0 || (first == 0 && (then > 0 || (then == 0 && m->id < b->id))))
            best = i;
    }
    return best;
}

/* Whether it may be the result: what is computed with it is finite, and so are the statistics that
 * were estimated last. */
static mdl_status check_sound(const mdl__merge_context *m, const mdl_weights *weights,
                              const mdl_scores *scores, bool *sound)
{
    *sound = false;
    if (!isfinite(scores->loss))
        return MDL_OK;
    mdl_status status = mdl_weights_check(m->graph, weights, "the winner");
    *sound = status == MDL_OK;
    return status == MDL_NUMERIC ? MDL_OK : status; /* lack of memory says nothing of the weights */
}

/* The average that was recalibrated and evaluated stays unless a sound winner beats it. */
static mdl_status average_stays(const mdl__search *s, const mdl_weights *winner,
                                const mdl_scores *scores, const mdl_scores *average, bool *stays)
{
    bool sound;
    MDL_TRY(check_sound(s->context, &s->average, average, stays));
    MDL_TRY(check_sound(s->context, winner, scores, &sound));
    *stays = *stays && (!sound || !mdl__beats(scores, average, s->config->final));
    return MDL_OK;
}

/* The average of the parents becomes a network, where it is none yet. */
static mdl_status express_average(mdl__search *s)
{
    mdl_weights next = {0};
    if (s->context->layers == NULL)
        return MDL_OK;
    mdl_weights_destroy(&s->average);
    MDL_TRY(mdl_weights_create(s->context->graph, s->job->device, &s->average));
    MDL_TRY(mdl_weights_create(s->context->graph, s->job->device, &next));
    mdl_status status = mdl__search_average(s, &next, &s->average);
    mdl_weights_destroy(&next);
    return status;
}

/* What merged.safetensors says of itself. */
static const char *kind_of(const mdl__search *s, bool is_average)
{
    if (is_average)
        return "average";
    return s->context->layers != NULL ? s->config->layer_method : "m2n2";
}

mdl_status mdl__search_finish(mdl__search *s, mdl_merge_result *result)
{
    mdl__merge_context *m = s->context;
    mdl_scores average = {0};
    char path[MDL_PATH_MAX];
    mdl_weights *winner;
    size_t place = best_member(s);
    MDL_TRY(mdl__search_genome(s, s->spare[0]));
    MDL_TRY(mdl_weights_copy(&s->genomes[s->spare[0]], mdl__genome_of(s, place)));
    MDL_TRY(mdl__merge_context_express(m, &s->genomes[s->spare[0]], &winner));
    MDL_TRY(mdl__merge_context_recalibrate(m, winner));
    const mdl_scores *scores = &s->workers.scores[0];
    MDL_TRY(mdl_evaluator_run(m->evaluator, winner, &s->workers.scores[0]));
    mdl_status status = MDL_OK;
    if (s->config->keep_average && s->average.params != NULL) {
        status = express_average(s);
        if (status == MDL_OK)
            status = mdl__merge_context_recalibrate(m, &s->average);
        if (status == MDL_OK)
            status = mdl_evaluator_run(m->evaluator, &s->average, &average);
        if (status == MDL_OK)
            status = average_stays(s, winner, scores, &average, &result->is_average);
        if (result->is_average) {
            winner = &s->average;
            scores = &average;
        }
    }
    result->evaluations = (size_t)s->evaluations;
    result->fitness_top1 = scores->top1;
    result->fitness_loss = scores->loss;
    result->seconds = s->seconds;
    result->workers = s->workers.count;
    if (status == MDL_OK)
        status = mdl_scores_check(scores, "the winner");
    mdl_scores_free(&average);
    if (status != MDL_OK || s->lineage == NULL)
        return status;
    MDL_TRY(mdl_path(path, sizeof(path), s->job->out, "lineage.jsonl"));
    MDL_TRY(mdl_append_flush(s->lineage, path));
    MDL_TRY(mdl__write_winner(s, place, result->is_average));
    MDL_TRY(mdl_path(path, sizeof(path), s->job->out, "merged.safetensors"));
    return mdl__merge_context_save(m, path, kind_of(s, result->is_average), winner);
}
