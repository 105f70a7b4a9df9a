/* JPEG files by libjpeg (or libjpeg-turbo) to 8-bit RGB, and a round trip through JPEG in memory.
 */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

#include "data/corrupt_internal.h"
#include "data/image_internal.h"

/* libjpeg hands out only `base`, so the rest stands behind it. */
typedef struct jpeg_failure {
    struct jpeg_error_mgr base; /* first: libjpeg's own part */
    jmp_buf back;               /* libjpeg must not return from an error */
    bool no_memory, stopped;
    char text[JMSG_LENGTH_MAX]; /* what libjpeg said */
} jpeg_failure;

static void jpeg_fail(j_common_ptr info)
{
    jpeg_failure *failure = (jpeg_failure *)info->err;
    failure->base.format_message(info, failure->text);
    failure->no_memory = info->err->msg_code == JERR_OUT_OF_MEMORY;
    longjmp(failure->back, 1);
}

/* Of the warnings, those are failures after which libjpeg invents the missing pixels. */
static void jpeg_message(j_common_ptr info, int level)
{
    int code = info->err->msg_code;
    if (level < 0 && (code == JWRN_JPEG_EOF || code == JWRN_HIT_MARKER ||
                      code == JWRN_HUFF_BAD_CODE || code == JWRN_ARITH_BAD_CODE))
        jpeg_fail(info);
}

/* Called for every row or so; a small progressive file can have thousands of scans, each a pass
 * over the whole image. */
static void jpeg_watch(j_common_ptr info)
{
    enum { MAX_SCANS = 1000 };
    jpeg_failure *failure = (jpeg_failure *)info->err;
    failure->stopped = mdl_stop_check() != MDL_OK;
    if (failure->stopped)
        longjmp(failure->back, 1);
    if (((j_decompress_ptr)info)->input_scan_number <= MAX_SCANS)
        return;
    snprintf(failure->text, sizeof(failure->text), "it has more than %d scans", MAX_SCANS);
    longjmp(failure->back, 1);
}

/* Four components, stored inverted as Adobe's programs do (and as Pillow takes all such files). */
static void cmyk_to_rgb(const JSAMPLE *cmyk, size_t width, uint8_t *rgb)
{
    for (size_t x = 0; x < width; x++, cmyk += 4)
        for (size_t c = 0; c < 3; c++) {
            unsigned light = cmyk[3], ink = 255U - cmyk[c];
            *rgb++ = (uint8_t)(light - (ink * light + 127) / 255);
        }
}

static void jpeg_pixels(struct jpeg_decompress_struct *info, uint8_t *rgb)
{
    bool cmyk = info->jpeg_color_space == JCS_CMYK || info->jpeg_color_space == JCS_YCCK;
    JSAMPROW inks = NULL;
    info->out_color_space = cmyk ? JCS_CMYK : JCS_RGB;
    jpeg_start_decompress(info);
    if (cmyk) /* libjpeg's own memory, which goes with the decompressor */
        inks =
            info->mem->alloc_large((j_common_ptr)info, JPOOL_IMAGE, (size_t)info->output_width * 4);
    while (info->output_scanline < info->output_height) {
        uint8_t *line = rgb + (size_t)info->output_scanline * info->output_width * 3;
        JSAMPROW row = cmyk ? inks : line;
        jpeg_read_scanlines(info, &row, 1);
        if (cmyk)
            cmyk_to_rgb(inks, info->output_width, line);
    }
    jpeg_finish_decompress(info);
}

/* No locals here outlive a longjmp: what is changed lies in *info, *size, *status and rgb. */
static void jpeg_decode(struct jpeg_decompress_struct *info, const char *path,
                        const unsigned char *data, size_t bytes, mdl__image_size *size,
                        uint8_t *rgb, mdl_status *status)
{
    jpeg_mem_src(info, data, (unsigned long)bytes);
    jpeg_read_header(info, TRUE);
    *status =
        mdl__image_check(path, info->image_height, info->image_width, rgb != NULL ? size : NULL);
    if (*status != MDL_OK)
        return;
    size->height = info->image_height;
    size->width = info->image_width;
    if (rgb != NULL)
        jpeg_pixels(info, rgb);
}

mdl_status mdl__jpeg_read(const char *path, const unsigned char *data, size_t bytes,
                          mdl__image_size *size, uint8_t *rgb)
{
    struct jpeg_decompress_struct info;
    struct jpeg_progress_mgr progress = {.progress_monitor = jpeg_watch};
    jpeg_failure failure = {.no_memory = false};
    mdl_status status = MDL_OK;
    memset(&info, 0, sizeof(info)); /* destroy is safe whenever the failure comes */
    info.err = jpeg_std_error(&failure.base);
    failure.base.error_exit = jpeg_fail;
    failure.base.emit_message = jpeg_message;
    if (setjmp(failure.back) != 0) {
        jpeg_destroy_decompress(&info);
        if (failure.stopped)
            return MDL_CANCELLED; /* with the detail of mdl_stop_check */
        return mdl_fail(failure.no_memory ? MDL_NO_MEMORY : MDL_FORMAT, "%s: %s", path,
                        failure.text);
    }
    jpeg_create_decompress(&info);
    info.progress = &progress;
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
    jpeg_failure failure = {.no_memory = false};
    memset(&out, 0, sizeof(out));
    memset(&in, 0, sizeof(in));
    out.err = in.err = jpeg_std_error(&failure.base);
    failure.base.error_exit = jpeg_fail;
    failure.base.emit_message = jpeg_message;
    if (setjmp(failure.back) != 0) {
        jpeg_destroy_compress(&out);
        jpeg_destroy_decompress(&in);
        return mdl_fail(failure.no_memory ? MDL_NO_MEMORY : MDL_INVALID,
                        "JPEG of %zux%zu pixels: %s", height, width, failure.text);
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
