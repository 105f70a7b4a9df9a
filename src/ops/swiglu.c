/* SWIGLU: silu(g) * u, where a row holds g and then u (Shazeer 2020), and its gradient. */
#include "ops/op_internal.h"

static mdl_status check_even(const char *op, const mdl_desc *gu)
{
    char text[MDL_SHAPE_TEXT];
    if (mdl_shape_last(&gu->shape) % 2 != 0) {
        return mdl_fail(MDL_SHAPE, "%s: gu is %s, expected an even last dimension", op,
                        mdl_shape_text(&gu->shape, text));
    }
    return MDL_OK;
}

static mdl_status infer(const mdl_attrs *attrs, mdl_dtype real, const mdl_desc *in, int n_in,
                        mdl_desc *out, int *n_out)
{
    (void)attrs;
    MDL_TRY(mdl__expect_inputs("swiglu", in, n_in, 1, 1));
    MDL_TRY(mdl__expect("swiglu", "gu", &in[0], real, 0));
    MDL_TRY(check_even("swiglu", &in[0]));
    mdl_shape shape = mdl__with_last(&in[0].shape, mdl_shape_last(&in[0].shape) / 2);
    return mdl__set_one_output(out, n_out, real, shape);
}

static mdl_status gradient(const mdl_gradient *g)
{
    const int in[] = {g->out_grad[0], g->in[0]};
    return mdl__emit_for(g, 0, MDL_OP_SWIGLU_GRAD, g->attrs, in, 2);
}

/* The exponential counts as one operation, like the four others. */
static double flops(const mdl_attrs *attrs, const mdl_desc *in, int n_in, const mdl_desc *out,
                    int n_out)
{
    (void)attrs, (void)in, (void)n_in, (void)n_out;
    return 5 * mdl__count(&out[0]);
}

const mdl_op_def mdl__op_swiglu = {"swiglu", infer, gradient, flops};

static mdl_status infer_grad(const mdl_attrs *attrs, mdl_dtype real, const mdl_desc *in, int n_in,
                             mdl_desc *out, int *n_out)
{
    (void)attrs;
    MDL_TRY(mdl__expect_inputs("swiglu_grad", in, n_in, 2, 2));
    MDL_TRY(mdl__expect("swiglu_grad", "gu", &in[1], real, 0));
    MDL_TRY(check_even("swiglu_grad", &in[1]));
    mdl_shape shape = mdl__with_last(&in[1].shape, mdl_shape_last(&in[1].shape) / 2);
    MDL_TRY(mdl__expect_shape("swiglu_grad", "dy", &in[0], real, shape));
    return mdl__set_one_output(out, n_out, real, in[1].shape);
}

static double flops_grad(const mdl_attrs *attrs, const mdl_desc *in, int n_in, const mdl_desc *out,
                         int n_out)
{
    (void)attrs, (void)n_in, (void)out, (void)n_out;
    return 12 * mdl__count(&in[0]);
}

const mdl_op_def mdl__op_swiglu_grad = {"swiglu_grad", infer_grad, NULL, flops_grad};
