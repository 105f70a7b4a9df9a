/* The beginning and the end of every piece of work: its context, its configuration with what a
 * checkpoint carries, its device and its images. */
#include <math.h>
#include <string.h>

#include <jansson.h>

#include "api/api.h"

/* ---- context -------------------------------------------------------------------------------- */

mdl_status mdl_enter(mdl_entry *entry, mdl_context *context)
{
    *entry = (mdl_entry){.before = mdl_context_enter(context)};
    if (context != NULL)
        return MDL_OK;
    MDL_TRY(mdl_context_create(&entry->own));
    (void)mdl_context_enter(entry->own);
    return MDL_OK;
}

mdl_status mdl_leave(mdl_entry *entry, mdl_status status)
{
    (void)mdl_context_enter(entry->before);
    mdl_context_destroy(entry->own);
    return status;
}

/* ---- configuration -------------------------------------------------------------------------- */

/* The network's input, and what the images were normalised with: other images are to be normalised
 * as those were, only scaled to 0..1 by their own full intensity. */
static mdl_status image_settings(const mdl_tensors *file, const char *path, mdl_config *config)
{
    mdl_image_preparation images;
    MDL_TRY(mdl_image_metadata_read(file, path, &images));
    config->model.height = images.height;
    config->model.width_px = images.width;
    config->model.channels = images.channels;
    if (config->data.normalize != MDL_NORMALIZE_NONE)
        config->data.trained_max = images.value_max;
    if (config->data.normalize != MDL_NORMALIZE_DATASET)
        return MDL_OK;
    config->data.constants = images.channels;
    memcpy(config->data.mean, images.mean, sizeof(images.mean));
    memcpy(config->data.std, images.std, sizeof(images.std));
    return MDL_OK;
}

/* The configuration that a checkpoint carries; where it has none, that of before stays. */
static mdl_status from_checkpoint(const char *path, mdl_config *config)
{
    mdl_tensors *file;
    MDL_TRY(mdl_tensors_open(path, &file));
    const char *text = mdl_tensors_metadata(file, "mendel.config");
    mdl_status status = MDL_OK;
    if (text != NULL) {
        const mdl_config plain = mdl_config_default(); /* of keys that it names where they differ */
        config->data.crop_fraction = plain.data.crop_fraction;
        config->data.validation = plain.data.validation;
        mdl_config_origin origin = config->origin; /* its lines are those of no file */
        status = mdl_config_parse(text, strlen(text), path, config);
        config->origin = origin;
    }
    if (status == MDL_OK && mdl_tensors_metadata(file, "mendel.input") != NULL)
        status = image_settings(file, path, config);
    mdl_tensors_close(file);
    return status;
}

/* The keys that say how images are normalised. */
static const char *const wishes[] = {"data.normalize", "data.mean", "data.std"};

static void tell_former(void *user, const char *sentence)
{
    (void)user;
    mdl_log(MDL_LOG_WARN, "%s; the former word still works in this version", sentence);
}

static mdl_status configure(const mdl_config *config, const char *checkpoint, mdl_config *out)
{
    *out = *config;
    mdl_config_tell_former(config, tell_former, NULL);
    if (checkpoint != NULL) {
        MDL_TRY(from_checkpoint(checkpoint, out));
        MDL_TRY(mdl_config_set_again(out, config));
    }
    for (size_t i = 0; i < MDL_COUNT(wishes); i++)
        if (config->origin.line[mdl_key_find(wishes[i])] == MDL_ORIGIN_SET)
            out->data.constants = 0; /* they go before what the checkpoint says */
    return mdl_config_check(out);
}

mdl_status mdl_work_begin(mdl_work *work, mdl_context *context, const mdl_config *config,
                          const char *checkpoint)
{
    *work = (mdl_work){.comm = mdl_comm_single()};
    MDL_TRY(mdl_enter(&work->entry, context));
    return configure(config, checkpoint, &work->config);
}

/* Whether nobody has set one of them. */
static bool normalises_as_before(const mdl_config *config)
{
    for (size_t i = 0; i < MDL_COUNT(wishes); i++)
        if (config->origin.line[mdl_key_find(wishes[i])] != 0)
            return false;
    return true;
}

static mdl_channel_values channel_values(const mdl_data_config *from, const double value[4])
{
    mdl_channel_values out = {.count = from->constants};
    memcpy(out.value, value, sizeof(out.value));
    return out;
}

mdl_status mdl_work_take_start(mdl_work *work)
{
    mdl_config *out = &work->config;
    mdl_config carried = mdl_config_default();
    size_t classes = out->model.classes;
    /* A training that goes on does not need the file any more, and one that begins misses it. */
    if (out->train.init[0] == '\0' || !mdl_file_exists(out->train.init))
        return MDL_OK;
    MDL_TRY(from_checkpoint(out->train.init, &carried));
    MDL_TRY(mdl_config_take(out, &carried, "model."));
    MDL_TRY(mdl_config_take(out, &carried, "trm."));
    out->model.classes = classes;
    if (carried.data.constants > 0 && normalises_as_before(out)) {
        out->data.given_mean = channel_values(&carried.data, carried.data.mean);
        out->data.given_std = channel_values(&carried.data, carried.data.std);
    }
    return mdl_config_check(out);
}

/* ---- images and device ---------------------------------------------------------------------- */

bool mdl_work_wants_data(const mdl_config *config, const mdl_data *given)
{
    return given != NULL || config->origin.line[mdl_key_find("data.source")] == MDL_ORIGIN_SET;
}

/* Where nobody names images they are the embedded digits; a checkpoint that was trained on others
 * is not judged by those.  Means of other subsets of the digits are within 0.01. */
static mdl_status check_unnamed(const mdl_config *config)
{
    mdl_data_config own = config->data;
    mdl_data *data = NULL;
    if (config->data.trained_max == 0 || config->origin.line[mdl_key_find("data.source")] != 0)
        return MDL_OK;
    own.constants = own.given_mean.count = own.given_std.count = 0;
    own.normalize = MDL_NORMALIZE_DATASET;
    own.test_only = false;
    MDL_TRY(mdl_data_read(&own, &data));
    bool differ = config->data.trained_max != data->value_max ||
                  (config->data.constants != 0 && config->data.constants != data->channels);
    for (size_t c = 0; c < config->data.constants && !differ; c++)
        differ = !(fabs(data->mean[c] - config->data.mean[c]) < 0.01) ||
                 !(fabs(data->std[c] - config->data.std[c]) < 0.02);
    mdl_data_close(data);
    return differ ? mdl_fail(MDL_CONFIG,
                             "the checkpoint was trained on other images than the embedded %s; "
                             "name them, e.g. `data.source=cifar10:FOLDER`",
                             config->data.source)
                  : MDL_OK;
}

/* Classes are matched by name with those of the checkpoint, where it has names. */
static mdl_status match_classes(const char *checkpoint, const mdl_config *config, mdl_data *data)
{
    mdl_tensors *file;
    MDL_TRY(mdl_tensors_open(checkpoint, &file));
    const char *text = mdl_tensors_metadata(file, MDL_CLASSES_KEY);
    if (text == NULL && data->class_names != NULL && data->classes < config->model.classes)
        mdl_log(MDL_LOG_WARN,
                "%s has %zu classes, the model %zu; %s has no names of classes: they are taken by "
                "number (an empty folder holds the place of a class)",
                data->config.source, data->classes, config->model.classes, checkpoint);
    mdl_status status = mdl_data_match_classes(data, text, checkpoint);
    mdl_tensors_close(file);
    return status;
}

mdl_status mdl_work_device(const char *backend, int threads, mdl_dtype real, mdl_device **out)
{
    const mdl_backend *row;
    *out = NULL;
    if (mdl_backend_find(backend, &row) != MDL_OK)
        return mdl_fail_context(MDL_CONFIG, "backend");
    mdl_status status = mdl_device_open(backend, threads, real, out);
    return status == MDL_NOT_FOUND || status == MDL_IO ? MDL_DEVICE : status;
}

mdl_status mdl_work_open(mdl_work *work, const mdl_data *given, bool without_data,
                         const char *checkpoint)
{
    mdl_config *config = &work->config;
    if (!without_data && given == NULL)
        MDL_TRY(check_unnamed(config));
    MDL_TRY(mdl_work_device(config->run.backend, (int)mdl_ranks_threads(work),
                            mdl_precision_real(config->train.precision), &work->device));
    MDL_TRY(mdl_tuning_use(work->device, config->run.tuning));
    if (!without_data) {
        MDL_TRY(given != NULL ? mdl_data_view(given, &config->data, &work->data)
                              : mdl_data_read(&config->data, &work->data));
        if (checkpoint != NULL)
            MDL_TRY(match_classes(checkpoint, config, work->data));
        MDL_TRY(mdl_config_use_data(config, work->data));
    } else if (config->model.height == 0) {
        MDL_TRY(mdl_config_assume_data(config));
    }
    return mdl_config_model_text(config, &work->model_text);
}

mdl_status mdl_work_end(mdl_work *work, mdl_status status)
{
    status = mdl_ranks_end(work, status);
    mdl_free(work->model_text);
    mdl_data_close(work->data);
    mdl_device_close(work->device);
    return mdl_leave(&work->entry, status);
}

mdl_merge_job mdl_work_merge_job(const mdl_work *work, const char *const *checkpoints, size_t n)
{
    return (mdl_merge_job){
        .model = &work->config.model,
        .merge = &work->config.merge,
        .data = work->data,
        .device = work->device,
        .comm = work->comm,
        .seed = work->config.run.seed,
        .parents = checkpoints,
        .n_parents = n,
        .config_text = work->model_text,
        .memory_limit = work->config.run.memory_limit,
    };
}

void mdl_obey(int answer)
{
    if (answer != 0)
        mdl_context_stop(mdl_context_current());
}

mdl_status mdl_tell_begin(json_t *facts, int (*tell)(void *user, const char *facts), void *user)
{
    char *text;
    MDL_TRY(mdl_result_text(facts, &text));
    mdl_obey(tell(user, text));
    mdl_free(text);
    return mdl_stop_check();
}

/* ---- options and results -------------------------------------------------------------------- */

mdl_status mdl_options_take(void *own, size_t size, const void *given)
{
    size_t theirs;
    if (given == NULL)
        return MDL_OK;
    memcpy(&theirs, given, sizeof(theirs));
    if (theirs < sizeof(theirs) || theirs > size)
        return mdl_fail(MDL_INVALID,
                        "options of %zu bytes: expected their size as the first member, at most "
                        "%zu (a newer header than the library?)",
                        theirs, size);
    memcpy(own, given, theirs);
    return MDL_OK;
}

mdl_status mdl_checkpoints_check(const char *const *checkpoints, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (checkpoints == NULL || checkpoints[i] == NULL)
            return mdl_fail(MDL_INVALID, "checkpoints[%zu] is NULL", i);
    return MDL_OK;
}

mdl_status mdl_result_text(json_t *json, char **result)
{
    mdl_status status = MDL_OK;
    if (result != NULL)
        status = mdl_json_text(json, JSON_COMPACT, result);
    else if (json == NULL)
        status = mdl_fail(MDL_NO_MEMORY, "the result: out of memory");
    json_decref(json);
    return status;
}
