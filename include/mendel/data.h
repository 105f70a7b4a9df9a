/* Images with labels: read from files, or the caller's own arrays.  What is made of them (the
 * validation split, the normalisation, the augmentation) follows from the data.* keys of the
 * configuration that each piece of work gets, so one mdl_data serves for many.  It may be used by
 * several threads at once. */
#ifndef MENDEL_DATA_H
#define MENDEL_DATA_H

#include <stddef.h>
#include <stdint.h>

#include "mendel/config.h"
#include "mendel/context.h"
#include "mendel/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mdl_data mdl_data;

/* Read images.
 *   spec    "digits", "cifar10:DIR", "folder:DIR", ... as data.source; NULL: what the
 *           configuration says
 *   config  the data.* keys of it say how the files are read (data.image_size,
 *           data.skip_damaged); NULL: the defaults
 * *out is the caller's, to be closed; NULL on failure.
 * Errors: MDL_INVALID (out is NULL), MDL_CONFIG (no such source), MDL_IO, MDL_NOT_FOUND,
 * MDL_FORMAT, MDL_NO_MEMORY, MDL_CANCELLED. */
MDL_API mdl_status mdl_data_open(mdl_context *context, const char *spec, const mdl_config *config,
                                 mdl_data **out) MDL_MUST_CHECK;

/* Images in the caller's memory. */
typedef struct mdl_images {
    const uint8_t *pixels; /* [count, height, width, channels], 0 .. 255; not copied: it must stay
                              as it is until the data is closed */
    const int32_t *labels; /* [count], 0 .. classes - 1; copied */
    size_t count;
} mdl_images;

/* What such images are like. */
typedef struct mdl_images_shape {
    size_t height, width, channels; /* 1 or 3 channels; with data.size native up to 4 */
    size_t classes;
    const char *const *class_names; /* [classes], copied; NULL: the classes have no names */
} mdl_images_shape;

/* Use images in the caller's memory.
 *   train  images to train on, of which the validation split is a part; NULL: none
 *   test   images to test on; NULL: none
 *   shape  of both
 *   config as for mdl_data_open
 * *out is the caller's, to be closed; NULL on failure.
 * Errors: MDL_INVALID (nothing given, labels out of range), MDL_CONFIG, MDL_FORMAT (sizes that no
 * image has), MDL_NO_MEMORY. */
MDL_API mdl_status mdl_data_from_memory(mdl_context *context, const mdl_images *train,
                                        const mdl_images *test, const mdl_images_shape *shape,
                                        const mdl_config *config, mdl_data **out) MDL_MUST_CHECK;

/* Let go of images.  No work may be running with them.  NULL is allowed. */
MDL_API void mdl_data_close(mdl_data *data);

/* What it holds, as JSON: {"source", "classes", "class_names", "height", "width", "channels",
 * "train", "validation", "test", "image", "mean", "std", "damaged", "class_counts"}: height, width
 * and channels as a model sees them and `image` those of the files; train, validation and test are
 * numbers of images; mean and std of each channel of the files, of values from 0 to 1; the images
 * left out as damaged, [to train on, to test on]; and for each class its images to train on, to
 * validate on and to test on.  *json is the caller's, to be freed with mdl_free; NULL on failure.
 * Errors: MDL_INVALID (NULL), MDL_NO_MEMORY. */
MDL_API mdl_status mdl_data_describe(const mdl_data *data, char **json) MDL_MUST_CHECK;

/* ---- download ------------------------------------------------------------------------------- */

typedef struct mdl_data_fetch_options {
    size_t size;              /* of this struct */
    const char *folder;       /* where the archive and its content go */
    const char *url;          /* https, http or file; NULL: the published address */
    const char *md5, *sha256; /* both NULL: the published checksums; else only those given count */
    int (*on_progress)(void *user, uint64_t bytes, uint64_t total); /* may be NULL; total 0: not
                                                                       known */
    void *user;
} mdl_data_fetch_options;
#define MDL_DATA_FETCH_OPTIONS                                                                     \
    {                                                                                              \
        sizeof(mdl_data_fetch_options), "data", NULL, NULL, NULL, NULL, NULL                       \
    }

/* Download a published set ("cifar10", "cifar100"), going on with a broken download, check its sums
 * and unpack it.  A complete set is left alone.  *result (where `result` is not NULL) is {"name",
 * "folder", "spec"} as JSON: the folder that holds its files, and what data.source takes for it; it
 * is the caller's, to be freed with mdl_free, and NULL on failure.
 * Errors: MDL_INVALID (NULL, no such set, an address of another kind), MDL_CONFIG (the folder holds
 * a run), MDL_IO, MDL_CHECKSUM, MDL_FORMAT, MDL_NO_MEMORY, MDL_CANCELLED. */
MDL_API mdl_status mdl_data_fetch(mdl_context *context, const char *name,
                                  const mdl_data_fetch_options *options,
                                  char **result) MDL_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif
