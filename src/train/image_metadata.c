/* How the images of a training were prepared, as metadata of its checkpoints: what a program needs
 * that has the checkpoint but not the data. */
#include "train/train.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[MDL_IMAGE_METADATA] = {MDL_IMAGE_METADATA_KEYS};

/* Numbers of one value for each channel, in full precision. */
static void list(char *text, size_t size, const double *values, size_t count)
{
    size_t length = 0;
    for (size_t i = 0; i < count && length < size; i++)
        length +=
            (size_t)snprintf(text + length, size - length, "%s%.17g", i ? " " : "", values[i]);
}

mdl_status mdl_image_metadata_make(const mdl_data *data, mdl_image_metadata *out)
{
    enum { LISTS = MDL_COUNT(out->text) };
    *out = (mdl_image_metadata){.count = LISTS};
    snprintf(out->text[0], sizeof(out->text[0]), "%zu %zu %zu", data->height, data->width,
             data->channels);
    snprintf(out->text[1], sizeof(out->text[1]), "%.17g", data->value_max);
    list(out->text[2], sizeof(out->text[2]), data->mean, data->channels);
    list(out->text[3], sizeof(out->text[3]), data->std, data->channels);
    for (size_t i = 0; i < MDL_IMAGE_METADATA; i++) {
        out->keys[i] = names[i];
        out->values[i] = i < LISTS ? out->text[i] : NULL;
    }
    MDL_TRY(mdl_classes_text(data, &out->classes));
    if (out->classes != NULL)
        out->values[out->count++] = out->classes;
    return MDL_OK;
}

void mdl_image_metadata_free(mdl_image_metadata *metadata)
{
    mdl_free(metadata->classes);
    metadata->classes = NULL;
}

/* `count` numbers from a list in the metadata. */
static mdl_status numbers(const mdl_tensors *file, const char *path, const char *key,
                          double *values, size_t count)
{
    const char *text = mdl_tensors_metadata(file, key), *at = text;
    if (text == NULL)
        return mdl_fail(MDL_CONFIG,
                        "%s: no metadata %s, by which a checkpoint of Mendel's says how its "
                        "images were prepared",
                        path, key);
    for (size_t i = 0; i < count; i++) {
        char *end;
        values[i] = strtod(at, &end);
        if (end == at || !isfinite(values[i]))
            return mdl_fail(MDL_FORMAT, "%s: metadata %s: expected %zu numbers, got \"%s\"", path,
                            key, count, text);
        at = end;
    }
    return MDL_OK;
}

/* The largest image that is believed; no source gives larger ones. */
enum { MAX_SIDE = 8192, MAX_CHANNELS = 4 };

mdl_status mdl_image_metadata_read(const mdl_tensors *file, const char *path,
                                   mdl_image_preparation *out)
{
    double input[3] = {0};
    *out = (mdl_image_preparation){0};
    MDL_TRY(numbers(file, path, names[0], input, 3));
    if (!(input[0] >= 1 && input[0] <= MAX_SIDE && input[1] >= 1 && input[1] <= MAX_SIDE &&
          input[2] >= 1 && input[2] <= MAX_CHANNELS))
        return mdl_fail(MDL_FORMAT, "%s: metadata %s: %g x %g x %g is no image", path, names[0],
                        input[0], input[1], input[2]);
    out->height = (size_t)input[0];
    out->width = (size_t)input[1];
    out->channels = (size_t)input[2];
    MDL_TRY(numbers(file, path, names[1], &out->value_max, 1));
    MDL_TRY(numbers(file, path, names[2], out->mean, out->channels));
    MDL_TRY(numbers(file, path, names[3], out->std, out->channels));
    for (size_t c = 0; c < out->channels; c++)
        if (!(out->value_max > 0) || !(out->std[c] > 0))
            return mdl_fail(MDL_FORMAT, "%s: metadata: value_max and std must be positive", path);
    return MDL_OK;
}
