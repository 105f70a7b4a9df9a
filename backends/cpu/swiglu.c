/* SWIGLU and its gradient; rows are shared among the threads. */
#include "backends/cpu/cpu_internal.h"
#include "backends/cpu/cpu_math.h"
#include "backends/cpu/simd.h"

void CPU_NAME(swiglu)(mdl_device *device, const mdl_call *call, int thread, int threads)
{
    (void)device;
    const mdl_shape *shape = &call->out[0].shape;
    size_t d = mdl_shape_last(shape), begin, end;
    cpu_range(mdl_shape_rows(shape), 1, thread, threads, &begin, &end);
    for (size_t row = begin; row < end; row++) {
        const float *restrict g = cpu_in(call, 0) + row * 2 * d, *restrict u = g + d;
        float *restrict y = cpu_out(call, 0) + row * d;
        for (size_t c = 0; c < d; c++)
            y[c] = g[c] * cpu_sigmoidf(g[c]) * u[c];
    }
}

/* With s = sigmoid(g): dg = dy u s (1 + g (1 - s)), du = dy g s. */
CPU_INLINE void grad_row(const float *restrict dy, const float *restrict g, const float *restrict u,
                         float *restrict dg, float *restrict du, size_t d, bool accumulate)
{
    for (size_t c = 0; c < d; c++) {
        float s = cpu_sigmoidf(g[c]), slope = s * (1.0f + g[c] * (1.0f - s));
        cpu_put(&dg[c], dy[c] * u[c] * slope, accumulate);
        cpu_put(&du[c], dy[c] * g[c] * s, accumulate);
    }
}

void CPU_NAME(swiglu_grad)(mdl_device *device, const mdl_call *call, int thread, int threads)
{
    (void)device;
    const mdl_shape *shape = &call->in[0].shape;
    size_t d = mdl_shape_last(shape), begin, end;
    cpu_range(mdl_shape_rows(shape), 1, thread, threads, &begin, &end);
    for (size_t row = begin; row < end; row++) {
        const float *dy = cpu_in(call, 0) + row * d, *gu = cpu_in(call, 1) + row * 2 * d;
        float *dgu = cpu_out(call, 0) + row * 2 * d;
        if (cpu_accumulates(call, 0))
            grad_row(dy, gu, gu + d, dgu, dgu + d, d, true);
        else
            grad_row(dy, gu, gu + d, dgu, dgu + d, d, false);
    }
}
