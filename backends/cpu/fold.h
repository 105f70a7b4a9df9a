/* LINEAR_NORM, CONV2D_NORM and DEPTHWISE_NORM: the kernels of the plain products do them, with a
 * BatchNorm where a result leaves its register.  The arithmetic is that of batch_norm.c:
 * y = act((x - mean) * scale + beta) + residual, with scale = gamma / sqrt(running_var + eps),
 * which stands at the start of the workspace. */
#ifndef MDL_CPU_FOLD_H
#define MDL_CPU_FOLD_H

#include "backends/cpu/channels.h"

typedef struct cpu_fold {
    const float *mean, *scale, *beta; /* by channel; scale is NULL where there is no BatchNorm */
    const float *residual;            /* lies as the output does; or NULL */
    cpu_clamp act;
} cpu_fold;

static inline bool cpu_folds(const mdl_call *call)
{
    return call->op == MDL_OP_LINEAR_NORM || call->op == MDL_OP_CONV2D_NORM ||
           call->op == MDL_OP_DEPTHWISE_NORM;
}

/* Floats at the start of the workspace. */
static inline size_t cpu_fold_size(const mdl_call *call)
{
    return cpu_folds(call) ? mdl_round_up(mdl_shape_last(&call->out[0].shape), 16) : 0;
}

static inline cpu_fold cpu_fold_of(const mdl_call *call)
{
    if (!cpu_folds(call))
        return (cpu_fold){0};
    return (cpu_fold){.mean = cpu_in(call, 4),
                      .scale = call->workspace.host,
                      .beta = cpu_in(call, 3),
                      .residual = cpu_has(call, 6) ? cpu_in(call, 6) : NULL,
                      .act = cpu_clamp_of(call->attrs->conv.act)};
}

/* This thread's part of the scale. */
static inline void cpu_fold_prepare(const mdl_call *call, int thread, int threads)
{
    if (!cpu_folds(call))
        return;
    float *scale = call->workspace.host;
    const float *gamma = cpu_in(call, 2), *var = cpu_in(call, 5);
    size_t begin, end;
    cpu_range(mdl_shape_last(&call->out[0].shape), 16, thread, threads, &begin, &end);
    for (size_t c = begin; c < end; c++)
        scale[c] = gamma[c] * (float)(1 / sqrt((double)var[c] + call->attrs->conv.eps));
}

/* Some channels' numbers in registers. */
typedef struct cpu_fold_vec {
    cpu_vec mean, scale, beta, low, high;
} cpu_fold_vec;

CPU_INLINE cpu_fold_vec cpu_fold_load(const cpu_fold *f, size_t channel, size_t lanes)
{
    return (cpu_fold_vec){.mean = cpu_load_n(f->mean + channel, lanes),
                          .scale = cpu_load_n(f->scale + channel, lanes),
                          .beta = cpu_load_n(f->beta + channel, lanes),
                          .low = cpu_splat(f->act.low),
                          .high = cpu_splat(f->act.high)};
}

CPU_INLINE cpu_vec cpu_fold_apply(const cpu_fold_vec *f, cpu_vec x)
{
    return cpu_min(f->high, cpu_max(f->low, (x - f->mean) * f->scale + f->beta));
}

#endif
