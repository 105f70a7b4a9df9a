/* Private to the CPU backend: what its kernels share.
 *
 * Kernel files are compiled once for each instruction set ("variant"), with other target flags and
 * another CPU_VARIANT, so every function with external linkage in them takes its name from
 * CPU_NAME: CPU_NAME(linear) is cpu_linear_avx2 in the AVX2 build.  cpu.c, which is compiled once,
 * chooses a variant when a device is opened. */
#ifndef MDL_CPU_INTERNAL_H
#define MDL_CPU_INTERNAL_H

#include "backends/backend.h"

#define CPU_JOIN_(lower, variant) cpu_##lower##_##variant
#define CPU_JOIN(lower, variant)  CPU_JOIN_(lower, variant)
#define CPU_NAME(lower)           CPU_JOIN(lower, CPU_VARIANT)

/* Every thread of the team waits until all have come.  Kernels with several phases use it between
 * them; all threads must pass the same barriers, those without work too. */
void cpu_barrier(mdl_device *device);

/* The part [*begin, *end) of n items that falls to `thread`, in multiples of `grain` (> 0). */
static inline void cpu_range(size_t n, size_t grain, int thread, int threads, size_t *begin,
                             size_t *end)
{
    size_t units = (n + grain - 1) / grain;
    size_t each = units / (size_t)threads, more = units % (size_t)threads, t = (size_t)thread;
    size_t first = t * each + mdl_min_size(t, more);
    size_t last = first + each + (t < more ? 1 : 0);
    *begin = mdl_min_size(n, first * grain);
    *end = mdl_min_size(n, last * grain);
}

/* Data of an input or output; the backend computes in float32 only. */
static inline const float *cpu_in(const mdl_call *call, int i)
{
    return call->in[i].host;
}
static inline float *cpu_out(const mdl_call *call, int i)
{
    return call->out[i].host;
}
static inline bool cpu_has(const mdl_call *call, int i)
{
    return i < call->n_in && call->in[i].shape.rank > 0;
}
static inline bool cpu_accumulates(const mdl_call *call, int output)
{
    return (call->accumulate >> output & 1u) != 0;
}

#ifdef CPU_VARIANT

/* One kernel for each op, cpu_<op>_<variant>; those that are not written are not in the table of
 * kernels.c.  Where a kernel needs workspace, CPU_NAME(<op>_workspace) beside it tells how much. */
#define X(upper, lower)                                                                            \
    void CPU_NAME(lower)(mdl_device * device, const mdl_call *call, int thread, int threads);      \
    size_t CPU_NAME(lower##_workspace)(const mdl_call *call, int threads);
MDL_OP_LIST(X)
#undef X

bool CPU_NAME(batch_norm_supports)(const mdl_call *call);
extern const mdl_kernel CPU_NAME(kernels)[MDL_OP_COUNT];

#endif
#endif
