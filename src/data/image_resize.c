/* An image file in the form that a model takes. */
#include <string.h>

#include "data/internal.h"

enum { RGB = 3 };

/* ITU-R BT.601's weights of red, green and blue, of 65536. */
static void brightness(const uint8_t *rgb, size_t pixels, uint8_t *out)
{
    for (size_t i = 0; i < pixels; i++)
        out[i] = (uint8_t)((19595u * rgb[RGB * i] + 38470u * rgb[RGB * i + 1] +
                            7471u * rgb[RGB * i + 2] + 32768u) >>
                           16);
}

static mdl_status fit(const mdl_image_form *form, const mdl__image *image, uint8_t *rgb)
{
    mdl__axis axis[2];
    mdl__fit(form, image->height, image->width, axis);
    if (!mdl__axis_is_plain(&axis[0]) || !mdl__axis_is_plain(&axis[1]))
        return mdl__resample(image->rgb, image->width, RGB, &axis[0], &axis[1], rgb);
    memcpy(rgb, image->rgb, image->height * image->width * RGB);
    return MDL_OK;
}

mdl_status mdl__image_bring(const mdl__image *image, const mdl_image_form *form, uint8_t *out)
{
    uint8_t *rgb = out;
    if (form->channels != 1 && form->channels != RGB)
        return mdl_fail(MDL_UNSUPPORTED, "an image file cannot become %zu channels",
                        form->channels);
    if (form->channels == 1)
        MDL_TRY(MDL_NEW(form->height * form->width * RGB, "image", &rgb));
    mdl_status status = fit(form, image, rgb);
    if (status == MDL_OK && form->channels == 1)
        brightness(rgb, form->height * form->width, out);
    if (rgb != out)
        mdl_free(rgb);
    return status;
}

mdl_status mdl_image_read(const char *path, const mdl_image_form *form, uint8_t *out)
{
    mdl__image image;
    MDL_TRY(mdl__image_decode(path, &image));
    mdl_status status = mdl__image_bring(&image, form, out);
    mdl_free(image.rgb);
    return status;
}
