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

/* ---- depthwise ------------------------------------------------------------------------------ */
/* Ways: four channels and two or four pixels to a work-item (depthwise.cl), or any (conv.cl). */

typedef enum algorithm { ALGORITHM_2_PIXELS, ALGORITHM_4_PIXELS, ALGORITHM_ANY } algorithm;

/* Whether depthwise.cl has kernels for it, as far as shapes tell. */
static bool by_four(const mdl_call *call)
{
    const mdl_attrs *a = call->attrs;
    return (a->conv.kernel_h == 3 || a->conv.kernel_h == 5) &&
           a->conv.kernel_h == a->conv.kernel_w && (a->conv.stride == 1 || a->conv.stride == 2) &&
           mdl_shape_last(&call->in[0].shape) % 4 == 0;
}

const char *ocl_depthwise_variant(const mdl_device *device, const mdl_call *call, int index)
{
    static const char *const names[] = {"2 pixels", "4 pixels", "any"};
    (void)device;
    return by_four(call) && index <= (int)MDL_COUNT(names) ? names[index - 1] : NULL;
}

/* Small images have too few pixels for four at a time. */
static algorithm algorithm_of(const mdl_call *call, size_t width)
{
    if (!by_four(call) || !ocl_by_four(call, 0))
        return ALGORITHM_ANY;
    if (call->variant > 0)
        return (algorithm)(call->variant - 1);
    return width >= 8 ? ALGORITHM_4_PIXELS : ALGORITHM_2_PIXELS;
}

/* 3 / 1, 3 / 2, 5 / 1, 5 / 2 */
static size_t size_and_stride(const geometry *g)
{
    return (g->kernel_h == 5 ? 2 : 0) + g->stride - 1;
}

/* `g` is that of a forward pass, with channels in fours. */
static void run_pixels(mdl_device *device, const mdl_call *call, algorithm w, const geometry *g,
                       bool rotated)
{
    size_t pixels = w == ALGORITHM_2_PIXELS ? 2 : 4;
    ocl_kernel kernel =
        (ocl_kernel)((size_t)OCL_KERNEL_dw_3_1_2 + 2 * size_and_stride(g) + (size_t)w);
    OCL_LAUNCH(device, kernel,
               ocl_image(g->c, (g->out_w + pixels - 1) / pixels, (size_t)g->n * g->out_h), IN(0),
               IN(1), OUT(0), ocl_struct(g, sizeof(*g)), ocl_uint(rotated), ADDS(0));
}

OCL_OP(ocl_depthwise)
{
    geometry g = geometry_of(call, &call->in[0].shape, &call->out[0].shape);
    algorithm w = algorithm_of(call, g.out_w);
    OCL_UNUSED();
    if (w == ALGORITHM_ANY) {
        OCL_LAUNCH(device, specialised(OCL_KERNEL_depthwise_any, &g),
                   ocl_image(g.c, g.out_w, (size_t)g.n * g.out_h), IN(0), IN(1), OUT(0),
                   ocl_struct(&g, sizeof(g)));
        return;
    }
    g.c /= 4;
    run_pixels(device, call, w, &g, false);
}

OCL_OP(ocl_depthwise_grad_input)
{
    geometry g = geometry_of(call, &call->out[0].shape, &call->in[0].shape);
    algorithm w = algorithm_of(call, g.w);
    OCL_UNUSED();
    if (w == ALGORITHM_ANY) {
        OCL_LAUNCH(device, specialised(OCL_KERNEL_depthwise_grad_input_any, &g),
                   ocl_image(g.c, g.w, (size_t)g.n * g.h), IN(0), IN(1), OUT(0),
                   ocl_struct(&g, sizeof(g)), ADDS(0));
        return;
    }
    g.c /= 4;
    if (g.stride == 2) {
        OCL_LAUNCH(device,
                   g.kernel_h == 3 ? OCL_KERNEL_dw_grad_input_3_2 : OCL_KERNEL_dw_grad_input_5_2,
                   ocl_image(g.c, g.w, (size_t)g.n * g.h), IN(0), IN(1), OUT(0),
                   ocl_struct(&g, sizeof(g)), ADDS(0));
        return;
    }
    geometry rotated = g; /* dy is what is read, dx what is written */
    rotated.h = g.out_h;
    rotated.w = g.out_w;
    rotated.out_h = g.h;
    rotated.out_w = g.w;
    rotated.top = g.kernel_h - 1 - g.top;
    rotated.left = g.kernel_w - 1 - g.left;
    run_pixels(device, call, w, &rotated, true);
}

/* ---- dense ---------------------------------------------------------------------------------- */

OCL_OP(ocl_conv2d)
{
    geometry g = geometry_of(call, &call->in[0].shape, &call->out[0].shape);
    OCL_UNUSED();
    OCL_LAUNCH(device, OCL_KERNEL_conv2d, ocl_image(g.k, g.out_w, (size_t)g.n * g.out_h), IN(0),
               IN(1), OUT(0), ocl_struct(&g, sizeof(g)));
}

OCL_OP(ocl_conv2d_grad_input)
{
    geometry g = geometry_of(call, &call->out[0].shape, &call->in[0].shape);
    OCL_UNUSED();
    OCL_LAUNCH(device, OCL_KERNEL_conv2d_grad_input, ocl_image(g.c, g.w, (size_t)g.n * g.h), IN(0),
               IN(1), OUT(0), ocl_struct(&g, sizeof(g)), ADDS(0));
}

/* ---- weights -------------------------------------------------------------------------------- */

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

/* `columns` and `rest`: the last dimension of the weights, and the product of the others. */
static void weight_grad(mdl_device *device, const mdl_call *call, ocl_kernel kernel, size_t columns,
                        size_t rest)
{
    const mdl_shape *y = &call->in[1].shape;
    geometry g = geometry_of(call, &call->in[0].shape, y);
    size_t chunks = chunks_of(y);
    size_t pixels = mdl_min_size(chunk_lines(y), y->dim[0] * y->dim[1]) * y->dim[2];
    OCL_LAUNCH(device, kernel, ocl_columns(columns, pixels, chunks, rest), IN(0), IN(1),
               ocl_tensor(&call->workspace), ocl_struct(&g, sizeof(g)), ocl_uint(chunk_lines(y)));
    ocl_sum_parts(device, call, columns * rest, chunks, &call->out[0], call->accumulate & 1U);
}

OCL_OP(ocl_conv2d_grad_weight)
{
    const size_t *w = call->out[0].shape.dim;
    OCL_UNUSED();
    weight_grad(device, call, OCL_KERNEL_conv2d_grad_weight, w[3], w[0] * w[1] * w[2]);
}

/* Lines of the output for each group: all where there are few, so that one launch does it. */
static size_t depthwise_lines(const mdl_shape *y)
{
    enum { FEW = 256, LEAST = 64, MOST_PARTS = 64 };
    size_t lines = y->dim[0] * y->dim[1];
    return lines <= FEW ? lines : mdl_max_size(LEAST, (lines + MOST_PARTS - 1) / MOST_PARTS);
}

static size_t depthwise_chunks(const mdl_shape *y)
{
    size_t lines = y->dim[0] * y->dim[1], chunk = depthwise_lines(y);
    return (lines + chunk - 1) / chunk;
}

size_t ocl_depthwise_grad_weight_workspace(const mdl_call *call, int threads)
{
    size_t chunks = depthwise_chunks(&call->in[1].shape);
    (void)threads;
    return by_four(call) && chunks == 1 ? 0 : chunks * ocl_count(&call->out[0]) * sizeof(float);
}

OCL_OP(ocl_depthwise_grad_weight)
{
    const size_t *w = call->out[0].shape.dim;
    const mdl_shape *y = &call->in[1].shape;
    geometry g = geometry_of(call, &call->in[0].shape, y);
    size_t lines = depthwise_lines(y), chunks = depthwise_chunks(y), taps = w[0] * w[1];
    bool whole = by_four(call) && chunks == 1; /* without parts */
    ocl_arg to = whole ? OUT(0) : ocl_tensor(&call->workspace);
    OCL_UNUSED();
    if (!by_four(call)) {
        OCL_LAUNCH(device, OCL_KERNEL_depthwise_grad_weight,
                   ocl_columns(w[2], mdl_min_size(lines, 256) * y->dim[2], chunks, taps), IN(0),
                   IN(1), to, ocl_struct(&g, sizeof(g)), ocl_uint(lines));
        ocl_sum_parts(device, call, w[2] * taps, chunks, &call->out[0], call->accumulate & 1U);
        return;
    }
    g.c /= 4;
    ocl_range range = ocl_block(g.c, 8, lines, chunks);
    range.global[2] = g.kernel_h;
    OCL_LAUNCH(device, (ocl_kernel)((size_t)OCL_KERNEL_dw_grad_weight_3_1 + size_and_stride(&g)),
               range, IN(0), IN(1), to, ocl_struct(&g, sizeof(g)), ocl_uint(lines),
               whole ? ADDS(0) : ocl_uint(0));
    if (!whole)
        ocl_sum_parts(device, call, w[2] * taps, chunks, &call->out[0], call->accumulate & 1U);
}
