/* Reading one image file, for the targets of PNG and JPEG. */
#ifndef MDL_TESTS_FUZZ_IMAGE_READ_H
#define MDL_TESTS_FUZZ_IMAGE_READ_H

#include "data/internal.h"
#include "fuzz.h"

enum { PIXELS_MAX = 1 << 18 }; /* larger images cost time and show nothing else */

static inline void image_read(const uint8_t *data, size_t size)
{
    const char *path = fuzz_file("image", data, size);
    size_t height, width;
    if (!fuzz_worked(mdl__image_info(path, &height, &width)))
        return;
    fuzz_must(height >= 1 && height <= MDL__MAX_SIDE && width >= 1 && width <= MDL__MAX_SIDE,
              "an image has a size");
    mdl__image image;
    if (height * width > PIXELS_MAX || !fuzz_worked(mdl__image_decode(path, &image)))
        return;
    fuzz_must(image.height == height && image.width == width, "its pixels have that size");
    mdl_free(image.rgb);
}

#endif
