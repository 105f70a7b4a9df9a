/* CONV2D (dense, NHWC, one group) and its gradients; the size of a convolution's output, for
 * DEPTHWISE, too.  Padding is explicit and may be asymmetric. */
#include "ops/op_internal.h"

/* One axis: its padding is smaller than the kernel, so that every output sees the input. */
static mdl_status axis_out(const char *op, const char *axis, size_t in, size_t kernel,
                           size_t stride, size_t before, size_t after, size_t *out)
{
    if (kernel == 0 || stride == 0) {
        return mdl_fail(MDL_SHAPE, "%s: kernel %zu, stride %zu along %s, expected at least 1", op,
                        kernel, stride, axis);
    }
    if (before >= kernel || after >= kernel) {
        return mdl_fail(MDL_SHAPE,
                        "%s: padding %zu and %zu along %s, expected less than the "
                        "kernel's %zu",
                        op, before, after, axis, kernel);
    }
    if (in > SIZE_MAX / 4 || kernel > SIZE_MAX / 4 || in + before + after < kernel) {
        return mdl_fail(MDL_SHAPE,
                        "%s: kernel %zu along %s is larger than the input with its "
                        "padding, %zu + %zu + %zu",
                        op, kernel, axis, in, before, after);
    }
    *out = (in + before + after - kernel) / stride + 1;
    return MDL_OK;
}

mdl_status mdl__conv_out(const char *op, const mdl_attrs *attrs, size_t *out_h, size_t *out_w)
{
    MDL_TRY(axis_out(op, "height", attrs->conv.in_h, attrs->conv.kernel_h, attrs->conv.stride,
                     attrs->conv.pad_top, attrs->conv.pad_bottom, out_h));
    return axis_out(op, "width", attrs->conv.in_w, attrs->conv.kernel_w, attrs->conv.stride,
                    attrs->conv.pad_left, attrs->conv.pad_right, out_w);
}

static mdl_status infer(const mdl_attrs *attrs, mdl_dtype real, const mdl_desc *in, int n_in,
                        mdl_desc *out, int *n_out)
{
    const char *op = "conv2d";
    size_t oh, ow;
    MDL_TRY(mdl__expect_inputs(op, in, n_in, 2, 2));
    MDL_TRY(mdl__expect(op, "x", &in[0], real, 4));
    MDL_TRY(mdl__expect(op, "w", &in[1], real, 4));
    const size_t *x = in[0].shape.dim, k = in[1].shape.dim[3];
    MDL_TRY(mdl__expect_shape(op, "x", &in[0], real,
                              MDL_SHAPE4(x[0], attrs->conv.in_h, attrs->conv.in_w, x[3])));
    MDL_TRY(mdl__expect_shape(op, "w", &in[1], real,
                              MDL_SHAPE4(attrs->conv.kernel_h, attrs->conv.kernel_w, x[3], k)));
    MDL_TRY(mdl__conv_out(op, attrs, &oh, &ow));
    return mdl__set_one_output(out, n_out, real, MDL_SHAPE4(x[0], oh, ow, k));
}

static mdl_status gradient(const mdl_gradient *g)
{
    int dy = g->out_grad[0];
    MDL_TRY(mdl__emit_for(g, 0, MDL_OP_CONV2D_GRAD_INPUT, g->attrs, (int[]){dy, g->in[1]}, 2));
    return mdl__emit_for(g, 1, MDL_OP_CONV2D_GRAD_WEIGHT, g->attrs, (int[]){g->in[0], dy}, 2);
}

/* 2 * pixels of the output * weights; taps in the padding are counted, as is usual. */
static double flops(const mdl_attrs *attrs, const mdl_desc *in, int n_in, const mdl_desc *out,
                    int n_out)
{
    (void)attrs, (void)n_in, (void)n_out;
    return 2 * (double)mdl_shape_rows(&out[0].shape) * mdl__count(&in[1]);
}

const mdl_op_def mdl__op_conv2d = {"conv2d", infer, gradient, flops};

static mdl_status infer_grad_input(const mdl_attrs *attrs, mdl_dtype real, const mdl_desc *in,
                                   int n_in, mdl_desc *out, int *n_out)
{
    const char *op = "conv2d_grad_input";
    size_t oh, ow;
    MDL_TRY(mdl__expect_inputs(op, in, n_in, 2, 2));
    MDL_TRY(mdl__expect(op, "dy", &in[0], real, 4));
    MDL_TRY(mdl__expect(op, "w", &in[1], real, 4));
    size_t n = in[0].shape.dim[0], c = in[1].shape.dim[2], k = in[1].shape.dim[3];
    MDL_TRY(mdl__expect_shape(op, "w", &in[1], real,
                              MDL_SHAPE4(attrs->conv.kernel_h, attrs->conv.kernel_w, c, k)));
    MDL_TRY(mdl__conv_out(op, attrs, &oh, &ow));
    MDL_TRY(mdl__expect_shape(op, "dy", &in[0], real, MDL_SHAPE4(n, oh, ow, k)));
    mdl_shape dx = MDL_SHAPE4(n, attrs->conv.in_h, attrs->conv.in_w, c);
    MDL_TRY(mdl__expect_attr_shape(op, &dx, real));
    return mdl__set_one_output(out, n_out, real, dx);
}

static double flops_grad_input(const mdl_attrs *attrs, const mdl_desc *in, int n_in,
                               const mdl_desc *out, int n_out)
{
    (void)attrs, (void)n_in, (void)out, (void)n_out;
    return 2 * (double)mdl_shape_rows(&in[0].shape) * mdl__count(&in[1]);
}

const mdl_op_def mdl__op_conv2d_grad_input = {"conv2d_grad_input", infer_grad_input, NULL,
                                              flops_grad_input};

static mdl_status infer_grad_weight(const mdl_attrs *attrs, mdl_dtype real, const mdl_desc *in,
                                    int n_in, mdl_desc *out, int *n_out)
{
    const char *op = "conv2d_grad_weight";
    size_t oh, ow;
    MDL_TRY(mdl__expect_inputs(op, in, n_in, 2, 2));
    MDL_TRY(mdl__expect(op, "x", &in[0], real, 4));
    MDL_TRY(mdl__expect(op, "dy", &in[1], real, 4));
    size_t n = in[0].shape.dim[0], c = in[0].shape.dim[3], k = in[1].shape.dim[3];
    MDL_TRY(mdl__expect_shape(op, "x", &in[0], real,
                              MDL_SHAPE4(n, attrs->conv.in_h, attrs->conv.in_w, c)));
    MDL_TRY(mdl__conv_out(op, attrs, &oh, &ow));
    MDL_TRY(mdl__expect_shape(op, "dy", &in[1], real, MDL_SHAPE4(n, oh, ow, k)));
    mdl_shape dw = MDL_SHAPE4(attrs->conv.kernel_h, attrs->conv.kernel_w, c, k);
    MDL_TRY(mdl__expect_attr_shape(op, &dw, real));
    return mdl__set_one_output(out, n_out, real, dw);
}

static double flops_grad_weight(const mdl_attrs *attrs, const mdl_desc *in, int n_in,
                                const mdl_desc *out, int n_out)
{
    (void)attrs, (void)n_in, (void)n_out;
    return 2 * (double)mdl_shape_rows(&in[1].shape) * mdl__count(&out[0]);
}

const mdl_op_def mdl__op_conv2d_grad_weight = {"conv2d_grad_weight", infer_grad_weight, NULL,
                                               flops_grad_weight};
