/* The public door to checkpoints from elsewhere: any kind that is read, as a safetensors file; what
 * a published network needs to be known beside its weights (names, model, preparation of images)
 * comes from a preset. */
#include <string.h>

#include <jansson.h>

#include "api/api.h"

/* ---- presets -------------------------------------------------------------------------------- */

typedef struct preset {
    const char *name, *what; /* `what`: half a sentence */
    mdl_names_rule names;
    const char *settings[8]; /* of the model, as for mdl_config_assign; none: no model is known */
    const char *classes_of;  /* the tensor whose first dimension is the number of classes */
    size_t side;             /* of the images, which have three channels */
    const char *mean, *std;  /* of values 0 .. 1 */
} preset;

#define LITE0                                                                                      \
    "model.kind=efficientnet_lite0", "model.stem_stride=2", "model.strides=[1,2,2,2,1,2,1]"

static const preset presets[] = {
    {
        .name = "unwrap",
        .what =
            "names without what DataParallel (module.) or torch.compile (_orig_mod.) put before",
        .names = MDL_NAMES_PLAIN,
    },
    {
        .name = "efficientnet_lite0",
        .what = "EfficientNet-Lite0 as TensorFlow published it (EfficientNet-PyTorch's names, or "
                "timm's tf_efficientnet_lite0): 224, SAME padding, (x - 127) / 128",
        .names = MDL_NAMES_EFFICIENTNET,
        .settings = {LITE0, "model.padding=same", "model.bn_eps=1e-3", "data.image_size=224",
                     "data.resize=crop"},
        .classes_of = "classifier.weight",
        .side = 224,
        .mean = "0.49803921568627452 0.49803921568627452 0.49803921568627452", /* 127 / 255 */
        .std = "0.50196078431372548 0.50196078431372548 0.50196078431372548",  /* 128 / 255 */
    },
    {
        .name = "efficientnet_lite0_timm",
        .what = "EfficientNet-Lite0 as timm trained it (efficientnet_lite0): 224, symmetric "
                "padding, ImageNet's mean and std",
        .names = MDL_NAMES_PLAIN,
        .settings = {LITE0, "model.padding=symmetric", "model.bn_eps=1e-5", "data.image_size=224",
                     "data.resize=crop"},
        .classes_of = "classifier.weight",
        .side = 224,
        .mean = "0.485 0.456 0.406",
        .std = "0.229 0.224 0.225",
    },
};

bool mdl_convert_preset_row(size_t i, const char **name, const char **what)
{
    if (i >= MDL_COUNT(presets))
        return false;
    *name = presets[i].name;
    *what = presets[i].what;
    return true;
}

static mdl_status find_preset(const char *name, const preset **out)
{
    char list[256] = "";
    *out = NULL;
    for (size_t i = 0; name != NULL && i < MDL_COUNT(presets); i++) {
        size_t used = strlen(list);
        snprintf(list + used, sizeof(list) - used, "%s%s", i > 0 ? ", " : "", presets[i].name);
        if (strcmp(presets[i].name, name) == 0)
            *out = &presets[i];
    }
    return name == NULL || *out != NULL
               ? MDL_OK
               : mdl_fail(MDL_CONFIG, "preset: expected one of %s, got %.100s", list, name);
}

static mdl_status find_type(const char *name, const mdl_file_type **out)
{
    static const struct {
        const char *name;
        mdl_file_type type;
    } types[] = {{"f32", MDL_FILE_F32}, {"f16", MDL_FILE_F16}, {"bf16", MDL_FILE_BF16}};
    *out = NULL;
    for (size_t i = 0; name != NULL && i < MDL_COUNT(types); i++)
        if (strcmp(types[i].name, name) == 0)
            *out = &types[i].type;
    return name == NULL || *out != NULL
               ? MDL_OK
               : mdl_fail(MDL_CONFIG, "dtype: expected f32, f16 or bf16, got %.100s", name);
}

/* ---- metadata ------------------------------------------------------------------------------- */

enum { OWN_KEYS = 6 };

typedef struct metadata {
    const char **keys, **values; /* room for those of the file and OWN_KEYS more */
    size_t count;
    char *config, input[64];
} metadata;

/* One that the file has already is replaced. */
static void put(metadata *m, const char *key, const char *value)
{
    size_t i = 0;
    while (i < m->count && strcmp(m->keys[i], key) != 0)
        i++;
    m->keys[i] = key;
    m->values[i] = value;
    m->count += i == m->count;
}

/* The model of a preset, with as many classes as the file has, if the tensors are that model's. */
static mdl_status take_model(const preset *p, const mdl_tensors *set, const char *path,
                             mdl_config *config)
{
    const mdl_file_tensor *last = mdl_tensors_find(set, p->classes_of);
    mdl_graph *graph;
    mdl_model_io io;
    for (size_t i = 0; i < MDL_COUNT(p->settings) && p->settings[i] != NULL; i++)
        MDL_TRY(mdl_config_assign(config, p->settings[i]));
    config->model.classes = last != NULL && last->rank > 0 ? last->dim[0] : 0;
    if (config->model.classes == 0)
        return mdl_fail(MDL_SHAPE, "%s: there is no tensor %s, by which the classes are counted",
                        path, p->classes_of);
    config->model.height = config->model.width_px = p->side;
    config->model.channels = 3;
    MDL_TRY(mdl_config_check(config));
    MDL_TRY(mdl_graph_create(MDL_F32, &graph));
    mdl_status status = mdl_model_build(&config->model, MDL_MODE_INFER, 1, 0, 0, graph, &io);
    if (status == MDL_OK)
        status = mdl_weights_match(set, path, graph);
    mdl_graph_destroy(graph);
    return status;
}

static mdl_status fill_metadata(const preset *p, const mdl_tensors *set, const char *path,
                                metadata *m)
{
    mdl_config config = mdl_config_default();
    MDL_TRY(MDL_NEW(set->n_metadata + OWN_KEYS, "metadata", &m->keys));
    MDL_TRY(MDL_NEW(set->n_metadata + OWN_KEYS, "metadata", &m->values));
    for (size_t i = 0; i < set->n_metadata; i++)
        if (strcmp(set->keys[i], MDL_TORCH_KEY) != 0) /* of the file that was read alone */
            put(m, set->keys[i], set->values[i]);
    put(m, "format", "pt");
    if (p == NULL || p->settings[0] == NULL)
        return MDL_OK;
    MDL_TRY(take_model(p, set, path, &config));
    MDL_TRY(mdl_config_model_text(&config, &m->config));
    snprintf(m->input, sizeof(m->input), "%zu %zu 3", p->side, p->side);
    put(m, "mendel.config", m->config);
    put(m, "mendel.input", m->input);
    put(m, "mendel.value_max", "255");
    put(m, "mendel.mean", p->mean);
    put(m, "mendel.std", p->std);
    return MDL_OK;
}

/* ---- the work ------------------------------------------------------------------------------- */

static json_t *facts(const mdl_tensors *set, const char *out, const mdl_convert_options *options,
                     size_t renamed, uint64_t bytes)
{
    size_t elements = 0;
    for (size_t i = 0; i < set->n_tensors; i++)
        elements += set->tensors[i].count;
    return mdl_json_pack("{s:s, s:I, s:I, s:I, s:I, s:s, s:s, s:s}", "out", out, "tensors",
                         (json_int_t)set->n_tensors, "elements", (json_int_t)elements, "bytes",
                         (json_int_t)bytes, "renamed", (json_int_t)renamed, "dtype", options->dtype,
                         "preset", options->preset, "taken",
                         mdl_tensors_metadata(set, MDL_TORCH_KEY));
}

static mdl_status write_set(mdl_tensors *set, const char *path, const char *out,
                            const mdl_convert_options *options, const preset *p,
                            const mdl_file_type *type, char **result)
{
    metadata m = {.count = 0};
    size_t renamed = 0;
    uint64_t bytes = 0;
    mdl_status status = p != NULL ? mdl_tensors_rename(set, p->names, &renamed) : MDL_OK;
    if (status == MDL_OK)
        status = fill_metadata(p, set, path, &m);
    const mdl_rewrite how = {type, m.keys, m.values, m.count};
    if (status == MDL_OK)
        status = mdl_tensors_rewrite(set, out, &how);
    if (status == MDL_OK)
        status = mdl_file_size(out, &bytes);
    mdl_free(m.config);
    mdl_free((void *)m.keys);
    mdl_free((void *)m.values);
    return status == MDL_OK ? mdl_result_text(facts(set, out, options, renamed, bytes), result)
                            : status;
}

static mdl_status convert(const mdl_config *config, const char *checkpoint, const char *out,
                          const mdl_convert_options *options, char **result)
{
    const mdl_run_inputs inputs = {.config = config, .files = &checkpoint, .n_files = 1};
    const preset *p;
    const mdl_file_type *type;
    mdl_tensors *set;
    MDL_TRY(find_preset(options->preset, &p));
    MDL_TRY(find_type(options->dtype, &type));
    /* A model is held against all its values; else they are read as they are written. */
    bool whole = p != NULL && p->settings[0] != NULL;
    MDL_TRY(whole ? mdl_tensors_load(checkpoint, &set) : mdl_tensors_open(checkpoint, &set));
    mdl_status status = MDL_OK;
    for (size_t i = 0; i < set->n_files && status == MDL_OK; i++)
        if (mdl_same_file(out, set->files[i].path))
            status = mdl_fail(MDL_CONFIG,
                              "%s is an input (%s), and would be written over: choose another file",
                              out, set->files[i].path);
    if (status == MDL_OK)
        status = mdl_run_check_output(out, options->overwrite != 0, &inputs);
    if (status == MDL_OK)
        status = write_set(set, checkpoint, out, options, p, type, result);
    mdl_tensors_close(set);
    return status;
}

mdl_status mdl_convert(mdl_context *context, const char *checkpoint, const char *out,
                       const mdl_convert_options *options, char **result)
{
    mdl_work work;
    mdl_convert_options own = MDL_CONVERT_OPTIONS;
    mdl_config config = mdl_config_default();
    if (result != NULL)
        *result = NULL;
    MDL_REQUIRE(checkpoint);
    MDL_REQUIRE(out);
    MDL_TRY(mdl_options_take(&own, sizeof(own), options));
    mdl_status status = mdl_work_begin(&work, context, &config, NULL);
    if (status == MDL_OK)
        status = convert(&work.config, checkpoint, out, &own, result);
    return mdl_work_end(&work, status);
}
