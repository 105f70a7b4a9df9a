/* The sums of a tar archive's headers put right, so that mutations get behind them. */
#ifndef MDL_TESTS_TAR_SUMS_H
#define MDL_TESTS_TAR_SUMS_H

#include <stdio.h>
#include <string.h>

#include "base/base.h"

enum { TAR_BLOCK = 512 };

static inline size_t tar_octal(const uint8_t *text, size_t length)
{
    size_t value = 0;
    for (size_t i = 0; i < length && text[i] >= '0' && text[i] <= '7'; i++)
        value = 8 * value + (size_t)(text[i] - '0');
    return value;
}

/* The sum of a header's bytes, its own field taken as blanks. */
static inline void tar_correct(uint8_t *file, size_t size)
{
    for (size_t at = 0; at + TAR_BLOCK <= size;) {
        uint8_t *header = file + at;
        unsigned sum = 0;
        char text[8];
        memset(header + 148, ' ', 8);
        for (size_t i = 0; i < TAR_BLOCK; i++)
            sum += header[i];
        snprintf(text, sizeof(text), "%06o", sum & 0777777);
        memcpy(header + 148, text, 7);
        size_t content = tar_octal(header + 124, 12);
        if (content > size)
            return;
        at += TAR_BLOCK + mdl_round_up(content, TAR_BLOCK);
    }
}

#endif
