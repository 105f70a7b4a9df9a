/* Image files: which format a file has, by its first bytes, and what all formats share.  No
 * resizing, and no turning: an orientation that EXIF data name is left alone. */
#include <string.h>

#include "data/image_internal.h"

enum { FILE_LIMIT = 1 << 28 }; /* bytes of an image file */

mdl_status mdl__image_check(const char *path, size_t height, size_t width,
                            const mdl__image_size *expected)
{
    if (height == 0 || width == 0 || height > MDL__MAX_SIDE || width > MDL__MAX_SIDE)
        return mdl_fail(MDL_FORMAT, "%s has %zux%zu pixels: 1x1 to %dx%d are read", path, height,
                        width, MDL__MAX_SIDE, MDL__MAX_SIDE);
    if (expected != NULL && (height != expected->height || width != expected->width))
        return mdl_fail(MDL_FORMAT, "%s has changed while it was read", path);
    return MDL_OK;
}

/* A file in memory, of which either reader takes a part or all. */
static mdl_status read_from(const char *path, const unsigned char *data, size_t bytes,
                            mdl__image_size *size, uint8_t *rgb)
{
    static const unsigned char png_magic[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    static const unsigned char jpeg_magic[3] = {0xff, 0xd8, 0xff};
    if (bytes >= sizeof(png_magic) && memcmp(data, png_magic, sizeof(png_magic)) == 0)
        return mdl__png_read(path, data, bytes, size, rgb);
    if (bytes >= sizeof(jpeg_magic) && memcmp(data, jpeg_magic, sizeof(jpeg_magic)) == 0)
        return mdl__jpeg_read(path, data, bytes, size, rgb);
    return mdl_fail(MDL_FORMAT, "%s is neither a JPEG nor a PNG file", path);
}

mdl_status mdl__image_header(const char *path, const unsigned char *data, size_t bytes,
                             size_t *height, size_t *width)
{
    mdl__image_size size = {0, 0};
    mdl_status status = read_from(path, data, bytes, &size, NULL);
    *height = size.height;
    *width = size.width;
    return status;
}

mdl_status mdl__image_info(const char *path, size_t *height, size_t *width)
{
    char *text;
    size_t bytes;
    MDL_TRY(mdl__place_read(path, FILE_LIMIT, &text, &bytes));
    mdl_status status = mdl__image_header(path, (const unsigned char *)text, bytes, height, width);
    mdl_free(text);
    return status;
}

mdl_status mdl__image_decode(const char *path, mdl__image *image)
{
    mdl__image_size size = {0, 0};
    char *text;
    size_t bytes;
    *image = (mdl__image){0};
    MDL_TRY(mdl__place_read(path, FILE_LIMIT, &text, &bytes));
    const unsigned char *data = (const unsigned char *)text;
    uint8_t *rgb = NULL;
    mdl_status status = read_from(path, data, bytes, &size, NULL);
    if (status == MDL_OK)
        status = MDL_NEW(size.height * size.width * 3, "image", &rgb);
    if (status == MDL_OK)
        status = read_from(path, data, bytes, &size, rgb);
    mdl_free(text);
    if (status == MDL_OK)
        *image = (mdl__image){size.height, size.width, rgb};
    else
        mdl_free(rgb);
    return status;
}
