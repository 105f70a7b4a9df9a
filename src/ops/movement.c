/* Ops that move, repeat, choose or average whole rows: EXPAND, EXPAND_ROWS, MEAN_ROWS, SELECT_ROWS,
 * TRANSPOSE, VIEW. */
#include "ops/op_internal.h"

static mdl_status infer_expand(const mdl_attrs *attrs, mdl_dtype real, const mdl_desc *in, int n_in,
                               mdl_desc *out, int *n_out)
{
    const mdl_shape *shape = &attrs->expand.shape;
    MDL_TRY(mdl__expect_inputs("expand", in, n_in, 1, 1));
    MDL_TRY(mdl__expect_attr_shape("expand", shape, real));
    MDL_TRY(mdl__expect_shape("expand", "v", &in[0], real, MDL_SHAPE1(mdl_shape_last(shape))));
    return mdl__set_one_output(out, n_out, real, *shape);
}

const mdl_op_def mdl__op_expand = {"expand", infer_expand, NULL, NULL};

static mdl_status infer_expand_rows(const mdl_attrs *attrs, mdl_dtype real, const mdl_desc *in,
                                    int n_in, mdl_desc *out, int *n_out)
{
    const char *op = "expand_rows";
    const mdl_shape *shape = &attrs->scale.shape;
    MDL_TRY(mdl__expect_inputs(op, in, n_in, 1, 1));
    MDL_TRY(mdl__expect_attr_shape(op, shape, real));
    MDL_TRY(
        mdl__expect_shape(op, "x", &in[0], real, MDL_SHAPE2(shape->dim[0], mdl_shape_last(shape))));
    return mdl__set_one_output(out, n_out, real, *shape);
}

const mdl_op_def mdl__op_expand_rows = {"expand_rows", infer_expand_rows, NULL, NULL};

static mdl_status infer_mean_rows(const mdl_attrs *attrs, mdl_dtype real, const mdl_desc *in,
                                  int n_in, mdl_desc *out, int *n_out)
{
    (void)attrs;
    MDL_TRY(mdl__expect_inputs("mean_rows", in, n_in, 1, 1));
    MDL_TRY(mdl__expect_rank_from("mean_rows", "x", &in[0], real, 2));
    return mdl__set_one_output(out, n_out, real,
                               MDL_SHAPE2(in[0].shape.dim[0], mdl_shape_last(&in[0].shape)));
}

static mdl_status gradient_mean_rows(const mdl_gradient *g)
{
    const mdl_shape *x = &g->desc(g, g->in[0])->shape;
    mdl_attrs attrs = {.scale = {.shape = *x}};
    attrs.scale.factor = (double)x->dim[0] / (double)mdl_shape_rows(x);
    return mdl__emit_for(g, 0, MDL_OP_EXPAND_ROWS, &attrs, &g->out_grad[0], 1);
}

const mdl_op_def mdl__op_mean_rows = {"mean_rows", infer_mean_rows, gradient_mean_rows, NULL};

static mdl_status infer_select_rows(const mdl_attrs *attrs, mdl_dtype real, const mdl_desc *in,
                                    int n_in, mdl_desc *out, int *n_out)
{
    const char *op = "select_rows";
    (void)attrs;
    MDL_TRY(mdl__expect_inputs(op, in, n_in, 3, 3));
    MDL_TRY(mdl__expect(op, "a", &in[1], real, 0));
    MDL_TRY(mdl__expect_shape(op, "b", &in[2], real, in[1].shape));
    MDL_TRY(mdl__expect_shape(op, "mask", &in[0], MDL_I32, MDL_SHAPE1(in[1].shape.dim[0])));
    return mdl__set_one_output(out, n_out, real, in[1].shape);
}

const mdl_op_def mdl__op_select_rows = {"select_rows", infer_select_rows, NULL, NULL};

static mdl_status infer_transpose(const mdl_attrs *attrs, mdl_dtype real, const mdl_desc *in,
                                  int n_in, mdl_desc *out, int *n_out)
{
    (void)attrs;
    MDL_TRY(mdl__expect_inputs("transpose", in, n_in, 1, 1));
    MDL_TRY(mdl__expect("transpose", "x", &in[0], real, 3));
    const size_t *x = in[0].shape.dim;
    return mdl__set_one_output(out, n_out, real, MDL_SHAPE3(x[0], x[2], x[1]));
}

static mdl_status gradient_transpose(const mdl_gradient *g)
{
    return mdl__emit_for(g, 0, MDL_OP_TRANSPOSE, g->attrs, &g->out_grad[0], 1);
}

const mdl_op_def mdl__op_transpose = {"transpose", infer_transpose, gradient_transpose, NULL};

static mdl_status infer_view(const mdl_attrs *attrs, mdl_dtype real, const mdl_desc *in, int n_in,
                             mdl_desc *out, int *n_out)
{
    char from[MDL_SHAPE_TEXT], to[MDL_SHAPE_TEXT];
    const mdl_shape *shape = &attrs->expand.shape;
    (void)real; /* a view has the type of what it shows */
    MDL_TRY(mdl__expect_inputs("view", in, n_in, 1, 1));
    MDL_TRY(mdl__expect("view", "x", &in[0], in[0].dtype, 0));
    MDL_TRY(mdl__expect_attr_shape("view", shape, in[0].dtype));
    if (mdl_shape_count(&in[0].shape) != mdl_shape_count(shape)) {
        return mdl_fail(MDL_SHAPE, "view: x is %s, which has not as many elements as %s",
                        mdl_shape_text(&in[0].shape, from), mdl_shape_text(shape, to));
    }
    return mdl__set_one_output(out, n_out, in[0].dtype, *shape);
}

static mdl_status gradient_view(const mdl_gradient *g)
{
    mdl_attrs attrs = {.expand = {.shape = g->desc(g, g->in[0])->shape}};
    if (g->attrs->expand.stop_gradient)
        return MDL_OK;
    return mdl__emit_for(g, 0, MDL_OP_VIEW, &attrs, &g->out_grad[0], 1);
}

const mdl_op_def mdl__op_view = {"view", infer_view, gradient_view, NULL};
