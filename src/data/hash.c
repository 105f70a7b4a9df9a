/* The hash by which a training that goes on notices other images. */
#include <string.h>

#include "data/internal.h"

static uint64_t add_set(uint64_t hash, const mdl_dataset *set)
{
    if (set == NULL)
        return mdl_hash_word(hash, 0);
    hash = mdl_hash_word(hash, set->height);
    hash = mdl_hash_word(hash, set->width);
    if (set->files != 0)
        hash = mdl_hash_word(hash, set->files);
    else
        hash = mdl_hash_bytes(hash, set->pixels,
                              set->count * set->height * set->width * set->channels);
    return mdl_hash_bytes(hash, set->labels, set->count * sizeof(*set->labels));
}

uint64_t mdl__data_hash(const mdl_data *data)
{
    uint64_t hash = add_set(add_set(MDL_HASH_START, data->train), data->test);
    if (data->validation != NULL)
        hash = add_set(hash, data->validation);
    for (size_t i = 0; data->class_names != NULL && i < data->classes; i++)
        hash = mdl_hash_bytes(hash, data->class_names[i], strlen(data->class_names[i]));
    return hash;
}
