/* DEPTHWISE (a convolution with one filter for each channel, NHWC) and its gradients. */
#include "ops/op_internal.h"

static mdl_status infer(const mdl_attrs *attrs, mdl_dtype real, const mdl_desc *in, int n_in,
                        mdl_desc *out, int *n_out)
{
    const char *op = "depthwise";
    size_t oh, ow;
    MDL_TRY(mdl__expect_inputs(op, in, n_in, 2, 2));
    MDL_TRY(mdl__expect(op, "x", &in[0], real, 4));
    const size_t *x = in[0].shape.dim;
    MDL_TRY(mdl__expect_shape(op, "x", &in[0], real,
                              MDL_SHAPE4(x[0], attrs->conv.in_h, attrs->conv.in_w, x[3])));
    MDL_TRY(mdl__expect_shape(op, "w", &in[1], real,
                              MDL_SHAPE3(attrs->conv.kernel_h, attrs->conv.kernel_w, x[3])));
    MDL_TRY(mdl__conv_out(op, attrs, &oh, &ow));
    return mdl__set_one_output(out, n_out, real, MDL_SHAPE4(x[0], oh, ow, x[3]));
}

static mdl_status gradient(const mdl_gradient *g)
{
    int dy = g->out_grad[0];
    MDL_TRY(mdl__emit_for(g, 0, MDL_OP_DEPTHWISE_GRAD_INPUT, g->attrs, (int[]){dy, g->in[1]}, 2));
    return mdl__emit_for(g, 1, MDL_OP_DEPTHWISE_GRAD_WEIGHT, g->attrs, (int[]){g->in[0], dy}, 2);
}

/* 2 * elements of y (dy) * taps. */
static double flops_of(const mdl_attrs *attrs, const mdl_desc *y)
{
    return 2 * mdl__count(y) * (double)(attrs->conv.kernel_h * attrs->conv.kernel_w);
}

static double flops(const mdl_attrs *attrs, const mdl_desc *in, int n_in, const mdl_desc *out,
                    int n_out)
{
    (void)in, (void)n_in, (void)n_out;
    return flops_of(attrs, &out[0]);
}

const mdl_op_def mdl__op_depthwise = {"depthwise", infer, gradient, flops};

static mdl_status infer_grad_input(const mdl_attrs *attrs, mdl_dtype real, const mdl_desc *in,
                                   int n_in, mdl_desc *out, int *n_out)
{
    const char *op = "depthwise_grad_input";
    size_t oh, ow;
    MDL_TRY(mdl__expect_inputs(op, in, n_in, 2, 2));
    MDL_TRY(mdl__expect(op, "dy", &in[0], real, 4));
    size_t n = in[0].shape.dim[0], c = in[0].shape.dim[3];
    MDL_TRY(mdl__expect_shape(op, "w", &in[1], real,
                              MDL_SHAPE3(attrs->conv.kernel_h, attrs->conv.kernel_w, c)));
    MDL_TRY(mdl__conv_out(op, attrs, &oh, &ow));
    MDL_TRY(mdl__expect_shape(op, "dy", &in[0], real, MDL_SHAPE4(n, oh, ow, c)));
    mdl_shape dx = MDL_SHAPE4(n, attrs->conv.in_h, attrs->conv.in_w, c);
    MDL_TRY(mdl__expect_attr_shape(op, &dx, real));
    return mdl__set_one_output(out, n_out, real, dx);
}

static double flops_grad_input(const mdl_attrs *attrs, const mdl_desc *in, int n_in,
                               const mdl_desc *out, int n_out)
{
    (void)n_in, (void)out, (void)n_out;
    return flops_of(attrs, &in[0]);
}

const mdl_op_def mdl__op_depthwise_grad_input = {"depthwise_grad_input", infer_grad_input, NULL,
                                                 flops_grad_input};

static mdl_status infer_grad_weight(const mdl_attrs *attrs, mdl_dtype real, const mdl_desc *in,
                                    int n_in, mdl_desc *out, int *n_out)
{
    const char *op = "depthwise_grad_weight";
    size_t oh, ow;
    MDL_TRY(mdl__expect_inputs(op, in, n_in, 2, 2));
    MDL_TRY(mdl__expect(op, "x", &in[0], real, 4));
    size_t n = in[0].shape.dim[0], c = in[0].shape.dim[3];
    MDL_TRY(mdl__expect_shape(op, "x", &in[0], real,
                              MDL_SHAPE4(n, attrs->conv.in_h, attrs->conv.in_w, c)));
    MDL_TRY(mdl__conv_out(op, attrs, &oh, &ow));
    MDL_TRY(mdl__expect_shape(op, "dy", &in[1], real, MDL_SHAPE4(n, oh, ow, c)));
    mdl_shape dw = MDL_SHAPE3(attrs->conv.kernel_h, attrs->conv.kernel_w, c);
    MDL_TRY(mdl__expect_attr_shape(op, &dw, real));
    return mdl__set_one_output(out, n_out, real, dw);
}

static double flops_grad_weight(const mdl_attrs *attrs, const mdl_desc *in, int n_in,
                                const mdl_desc *out, int n_out)
{
    (void)n_in, (void)out, (void)n_out;
    return flops_of(attrs, &in[1]);
}

const mdl_op_def mdl__op_depthwise_grad_weight = {"depthwise_grad_weight", infer_grad_weight, NULL,
                                                  flops_grad_weight};
