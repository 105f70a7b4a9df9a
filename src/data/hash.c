/* A fast hash by which a training that goes on notices other images.  It is no protection against
 * images made to have the same hash. */
#include <string.h>

#include "data/internal.h"

/* Odd constants of 64 random bits. */
#define FIRST  UINT64_C(0x9e6c63d0876a9a35)
#define SECOND UINT64_C(0xd1b54a32d192ed03)

static uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * FIRST;
    return hash ^ hash >> 29;
}

/* Four sums run side by side, since a multiplication waits for the one before it. */
static uint64_t add_bytes(uint64_t hash, const void *data, size_t size)
{
    const unsigned char *at = data;
    uint64_t lane[4] = {hash, hash + FIRST, hash + SECOND, ~hash}, word[4];
    hash = mix(hash, size);
    for (; size >= sizeof(word); at += sizeof(word), size -= sizeof(word)) {
        memcpy(word, at, sizeof(word));
        for (size_t i = 0; i < 4; i++)
            lane[i] = mix(lane[i], word[i]);
    }
    memset(word, 0, sizeof(word));
    if (size > 0)
        memcpy(word, at, size);
    for (size_t i = 0; i < 4; i++)
        hash = mix(hash, mix(lane[i], word[i]));
    return mix(hash, SECOND);
}

static uint64_t add_set(uint64_t hash, const mdl_dataset *set)
{
    if (set == NULL)
        return mix(hash, 0);
    hash = mix(hash, set->height);
    hash = mix(hash, set->width);
    hash = add_bytes(hash, set->pixels, set->count * set->height * set->width * set->channels);
    return add_bytes(hash, set->labels, set->count * sizeof(*set->labels));
}

uint64_t mdl__data_hash(const mdl_data *data)
{
    uint64_t hash = add_set(add_set(SECOND, data->train), data->test);
    if (data->validation != NULL)
        hash = add_set(hash, data->validation);
    for (size_t i = 0; data->class_names != NULL && i < data->classes; i++)
        hash = add_bytes(hash, data->class_names[i], strlen(data->class_names[i]));
    return hash;
}
