/* Loops over groups of channels (the last dimension) and rows, for kernels that keep something for
 * each channel in registers while rows pass. */
#ifndef MDL_CPU_CHANNELS_H
#define MDL_CPU_CHANNELS_H

#include <math.h>

#include "backends/cpu/cpu_internal.h"
#include "backends/cpu/simd.h"

/* Rows that stay in the first-level cache while the groups of channels pass. */
#define CPU_ROW_BLOCK 64
/* Most vectors of a group. */
#define CPU_GROUP 4

/* Calls body(c, vectors, lanes) for the channels [begin, end) in groups: `vectors` is a constant
 * 4, 2 or 1, and `lanes` is the number of channels in the group's last vector. */
#define CPU_FOR_GROUPS(begin, end, body)                                                           \
    for (size_t c_ = (begin), left_ = 0; c_ < (end); c_ += left_) {                                \
        left_ = (end)-c_;                                                                          \
        if (left_ >= 4 * CPU_LANES) {                                                              \
            left_ = 4 * CPU_LANES;                                                                 \
            body(c_, 4, CPU_LANES);                                                                \
        } else if (left_ >= 2 * CPU_LANES) {                                                       \
            left_ = 2 * CPU_LANES;                                                                 \
            body(c_, 2, CPU_LANES);                                                                \
        } else {                                                                                   \
            left_ = mdl_min_size(left_, CPU_LANES);                                                \
            body(c_, 1, left_);                                                                    \
        }                                                                                          \
    }

/* Vector v of `vectors`, of which the last has `lanes` lanes. */
CPU_INLINE cpu_vec cpu_load_group(const float *p, size_t v, size_t vectors, size_t lanes)
{
    return vectors == 1 ? cpu_load_n(p, lanes) : cpu_load(p + v * CPU_LANES);
}
CPU_INLINE void cpu_store_group(float *p, cpu_vec value, size_t v, size_t vectors, size_t lanes)
{
    if (vectors == 1)
        cpu_store_n(p, value, lanes);
    else
        cpu_store(p + v * CPU_LANES, value);
}

/* Activations that are a clamp: y = min(high, max(low, x)), slope 1 strictly between. */
typedef struct cpu_clamp {
    float low, high;
} cpu_clamp;

static inline bool cpu_is_clamp(mdl_act act)
{
    return act == MDL_ACT_NONE || act == MDL_ACT_RELU || act == MDL_ACT_RELU6;
}
static inline cpu_clamp cpu_clamp_of(mdl_act act)
{
    return (cpu_clamp){act == MDL_ACT_NONE ? -INFINITY : 0.0f,
                       act == MDL_ACT_RELU6 ? 6.0f : INFINITY};
}

#endif
