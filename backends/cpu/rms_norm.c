/* RMS_NORM and its gradient; rows are shared among the threads. */
#include <math.h>

#include "backends/cpu/cpu_internal.h"
#include "backends/cpu/cpu_math.h"
#include "backends/cpu/simd.h"

void CPU_NAME(rms_norm)(mdl_device *device, const mdl_call *call, int thread, int threads)
{
    (void)device;
    const mdl_shape *shape = &call->in[0].shape;
    size_t d = mdl_shape_last(shape), begin, end;
    float eps = (float)call->attrs->norm.eps;
    cpu_range(mdl_shape_rows(shape), 1, thread, threads, &begin, &end);
    for (size_t row = begin; row < end; row++) {
        const float *restrict x = cpu_in(call, 0) + row * d;
        float *restrict y = cpu_out(call, 0) + row * d;
        float sum = 0;
#pragma omp simd reduction(+ : sum)
        for (size_t c = 0; c < d; c++)
            sum += x[c] * x[c];
        float inv = 1.0f / sqrtf(sum / (float)d + eps);
        for (size_t c = 0; c < d; c++)
            y[c] = x[c] * inv;
        cpu_out(call, 1)[row] = inv;
    }
}

/* With n = x * inv: dx = inv * (dy - n * mean(dy * n)) = inv * dy - x * inv^3 * mean(dy * x). */
CPU_INLINE void grad_row(const float *restrict dy, const float *restrict x, float inv,
                         float *restrict dx, size_t d, bool accumulate)
{
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (size_t c = 0; c < d; c++)
        sum += dy[c] * x[c];
    float back = sum * inv / (float)d * inv * inv;
    for (size_t c = 0; c < d; c++)
        cpu_put(&dx[c], inv * dy[c] - x[c] * back, accumulate);
}

void CPU_NAME(rms_norm_grad)(mdl_device *device, const mdl_call *call, int thread, int threads)
{
    (void)device;
    const mdl_shape *shape = &call->in[1].shape;
    size_t d = mdl_shape_last(shape), begin, end;
    cpu_range(mdl_shape_rows(shape), 1, thread, threads, &begin, &end);
    for (size_t row = begin; row < end; row++) {
        const float *dy = cpu_in(call, 0) + row * d, *x = cpu_in(call, 1) + row * d;
        float inv = cpu_in(call, 2)[row], *dx = cpu_out(call, 0) + row * d;
        if (cpu_accumulates(call, 0))
            grad_row(dy, x, inv, dx, d, true);
        else
            grad_row(dy, x, inv, dx, d, false);
    }
}
