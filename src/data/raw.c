/* Images that stay in arrays in files, one behind the other as in memory, and are read whenever
 * they are used. */
#include "data/internal.h"

mdl_status mdl__raw_create(size_t n, mdl__raw **out)
{
    *out = NULL;
    MDL_TRY(MDL_NEW(1, "arrays in files", out));
    mdl_status status = MDL_NEW(n, "arrays in files", &(*out)->arrays);
    if (status == MDL_OK)
        return MDL_OK;
    mdl_free(*out);
    *out = NULL;
    return status;
}

void mdl__raw_destroy(mdl__raw *raw)
{
    if (raw == NULL)
        return;
    for (size_t i = 0; i < raw->n; i++) {
        mdl__place_close(&raw->arrays[i].place);
        mdl_free(raw->arrays[i].path);
    }
    mdl_free(raw->arrays);
    mdl_free(raw);
}

/* The hash is of the beginning, the end and the size: the rest is read only when it is used. */
mdl_status mdl__raw_add(mdl_dataset *set, const char *path, size_t first, size_t start,
                        size_t bytes)
{
    enum { HASHED = 1 << 12 };
    unsigned char ends[2][HASHED];
    size_t hashed = mdl_min_size(bytes, HASHED);
    mdl__raw_array *array = &set->raw->arrays[set->raw->n];
    MDL_TRY(mdl_strdup(path, &array->path));
    mdl_status status = mdl__place_open(path, &array->place);
    set->raw->n++; /* it is closed with the others, also after a failure */
    MDL_TRY(status);
    if (array->place.size < start || array->place.size - start != bytes)
        return mdl_fail(MDL_FORMAT, "%s has %llu bytes, not the %zu that its header announces",
                        path, (unsigned long long)array->place.size, start + bytes);
    array->first = first;
    array->place.offset += start;
    array->place.size = bytes;
    MDL_TRY(mdl__place_take(&array->place, path, 0, hashed, ends[0]));
    MDL_TRY(mdl__place_take(&array->place, path, bytes - hashed, hashed, ends[1]));
    set->files = mdl_hash_word(set->files != 0 ? set->files : MDL_HASH_START, bytes);
    set->files = mdl_hash_bytes(set->files, ends[0], hashed);
    set->files = mdl_hash_bytes(set->files, ends[1], hashed);
    return MDL_OK;
}

mdl_status mdl__raw_pixels(const mdl_dataset *set, size_t image, uint8_t *out)
{
    size_t bytes = set->height * set->width * set->channels, i = set->raw->n - 1;
    while (set->raw->arrays[i].first > image)
        i--;
    const mdl__raw_array *array = &set->raw->arrays[i];
    return mdl__place_take(&array->place, array->path, (uint64_t)(image - array->first) * bytes,
                           bytes, out);
}
