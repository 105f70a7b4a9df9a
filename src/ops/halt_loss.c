/* HALT_LOSS: the mean over the labelled samples of the binary cross-entropy of sigmoid(q) with
 * t = [argmax(logits) == label] (TRM, Algorithm 3), and its gradient, which goes to q only. */
#include "ops/op_internal.h"

/* q, logits and labels, in this order. */
static mdl_status check_inputs(const char *op, mdl_dtype real, const mdl_desc *in)
{
    MDL_TRY(mdl__expect(op, "logits", &in[1], real, 2));
    size_t n = in[1].shape.dim[0];
    MDL_TRY(mdl__expect_shape(op, "q", &in[0], real, MDL_SHAPE2(n, 1)));
    return mdl__expect_shape(op, "labels", &in[2], MDL_I32, MDL_SHAPE1(n));
}

static mdl_status infer(const mdl_attrs *attrs, mdl_dtype real, const mdl_desc *in, int n_in,
                        mdl_desc *out, int *n_out)
{
    (void)attrs;
    MDL_TRY(mdl__expect_inputs("halt_loss", in, n_in, 3, 3));
    MDL_TRY(check_inputs("halt_loss", real, in));
    return mdl__set_one_output(out, n_out, real, MDL_SHAPE1(1));
}

static mdl_status gradient(const mdl_gradient *g)
{
    const int in[] = {g->out_grad[0], g->in[0], g->in[1], g->in[2]};
    return mdl__emit_for(g, 0, MDL_OP_HALT_LOSS_GRAD, g->attrs, in, 4);
}

const mdl_op_def mdl__op_halt_loss = {"halt_loss", infer, gradient, NULL};

static mdl_status infer_grad(const mdl_attrs *attrs, mdl_dtype real, const mdl_desc *in, int n_in,
                             mdl_desc *out, int *n_out)
{
    (void)attrs;
    MDL_TRY(mdl__expect_inputs("halt_loss_grad", in, n_in, 4, 4));
    MDL_TRY(mdl__expect_shape("halt_loss_grad", "dloss", &in[0], real, MDL_SHAPE1(1)));
    MDL_TRY(check_inputs("halt_loss_grad", real, &in[1]));
    return mdl__set_one_output(out, n_out, real, in[1].shape);
}

const mdl_op_def mdl__op_halt_loss_grad = {"halt_loss_grad", infer_grad, NULL, NULL};
