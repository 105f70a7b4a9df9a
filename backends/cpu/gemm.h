/* Products of small and skinny matrices, for one thread.  Row-major; sizes in elements. */
#ifndef MDL_CPU_GEMM_H
#define MDL_CPU_GEMM_H

#include "backends/cpu/fold.h"

/* A right-hand matrix b[k, n] is cut into panels of whole vectors, each contiguous: k rows of
 * the panel's width, zeros behind column n. */
size_t CPU_NAME(gemm_panels)(size_t n);
size_t CPU_NAME(gemm_packed_size)(size_t k, size_t n); /* floats */
/* Pack panels [first, last) of b[k, n] or, transposed, of the b whose transpose is stored as
 * [n, k]; ldb is the stride of the stored rows. */
void CPU_NAME(gemm_pack)(float *packed, const float *b, size_t ldb, bool transposed, size_t k,
                         size_t n, size_t first, size_t last);

typedef struct cpu_gemm {
    const float *a; /* [m, k], or [k, m] where a_transposed */
    size_t lda;     /* stride of its stored rows */
    bool a_transposed;
    const float *b;    /* packed, or [k, n] as it is where ldb > 0 */
    size_t ldb;        /* stride of the rows of an unpacked b; 0: packed */
    const float *bias; /* [n] or NULL */
    float *c;          /* [m, n] */
    size_t ldc;
    size_t m, k, n;
    bool accumulate; /* c += instead of c = */
    /* Where a is not one matrix but several side by side, whose products are added: how many (0 is
     * 1), and from the start of one to that of the next.  Those of b, of k rows each, follow one
     * another. */
    size_t pieces, a_jump;
    cpu_ahead *ahead; /* what to fetch on the way, or NULL */
    cpu_fold fold;    /* of all n columns; its residual lies as c does.  Not with a_transposed */
} cpu_gemm;

/* Panels [first, last) of the product. Each element is one sum in the order of k. */
void CPU_NAME(gemm_run)(const cpu_gemm *g, size_t first, size_t last);

#endif
