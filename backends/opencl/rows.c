/* EXPAND, EXPAND_ROWS, MEAN_ROWS, SELECT_ROWS, TRANSPOSE. */
#include "backends/opencl/ocl_internal.h"

OCL_OP(ocl_expand)
{
    size_t n = ocl_count(&call->out[0]);
    OCL_UNUSED();
    OCL_LAUNCH(device, OCL_KERNEL_expand, ocl_flat(n), IN(0), OUT(0), ocl_uint(n),
               ocl_uint(ocl_count(&call->in[0])));
}

OCL_OP(ocl_expand_rows)
{
    const mdl_shape *y = &call->out[0].shape;
    size_t n = mdl_shape_count(y);
    OCL_UNUSED();
    OCL_LAUNCH(device, OCL_KERNEL_expand_rows, ocl_flat(n), IN(0), OUT(0), ocl_uint(n),
               ocl_uint(n / y->dim[0]), ocl_uint(mdl_shape_last(y)),
               ocl_float(call->attrs->scale.factor), ADDS(0));
}

OCL_OP(ocl_mean_rows)
{
    const mdl_shape *x = &call->in[0].shape;
    size_t n = ocl_count(&call->out[0]);
    OCL_UNUSED();
    OCL_LAUNCH(device, OCL_KERNEL_mean_rows, ocl_flat(n), IN(0), OUT(0), ocl_uint(n),
               ocl_uint(mdl_shape_rows(x) / x->dim[0]), ocl_uint(mdl_shape_last(x)));
}

OCL_OP(ocl_select_rows)
{
    size_t n = ocl_count(&call->in[1]);
    OCL_UNUSED();
    OCL_LAUNCH(device, OCL_KERNEL_select_rows, ocl_flat(n), IN(0), IN(1), IN(2), OUT(0),
               ocl_uint(n), ocl_uint(n / call->in[1].shape.dim[0]));
}

OCL_OP(ocl_transpose)
{
    const size_t *dim = call->in[0].shape.dim;
    size_t n = ocl_count(&call->in[0]);
    OCL_UNUSED();
    OCL_LAUNCH(device, OCL_KERNEL_transpose, ocl_flat(n), IN(0), OUT(0), ocl_uint(n),
               ocl_uint(dim[1]), ocl_uint(dim[2]), ADDS(0));
}
