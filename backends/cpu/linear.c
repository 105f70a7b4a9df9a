/* LINEAR, LINEAR_NORM and the gradients: products of a tall, skinny matrix with a small one.  This
 * is where the 1x1 convolutions go. */
#include "backends/cpu/blas.h"
#include "backends/cpu/gemm.h"
#include "backends/cpu/sums.h"

/* With fewer rows the weights are used as they lie: packing them would cost too much. */
#define PACK_FROM_ROWS 24

/* ---- output and input gradient -------------------------------------------------------------- */

static cpu_gemm product_of(const mdl_call *call, bool gradient)
{
    const mdl_shape *w = &call->in[1].shape;
    size_t c = w->dim[0], k = w->dim[1];
    return (cpu_gemm){.a = cpu_in(call, 0),
                      .lda = gradient ? k : c,
                      .b = cpu_in(call, 1),
                      .ldb = k,
                      .bias =
                          call->op == MDL_OP_LINEAR && cpu_has(call, 2) ? cpu_in(call, 2) : NULL,
                      .c = cpu_out(call, 0),
                      .ldc = gradient ? c : k,
                      .m = mdl_shape_rows(&call->in[0].shape),
                      .k = gradient ? k : c,
                      .n = gradient ? c : k,
                      .accumulate = cpu_accumulates(call, 0),
                      .fold = cpu_fold_of(call)};
}

static float *packed_of(const mdl_call *call)
{
    return (float *)call->workspace.host + cpu_fold_size(call);
}

/* The weights into the workspace. */
static void pack(const mdl_call *call, bool gradient, int thread, int threads)
{
    cpu_gemm g = product_of(call, gradient);
    size_t begin, end;
    cpu_range(CPU_NAME(gemm_panels)(g.n), 1, thread, threads, &begin, &end);
    CPU_NAME(gemm_pack)(packed_of(call), g.b, g.ldb, gradient, g.k, g.n, begin, end);
}

static void use_packed(cpu_gemm *g, const mdl_call *call)
{
    g->b = packed_of(call);
    g->ldb = 0;
}

static void tile(const mdl_call *slice, bool gradient, const cpu_tile *t)
{
    if (slice->variant > 0) {
        cpu_blas_linear_tile(slice);
        return;
    }
    cpu_gemm g = product_of(slice, gradient);
    g.ahead = t->ahead;
    use_packed(&g, slice);
    CPU_NAME(gemm_run)(&g, 0, CPU_NAME(gemm_panels)(g.n));
}

static size_t packed_bytes(const mdl_call *call, bool gradient)
{
    const mdl_shape *w = &call->in[1].shape;
    return CPU_NAME(gemm_packed_size)(w->dim[gradient], w->dim[!gradient]) * sizeof(float);
}

/* By rows where there are enough of them, else by panels. */
static void share_product(cpu_gemm *g, int thread, int threads)
{
    size_t begin, end, panels = CPU_NAME(gemm_panels)(g->n);
    if (g->m >= 8 * (size_t)threads) {
        cpu_range(g->m, 8, thread, threads, &begin, &end);
        g->a += begin * g->lda;
        g->c += begin * g->ldc;
        if (g->fold.residual != NULL)
            g->fold.residual += begin * g->ldc;
        g->m = end - begin;
        CPU_NAME(gemm_run)(g, 0, panels);
    } else {
        cpu_range(panels, 1, thread, threads, &begin, &end);
        CPU_NAME(gemm_run)(g, begin, end);
    }
}

static bool packs(const mdl_call *call)
{
    return mdl_shape_rows(&call->in[0].shape) >= PACK_FROM_ROWS;
}

bool CPU_NAME(linear_direct)(const mdl_call *call)
{
    return call->variant > 0 || (!packs(call) && !cpu_folds(call));
}

void CPU_NAME(linear_before)(const mdl_call *call, int share, int shares)
{
    if (packs(call))
        pack(call, false, share, shares);
    cpu_fold_prepare(call, share, shares);
}

void CPU_NAME(linear)(mdl_device *device, const mdl_call *call, int thread, int threads)
{
    (void)device;
    if (call->variant > 0) {
        cpu_blas_linear(call, thread, threads);
        return;
    }
    cpu_gemm g = product_of(call, false);
    if (packs(call))
        use_packed(&g, call);
    share_product(&g, thread, threads);
}

void CPU_NAME(linear_prepare)(const mdl_call *call, int thread, int threads)
{
    if (call->variant == 0)
        pack(call, false, thread, threads);
    cpu_fold_prepare(call, thread, threads);
}

void CPU_NAME(linear_tile)(const mdl_call *slice, const cpu_tile *t)
{
    tile(slice, false, t);
}

size_t CPU_NAME(linear_workspace)(const mdl_call *call, int threads)
{
    (void)threads;
    bool normal = call->interleave.tile == 0 && !packs(call);
    size_t packed = normal ? 0 : packed_bytes(call, false);
    return cpu_fold_size(call) * sizeof(float) + packed;
}

bool CPU_NAME(linear_grad_input_direct)(const mdl_call *call)
{
    return call->variant > 0;
}

void CPU_NAME(linear_grad_input)(mdl_device *device, const mdl_call *call, int thread, int threads)
{
    (void)device;
    if (call->variant > 0) {
        cpu_blas_linear(call, thread, threads);
        return;
    }
    cpu_gemm g = product_of(call, true);
    use_packed(&g, call);
    share_product(&g, thread, threads);
}

void CPU_NAME(linear_grad_input_prepare)(const mdl_call *call, int thread, int threads)
{
    if (call->variant == 0)
        pack(call, true, thread, threads);
}

void CPU_NAME(linear_grad_input_tile)(const mdl_call *slice, const cpu_tile *t)
{
    tile(slice, true, t);
}

size_t CPU_NAME(linear_grad_input_workspace)(const mdl_call *call, int threads)
{
    (void)threads;
    return packed_bytes(call, true);
}

size_t CPU_NAME(linear_tiles)(const mdl_call *call)
{
    return cpu_tiles(&call->in[0].shape, &call->out[0].shape);
}

/* ---- weight gradient ------------------------------------------------------------------------ */

/* dw[c, k] = sum over rows of x[., c] dy[., k].  Where dw has too few blocks to share among
 * threads, the rows are cut into a fixed number of chunks, each with a sum of its own.  The
 * number depends on the shape only, so the result does not depend on the number of threads. */
#define GRAD_ROWS       256 /* rows whose part of x and dy stays in the second-level cache */
#define GRAD_MAX_CHUNKS 16
#define GRAD_BLOCK      8 /* rows of dw that are shared out as one */

static cpu_gemm grad_product(const mdl_call *call)
{
    size_t c = mdl_shape_last(&call->in[0].shape), k = mdl_shape_last(&call->in[1].shape);
    return (cpu_gemm){.a = cpu_in(call, 0),
                      .lda = c,
                      .a_transposed = true,
                      .b = cpu_in(call, 1),
                      .ldb = k,
                      .c = cpu_out(call, 0),
                      .ldc = k,
                      .m = c,
                      .n = k,
                      .accumulate = cpu_accumulates(call, 0)};
}

static size_t grad_chunks(size_t m, size_t c, size_t k)
{
    size_t blocks = (c + GRAD_BLOCK - 1) / GRAD_BLOCK * CPU_NAME(gemm_panels)(k);
    if (blocks >= 64 || m < 2 * GRAD_ROWS)
        return 1;
    return mdl_min_size((m + GRAD_ROWS - 1) / GRAD_ROWS, GRAD_MAX_CHUNKS);
}

/* Rows [first, last) of the sum for rows [c_first, c_last) of dw. */
static void grad_rows(cpu_gemm g, size_t first, size_t last, size_t c_first, size_t c_last)
{
    size_t panels = CPU_NAME(gemm_panels)(g.n);
    const float *x = g.a + c_first, *dy = g.b;
    g.c += c_first * g.ldc;
    g.m = c_last - c_first;
    for (size_t row = first; row < last; row += GRAD_ROWS) {
        g.a = x + row * g.lda;
        g.b = dy + row * g.ldb;
        g.k = mdl_min_size(GRAD_ROWS, last - row);
        CPU_NAME(gemm_run)(&g, 0, panels);
        g.accumulate = true;
    }
}

static size_t grad_chunks_of(const mdl_call *call)
{
    return grad_chunks(mdl_shape_rows(&call->in[0].shape), mdl_shape_last(&call->in[0].shape),
                       mdl_shape_last(&call->in[1].shape));
}

bool CPU_NAME(linear_grad_weight_direct)(const mdl_call *call)
{
    return grad_chunks_of(call) == 1;
}

void CPU_NAME(linear_grad_weight_before)(const mdl_call *call, int share, int shares)
{
    cpu_gemm g = grad_product(call);
    size_t rows = mdl_shape_rows(&call->in[0].shape), chunks = grad_chunks_of(call), begin, end;
    cpu_range(chunks, 1, share, shares, &begin, &end);
    g.accumulate = false;
    for (size_t chunk = begin; chunk < end; chunk++) {
        size_t first, last;
        cpu_range(rows, GRAD_ROWS, (int)chunk, (int)chunks, &first, &last);
        g.c = (float *)call->workspace.host + chunk * g.m * g.n;
        grad_rows(g, first, last, 0, g.m);
    }
}

void CPU_NAME(linear_grad_weight)(mdl_device *device, const mdl_call *call, int thread, int threads)
{
    (void)device;
    size_t chunks = grad_chunks_of(call), begin, end;
    if (chunks > 1) {
        cpu_sum_partials(call, chunks, thread, threads);
        return;
    }
    cpu_gemm g = grad_product(call);
    cpu_range(g.m, GRAD_BLOCK, thread, threads, &begin, &end);
    grad_rows(g, 0, mdl_shape_rows(&call->in[0].shape), begin, end);
}

void CPU_NAME(linear_grad_weight_tile)(const mdl_call *slice, const cpu_tile *t)
{
    cpu_gemm g = grad_product(slice);
    g.c = (float *)slice->workspace.host + t->band * g.m * g.n;
    g.accumulate = !t->fresh;
    g.ahead = t->ahead;
    grad_rows(g, 0, mdl_shape_rows(&slice->in[0].shape), 0, g.m);
}

size_t CPU_NAME(linear_grad_weight_workspace)(const mdl_call *call, int threads)
{
    (void)threads;
    size_t c = mdl_shape_last(&call->in[0].shape), k = mdl_shape_last(&call->in[1].shape);
    size_t chunks =
        call->interleave.tile ? cpu_bands(call, call->interleave.tile) : grad_chunks_of(call);
    return chunks == 1 && !call->interleave.tile ? 0 : chunks * c * k * sizeof(float);
}

/* Not where the sums of the bands would be as much memory as the tensors themselves. */
size_t CPU_NAME(linear_grad_weight_tiles)(const mdl_call *call)
{
    size_t m = mdl_shape_rows(&call->in[0].shape);
    size_t c = mdl_shape_last(&call->in[0].shape), k = mdl_shape_last(&call->in[1].shape);
    if (2 * CPU_BANDS * c * k > m * (c + k))
        return 0;
    return cpu_tiles(&call->in[0].shape, &call->in[1].shape);
}
