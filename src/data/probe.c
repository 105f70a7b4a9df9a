/* What is known of image files without decoding them: their size in pixels, and a hash by which a
 * training that goes on notices other files. */
#include <string.h>

#include "data/internal.h"

/* The first bytes hold nearly every header; the hash takes fewer of them, and as many of the end,
 * where a PNG has its checksums and the last of a JPEG's coefficients depend on all before them. */
enum { HEADER = 1 << 16, HASHED = 1 << 12 };

/* Up to HEADER bytes of the beginning, up to HASHED of the end, and how large the file is. */
typedef struct ends {
    unsigned char start[HEADER], end[HASHED];
    size_t n_start, n_end;
    uint64_t size;
} ends;

static mdl_status read_ends(const char *path, ends *out)
{
    mdl__open_place place;
    mdl_status status = mdl__place_open(path, &place);
    out->size = place.size;
    out->n_start = (size_t)(place.size < HEADER ? place.size : HEADER);
    out->n_end = (size_t)(place.size < HASHED ? place.size : HASHED);
    if (status == MDL_OK)
        status = mdl__place_take(&place, path, 0, out->n_start, out->start);
    if (status == MDL_OK)
        status = mdl__place_take(&place, path, place.size - out->n_end, out->n_end, out->end);
    mdl__place_close(&place);
    return status;
}

static mdl_status find_size(const char *path, const ends *e, mdl__image_probe *probe)
{
    mdl_status status =
        mdl__image_header(path, e->start, e->n_start, &probe->height, &probe->width);
    if (status != MDL_FORMAT || e->size <= e->n_start)
        return status;
    return mdl__image_info(path, &probe->height, &probe->width); /* a long profile, perhaps */
}

mdl_status mdl__image_probe_read(const char *path, mdl__image_probe *probe)
{
    ends *e;
    *probe = (mdl__image_probe){0};
    MDL_TRY(MDL_NEW(1, "the ends of a file", &e));
    mdl_status status = read_ends(path, e);
    if (status == MDL_OK) {
        uint64_t hash = mdl_hash_word(MDL_HASH_START, e->size);
        hash = mdl_hash_bytes(hash, e->start, mdl_min_size(e->n_start, HASHED));
        probe->hash = mdl_hash_bytes(hash, e->end, e->n_end);
        status = find_size(path, e, probe);
    }
    mdl_free(e);
    return status;
}
