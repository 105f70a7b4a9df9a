/* How the images of a training were prepared, as metadata of its checkpoints: what a program needs
 * that has the checkpoint but not the data. */
#include "train/train.h"

#include <string.h>

static const char *const names[MDL_IMAGE_METADATA] = {MDL_IMAGE_METADATA_KEYS};

/* Numbers of one value for each channel, in full precision. */
static void list(char *text, size_t size, const float *values, size_t count)
{
    size_t length = 0;
    for (size_t i = 0; i < count && length < size; i++)
        length += (size_t)snprintf(text + length, size - length, "%s%.9g", i ? " " : "",
                                   (double)values[i]);
}

void mdl_image_metadata_make(const mdl_data *data, mdl_image_metadata *out)
{
    const mdl_dataset *set = data->train;
    float mean[4] = {0}, std[4] = {1, 1, 1, 1};
    double value_max = data->config.normalize == MDL_NORMALIZE_NONE ? 1 : set->value_max;
    for (size_t c = 0; data->config.normalize == MDL_NORMALIZE_DATASET && c < 4; c++) {
        size_t from = mdl_min_size(c, set->channels - 1); /* grey stands for all channels */
        mean[c] = set->mean[from];
        std[c] = set->std[from];
    }
    size_t channels = mdl_min_size(data->channels, 4);
    snprintf(out->text[0], sizeof out->text[0], "%zu %zu %zu", data->height, data->width,
             data->channels);
    snprintf(out->text[1], sizeof out->text[1], "%.17g", value_max);
    list(out->text[2], sizeof out->text[2], mean, channels);
    list(out->text[3], sizeof out->text[3], std, channels);
    for (size_t i = 0; i < MDL_IMAGE_METADATA; i++) {
        out->keys[i] = names[i];
        out->values[i] = out->text[i];
    }
}
