/* NumPy's arrays (.npy), as their bytes come from a file or from an archive.
 * https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html */
#ifndef MDL_DATA_NPY_H
#define MDL_DATA_NPY_H

#include "data/internal.h"

/* Where the bytes of an array come from, in their order. */
typedef struct mdl__bytes {
    /* Read `want` bytes, or as many as there are before the end, which *got tells. */
    mdl_status (*read)(void *user, void *out, size_t want, size_t *got);
    void *user;
    const char *name; /* for messages */
} mdl__bytes;

/* Read exactly so many; `what` they are is for the error of an end before. */
mdl_status mdl__bytes_read(const mdl__bytes *in, void *out, size_t want,
                           const char *what) MDL_MUST_CHECK;

enum { MDL__NPY_RANK = 5 };
typedef struct mdl__npy {
    char kind;         /* 'b' truth values, 'i' and 'u' integers, 'f' floats, 'c', 'S', 'U', ... */
    size_t item;       /* bytes of a value */
    bool big, fortran; /* big-endian; the first index runs fastest in the file */
    size_t rank;       /* how many sizes there are */
    size_t shape[MDL__NPY_RANK];
    size_t count; /* values in all */
    size_t start; /* bytes of the header */
} mdl__npy;

/* Read the header, so that the values come next.  limit: how many bytes of values there can be at
 * most; an array that claims more is refused.  Versions 1.0, 2.0 and 3.0.
 * Errors: MDL_FORMAT, MDL_UNSUPPORTED (objects, records), those of in->read. */
mdl_status mdl__npy_open(const mdl__bytes *in, uint64_t limit, mdl__npy *out) MDL_MUST_CHECK;
/* Whether these are images that can be read: bytes, [N,H,W], [N,H,W,1] or [N,H,W,3].  The detail of
 * an error says what the array looks like and how to make it one. */
mdl_status mdl__npy_check_images(const mdl__npy *npy, const char *name) MDL_MUST_CHECK;
/* Whether these are labels that can be read: integers, [N] or [N,1]. */
mdl_status mdl__npy_check_labels(const mdl__npy *npy, const char *name) MDL_MUST_CHECK;
/* Read all images to out + place[i] * (bytes of an image); those with UINT32_MAX there are passed
 * over.  place NULL: each goes to its own number.  Nothing may follow them. */
mdl_status mdl__npy_images(const mdl__bytes *in, const mdl__npy *npy, const uint32_t *place,
                           uint8_t *out) MDL_MUST_CHECK;
/* Read all labels; those below 0 or above what a set may have are refused.  Nothing may follow. */
mdl_status mdl__npy_labels(const mdl__bytes *in, const mdl__npy *npy, int32_t *out) MDL_MUST_CHECK;

#endif
