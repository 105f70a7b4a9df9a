/* Small pictures of images as the model sees them, for people. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>

#include "data/internal.h"

/* As the text of a PNG file in base 64. */
static mdl_status encode(const uint8_t *pixels, size_t height, size_t width, size_t channels,
                         char **out)
{
    png_image image = {.version = PNG_IMAGE_VERSION,
                       .width = (png_uint_32)width,
                       .height = (png_uint_32)height,
                       .format = channels == 3 ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY};
    size_t size = PNG_IMAGE_PNG_SIZE_MAX(image);
    char *file;
    MDL_TRY(mdl_alloc(size, 1, "a thumbnail", (void **)&file));
    bool written = png_image_write_to_memory(&image, file, &size, 0, pixels, 0, NULL) != 0;
    mdl_status status = written ? mdl_base64(file, size, out)
                                : mdl_fail(MDL_NO_MEMORY, "a thumbnail: %s", image.message);
    png_image_free(&image);
    mdl_free(file);
    return status;
}

static mdl_status shrink(const mdl_data *data, const uint8_t *pixels, size_t channels, size_t side,
                         char **out)
{
    size_t longest = mdl_max_size(data->height, data->width), most = mdl_min_size(longest, side);
    size_t height = mdl_max_size(1, data->height * most / longest);
    size_t width = mdl_max_size(1, data->width * most / longest);
    const mdl__axis rows = {.span = data->height, .full = height, .out = height};
    const mdl__axis columns = {.span = data->width, .full = width, .out = width};
    uint8_t *small;
    MDL_TRY(MDL_NEW(height * width * channels, "a thumbnail", &small));
    mdl_status status = mdl__resample(pixels, data->width, channels, &rows, &columns, small);
    if (status == MDL_OK)
        status = encode(small, height, width, channels, out);
    mdl_free(small);
    return status;
}

mdl_status mdl_data_thumbnail(const mdl_data *data, mdl_split split, uint32_t position, size_t side,
                              char **out)
{
    const mdl_loader_options options = {.split = split, .wide = true};
    size_t shown = data->channels >= 3 ? 3 : 1, pixels = data->height * data->width;
    double full = mdl_data_set(data, split)->value_max, *image;
    uint8_t *bytes = NULL;
    int32_t label;
    *out = NULL;
    MDL_TRY(MDL_NEW(pixels * data->channels, "an image", &image));
    mdl_status status = MDL_NEW(pixels * shown, "a thumbnail", &bytes);
    if (status == MDL_OK)
        status = mdl_prepare_image(data, &options, 0, position, image, &label);
    if (status == MDL_OK) {
        for (size_t i = 0; i < pixels * shown; i++) {
            size_t c = i % shown;
            double value = mdl__intensity(data, full, c, image[i / shown * data->channels + c]);
            bytes[i] = (uint8_t)(255 * fmin(1, fmax(0, value)) + 0.5);
        }
        status = shrink(data, bytes, shown, side, out);
    }
    mdl_free(bytes);
    mdl_free(image);
    return status;
}
