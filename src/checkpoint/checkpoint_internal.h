/* Private to the checkpoint module: types of file elements, and the translation between our layout
 * and the ecosystem's. */
#ifndef MDL_CHECKPOINT_INTERNAL_H
#define MDL_CHECKPOINT_INTERNAL_H

#include "checkpoint/checkpoint.h"

/* Of a safetensors file: bytes of the header's length, and the longest header. */
enum { MDL__LENGTH_BYTES = 8, MDL__HEADER_LIMIT = 100000000 };

/* The type that has this name in a file's header; false where none has. */
bool mdl__file_type_find(const char *name, mdl_file_type *out);
/* "[10, 1280]" into `text`; returns text. */
#define MDL__DIMS_TEXT 200
const char *mdl__dims_text(int rank, const size_t *dim, char *text);

/* ---- kinds of checkpoints ------------------------------------------------------------------- */

/* The first bytes of a file, by which its kind is recognised, with a NUL behind them. */
typedef struct mdl__head {
    size_t size;
    char bytes[(1 << 16) + 1];
} mdl__head;

/* A kind of file, a row of the table in tensors.c. */
typedef struct mdl__tensors_reader {
    bool (*recognises)(const char *path, const mdl__head *head);
    /* Fill in tensors, metadata and further files; the set has the file itself as files[0]. */
    mdl_status (*read)(mdl_tensors *set, const mdl__head *head);
} mdl__tensors_reader;
extern const mdl__tensors_reader mdl__reader_safetensors, mdl__reader_shards, mdl__reader_torch,
    mdl__reader_torch_legacy;

/* MDL_FORMAT where the file looks like another kind, which is named; MDL_OK where it does not. */
mdl_status mdl__refuse_kind(const mdl__head *head) MDL_MUST_CHECK;
/* Whether the first bytes are text. */
bool mdl__is_text(const mdl__head *head);
/* Set count and bytes from type and dimensions; false where they overflow. */
bool mdl__measure(mdl_file_tensor *tensor);
/* Sort the tensors by file and place in it; those without elements before others. */
void mdl__sort_by_place(mdl_tensors *set);
/* by_name, anew; MDL_FORMAT where a name is there twice. */
mdl_status mdl__sort_names(mdl_tensors *set) MDL_MUST_CHECK;
/* Open a checkpoint that is one file. */
mdl_status mdl__tensors_open_one(const char *path, mdl_tensors **out) MDL_MUST_CHECK;
/* Put a pair of copies behind the others. */
mdl_status mdl__add_metadata(mdl_tensors *set, const char *key, const char *value) MDL_MUST_CHECK;
/* Put a file, both of which are taken over in every case, behind the others. */
mdl_status mdl__add_file(mdl_tensors *set, char *path, mdl_reader *source) MDL_MUST_CHECK;

/* Dimensions of a parameter in a file; returns the rank. */
int mdl__file_dims(const mdl_param *param, size_t dim[8]);
/* Reorder param->count elements between our layout and the file's. */
void mdl__layout_to_file(const mdl_param *param, const double *ours, double *file);
void mdl__layout_from_file(const mdl_param *param, const double *file, double *ours);

/* ---- values that cannot be computed with ---------------------------------------------------- */

typedef struct mdl__unsound { /* those of one model */
    size_t count;
    char first[256]; /* "conv_stem.weight[3,0,1,2] is nan" */
} mdl__unsound;
/* Add those among the values `first` .. first + count - 1 of a parameter, which are in the file's
 * layout; real: the type that they will have. */
void mdl__find_unsound(const mdl_param *param, const double *values, size_t first, size_t count,
                       mdl_dtype real, mdl__unsound *found);
/* Elements of the largest parameter or buffer, at least 1. */
size_t mdl__largest_param(const mdl_graph *graph);
/* MDL_NUMERIC where there is one; `what` says whose they are. */
mdl_status mdl__refuse_unsound(const mdl__unsound *found, const char *what) MDL_MUST_CHECK;

/* ---- weights -------------------------------------------------------------------------------- */

/* Elements of an arena (NULL: 0), the whole of it, and its values. */
size_t mdl__arena_count(const mdl_buffer *buffer);
mdl_view mdl__arena_view(mdl_buffer *buffer);
mdl_status mdl__arena_download(const mdl_buffer *buffer, double *out) MDL_MUST_CHECK;
/* PyTorch's name of the counter beside a running mean; false: the buffer is none. */
bool mdl__tracked_name(const mdl_param *param, char *out, size_t size);

#endif
