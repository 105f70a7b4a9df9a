/* RMS_NORM: y = x / sqrt(mean(x^2) + eps) over the last dimension, without a learned scale (Zhang
 * & Sennrich 2019), and its gradient. */
#include "ops/op_internal.h"

static mdl_status check_attrs(const char *op, const mdl_attrs *attrs)
{
    if (!(attrs->norm.eps >= 0))
        return mdl_fail(MDL_INVALID, "%s: eps is %g, expected 0 or more", op, attrs->norm.eps);
    if (attrs->norm.act != MDL_ACT_NONE)
        return mdl_fail(MDL_UNSUPPORTED, "%s: has no activation of its own", op);
    return MDL_OK;
}

static mdl_status infer(const mdl_attrs *attrs, mdl_dtype real, const mdl_desc *in, int n_in,
                        mdl_desc *out, int *n_out)
{
    MDL_TRY(mdl__expect_inputs("rms_norm", in, n_in, 1, 1));
    MDL_TRY(mdl__expect("rms_norm", "x", &in[0], real, 0));
    MDL_TRY(check_attrs("rms_norm", attrs));
    *n_out = 0;
    mdl__set_output(out, n_out, real, in[0].shape);
    mdl__set_output(out, n_out, real, MDL_SHAPE1(mdl_shape_rows(&in[0].shape)));
    return MDL_OK;
}

static mdl_status gradient(const mdl_gradient *g)
{
    MDL_TRY(mdl__expect_first_only("rms_norm", g));
    const int in[] = {g->out_grad[0], g->in[0], g->out[1]};
    return mdl__emit_for(g, 0, MDL_OP_RMS_NORM_GRAD, g->attrs, in, 3);
}

/* Square and sum, then scale. */
static double flops(const mdl_attrs *attrs, const mdl_desc *in, int n_in, const mdl_desc *out,
                    int n_out)
{
    (void)attrs, (void)n_in, (void)out, (void)n_out;
    return 3 * mdl__count(&in[0]);
}

const mdl_op_def mdl__op_rms_norm = {"rms_norm", infer, gradient, flops};

static mdl_status infer_grad(const mdl_attrs *attrs, mdl_dtype real, const mdl_desc *in, int n_in,
                             mdl_desc *out, int *n_out)
{
    MDL_TRY(mdl__expect_inputs("rms_norm_grad", in, n_in, 3, 3));
    MDL_TRY(mdl__expect("rms_norm_grad", "dy", &in[0], real, 0));
    MDL_TRY(mdl__expect_shape("rms_norm_grad", "x", &in[1], real, in[0].shape));
    MDL_TRY(mdl__expect_shape("rms_norm_grad", "inv_rms", &in[2], real,
                              MDL_SHAPE1(mdl_shape_rows(&in[0].shape))));
    MDL_TRY(check_attrs("rms_norm_grad", attrs));
    return mdl__set_one_output(out, n_out, real, in[0].shape);
}

static double flops_grad(const mdl_attrs *attrs, const mdl_desc *in, int n_in, const mdl_desc *out,
                         int n_out)
{
    (void)attrs, (void)n_in, (void)out, (void)n_out;
    return 5 * mdl__count(&in[0]);
}

const mdl_op_def mdl__op_rms_norm_grad = {"rms_norm_grad", infer_grad, NULL, flops_grad};
