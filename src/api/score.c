/* How good a checkpoint is. */
#include <math.h>

#include <jansson.h>

#include "api/api.h"

mdl_status mdl_work_evaluate(const mdl_work *work, const char *checkpoint,
                             const mdl_evaluator_options *options, mdl_scores *scores)
{
    mdl_evaluator *evaluator = NULL;
    mdl_tensors *file = NULL;
    mdl_weights weights = {0};
    MDL_TRY(
        mdl_evaluator_create(&work->config.model, work->data, work->device, options, &evaluator));
    const mdl_graph *graph = mdl_evaluator_graph(evaluator);
    mdl_status status = mdl_tensors_load(checkpoint, &file);
    if (status == MDL_OK)
        status = mdl_weights_create(graph, work->device, &weights);
    if (status == MDL_OK)
        status = mdl_weights_load(file, checkpoint, graph, &weights);
    if (status == MDL_OK)
        status = mdl_evaluator_run(evaluator, &weights, scores);
    mdl_weights_destroy(&weights);
    mdl_tensors_close(file);
    mdl_evaluator_destroy(evaluator);
    return status;
}

mdl_status mdl_work_score(const mdl_work *work, const char *checkpoint, mdl_split split,
                          mdl_quality *out)
{
    mdl_evaluator_options options = {.split = split};
    mdl_scores scores = {0};
    *out = (mdl_quality){.top1 = (double)NAN, .loss = (double)NAN};
    if (work->data == NULL || work->data->count[split] == 0)
        return MDL_OK;
    mdl_status status = mdl_work_evaluate(work, checkpoint, &options, &scores);
    if (status == MDL_OK)
        *out = (mdl_quality){
            .images = work->data->count[split], .top1 = scores.top1, .loss = scores.loss};
    mdl_scores_free(&scores);
    return status;
}

json_t *mdl_quality_json(const mdl_quality *quality)
{
    return mdl_json_pack("{s:I, s:f, s:f}", "validation_images", (json_int_t)quality->images,
                         "validation_top1", quality->top1, "validation_loss", quality->loss);
}
