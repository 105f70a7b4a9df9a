/* What the two versions of CIFAR share: the binary one (cifar.c) and that for Python. */
#ifndef MDL_DATA_CIFAR_H
#define MDL_DATA_CIFAR_H

#include "data/internal.h"

enum { MDL__CIFAR_SIDE = 32, MDL__CIFAR_IMAGE = 3 * MDL__CIFAR_SIDE * MDL__CIFAR_SIDE };

/* The red, green and blue planes of an image as pixels of three values. */
void mdl__cifar_interleave(const uint8_t *planes, uint8_t *pixels);
/* Mean and deviation of the set with so many classes. */
void mdl__cifar_constants(size_t classes, mdl_dataset *set);

/* ---- batches for Python --------------------------------------------------------------------- */

typedef struct mdl__cifar_labels {
    const char *key; /* of their list in a batch; NULL: there are none */
    size_t classes;
} mdl__cifar_labels;

mdl_status mdl__cifar_batch_count(const char *path, size_t *images) MDL_MUST_CHECK;
/* So many images of a batch, [images, 32, 32, 3], and their fine labels; the coarse ones are only
 * checked. */
mdl_status mdl__cifar_batch_read(const char *path, const mdl__cifar_labels *fine,
                                 const mdl__cifar_labels *coarse, size_t images, uint8_t *pixels,
                                 int32_t *labels) MDL_MUST_CHECK;
/* The names in the list `key` of a file of names, one a line. */
mdl_status mdl__cifar_batch_names(const char *path, const char *key,
                                  mdl_string *names) MDL_MUST_CHECK;

#endif
