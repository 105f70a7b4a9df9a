/* JPEG files by libjpeg (or libjpeg-turbo) and PNG files by libpng, to 8-bit RGB.  No resizing. */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>
#include <png.h>

#include "data/corrupt_internal.h"

enum { FILE_LIMIT = 1 << 28 }; /* bytes of an image file */

typedef struct image_size {
    size_t height, width;
} image_size;

static mdl_status check_size(const char *path, size_t height, size_t width,
                             const image_size *expected)
{
    if (height == 0 || width == 0 || height > MDL__MAX_SIDE || width > MDL__MAX_SIDE)
        return mdl_fail(MDL_FORMAT, "%s has %zux%zu pixels: expected 1x1 to %dx%d", path, height,
                        width, MDL__MAX_SIDE, MDL__MAX_SIDE);
    if (expected != NULL && (height != expected->height || width != expected->width))
        return mdl_fail(MDL_FORMAT, "%s has changed while it was read", path);
    return MDL_OK;
}

/* ---- JPEG ----------------------------------------------------------------------------------- */

/* libjpeg hands out only `base`, so the rest stands behind it. */
typedef struct jpeg_failure {
    struct jpeg_error_mgr base; /* first: libjpeg's own part */
    jmp_buf back;               /* libjpeg must not return from an error */
    char text[JMSG_LENGTH_MAX]; /* what libjpeg said */
} jpeg_failure;

static void jpeg_fail(j_common_ptr info)
{
    jpeg_failure *failure = (jpeg_failure *)info->err;
    failure->base.format_message(info, failure->text);
    longjmp(failure->back, 1);
}

/* Of the warnings, those are failures after which libjpeg would invent the missing pixels. */
static void jpeg_message(j_common_ptr info, int level)
{
    int code = info->err->msg_code;
    if (level < 0 && (code == JWRN_JPEG_EOF || code == JWRN_HIT_MARKER))
        jpeg_fail(info);
}

/* No locals here outlive a longjmp: what is changed lies in *info, *size, *status and rgb. */
static void jpeg_decode(struct jpeg_decompress_struct *info, const char *path,
                        const unsigned char *data, size_t bytes, image_size *size, uint8_t *rgb,
                        mdl_status *status)
{
    jpeg_mem_src(info, data, (unsigned long)bytes);
    jpeg_read_header(info, TRUE);
    *status = check_size(path, info->image_height, info->image_width, rgb != NULL ? size : NULL);
    if (*status != MDL_OK)
        return;
    size->height = info->image_height;
    size->width = info->image_width;
    if (rgb == NULL)
        return;
    info->out_color_space = JCS_RGB;
    jpeg_start_decompress(info);
    while (info->output_scanline < info->output_height) {
        JSAMPROW row = rgb + (size_t)info->output_scanline * info->output_width * 3;
        jpeg_read_scanlines(info, &row, 1);
    }
    jpeg_finish_decompress(info);
}

/* rgb NULL: only the size; else the image must have this size. */
static mdl_status read_jpeg(const char *path, const unsigned char *data, size_t bytes,
                            image_size *size, uint8_t *rgb)
{
    struct jpeg_decompress_struct info;
    jpeg_failure failure;
    mdl_status status = MDL_OK;
    memset(&info, 0, sizeof(info)); /* destroy is safe whenever the failure comes */
    info.err = jpeg_std_error(&failure.base);
    failure.base.error_exit = jpeg_fail;
    failure.base.emit_message = jpeg_message;
    if (setjmp(failure.back) != 0) {
        jpeg_destroy_decompress(&info);
        return mdl_fail(MDL_FORMAT, "%s: %s", path, failure.text);
    }
    jpeg_create_decompress(&info);
    jpeg_decode(&info, path, data, bytes, size, rgb, &status);
    jpeg_destroy_decompress(&info);
    return status;
}

/* As in reading: what is changed outlives a longjmp in *memory and *bytes. */
static void jpeg_encode(struct jpeg_compress_struct *info, const uint8_t *pixels, size_t height,
                        size_t width, size_t channels, int quality, unsigned char **memory,
                        unsigned long *bytes)
{
    jpeg_mem_dest(info, memory, bytes);
    info->image_height = (JDIMENSION)height;
    info->image_width = (JDIMENSION)width;
    info->input_components = (int)channels;
    info->in_color_space = channels == 3 ? JCS_RGB : JCS_GRAYSCALE;
    jpeg_set_defaults(info);
    jpeg_set_quality(info, quality, TRUE);
    jpeg_start_compress(info, TRUE);
    while (info->next_scanline < info->image_height) {
        JSAMPROW row = (JSAMPROW)(uintptr_t)(pixels + info->next_scanline * width * channels);
        jpeg_write_scanlines(info, &row, 1);
    }
    jpeg_finish_compress(info);
}

/* *memory is libjpeg's own allocation, which the caller frees. */
static mdl_status jpeg_there_and_back(uint8_t *pixels, size_t height, size_t width, size_t channels,
                                      int quality, unsigned char **memory, unsigned long *bytes)
{
    struct jpeg_compress_struct out;
    struct jpeg_decompress_struct in;
    jpeg_failure failure;
    memset(&out, 0, sizeof(out));
    memset(&in, 0, sizeof(in));
    out.err = in.err = jpeg_std_error(&failure.base);
    failure.base.error_exit = jpeg_fail;
    failure.base.emit_message = jpeg_message;
    if (setjmp(failure.back) != 0) {
        jpeg_destroy_compress(&out);
        jpeg_destroy_decompress(&in);
        return mdl_fail(MDL_INVALID, "JPEG of %zux%zu pixels: %s", height, width, failure.text);
    }
    jpeg_create_compress(&out);
    jpeg_encode(&out, pixels, height, width, channels, quality, memory, bytes);
    jpeg_destroy_compress(&out);
    jpeg_create_decompress(&in);
    jpeg_mem_src(&in, *memory, *bytes);
    jpeg_read_header(&in, TRUE);
    in.out_color_space = channels == 3 ? JCS_RGB : JCS_GRAYSCALE;
    jpeg_start_decompress(&in);
    while (in.output_scanline < in.output_height) {
        JSAMPROW row = pixels + in.output_scanline * width * channels;
        jpeg_read_scanlines(&in, &row, 1);
    }
    jpeg_finish_decompress(&in);
    jpeg_destroy_decompress(&in);
    return MDL_OK;
}

mdl_status mdl__jpeg_round_trip(uint8_t *pixels, size_t height, size_t width, size_t channels,
                                int quality)
{
    unsigned char *memory = NULL;
    unsigned long bytes = 0;
    mdl_status status =
        jpeg_there_and_back(pixels, height, width, channels, quality, &memory, &bytes);
    free(memory);
    return status;
}

/* ---- PNG ------------------------------------------------------------------------------------ */

static mdl_status read_png(const char *path, const unsigned char *data, size_t bytes,
                           image_size *size, uint8_t *rgb)
{
    png_image image;
    memset(&image, 0, sizeof(image));
    image.version = PNG_IMAGE_VERSION;
    if (png_image_begin_read_from_memory(&image, data, bytes) == 0)
        return mdl_fail(MDL_FORMAT, "%s: %s", path, image.message);
    mdl_status status = check_size(path, image.height, image.width, rgb != NULL ? size : NULL);
    if (status == MDL_OK) {
        size->height = image.height;
        size->width = image.width;
    }
    if (status == MDL_OK && rgb != NULL) {
        static const png_color black = {0, 0, 0};
        image.format = PNG_FORMAT_RGB;
        if (png_image_finish_read(&image, &black, rgb, 0, NULL) == 0)
            status = mdl_fail(MDL_FORMAT, "%s: %s", path, image.message);
    }
    png_image_free(&image);
    return status;
}

/* ---- both ------------------------------------------------------------------------------------ */

static mdl_status read_image(const char *path, image_size *size, uint8_t *rgb)
{
    static const unsigned char png_magic[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    static const unsigned char jpeg_magic[3] = {0xff, 0xd8, 0xff};
    char *text;
    size_t bytes;
    MDL_TRY(mdl_file_read(path, FILE_LIMIT, &text, &bytes));
    const unsigned char *data = (const unsigned char *)text;
    mdl_status status;
    if (bytes >= sizeof(png_magic) && memcmp(data, png_magic, sizeof(png_magic)) == 0)
        status = read_png(path, data, bytes, size, rgb);
    else if (bytes >= sizeof(jpeg_magic) && memcmp(data, jpeg_magic, sizeof(jpeg_magic)) == 0)
        status = read_jpeg(path, data, bytes, size, rgb);
    else
        status = mdl_fail(MDL_FORMAT, "%s is neither a JPEG nor a PNG file", path);
    mdl_free(text);
    return status;
}

mdl_status mdl__image_info(const char *path, size_t *height, size_t *width)
{
    image_size size = {0, 0};
    MDL_TRY(read_image(path, &size, NULL));
    *height = size.height;
    *width = size.width;
    return MDL_OK;
}

mdl_status mdl__image_read(const char *path, size_t height, size_t width, uint8_t *rgb)
{
    image_size size = {height, width};
    return read_image(path, &size, rgb);
}
