/* BATCH_NORM with batch statistics, with given ones (_APPLY), with the running ones (_INFER), and
 * its gradient.  Ioffe & Szegedy 2015; the channel is the last dimension. */
#include "ops/op_internal.h"

/* x, four vectors over the channels named by `names`, [residual]. */
static mdl_status check(const char *op, const mdl_attrs *attrs, mdl_dtype real, const mdl_desc *in,
                        int n_in, const char *const names[4])
{
    MDL_TRY(mdl__expect_inputs(op, in, n_in, 5, 6));
    MDL_TRY(mdl__expect(op, "x", &in[0], real, 0));
    mdl_shape channels = MDL_SHAPE1(mdl_shape_last(&in[0].shape));
    for (int i = 0; i < 4; i++)
        MDL_TRY(mdl__expect_shape(op, names[i], &in[1 + i], real, channels));
    if (mdl__present(in, n_in, 5))
        MDL_TRY(mdl__expect_shape(op, "residual", &in[5], real, in[0].shape));
    return mdl__expect_act(op, attrs->norm.act);
}

/* With eps = 0 a channel without variance would give infinities. */
static mdl_status check_eps(const char *op, const mdl_attrs *attrs)
{
    if (!(attrs->norm.eps > 0 && attrs->norm.eps < 1))
        return mdl_fail(MDL_INVALID, "%s: eps is %g, expected in (0, 1)", op, attrs->norm.eps);
    return MDL_OK;
}

static const char *const running_names[4] = {"gamma", "beta", "running_mean", "running_var"};

static mdl_status infer(const mdl_attrs *attrs, mdl_dtype real, const mdl_desc *in, int n_in,
                        mdl_desc *out, int *n_out)
{
    const char *op = "batch_norm";
    double m = attrs->norm.momentum;
    MDL_TRY(check(op, attrs, real, in, n_in, running_names));
    MDL_TRY(check_eps(op, attrs));
    if (!(m >= 0 && m <= 1))
        return mdl_fail(MDL_INVALID, "%s: momentum is %g, expected in [0, 1]", op, m);
    *n_out = 0;
    mdl__set_output(out, n_out, real, in[0].shape);
    mdl__set_output(out, n_out, real, in[1].shape);
    mdl__set_output(out, n_out, real, in[1].shape);
    return MDL_OK;
}

/* The statistics are outputs for the backward pass only; no gradient comes through them. */
static mdl_status gradient(const mdl_gradient *g)
{
    int dy = g->out_grad[0];
    MDL_TRY(mdl__expect_first_only("batch_norm", g));
    int from[3] = {MDL_NONE, MDL_NONE, MDL_NONE};
    for (int i = 0; i < 3; i++) {
        if (mdl__needs(g, i))
            from[i] = i;
    }
    if (from[0] != MDL_NONE || from[1] != MDL_NONE || from[2] != MDL_NONE) {
        int in[6] = {dy, g->in[0], g->in[1], g->in[2], g->out[1], g->out[2]};
        MDL_TRY(g->emit(g, MDL_OP_BATCH_NORM_GRAD, g->attrs, in, 6, from, 3));
    }
    return mdl__emit_scaled(g, 5, 1.0);
}

const mdl_op_def mdl__op_batch_norm = {"batch_norm", infer, gradient, NULL};

static mdl_status infer_apply(const mdl_attrs *attrs, mdl_dtype real, const mdl_desc *in, int n_in,
                              mdl_desc *out, int *n_out)
{
    static const char *const names[4] = {"gamma", "beta", "mean", "inv_std"};
    MDL_TRY(check("batch_norm_apply", attrs, real, in, n_in, names));
    return mdl__set_one_output(out, n_out, real, in[0].shape);
}

const mdl_op_def mdl__op_batch_norm_apply = {"batch_norm_apply", infer_apply, NULL, NULL};

static mdl_status infer_infer(const mdl_attrs *attrs, mdl_dtype real, const mdl_desc *in, int n_in,
                              mdl_desc *out, int *n_out)
{
    MDL_TRY(check("batch_norm_infer", attrs, real, in, n_in, running_names));
    MDL_TRY(check_eps("batch_norm_infer", attrs));
    return mdl__set_one_output(out, n_out, real, in[0].shape);
}

const mdl_op_def mdl__op_batch_norm_infer = {"batch_norm_infer", infer_infer, NULL, NULL};

static mdl_status infer_grad(const mdl_attrs *attrs, mdl_dtype real, const mdl_desc *in, int n_in,
                             mdl_desc *out, int *n_out)
{
    static const char *const names[4] = {"gamma", "beta", "mean", "inv_std"};
    const char *op = "batch_norm_grad";
    MDL_TRY(mdl__expect_inputs(op, in, n_in, 6, 6));
    MDL_TRY(mdl__expect(op, "dy", &in[0], real, 0));
    MDL_TRY(check(op, attrs, real, in + 1, n_in - 1, names));
    MDL_TRY(mdl__expect_shape(op, "dy", &in[0], real, in[1].shape));
    *n_out = 0;
    mdl__set_output(out, n_out, real, in[1].shape);
    mdl__set_output(out, n_out, real, in[2].shape);
    mdl__set_output(out, n_out, real, in[2].shape);
    return MDL_OK;
}

const mdl_op_def mdl__op_batch_norm_grad = {"batch_norm_grad", infer_grad, NULL, NULL};
