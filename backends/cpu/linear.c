/* LINEAR and its gradients: products of a tall, skinny matrix with a small one.  This is where the
 * 1x1 convolutions go. */
#include "backends/cpu/gemm.h"
#include "backends/cpu/sums.h"

/* With fewer rows the weights are used as they lie: packing them would cost too much. */
#define PACK_FROM_ROWS 24

/* c[m, n] (+)= a[m, k] b, by rows where there are enough of them, else by panels. */
static void share_product(cpu_gemm *g, int thread, int threads)
{
    size_t begin, end, panels = CPU_NAME(gemm_panels)(g->n);
    if (g->m >= 8 * (size_t)threads) {
        cpu_range(g->m, 8, thread, threads, &begin, &end);
        g->a += begin * g->lda;
        g->c += begin * g->ldc;
        g->m = end - begin;
        CPU_NAME(gemm_run)(g, 0, panels);
    } else {
        cpu_range(panels, 1, thread, threads, &begin, &end);
        CPU_NAME(gemm_run)(g, begin, end);
    }
}

static void pack_shared(mdl_device *device, const mdl_call *call, cpu_gemm *g, bool transposed,
                        int thread, int threads)
{
    float *packed = call->workspace.host;
    size_t begin, end;
    cpu_range(CPU_NAME(gemm_panels)(g->n), 1, thread, threads, &begin, &end);
    CPU_NAME(gemm_pack)(packed, g->b, g->ldb, transposed, g->k, g->n, begin, end);
    g->b = packed;
    g->ldb = 0;
    cpu_barrier(device);
}

void CPU_NAME(linear)(mdl_device *device, const mdl_call *call, int thread, int threads)
{
    const mdl_shape *w = &call->in[1].shape;
    size_t c = w->dim[0], k = w->dim[1];
    cpu_gemm g = {.a = cpu_in(call, 0),
                  .lda = c,
                  .b = cpu_in(call, 1),
                  .ldb = k,
                  .bias = cpu_has(call, 2) ? cpu_in(call, 2) : NULL,
                  .c = cpu_out(call, 0),
                  .ldc = k,
                  .m = mdl_shape_rows(&call->in[0].shape),
                  .k = c,
                  .n = k,
                  .accumulate = cpu_accumulates(call, 0)};
    if (g.m >= PACK_FROM_ROWS)
        pack_shared(device, call, &g, false, thread, threads);
    share_product(&g, thread, threads);
}

size_t CPU_NAME(linear_workspace)(const mdl_call *call, int threads)
{
    (void)threads;
    const mdl_shape *w = &call->in[1].shape;
    if (mdl_shape_rows(&call->in[0].shape) < PACK_FROM_ROWS)
        return 0;
    return CPU_NAME(gemm_packed_size)(w->dim[0], w->dim[1]) * sizeof(float);
}

void CPU_NAME(linear_grad_input)(mdl_device *device, const mdl_call *call, int thread, int threads)
{
    const mdl_shape *w = &call->in[1].shape;
    size_t c = w->dim[0], k = w->dim[1];
    cpu_gemm g = {.a = cpu_in(call, 0),
                  .lda = k,
                  .b = cpu_in(call, 1),
                  .ldb = k,
                  .c = cpu_out(call, 0),
                  .ldc = c,
                  .m = mdl_shape_rows(&call->in[0].shape),
                  .k = k,
                  .n = c,
                  .accumulate = cpu_accumulates(call, 0)};
    pack_shared(device, call, &g, true, thread, threads);
    share_product(&g, thread, threads);
}

size_t CPU_NAME(linear_grad_input_workspace)(const mdl_call *call, int threads)
{
    (void)threads;
    const mdl_shape *w = &call->in[1].shape;
    return CPU_NAME(gemm_packed_size)(w->dim[1], w->dim[0]) * sizeof(float);
}

/* ---- weight gradient ----------------------------------------------------------------------------
 */

/* dw[c, k] = sum over rows of x[., c] dy[., k].  Where dw has too few blocks to share among
 * threads, the rows are cut into a fixed number of chunks, each with a sum of its own.  The
 * number depends on the shape only, so the result does not depend on the number of threads. */
#define GRAD_ROWS       256 /* rows whose part of x and dy stays in the second-level cache */
#define GRAD_MAX_CHUNKS 16
#define GRAD_BLOCK      8 /* rows of dw that are shared out as one */

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

void CPU_NAME(linear_grad_weight)(mdl_device *device, const mdl_call *call, int thread, int threads)
{
    size_t m = mdl_shape_rows(&call->in[0].shape);
    size_t c = mdl_shape_last(&call->in[0].shape), k = mdl_shape_last(&call->in[1].shape);
    size_t chunks = grad_chunks(m, c, k), begin, end;
    cpu_gemm g = {.a = cpu_in(call, 0),
                  .lda = c,
                  .a_transposed = true,
                  .b = cpu_in(call, 1),
                  .ldb = k,
                  .c = cpu_out(call, 0),
                  .ldc = k,
                  .n = k,
                  .accumulate = cpu_accumulates(call, 0)};
    if (chunks == 1) {
        cpu_range(c, GRAD_BLOCK, thread, threads, &begin, &end);
        grad_rows(g, 0, m, begin, end);
        return;
    }
    float *partial = call->workspace.host;
    cpu_range(chunks, 1, thread, threads, &begin, &end);
    for (size_t chunk = begin; chunk < end; chunk++) {
        size_t first, last;
        cpu_range(m, GRAD_ROWS, (int)chunk, (int)chunks, &first, &last);
        g.c = partial + chunk * c * k;
        g.accumulate = false;
        grad_rows(g, first, last, 0, c);
    }
    cpu_barrier(device);
    cpu_sum_partials(cpu_out(call, 0), partial, c * k, chunks, cpu_accumulates(call, 0), thread,
                     threads);
}

size_t CPU_NAME(linear_grad_weight_workspace)(const mdl_call *call, int threads)
{
    (void)threads;
    size_t m = mdl_shape_rows(&call->in[0].shape);
    size_t c = mdl_shape_last(&call->in[0].shape), k = mdl_shape_last(&call->in[1].shape);
    size_t chunks = grad_chunks(m, c, k);
    return chunks == 1 ? 0 : chunks * c * k * sizeof(float);
}
