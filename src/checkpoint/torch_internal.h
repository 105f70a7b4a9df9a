/* Private to the reader of PyTorch's files: what its two forms share. */
#ifndef MDL_CHECKPOINT_TORCH_INTERNAL_H
#define MDL_CHECKPOINT_TORCH_INTERNAL_H

#include "checkpoint/checkpoint_internal.h"
#include "formats/formats.h"

/* Where the elements of a storage, which tensors share, lie in the file. */
typedef struct mdl__storage {
    uint64_t offset; /* of its first byte */
    uint64_t bytes;  /* as many are there */
} mdl__storage;

typedef struct mdl__torch_file mdl__torch_file;
struct mdl__torch_file {
    mdl_tensors *set;
    /* Look for a storage by the text that the pickle has for it. */
    mdl_status (*find)(const mdl__torch_file *file, const char *key, mdl__storage *out);
    const mdl_zip *zip;                         /* newer form: the archive, */
    const char *prefix;                         /* and the folder in it */
    const struct mdl__legacy_storage *storages; /* older form, sorted by key */
    size_t n_storages;
};

enum { MDL__STORAGE_KEY = 64 }; /* bytes of such a text, and a NUL */

/* The tensors of the state dict in what a pickle says, into the set. */
mdl_status mdl__torch_tensors(const mdl__torch_file *file,
                              const mdl_pickle_value *root) MDL_MUST_CHECK;
/* Type, key and number of elements of a storage; its type is U8 where it has none of its own
 * (*untyped). */
mdl_status mdl__torch_storage(const mdl_pickle_value *persistent, mdl_file_type *type,
                              bool *untyped, char key[MDL__STORAGE_KEY],
                              size_t *count) MDL_MUST_CHECK;

#endif
