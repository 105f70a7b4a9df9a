/* RMS_NORM and its gradient. */
#include "backends/reference/ref_internal.h"

REF_KERNEL(ref_rms_norm)
{
    REF_UNUSED();
    const mdl_view *x = &call->in[0];
    size_t d = mdl_shape_last(&x->shape), rows = mdl_shape_rows(&x->shape);
    for (size_t r = 0; r < rows; r++) {
        double sum = 0;
        for (size_t c = 0; c < d; c++)
            sum += ref_get(x, r * d + c) * ref_get(x, r * d + c);
        double inv = 1.0 / sqrt(sum / (double)d + call->attrs->norm.eps);
        for (size_t c = 0; c < d; c++)
            ref_set(&call->out[0], r * d + c, ref_get(x, r * d + c) * inv);
        ref_set(&call->out[1], r, inv);
    }
}

/* With n = x * inv: dx = inv * (dy - n * mean(dy * n)). */
REF_KERNEL(ref_rms_norm_grad)
{
    REF_UNUSED();
    const mdl_view *dy = &call->in[0], *x = &call->in[1];
    size_t d = mdl_shape_last(&x->shape), rows = mdl_shape_rows(&x->shape);
    for (size_t r = 0; r < rows; r++) {
        double inv = ref_get(&call->in[2], r), mean = 0;
        for (size_t c = 0; c < d; c++)
            mean += ref_get(dy, r * d + c) * ref_get(x, r * d + c) * inv / (double)d;
        for (size_t c = 0; c < d; c++) {
            size_t i = r * d + c;
            ref_put(call, 0, i, inv * (ref_get(dy, i) - ref_get(x, i) * inv * mean));
        }
    }
}
