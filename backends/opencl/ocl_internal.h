/* Private to the OpenCL backend: the device's state, errors, launching of kernels, and the
 * declarations of the ops. */
#ifndef OCL_INTERNAL_H
#define OCL_INTERNAL_H

#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>

#include "backends/backend.h"
#include "backends/opencl/ocl_kernels.h"

/* ---- state of a device ---------------------------------------------------------------------- */

enum { OCL_STAGES = 4, OCL_STREAMS = 2, OCL_TABLES = 8, OCL_STAGE_BYTES = 8 << 20 };
enum { OCL_BLAST_PARAMETERS = 10 };

typedef struct ocl_stage { /* a copy of what is on its way to the device */
    void *bytes;
    size_t size;   /* of the memory */
    cl_event sent; /* NULL: free */
} ocl_stage;

typedef struct ocl_stream_stage { /* the same over a queue of its own */
    ocl_stage stage;              /* its bytes are those of `pinned`, mapped */
    cl_mem pinned;                /* memory of the host */
    cl_mem target;                /* where they arrive on the device, before they are copied */
} ocl_stream_stage;

typedef struct ocl_table { /* a constant that kernels read, found again by its key */
    void *key;
    size_t key_size;
    cl_mem memory;
    unsigned long used; /* when last */
} ocl_table;

typedef struct ocl_timed { /* a launch whose time is asked for */
    cl_event event;
    size_t call; /* of the run */
} ocl_timed;

/* What a kernel's arguments were set to, so that only what changes is set again. */
enum { OCL_MOST_ARGS = 24, OCL_STRUCT_BYTES = 64 };
typedef struct ocl_set_arg {
    cl_mem memory; /* NULL where it is not a tensor */
    union {        /* the number, a tensor's first element, or the struct */
        cl_uint at;
        cl_ulong wide;
        cl_float real;
        unsigned char raw[OCL_STRUCT_BYTES];
    } value;
    size_t size; /* of the value; 0: not set yet */
} ocl_set_arg;

typedef struct ocl_profile {    /* used while the device's times are asked for */
    cl_command_queue queue;     /* with profiling; NULL until it is first needed */
    cl_command_queue set_aside; /* the usual one, in a profiled run */
    ocl_timed *timed;           /* launches of the run */
    size_t n_timed, room;
    size_t call; /* which the run is at */
} ocl_profile;

typedef struct ocl_state {
    cl_device_id device;
    cl_context context;
    cl_command_queue queue; /* in order */
    char name[128];         /* of the device, for messages */
    char options[64];       /* with which all programs are built */
    bool is_gpu;
    bool told;                          /* that compiling may take long */
    cl_uint units;                      /* compute units */
    double blast_from;                  /* multiply-adds from which a product goes to CLBlast */
    size_t blast[OCL_BLAST_PARAMETERS]; /* CLBlast's parameters */
    bool blast_trusted;                 /* they are the device's own, not a tuning table's */
    unsigned blast_tried; /* bit 2 * a_transposed + b_transposed: they were right there */
    cl_program programs[OCL_PROGRAM_COUNT];
    cl_kernel kernels[OCL_KERNEL_COUNT];
    ocl_set_arg args[OCL_KERNEL_COUNT][OCL_MOST_ARGS];
    ocl_stage stages[OCL_STAGES];
    unsigned next_stage;
    ocl_stream_stage streams[OCL_STREAMS];
    unsigned next_stream;
    cl_command_queue streams_queue; /* NULL until the first stream */
    uint64_t fault_at;              /* launches after which the device fails; 0: never (tests) */
    cl_int fault_code;              /* with this code */
    void *results;                  /* host memory for sums that come from the device in parts */
    size_t results_size;
    ocl_table tables[OCL_TABLES];
    unsigned long clock; /* counts uses of tables */
    mdl_device_stats stats;
    uint64_t launches[OCL_KERNEL_COUNT];
    ocl_profile profile;
    const mdl_call *norm; /* the BatchNorm of what the call that runs writes; NULL: none follows */
    size_t part_rows;     /* for each of which that call has written parts for it; 0: it has not */
    mdl_status failed;    /* of the first launch that failed in this run */
} ocl_state;

static inline ocl_state *ocl_of(const mdl_device *device)
{
    return device->state;
}

/* ---- errors --------------------------------------------------------------------------------- */

const char *ocl_error_name(cl_int code); /* of OpenCL and of CLBlast; never NULL */
/* Fail with "<what>: CL_..."; a status that suits the code. */
mdl_status ocl_fail(cl_int code, const char *format, ...) MDL_PRINTF(2, 3);
#define OCL_TRY(call, ...)                                                                         \
    do {                                                                                           \
        cl_int code_ = (call);                                                                     \
        if (code_ != CL_SUCCESS)                                                                   \
            return ocl_fail(code_, __VA_ARGS__);                                                   \
    } while (0)

/* ---- devices -------------------------------------------------------------------------------- */

int ocl_devices(mdl_device_info *infos, int max);
mdl_status ocl_choose(const char *selector, cl_platform_id *platform, cl_device_id *device);
mdl_status ocl_open(const mdl_backend *self, const mdl_device_options *options, mdl_device **out);
void ocl_close(mdl_device *device);
void ocl_identify(const mdl_device *device, char *text, size_t size);

/* ---- memory --------------------------------------------------------------------------------- */

mdl_status ocl_buffer_create(mdl_device *device, size_t bytes, const char *tag, mdl_buffer **out);
void ocl_buffer_destroy(mdl_buffer *buffer);
/* The slab of a place in a buffer, which becomes one in the slab. */
cl_mem ocl_slab(const mdl_buffer *buffer, size_t *offset);
void ocl_count_memory(ocl_state *state, size_t gained, size_t lost);
/* Fails where a test wants it to: MENDEL_OPENCL_FAULT. */
mdl_status ocl_fault(const ocl_state *state);
mdl_status ocl_stream(mdl_buffer *to, size_t offset, const void *from, size_t bytes);
mdl_status ocl_upload(mdl_buffer *to, size_t offset, const void *from, size_t bytes);
mdl_status ocl_download(const mdl_buffer *from, size_t offset, void *to, size_t bytes);
mdl_status ocl_copy(mdl_buffer *to, size_t to_offset, const mdl_buffer *from, size_t from_offset,
                    size_t bytes);
mdl_status ocl_finish(mdl_device *device);
void ocl_stages_destroy(ocl_state *state);

/* The table of this key; where there is none, `fill` writes its `bytes` bytes. */
mdl_status ocl_table_get(ocl_state *state, const void *key, size_t key_size, size_t bytes,
                         void (*fill)(const void *key, size_t key_size, void *table), cl_mem *out);
void ocl_tables_destroy(ocl_state *state);

/* ---- launching ------------------------------------------------------------------------------ */

void ocl_programs_destroy(ocl_state *state);

typedef struct ocl_source_text { /* what a program is built from */
    const char *parts[2];        /* one behind the other */
    size_t sizes[2];
    char options[256];
} ocl_source_text;

/* The built program from the user's cache folder; NULL: it has none. */
cl_program ocl_cache_load(ocl_state *state, const ocl_source_text *text);
/* Whether this driver has not built the program yet, as far as the cache folder tells. */
bool ocl_cache_is_first(const ocl_state *state, const ocl_source_text *text);
void ocl_cache_save(ocl_state *state, const ocl_source_text *text, cl_program program);
/* Memory is given back: nothing may take a later one at its address for it. */
void ocl_forget_args(ocl_state *state);
const char *ocl_kernel_use(const mdl_device *device, size_t index, uint64_t *launches);

typedef struct ocl_arg { /* an argument of a kernel */
    enum { OCL_ARG_TENSOR, OCL_ARG_UINT, OCL_ARG_ULONG, OCL_ARG_FLOAT, OCL_ARG_STRUCT } kind;
    cl_mem memory;   /* a tensor is two arguments: buffer and first element */
    cl_uint at;      /* the element, or the number */
    cl_ulong wide;   /* the number */
    cl_float real;   /* the number */
    const void *raw; /* the struct */
    size_t size;     /* of it */
} ocl_arg;

typedef struct ocl_range { /* work-items: in a group, and in all (a multiple of it) */
    size_t local[3], global[3];
} ocl_range;

/* At least n work-items in groups of 256. */
ocl_range ocl_flat(size_t n);
/* `groups` groups of `size`. */
ocl_range ocl_groups(size_t groups, size_t size);
/* Channels, then groups of `rows` rows: at most 32 channels and 256 work-items for each group. */
ocl_range ocl_columns(size_t channels, size_t rows, size_t groups, size_t third);
/* `channels` items along the first axis, at most `across` (a power of two) to a group; the rest of
 * a group's 256 along `rows`; `groups` of these. */
ocl_range ocl_block(size_t channels, size_t across, size_t rows, size_t groups);
/* Channels, columns, lines. */
ocl_range ocl_image(size_t channels, size_t width, size_t lines);

ocl_arg ocl_tensor(const mdl_view *view);
/* `elements` behind the start of a view. */
ocl_arg ocl_tensor_at(const mdl_view *view, size_t elements);
ocl_arg ocl_uint(size_t value);
ocl_arg ocl_ulong(uint64_t value);
ocl_arg ocl_float(double value);
ocl_arg ocl_struct(const void *raw, size_t size);
ocl_arg ocl_memory(cl_mem memory); /* from its first element on */

/* Set the arguments and enqueue; nothing is done where a launch of this run has failed. */
void ocl_launch(mdl_device *device, ocl_kernel kernel, ocl_range range, const ocl_arg *args,
                size_t n);
#define OCL_LAUNCH(device, kernel, range, ...)                                                     \
    ocl_launch(device, kernel, range, (const ocl_arg[]){__VA_ARGS__},                              \
               sizeof((const ocl_arg[]){__VA_ARGS__}) / sizeof(ocl_arg))

/* ---- products (linear.c, blast.c) ----------------------------------------------------------- */

typedef struct ocl_product { /* c[m, n] (+)= a[m, k] b[k, n] + bias */
    ocl_arg a, b, bias, c;
    bool a_transposed, b_transposed; /* they lie in memory as a[k, m], b[n, k] */
    size_t m, n, k;
    size_t chunk, chunks; /* of k; each chunk writes a part of its own */
    bool has_bias, accumulate;
    bool by_four;         /* sizes and offsets are multiples of 4 */
    const mdl_call *norm; /* NULL, or the BatchNorm of c, which follows */
} ocl_product;

/* At opening: the device's own parameters, and the kernel without copies. */
mdl_status ocl_blast_setup(mdl_device *device);
bool ocl_blast_allowed(const ocl_state *state);
/* The product by CLBlast, added to what is in c where there is a bias.  A tuning table's parameters
 * are tried first, once for each layout, and refused where a result is wrong. */
mdl_status ocl_blast_run(mdl_device *device, const ocl_product *p);
extern const mdl_parameters ocl_blast_parameters;

/* ---- profile -------------------------------------------------------------------------------- */

/* From begin to end, launches go to a queue that takes their times. */
mdl_status ocl_profile_begin(ocl_state *state);
/* Wait for them, add their times to the counters and, where not NULL, to those of their calls. */
mdl_status ocl_profile_end(mdl_device *device, double *seconds);
void ocl_profile_destroy(ocl_profile *profile);
/* Where an enqueued kernel's event goes: NULL where nobody asks for times. */
cl_event *ocl_profile_event(ocl_state *state);

/* ---- ops ------------------------------------------------------------------------------------ */

#define OCL_OP(name) void name(mdl_device *device, const mdl_call *call, int thread, int threads)
/* The host submits with one thread. */
#define OCL_UNUSED() ((void)thread, (void)threads)

#define IN(i)  ocl_tensor(&call->in[i])
#define OUT(j) ocl_tensor(&call->out[j])
/* Whether output j accumulates. */
#define ADDS(j) ocl_uint(call->accumulate >> (j)&1U)

static inline bool ocl_present(const mdl_call *call, int input)
{
    return input < call->n_in && call->in[input].shape.rank != 0;
}
/* An optional input; any other stands in for it where it is absent. */
#define OPTIONAL(i) (ocl_present(call, i) ? IN(i) : IN(0)), ocl_uint(ocl_present(call, i) ? 1 : 0)

/* Whether rows of `c` channels can be read four at a time: c and all offsets are multiples of 4. */
static inline bool ocl_by_four(const mdl_call *call, size_t c)
{
    size_t bits = c * sizeof(float) | call->workspace.offset;
    for (int i = 0; i < call->n_in; i++)
        bits |= call->in[i].offset;
    for (int j = 0; j < call->n_out; j++)
        bits |= call->out[j].offset;
    return bits % (4 * sizeof(float)) == 0;
}

static inline size_t ocl_count(const mdl_view *view)
{
    return mdl_shape_count(&view->shape);
}

#define X(upper, lower) OCL_OP(ocl_##lower);
MDL_OP_LIST(X)
#undef X

/* Rows that a group adds up, and how many groups that makes: by the shape alone, so that the sums
 * are the same on every device. */
size_t ocl_chunk_rows(size_t rows);
size_t ocl_chunks(size_t rows);
/* y (+)= the sum of `chunks` parts of `count` elements in the workspace. */
void ocl_sum_parts(mdl_device *device, const mdl_call *call, size_t count, size_t chunks,
                   const mdl_view *y, bool accumulate);

/* A kernel that writes x offers to write mean and sum of squared deviations of each `rows` rows of
 * it to the workspace of the BatchNorm `norm`, [parts, 2, c]; whether there is room. */
bool ocl_take_parts(mdl_device *device, const mdl_call *norm, size_t rows);

const char *ocl_depthwise_variant(const mdl_device *device, const mdl_call *call, int index);
const char *ocl_linear_variant(const mdl_device *device, const mdl_call *call, int index);
const char *ocl_linear_grad_weight_variant(const mdl_device *device, const mdl_call *call,
                                           int index);
size_t ocl_linear_grad_weight_workspace(const mdl_call *call, int threads);
size_t ocl_sum_rows_workspace(const mdl_call *call, int threads);
size_t ocl_conv2d_grad_weight_workspace(const mdl_call *call, int threads);
size_t ocl_depthwise_grad_weight_workspace(const mdl_call *call, int threads);
size_t ocl_batch_norm_workspace(const mdl_call *call, int threads);
size_t ocl_batch_norm_grad_workspace(const mdl_call *call, int threads);
size_t ocl_attention_grad_workspace(const mdl_call *call, int threads);
size_t ocl_sum_squares_workspace(const mdl_call *call, int threads);
size_t ocl_dots_workspace(const mdl_call *call, int threads);

#endif
