/* LINEAR, its gradients and SUM_ROWS.  A product has several algorithms: kernels of several tiles
 * (product.cl), one for any shape (gemm.cl), and CLBlast; long sums are split over k into chunks.
 */
#include "backends/opencl/ocl_internal.h"

/* ---- algorithms ----------------------------------------------------------------------------- */

/* In the order of their kernels. */
typedef enum algorithm {
    ALGORITHM_128X64,
    ALGORITHM_64X64,
    ALGORITHM_32X32,
    ALGORITHM_128X32,
    ALGORITHM_128X16,
    ALGORITHM_ANY,
    ALGORITHM_BLAST
} algorithm;
enum { ALGORITHMS = ALGORITHM_BLAST + 1 };

static const struct {
    const char *name;
    size_t rows, columns; /* of a tile; 0: none */
    size_t item_rows, item_columns;
} algorithms[ALGORITHMS] = {
    [ALGORITHM_128X64] = {"128x64", 128, 64, 8, 8}, [ALGORITHM_64X64] = {"64x64", 64, 64, 8, 4},
    [ALGORITHM_32X32] = {"32x32", 32, 32, 4, 4},    [ALGORITHM_128X32] = {"128x32", 128, 32, 8, 4},
    [ALGORITHM_128X16] = {"128x16", 128, 16, 4, 4}, [ALGORITHM_ANY] = {"any", 0, 0, 0, 0},
    [ALGORITHM_BLAST] = {"clblast", 0, 0, 0, 0},
};

static size_t groups_of(algorithm w, size_t m, size_t n)
{
    return (m + algorithms[w].rows - 1) / algorithms[w].rows *
           ((n + algorithms[w].columns - 1) / algorithms[w].columns);
}

/* The largest tile that still makes enough groups and does not waste more than an eighth of its
 * columns.  Processors (PoCL) have neither local memory nor need of many groups. */
static algorithm rule(const ocl_state *state, const ocl_product *p)
{
    double work = (double)p->m * (double)p->n * (double)p->k;
    if (p->chunks == 1 && !(p->has_bias && p->accumulate) && work >= state->blast_from)
        return ALGORITHM_BLAST;
    if (!p->by_four || !state->is_gpu)
        return ALGORITHM_ANY;
    bool wide = mdl_round_up(p->n, 64) * 8 <= p->n * 9;
    algorithm best = p->n <= 16 ? ALGORITHM_128X16 : wide ? ALGORITHM_128X64 : ALGORITHM_128X32;
    if (wide && groups_of(best, p->m, p->n) * p->chunks < 2 * state->units)
        best = ALGORITHM_64X64;
    if (p->m <= 32 || (p->n > 16 && groups_of(best, p->m, p->n) * p->chunks < state->units))
        best = ALGORITHM_32X32;
    return best;
}

/* Whether a tile is worth a trial: no more than half of it lies beyond the edges. */
static bool worth(algorithm w, size_t m, size_t n)
{
    return algorithms[w].rows < 2 * m && algorithms[w].columns < 2 * n;
}

/* ---- running -------------------------------------------------------------------------------- */

static mdl_status run_blast(mdl_device *device, const ocl_product *p)
{
    if (p->has_bias)
        OCL_LAUNCH(device, OCL_KERNEL_expand, ocl_flat(p->m * p->n), p->bias, p->c,
                   ocl_uint(p->m * p->n), ocl_uint(p->n));
    MDL_TRY(ocl_of(device)->failed);
    return ocl_blast_run(device, p);
}

/* Tiles of 64 x 64, 128 x 32 or 128 x 16, with 4 x 4 for each work-item; any sizes. */
static void run_any(mdl_device *device, const ocl_product *p)
{
    ocl_kernel kernel = OCL_KERNEL_gemm_64;
    size_t rows = 64, columns = 64;
    if (p->n <= 32) {
        kernel = p->n <= 16 ? OCL_KERNEL_gemm_16 : OCL_KERNEL_gemm_32;
        rows = 128;
        columns = p->n <= 16 ? 16 : 32;
    }
    size_t x = columns / 4, y = rows / 4;
    ocl_range range = {{x, y, 1},
                       {mdl_round_up(p->n, columns) / columns * x,
                        mdl_round_up(p->m, rows) / rows * y, p->chunks}};
    OCL_LAUNCH(device, kernel, range, p->a, ocl_uint(p->a_transposed), p->b,
               ocl_uint(p->b_transposed), p->bias, ocl_uint(p->has_bias), p->c, ocl_uint(p->m),
               ocl_uint(p->n), ocl_uint(p->k), ocl_uint(p->chunk), ocl_uint(p->accumulate));
}

static void run_tile(mdl_device *device, const ocl_product *p, algorithm w)
{
    size_t x = algorithms[w].columns / algorithms[w].item_columns,
           y = algorithms[w].rows / algorithms[w].item_rows;
    size_t layout = p->a_transposed ? 2 : p->b_transposed;
    ocl_kernel kernel = (ocl_kernel)((size_t)OCL_KERNEL_product_128x64 + 3 * (size_t)w + layout);
    ocl_range range = {{x, y, 1},
                       {(p->n + algorithms[w].columns - 1) / algorithms[w].columns * x,
                        (p->m + algorithms[w].rows - 1) / algorithms[w].rows * y, p->chunks}};
    bool has_part = p->norm != NULL && layout == 0 && p->chunks == 1 && !p->has_bias &&
                    !p->accumulate && ocl_take_parts(device, p->norm, algorithms[w].rows);
    OCL_LAUNCH(device, kernel, range, p->a, p->b, p->bias, ocl_uint(p->has_bias), p->c,
               has_part ? ocl_tensor(&p->norm->workspace) : p->c, ocl_uint(has_part),
               ocl_uint(p->m), ocl_uint(p->n), ocl_uint(p->k), ocl_uint(p->chunk),
               ocl_uint(p->accumulate));
}

static void run_product(mdl_device *device, const ocl_product *p, algorithm w)
{
    ocl_state *state = ocl_of(device);
    if (w == ALGORITHM_BLAST && state->failed == MDL_OK)
        state->failed = run_blast(device, p);
    else if (w == ALGORITHM_ANY || !p->by_four)
        run_any(device, p);
    else if (w != ALGORITHM_BLAST)
        run_tile(device, p, w);
}

/* ---- LINEAR, its input's gradient ----------------------------------------------------------- */

/* The variants of a product of that size: those of the tiles that are worth it, the two others. */
static algorithm variant_algorithm(const ocl_state *state, size_t m, size_t n, bool by_four,
                                   int index)
{
    int last = ocl_blast_allowed(state) ? ALGORITHM_BLAST : ALGORITHM_ANY;
    for (int w = 0; w <= last; w++)
        if ((w >= ALGORITHM_ANY || (by_four && worth((algorithm)w, m, n))) && --index == 0)
            return (algorithm)w;
    return (algorithm)ALGORITHMS;
}

static bool sizes_by_four(const mdl_call *call)
{
    return mdl_shape_last(&call->in[0].shape) % 4 == 0 &&
           mdl_shape_last(&call->out[0].shape) % 4 == 0;
}

const char *ocl_linear_variant(const mdl_device *device, const mdl_call *call, int index)
{
    algorithm w =
        variant_algorithm(ocl_of(device), mdl_shape_rows(&call->in[0].shape),
                          mdl_shape_last(&call->out[0].shape), sizes_by_four(call), index);
    return (int)w < ALGORITHMS ? algorithms[w].name : NULL;
}

static void run_linear(mdl_device *device, const mdl_call *call, ocl_product *p)
{
    p->by_four = sizes_by_four(call) && ocl_by_four(call, 0);
    algorithm w = rule(ocl_of(device), p);
    if (call->variant > 0)
        w = variant_algorithm(ocl_of(device), p->m, p->n, sizes_by_four(call), call->variant);
    run_product(device, p, w);
}

OCL_OP(ocl_linear)
{
    size_t c = call->in[1].shape.dim[0], k = call->in[1].shape.dim[1];
    bool has_bias = ocl_present(call, 2);
    OCL_UNUSED();
    ocl_product p = {.a = IN(0),
                     .b = IN(1),
                     .bias = has_bias ? IN(2) : IN(1),
                     .c = OUT(0),
                     .m = mdl_shape_rows(&call->in[0].shape),
                     .n = k,
                     .k = c,
                     .chunk = c,
                     .chunks = 1,
                     .has_bias = has_bias,
                     .accumulate = call->accumulate & 1U,
                     .norm = ocl_of(device)->norm};
    run_linear(device, call, &p);
}

OCL_OP(ocl_linear_grad_input)
{
    size_t c = call->in[1].shape.dim[0], k = call->in[1].shape.dim[1];
    OCL_UNUSED();
    ocl_product p = {.a = IN(0),
                     .b = IN(1),
                     .b_transposed = true,
                     .bias = IN(1),
                     .c = OUT(0),
                     .m = mdl_shape_rows(&call->in[0].shape),
                     .n = c,
                     .k = k,
                     .chunk = k,
                     .chunks = 1,
                     .accumulate = call->accumulate & 1U};
    run_linear(device, call, &p);
}

/* ---- weights -------------------------------------------------------------------------------- */
/* dw sums over many rows for a small result: the rows are cut into chunks, so that there are
 * enough groups for a large device, of at least LEAST_ROWS.  Variants are tiles times the number of
 * groups that is aimed at. */

enum { MANY_GROUPS = 512, LEAST_ROWS = 256 };

static const struct {
    const char *name;
    algorithm algorithm;
    size_t groups; /* aimed at; 1: the rows are not cut */
} split_k[] = {
    {"64x64, few groups", ALGORITHM_64X64, 128},
    {"64x64, many groups", ALGORITHM_64X64, 1024},
    {"128x64, few groups", ALGORITHM_128X64, 128},
    {"128x64, many groups", ALGORITHM_128X64, 1024},
    {"32x32, whole", ALGORITHM_32X32, 1},
    {"32x32, few groups", ALGORITHM_32X32, 256},
    {"32x32, many groups", ALGORITHM_32X32, 2048},
    {"128x32, few groups", ALGORITHM_128X32, 256},
    {"128x32, many groups", ALGORITHM_128X32, 1024},
    {"128x16, many groups", ALGORITHM_128X16, 1024},
    {"any", ALGORITHM_ANY, MANY_GROUPS},
    {"clblast", ALGORITHM_BLAST, 1},
};

/* Index of the variant in `split_k`; -1: none. */
static int variant_split(const mdl_call *call, int index)
{
    size_t m = mdl_shape_last(&call->in[0].shape), n = mdl_shape_last(&call->in[1].shape);
    for (size_t i = 0; i < MDL_COUNT(split_k); i++)
        if ((split_k[i].algorithm >= ALGORITHM_ANY ||
             (m % 4 == 0 && n % 4 == 0 && worth(split_k[i].algorithm, m, n))) &&
            --index == 0)
            return (int)i;
    return -1;
}

const char *ocl_linear_grad_weight_variant(const mdl_device *device, const mdl_call *call,
                                           int index)
{
    int split = variant_split(call, index);
    if (split < 0 ||
        (split_k[split].algorithm == ALGORITHM_BLAST && !ocl_blast_allowed(ocl_of(device))))
        return NULL;
    return split_k[split].name;
}

/* By the shape (and the variant) alone, so that the sums are the same on every device. */
static size_t weight_chunk(const mdl_call *call)
{
    size_t rows = mdl_shape_rows(&call->in[0].shape);
    size_t c = mdl_shape_last(&call->in[0].shape), k = mdl_shape_last(&call->in[1].shape);
    size_t groups = MANY_GROUPS, tiles = groups_of(ALGORITHM_64X64, c, k);
    int split = call->variant > 0 ? variant_split(call, call->variant) : -1;
    if (split >= 0) {
        groups = split_k[split].groups;
        if (split_k[split].algorithm < ALGORITHM_ANY)
            tiles = groups_of(split_k[split].algorithm, c, k);
    }
    size_t chunks = mdl_max_size(1, groups / tiles);
    return mdl_max_size(LEAST_ROWS, mdl_round_up((rows + chunks - 1) / chunks, 16));
}

static size_t weight_chunks(const mdl_call *call)
{
    size_t chunk = weight_chunk(call);
    return (mdl_shape_rows(&call->in[0].shape) + chunk - 1) / chunk;
}

size_t ocl_linear_grad_weight_workspace(const mdl_call *call, int threads)
{
    size_t c = mdl_shape_last(&call->in[0].shape), k = mdl_shape_last(&call->in[1].shape);
    size_t chunks = weight_chunks(call);
    (void)threads;
    return chunks == 1 ? 0 : chunks * c * k * sizeof(float);
}

OCL_OP(ocl_linear_grad_weight)
{
    size_t c = mdl_shape_last(&call->in[0].shape), k = mdl_shape_last(&call->in[1].shape);
    size_t chunks = weight_chunks(call);
    OCL_UNUSED();
    ocl_product p = {.a = IN(0),
                     .a_transposed = true,
                     .b = IN(1),
                     .bias = IN(1),
                     .c = chunks == 1 ? OUT(0) : ocl_tensor(&call->workspace),
                     .m = c,
                     .n = k,
                     .k = mdl_shape_rows(&call->in[0].shape),
                     .chunk = weight_chunk(call),
                     .chunks = chunks,
                     .accumulate = chunks == 1 && (call->accumulate & 1U),
                     .by_four = c % 4 == 0 && ocl_by_four(call, k)};
    int split = call->variant > 0 ? variant_split(call, call->variant) : -1;
    run_product(device, &p, split >= 0 ? split_k[split].algorithm : rule(ocl_of(device), &p));
    if (chunks > 1)
        ocl_sum_parts(device, call, c * k, chunks, &call->out[0], call->accumulate & 1U);
}

/* ---- sums of rows --------------------------------------------------------------------------- */

size_t ocl_sum_rows_workspace(const mdl_call *call, int threads)
{
    const mdl_shape *dy = &call->in[0].shape;
    (void)threads;
    return ocl_chunks(mdl_shape_rows(dy)) * mdl_shape_last(dy) * sizeof(float);
}

OCL_OP(ocl_sum_rows)
{
    size_t rows = mdl_shape_rows(&call->in[0].shape), k = mdl_shape_last(&call->in[0].shape);
    size_t chunks = ocl_chunks(rows);
    OCL_UNUSED();
    OCL_LAUNCH(device, OCL_KERNEL_sum_rows,
               ocl_columns(k, mdl_min_size(rows, ocl_chunk_rows(rows)), chunks, 1), IN(0),
               ocl_tensor(&call->workspace), ocl_uint(rows), ocl_uint(k),
               ocl_uint(ocl_chunk_rows(rows)));
    ocl_sum_parts(device, call, k, chunks, &call->out[0], call->accumulate & 1U);
}
