/* LINEAR and LINEAR_GRAD_INPUT by OpenBLAS, LINEAR by LIBXSMM where the build has it (its generated
 * kernels take no transposed weights), on one thread of the team each: the rows are cut into chunks
 * that follow from the shape alone, so that the result does not depend on the number of threads
 * (OpenBLAS's sums may differ with the size of a product). */
#include "backends/cpu/blas.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "backends/cpu/library.h"

#define LEAST_ROWS  64 /* of a chunk: each packs the weights for itself */
#define MAX_CHUNKS  16
#define LARGEST_DIM 0x7fffffffu /* of blasint where it is an int */
#define MODULE      "mendel_products" MDL_LIBRARY_SUFFIX
/* OpenBLAS reads it as it is loaded, and would start a thread for each processor. */
#define THREADS "OPENBLAS_NUM_THREADS"

enum { OPENBLAS = 1, LIBXSMM = 2 }; /* mdl_call.variant */

static const cpu_library *library; /* NULL: not there */

static void load(void)
{
    void *symbol;
    const cpu_library *(*open)(void);
    char *before = NULL;
    if (getenv(THREADS) != NULL && mdl_strdup(getenv(THREADS), &before) != MDL_OK)
        return;
    setenv(THREADS, "1", 1);
    mdl_status status = mdl_module_symbol(MODULE, CPU_LIBRARY_SYMBOL, &symbol);
    if (before != NULL)
        setenv(THREADS, before, 1);
    else
        unsetenv(THREADS);
    mdl_free(before);
    if (status != MDL_OK) {
        mdl_log(MDL_LOG_WARN, "no products by OpenBLAS: %s", mdl_error_detail());
        return;
    }
    memcpy(&open, &symbol, sizeof(open)); /* C has no cast from an object to a function */
    library = open();
}

const char *cpu_blas_variant(const mdl_device *device, const mdl_call *call, int i)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)device;
    if (mdl_shape_rows(&call->in[0].shape) > LARGEST_DIM ||
        mdl_shape_count(&call->in[1].shape) > LARGEST_DIM)
        return NULL;
    pthread_once(&once, load);
    if (library == NULL)
        return NULL;
    if (i == OPENBLAS)
        return "openblas";
    return i == LIBXSMM && library->libxsmm != NULL && call->op == MDL_OP_LINEAR ? "libxsmm" : NULL;
}

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
    cpu_library_product *product = call->variant == LIBXSMM ? library->libxsmm : library->openblas;
    product(x, w, gradient, beta, y, last - first, width, depth);
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
