/* PNG files by libpng to 8-bit RGB, as Pillow's convert("RGB") has them: stored values, whatever
 * gAMA, sRGB, iCCP or cHRM say of them; of 16 bits the upper 8; alpha and tRNS are dropped, and
 * what is below them stays as it is stored.  (libpng's simplified interface converts: it takes 16
 * bits without gAMA for linear light.) */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>

#include "data/image_internal.h"

typedef struct png_job {
    const char *path;          /* for messages */
    const unsigned char *data; /* the file */
    size_t bytes, at;          /* how much there is, and how much is read */
    mdl__image_size *size;
    uint8_t *rgb; /* NULL: only the size is wanted */
    mdl_status status;
    bool no_memory, stopped;
    char text[200]; /* what libpng said */
    jmp_buf back;   /* libpng must not return from an error */
} png_job;

static void png_fail(png_structp png, png_const_charp text)
{
    png_job *job = png_get_error_ptr(png);
    snprintf(job->text, sizeof(job->text), "%s", text);
    longjmp(job->back, 1);
}

/* Warnings are about parts of the file that are not read. */
static void png_message(png_structp png, png_const_charp text)
{
    (void)png;
    (void)text;
}

static png_voidp png_take(png_structp png, png_alloc_size_t size)
{
    png_job *job = png_get_mem_ptr(png);
    void *memory = malloc(size);
    job->no_memory = job->no_memory || memory == NULL;
    return memory;
}

static void png_give(png_structp png, png_voidp memory)
{
    (void)png;
    free(memory);
}

static void png_bytes(png_structp png, png_bytep out, size_t size)
{
    png_job *job = png_get_io_ptr(png);
    if (size > job->bytes - job->at)
        png_error(png, "the file ends early");
    memcpy(out, job->data + job->at, size);
    job->at += size;
}

static void png_pixels(png_structp png, png_infop info, png_job *job)
{
    png_set_strip_16(png);
    png_set_palette_to_rgb(png);
    png_set_expand_gray_1_2_4_to_8(png);
    png_set_gray_to_rgb(png);
    png_set_strip_alpha(png);
    int passes = png_set_interlace_handling(png);
    png_read_update_info(png, info);
    size_t row = job->size->width * 3;
    if (png_get_rowbytes(png, info) != row)
        png_error(png, "its pixels cannot become RGB");
    for (int pass = 0; pass < passes; pass++)
        for (size_t y = 0; y < job->size->height; y++) {
            job->stopped = mdl_stop_check() != MDL_OK;
            if (job->stopped)
                png_error(png, "interrupted");
            png_read_row(png, job->rgb + y * row, NULL);
        }
    png_read_end(png, NULL);
}

/* No locals here outlive a longjmp: what is changed lies in *job. */
static void png_decode(png_structp png, png_infop info, png_job *job)
{
    png_set_read_fn(png, job, png_bytes);
#ifdef PNG_SET_UNKNOWN_CHUNKS_SUPPORTED
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, -1); /* all that can be left */
#endif
    png_read_info(png, info);
    size_t height = png_get_image_height(png, info), width = png_get_image_width(png, info);
    job->status = mdl__image_check(job->path, height, width, job->rgb != NULL ? job->size : NULL);
    if (job->status != MDL_OK)
        return;
    *job->size = (mdl__image_size){height, width};
    if (job->rgb != NULL)
        png_pixels(png, info, job);
}

static mdl_status png_run(png_job *job, png_structp *png, png_infop *info)
{
    if (setjmp(job->back) != 0)
        return job->stopped ? MDL_CANCELLED
                            : mdl_fail(job->no_memory ? MDL_NO_MEMORY : MDL_FORMAT, "%s: %s",
                                       job->path, job->text);
    *png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, job, png_fail, png_message, job,
                                    png_take, png_give);
    if (*png != NULL)
        *info = png_create_info_struct(*png);
    if (*info == NULL)
        return mdl_fail(MDL_NO_MEMORY, "%s: libpng cannot start: out of memory", job->path);
    png_decode(*png, *info, job);
    return job->status;
}

mdl_status mdl__png_read(const char *path, const unsigned char *data, size_t bytes,
                         mdl__image_size *size, uint8_t *rgb)
{
    png_job job = {.path = path, .data = data, .bytes = bytes, .size = size, .rgb = rgb};
    png_structp png = NULL;
    png_infop info = NULL;
    mdl_status status = png_run(&job, &png, &info);
    png_destroy_read_struct(&png, &info, NULL); /* NULL is allowed */
    return status;
}
