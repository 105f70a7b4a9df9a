/* Products by OpenBLAS or LIBXSMM, for the calls for which a tuning table says that it is faster.
 */
#ifndef MDL_CPU_BLAS_H
#define MDL_CPU_BLAS_H

#include "backends/cpu/cpu_internal.h"

/* mdl_kernel.variant of LINEAR and LINEAR_GRAD_INPUT: "openblas", and "libxsmm" where it was built
 * with. */
const char *cpu_blas_variant(const mdl_device *device, const mdl_call *call, int i);

/* The whole call, shared by the team; or one tile of it. */
void cpu_blas_linear(const mdl_call *call, int thread, int threads);
void cpu_blas_linear_tile(const mdl_call *slice);

#endif
