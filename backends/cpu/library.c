/* The module of library products (library.h): it alone needs OpenBLAS, and LIBXSMM where the build
 * has it. */
#include "backends/cpu/library.h"

#include <cblas.h>
#ifdef MDL_LIBXSMM
#include <libxsmm.h>
#endif

#define XSMM_ROWS 64 /* of a generated kernel */

static void by_openblas(const float *x, const float *w, bool transposed, float beta, float *y,
                        size_t m, size_t n, size_t k)
{
    cblas_sgemm(CblasRowMajor, CblasNoTrans, transposed ? CblasTrans : CblasNoTrans, (blasint)m,
                (blasint)n, (blasint)k, 1.0f, x, (blasint)k, w, (blasint)(transposed ? k : n), beta,
                y, (blasint)n);
}

#ifdef MDL_LIBXSMM
/* LIBXSMM thinks in columns, so there it is y' = w' x' + beta y'.  A kernel is generated when its
 * shape comes first and found again afterwards, by any thread; where it generates none (other
 * processors, very few columns) OpenBLAS takes the rows. */
static void by_libxsmm(const float *x, const float *w, bool transposed, float beta, float *y,
                       size_t m, size_t n, size_t k)
{
    for (size_t row = 0; row < m; row += XSMM_ROWS) {
        size_t rows = m - row < XSMM_ROWS ? m - row : XSMM_ROWS;
        libxsmm_smmfunction kernel =
            libxsmm_smmdispatch((libxsmm_blasint)n, (libxsmm_blasint)rows, (libxsmm_blasint)k, NULL,
                                NULL, NULL, NULL, &beta, NULL, NULL);
        if (kernel != NULL)
            kernel(w, x + row * k, y + row * n);
        else
            by_openblas(x + row * k, w, transposed, beta, y + row * n, rows, n, k);
    }
}
#endif

const cpu_library *cpu_library_open(void)
{
    static const cpu_library library = {
        .openblas = by_openblas,
#ifdef MDL_LIBXSMM
        .libxsmm = by_libxsmm,
#endif
    };
    openblas_set_num_threads(1); /* the team's threads call it */
    return &library;
}
