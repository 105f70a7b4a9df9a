/* Private to the readers of image files: what the two formats share. */
#ifndef MDL_IMAGE_INTERNAL_H
#define MDL_IMAGE_INTERNAL_H

#include "data/internal.h"

typedef struct mdl__image_size {
    size_t height, width;
} mdl__image_size;

/* Refuses what is larger than an image may be and, where `expected` is given, has another size. */
mdl_status mdl__image_check(const char *path, size_t height, size_t width,
                            const mdl__image_size *expected) MDL_MUST_CHECK;

/* Decode a file in memory to [height, width, 3].  rgb NULL: only its size, which goes to *size;
 * else the image must have this size.  path is for messages. */
mdl_status mdl__jpeg_read(const char *path, const unsigned char *data, size_t bytes,
                          mdl__image_size *size, uint8_t *rgb) MDL_MUST_CHECK;
mdl_status mdl__png_read(const char *path, const unsigned char *data, size_t bytes,
                         mdl__image_size *size, uint8_t *rgb) MDL_MUST_CHECK;

#endif
