/* Sums over fixed chunks of rows, added in a fixed order: the same result on any number of
 * threads. */
#ifndef MDL_CPU_SUMS_H
#define MDL_CPU_SUMS_H

#include <string.h>

#include "backends/cpu/cpu_internal.h"

/* out[i] (+)= partial[0][i] + partial[1][i] + ..., for this thread's part of the elements. */
static inline void cpu_sum_partials(float *restrict out, const float *restrict partial,
                                    size_t count, size_t chunks, bool accumulate, int thread,
                                    int threads)
{
    size_t begin, end, block = 512;
    cpu_range(count, 16, thread, threads, &begin, &end);
    for (size_t first = begin; first < end; first += block) {
        size_t last = mdl_min_size(end, first + block);
        for (size_t chunk = 0; chunk < chunks; chunk++) {
            const float *from = partial + chunk * count;
            if (chunk == 0 && !accumulate)
                memcpy(out + first, from + first, (last - first) * sizeof(float));
            else
                for (size_t i = first; i < last; i++)
                    out[i] += from[i];
        }
    }
}

#endif
