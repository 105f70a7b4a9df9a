/* LERP, SUM_SQUARES, ADAMW, SGD, DOTS, BLEND, NOISE.
 *
 * The device needs no double: sums are pairs of floats.  Those of DOTS come down, a pair for each
 * chunk, and are added here in double, as who asks for them reads them at once; that of SUM_SQUARES
 * stays there for the optimizer, as the bits of a double. */
#include "backends/opencl/ocl_internal.h"

#include <math.h>

typedef struct segment { /* as in kernels/flat.cl */
    cl_uint begin, count, chunk;
    cl_float a, b;
} segment;

static size_t chunk_count(size_t n)
{
    return (n + OCL_CHUNK - 1) / OCL_CHUNK;
}

static size_t chunks_of(const mdl_segment *segments, size_t n)
{
    size_t chunks = 0;
    for (size_t i = 0; i < n; i++)
        chunks += chunk_count(segments[i].count);
    return chunks;
}

static void fill_segments(const void *key, size_t key_size, void *table)
{
    const mdl_segment *from = key;
    segment *to = table;
    cl_uint chunk = 0;
    for (size_t i = 0; i < key_size / sizeof(*from); i++) {
        to[i] = (segment){.begin = (cl_uint)from[i].offset,
                          .count = (cl_uint)from[i].count,
                          .chunk = chunk,
                          .a = (cl_float)from[i].a,
                          .b = (cl_float)from[i].b};
        chunk += (cl_uint)chunk_count(from[i].count);
    }
}

/* The table of segments, and a group for each chunk of them.  False where there is nothing to
 * launch: no elements, or no table, and then the run has failed. */
static bool get_segments(mdl_device *device, const mdl_segment *segments, size_t n, cl_mem *table,
                         ocl_range *range)
{
    ocl_state *state = ocl_of(device);
    size_t chunks = chunks_of(segments, n);
    *range = ocl_groups(chunks, 256);
    if (chunks > 0)
        state->failed = ocl_table_get(state, segments, n * sizeof(*segments), n * sizeof(segment),
                                      fill_segments, table);
    return chunks > 0 && state->failed == MDL_OK;
}

OCL_OP(ocl_lerp)
{
    size_t n = ocl_count(&call->in[0]);
    OCL_UNUSED();
    OCL_LAUNCH(device, OCL_KERNEL_lerp, ocl_flat(n), IN(0), OUT(0), ocl_uint(n),
               ocl_float(call->attrs->lerp.t));
}

OCL_OP(ocl_adamw)
{
    const mdl_attrs *a = call->attrs;
    size_t n = a->optim.n_segments;
    ocl_range range;
    cl_mem table;
    OCL_UNUSED();
    if (!get_segments(device, a->optim.segments, n, &table, &range))
        return;
    OCL_LAUNCH(device, OCL_KERNEL_adamw, range, ocl_memory(table), ocl_uint(n), IN(0), OUT(0),
               OUT(1), OUT(2), ocl_float(a->optim.lr), ocl_float(a->optim.weight_decay),
               ocl_float(a->optim.grad_scale), ocl_float(a->optim.beta1),
               ocl_float(1 - a->optim.beta1), ocl_float(a->optim.beta2),
               ocl_float(1 - a->optim.beta2), ocl_float(1 / a->optim.correction1),
               ocl_float(1 / sqrt(a->optim.correction2)), ocl_float(a->optim.eps), OPTIONAL(1),
               ocl_float(a->optim.clip));
}

OCL_OP(ocl_sgd)
{
    const mdl_attrs *a = call->attrs;
    size_t n = a->optim.n_segments;
    ocl_range range;
    cl_mem table;
    OCL_UNUSED();
    if (!get_segments(device, a->optim.segments, n, &table, &range))
        return;
    OCL_LAUNCH(device, OCL_KERNEL_sgd, range, ocl_memory(table), ocl_uint(n), IN(0), OUT(0), OUT(1),
               ocl_float(a->optim.lr), ocl_float(a->optim.weight_decay),
               ocl_float(a->optim.grad_scale), ocl_float(a->optim.momentum),
               ocl_uint(a->optim.nesterov), OPTIONAL(1), ocl_float(a->optim.clip));
}

OCL_OP(ocl_blend)
{
    const mdl_attrs *a = call->attrs;
    size_t n = a->blend.n_segments;
    ocl_range range;
    cl_mem table;
    OCL_UNUSED();
    if (!get_segments(device, a->blend.segments, n, &table, &range))
        return;
    OCL_LAUNCH(device, OCL_KERNEL_blend, range, ocl_memory(table), ocl_uint(n), IN(0), IN(1),
               OUT(0));
}

OCL_OP(ocl_noise)
{
    size_t n = ocl_count(&call->out[0]);
    OCL_UNUSED();
    OCL_LAUNCH(device, OCL_KERNEL_noise, ocl_flat((n + 1) / 2), OUT(0), ocl_uint(n),
               ocl_ulong(call->attrs->noise.seed), ocl_ulong(call->attrs->noise.stream),
               ocl_float(call->attrs->noise.std));
}

/* ---- sums ----------------------------------------------------------------------------------- */

/* Add the pairs of `chunks` chunks in order; `sums` of them for each chunk. */
static void add_chunks(const float *pairs, size_t chunks, size_t sums, double *out)
{
    for (size_t j = 0; j < sums; j++)
        out[j] = 0;
    for (size_t i = 0; i < chunks * sums; i++)
        out[i % sums] += (double)pairs[2 * i] + (double)pairs[2 * i + 1];
}

/* Host memory for the pairs in the workspace, filled, and behind it for `sums` results. */
static mdl_status read_pairs(ocl_state *state, const mdl_call *call, size_t bytes, size_t sums,
                             double **results, float **pairs)
{
    size_t size = sums * sizeof(double) + bytes;
    if (state->results_size < size) {
        mdl_free(state->results);
        state->results = NULL;
        state->results_size = 0;
        MDL_TRY(mdl_alloc(size, 1, "sums", &state->results));
        state->results_size = size;
    }
    *results = state->results;
    *pairs = (float *)(*results + sums);
    return ocl_download(call->workspace.buffer, call->workspace.offset, *pairs, bytes);
}

size_t ocl_sum_squares_workspace(const mdl_call *call, int threads)
{
    (void)threads;
    return chunk_count(ocl_count(&call->in[0])) * 2 * sizeof(float);
}

OCL_OP(ocl_sum_squares)
{
    size_t n = ocl_count(&call->in[0]);
    OCL_UNUSED();
    OCL_LAUNCH(device, OCL_KERNEL_sum_squares, ocl_groups(chunk_count(n), 256), IN(0),
               ocl_tensor(&call->workspace), ocl_uint(n));
    OCL_LAUNCH(device, OCL_KERNEL_sum_squares_end, ocl_groups(1, 256), ocl_tensor(&call->workspace),
               OUT(0), ocl_uint(chunk_count(n)));
}

size_t ocl_dots_workspace(const mdl_call *call, int threads)
{
    (void)threads;
    return chunks_of(call->attrs->blend.segments, call->attrs->blend.n_segments) * 6 *
           sizeof(float);
}

static mdl_status finish_dots(ocl_state *state, const mdl_call *call)
{
    size_t n = call->attrs->blend.n_segments;
    double *sums;
    float *pairs;
    MDL_TRY(read_pairs(state, call, ocl_dots_workspace(call, 1), 3 * n, &sums, &pairs));
    for (size_t s = 0; s < n; s++) {
        size_t chunks = chunk_count(call->attrs->blend.segments[s].count);
        add_chunks(pairs, chunks, 3, sums + 3 * s);
        pairs += chunks * 6;
    }
    return ocl_upload(call->out[0].buffer, call->out[0].offset, sums, 3 * n * sizeof(*sums));
}

OCL_OP(ocl_dots)
{
    ocl_state *state = ocl_of(device);
    const mdl_attrs *a = call->attrs;
    size_t n = a->blend.n_segments;
    ocl_range range;
    cl_mem table;
    OCL_UNUSED();
    if (get_segments(device, a->blend.segments, n, &table, &range))
        OCL_LAUNCH(device, OCL_KERNEL_dots, range, ocl_memory(table), ocl_uint(n), IN(0), IN(1),
                   ocl_tensor(&call->workspace));
    if (state->failed == MDL_OK)
        state->failed = finish_dots(state, call);
}
