/* What the two losses share. */
#ifndef MDL_CPU_LOSSES_H
#define MDL_CPU_LOSSES_H

#include "backends/cpu/cpu_internal.h"

/* The index of the largest element, the first of several. */
static inline size_t cpu_argmax(const float *x, size_t n)
{
    size_t best = 0;
    for (size_t c = 1; c < n; c++) {
        if (x[c] > x[best])
            best = c;
    }
    return best;
}

/* How many labels are not negative. */
static inline size_t cpu_valid(const mdl_view *labels)
{
    const int32_t *label = labels->host;
    size_t valid = 0, n = mdl_shape_count(&labels->shape);
    for (size_t i = 0; i < n; i++)
        valid += label[i] >= 0 ? 1 : 0;
    return valid;
}

#endif
