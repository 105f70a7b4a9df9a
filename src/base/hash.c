/* A fast hash of 64 bits, by which a change is noticed.  It is no protection against bytes that are
 * made to have the same hash. */
#include <string.h>

#include "base/base.h"

/* Odd constants of 64 random bits. */
#define FIRST  UINT64_C(0x9e6c63d0876a9a35)
#define SECOND UINT64_C(0xd1b54a32d192ed03)

uint64_t mdl_hash_word(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * FIRST;
    return hash ^ hash >> 29;
}

/* Four sums run side by side, since a multiplication waits for the one before it. */
uint64_t mdl_hash_bytes(uint64_t hash, const void *data, size_t size)
{
    const unsigned char *at = data;
    uint64_t lane[4] = {hash, hash + FIRST, hash + SECOND, ~hash}, word[4];
    hash = mdl_hash_word(hash, size);
    for (; size >= sizeof(word); at += sizeof(word), size -= sizeof(word)) {
        memcpy(word, at, sizeof(word));
        for (size_t i = 0; i < 4; i++)
            lane[i] = mdl_hash_word(lane[i], word[i]);
    }
    memset(word, 0, sizeof(word));
    if (size > 0)
        memcpy(word, at, size);
    for (size_t i = 0; i < 4; i++)
        hash = mdl_hash_word(hash, mdl_hash_word(lane[i], word[i]));
    return mdl_hash_word(hash, SECOND);
}
