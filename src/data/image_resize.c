/* An image file in another size: linear in both directions, over as many pixels as one covers. */
#include <math.h>

#include "data/internal.h"

enum { RGB = 3 };

static void shrink_or_enlarge(const uint8_t *in, size_t in_width, const mdl__taps *rows,
                              const mdl__taps *columns, uint8_t *out)
{
    for (size_t y = 0; y < rows->out; y++)
        for (size_t x = 0; x < columns->out; x++) {
            double sum[RGB] = {0.0};
            for (size_t r = 0; r < rows->taps; r++) {
                const uint8_t *pixel =
                    in + ((rows->first[y] + r) * in_width + columns->first[x]) * RGB;
                for (size_t t = 0; t < columns->taps; t++, pixel += RGB) {
                    double weight =
                        rows->weight[y * rows->taps + r] * columns->weight[x * columns->taps + t];
                    for (size_t c = 0; c < RGB; c++)
                        sum[c] += weight * pixel[c];
                }
            }
            for (size_t c = 0; c < RGB; c++)
                *out++ = (uint8_t)fmin(sum[c] + 0.5, 255.0);
        }
}

static mdl_status read_resized(const char *path, size_t side_y, size_t side_x, uint8_t *out)
{
    size_t height, width;
    uint8_t *pixels = NULL;
    mdl__taps rows = {0}, columns = {0};
    MDL_TRY(mdl__image_info(path, &height, &width));
    if (height == side_y && width == side_x)
        return mdl__image_read(path, height, width, out);
    mdl_status status = MDL_NEW(height * width * RGB, "image", &pixels);
    if (status == MDL_OK)
        status = mdl__image_read(path, height, width, pixels);
    if (status == MDL_OK)
        status = mdl__taps_init(height, side_y, &rows);
    if (status == MDL_OK)
        status = mdl__taps_init(width, side_x, &columns);
    if (status == MDL_OK)
        shrink_or_enlarge(pixels, width, &rows, &columns, out);
    mdl__taps_deinit(&rows);
    mdl__taps_deinit(&columns);
    mdl_free(pixels);
    return status;
}

mdl_status mdl__image_read_resized(const char *path, size_t side, uint8_t *rgb)
{
    return read_resized(path, side, side, rgb);
}

mdl_status mdl_image_read(const char *path, size_t height, size_t width, size_t channels,
                          uint8_t *out)
{
    uint8_t *rgb = out;
    if (channels != 1 && channels != RGB)
        return mdl_fail(MDL_UNSUPPORTED, "an image file cannot become %zu channels", channels);
    if (channels == 1)
        MDL_TRY(MDL_NEW(height * width * RGB, "image", &rgb));
    mdl_status status = read_resized(path, height, width, rgb);
    if (channels == RGB)
        return status;
    /* ITU-R BT.601's weights of red, green and blue, of 65536. */
    for (size_t i = 0; status == MDL_OK && i < height * width; i++)
        out[i] = (uint8_t)((19595u * rgb[RGB * i] + 38470u * rgb[RGB * i + 1] +
                            7471u * rgb[RGB * i + 2] + 32768u) >>
                           16);
    mdl_free(rgb);
    return status;
}
