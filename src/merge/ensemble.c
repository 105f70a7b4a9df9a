/* The logit ensemble: the mean of several models' logits, the practical upper bound of merging at
 * several times the cost of inference. */
#include "merge/context.h"

#include <math.h>
#include <string.h>

static mdl_status evaluate_all(const mdl_merge_job *job, mdl_evaluator *evaluator,
                               mdl_weights *weights, mdl_scores *scores, double **sum,
                               mdl__classes_seen *seen)
{
    mdl_tensors *file = NULL;
    const mdl_graph *graph = mdl_evaluator_graph(evaluator);
    MDL_TRY(mdl_weights_create(graph, job->device, weights));
    for (size_t p = 0; p < job->n_parents; p++) {
        MDL_TRY(mdl_tensors_load(job->parents[p], &file));
        mdl_status status = mdl__same_classes(seen, file, job->parents[p]);
        if (status == MDL_OK)
            status = mdl_weights_load(file, job->parents[p], graph, weights);
        mdl_tensors_close(file);
        MDL_TRY(status);
        MDL_TRY(mdl_evaluator_run(evaluator, weights, scores));
        MDL_TRY(mdl_scores_check(scores, job->parents[p]));
        if (p == 0)
            MDL_TRY(MDL_NEW(scores->count * scores->classes, "logits", sum));
        for (size_t i = 0; i < scores->count * scores->classes; i++)
            (*sum)[i] += scores->logits[i] / (double)job->n_parents;
    }
    return MDL_OK;
}

static void score_sum(const double *logits, const int32_t *labels, size_t count, size_t classes,
                      mdl_merge_ensemble_result *out)
{
    memset(out, 0, sizeof(*out));
    for (size_t i = 0; i < count; i++) {
        const double *row = logits + i * classes;
        size_t best = 0, label = (size_t)labels[i];
        double total = 0;
        for (size_t c = 1; c < classes; c++)
            best = row[c] > row[best] ? c : best;
        for (size_t c = 0; c < classes; c++)
            total += exp(row[c] - row[best]);
        out->loss += (log(total) - (row[label] - row[best])) / (double)count;
        out->top1 += best == label ? 1 : 0;
    }
    out->top1 /= (double)count;
    out->images = count;
}

mdl_status mdl_merge_ensemble(const mdl_merge_job *job, mdl_split split,
                              mdl_merge_ensemble_result *out)
{
    mdl_evaluator_options options = {.split = split, .batch = job->eval_batch, .keep_logits = true};
    mdl_evaluator *evaluator = NULL;
    mdl_weights weights = {0};
    mdl_scores scores = {0};
    double *sum = NULL;
    int32_t *labels = NULL;
    mdl__classes_seen seen = {0};
    if (job->n_parents == 0)
        return mdl_fail(MDL_INVALID, "no checkpoints to evaluate");
    MDL_TRY(mdl_evaluator_create(job->model, job->data, job->device, &options, &evaluator));
    mdl_status status = MDL_NEW(job->data->count[split], "labels", &labels);
    if (status == MDL_OK)
        status = evaluate_all(job, evaluator, &weights, &scores, &sum, &seen);
    if (status == MDL_OK) {
        mdl_data_labels(job->data, split, labels);
        score_sum(sum, labels, scores.count, scores.classes, out);
    }
    mdl__classes_forget(&seen);
    mdl_free(sum);
    mdl_free(labels);
    mdl_scores_free(&scores);
    mdl_weights_destroy(&weights);
    mdl_evaluator_destroy(evaluator);
    return status;
}
