/* Checkpoints: safetensors files, the translation between our layout and the ecosystem's, and the
 * resume state.  Everything is written atomically; every length and offset of a file is checked
 * before it is used. */
#ifndef MDL_CHECKPOINT_H
#define MDL_CHECKPOINT_H

#include "graph/graph.h"

/* ---- safetensors ---------------------------------------------------------------------------- */

/* Element types of files; weights may have the first four (we write F32, F64, I64, I32, U8). */
typedef enum mdl_file_type {
    MDL_FILE_F32,
    MDL_FILE_F64,
    MDL_FILE_F16,
    MDL_FILE_BF16,
    MDL_FILE_I64,
    MDL_FILE_I32,
    MDL_FILE_I16,
    MDL_FILE_I8,
    MDL_FILE_U64,
    MDL_FILE_U32,
    MDL_FILE_U16,
    MDL_FILE_U8,
    MDL_FILE_BOOL,
    MDL_FILE_F8_E5M2,
    MDL_FILE_F8_E4M3
} mdl_file_type;

typedef struct mdl_file_tensor {
    char *name;
    mdl_file_type type;
    int rank; /* 0 .. 8 */
    size_t dim[8];
    size_t count;     /* elements */
    const void *data; /* in the file's memory; may be unaligned */
    size_t bytes;
} mdl_file_tensor;

typedef struct mdl_safetensors { /* a file that was read, in memory */
    mdl_file_tensor *tensors;    /* in the order of their data */
    size_t n_tensors;
    const mdl_file_tensor **by_name; /* [n_tensors], sorted by name */
    char **keys, **values;           /* __metadata__ */
    size_t n_metadata;
    char *memory; /* the file */
    size_t size;
} mdl_safetensors;

/* What the format's own reader takes is taken, within these limits: a header of 100 MB and some
 * 50,000 tensors, eight dimensions, whole bytes for each element, no name twice.  A file that is
 * something else is called by its kind. */
mdl_status mdl_safetensors_read(const char *path, mdl_safetensors **out) MDL_MUST_CHECK;
void mdl_safetensors_free(mdl_safetensors *file);
const mdl_file_tensor *mdl_safetensors_find(const mdl_safetensors *file, const char *name);
const char *mdl_safetensors_metadata(const mdl_safetensors *file, const char *key); /* or NULL */
/* Elements as float64 (of the two types of 8 bits: NAN); `out` holds tensor->count. */
void mdl_file_tensor_get(const mdl_file_tensor *tensor, double *out);

/* Write: tensors with `data` in native memory (name, type, rank, dim, data are read; count and
 * bytes are computed), keys/values as metadata.  Same input, same bytes. */
mdl_status mdl_safetensors_write(const char *path, const mdl_file_tensor *tensors, size_t n_tensors,
                                 const char *const *keys, const char *const *values,
                                 size_t n_metadata) MDL_MUST_CHECK;

/* ---- weights of a model --------------------------------------------------------------------- */

/* Weights on a device: the parameter arena and the buffer arena of a graph.  Owned. */
typedef struct mdl_weights {
    mdl_device *device; /* borrowed */
    mdl_buffer *params, *buffers;
} mdl_weights;
mdl_status mdl_weights_create(const mdl_graph *graph, mdl_device *device,
                              mdl_weights *out) MDL_MUST_CHECK; /* zeros */
void mdl_weights_destroy(mdl_weights *weights);
mdl_status mdl_weights_copy(mdl_weights *to, const mdl_weights *from) MDL_MUST_CHECK;
/* Initial values: a pure function of (seed, parameter's number). */
mdl_status mdl_weights_init(const mdl_graph *graph, uint64_t seed,
                            mdl_weights *weights) MDL_MUST_CHECK;

/* Save with timm's names and layout; metadata gets "format": "pt", "mendel.version",
 * "mendel.config" (the YAML text given), "mendel.config_hash" (sha256 of it) and the extra pairs.
 * num_batches_tracked is written for each BatchNorm (I64, value `steps`).  Float type as the
 * device's.  No time and no path is written: same weights, same bytes.  Weights that nobody could
 * load again, see mdl_weights_check, are not written. */
typedef struct mdl_checkpoint_info {
    const char *config;                      /* YAML text of the configuration; NULL: none */
    uint64_t steps;                          /* optimizer steps so far */
    const char *const *keys, *const *values; /* further metadata */
    size_t n_extra;
} mdl_checkpoint_info;
mdl_status mdl_weights_save(const char *path, const mdl_graph *graph, const mdl_weights *weights,
                            const mdl_checkpoint_info *info) MDL_MUST_CHECK;
/* Load into weights; every parameter and buffer of the graph must be there with its shape (names of
 * missing, unexpected and wrongly shaped ones are listed), num_batches_tracked is optional.
 * MDL_NUMERIC where a value cannot be computed with, as in mdl_weights_check. */
mdl_status mdl_weights_load(const mdl_safetensors *file, const char *path, const mdl_graph *graph,
                            mdl_weights *weights) MDL_MUST_CHECK;
/* The same where only a part fits: a tensor that is missing or has another shape keeps what
 * `weights` has, and a warning names it.  MDL_SHAPE where fewer fit than do not: the file is
 * another model's. */
mdl_status mdl_weights_load_part(const mdl_safetensors *file, const char *path,
                                 const mdl_graph *graph, mdl_weights *weights) MDL_MUST_CHECK;
/* Whether mdl_weights_load would take the file, without loading it: the same failures. */
mdl_status mdl_weights_match(const mdl_safetensors *file, const char *path,
                             const mdl_graph *graph) MDL_MUST_CHECK;
/* MDL_NUMERIC where a value is not finite, or a running variance negative; the detail names the
 * tensor and the place in it, as a file would have it, behind `what`. */
mdl_status mdl_weights_check(const mdl_graph *graph, const mdl_weights *weights,
                             const char *what) MDL_MUST_CHECK;
/* Export any parameter-shaped arena (gradients, for instance) with the names of the parameters. */
mdl_status mdl_arena_save(const char *path, const mdl_graph *graph,
                          const mdl_buffer *params_like) MDL_MUST_CHECK;

/* ---- resume state --------------------------------------------------------------------------- */

/* A bag of named byte blocks in one file, with a sha256 over all of it: enough to continue
 * bit-identically.  Written atomically. */
typedef struct mdl_state_writer mdl_state_writer;
mdl_status mdl_state_create(const char *path, mdl_state_writer **out) MDL_MUST_CHECK;
mdl_status mdl_state_put(mdl_state_writer *state, const char *name, const void *data,
                         size_t bytes) MDL_MUST_CHECK;
mdl_status mdl_state_put_buffer(mdl_state_writer *state, const char *name,
                                const mdl_buffer *buffer) MDL_MUST_CHECK; /* downloads */
mdl_status mdl_state_commit(mdl_state_writer *state) MDL_MUST_CHECK;      /* frees in every case */
void mdl_state_abort(mdl_state_writer *state);

typedef struct mdl_state mdl_state;
mdl_status mdl_state_read(const char *path, mdl_state **out) MDL_MUST_CHECK;
void mdl_state_free(mdl_state *state);
/* The block's bytes must be exactly `bytes` long. */
mdl_status mdl_state_get(const mdl_state *state, const char *name, void *data,
                         size_t bytes) MDL_MUST_CHECK;
mdl_status mdl_state_get_buffer(const mdl_state *state, const char *name,
                                mdl_buffer *buffer) MDL_MUST_CHECK; /* uploads */
/* Borrowed pointer and size of a block; NULL where it is absent. */
const void *mdl_state_find(const mdl_state *state, const char *name, size_t *bytes);

/* sha256 of some bytes as 64 hexadecimal digits and a NUL. */
mdl_status mdl_sha256_hex(const void *data, size_t size, char out[65]) MDL_MUST_CHECK;

#endif
