/* Checks across keys, and what the model learns from the data.  Ranges of single keys are checked
 * while reading. */
#include <stdarg.h>
#include <string.h>

#include "config/config_internal.h"

const char *mdl__origin_text(const mdl_config *config, size_t key, char *text)
{
    int line = key < mdl__key_total ? config->origin.line[key] : 0;
    if (line > 0)
        snprintf(text, MDL__ORIGIN_TEXT, "%s:%d: ", config->origin.file, line);
    else
        text[0] = '\0';
    return text;
}

/* "FILE:LINE: key: reason". */
static mdl_status MDL_PRINTF(3, 4)
    refuse(const mdl_config *config, const char *key, const char *format, ...)
{
    char reason[512], origin[MDL__ORIGIN_TEXT];
    va_list args;
    va_start(args, format);
    vsnprintf(reason, sizeof(reason), format, args);
    va_end(args);
    return mdl_fail(MDL_CONFIG, "%s%s: %s", mdl__origin_text(config, mdl_key_find(key), origin),
                    key, reason);
}

static mdl_status check_training(const mdl_config *config)
{
    const mdl_train_config *train = &config->train;
    size_t shards = train->shards > 0 ? train->shards : 1;
    if (train->batch % shards != 0)
        return refuse(config, "train.shards", "expected a divisor of train.batch (%zu), got %zu",
                      train->batch, shards);
    if (train->batch / shards % train->accumulate != 0 && shards > 1)
        return refuse(config, "train.accumulate",
                      "expected a divisor of a shard (train.batch %zu / train.shards %zu), got %zu",
                      train->batch, shards, train->accumulate);
    if (train->batch % train->accumulate != 0)
        return refuse(config, "train.accumulate",
                      "expected a divisor of train.batch (%zu), got %zu", train->batch,
                      train->accumulate);
    if (train->gradients == MDL_GRADIENTS_BFLOAT16 && train->precision == MDL_PRECISION_FLOAT64)
        return refuse(config, "comm.gradients",
                      "expected float32 with run.precision: float64, got bfloat16");
    if (train->schedule.kind == MDL_SCHEDULE_ONE_CYCLE && train->schedule.warmup > 1)
        return refuse(config, "schedule.warmup",
                      "expected a part of the run (0 to 1) with schedule.kind: one_cycle, got %g",
                      train->schedule.warmup);
    return MDL_OK;
}

static mdl_status check_constants(const mdl_config *config)
{
    const mdl_data_config *data = &config->data;
    bool mean = data->given_mean.count > 0, std = data->given_std.count > 0;
    const char *key = mean ? "data.mean" : "data.std";
    if (mean != std)
        return refuse(config, key, "expected %s beside it", mean ? "data.std" : "data.mean");
    if (mean && data->normalize != MDL_NORMALIZE_DATASET)
        return refuse(config, key, "expected data.normalize: dataset, since nothing else uses it");
    return MDL_OK;
}

static mdl_status check_data(const mdl_config *config)
{
    const mdl_data_config *data = &config->data;
    MDL_TRY(check_constants(config));
    if (data->size == MDL_SIZE_MODEL && data->crop_padding >= data->image_size &&
        data->crop_reflect)
        return refuse(
            config, "data.crop_padding",
            "expected less than the side of the image (%zu) with crop_fill: reflect, got %zu",
            data->image_size, data->crop_padding);
    if (data->size == MDL_SIZE_MODEL && data->cutout > data->image_size)
        return refuse(config, "data.cutout",
                      "expected at most the side of the image (%zu), got %zu", data->image_size,
                      data->cutout);
    return MDL_OK;
}

/* Whether `name` is among the names of a list that begin before `end`. */
static bool is_listed(const char *list, const char *end, const char *name)
{
    char other[64];
    while (mdl_next_name(&list, other, sizeof(other)) && list <= end)
        if (strcmp(other, name) == 0)
            return true;
    return false;
}

/* Whoever misspells a method learns it now, not after hours of training. */
static mdl_status check_methods(const mdl_config *config)
{
    static const char *const key = "experiment.methods";
    /* Methods without the trunk or the second parent that they need are left out, which is said. */
    const mdl_circumstances circumstances = {
        .parents = 2, .trunk = true, .mutation = config->merge.mutation > 0};
    const char *list = config->experiment.methods, *reason;
    const mdl_method *method;
    char name[64];
    bool all = config->merge.from_scratch > 0 || config->experiment.specialists;
    if (all && list[strspn(list, ", ")] != '\0')
        return refuse(
            config, key,
            "expected nothing here: merge.from_scratch and experiment.specialists run all "
            "methods by themselves");
    while (mdl_next_name(&list, name, sizeof(name))) {
        if (is_listed(config->experiment.methods, list - strlen(name), name))
            return refuse(config, key, "%.60s is there twice", name);
        if (mdl_method_choose(name, MDL_METHOD_TO_COMPARE, &method) != MDL_OK)
            return refuse(config, key, "%s", mdl_error_detail());
        if (!mdl_method_fits(method, &circumstances, &reason))
            return refuse(config, key, "%s %s", name, reason);
    }
    return MDL_OK;
}

static mdl_status check_experiment(const mdl_config *config)
{
    const mdl_experiment_config *e = &config->experiment;
    bool controls = e->control_mlp_head || e->control_no_recursion || e->control_tokens;
    if (e->trunk_epochs == 0 && e->matched)
        return refuse(config, "experiment.matched",
                      "expected false without a trunk (experiment.trunk_epochs)");
    if (e->trunk_epochs == 0 && e->independent > 0)
        return refuse(config, "experiment.independent",
                      "expected 0 without a trunk: all seeds are independent");
    if (e->trunk_epochs > 0 && controls && e->independent == 0)
        return refuse(config, "experiment.independent",
                      "expected at least 1 with controls, which are compared with it");
    if (e->path_points == 1)
        return refuse(config, "experiment.interpolation_points", "expected 0 or at least 2, got 1");
    return MDL_OK;
}

static mdl_status check_run(const mdl_config *config)
{
    const mdl_backend *backend;
    if (mdl_backend_find(config->run.backend, &backend) != MDL_OK)
        return refuse(config, "run.backend", "%s", mdl_error_detail());
    if (config->train.precision == MDL_PRECISION_FLOAT64 && !backend->supports_f64)
        return refuse(config, "run.precision",
                      "float64 is not offered by backend %s; use run.backend: reference",
                      backend->name);
    return MDL_OK;
}

/* The model's own check, with the place of the key that it finds wrong in front. */
static mdl_status check_model(const mdl_config *config)
{
    const char *key;
    char origin[MDL__ORIGIN_TEXT];
    mdl_status status = mdl_model_check_key(&config->model, &key);
    if (status == MDL_OK)
        return MDL_OK;
    mdl__origin_text(config, mdl_key_find(key), origin);
    return mdl_fail(MDL_CONFIG, "%s%s", origin, mdl_error_detail());
}

mdl_status mdl_config_check(const mdl_config *config)
{
    mdl_config assumed = *config;
    MDL_TRY(check_training(config));
    MDL_TRY(check_data(config));
    MDL_TRY(check_run(config));
    MDL_TRY(check_experiment(config));
    MDL_TRY(check_methods(config));
    /* Where nothing is known of the data yet, the model is checked once it is open. */
    if (config->model.height == 0 && mdl_config_assume_data(&assumed) != MDL_OK)
        return MDL_OK;
    return check_model(&assumed);
}

static mdl_status use_classes(mdl_config *config, size_t classes)
{
    if (config->model.classes == 0)
        config->model.classes = classes;
    if (config->model.classes < classes)
        return refuse(config, "model.classes", "expected at least the data's %zu classes, got %zu",
                      classes, config->model.classes);
    return MDL_OK;
}

mdl_status mdl_config_use_data(mdl_config *config, const mdl_data *data)
{
    config->model.height = data->height;
    config->model.width_px = data->width;
    config->model.channels = data->channels;
    MDL_TRY(use_classes(config, data->classes));
    return check_model(config);
}

mdl_status mdl_config_assume_data(mdl_config *config)
{
    const mdl_source *source = mdl_source_of(config->data.source);
    size_t classes = source != NULL ? source->classes : 0;
    size_t side = source != NULL ? source->side : 0;
    bool native = config->data.size == MDL_SIZE_NATIVE;
    if (classes == 0 && config->model.classes == 0)
        return refuse(config, "model.classes", "not known before the data (%s) is read",
                      config->data.source);
    if (native && side == 0)
        return refuse(config, "data.size", "the native size of %s is not known before it is read",
                      config->data.source);
    config->model.height = config->model.width_px = native ? side : config->data.image_size;
    config->model.channels = native ? source->channels : 3;
    return use_classes(config, classes);
}
