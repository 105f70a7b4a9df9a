/* ROPE.  The (token, sample) pairs are shared among the threads, token by token, so that the
 * angles of a token are computed once for many samples. */
#include <math.h>

#include "backends/cpu/cpu_internal.h"
#include "backends/cpu/cpu_math.h"
#include "backends/cpu/simd.h"

#define ROPE_BLOCK 64 /* pairs of a head whose angles are held at once */

typedef struct angles { /* of pairs [first, first + count) of a head, at one token */
    size_t first, count;
    float cosine[ROPE_BLOCK], sine[ROPE_BLOCK];
} angles;

static void angles_init(angles *a, const mdl_call *call, size_t token, size_t width, size_t first)
{
    double sign = call->attrs->rope.inverse ? -1.0 : 1.0;
    a->first = first;
    a->count = mdl_min_size(ROPE_BLOCK, width / 2 - first);
    for (size_t i = 0; i < a->count; i++) {
        double exponent = -2.0 * (double)(first + i) / (double)width;
        double angle = sign * (double)token * pow(call->attrs->rope.theta, exponent);
        a->cosine[i] = (float)cos(angle);
        a->sine[i] = (float)sin(angle);
    }
}

/* Turn these pairs in every head of q and k of one row. */
CPU_INLINE void turn(const angles *a, const float *from, float *to, size_t heads, size_t width,
                     bool accumulate)
{
    for (size_t h = 0; h < 2 * heads; h++) {
        size_t at = h * width + a->first, half = width / 2;
        const float *restrict x = from + at, *restrict x2 = from + at + half;
        float *restrict y = to + at, *restrict y2 = to + at + half;
        for (size_t i = 0; i < a->count; i++) {
            cpu_put(&y[i], x[i] * a->cosine[i] - x2[i] * a->sine[i], accumulate);
            cpu_put(&y2[i], x2[i] * a->cosine[i] + x[i] * a->sine[i], accumulate);
        }
    }
}

CPU_INLINE void copy(const float *restrict from, float *restrict to, size_t n, bool accumulate)
{
    for (size_t i = 0; i < n; i++)
        cpu_put(&to[i], from[i], accumulate);
}

/* Samples [begin, end) at one token. */
CPU_INLINE void rope_token(const mdl_call *call, size_t token, size_t begin, size_t end,
                           bool accumulate)
{
    const mdl_shape *shape = &call->in[0].shape;
    size_t tokens = shape->dim[1], d = shape->dim[2] / 3;
    size_t heads = call->attrs->rope.heads, width = d / heads;
    for (size_t first = 0; first < width / 2; first += ROPE_BLOCK) {
        angles a;
        angles_init(&a, call, token, width, first);
        for (size_t n = begin; n < end; n++) {
            size_t row = (n * tokens + token) * 3 * d;
            turn(&a, cpu_in(call, 0) + row, cpu_out(call, 0) + row, heads, width, accumulate);
        }
    }
    for (size_t n = begin; n < end; n++) {
        size_t v = (n * tokens + token) * 3 * d + 2 * d;
        copy(cpu_in(call, 0) + v, cpu_out(call, 0) + v, d, accumulate);
    }
}

void CPU_NAME(rope)(mdl_device *device, const mdl_call *call, int thread, int threads)
{
    (void)device;
    size_t samples = call->in[0].shape.dim[0], tokens = call->in[0].shape.dim[1], begin, end;
    cpu_range(samples * tokens, 1, thread, threads, &begin, &end);
    while (begin < end) {
        size_t token = begin / samples, first = begin % samples;
        size_t last = mdl_min_size(samples, first + (end - begin));
        if (cpu_accumulates(call, 0))
            rope_token(call, token, first, last, true);
        else
            rope_token(call, token, first, last, false);
        begin += last - first;
    }
}
