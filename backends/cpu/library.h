/* What the module of library products gives to the CPU backend.  It is a module, loaded at the
 * first call for which a tuning table asks for a library, since OpenBLAS takes 128 MiB of address
 * space for each thread that it starts when it is loaded, and ends a process badly that has not got
 * them.
 */
#ifndef MDL_CPU_LIBRARY_H
#define MDL_CPU_LIBRARY_H

#include <stdbool.h>
#include <stddef.h>

/* y [m, n] = x [m, k] op(w) + beta y, all by rows without gaps; op(w) is w [k, n] or the transpose
 * of w [n, k].  On the calling thread alone. */
typedef void cpu_library_product(const float *x, const float *w, bool transposed, float beta,
                                 float *y, size_t m, size_t n, size_t k);

typedef struct cpu_library {
    cpu_library_product *openblas;
    cpu_library_product *libxsmm; /* never transposed; NULL: built without */
} cpu_library;

#define CPU_LIBRARY_SYMBOL "cpu_library_open" /* of the function below */
const cpu_library *cpu_library_open(void);

#endif
