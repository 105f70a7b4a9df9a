/* What a checkpoint says of its images. */
#ifndef MDL_TRAIN_IMAGE_METADATA_H
#define MDL_TRAIN_IMAGE_METADATA_H

#include "checkpoint/checkpoint.h"
#include "data/data.h"

/* How the images were prepared, so that a checkpoint can be used without the data: "mendel.input"
 * (height, width, channels), "mendel.value_max", "mendel.mean", "mendel.std", and the names of the
 * classes where they are known: "mendel.classes" (mdl_classes_text). */
#define MDL_IMAGE_METADATA 5
#define MDL_IMAGE_METADATA_KEYS                                                                    \
    "mendel.input", "mendel.value_max", "mendel.mean", "mendel.std", MDL_CLASSES_KEY
#define MDL_CLASSES_KEY "mendel.classes"
typedef struct mdl_image_metadata {
    const char *keys[MDL_IMAGE_METADATA];
    const char *values[MDL_IMAGE_METADATA]; /* NULL: not known, which only the last ones are */
    size_t count;                           /* of those that are known */
    char text[MDL_IMAGE_METADATA - 1][128]; /* what values points into, */
    char *classes;                          /* and this; owned */
} mdl_image_metadata;
/* Free with mdl_image_metadata_free, also after a failure. */
mdl_status mdl_image_metadata_make(const mdl_data *data, mdl_image_metadata *out) MDL_MUST_CHECK;
void mdl_image_metadata_free(mdl_image_metadata *metadata);
/* The same read back, checked: of a byte x in channel c the network sees
 * (x / value_max - mean[c]) / std[c].  MDL_CONFIG where the file, which is at `path`, has none. */
typedef struct mdl_image_preparation {
    size_t height, width, channels;
    double value_max, mean[4], std[4];
} mdl_image_preparation;
mdl_status mdl_image_metadata_read(const mdl_tensors *file, const char *path,
                                   mdl_image_preparation *out) MDL_MUST_CHECK;

#endif
