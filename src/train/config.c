/* Defaults and checks of the training configuration, and fingerprints: the settings a saved state
 * was made with, so that another configuration does not continue from it by mistake. */
#include "train/train_internal.h"

#include <stdarg.h>
#include <string.h>

mdl_dtype mdl_precision_real(mdl_precision precision)
{
    return precision == MDL_PRECISION_FLOAT64 ? MDL_F64 : MDL_F32;
}

mdl_train_config mdl_train_config_default(void)
{
    return (mdl_train_config){
        .epochs = 40,
        .batch = 64,
        .overlap = true,
        .bucket = (size_t)4 << 20,
        .accumulate = 1,
        .keep = 1,
        .evaluate_every = 1,
        .optim = {.kind = MDL_OPTIM_ADAMW,
                  .lr = 1e-3,
                  .momentum = 0.9,
                  .nesterov = true,
                  .beta1 = 0.9,
                  .beta2 = 0.999,
                  .eps = 1e-8,
                  .weight_decay = 0.05},
        .schedule = {.kind = MDL_SCHEDULE_COSINE, .every = 10, .factor = 0.1},
    };
}

mdl_status mdl__check_data(const mdl_model_config *model, const mdl_data *data)
{
    if (model->height != data->height || model->width_px != data->width ||
        model->channels != data->channels)
        return mdl_fail(MDL_SHAPE,
                        "the model takes images of %zux%zux%zu, the data has %zux%zux%zu",
                        model->height, model->width_px, model->channels, data->height, data->width,
                        data->channels);
    if (model->classes < data->classes)
        return mdl_fail(MDL_SHAPE, "the model has %zu classes, the data %zu", model->classes,
                        data->classes);
    return MDL_OK;
}

void mdl_fingerprint_add(mdl_fingerprint *fp, const char *format, ...)
{
    if (fp->used >= sizeof(fp->text))
        return;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(fp->text + fp->used, sizeof(fp->text) - fp->used, format, args);
    va_end(args);
    if (n > 0)
        fp->used += (size_t)n; /* past the end where it did not fit: check refuses that */
}

void mdl_fingerprint_model(mdl_fingerprint *fp, const mdl_model_config *m)
{
    mdl_fingerprint_add(fp, "model.kind %d\nmodel.input %zux%zux%zu\nmodel.classes %zu\n",
                        (int)m->kind, m->height, m->width_px, m->channels, m->classes);
    mdl_fingerprint_add(fp, "model.stem_stride %zu\nmodel.strides", m->stem_stride);
    for (size_t i = 0; i < MDL_COUNT(m->strides); i++)
        mdl_fingerprint_add(fp, " %zu", m->strides[i]);
    mdl_fingerprint_add(fp, "\nmodel.width %.17g\nmodel.depth %.17g\n", m->width, m->depth);
    mdl_fingerprint_add(fp, "model.drop_connect %.17g\nmodel.dropout %.17g\n", m->drop_connect,
                        m->dropout);
    mdl_fingerprint_add(fp, "model.bn_eps %.17g\nmodel.bn_momentum %.17g\nmodel.padding %d\n",
                        m->bn_eps, m->bn_momentum, (int)m->padding);
    if (m->head_hidden > 0)
        mdl_fingerprint_add(fp, "model.head_hidden %zu\n", m->head_hidden);
    const mdl_model_def *def = mdl_model_def_of(m->kind);
    if (def->describe != NULL && fp->used < sizeof(fp->text))
        fp->used += def->describe(m, fp->text + fp->used, sizeof(fp->text) - fp->used);
}

static void add_values(mdl_fingerprint *fp, const char *key, const mdl_channel_values *values)
{
    for (size_t i = 0; i < values->count; i++)
        mdl_fingerprint_add(fp, "%s %.17g%s", i == 0 ? key : "", values->value[i],
                            i + 1 == values->count ? "\n" : "");
}

void mdl_fingerprint_data(mdl_fingerprint *fp, const mdl_data *data)
{
    const mdl_data_config *c = &data->config;
    /* Without the folder: data may move. */
    fp->data = data->hash;
    fp->of_files = data->hash_of_files;
    mdl_fingerprint_add(fp, "data.source %.*s\n", (int)strcspn(c->source, ":"), c->source);
    mdl_fingerprint_add(fp, "data.images %zu+%zu+%zu\n", data->count[0], data->count[1],
                        data->count[2]);
    mdl_fingerprint_add(fp, "data.size %d\ndata.resize %d\ndata.normalize %d\n", (int)c->size,
                        (int)c->resize, (int)c->normalize);
    if (c->resize == MDL_RESIZE_CROP)
        mdl_fingerprint_add(fp, "data.crop_fraction %.17g\n", c->crop_fraction);
    mdl_fingerprint_add(fp, "data.split_seed %llu\n", (unsigned long long)c->split_seed);
    mdl_fingerprint_add(fp, "data.crop_padding %zu\ndata.crop_reflect %d\n", c->crop_padding,
                        (int)c->crop_reflect);
    if (c->resized_crop > 0)
        mdl_fingerprint_add(fp, "data.resized_crop %.17g\ndata.resized_ratio %.17g\n",
                            c->resized_crop, c->resized_ratio);
    mdl_fingerprint_add(fp, "data.flip %d\ndata.cutout %zu\n", (int)c->flip, c->cutout);
    add_values(fp, "data.mean", &c->given_mean);
    add_values(fp, "data.std", &c->given_std);
}

/* Whether the line `text` starts with is that of this key; NULL is none's. */
static bool is_line_of(const char *text, const char *key)
{
    size_t length = key != NULL ? strlen(key) : 0;
    return length > 0 && strncmp(text, key, length) == 0 && text[length] == ' ';
}

/* The first line in which two texts differ, without its newline; false: they are the same.  The
 * line of the key `free`, which may be NULL, is not looked at. */
static bool first_difference(const char *a, const char *b, const char *free, char *line_a,
                             char *line_b, size_t size)
{
    while (*a && *b) {
        size_t na = strcspn(a, "\n"), nb = strcspn(b, "\n");
        if ((na != nb || memcmp(a, b, na) != 0) && !(is_line_of(a, free) && is_line_of(b, free)))
            break;
        a += na + (a[na] != 0);
        b += nb + (b[nb] != 0);
    }
    snprintf(line_a, size, "%.*s", (int)strcspn(a, "\n"), a);
    snprintf(line_b, size, "%.*s", (int)strcspn(b, "\n"), b);
    return *a != '\0' || *b != '\0';
}

/* A hash of files is not that of pixels, which older versions saved for them, too. */
static const char *hash_block(const mdl_fingerprint *fp)
{
    return fp->of_files ? "files" : "data";
}

mdl_status mdl_fingerprint_write(const mdl_fingerprint *fp, mdl_state_writer *state)
{
    if (fp->used >= sizeof(fp->text))
        return mdl_fail(MDL_INVALID, "the text of the settings is longer than %zu bytes",
                        sizeof(fp->text));
    MDL_TRY(mdl_state_put(state, "settings", fp->text, fp->used + 1));
    return mdl_state_put(state, hash_block(fp), &fp->data, sizeof(fp->data));
}

/* States of older versions do not say what their images were. */
static mdl_status check_data(const mdl_fingerprint *fp, const mdl_state *state, const char *path)
{
    uint64_t saved = 0;
    size_t size = 0;
    const void *block = mdl_state_find(state, hash_block(fp), &size);
    if (block != NULL && size == sizeof(saved))
        memcpy(&saved, block, size);
    if (saved == 0 || fp->data == 0 || saved == fp->data)
        return MDL_OK;
    return mdl_fail(MDL_CONFIG,
                    "%s was saved with other images, labels or names of classes (their counts are "
                    "the same): resume with the same data, or start a new run in another folder",
                    path);
}

mdl_status mdl_fingerprint_check(const mdl_fingerprint *fp, const mdl_state *state,
                                 const char *path)
{
    size_t size = 0;
    const char *saved = mdl_state_find(state, "settings", &size);
    if (saved == NULL || size == 0 || saved[size - 1] != 0)
        return mdl_fail(MDL_FORMAT, "%s: the block \"settings\" is missing or not a text", path);
    char was[160], is[160];
    if (!first_difference(saved, fp->text, fp->free, was, is, sizeof(was)))
        return check_data(fp, state, path);
    return mdl_fail(MDL_CONFIG,
                    "%s was saved with \"%s\", the configuration now says \"%s\": resume with the "
                    "same configuration, or start a new run in another folder",
                    path, was, is);
}
