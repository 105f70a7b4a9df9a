/* Depthwise convolution and its gradients, each output element on its own. */
#include "backends/reference/ref_internal.h"

/* Element (n, y, x, c) of a tensor [N, H, W, C]. */
static size_t element(const mdl_shape *s, size_t n, size_t y, size_t x, size_t c)
{
    return ((n * s->dim[1] + y) * s->dim[2] + x) * s->dim[3] + c;
}

static double output_at(const mdl_call *call, size_t n, size_t oy, size_t ox, size_t c)
{
    const mdl_attrs *a = call->attrs;
    const mdl_view *x = &call->in[0], *w = &call->in[1];
    double sum = 0;
    size_t iy, ix;
    for (size_t ky = 0; ky < a->conv.kernel_h; ky++) {
        for (size_t kx = 0; kx < a->conv.kernel_w; kx++) {
            if (!ref_tap_source(oy, ky, a->conv.stride, a->conv.pad_top, x->shape.dim[1], &iy) ||
                !ref_tap_source(ox, kx, a->conv.stride, a->conv.pad_left, x->shape.dim[2], &ix))
                continue;
            sum += ref_get(x, element(&x->shape, n, iy, ix, c)) *
                   ref_get(w, (ky * a->conv.kernel_w + kx) * x->shape.dim[3] + c);
        }
    }
    return sum;
}

REF_KERNEL(ref_depthwise)
{
    const size_t *y = call->out[0].shape.dim;
    size_t at = 0;
    REF_UNUSED();
    for (size_t n = 0; n < y[0]; n++) {
        for (size_t oy = 0; oy < y[1]; oy++) {
            for (size_t ox = 0; ox < y[2]; ox++) {
                for (size_t c = 0; c < y[3]; c++)
                    ref_put(call, 0, at++, output_at(call, n, oy, ox, c));
            }
        }
    }
}

static double input_gradient_at(const mdl_call *call, size_t n, size_t iy, size_t ix, size_t c)
{
    const mdl_attrs *a = call->attrs;
    const mdl_view *dy = &call->in[0], *w = &call->in[1];
    double sum = 0;
    size_t oy, ox;
    for (size_t ky = 0; ky < a->conv.kernel_h; ky++) {
        for (size_t kx = 0; kx < a->conv.kernel_w; kx++) {
            if (!ref_tap_target(iy, ky, a->conv.stride, a->conv.pad_top, dy->shape.dim[1], &oy) ||
                !ref_tap_target(ix, kx, a->conv.stride, a->conv.pad_left, dy->shape.dim[2], &ox))
                continue;
            sum += ref_get(dy, element(&dy->shape, n, oy, ox, c)) *
                   ref_get(w, (ky * a->conv.kernel_w + kx) * dy->shape.dim[3] + c);
        }
    }
    return sum;
}

REF_KERNEL(ref_depthwise_grad_input)
{
    const size_t *dx = call->out[0].shape.dim;
    size_t at = 0;
    REF_UNUSED();
    for (size_t n = 0; n < dx[0]; n++) {
        for (size_t iy = 0; iy < dx[1]; iy++) {
            for (size_t ix = 0; ix < dx[2]; ix++) {
                for (size_t c = 0; c < dx[3]; c++)
                    ref_put(call, 0, at++, input_gradient_at(call, n, iy, ix, c));
            }
        }
    }
}

static double weight_gradient_at(const mdl_call *call, size_t ky, size_t kx, size_t c)
{
    const mdl_attrs *a = call->attrs;
    const mdl_view *x = &call->in[0], *dy = &call->in[1];
    double sum = 0;
    size_t iy, ix;
    for (size_t n = 0; n < dy->shape.dim[0]; n++) {
        for (size_t oy = 0; oy < dy->shape.dim[1]; oy++) {
            if (!ref_tap_source(oy, ky, a->conv.stride, a->conv.pad_top, x->shape.dim[1], &iy))
                continue;
            for (size_t ox = 0; ox < dy->shape.dim[2]; ox++) {
                if (ref_tap_source(ox, kx, a->conv.stride, a->conv.pad_left, x->shape.dim[2], &ix))
                    sum += ref_get(x, element(&x->shape, n, iy, ix, c)) *
                           ref_get(dy, element(&dy->shape, n, oy, ox, c));
            }
        }
    }
    return sum;
}

REF_KERNEL(ref_depthwise_grad_weight)
{
    const size_t *dw = call->out[0].shape.dim;
    size_t at = 0;
    REF_UNUSED();
    for (size_t ky = 0; ky < dw[0]; ky++) {
        for (size_t kx = 0; kx < dw[1]; kx++) {
            for (size_t c = 0; c < dw[2]; c++)
                ref_put(call, 0, at++, weight_gradient_at(call, ky, kx, c));
        }
    }
}
