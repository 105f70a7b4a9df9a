/* CROSS_ENTROPY: the mean over the labelled samples of -sum_c t_c log p_c with smoothed targets t
 * and p = s / sum(s), where s is exp (softmax) or the stablemax of Prieto et al. 2025; and its
 * gradient.  A label beyond the classes cannot be refused here, where data is not known: its loss
 * and gradient are NaN, which the trainer reports. */
#include "ops/op_internal.h"

static mdl_status check_attrs(const char *op, const mdl_attrs *attrs)
{
    double s = attrs->loss.smoothing;
    if (!(s >= 0 && s <= 1))
        return mdl_fail(MDL_INVALID, "%s: smoothing is %g, expected 0 to 1", op, s);
    return MDL_OK;
}

static mdl_status infer(const mdl_attrs *attrs, mdl_dtype real, const mdl_desc *in, int n_in,
                        mdl_desc *out, int *n_out)
{
    MDL_TRY(mdl__expect_inputs("cross_entropy", in, n_in, 2, 2));
    MDL_TRY(mdl__expect("cross_entropy", "logits", &in[0], real, 2));
    mdl_shape samples = MDL_SHAPE1(in[0].shape.dim[0]);
    MDL_TRY(mdl__expect_shape("cross_entropy", "labels", &in[1], MDL_I32, samples));
    MDL_TRY(check_attrs("cross_entropy", attrs));
    *n_out = 0;
    mdl__set_output(out, n_out, real, MDL_SHAPE1(1));
    mdl__set_output(out, n_out, real, samples);
    mdl__set_output(out, n_out, real, samples);
    return MDL_OK;
}

static mdl_status gradient(const mdl_gradient *g)
{
    MDL_TRY(mdl__expect_first_only("cross_entropy", g));
    const int in[] = {g->out_grad[0], g->in[0], g->in[1]};
    return mdl__emit_for(g, 0, MDL_OP_CROSS_ENTROPY_GRAD, g->attrs, in, 3);
}

static double flops(const mdl_attrs *attrs, const mdl_desc *in, int n_in, const mdl_desc *out,
                    int n_out)
{
    (void)attrs, (void)n_in, (void)out, (void)n_out;
    return 5 * mdl__count(&in[0]);
}

const mdl_op_def mdl__op_cross_entropy = {"cross_entropy", infer, gradient, flops};

static mdl_status infer_grad(const mdl_attrs *attrs, mdl_dtype real, const mdl_desc *in, int n_in,
                             mdl_desc *out, int *n_out)
{
    MDL_TRY(mdl__expect_inputs("cross_entropy_grad", in, n_in, 3, 3));
    MDL_TRY(mdl__expect_shape("cross_entropy_grad", "dloss", &in[0], real, MDL_SHAPE1(1)));
    MDL_TRY(mdl__expect("cross_entropy_grad", "logits", &in[1], real, 2));
    MDL_TRY(mdl__expect_shape("cross_entropy_grad", "labels", &in[2], MDL_I32,
                              MDL_SHAPE1(in[1].shape.dim[0])));
    MDL_TRY(check_attrs("cross_entropy_grad", attrs));
    return mdl__set_one_output(out, n_out, real, in[1].shape);
}

static double flops_grad(const mdl_attrs *attrs, const mdl_desc *in, int n_in, const mdl_desc *out,
                         int n_out)
{
    (void)attrs, (void)n_in, (void)out, (void)n_out;
    return 7 * mdl__count(&in[1]);
}

const mdl_op_def mdl__op_cross_entropy_grad = {"cross_entropy_grad", infer_grad, NULL, flops_grad};
