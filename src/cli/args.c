/* Command lines: options, positional arguments, and from them the configuration. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

/* ---- parsing -------------------------------------------------------------------------------- */

static const cli_option *find_option(const cli_command *command, const char *name, size_t length)
{
    for (size_t i = 0; i < command->n_options; i++) {
        const cli_option *option = &command->options[i];
        bool is_long = strlen(option->name) == length && memcmp(option->name, name, length) == 0;
        bool is_short = length == 2 && name[0] == '-' && option->letter == name[1];
        if (is_long || is_short)
            return option;
    }
    return NULL;
}

static mdl_status unknown_option(const cli_command *command, const char *name, size_t length)
{
    char given[64];
    const char *nearest = NULL;
    size_t least = SIZE_MAX;
    snprintf(given, sizeof(given), "%.*s", (int)mdl_min_size(length, 60), name);
    for (size_t i = 0; i < command->n_options; i++) {
        size_t distance = mdl_near(given, command->options[i].name);
        if (distance < least) {
            least = distance;
            nearest = command->options[i].name;
        }
    }
    return mdl_fail(MDL_CONFIG, "unknown option %s%s%s%s (`mendel %s --help` lists them)", given,
                    nearest != NULL ? "; did you mean " : "", nearest != NULL ? nearest : "",
                    nearest != NULL ? "?" : "", command->name);
}

/* One option at argv[*i], which is moved over its value. */
static mdl_status parse_option(const cli_command *command, int argc, char **argv, int *i,
                               cli_args *out)
{
    const char *word = argv[*i], *value = NULL;
    size_t length = strlen(word);
    if (word[1] == '-' && strchr(word, '=') != NULL) {
        length = (size_t)(strchr(word, '=') - word);
        value = word + length + 1;
    }
    const cli_option *option = find_option(command, word, length);
    if (option == NULL)
        return unknown_option(command, word, length);
    if (option->value == NULL && value != NULL)
        return mdl_fail(MDL_CONFIG, "option %s takes no value", option->name);
    if (option->value != NULL && value == NULL) {
        if (*i + 1 == argc)
            return mdl_fail(MDL_CONFIG, "option %s expects a value: %s", option->name,
                            option->value);
        value = argv[++*i];
    }
    out->items[out->n_items].name = option->name;
    out->items[out->n_items].value = value != NULL ? value : "";
    out->n_items++;
    return MDL_OK;
}

mdl_status cli_parse(const cli_command *command, int argc, char **argv, cli_args *out)
{
    bool options = true;
    memset(out, 0, sizeof(*out));
    if (argc >= CLI_MAX_ITEMS) /* one place is left for what a command adds */
        return mdl_fail(MDL_CONFIG, "more than %d arguments", CLI_MAX_ITEMS - 1);
    for (int i = 0; i < argc; i++) {
        if (options && strcmp(argv[i], "--") == 0)
            options = false;
        else if (options && argv[i][0] == '-' && argv[i][1] != '\0')
            MDL_TRY(parse_option(command, argc, argv, &i, out));
        else
            out->positional[out->n_positional++] = argv[i];
    }
    return MDL_OK;
}

const char *cli_value(const cli_args *args, const char *name)
{
    for (size_t i = args->n_items; i-- > 0;) {
        if (strcmp(args->items[i].name, name) == 0)
            return args->items[i].value;
    }
    return NULL;
}

bool cli_flag(const cli_args *args, const char *name)
{
    return cli_value(args, name) != NULL;
}

mdl_status cli_number(const cli_args *args, const char *name, size_t least, size_t otherwise,
                      size_t *out)
{
    const char *text = cli_value(args, name);
    *out = otherwise;
    if (text == NULL)
        return MDL_OK;
    errno = 0;
    unsigned long long value = strtoull(text, NULL, 10);
    if (text[0] == '\0' || strspn(text, "0123456789") != strlen(text) || errno != 0 ||
        value < least || value > SIZE_MAX / 2)
        return mdl_fail(MDL_CONFIG, "option %s: expected an integer from %zu, got %.100s", name,
                        least, text);
    *out = (size_t)value;
    return MDL_OK;
}

mdl_status cli_expect(const cli_args *args, size_t least, size_t most, const char *what)
{
    if (args->n_positional < least)
        return mdl_fail(MDL_CONFIG, "expected %s, got %zu arguments", what, args->n_positional);
    if (args->n_positional > most)
        return mdl_fail(MDL_CONFIG, "unexpected argument %.200s; expected %s",
                        args->positional[most], what);
    return MDL_OK;
}

/* ---- configuration -------------------------------------------------------------------------- */

/* Options that stand for a key. */
static const struct {
    const char *option, *key;
} shortcuts[] = {
    {"--data", "data.source"}, {"--backend", "run.backend"},           {"--threads", "run.threads"},
    {"--seed", "run.seed"},    {"--memory-limit", "run.memory_limit"},
};

static mdl_status set_shortcut(mdl_config *config, const char *option, const char *key,
                               const char *value)
{
    char assignment[256];
    mdl_status status;
    if (strcmp(key, "data.source") == 0 || strcmp(key, "run.backend") == 0) {
        status = mdl_config_set_text(config, key, value);
    } else {
        snprintf(assignment, sizeof(assignment), "%s=%.200s", key, value);
        status = mdl_config_set(config, assignment);
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

mdl_status cli_config(const cli_args *args, const char *checkpoint, mdl_config *config)
{
    const char *file = cli_value(args, "--config");
    *config = mdl_config_default();
    if (file != NULL)
        MDL_TRY(mdl_config_read(file, config));
    if (checkpoint != NULL)
        MDL_TRY(from_checkpoint(checkpoint, config));
    for (size_t i = 0; i < args->n_items; i++) {
        if (strcmp(args->items[i].name, "--set") == 0)
            MDL_TRY(mdl_config_set(config, args->items[i].value));
    }
    static const char *const wishes[] = {"data.normalize", "data.mean", "data.std"};
    for (size_t i = 0; i < MDL_COUNT(wishes); i++)
        if (config->origin.line[mdl_key_find(wishes[i])] == MDL_ORIGIN_SET)
            config->data.constants = 0; /* they go before what the checkpoint says */
    for (size_t i = 0; i < MDL_COUNT(shortcuts); i++) {
        const char *value = cli_value(args, shortcuts[i].option);
        if (value != NULL)
            MDL_TRY(set_shortcut(config, shortcuts[i].option, shortcuts[i].key, value));
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
    MDL_TRY(mdl_data_open(&own, &data));
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
    MDL_TRY(mdl_data_open(&config->data, data));
    if (checkpoint != NULL)
        MDL_TRY(match_classes(checkpoint, config, *data));
    return mdl_config_use_data(config, *data);
}
