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

static mdl_status read_image(const char *path, mdl__image_size *size, uint8_t *rgb)
{
    static const unsigned char png_magic[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    static const unsigned char jpeg_magic[3] = {0xff, 0xd8, 0xff};
    char *text;
    size_t bytes;
    MDL_TRY(mdl_file_read(path, FILE_LIMIT, &text, &bytes));
    const unsigned char *data = (const unsigned char *)text;
    mdl_status status;
    if (bytes >= sizeof(png_magic) && memcmp(data, png_magic, sizeof(png_magic)) == 0)
        status = mdl__png_read(path, data, bytes, size, rgb);
    else if (bytes >= sizeof(jpeg_magic) && memcmp(data, jpeg_magic, sizeof(jpeg_magic)) == 0)
        status = mdl__jpeg_read(path, data, bytes, size, rgb);
    else
        status = mdl_fail(MDL_FORMAT, "%s is neither a JPEG nor a PNG file", path);
    mdl_free(text);
    return status;
}

mdl_status mdl__image_info(const char *path, size_t *height, size_t *width)
{
    mdl__image_size size = {0, 0};
    MDL_TRY(read_image(path, &size, NULL));
    *height = size.height;
    *width = size.width;
    return MDL_OK;
}

mdl_status mdl__image_read(const char *path, size_t height, size_t width, uint8_t *rgb)
{
    mdl__image_size size = {height, width};
    return read_image(path, &size, rgb);
}
