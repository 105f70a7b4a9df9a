/* The public door to files for other runtimes: a checkpoint's network as ONNX. */
#include <string.h>

#include <jansson.h>

#include "api/api.h"
#include "onnx/onnx.h"

enum { OWN_KEYS = 2 };

/* The metadata of the file: what the model is, and what the checkpoint says of its images. */
static size_t metadata(const mdl_work *w, const mdl_tensors *file,
                       const char *keys[OWN_KEYS + MDL_IMAGE_METADATA],
                       const char *values[OWN_KEYS + MDL_IMAGE_METADATA])
{
    static const char *const images[] = {MDL_IMAGE_METADATA_KEYS};
    size_t n = 0;
    keys[n] = "mendel.version", values[n++] = mdl_build_version();
    keys[n] = "mendel.config", values[n++] = w->model_text;
    for (size_t i = 0; i < MDL_COUNT(images); i++) {
        const char *text = mdl_tensors_metadata(file, images[i]);
        if (text != NULL)
            keys[n] = images[i], values[n++] = text;
    }
    return n;
}

static mdl_status write_file(const mdl_work *w, const mdl_tensors *file, const char *checkpoint,
                             const char *out, const mdl_export_options *options,
                             mdl_onnx_facts *facts)
{
    const char *keys[OWN_KEYS + MDL_IMAGE_METADATA], *values[OWN_KEYS + MDL_IMAGE_METADATA];
    mdl_onnx_pixels pixels;
    mdl_onnx_job job = {
        .model = &w->config.model,
        .steps = options->steps,
        .all_steps = options->all_steps != 0,
        .file = file,
        .file_path = checkpoint,
        .keys = keys,
        .values = values,
        .n_metadata = metadata(w, file, keys, values),
    };
    if (options->with_preprocessing) {
        mdl_image_preparation images;
        MDL_TRY(mdl_image_metadata_read(file, checkpoint, &images));
        pixels.value_max = images.value_max;
        memcpy(pixels.mean, images.mean, sizeof(pixels.mean));
        memcpy(pixels.std, images.std, sizeof(pixels.std));
        job.pixels = &pixels;
    }
    return mdl_onnx_write(out, &job, facts);
}

static mdl_status export(mdl_work *w, const char *checkpoint, const char *out,
                         const mdl_export_options *options, char **result)
{
    const mdl_run_inputs inputs = {.config = &w->config, .files = &checkpoint, .n_files = 1};
    const mdl_model_config *model = &w->config.model;
    mdl_tensors *file;
    mdl_onnx_facts facts;
    MDL_TRY(mdl_run_check_output(out, options->overwrite != 0, &inputs));
    if ((options->all_steps || options->steps > 0) && !mdl_model_def_of(model->kind)->recursive)
        return mdl_fail(MDL_CONFIG, "steps: %s has no supervision steps",
                        mdl_model_def_of(model->kind)->name);
    if (model->height == 0)
        MDL_TRY(mdl_config_assume_data(&w->config));
    MDL_TRY(mdl_config_model_text(&w->config, &w->model_text));
    MDL_TRY(mdl_tensors_load(checkpoint, &file));
    mdl_status status = write_file(w, file, checkpoint, out, options, &facts);
    mdl_tensors_close(file);
    MDL_TRY(status);
    json_t *json = mdl_json_pack(
        "{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:[I,I,I], s:b}", "out", out, "model",
        mdl_model_def_of(model->kind)->name, "opset", (json_int_t)MDL_ONNX_OPSET, "bytes",
        (json_int_t)facts.bytes, "nodes", (json_int_t)facts.nodes, "outputs",
        (json_int_t)facts.outputs, "weights", (json_int_t)facts.weights, "input",
        (json_int_t)model->height, (json_int_t)model->width_px, (json_int_t)model->channels,
        "preprocessing", options->with_preprocessing != 0);
    return mdl_result_text(json, result);
}

mdl_status mdl_export(mdl_context *context, const mdl_config *config, const char *checkpoint,
                      const char *out, const mdl_export_options *options, char **result)
{
    mdl_work work;
    mdl_export_options own = MDL_EXPORT_OPTIONS;
    if (result != NULL)
        *result = NULL;
    MDL_REQUIRE(config);
    MDL_REQUIRE(checkpoint);
    MDL_REQUIRE(out);
    MDL_TRY(mdl_options_take(&own, sizeof(own), options));
    mdl_status status = mdl_work_begin(&work, context, config, checkpoint);
    if (status == MDL_OK)
        status = export(&work, checkpoint, out, &own, result);
    return mdl_work_end(&work, status);
}
