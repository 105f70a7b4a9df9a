/* The public doors to alignment, to the line between two checkpoints, and to BatchNorm's statistics
 * estimated anew. */
#include <string.h>

#include <jansson.h>

#include "api/api.h"

/* ---- align ---------------------------------------------------------------------------------- */

static mdl_status find_align_method(const char *name, mdl_align_method *method)
{
    if (name != NULL && strcmp(name, "weights") == 0)
        *method = MDL_ALIGN_WEIGHTS;
    else if (name != NULL && strcmp(name, "activations") == 0)
        *method = MDL_ALIGN_ACTIVATIONS;
    else
        return mdl_fail(MDL_CONFIG, "method: expected weights or activations, got %.100s",
                        name != NULL ? name : "NULL");
    return MDL_OK;
}

static mdl_status align(mdl_work *w, const mdl_data *data, const char *const *checkpoints,
                        const char *out, const mdl_align_options *options, char **result)
{
    const mdl_run_inputs inputs = {.config = &w->config, .files = checkpoints, .n_files = 2};
    mdl_align_method method = MDL_ALIGN_WEIGHTS;
    mdl_align_result r;
    mdl_quality quality;
    MDL_TRY(find_align_method(options->method, &method));
    MDL_TRY(mdl_run_check_output(out, options->overwrite != 0, &inputs));
    bool without = method == MDL_ALIGN_WEIGHTS && !mdl_work_wants_data(&w->config, data);
    MDL_TRY(mdl_work_open(w, data, without, checkpoints[1]));
    mdl_merge_job job = mdl_work_merge_job(w, checkpoints, 2);
    MDL_TRY(mdl_align_run(&job, method, out, &r));
    MDL_TRY(mdl_work_score(w, out, MDL_SPLIT_VALIDATION, &quality));
    json_t *json = mdl_json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:f, s:f}", "out", out, "method",
                                 options->method, "groups", (json_int_t)r.groups, "places",
                                 (json_int_t)r.places, "moved", (json_int_t)r.moved, "sweeps",
                                 (json_int_t)r.sweeps, "cosine_before", r.cosine_before,
                                 "cosine_after", r.cosine_after);
    mdl_json_update(&json, mdl_quality_json(&quality));
    return mdl_result_text(json, result);
}

mdl_status mdl_align(mdl_context *context, const mdl_config *config, const mdl_data *data,
                     const char *first, const char *second, const char *out,
                     const mdl_align_options *options, char **result)
{
    mdl_work work;
    mdl_align_options own = MDL_ALIGN_OPTIONS;
    const char *const checkpoints[] = {first, second};
    if (result != NULL)
        *result = NULL;
    MDL_REQUIRE(config);
    MDL_REQUIRE(first);
    MDL_REQUIRE(second);
    MDL_REQUIRE(out);
    MDL_TRY(mdl_options_take(&own, sizeof(own), options));
    mdl_status status = mdl_work_begin(&work, context, config, second);
    if (status == MDL_OK)
        status = align(&work, data, checkpoints, out, &own, result);
    return mdl_work_end(&work, status);
}

/* ---- interpolate ---------------------------------------------------------------------------- */

static mdl_status interpolate(mdl_work *w, const mdl_data *data, const char *const *checkpoints,
                              const mdl_interpolate_options *options, mdl_interpolation *line,
                              char **result)
{
    const mdl_run_inputs inputs = {.config = &w->config, .files = checkpoints, .n_files = 2};
    mdl_align_method method = MDL_ALIGN_WEIGHTS;
    MDL_TRY(find_align_method(options->method, &method));
    if (options->points < 2 || options->points > MDL_MAX_INTERPOLATION)
        return mdl_fail(MDL_CONFIG, "points: expected 2 to %d, got %zu", MDL_MAX_INTERPOLATION,
                        options->points);
    if (options->out != NULL)
        MDL_TRY(mdl_run_check_output(options->out, options->overwrite != 0, &inputs));
    MDL_TRY(mdl_work_open(w, data, false, checkpoints[0]));
    mdl_merge_job job = mdl_work_merge_job(w, checkpoints, 2);
    MDL_TRY(mdl_interpolate_run(&job, method, options->points, line));
    char *text;
    MDL_TRY(mdl_path_text(line, checkpoints[0], checkpoints[1], &text));
    mdl_status status =
        options->out != NULL ? mdl_file_write(options->out, text, strlen(text)) : MDL_OK;
    if (status == MDL_OK && result != NULL)
        *result = text;
    else
        mdl_free(text);
    return status;
}

mdl_status mdl_interpolate(mdl_context *context, const mdl_config *config, const mdl_data *data,
                           const char *first, const char *second,
                           const mdl_interpolate_options *options, char **result)
{
    mdl_work work;
    mdl_interpolation *line = NULL; /* too large for the stack of some threads */
    mdl_interpolate_options own = MDL_INTERPOLATE_OPTIONS;
    const char *const checkpoints[] = {first, second};
    if (result != NULL)
        *result = NULL;
    MDL_REQUIRE(config);
    MDL_REQUIRE(first);
    MDL_REQUIRE(second);
    MDL_TRY(mdl_options_take(&own, sizeof(own), options));
    mdl_status status = mdl_work_begin(&work, context, config, first);
    if (status == MDL_OK)
        status = MDL_NEW(1, "interpolation", &line);
    if (status == MDL_OK)
        status = interpolate(&work, data, checkpoints, &own, line, result);
    mdl_free(line);
    return mdl_work_end(&work, status);
}

/* ---- recalibrate ---------------------------------------------------------------------------- */

static mdl_status recalibrate(mdl_work *w, const mdl_data *data, const char *checkpoint,
                              const char *out, const mdl_recalibrate_options *options,
                              char **result)
{
    const mdl_run_inputs inputs = {.config = &w->config, .files = &checkpoint, .n_files = 1};
    mdl_quality quality;
    MDL_TRY(mdl_run_check_output(out, options->overwrite != 0, &inputs));
    MDL_TRY(mdl_work_open(w, data, false, checkpoint));
    mdl_merge_job job = mdl_work_merge_job(w, &checkpoint, 1);
    MDL_TRY(mdl_merge_recalibrate(&job, options->images, out));
    MDL_TRY(mdl_work_score(w, out, MDL_SPLIT_VALIDATION, &quality));
    json_t *json = mdl_json_pack("{s:s}", "out", out);
    mdl_json_update(&json, mdl_quality_json(&quality));
    return mdl_result_text(json, result);
}

mdl_status mdl_recalibrate(mdl_context *context, const mdl_config *config, const mdl_data *data,
                           const char *checkpoint, const char *out,
                           const mdl_recalibrate_options *options, char **result)
{
    mdl_work work;
    mdl_recalibrate_options own = MDL_RECALIBRATE_OPTIONS;
    if (result != NULL)
        *result = NULL;
    MDL_REQUIRE(config);
    MDL_REQUIRE(checkpoint);
    MDL_REQUIRE(out);
    MDL_TRY(mdl_options_take(&own, sizeof(own), options));
    mdl_status status = mdl_work_begin(&work, context, config, checkpoint);
    if (status == MDL_OK)
        status = recalibrate(&work, data, checkpoint, out, &own, result);
    return mdl_work_end(&work, status);
}
