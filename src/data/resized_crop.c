/* A random part of an image in the size that the model takes (C. Szegedy et al. 2015, section 6):
 * of a part of the area and a ratio of sides that are drawn, the latter evenly in its logarithm, as
 * in torchvision's RandomResizedCrop. */
#include <math.h>

#include "data/internal.h"

enum { TRIES = 10, RGB = 3 };

/* Above 0, below 1. */
static double fraction(uint32_t word)
{
    return ((double)word + 0.5) / 4294967296.0;
}

/* Where a part of `size` begins in `whole`. */
static size_t place(uint32_t word, size_t whole, size_t size)
{
    return (size_t)((uint64_t)word * (whole - size + 1) >> 32);
}

/* No draw fitted: as much of the middle as the ratio allows. */
static void take_middle(double most, size_t height, size_t width, size_t part[2], size_t at[2])
{
    double ratio = (double)width / (double)height;
    part[0] = ratio < 1 / most ? (size_t)lround((double)width * most) : height;
    part[1] = ratio > most ? (size_t)lround((double)height * most) : width;
    at[0] = (height - part[0]) / 2;
    at[1] = (width - part[1]) / 2;
}

static void draw_part(const mdl_data_config *config, size_t height, size_t width, uint64_t seed,
                      uint64_t index, size_t part[2], size_t at[2])
{
    double area = (double)height * (double)width, widest = log(config->resized_ratio);
    for (uint64_t try = 0; try < TRIES; try++) {
        uint32_t word[4];
        mdl_philox(seed, MDL_STREAM_CUT, index + try, word);
        double some =
            area * (config->resized_crop + (1 - config->resized_crop) * fraction(word[0]));
        double ratio = exp(widest * (2 * fraction(word[1]) - 1));
        double tall = round(sqrt(some / ratio)), wide = round(sqrt(some * ratio));
        if (tall < 1 || wide < 1 || tall > (double)height || wide > (double)width)
            continue;
        part[0] = (size_t)tall;
        part[1] = (size_t)wide;
        at[0] = place(word[2], height, part[0]);
        at[1] = place(word[3], width, part[1]);
        return;
    }
    take_middle(config->resized_ratio, height, width, part, at);
}

mdl_status mdl__resized_crop(const mdl_data *data, const mdl_dataset *set, size_t image,
                             uint64_t seed, uint64_t epoch, uint32_t position, uint8_t *out)
{
    mdl__image whole = {set->height, set->width, NULL};
    const uint8_t *pixels;
    size_t part[2], at[2], channels = set->channels;
    if (set->stored != NULL) {
        MDL_TRY(mdl__image_decode(set->stored->paths[image], &whole));
        pixels = whole.rgb;
        channels = RGB;
    } else {
        if (set->pixels == NULL)
            MDL_TRY(MDL_NEW(set->height * set->width * channels, "image", &whole.rgb));
        mdl_status status = mdl__set_pixels(set, image, whole.rgb, &pixels);
        if (status != MDL_OK) {
            mdl_free(whole.rgb);
            return status;
        }
    }
    /* 2^28 epochs of 2^32 positions, 16 tries each */
    uint64_t index = (epoch & 0xfffffff) << 36 | (uint64_t)position << 4;
    draw_part(&data->config, whole.height, whole.width, seed, index, part, at);
    const mdl__axis axis[2] = {{at[0], part[0], data->height, 0, data->height},
                               {at[1], part[1], data->width, 0, data->width}};
    mdl_status status = mdl__resample(pixels, whole.width, channels, &axis[0], &axis[1], out);
    mdl_free(whole.rgb);
    return status;
}
