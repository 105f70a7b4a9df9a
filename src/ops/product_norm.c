/* LINEAR_NORM, CONV2D_NORM and DEPTHWISE_NORM: a product and the BATCH_NORM_INFER behind it.  They
 * stand in plans only, so they have no gradient rules. */
#include "ops/op_internal.h"

/* What the product gives, and as many channels of everything else. */
static mdl_status infer(const mdl_op_def *product, const char *op, const mdl_attrs *attrs,
                        mdl_dtype real, const mdl_desc *in, int n_in, mdl_desc *out, int *n_out)
{
    static const char *const names[4] = {"gamma", "beta", "running_mean", "running_var"};
    MDL_TRY(mdl__expect_inputs(op, in, n_in, 6, 7));
    MDL_TRY(product->infer(attrs, real, in, 2, out, n_out));
    mdl_shape channels = MDL_SHAPE1(mdl_shape_last(&out[0].shape));
    for (int i = 0; i < 4; i++)
        MDL_TRY(mdl__expect_shape(op, names[i], &in[2 + i], real, channels));
    if (mdl__present(in, n_in, 6))
        MDL_TRY(mdl__expect_shape(op, "residual", &in[6], real, out[0].shape));
    if (!(attrs->conv.eps > 0 && attrs->conv.eps < 1)) /* as BATCH_NORM_INFER */
        return mdl_fail(MDL_INVALID, "%s: eps is %g, expected in (0, 1)", op, attrs->conv.eps);
    return mdl__expect_act(op, attrs->conv.act);
}

#define PRODUCT_NORM(lower)                                                                        \
    static mdl_status infer_##lower(const mdl_attrs *attrs, mdl_dtype real, const mdl_desc *in,    \
                                    int n_in, mdl_desc *out, int *n_out)                           \
    {                                                                                              \
        return infer(&mdl__op_##lower, #lower "_norm", attrs, real, in, n_in, out, n_out);         \
    }                                                                                              \
    static double flops_##lower(const mdl_attrs *attrs, const mdl_desc *in, int n_in,              \
                                const mdl_desc *out, int n_out)                                    \
    {                                                                                              \
        return mdl__op_##lower.flops(attrs, in, n_in, out, n_out);                                 \
    }                                                                                              \
    const mdl_op_def mdl__op_##lower##_norm = {#lower "_norm", infer_##lower, NULL, flops_##lower};

PRODUCT_NORM(linear)
PRODUCT_NORM(conv2d)
PRODUCT_NORM(depthwise)
