/* A set of images made from those of a split: corrupted, mirrored, shifted.  They stand at the size
 * the model sees, in 8 bits, with the original's normalisation. */
#include <math.h>
#include <string.h>

#include "data/internal.h"

double mdl__intensity(const mdl_data *from, double full, size_t channel, double value)
{
    return (value * from->std[channel] + from->mean[channel]) * from->value_max / full;
}

static mdl_status fill(const mdl_data *from, mdl_split split, mdl_image_change change, void *user,
                       double *pixels, mdl_dataset *set)
{
    const mdl_loader_options options = {.split = split, .wide = true};
    double full = mdl_data_set(from, split)->value_max;
    size_t values = set->height * set->width * set->channels;
    for (size_t i = 0; i < set->count; i++) {
        MDL_TRY(mdl_stop_check());
        uint32_t position = (uint32_t)(i * from->count[split] / set->count);
        uint8_t *out = set->pixels + i * values;
        MDL_TRY(mdl_prepare_image(from, &options, 0, position, pixels, &set->labels[i]));
        for (size_t k = 0; k < values; k++)
            pixels[k] = fmin(1, fmax(0, mdl__intensity(from, full, k % set->channels, pixels[k])));
        MDL_TRY(change(user, position, pixels));
        for (size_t k = 0; k < values; k++)
            out[k] = (uint8_t)(255 * fmin(1, fmax(0, pixels[k])) + 0.5);
    }
    return MDL_OK;
}

static mdl_status make(const mdl_data *from, mdl_split split, size_t limit, mdl_image_change change,
                       void *user, mdl_data *data)
{
    const mdl_dataset *original = mdl_data_set(from, split);
    size_t count = from->count[split];
    double *pixels = NULL;
    if (count == 0)
        return mdl_fail(MDL_CONFIG, "the split to make other images of is empty");
    if (limit > 0)
        count = mdl_min_size(count, limit);
    *data = *from;
    memset(data->index, 0, sizeof(data->index));
    memset(data->count, 0, sizeof(data->count));
    data->train = data->validation = data->test = NULL;
    data->prepare = NULL;
    data->class_names = NULL;
    data->config.test_only = true;
    MDL_TRY(MDL_NEW(1, "dataset", &data->test));
    MDL_TRY(mdl__dataset_alloc(data->test, count, from->height, from->width, from->channels,
                               from->classes));
    data->test->value_max = 255;
    data->test->fitted = true;
    memcpy(data->test->mean, from->mean, sizeof(from->mean));
    memcpy(data->test->std, from->std, sizeof(from->std));
    data->value_max = 255 * from->value_max / original->value_max;
    MDL_TRY(MDL_NEW(from->height * from->width * from->channels, "image", &pixels));
    mdl_status status = fill(from, split, change, user, pixels, data->test);
    mdl_free(pixels);
    MDL_TRY(status);
    data->count[MDL_SPLIT_TEST] = count;
    MDL_TRY(MDL_NEW(count, "split", &data->index[MDL_SPLIT_TEST]));
    for (size_t i = 0; i < count; i++)
        data->index[MDL_SPLIT_TEST][i] = (uint32_t)i;
    return mdl__prepare_create(data, &data->prepare);
}

mdl_status mdl_data_derive(const mdl_data *from, mdl_split split, size_t limit,
                           mdl_image_change change, void *user, mdl_data **out)
{
    mdl_data *data = NULL;
    *out = NULL;
    MDL_TRY(MDL_NEW(1, "data", &data));
    mdl_status status = make(from, split, limit, change, user, data);
    if (status != MDL_OK) {
        mdl_data_close(data);
        return status;
    }
    *out = data;
    return MDL_OK;
}
