/* ATTENTION: y = softmax(q k^T / sqrt(D / heads)) v for each head, over all tokens of a sample
 * (Vaswani et al. 2017), and its gradient.  qkv holds q, k and v of D channels each for a token;
 * head h has the channels from h * D / heads on.  p, the weights, are kept for the gradient. */
#include "ops/op_internal.h"

/* Check qkv [N, L, 3D]; gives the shapes of y and p. */
static mdl_status infer_shapes(const char *op, const mdl_attrs *attrs, mdl_dtype real,
                               const mdl_desc *qkv, mdl_shape *y, mdl_shape *p)
{
    char text[MDL_SHAPE_TEXT];
    *y = *p = (mdl_shape){0};
    MDL_TRY(mdl__expect(op, "qkv", qkv, real, 3));
    size_t n = qkv->shape.dim[0], l = qkv->shape.dim[1], last = qkv->shape.dim[2];
    size_t heads = attrs->attention.heads;
    if (heads == 0 || last % 3 != 0 || last / 3 % heads != 0) {
        return mdl_fail(MDL_SHAPE, "%s: qkv is %s with %zu heads, expected 3 * heads * channels",
                        op, mdl_shape_text(&qkv->shape, text), heads);
    }
    *y = MDL_SHAPE3(n, l, last / 3);
    *p = MDL_SHAPE4(n, heads, l, l);
    mdl_desc weights = {real, *p};
    return mdl__expect(op, "p", &weights, real, 4);
}

static mdl_status infer(const mdl_attrs *attrs, mdl_dtype real, const mdl_desc *in, int n_in,
                        mdl_desc *out, int *n_out)
{
    mdl_shape y, p;
    MDL_TRY(mdl__expect_inputs("attention", in, n_in, 1, 1));
    MDL_TRY(infer_shapes("attention", attrs, real, &in[0], &y, &p));
    *n_out = 0;
    mdl__set_output(out, n_out, real, y);
    mdl__set_output(out, n_out, real, p);
    return MDL_OK;
}

static mdl_status gradient(const mdl_gradient *g)
{
    MDL_TRY(mdl__expect_first_only("attention", g));
    const int in[] = {g->out_grad[0], g->in[0], g->out[1]};
    return mdl__emit_for(g, 0, MDL_OP_ATTENTION_GRAD, g->attrs, in, 3);
}

/* Two products of 2 L^2 D for a sample; the softmax 5 for each weight. */
static double flops(const mdl_attrs *attrs, const mdl_desc *in, int n_in, const mdl_desc *out,
                    int n_out)
{
    (void)attrs, (void)in, (void)n_in, (void)n_out;
    return 4 * mdl__count(&out[0]) * (double)out[0].shape.dim[1] + 5 * mdl__count(&out[1]);
}

const mdl_op_def mdl__op_attention = {"attention", infer, gradient, flops};

static mdl_status infer_grad(const mdl_attrs *attrs, mdl_dtype real, const mdl_desc *in, int n_in,
                             mdl_desc *out, int *n_out)
{
    mdl_shape y, p;
    MDL_TRY(mdl__expect_inputs("attention_grad", in, n_in, 3, 3));
    MDL_TRY(infer_shapes("attention_grad", attrs, real, &in[1], &y, &p));
    MDL_TRY(mdl__expect_shape("attention_grad", "dy", &in[0], real, y));
    MDL_TRY(mdl__expect_shape("attention_grad", "p", &in[2], real, p));
    return mdl__set_one_output(out, n_out, real, in[1].shape);
}

/* Four products: dp, dq, dk, dv. */
static double flops_grad(const mdl_attrs *attrs, const mdl_desc *in, int n_in, const mdl_desc *out,
                         int n_out)
{
    (void)attrs, (void)n_in, (void)out, (void)n_out;
    return 8 * mdl__count(&in[0]) * (double)in[0].shape.dim[1] + 5 * mdl__count(&in[2]);
}

const mdl_op_def mdl__op_attention_grad = {"attention_grad", infer_grad, NULL, flops_grad};
