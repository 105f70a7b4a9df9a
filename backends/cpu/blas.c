/* LINEAR and LINEAR_GRAD_INPUT by OpenBLAS, on one thread of the team each: the rows are cut into
 * chunks that follow from the shape alone, so that the result does not depend on the number of
 * threads (OpenBLAS's sums may differ with the size of a product). */
#include "backends/cpu/blas.h"

#include <string.h>

#include <cblas.h>

#define LEAST_ROWS  64 /* of a chunk: each packs the weights for itself */
#define MAX_CHUNKS  16
#define LARGEST_DIM 0x7fffffffu /* of blasint where it is an int */

const char *cpu_blas_variant(const mdl_device *device, const mdl_call *call, int i)
{
    (void)device;
    bool fits = mdl_shape_rows(&call->in[0].shape) <= LARGEST_DIM &&
                mdl_shape_count(&call->in[1].shape) <= LARGEST_DIM;
    return i == 1 && fits ? "openblas" : NULL;
}

/* Rows [first, last) of y = x w + bias, or of dx = dy w^T. */
static void multiply(const mdl_call *call, size_t first, size_t last)
{
    bool gradient = call->op == MDL_OP_LINEAR_GRAD_INPUT;
    const float *w = cpu_in(call, 1);
    size_t c = call->in[1].shape.dim[0], k = call->in[1].shape.dim[1];
    size_t depth = gradient ? k : c, width = gradient ? c : k;
    float *y = cpu_out(call, 0) + first * width;
    float beta = cpu_accumulates(call, 0) ? 1.0f : 0.0f;
    if (!gradient && cpu_has(call, 2)) {
        for (size_t row = 0; row < last - first; row++)
            for (size_t j = 0; j < width; j++)
                y[row * width + j] = cpu_in(call, 2)[j] + (beta > 0 ? y[row * width + j] : 0.0f);
        beta = 1.0f;
    }
    cblas_sgemm(CblasRowMajor, CblasNoTrans, gradient ? CblasTrans : CblasNoTrans,
                (blasint)(last - first), (blasint)width, (blasint)depth, 1.0f,
                cpu_in(call, 0) + first * depth, (blasint)depth, w, (blasint)k, beta, y,
                (blasint)width);
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
