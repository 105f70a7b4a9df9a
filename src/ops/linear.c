/* LINEAR, its gradients, and SUM_ROWS (the gradient of a bias).  A 1x1 convolution of NHWC data is
 * a LINEAR, too. */
#include "ops/op_internal.h"

static mdl_status infer(const mdl_attrs *attrs, mdl_dtype real, const mdl_desc *in, int n_in,
                        mdl_desc *out, int *n_out)
{
    (void)attrs;
    const char *op = "linear";
    MDL_TRY(mdl__expect_inputs(op, in, n_in, 2, 3));
    MDL_TRY(mdl__expect(op, "x", &in[0], real, 0));
    MDL_TRY(mdl__expect(op, "w", &in[1], real, 2));
    size_t c = in[1].shape.dim[0], k = in[1].shape.dim[1];
    MDL_TRY(mdl__expect_shape(op, "x", &in[0], real, mdl__with_last(&in[0].shape, c)));
    if (mdl__present(in, n_in, 2))
        MDL_TRY(mdl__expect_shape(op, "bias", &in[2], real, MDL_SHAPE1(k)));
    return mdl__set_one_output(out, n_out, real, mdl__with_last(&in[0].shape, k));
}

static mdl_status gradient(const mdl_gradient *g)
{
    int dy = g->out_grad[0];
    MDL_TRY(mdl__emit_for(g, 0, MDL_OP_LINEAR_GRAD_INPUT, g->attrs, (int[]){dy, g->in[1]}, 2));
    MDL_TRY(mdl__emit_for(g, 1, MDL_OP_LINEAR_GRAD_WEIGHT, g->attrs, (int[]){g->in[0], dy}, 2));
    return mdl__emit_for(g, 2, MDL_OP_SUM_ROWS, g->attrs, &dy, 1);
}

/* x and w. */
static double flops(const mdl_attrs *attrs, const mdl_desc *in, int n_in, const mdl_desc *out,
                    int n_out)
{
    (void)attrs, (void)n_in, (void)out, (void)n_out;
    return 2 * (double)mdl_shape_rows(&in[0].shape) * mdl__count(&in[1]);
}

const mdl_op_def mdl__op_linear = {"linear", infer, gradient, flops};

static mdl_status infer_grad_input(const mdl_attrs *attrs, mdl_dtype real, const mdl_desc *in,
                                   int n_in, mdl_desc *out, int *n_out)
{
    (void)attrs;
    const char *op = "linear_grad_input";
    MDL_TRY(mdl__expect_inputs(op, in, n_in, 2, 2));
    MDL_TRY(mdl__expect(op, "dy", &in[0], real, 0));
    MDL_TRY(mdl__expect(op, "w", &in[1], real, 2));
    size_t c = in[1].shape.dim[0], k = in[1].shape.dim[1];
    MDL_TRY(mdl__expect_shape(op, "dy", &in[0], real, mdl__with_last(&in[0].shape, k)));
    return mdl__set_one_output(out, n_out, real, mdl__with_last(&in[0].shape, c));
}

const mdl_op_def mdl__op_linear_grad_input = {"linear_grad_input", infer_grad_input, NULL, flops};

static mdl_status infer_grad_weight(const mdl_attrs *attrs, mdl_dtype real, const mdl_desc *in,
                                    int n_in, mdl_desc *out, int *n_out)
{
    (void)attrs;
    const char *op = "linear_grad_weight";
    MDL_TRY(mdl__expect_inputs(op, in, n_in, 2, 2));
    MDL_TRY(mdl__expect(op, "x", &in[0], real, 0));
    MDL_TRY(mdl__expect(op, "dy", &in[1], real, 0));
    size_t c = mdl_shape_last(&in[0].shape), k = mdl_shape_last(&in[1].shape);
    MDL_TRY(mdl__expect_shape(op, "dy", &in[1], real, mdl__with_last(&in[0].shape, k)));
    return mdl__set_one_output(out, n_out, real, MDL_SHAPE2(c, k));
}

static double flops_grad_weight(const mdl_attrs *attrs, const mdl_desc *in, int n_in,
                                const mdl_desc *out, int n_out)
{
    (void)attrs, (void)n_in, (void)n_out;
    return 2 * (double)mdl_shape_rows(&in[0].shape) * mdl__count(&out[0]);
}

const mdl_op_def mdl__op_linear_grad_weight = {"linear_grad_weight", infer_grad_weight, NULL,
                                               flops_grad_weight};

static mdl_status infer_sum_rows(const mdl_attrs *attrs, mdl_dtype real, const mdl_desc *in,
                                 int n_in, mdl_desc *out, int *n_out)
{
    (void)attrs;
    MDL_TRY(mdl__expect_inputs("sum_rows", in, n_in, 1, 1));
    MDL_TRY(mdl__expect("sum_rows", "dy", &in[0], real, 0));
    return mdl__set_one_output(out, n_out, real, MDL_SHAPE1(mdl_shape_last(&in[0].shape)));
}

const mdl_op_def mdl__op_sum_rows = {"sum_rows", infer_sum_rows, NULL, NULL};
