/* LINEAR and LINEAR_GRAD_INPUT by OpenBLAS, LINEAR by LIBXSMM where the build has it (its generated
 * kernels take no transposed weights), on one thread of the team each: the rows are cut into chunks
 * that follow from the shape alone, so that the result does not depend on the number of threads
 * (OpenBLAS's sums may differ with the size of a product). */
#include "backends/cpu/blas.h"

#include <string.h>

#include <cblas.h>
#ifdef MDL_LIBXSMM
#include <libxsmm.h>
#endif

#define LEAST_ROWS  64 /* of a chunk: each packs the weights for itself */
#define MAX_CHUNKS  16
#define LARGEST_DIM 0x7fffffffu /* of blasint where it is an int */
#define XSMM_ROWS   64          /* of a generated kernel */

enum { OPENBLAS = 1, LIBXSMM = 2 }; /* mdl_call.variant */

const char *cpu_blas_variant(const mdl_device *device, const mdl_call *call, int i)
{
    (void)device;
    if (mdl_shape_rows(&call->in[0].shape) > LARGEST_DIM ||
        mdl_shape_count(&call->in[1].shape) > LARGEST_DIM)
        return NULL;
    if (i == OPENBLAS)
        return "openblas";
#ifdef MDL_LIBXSMM
    if (i == LIBXSMM && call->op == MDL_OP_LINEAR)
        return "libxsmm";
#endif
    return NULL;
}

/* y [m, n] = x [m, k] op(w) + beta y, all by rows without gaps; op(w) is w [k, n] or the transpose
 * of w [n, k]. */
static void by_openblas(const float *x, const float *w, bool transposed, float beta, float *y,
                        size_t m, size_t n, size_t k)
{
    cblas_sgemm(CblasRowMajor, CblasNoTrans, transposed ? CblasTrans : CblasNoTrans, (blasint)m,
                (blasint)n, (blasint)k, 1.0f, x, (blasint)k, w, (blasint)(transposed ? k : n), beta,
                y, (blasint)n);
}

#ifdef MDL_LIBXSMM
/* The same with w as it lies.  LIBXSMM thinks in columns, so there it is y' = w' x' + beta y'.  A
 * kernel is generated when its shape comes first and found again afterwards, by any thread; where
 * it generates none (other processors, very few columns) OpenBLAS takes the rows. */
static void by_libxsmm(const float *x, const float *w, float beta, float *y, size_t m, size_t n,
                       size_t k)
{
    for (size_t row = 0; row < m; row += XSMM_ROWS) {
        size_t rows = mdl_min_size(XSMM_ROWS, m - row);
        libxsmm_smmfunction kernel =
            libxsmm_smmdispatch((libxsmm_blasint)n, (libxsmm_blasint)rows, (libxsmm_blasint)k, NULL,
                                NULL, NULL, NULL, &beta, NULL, NULL);
        if (kernel)
            kernel(w, x + row * k, y + row * n);
        else
            by_openblas(x + row * k, w, false, beta, y + row * n, rows, n, k);
    }
}
#endif

/* Rows [first, last) of y = x w + bias, or of dx = dy w^T. */
static void multiply(const mdl_call *call, size_t first, size_t last)
{
    bool gradient = call->op == MDL_OP_LINEAR_GRAD_INPUT;
    size_t c = call->in[1].shape.dim[0], k = call->in[1].shape.dim[1];
    size_t depth = gradient ? k : c, width = gradient ? c : k;
    const float *x = cpu_in(call, 0) + first * depth, *w = cpu_in(call, 1);
    float *y = cpu_out(call, 0) + first * width;
    float beta = cpu_accumulates(call, 0) ? 1.0f : 0.0f;
    if (!gradient && cpu_has(call, 2)) {
        for (size_t row = 0; row < last - first; row++)
            for (size_t j = 0; j < width; j++)
                y[row * width + j] = cpu_in(call, 2)[j] + (beta > 0 ? y[row * width + j] : 0.0f);
        beta = 1.0f;
    }
#ifdef MDL_LIBXSMM
    if (call->variant == LIBXSMM) {
        by_libxsmm(x, w, beta, y, last - first, width, depth);
        return;
    }
#endif
    by_openblas(x, w, gradient, beta, y, last - first, width, depth);
}

void cpu_blas_linear(const mdl_call *call, int thread, int threads)
{
    size_t rows = mdl_shape_rows(&call->in[0].shape), begin, end, first, last;
    size_t chunks = mdl_max_size(1, mdl_min_size(rows / LEAST_ROWS, MAX_CHUNKS));
    cpu_range(chunks, 1, thread, threads, &begin, &end);
    for (size_t chunk = begin; chunk < end; chunk++) {
        cpu_range(rows, 8, (int)chunk, (int)chunks, &first, &last);
        if (first < last)
            multiply(call, first, last);
    }
}

void cpu_blas_linear_tile(const mdl_call *slice)
{
    multiply(slice, 0, mdl_shape_rows(&slice->in[0].shape));
}
