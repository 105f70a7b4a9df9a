/* Sums over fixed chunks of rows, added in a fixed order: the same result on any number of
 * threads. */
#ifndef MDL_CPU_SUMS_H
#define MDL_CPU_SUMS_H

#include <string.h>

#include "backends/cpu/cpu_internal.h"

/* out[0] (+)= the sums of the chunks, which lie in the workspace one behind the other; this
 * thread's part of the elements. */
static inline void cpu_sum_partials(const mdl_call *call, size_t chunks, int thread, int threads)
{
    float *restrict out = cpu_out(call, 0);
    const float *restrict partial = call->workspace.host;
    size_t count = mdl_shape_count(&call->out[0].shape), begin, end, block = 512;
    cpu_range(count, 16, thread, threads, &begin, &end);
    for (size_t first = begin; first < end; first += block) {
        size_t last = mdl_min_size(end, first + block);
        for (size_t chunk = 0; chunk < chunks; chunk++) {
            const float *from = partial + chunk * count;
            if (chunk == 0 && !cpu_accumulates(call, 0))
                memcpy(out + first, from + first, (last - first) * sizeof(float));
            else
                for (size_t i = first; i < last; i++)
                    out[i] += from[i];
        }
    }
}

#endif
