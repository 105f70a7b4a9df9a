/* Ops that look at one element at a time: ACTIVATION and its gradient, ADD, SCALE, DROPOUT, STORE16
 * and LOAD16, and FILL, which looks at none. */
#include "ops/op_internal.h"

/* One input of any shape, one output alike. */
static mdl_status infer_alike(const char *op, mdl_dtype real, const mdl_desc *in, int n_in,
                              mdl_desc *out, int *n_out)
{
    MDL_TRY(mdl__expect_inputs(op, in, n_in, 1, 1));
    MDL_TRY(mdl__expect(op, "x", &in[0], real, 0));
    return mdl__set_one_output(out, n_out, real, in[0].shape);
}

/* Two inputs of one shape, one output alike. */
static mdl_status infer_pair(const char *op, const char *a, const char *b, mdl_dtype real,
                             const mdl_desc *in, int n_in, mdl_desc *out, int *n_out)
{
    MDL_TRY(mdl__expect_inputs(op, in, n_in, 2, 2));
    MDL_TRY(mdl__expect(op, a, &in[0], real, 0));
    MDL_TRY(mdl__expect_shape(op, b, &in[1], real, in[0].shape));
    return mdl__set_one_output(out, n_out, real, in[0].shape);
}

static mdl_status infer_activation(const mdl_attrs *attrs, mdl_dtype real, const mdl_desc *in,
                                   int n_in, mdl_desc *out, int *n_out)
{
    MDL_TRY(mdl__expect_act("activation", attrs->act.kind));
    return infer_alike("activation", real, in, n_in, out, n_out);
}

static mdl_status gradient_activation(const mdl_gradient *g)
{
    return mdl__emit_for(g, 0, MDL_OP_ACTIVATION_GRAD, g->attrs, (int[]){g->out_grad[0], g->in[0]},
                         2);
}

const mdl_op_def mdl__op_activation = {"activation", infer_activation, gradient_activation, NULL};

static mdl_status infer_activation_grad(const mdl_attrs *attrs, mdl_dtype real, const mdl_desc *in,
                                        int n_in, mdl_desc *out, int *n_out)
{
    MDL_TRY(mdl__expect_act("activation_grad", attrs->act.kind));
    return infer_pair("activation_grad", "dy", "x", real, in, n_in, out, n_out);
}

const mdl_op_def mdl__op_activation_grad = {"activation_grad", infer_activation_grad, NULL, NULL};

static mdl_status infer_add(const mdl_attrs *attrs, mdl_dtype real, const mdl_desc *in, int n_in,
                            mdl_desc *out, int *n_out)
{
    (void)attrs;
    return infer_pair("add", "a", "b", real, in, n_in, out, n_out);
}

static mdl_status gradient_add(const mdl_gradient *g)
{
    MDL_TRY(mdl__emit_scaled(g, 0, g->attrs->add.alpha));
    return mdl__emit_scaled(g, 1, g->attrs->add.beta);
}

const mdl_op_def mdl__op_add = {"add", infer_add, gradient_add, NULL};

static mdl_status infer_scale(const mdl_attrs *attrs, mdl_dtype real, const mdl_desc *in, int n_in,
                              mdl_desc *out, int *n_out)
{
    (void)attrs;
    return infer_alike("scale", real, in, n_in, out, n_out);
}

static mdl_status gradient_scale(const mdl_gradient *g)
{
    return mdl__emit_scaled(g, 0, g->attrs->scale.factor);
}

const mdl_op_def mdl__op_scale = {"scale", infer_scale, gradient_scale, NULL};

static mdl_status infer_dropout(const mdl_attrs *attrs, mdl_dtype real, const mdl_desc *in,
                                int n_in, mdl_desc *out, int *n_out)
{
    double rate = attrs->dropout.rate;
    if (!(rate >= 0 && rate < 1))
        return mdl_fail(MDL_INVALID, "dropout: rate is %g, expected in [0, 1)", rate);
    return infer_alike("dropout", real, in, n_in, out, n_out);
}

/* The same elements are dropped: the draw depends on stream, step and element only. */
static mdl_status gradient_dropout(const mdl_gradient *g)
{
    return mdl__emit_for(g, 0, MDL_OP_DROPOUT, g->attrs, &g->out_grad[0], 1);
}

const mdl_op_def mdl__op_dropout = {"dropout", infer_dropout, gradient_dropout, NULL};

static mdl_status infer_fill(const mdl_attrs *attrs, mdl_dtype real, const mdl_desc *in, int n_in,
                             mdl_desc *out, int *n_out)
{
    MDL_TRY(mdl__expect_inputs("fill", in, n_in, 0, 0));
    MDL_TRY(mdl__expect_attr_shape("fill", &attrs->fill.shape, real));
    return mdl__set_one_output(out, n_out, real, attrs->fill.shape);
}

const mdl_op_def mdl__op_fill = {"fill", infer_fill, NULL, NULL};

static mdl_status infer_store16(const mdl_attrs *attrs, mdl_dtype real, const mdl_desc *in,
                                int n_in, mdl_desc *out, int *n_out)
{
    (void)attrs;
    MDL_TRY(infer_alike("store16", real, in, n_in, out, n_out));
    out[0].dtype = MDL_BF16;
    return MDL_OK;
}

const mdl_op_def mdl__op_store16 = {"store16", infer_store16, NULL, NULL};

static mdl_status infer_load16(const mdl_attrs *attrs, mdl_dtype real, const mdl_desc *in, int n_in,
                               mdl_desc *out, int *n_out)
{
    (void)attrs;
    MDL_TRY(infer_alike("load16", MDL_BF16, in, n_in, out, n_out));
    out[0].dtype = real;
    return MDL_OK;
}

const mdl_op_def mdl__op_load16 = {"load16", infer_load16, NULL, NULL};
