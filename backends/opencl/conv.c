/* CONV2D, DEPTHWISE and their gradients. */
#include "backends/opencl/ocl_internal.h"

typedef struct geometry { /* as in kernels/conv.cl */
    cl_uint n, h, w, c, out_h, out_w, k;
    cl_uint kernel_h, kernel_w, stride, top, left;
} geometry;

/* Of x[n, h, w, c] and y[n, out_h, out_w, k]; a gradient has the shape of its tensor. */
static geometry geometry_of(const mdl_call *call, const mdl_shape *x, const mdl_shape *y)
{
    const mdl_attrs *a = call->attrs;
    return (geometry){.n = (cl_uint)x->dim[0],
                      .h = (cl_uint)x->dim[1],
                      .w = (cl_uint)x->dim[2],
                      .c = (cl_uint)x->dim[3],
                      .out_h = (cl_uint)y->dim[1],
                      .out_w = (cl_uint)y->dim[2],
                      .k = (cl_uint)y->dim[3],
                      .kernel_h = (cl_uint)a->conv.kernel_h,
                      .kernel_w = (cl_uint)a->conv.kernel_w,
                      .stride = (cl_uint)a->conv.stride,
                      .top = (cl_uint)a->conv.pad_top,
                      .left = (cl_uint)a->conv.pad_left};
}

/* Of five kernels in a row (any, 3 / 1, 3 / 2, 5 / 1, 5 / 2) that for the size and the stride. */
static ocl_kernel specialised(ocl_kernel any, const geometry *g)
{
    if (g->kernel_h != g->kernel_w || (g->stride != 1 && g->stride != 2))
        return any;
    if (g->kernel_h != 3 && g->kernel_h != 5)
        return any;
    return (ocl_kernel)((cl_uint)any + (g->kernel_h == 3 ? 0 : 2) + g->stride);
}

OCL_OP(ocl_depthwise)
{
    geometry g = geometry_of(call, &call->in[0].shape, &call->out[0].shape);
    OCL_UNUSED();
    OCL_LAUNCH(device, specialised(OCL_KERNEL_depthwise_any, &g),
               ocl_image(g.c, g.out_w, (size_t)g.n * g.out_h), IN(0), IN(1), OUT(0),
               ocl_struct(&g, sizeof g));
}

OCL_OP(ocl_depthwise_grad_input)
{
    geometry g = geometry_of(call, &call->out[0].shape, &call->in[0].shape);
    OCL_UNUSED();
    OCL_LAUNCH(device, specialised(OCL_KERNEL_depthwise_grad_input_any, &g),
               ocl_image(g.c, g.w, (size_t)g.n * g.h), IN(0), IN(1), OUT(0),
               ocl_struct(&g, sizeof g), ADDS(0));
}

OCL_OP(ocl_conv2d)
{
    geometry g = geometry_of(call, &call->in[0].shape, &call->out[0].shape);
    OCL_UNUSED();
    OCL_LAUNCH(device, OCL_KERNEL_conv2d, ocl_image(g.k, g.out_w, (size_t)g.n * g.out_h), IN(0),
               IN(1), OUT(0), ocl_struct(&g, sizeof g));
}

OCL_OP(ocl_conv2d_grad_input)
{
    geometry g = geometry_of(call, &call->out[0].shape, &call->in[0].shape);
    OCL_UNUSED();
    OCL_LAUNCH(device, OCL_KERNEL_conv2d_grad_input, ocl_image(g.c, g.w, (size_t)g.n * g.h), IN(0),
               IN(1), OUT(0), ocl_struct(&g, sizeof g), ADDS(0));
}

/* ---- weights ----------------------------------------------------------------------------------
 */

/* Lines of the output that a group adds up: so many that there are at most MOST_CHUNKS. */
enum { MOST_CHUNKS = 64, LEAST_PIXELS = 64 };

static size_t chunk_lines(const mdl_shape *y)
{
    size_t lines = y->dim[0] * y->dim[1];
    return mdl_max_size((lines + MOST_CHUNKS - 1) / MOST_CHUNKS,
                        (LEAST_PIXELS + y->dim[2] - 1) / y->dim[2]);
}

static size_t chunks_of(const mdl_shape *y)
{
    size_t lines = y->dim[0] * y->dim[1], chunk = chunk_lines(y);
    return (lines + chunk - 1) / chunk;
}

size_t ocl_conv2d_grad_weight_workspace(const mdl_call *call, int threads)
{
    (void)threads;
    return chunks_of(&call->in[1].shape) * ocl_count(&call->out[0]) * sizeof(float);
}

size_t ocl_depthwise_grad_weight_workspace(const mdl_call *call, int threads)
{
    return ocl_conv2d_grad_weight_workspace(call, threads);
}

/* `columns` and `rest`: the last dimension of the weights, and the product of the others. */
static void weight_grad(mdl_device *device, const mdl_call *call, ocl_kernel kernel, size_t columns,
                        size_t rest)
{
    const mdl_shape *y = &call->in[1].shape;
    geometry g = geometry_of(call, &call->in[0].shape, y);
    size_t chunks = chunks_of(y);
    size_t pixels = mdl_min_size(chunk_lines(y), y->dim[0] * y->dim[1]) * y->dim[2];
    OCL_LAUNCH(device, kernel, ocl_columns(columns, pixels, chunks, rest), IN(0), IN(1),
               ocl_tensor(&call->workspace), ocl_struct(&g, sizeof g), ocl_uint(chunk_lines(y)));
    ocl_sum_parts(device, call, columns * rest, chunks, &call->out[0], call->accumulate & 1U);
}

OCL_OP(ocl_conv2d_grad_weight)
{
    const size_t *w = call->out[0].shape.dim;
    OCL_UNUSED();
    weight_grad(device, call, OCL_KERNEL_conv2d_grad_weight, w[3], w[0] * w[1] * w[2]);
}

OCL_OP(ocl_depthwise_grad_weight)
{
    const size_t *w = call->out[0].shape.dim;
    OCL_UNUSED();
    weight_grad(device, call, OCL_KERNEL_depthwise_grad_weight, w[2], w[0] * w[1]);
}
