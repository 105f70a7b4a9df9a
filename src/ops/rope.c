/* ROPE: rotary position embedding (Su et al. 2021) of q and k in packed qkv; v passes.  Channels i
 * and i + head / 2 of each head turn by the angle l * theta^(-2i / head) at token l. */
#include "ops/op_internal.h"

static mdl_status infer(const mdl_attrs *attrs, mdl_dtype real, const mdl_desc *in, int n_in,
                        mdl_desc *out, int *n_out)
{
    char text[MDL_SHAPE_TEXT];
    MDL_TRY(mdl__expect_inputs("rope", in, n_in, 1, 1));
    MDL_TRY(mdl__expect("rope", "qkv", &in[0], real, 3));
    size_t last = mdl_shape_last(&in[0].shape), heads = attrs->rope.heads;
    if (heads == 0 || last % 3 != 0 || last / 3 % heads != 0 || last / 3 / heads % 2 != 0) {
        return mdl_fail(MDL_SHAPE,
                        "rope: qkv is %s with %zu heads, expected 3 * heads * an even number of "
                        "channels",
                        mdl_shape_text(&in[0].shape, text), heads);
    }
    if (!(attrs->rope.theta > 0))
        return mdl_fail(MDL_INVALID, "rope: theta is %g, expected more than 0", attrs->rope.theta);
    return mdl__set_one_output(out, n_out, real, in[0].shape);
}

/* A rotation's transpose is the rotation by the negative angle. */
static mdl_status gradient(const mdl_gradient *g)
{
    mdl_attrs attrs = *g->attrs;
    attrs.rope.inverse = !attrs.rope.inverse;
    return mdl__emit_for(g, 0, MDL_OP_ROPE, &attrs, &g->out_grad[0], 1);
}

/* Six for each pair of channels of q and k, that is three for each channel. */
static double flops(const mdl_attrs *attrs, const mdl_desc *in, int n_in, const mdl_desc *out,
                    int n_out)
{
    (void)attrs, (void)n_in, (void)out, (void)n_out;
    return 2 * mdl__count(&in[0]);
}

const mdl_op_def mdl__op_rope = {"rope", infer, gradient, flops};
