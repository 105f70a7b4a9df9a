/* STORE16 and LOAD16: activations kept as bfloat16 between the passes. */
#include "backends/cpu/cpu_internal.h"

#define GRAIN 256 /* elements; parts of threads start on other cache lines */

static void store(const mdl_call *call, size_t begin, size_t end)
{
    const float *x = cpu_in(call, 0);
    uint16_t *y = call->out[0].host;
    for (size_t i = begin; i < end; i++)
        y[i] = mdl_bf16_of(x[i]);
}

static void load(const mdl_call *call, size_t begin, size_t end)
{
    const uint16_t *x = call->in[0].host;
    float *y = cpu_out(call, 0);
    for (size_t i = begin; i < end; i++)
        y[i] = mdl_bf16_value(x[i]);
}

void CPU_NAME(store16)(mdl_device *device, const mdl_call *call, int thread, int threads)
{
    size_t begin, end;
    (void)device;
    cpu_range(mdl_shape_count(&call->in[0].shape), GRAIN, thread, threads, &begin, &end);
    store(call, begin, end);
}

void CPU_NAME(load16)(mdl_device *device, const mdl_call *call, int thread, int threads)
{
    size_t begin, end;
    (void)device;
    cpu_range(mdl_shape_count(&call->in[0].shape), GRAIN, thread, threads, &begin, &end);
    load(call, begin, end);
}

void CPU_NAME(store16_tile)(const mdl_call *slice, const cpu_tile *t)
{
    (void)t;
    store(slice, 0, mdl_shape_count(&slice->in[0].shape));
}

void CPU_NAME(load16_tile)(const mdl_call *slice, const cpu_tile *t)
{
    (void)t;
    load(slice, 0, mdl_shape_count(&slice->in[0].shape));
}

size_t CPU_NAME(store16_tiles)(const mdl_call *call)
{
    return cpu_tiles(&call->in[0].shape, &call->in[0].shape);
}
