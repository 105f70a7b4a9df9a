/* ACTIVATION, SWIGLU, ADD, SCALE, DROPOUT, FILL. */
#include "backends/opencl/ocl_internal.h"

#include <math.h>

OCL_OP(ocl_activation)
{
    size_t n = ocl_count(&call->in[0]);
    OCL_UNUSED();
    OCL_LAUNCH(device, OCL_KERNEL_activation, ocl_flat(n), IN(0), OUT(0), ocl_uint(n),
               ocl_uint(call->attrs->act.kind));
}

OCL_OP(ocl_activation_grad)
{
    size_t n = ocl_count(&call->in[0]);
    OCL_UNUSED();
    OCL_LAUNCH(device, OCL_KERNEL_activation_grad, ocl_flat(n), IN(0), IN(1), OUT(0), ocl_uint(n),
               ocl_uint(call->attrs->act.kind), ADDS(0));
}

OCL_OP(ocl_swiglu)
{
    size_t n = ocl_count(&call->out[0]);
    OCL_UNUSED();
    OCL_LAUNCH(device, OCL_KERNEL_swiglu, ocl_flat(n), IN(0), OUT(0), ocl_uint(n),
               ocl_uint(mdl_shape_last(&call->out[0].shape)));
}

OCL_OP(ocl_swiglu_grad)
{
    size_t n = ocl_count(&call->in[0]);
    OCL_UNUSED();
    OCL_LAUNCH(device, OCL_KERNEL_swiglu_grad, ocl_flat(n), IN(0), IN(1), OUT(0), ocl_uint(n),
               ocl_uint(mdl_shape_last(&call->in[0].shape)), ADDS(0));
}

OCL_OP(ocl_add)
{
    size_t n = ocl_count(&call->in[0]);
    OCL_UNUSED();
    OCL_LAUNCH(device, OCL_KERNEL_add, ocl_flat(n), IN(0), IN(1), OUT(0), ocl_uint(n),
               ocl_float(call->attrs->add.alpha), ocl_float(call->attrs->add.beta));
}

OCL_OP(ocl_scale)
{
    size_t n = ocl_count(&call->in[0]);
    OCL_UNUSED();
    OCL_LAUNCH(device, OCL_KERNEL_scale, ocl_flat(n), IN(0), OUT(0), ocl_uint(n),
               ocl_float(call->attrs->scale.factor), ADDS(0));
}

OCL_OP(ocl_fill)
{
    size_t n = ocl_count(&call->out[0]);
    OCL_UNUSED();
    OCL_LAUNCH(device, OCL_KERNEL_fill, ocl_flat(n), OUT(0), ocl_uint(n),
               ocl_float(call->attrs->fill.value));
}

/* See mdl_dropout_word.  word * 2^-32 >= rate holds just where word >= ceil(rate * 2^32). */
OCL_OP(ocl_dropout)
{
    static const mdl_step_state none = {0, 0, -1};
    const mdl_step_state *state = call->state != NULL ? call->state : &none;
    size_t n = ocl_count(&call->in[0]);
    double rate = call->attrs->dropout.rate;
    ocl_arg key = ocl_ulong(state->seed);
    ocl_arg stream = ocl_ulong(call->attrs->dropout.stream + UINT64_C(65536) * state->step);
    ocl_arg least = ocl_ulong((uint64_t)ceil(rate * 0x1p32)), factor = ocl_float(1 / (1 - rate));
    OCL_UNUSED();
    if (call->attrs->dropout.per_sample)
        OCL_LAUNCH(device, OCL_KERNEL_dropout_samples, ocl_flat(n), IN(0), OUT(0), ocl_uint(n),
                   ocl_uint(n / call->in[0].shape.dim[0]), key, stream, least, factor, ADDS(0));
    else
        OCL_LAUNCH(device, OCL_KERNEL_dropout, ocl_flat((n + 3) / 4), IN(0), OUT(0), ocl_uint(n),
                   key, stream, least, factor, ADDS(0));
}

OCL_OP(ocl_store16)
{
    size_t n = ocl_count(&call->in[0]);
    OCL_UNUSED();
    OCL_LAUNCH(device, OCL_KERNEL_store16, ocl_flat(n), IN(0), OUT(0), ocl_uint(n));
}

OCL_OP(ocl_load16)
{
    size_t n = ocl_count(&call->in[0]);
    OCL_UNUSED();
    OCL_LAUNCH(device, OCL_KERNEL_load16, ocl_flat(n), IN(0), OUT(0), ocl_uint(n));
}
