/* Corrupted images for corruptions.py.  Standard input: images of 32x32x3 bytes; standard output:
 * for each kind, for each severity, all of them corrupted. */
#include <stdio.h>
#include <stdlib.h>

#include "data/data.h"

enum { SIDE = 32, VALUES = SIDE * SIDE * 3 };

static mdl_status write_all(mdl_corruptor *corruptor, const uint8_t *images, size_t count)
{
    static double pixels[VALUES];
    static uint8_t out[VALUES];
    for (size_t kind = 0; kind < MDL_CORRUPTIONS; kind++)
        for (size_t severity = 1; severity <= MDL_SEVERITIES; severity++)
            for (size_t n = 0; n < count; n++) {
                for (size_t i = 0; i < VALUES; i++)
                    pixels[i] = images[n * VALUES + i] / 255.0;
                MDL_TRY(mdl_corrupt(corruptor, kind, severity, 1, (uint32_t)n, pixels));
                for (size_t i = 0; i < VALUES; i++)
                    out[i] = (uint8_t)(255 * pixels[i] + 0.5);
                if (fwrite(out, 1, VALUES, stdout) != VALUES)
                    return mdl_fail(MDL_IO, "cannot write the standard output");
            }
    return MDL_OK;
}

int main(void)
{
    char *images;
    size_t size;
    mdl_corruptor *corruptor = NULL;
    mdl_status status = mdl_file_read("/dev/stdin", 0, &images, &size);
    if (status == MDL_OK)
        status = mdl_corruptor_create(SIDE, SIDE, 3, &corruptor);
    if (status == MDL_OK)
        status = write_all(corruptor, (const uint8_t *)images, size / VALUES);
    if (status != MDL_OK)
        fprintf(stderr, "%s\n", mdl_error_detail());
    mdl_corruptor_destroy(corruptor);
    mdl_free(images);
    return status == MDL_OK ? 0 : 1;
}
