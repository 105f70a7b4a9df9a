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
    uint8_t *rgb = NULL;
    if (!fuzz_worked(mdl__image_info(path, &height, &width)))
        return;
    fuzz_must(height >= 1 && height <= MDL__MAX_SIDE && width >= 1 && width <= MDL__MAX_SIDE,
              "an image has a size");
    if (height * width > PIXELS_MAX)
        return;
    FUZZ_MUST(MDL_NEW(height * width * 3, "image", &rgb));
    (void)fuzz_worked(mdl__image_read(path, height, width, rgb));
    mdl_free(rgb);
}

#endif
