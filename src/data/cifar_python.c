/* CIFAR's batches in the version for Python: a pickle of a dictionary with the array data, bytes
 * [images, 3072], an image in a row as red, green and blue planes, and a list of labels.  Nothing
 * of the pickle is run (formats/pickle.c). */
#include <string.h>

#include "data/cifar.h"
#include "formats/formats.h"

/* 60,000 images are 184 MB. */
enum { FILE_LIMIT = 1 << 30 };

typedef struct batch {
    const char *path; /* for messages */
    char *bytes;
    mdl_pickle *pickle;
} batch;

static mdl_status open_batch(const char *path, batch *b)
{
    size_t size;
    *b = (batch){.path = path};
    MDL_TRY(mdl_file_read(path, FILE_LIMIT, &b->bytes, &size));
    mdl_status status = mdl_pickle_read(b->bytes, size, &b->pickle);
    if (status == MDL_OK && b->pickle->root->kind == MDL_PICKLE_DICT)
        return MDL_OK;
    return status == MDL_OK ? mdl_fail(MDL_FORMAT, "%s: a dictionary is expected", path)
                            : mdl_fail_context(status, "%s", path);
}

static void close_batch(batch *b)
{
    mdl_pickle_free(b->pickle);
    mdl_free(b->bytes);
}

static mdl_status find_images(const batch *b, mdl_pickle_array *images)
{
    mdl_status status = mdl_pickle_get_array(mdl_pickle_get(b->pickle->root, "data"), images);
    if (status != MDL_OK)
        return mdl_fail_context(status, "%s: data", b->path);
    if (strcmp(images->type, "u1") == 0 && images->rank == 2 && images->dim[0] > 0 &&
        images->dim[1] == MDL__CIFAR_IMAGE && !images->columns)
        return MDL_OK;
    return mdl_fail(MDL_FORMAT, "%s: data is no array of bytes of [images, %d]", b->path,
                    MDL__CIFAR_IMAGE);
}

/* A list of as many labels as there are images. */
static mdl_status find_labels(const batch *b, const char *key, size_t count,
                              const mdl_pickle_value **labels)
{
    *labels = mdl_pickle_get(b->pickle->root, key);
    if (*labels == NULL || (*labels)->kind != MDL_PICKLE_LIST)
        return mdl_fail(MDL_FORMAT, "%s: there is no list %s", b->path, key);
    if ((*labels)->count == count)
        return MDL_OK;
    return mdl_fail(MDL_FORMAT, "%s: %zu images, but %zu %s", b->path, count, (*labels)->count,
                    key);
}

static mdl_status check_labels(const batch *b, const mdl__cifar_labels *kind, size_t count,
                               int32_t *out)
{
    const mdl_pickle_value *labels;
    MDL_TRY(find_labels(b, kind->key, count, &labels));
    for (size_t i = 0; i < count; i++) {
        size_t label;
        if (!mdl_pickle_size(labels->items[i], &label) || label >= kind->classes)
            return mdl_fail(MDL_FORMAT, "%s: entry %zu of %s is no number from 0 to %zu", b->path,
                            i, kind->key, kind->classes - 1);
        if (out != NULL)
            out[i] = (int32_t)label;
    }
    return MDL_OK;
}

mdl_status mdl__cifar_batch_count(const char *path, size_t *images)
{
    batch b;
    mdl_pickle_array array;
    mdl_status status = open_batch(path, &b);
    if (status == MDL_OK)
        status = find_images(&b, &array);
    if (status == MDL_OK)
        *images = array.dim[0];
    close_batch(&b);
    return status;
}

mdl_status mdl__cifar_batch_read(const char *path, const mdl__cifar_labels *fine,
                                 const mdl__cifar_labels *coarse, size_t images, uint8_t *pixels,
                                 int32_t *labels)
{
    batch b;
    mdl_pickle_array array;
    mdl_status status = open_batch(path, &b);
    if (status == MDL_OK)
        status = find_images(&b, &array);
    if (status == MDL_OK && array.dim[0] != images)
        status = mdl_fail(MDL_IO, "%s has changed while it was read", path);
    if (status == MDL_OK && coarse->key != NULL)
        status = check_labels(&b, coarse, images, NULL);
    if (status == MDL_OK)
        status = check_labels(&b, fine, images, labels);
    for (size_t i = 0; status == MDL_OK && i < images; i++) {
        mdl__cifar_interleave((const uint8_t *)array.data + i * MDL__CIFAR_IMAGE,
                              pixels + i * MDL__CIFAR_IMAGE);
        status = mdl_stop_check();
    }
    close_batch(&b);
    return status;
}

mdl_status mdl__cifar_batch_names(const char *path, const char *key, mdl_string *names)
{
    batch b;
    mdl_status status = open_batch(path, &b);
    const mdl_pickle_value *list = status == MDL_OK ? mdl_pickle_get(b.pickle->root, key) : NULL;
    for (size_t i = 0; list != NULL && mdl_pickle_item(list, i) != NULL; i++) {
        char name[256];
        mdl_string_add(names, "%s\n",
                       mdl_pickle_text(mdl_pickle_item(list, i), name, sizeof(name)));
    }
    close_batch(&b);
    return status;
}
