/* A PNG file; its magic and the checksums of its chunks are put right, since no mutation would find
 * them.  Where the first byte is not PNG's, the rest is taken as it is. */
#include <string.h>
#include <zlib.h>

#include "fuzz.h"
#include "image_read.h"

static uint32_t word(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void correct(uint8_t *file, size_t size)
{
    for (size_t at = 8; at + 12 <= size;) {
        size_t length = word(file + at);
        if (length > size - at - 12)
            return;
        uLong sum = crc32(0, file + at + 4, (uInt)length + 4);
        for (size_t i = 0; i < 4; i++)
            file[at + 8 + length + i] = (uint8_t)(sum >> (24 - 8 * i));
        at += 12 + length;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t file[1 << 20];
    size = mdl_min_size(size, sizeof(file));
    if (size < 9)
        return 0;
    memcpy(file, data, size);
    if (file[0] == 0x89) {
        memcpy(file, "\x89PNG\r\n\x1a\n", 8);
        correct(file, size);
        image_read(file, size);
    } else
        image_read(file + 1, size - 1);
    return 0;
}
