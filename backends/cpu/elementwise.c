/* ACTIVATION and its gradient, ADD, SCALE, FILL: plain loops, which the compiler vectorises. */
#include <math.h>

#include "backends/cpu/cpu_internal.h"

#define GRAIN 256 /* elements; parts of threads start on other cache lines */

/* This thread's part of the first output. */
static size_t part(const mdl_call *call, int thread, int threads, size_t *begin)
{
    size_t end;
    cpu_range(mdl_shape_count(&call->out[0].shape), GRAIN, thread, threads, begin, &end);
    return end;
}

static inline float sigmoid(float x)
{
    return 1.0f / (1.0f + expf(-x));
}

/* Comparisons are so written that a NaN passes. */
static inline float apply(mdl_act act, float x)
{
    float low = x < 0.0f ? 0.0f : x;
    switch (act) {
    case MDL_ACT_RELU:
        return low;
    case MDL_ACT_RELU6:
        return low > 6.0f ? 6.0f : low;
    case MDL_ACT_SILU:
        return x * sigmoid(x);
    default:
        return x;
    }
}

/* dy times the slope at x. */
static inline float slope(mdl_act act, float dy, float x)
{
    float s;
    switch (act) {
    case MDL_ACT_RELU:
        return x > 0.0f ? dy : 0.0f;
    case MDL_ACT_RELU6:
        return x > 0.0f && x < 6.0f ? dy : 0.0f;
    case MDL_ACT_SILU:
        s = sigmoid(x);
        return dy * (s + x * s * (1.0f - s));
    default:
        return dy;
    }
}

/* One loop for each kind, so that the choice stands outside of it. */
#define FOR_EACH_ACT(kind, loop)                                                                   \
    switch (kind) {                                                                                \
    case MDL_ACT_RELU:                                                                             \
        loop(MDL_ACT_RELU);                                                                        \
        break;                                                                                     \
    case MDL_ACT_RELU6:                                                                            \
        loop(MDL_ACT_RELU6);                                                                       \
        break;                                                                                     \
    case MDL_ACT_SILU:                                                                             \
        loop(MDL_ACT_SILU);                                                                        \
        break;                                                                                     \
    default:                                                                                       \
        loop(MDL_ACT_NONE);                                                                        \
    }

void CPU_NAME(activation)(mdl_device *device, const mdl_call *call, int thread, int threads)
{
    (void)device;
    const float *x = cpu_in(call, 0);
    float *y = cpu_out(call, 0);
    size_t begin, end = part(call, thread, threads, &begin);
#define LOOP(act)                                                                                  \
    for (size_t i = begin; i < end; i++)                                                           \
    y[i] = apply(act, x[i])
    FOR_EACH_ACT(call->attrs->act.kind, LOOP)
#undef LOOP
}

void CPU_NAME(activation_grad)(mdl_device *device, const mdl_call *call, int thread, int threads)
{
    (void)device;
    const float *dy = cpu_in(call, 0), *x = cpu_in(call, 1);
    float *dx = cpu_out(call, 0);
    size_t begin, end = part(call, thread, threads, &begin);
    bool accumulate = cpu_accumulates(call, 0);
#define LOOP(act)                                                                                  \
    if (accumulate)                                                                                \
        for (size_t i = begin; i < end; i++)                                                       \
            dx[i] += slope(act, dy[i], x[i]);                                                      \
    else                                                                                           \
        for (size_t i = begin; i < end; i++)                                                       \
        dx[i] = slope(act, dy[i], x[i])
    FOR_EACH_ACT(call->attrs->act.kind, LOOP)
#undef LOOP
}

void CPU_NAME(add)(mdl_device *device, const mdl_call *call, int thread, int threads)
{
    (void)device;
    const float *a = cpu_in(call, 0), *b = cpu_in(call, 1);
    float *y = cpu_out(call, 0);
    float alpha = (float)call->attrs->add.alpha, beta = (float)call->attrs->add.beta;
    size_t begin, end = part(call, thread, threads, &begin);
    for (size_t i = begin; i < end; i++)
        y[i] = alpha * a[i] + beta * b[i];
}

void CPU_NAME(scale)(mdl_device *device, const mdl_call *call, int thread, int threads)
{
    (void)device;
    const float *x = cpu_in(call, 0);
    float *y = cpu_out(call, 0), factor = (float)call->attrs->scale.factor;
    size_t begin, end = part(call, thread, threads, &begin);
    if (cpu_accumulates(call, 0))
        for (size_t i = begin; i < end; i++)
            y[i] += factor * x[i];
    else
        for (size_t i = begin; i < end; i++)
            y[i] = factor * x[i];
}

void CPU_NAME(fill)(mdl_device *device, const mdl_call *call, int thread, int threads)
{
    (void)device;
    float *y = cpu_out(call, 0), value = (float)call->attrs->fill.value;
    size_t begin, end = part(call, thread, threads, &begin);
    for (size_t i = begin; i < end; i++)
        y[i] = value;
}
