/* The configuration of a command, from its command line, its checkpoint and its files, and what it
 * opens: the device and the data. */
#include <math.h>
#include <string.h>

#include "cli/cli.h"

const cli_shortcut cli_shortcuts[] = {
    {"--data", "data.source"}, {"--backend", "run.backend"},           {"--threads", "run.threads"},
    {"--seed", "run.seed"},    {"--memory-limit", "run.memory_limit"},
};
const size_t cli_shortcut_count = MDL_COUNT(cli_shortcuts);

static mdl_status set_shortcut(mdl_config *config, const char *option, const char *key,
                               const char *value)
{
    char assignment[256];
    mdl_status status;
    if (strcmp(key, "data.source") == 0 || strcmp(key, "run.backend") == 0) {
        status = mdl_config_set_text(config, key, value);
    } else {
        snprintf(assignment, sizeof(assignment), "%s=%.200s", key, value);
        status = mdl_config_assign(config, assignment);
    }
    /* "--set run.threads: expected ..." says the same in the words of the configuration. */
    return status == MDL_OK ? MDL_OK : mdl_fail_context(status, "option %s", option);
}

/* The network's input, and what the images were normalised with: other images are to be normalised
 * as those were, only scaled to 0..1 by their own full intensity. */
static mdl_status image_settings(const mdl_safetensors *file, const char *path, mdl_config *config)
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

/* The configuration that a checkpoint carries; where it has none, the defaults stay. */
static mdl_status from_checkpoint(const char *path, mdl_config *config)
{
    mdl_safetensors *file;
    MDL_TRY(mdl_safetensors_read(path, &file));
    const char *text = mdl_safetensors_metadata(file, "mendel.config");
    mdl_status status = MDL_OK;
    if (text != NULL) {
        mdl_config_origin origin = config->origin; /* its lines are those of no file */
        status = mdl_config_parse(text, strlen(text), path, config);
        config->origin = origin;
    }
    if (status == MDL_OK && mdl_safetensors_metadata(file, "mendel.input") != NULL)
        status = image_settings(file, path, config);
    mdl_safetensors_free(file);
    return status;
}

static void tell_former(void *user, const char *sentence)
{
    (void)user;
    cli_note("%s; the former word still works in this version", sentence);
}

mdl_status cli_config(const cli_args *args, const char *checkpoint, mdl_config *config)
{
    const char *file = cli_value(args, "--config");
    *config = mdl_config_default();
    if (file != NULL)
        MDL_TRY(mdl_config_read_file(file, config));
    if (args->own_config) { /* nobody wrote its words */
        memset(config->origin.former_name, 0, sizeof(config->origin.former_name));
        memset(config->origin.former_word, 0, sizeof(config->origin.former_word));
    }
    if (checkpoint != NULL)
        MDL_TRY(from_checkpoint(checkpoint, config));
    for (size_t i = 0; i < args->n_items; i++) {
        if (strcmp(args->items[i].name, "--set") == 0)
            MDL_TRY(mdl_config_assign(config, args->items[i].value));
    }
    mdl_config_tell_former(config, tell_former, NULL);
    static const char *const wishes[] = {"data.normalize", "data.mean", "data.std"};
    for (size_t i = 0; i < MDL_COUNT(wishes); i++)
        if (config->origin.line[mdl_key_find(wishes[i])] == MDL_ORIGIN_SET)
            config->data.constants = 0; /* they go before what the checkpoint says */
    for (size_t i = 0; i < cli_shortcut_count; i++) {
        const char *value = cli_value(args, cli_shortcuts[i].option);
        if (value != NULL)
            MDL_TRY(set_shortcut(config, cli_shortcuts[i].option, cli_shortcuts[i].key, value));
    }
    return mdl_config_check(config);
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
                             "name them, e.g. --data cifar10:FOLDER",
                             config->data.source)
                  : MDL_OK;
}

/* Classes are matched by name with those of the checkpoint, where it has names. */
static mdl_status match_classes(const char *checkpoint, const mdl_config *config, mdl_data *data)
{
    mdl_safetensors *file;
    MDL_TRY(mdl_safetensors_read(checkpoint, &file));
    const char *text = mdl_safetensors_metadata(file, MDL_CLASSES_KEY);
    if (text == NULL && data->class_names != NULL && data->classes < config->model.classes)
        mdl_log(MDL_LOG_WARN,
                "%s has %zu classes, the model %zu; %s has no names of classes: they are taken by "
                "number (an empty folder holds the place of a class)",
                config->data.source, data->classes, config->model.classes, checkpoint);
    mdl_status status = mdl_data_match_classes(data, text, checkpoint);
    mdl_safetensors_free(file);
    return status;
}

/* A device that is not there is no missing file: it has an exit code of its own. */
static mdl_status open_device(const mdl_config *config, mdl_device **device)
{
    mdl_status status = mdl_device_open(config->run.backend, (int)config->run.threads,
                                        mdl_precision_real(config->train.precision), device);
    return status == MDL_NOT_FOUND || status == MDL_IO ? MDL_DEVICE : status;
}

mdl_status cli_open(mdl_config *config, const char *checkpoint, mdl_device **device,
                    mdl_data **data)
{
    if (data != NULL)
        MDL_TRY(check_unnamed(config));
    MDL_TRY(open_device(config, device));
    MDL_TRY(mdl_tuning_use(*device, config->run.tuning));
    if (data == NULL)
        return MDL_OK;
    MDL_TRY(mdl_data_read(&config->data, data));
    if (checkpoint != NULL)
        MDL_TRY(match_classes(checkpoint, config, *data));
    return mdl_config_use_data(config, *data);
}
