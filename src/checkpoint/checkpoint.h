/* Checkpoints: named tensors in files of several kinds, safetensors files that are written, the
 * translation between our layout and the ecosystem's, and the resume state.  Everything is written
 * atomically; every length and offset of a file is checked before it is used. */
#ifndef MDL_CHECKPOINT_H
#define MDL_CHECKPOINT_H

#include "graph/graph.h"

/* ---- named tensors in files ----------------------------------------------------------------- */

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
#define MDL_FILE_TYPES (MDL_FILE_F8_E4M3 + 1)

/* Bytes of one element, and the name that safetensors has for the type. */
size_t mdl_file_type_size(mdl_file_type type);
const char *mdl_file_type_name(mdl_file_type type);

typedef struct mdl_file_tensor {
    char *name;
    mdl_file_type type;
    int rank; /* 0 .. 8 */
    size_t dim[8];
    size_t count;     /* elements */
    size_t bytes;     /* count elements of the type */
    const void *data; /* in memory, where it was loaded or is to be written; else NULL */
    size_t file;      /* the set's file that it lies in, */
    uint64_t offset;  /* and the byte of it where its first element is */
    bool strided;     /* its elements do not lie one behind the other, but */
    size_t stride[8]; /* these numbers of elements apart, by dimension */
} mdl_file_tensor;

typedef struct mdl_tensors_file {
    char *path;
    mdl_reader *source;
} mdl_tensors_file;

typedef struct mdl_tensors {  /* what a checkpoint holds */
    mdl_file_tensor *tensors; /* in the order of their data */
    size_t n_tensors;
    const mdl_file_tensor **by_name; /* [n_tensors], sorted by name */
    char **keys, **values;           /* metadata */
    size_t n_metadata;
    mdl_tensors_file *files;
    size_t n_files;
    char *memory; /* the data, where they were loaded */
} mdl_tensors;

/* Open a checkpoint: a safetensors file, one of PyTorch (.pt, .pth, .bin: of its pickle nothing is
 * run), or one in several files by its index (a file with a weight_map, or the folder that holds
 * model.safetensors.index.json).  Only headers are read; data are read by mdl_tensors_read.  What
 * the formats' own readers take is taken, within these limits: a header of 100 MB and some 50,000
 * tensors a file, eight dimensions, whole bytes for each element, no name twice.  A file that is
 * something else is called by its kind.  Close with mdl_tensors_close; *out is NULL on failure. */
mdl_status mdl_tensors_open(const char *path, mdl_tensors **out) MDL_MUST_CHECK;
/* The same, and all data are loaded into memory: tensor->data. */
mdl_status mdl_tensors_load(const char *path, mdl_tensors **out) MDL_MUST_CHECK;
void mdl_tensors_close(mdl_tensors *set);
/* Elements first .. first + count - 1, in the order of the last dimension first and in the type
 * that they have in the file, into `out`.  Any number of threads may read at once.  Of a strided
 * tensor all that lies between the rows asked for is in memory meanwhile. */
mdl_status mdl_tensors_read(const mdl_tensors *set, const mdl_file_tensor *tensor, size_t first,
                            size_t count, void *out) MDL_MUST_CHECK;
const mdl_file_tensor *mdl_tensors_find(const mdl_tensors *set, const char *name); /* or NULL */
const char *mdl_tensors_metadata(const mdl_tensors *set, const char *key);         /* or NULL */
/* Metadata of a file of PyTorch: the key under which its weights lie among the rest. */
#define MDL_TORCH_KEY "torch.key"
/* Elements as float64 (of the two types of 8 bits: NAN); `out` holds tensor->count.  Of a tensor
 * whose data are in memory. */
void mdl_file_tensor_get(const mdl_file_tensor *tensor, double *out);

/* ---- writing safetensors -------------------------------------------------------------------- */

/* Write: tensors with `data` in native memory (name, type, rank, dim, data are read; count and
 * bytes are computed), keys/values as metadata.  Same input, same bytes. */
mdl_status mdl_safetensors_write(const char *path, const mdl_file_tensor *tensors, size_t n_tensors,
                                 const char *const *keys, const char *const *values,
                                 size_t n_metadata) MDL_MUST_CHECK;
/* What such a file begins with, for whoever writes the data behind it, one tensor's behind the
 * other's; tensors' `data` are not looked at.  Free *out with mdl_free; NULL on failure. */
mdl_status mdl_safetensors_header(const mdl_file_tensor *tensors, size_t n_tensors,
                                  const char *const *keys, const char *const *values,
                                  size_t n_metadata, char **out, size_t *size) MDL_MUST_CHECK;

/* Whether elements are numbers with a fraction that merging computes with: F32, F64, F16, BF16. */
bool mdl_file_type_is_real(mdl_file_type type);
/* n elements of such a type as float32 (of F64: rounded), and back: rounded to the nearest, what is
 * too large becomes infinite.  `data` and `out` may be the same memory for F32 only. */
void mdl_file_to_float(mdl_file_type type, const void *data, size_t n, float *out);
void mdl_file_from_float(mdl_file_type type, const float *values, size_t n, void *out);

/* Write a set of any kind as one safetensors file.  Memory: a piece of a tensor; a strided one. */
typedef struct mdl_rewrite {
    const mdl_file_type *type; /* of F32, F64, F16 and BF16, others stay; NULL: all stay */
    const char *const *keys, *const *values;
    size_t n_metadata;
} mdl_rewrite;
/* MDL_NUMERIC where a value is beyond the type; nothing is written then. */
mdl_status mdl_tensors_rewrite(const mdl_tensors *set, const char *path,
                               const mdl_rewrite *how) MDL_MUST_CHECK;

/* How the names of a published checkpoint are translated. */
typedef enum mdl_names_rule {
    MDL_NAMES_PLAIN,       /* what DataParallel and torch.compile put before all of them goes */
    MDL_NAMES_EFFICIENTNET /* and lukemelas's names of EfficientNet become timm's */
} mdl_names_rule;
/* Translate the names in place; *changed: how many were not the same.  MDL_FORMAT where two become
 * one. */
mdl_status mdl_tensors_rename(mdl_tensors *set, mdl_names_rule rule,
                              size_t *changed) MDL_MUST_CHECK;

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
mdl_status mdl_weights_load(const mdl_tensors *file, const char *path, const mdl_graph *graph,
                            mdl_weights *weights) MDL_MUST_CHECK;
/* The same where only a part fits: a tensor that is missing or has another shape keeps what
 * `weights` has, and a warning names it.  MDL_SHAPE where fewer fit than do not: the file is
 * another model's. */
mdl_status mdl_weights_load_part(const mdl_tensors *file, const char *path, const mdl_graph *graph,
                                 mdl_weights *weights) MDL_MUST_CHECK;
/* Whether mdl_weights_load would take the file, without loading it: the same failures. */
mdl_status mdl_weights_match(const mdl_tensors *file, const char *path,
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
/* The same on all ranks, of which the first has the file: *out is NULL where its path is NULL or
 * "", or there is no such file.  The paths of the others do not matter. */
mdl_status mdl_state_read_shared(const mdl_comm *comm, const char *path,
                                 mdl_state **out) MDL_MUST_CHECK;
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
/* The same of all bytes of an open file; MDL_CANCELLED on a stop request. */
mdl_status mdl_sha256_reader(const mdl_reader *file, char out[65]) MDL_MUST_CHECK;

#endif
