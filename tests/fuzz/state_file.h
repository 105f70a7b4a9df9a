/* resume.state files for the targets that read them: the digest is computed here, since no mutation
 * would find it. */
#ifndef MDL_TESTS_FUZZ_STATE_FILE_H
#define MDL_TESTS_FUZZ_STATE_FILE_H

#include <openssl/evp.h>
#include <string.h>

#include "fuzz.h"

enum { STATE_ROOM = 1 << 22 };

typedef struct state_bytes {
    uint8_t data[STATE_ROOM];
    size_t size;
} state_bytes;

static inline void state_add(state_bytes *to, const void *data, size_t size)
{
    size = mdl_min_size(size, STATE_ROOM - 64 - to->size);
    if (size > 0)
        memcpy(to->data + to->size, data, size);
    to->size += size;
}

static inline void state_begin(state_bytes *to)
{
    to->size = 0;
    state_add(to, "MDLSTAT1", 8);
}

/* Close it with its digest. */
static inline void state_end(state_bytes *to)
{
    static const uint32_t end;
    unsigned char digest[EVP_MAX_MD_SIZE];
    state_add(to, &end, sizeof(end));
    fuzz_must(EVP_Digest(to->data, to->size, digest, NULL, EVP_sha256(), NULL) == 1, "sha256");
    memcpy(to->data + to->size, digest, 32);
    to->size += 32;
}

/* The block at the front of a list of blocks: its size with its heading, 0 where there is none that
 * is whole. */
static inline size_t state_block_size(const uint8_t *data, size_t size, char name[256])
{
    uint32_t length = 0;
    uint64_t bytes = 0;
    if (size < 12)
        return 0;
    memcpy(&length, data, sizeof(length));
    memcpy(&bytes, data + 4, sizeof(bytes));
    if (length == 0 || length > 255 || length > size - 12 || bytes > size - 12 - length)
        return 0;
    memcpy(name, data + 12, length);
    name[length] = '\0';
    return 12 + length + (size_t)bytes;
}

/* Add those blocks of `base` (a whole file's bytes) that `own` does not have, then `own` itself. */
static inline void state_overlay(state_bytes *to, const uint8_t *base, size_t base_size,
                                 const uint8_t *own, size_t own_size)
{
    char name[256], other[256];
    size_t step;
    for (size_t at = 8; (step = state_block_size(base + at, base_size - at, name)) > 0;
         at += step) {
        bool given = false;
        size_t skip;
        for (size_t i = 0; (skip = state_block_size(own + i, own_size - i, other)) > 0; i += skip)
            given = given || strcmp(name, other) == 0;
        if (!given)
            state_add(to, base + at, step);
    }
    state_add(to, own, own_size);
}

#endif
