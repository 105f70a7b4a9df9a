/* The values of a NumPy array as images or labels, and what an array must be like for that. */
#include <string.h>

#include "data/npy.h"

enum {
    PIECE = 1 << 16, /* bytes read at a time */
    MAX_CLASSES = 100000
};

/* ---- what it may be ------------------------------------------------------------------------- */

static const char *shape_text(const mdl__npy *npy, char text[128])
{
    size_t used = (size_t)snprintf(text, 128, "[");
    for (size_t i = 0; i < npy->rank; i++)
        used += (size_t)snprintf(text + used, 128 - used, "%s%zu", i > 0 ? "," : "", npy->shape[i]);
    snprintf(text + used, 128 - used, "]");
    return text;
}

/* The type as NumPy calls it: uint8, float32, ... */
static const char *type_text(const mdl__npy *npy, char text[32])
{
    static const struct {
        char kind;
        const char *name;
    } names[] = {{'i', "int"}, {'u', "uint"}, {'f', "float"}, {'c', "complex"}};
    for (size_t i = 0; i < MDL_COUNT(names); i++)
        if (names[i].kind == npy->kind && npy->item <= 32) {
            snprintf(text, 32, "%s%zu", names[i].name, 8 * npy->item);
            return text;
        }
    snprintf(text, 32, "%s", npy->kind == 'b' ? "bool" : npy->kind == 'U' ? "text" : "this type");
    return text;
}

mdl_status mdl__npy_check_images(const mdl__npy *npy, const char *name)
{
    char shape[128], type[32];
    const size_t *s = npy->shape;
    if (npy->kind == 'f')
        return mdl_fail(
            MDL_UNSUPPORTED,
            "%s holds images of %s: bytes are expected (for values of 0 to 1: "
            "(255 * x).round().astype('uint8'); of 0 to 255: x.round().astype('uint8'))",
            name, type_text(npy, type));
    if (npy->kind != 'u' || npy->item != 1)
        return mdl_fail(MDL_UNSUPPORTED,
                        "%s holds images of %s: bytes of 0 to 255 are expected "
                        "(x.astype('uint8'))",
                        name, type_text(npy, type));
    if (npy->rank == 4 && s[3] != 1 && s[3] != 3 && (s[1] == 1 || s[1] == 3))
        return mdl_fail(MDL_FORMAT,
                        "%s has the shape %s: channels come first, they are expected last "
                        "(x.transpose(0, 2, 3, 1))",
                        name, shape_text(npy, shape));
    if (npy->rank == 3 || (npy->rank == 4 && (s[3] == 1 || s[3] == 3)))
        return MDL_OK;
    return mdl_fail(MDL_FORMAT,
                    "%s has the shape %s: [images,height,width], [images,height,width,1] or "
                    "[images,height,width,3] is expected",
                    name, shape_text(npy, shape));
}

mdl_status mdl__npy_check_labels(const mdl__npy *npy, const char *name)
{
    char shape[128], type[32];
    bool integers = npy->kind == 'b' || npy->kind == 'i' || npy->kind == 'u';
    if (!integers || (npy->item != 1 && npy->item != 2 && npy->item != 4 && npy->item != 8))
        return mdl_fail(MDL_UNSUPPORTED,
                        "%s holds labels of %s: integers are expected, from 0 on (for one-hot "
                        "rows: y.argmax(1); for numbers: y.astype('int64'); for names: "
                        "numpy.unique(y, return_inverse=True)[1])",
                        name, type_text(npy, type));
    if (npy->rank == 1 || (npy->rank == 2 && npy->shape[1] == 1))
        return MDL_OK;
    return mdl_fail(MDL_UNSUPPORTED,
                    "%s has the shape %s: one label an image is expected, [images] or [images,1] "
                    "(several labels an image are not for this program; for one-hot rows: "
                    "y.argmax(1))",
                    name, shape_text(npy, shape));
}

/* ---- values --------------------------------------------------------------------------------- */

static mdl_status expect_end(const mdl__bytes *in)
{
    uint8_t more;
    size_t got;
    MDL_TRY(in->read(in->user, &more, 1, &got));
    return got == 0 ? MDL_OK
                    : mdl_fail(MDL_FORMAT,
                               "%s: there are bytes after the values that its header "
                               "announces",
                               in->name);
}

/* The last index runs fastest, as in memory: an image after the other. */
static mdl_status read_rows(const mdl__bytes *in, size_t images, size_t bytes,
                            const uint32_t *place, uint8_t *out)
{
    uint8_t dropped[PIECE];
    for (size_t i = 0; i < images; i++) {
        bool kept = place == NULL || place[i] != UINT32_MAX;
        uint8_t *to = kept ? out + (place == NULL ? i : place[i]) * bytes : NULL;
        for (size_t done = 0; done < bytes;) {
            size_t piece = mdl_min_size(bytes - done, PIECE);
            MDL_TRY(mdl_stop_check());
            MDL_TRY(mdl__bytes_read(in, kept ? to + done : dropped, piece, "the images"));
            done += piece;
        }
    }
    return MDL_OK;
}

/* Where a value of an image lies in memory that is value `number` of each image in such a file. */
static size_t offset_of(const mdl__npy *npy, size_t number)
{
    size_t offset = 0;
    for (size_t d = 1; d < npy->rank; d++) {
        offset = offset * npy->shape[d] + number % npy->shape[d];
        number /= npy->shape[d];
    }
    return offset;
}

/* The first index runs fastest: a value of each image, then the next of each. */
static mdl_status read_columns(const mdl__bytes *in, const mdl__npy *npy, size_t bytes,
                               const uint32_t *place, uint8_t *out)
{
    uint8_t piece[PIECE];
    size_t images = npy->shape[0], image = 0, number = 0, offset = 0;
    for (size_t left = npy->count; left > 0;) {
        size_t got = mdl_min_size(left, sizeof(piece));
        MDL_TRY(mdl_stop_check());
        MDL_TRY(mdl__bytes_read(in, piece, got, "the images"));
        for (size_t i = 0; i < got; i++) {
            if (place == NULL || place[image] != UINT32_MAX)
                out[(place == NULL ? image : place[image]) * bytes + offset] = piece[i];
            if (++image == images) {
                image = 0;
                offset = offset_of(npy, ++number);
            }
        }
        left -= got;
    }
    return MDL_OK;
}

mdl_status mdl__npy_images(const mdl__bytes *in, const mdl__npy *npy, const uint32_t *place,
                           uint8_t *out)
{
    size_t images = npy->shape[0], bytes = npy->count / images;
    MDL_TRY(npy->fortran ? read_columns(in, npy, bytes, place, out)
                         : read_rows(in, images, bytes, place, out));
    return expect_end(in);
}

/* An integer of 1, 2, 4 or 8 bytes; one that is negative or huge becomes UINT64_MAX. */
static uint64_t integer(const mdl__npy *npy, const uint8_t *bytes)
{
    uint64_t value = 0;
    for (size_t i = 0; i < npy->item; i++)
        value = value << 8 | bytes[npy->big ? i : npy->item - 1 - i];
    bool negative = npy->kind == 'i' && (value >> (8 * npy->item - 1) & 1) != 0;
    return negative ? UINT64_MAX : value;
}

mdl_status mdl__npy_labels(const mdl__bytes *in, const mdl__npy *npy, int32_t *out)
{
    uint8_t piece[PIECE];
    size_t each = sizeof(piece) / npy->item;
    for (size_t done = 0; done < npy->count;) {
        size_t got = mdl_min_size(npy->count - done, each);
        MDL_TRY(mdl_stop_check());
        MDL_TRY(mdl__bytes_read(in, piece, got * npy->item, "the labels"));
        for (size_t i = 0; i < got; i++, done++) {
            uint64_t value = integer(npy, piece + i * npy->item);
            if (value >= MAX_CLASSES)
                return mdl_fail(MDL_FORMAT,
                                "%s: label %zu is negative or larger than %d: labels count from 0",
                                in->name, done, MAX_CLASSES - 1);
            out[done] = (int32_t)value;
        }
    }
    return expect_end(in);
}
