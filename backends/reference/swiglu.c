/* SWIGLU and its gradient. */
#include "backends/reference/ref_internal.h"

REF_KERNEL(ref_swiglu)
{
    REF_UNUSED();
    const mdl_view *gu = &call->in[0];
    size_t d = mdl_shape_last(&gu->shape) / 2, rows = mdl_shape_rows(&gu->shape);
    for (size_t r = 0; r < rows; r++) {
        for (size_t c = 0; c < d; c++) {
            double g = ref_get(gu, r * 2 * d + c), u = ref_get(gu, (r * 2 + 1) * d + c);
            ref_set(&call->out[0], r * d + c, ref_act(MDL_ACT_SILU, g) * u);
        }
    }
}

REF_KERNEL(ref_swiglu_grad)
{
    REF_UNUSED();
    const mdl_view *dy = &call->in[0], *gu = &call->in[1];
    size_t d = mdl_shape_last(&gu->shape) / 2, rows = mdl_shape_rows(&gu->shape);
    for (size_t r = 0; r < rows; r++) {
        for (size_t c = 0; c < d; c++) {
            size_t at_g = r * 2 * d + c, at_u = at_g + d;
            double g = ref_get(gu, at_g), u = ref_get(gu, at_u), dyc = ref_get(dy, r * d + c);
            ref_put(call, 0, at_g, dyc * u * ref_act_slope(MDL_ACT_SILU, g));
            ref_put(call, 0, at_u, dyc * ref_act(MDL_ACT_SILU, g));
        }
    }
}
