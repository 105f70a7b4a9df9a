/* A JPEG file; its first three bytes are put right. */
#include <string.h>

#include "fuzz.h"
#include "image_read.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t file[1 << 20];
    size = mdl_min_size(size, sizeof(file));
    if (size < 3)
        return 0;
    memcpy(file, data, size);
    memcpy(file, "\xff\xd8\xff", 3);
    image_read(file, size);
    return 0;
}
