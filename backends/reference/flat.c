/* LERP, SUM_SQUARES, ADAMW, SGD, DOTS, BLEND, NOISE. */
#include "backends/reference/ref_internal.h"

REF_KERNEL(ref_lerp)
{
    REF_UNUSED();
    for (size_t i = 0; i < ref_count(&call->in[0]); i++) {
        double x = ref_get(&call->in[0], i), y = ref_get(&call->out[0], i);
        ref_set(&call->out[0], i, y + call->attrs->lerp.t * (x - y));
    }
}

REF_KERNEL(ref_sum_squares)
{
    REF_UNUSED();
    double sum = 0;
    for (size_t i = 0; i < ref_count(&call->in[0]); i++)
        sum += ref_get(&call->in[0], i) * ref_get(&call->in[0], i);
    ref_set(&call->out[0], 0, sum);
}

/* Loshchilov & Hutter 2019, in the order of PyTorch: decay, moments, step. */
REF_KERNEL(ref_adamw)
{
    REF_UNUSED();
    const mdl_view *param = &call->out[0], *first = &call->out[1], *second = &call->out[2];
    double b1 = call->attrs->optim.beta1, b2 = call->attrs->optim.beta2;
    double c1 = call->attrs->optim.correction1, c2 = call->attrs->optim.correction2;
    double scale = mdl_optim_scale(call);
    for (size_t s = 0; s < call->attrs->optim.n_segments; s++) {
        const mdl_segment *seg = &call->attrs->optim.segments[s];
        double lr = call->attrs->optim.lr * seg->b;
        double decay = call->attrs->optim.weight_decay * seg->a;
        for (size_t i = seg->offset; i < seg->offset + seg->count; i++) {
            double g = scale * ref_get(&call->in[0], i);
            double p = ref_get(param, i) * (1 - lr * decay);
            double m = b1 * ref_get(first, i) + (1 - b1) * g;
            double v = b2 * ref_get(second, i) + (1 - b2) * g * g;
            ref_set(param, i, p - lr * (m / c1) / (sqrt(v / c2) + call->attrs->optim.eps));
            ref_set(first, i, m);
            ref_set(second, i, v);
        }
    }
}

/* As PyTorch: the decay goes into the gradient, the rate is not part of the momentum. */
REF_KERNEL(ref_sgd)
{
    REF_UNUSED();
    const mdl_view *param = &call->out[0], *momentum = &call->out[1];
    double mu = call->attrs->optim.momentum, scale = mdl_optim_scale(call);
    for (size_t s = 0; s < call->attrs->optim.n_segments; s++) {
        const mdl_segment *seg = &call->attrs->optim.segments[s];
        for (size_t i = seg->offset; i < seg->offset + seg->count; i++) {
            double p = ref_get(param, i);
            double g =
                scale * ref_get(&call->in[0], i) + call->attrs->optim.weight_decay * seg->a * p;
            double m = mu * ref_get(momentum, i) + g;
            double step = call->attrs->optim.nesterov ? g + mu * m : m;
            ref_set(param, i, p - call->attrs->optim.lr * seg->b * step);
            ref_set(momentum, i, m);
        }
    }
}

REF_KERNEL(ref_dots)
{
    REF_UNUSED();
    for (size_t s = 0; s < call->attrs->blend.n_segments; s++) {
        const mdl_segment *seg = &call->attrs->blend.segments[s];
        double aa = 0, ab = 0, bb = 0;
        for (size_t i = seg->offset; i < seg->offset + seg->count; i++) {
            double a = ref_get(&call->in[0], i), b = ref_get(&call->in[1], i);
            aa += a * a;
            ab += a * b;
            bb += b * b;
        }
        ref_set(&call->out[0], 3 * s, aa);
        ref_set(&call->out[0], 3 * s + 1, ab);
        ref_set(&call->out[0], 3 * s + 2, bb);
    }
}

REF_KERNEL(ref_blend)
{
    REF_UNUSED();
    for (size_t s = 0; s < call->attrs->blend.n_segments; s++) {
        const mdl_segment *seg = &call->attrs->blend.segments[s];
        for (size_t i = seg->offset; i < seg->offset + seg->count; i++)
            ref_set(&call->out[0], i,
                    seg->a * ref_get(&call->in[0], i) + seg->b * ref_get(&call->in[1], i));
    }
}

/* A pair of normals from two words (Box & Muller 1958); u1 is in (0, 1], so its log is finite. */
REF_KERNEL(ref_noise)
{
    REF_UNUSED();
    const double pi = 3.14159265358979323846, unit = 1.0 / 4294967296.0;
    for (size_t i = 0; i < ref_count(&call->out[0]); i++) {
        uint32_t words[4];
        mdl_philox(call->attrs->noise.seed, call->attrs->noise.stream, i / 2, words);
        double r = sqrt(-2.0 * log(((double)words[0] + 1.0) * unit));
        double angle = 2.0 * pi * (double)words[1] * unit;
        double normal = r * (i % 2 == 0 ? cos(angle) : sin(angle));
        ref_set(&call->out[0], i, ref_get(&call->out[0], i) + call->attrs->noise.std * normal);
    }
}
