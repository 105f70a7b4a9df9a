/* Dense convolution and its gradients, each output element on its own. */
#include "backends/reference/ref_internal.h"

/* The sizes of a call: x[n, in_h, in_w, c], y[n, out_h, out_w, k]. */
typedef struct geometry {
    size_t n, c, k;      /* batch, channels in, channels out */
    size_t out_h, out_w; /* of y */
    const mdl_attrs *a;  /* kernel, stride, padding, in_h, in_w */
} geometry;

static geometry geometry_of(const mdl_call *call, const mdl_shape *x, const mdl_shape *y)
{
    return (geometry){x->dim[0], x->dim[3], y->dim[3], y->dim[1], y->dim[2], call->attrs};
}

static double output_at(const mdl_call *call, const geometry *g, size_t n, size_t oy, size_t ox,
                        size_t k)
{
    double sum = 0;
    size_t iy, ix;
    for (size_t ky = 0; ky < g->a->conv.kernel_h; ky++) {
        if (!ref_tap_source(oy, ky, g->a->conv.stride, g->a->conv.pad_top, g->a->conv.in_h, &iy))
            continue;
        for (size_t kx = 0; kx < g->a->conv.kernel_w; kx++) {
            if (!ref_tap_source(ox, kx, g->a->conv.stride, g->a->conv.pad_left, g->a->conv.in_w,
                                &ix))
                continue;
            size_t x = ((n * g->a->conv.in_h + iy) * g->a->conv.in_w + ix) * g->c;
            size_t w = (ky * g->a->conv.kernel_w + kx) * g->c * g->k + k;
            for (size_t c = 0; c < g->c; c++)
                sum += ref_get(&call->in[0], x + c) * ref_get(&call->in[1], w + c * g->k);
        }
    }
    return sum;
}

REF_KERNEL(ref_conv2d)
{
    geometry g = geometry_of(call, &call->in[0].shape, &call->out[0].shape);
    size_t at = 0;
    REF_UNUSED();
    for (size_t n = 0; n < g.n; n++) {
        for (size_t oy = 0; oy < g.out_h; oy++) {
            for (size_t ox = 0; ox < g.out_w; ox++) {
                for (size_t k = 0; k < g.k; k++)
                    ref_put(call, 0, at++, output_at(call, &g, n, oy, ox, k));
            }
        }
    }
}

static double input_gradient_at(const mdl_call *call, const geometry *g, size_t n, size_t iy,
                                size_t ix, size_t c)
{
    double sum = 0;
    size_t oy, ox;
    for (size_t ky = 0; ky < g->a->conv.kernel_h; ky++) {
        if (!ref_tap_target(iy, ky, g->a->conv.stride, g->a->conv.pad_top, g->out_h, &oy))
            continue;
        for (size_t kx = 0; kx < g->a->conv.kernel_w; kx++) {
            if (!ref_tap_target(ix, kx, g->a->conv.stride, g->a->conv.pad_left, g->out_w, &ox))
                continue;
            size_t dy = ((n * g->out_h + oy) * g->out_w + ox) * g->k;
            size_t w = ((ky * g->a->conv.kernel_w + kx) * g->c + c) * g->k;
            for (size_t k = 0; k < g->k; k++)
                sum += ref_get(&call->in[0], dy + k) * ref_get(&call->in[1], w + k);
        }
    }
    return sum;
}

REF_KERNEL(ref_conv2d_grad_input)
{
    geometry g = geometry_of(call, &call->out[0].shape, &call->in[0].shape);
    size_t at = 0;
    REF_UNUSED();
    for (size_t n = 0; n < g.n; n++) {
        for (size_t iy = 0; iy < g.a->conv.in_h; iy++) {
            for (size_t ix = 0; ix < g.a->conv.in_w; ix++) {
                for (size_t c = 0; c < g.c; c++)
                    ref_put(call, 0, at++, input_gradient_at(call, &g, n, iy, ix, c));
            }
        }
    }
}

static double weight_gradient_at(const mdl_call *call, const geometry *g, size_t ky, size_t kx,
                                 size_t c, size_t k)
{
    double sum = 0;
    size_t iy, ix;
    for (size_t n = 0; n < g->n; n++) {
        for (size_t oy = 0; oy < g->out_h; oy++) {
            if (!ref_tap_source(oy, ky, g->a->conv.stride, g->a->conv.pad_top, g->a->conv.in_h,
                                &iy))
                continue;
            for (size_t ox = 0; ox < g->out_w; ox++) {
                if (!ref_tap_source(ox, kx, g->a->conv.stride, g->a->conv.pad_left, g->a->conv.in_w,
                                    &ix))
                    continue;
                size_t x = ((n * g->a->conv.in_h + iy) * g->a->conv.in_w + ix) * g->c + c;
                size_t dy = ((n * g->out_h + oy) * g->out_w + ox) * g->k + k;
                sum += ref_get(&call->in[0], x) * ref_get(&call->in[1], dy);
            }
        }
    }
    return sum;
}

REF_KERNEL(ref_conv2d_grad_weight)
{
    geometry g = geometry_of(call, &call->in[0].shape, &call->in[1].shape);
    size_t at = 0;
    REF_UNUSED();
    for (size_t ky = 0; ky < g.a->conv.kernel_h; ky++) {
        for (size_t kx = 0; kx < g.a->conv.kernel_w; kx++) {
            for (size_t c = 0; c < g.c; c++) {
                for (size_t k = 0; k < g.k; k++)
                    ref_put(call, 0, at++, weight_gradient_at(call, &g, ky, kx, c, k));
            }
        }
    }
}
