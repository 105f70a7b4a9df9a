/* ROPE. */
#include "backends/reference/ref_internal.h"

/* Turn the pair at `at` and `at + half` by `angle`. */
static void turn(const mdl_call *call, size_t at, size_t half, double angle)
{
    double a = ref_get(&call->in[0], at), b = ref_get(&call->in[0], at + half);
    ref_put(call, 0, at, a * cos(angle) - b * sin(angle));
    ref_put(call, 0, at + half, b * cos(angle) + a * sin(angle));
}

REF_KERNEL(ref_rope)
{
    REF_UNUSED();
    const mdl_view *qkv = &call->in[0];
    size_t rows = mdl_shape_rows(&qkv->shape), tokens = qkv->shape.dim[1];
    size_t d = mdl_shape_last(&qkv->shape) / 3, heads = call->attrs->rope.heads;
    size_t width = d / heads, half = width / 2;
    double sign = call->attrs->rope.inverse ? -1 : 1;
    for (size_t r = 0; r < rows; r++) {
        for (size_t h = 0; h < 2 * heads; h++) { /* the heads of q, then of k */
            for (size_t i = 0; i < half; i++) {
                double speed = pow(call->attrs->rope.theta, -2.0 * (double)i / (double)width);
                turn(call, r * 3 * d + h * width + i, half, sign * speed * (double)(r % tokens));
            }
        }
        for (size_t c = 2 * d; c < 3 * d; c++)
            ref_put(call, 0, r * 3 * d + c, ref_get(qkv, r * 3 * d + c));
    }
}
