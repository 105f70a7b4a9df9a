/* CROSS_ENTROPY, HALT_LOSS and their gradients. */
#include "backends/opencl/ocl_internal.h"

OCL_OP(ocl_cross_entropy)
{
    size_t n = call->in[0].shape.dim[0], classes = call->in[0].shape.dim[1];
    OCL_UNUSED();
    OCL_LAUNCH(device, OCL_KERNEL_cross_entropy, ocl_groups(1, 256), IN(0), IN(1), OUT(0), OUT(1),
               OUT(2), ocl_uint(n), ocl_uint(classes), ocl_float(call->attrs->loss.smoothing),
               ocl_uint(call->attrs->loss.stablemax));
}

OCL_OP(ocl_cross_entropy_grad)
{
    size_t n = call->in[1].shape.dim[0], classes = call->in[1].shape.dim[1];
    OCL_UNUSED();
    OCL_LAUNCH(device, OCL_KERNEL_cross_entropy_grad, ocl_flat(n), IN(0), IN(1), IN(2), OUT(0),
               ocl_uint(n), ocl_uint(classes), ocl_float(call->attrs->loss.smoothing),
               ocl_uint(call->attrs->loss.stablemax), ADDS(0));
}

OCL_OP(ocl_halt_loss)
{
    size_t n = call->in[1].shape.dim[0], classes = call->in[1].shape.dim[1];
    OCL_UNUSED();
    OCL_LAUNCH(device, OCL_KERNEL_halt_loss, ocl_groups(1, 256), IN(0), IN(1), IN(2), OUT(0),
               ocl_uint(n), ocl_uint(classes));
}

OCL_OP(ocl_halt_loss_grad)
{
    size_t n = call->in[2].shape.dim[0], classes = call->in[2].shape.dim[1];
    OCL_UNUSED();
    OCL_LAUNCH(device, OCL_KERNEL_halt_loss_grad, ocl_flat(n), IN(0), IN(1), IN(2), IN(3), OUT(0),
               ocl_uint(n), ocl_uint(classes), ADDS(0));
}
