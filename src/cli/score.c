/* How good a checkpoint is, and the line that a command closes with: what was written, and its
 * accuracy on the validation split where the data is at hand. */
#include <math.h>

#include <jansson.h>

#include "cli/cli.h"

mdl_status cli_score(const char *checkpoint, const mdl_model_config *model, const mdl_data *data,
                     mdl_device *device, mdl_split split, cli_quality *out)
{
    mdl_evaluator_options options = {.split = split};
    mdl_evaluator *evaluator = NULL;
    mdl_safetensors *file = NULL;
    mdl_weights weights = {0};
    mdl_scores scores = {0};
    *out = (cli_quality){.top1 = (double)NAN, .loss = (double)NAN};
    if (data == NULL || data->count[split] == 0)
        return MDL_OK;
    MDL_TRY(mdl_evaluator_create(model, data, device, &options, &evaluator));
    const mdl_graph *graph = mdl_evaluator_graph(evaluator);
    mdl_status status = mdl_safetensors_read(checkpoint, &file);
    if (status == MDL_OK)
        status = mdl_weights_create(graph, device, &weights);
    if (status == MDL_OK)
        status = mdl_weights_load(file, checkpoint, graph, &weights);
    if (status == MDL_OK)
        status = mdl_evaluator_run(evaluator, &weights, &scores);
    if (status == MDL_OK)
        *out =
            (cli_quality){.images = data->count[split], .top1 = scores.top1, .loss = scores.loss};
    mdl_scores_free(&scores);
    mdl_weights_destroy(&weights);
    mdl_safetensors_free(file);
    mdl_evaluator_destroy(evaluator);
    return status;
}

void cli_quality_text(const cli_quality *quality, const char *checkpoint, const mdl_config *config,
                      char *text, size_t size)
{
    bool named = config->origin.line[mdl_key_find("data.source")] != 0;
    if (quality->images > 0)
        snprintf(text, size, "%.2f %% of the %zu images of the validation split",
                 100 * quality->top1, quality->images);
    else
        snprintf(text, size, "its accuracy is not measured; `mendel eval %s --data %s` does that",
                 checkpoint, named ? config->data.source : "SPEC");
}

void cli_print_written(const char *checkpoint, const mdl_config *config, const cli_quality *quality)
{
    char text[2 * MDL_PATH_MAX + 64];
    cli_quality_text(quality, checkpoint, config, text, sizeof(text));
    cli_print(stdout, "%s is written: %s.\n", checkpoint, text);
}

json_t *cli_quality_json(const cli_quality *quality)
{
    return mdl_json_pack("{s:I, s:f, s:f}", "validation_images", (json_int_t)quality->images,
                         "validation_top1", quality->top1, "validation_loss", quality->loss);
}
