/* DEPTHWISE, DEPTHWISE_NORM, and DEPTHWISE_GRAD_INPUT at stride 1, which is the same convolution
 * with the kernel turned by 180 degrees. */
#include "backends/cpu/depthwise.h"

#include <string.h>

/* dst[oy, ox] (+)= sum over taps of src[oy * stride - pad + ky, ox * stride - pad + kx] * w */
typedef struct gather {
    const float *src; /* of this image */
    const float *w;
    float *dst;                    /* first pixel of the row that is computed */
    size_t src_h, src_w, dst_w, c; /* sizes; c channels */
    ptrdiff_t top, pad_left;       /* first source row of this row */
    bool accumulate;
    cpu_ahead *ahead; /* what to fetch on the way, or NULL */
    cpu_fold fold;    /* its residual: from dst on */
} gather;

CPU_INLINE void store_folded(const gather *p, size_t channel, size_t ox, size_t lanes,
                             size_t columns, const cpu_vec *sum)
{
    cpu_fold_vec fold = cpu_fold_load(&p->fold, channel, lanes);
    CPU_UNROLL
    for (size_t b = 0; b < columns; b++) {
        size_t at = (ox + b) * p->c + channel;
        cpu_vec y = cpu_fold_apply(&fold, sum[b]);
        if (p->fold.residual != NULL)
            y += cpu_load_n(p->fold.residual + at, lanes);
        cpu_store_n(p->dst + at, y, lanes);
    }
}

/* `columns` pixels of one vector of channels.  Everything but p, channel, ox and lanes is a
 * constant where this is inlined. */
CPU_INLINE void gather_vector(const gather *p, size_t channel, size_t ox, size_t lanes,
                              size_t kernel, size_t stride, size_t columns, bool checked, bool flip,
                              bool folded)
{
    cpu_vec sum[CPU_DW_COLUMNS] = {{0}};
    cpu_fetch(p->ahead);
    float *dst = p->dst + ox * p->c + channel;
    CPU_UNROLL
    for (size_t b = 0; b < columns; b++)
        __builtin_prefetch(dst + b * p->c, 1);
    ptrdiff_t left = (ptrdiff_t)(ox * stride) - p->pad_left;
    for (size_t ky = 0; ky < kernel; ky++) {
        ptrdiff_t iy = p->top + (ptrdiff_t)ky;
        if (iy < 0 || iy >= (ptrdiff_t)p->src_h)
            continue;
        const float *row = p->src + (size_t)iy * p->src_w * p->c + channel;
        const float *w = p->w + (flip ? kernel - 1 - ky : ky) * kernel * p->c + channel;
        cpu_vec weight[5];
        CPU_UNROLL
        for (size_t kx = 0; kx < kernel; kx++)
            weight[kx] = cpu_load_n(w + (flip ? kernel - 1 - kx : kx) * p->c, lanes);
        CPU_UNROLL
        for (size_t j = 0; j < (columns - 1) * stride + kernel; j++) {
            ptrdiff_t ix = left + (ptrdiff_t)j;
            if (checked && (ix < 0 || ix >= (ptrdiff_t)p->src_w))
                continue;
            cpu_vec x = cpu_load_n(row + ix * (ptrdiff_t)p->c, lanes);
            CPU_UNROLL
            for (size_t b = 0; b < columns; b++)
                if (j >= b * stride && j - b * stride < kernel)
                    sum[b] += x * weight[j - b * stride];
        }
    }
    if (folded) {
        store_folded(p, channel, ox, lanes, columns, sum);
        return;
    }
    CPU_UNROLL
    for (size_t b = 0; b < columns; b++) {
        if (p->accumulate)
            sum[b] += cpu_load_n(dst + b * p->c, lanes);
        cpu_store_n(dst + b * p->c, sum[b], lanes);
    }
}

/* `columns` pixels, all channels. */
CPU_INLINE void gather_block(const gather *p, size_t ox, size_t kernel, size_t stride,
                             size_t columns, bool checked, bool flip, bool folded)
{
    size_t channel = 0;
    for (; channel + CPU_LANES <= p->c; channel += CPU_LANES)
        gather_vector(p, channel, ox, CPU_LANES, kernel, stride, columns, checked, flip, folded);
    if (channel < p->c)
        gather_vector(p, channel, ox, p->c - channel, kernel, stride, columns, checked, flip,
                      folded);
}

CPU_INLINE void gather_row(const gather *p, size_t kernel, size_t stride, bool flip, bool folded)
{
    size_t ox = 0;
    for (; ox + 4 <= p->dst_w; ox += 4) {
        ptrdiff_t left = (ptrdiff_t)(ox * stride) - p->pad_left;
        if (left >= 0 && left + (ptrdiff_t)(3 * stride + kernel) <= (ptrdiff_t)p->src_w)
            gather_block(p, ox, kernel, stride, 4, false, flip, folded);
        else
            gather_block(p, ox, kernel, stride, 4, true, flip, folded);
    }
    for (; ox + 2 <= p->dst_w; ox += 2)
        gather_block(p, ox, kernel, stride, 2, true, flip, folded);
    for (; ox < p->dst_w; ox++)
        gather_block(p, ox, kernel, stride, 1, true, flip, folded);
}

/* With and without a BatchNorm. */
#define GATHER_ROW(kernel, stride)                                                                 \
    static void gather_##kernel##_##stride(const gather *p)                                        \
    {                                                                                              \
        gather_row(p, kernel, stride, false, false);                                               \
    }                                                                                              \
    static void folded_##kernel##_##stride(const gather *p)                                        \
    {                                                                                              \
        gather_row(p, kernel, stride, false, true);                                                \
    }
GATHER_ROW(3, 1)
GATHER_ROW(3, 2)
GATHER_ROW(5, 1)
GATHER_ROW(5, 2)

static void gather_3_flipped(const gather *p)
{
    gather_row(p, 3, 1, true, false);
}
static void gather_5_flipped(const gather *p)
{
    gather_row(p, 5, 1, true, false);
}

/* The pixel whose sums stand at dst + at. */
static void fold_pixel(const gather *p, size_t at)
{
    for (size_t c = 0; c < p->c; c += CPU_LANES) {
        size_t lanes = mdl_min_size(CPU_LANES, p->c - c);
        cpu_fold_vec fold = cpu_fold_load(&p->fold, c, lanes);
        cpu_vec y = cpu_fold_apply(&fold, cpu_load_n(p->dst + at + c, lanes));
        if (p->fold.residual != NULL)
            y += cpu_load_n(p->fold.residual + at + c, lanes);
        cpu_store_n(p->dst + at + c, y, lanes);
    }
}

/* Any kernel and stride, one row of the output. */
static void general_row(const cpu_dw *g, const gather *p)
{
    for (size_t ox = 0; ox < p->dst_w; ox++) {
        float *restrict y = p->dst + ox * p->c;
        if (!p->accumulate)
            memset(y, 0, p->c * sizeof(float));
        for (size_t tap = 0; tap < g->kernel_h * g->kernel_w; tap++) {
            ptrdiff_t iy = p->top + (ptrdiff_t)(tap / g->kernel_w);
            ptrdiff_t ix = (ptrdiff_t)(ox * g->stride + tap % g->kernel_w) - p->pad_left;
            if (iy < 0 || iy >= (ptrdiff_t)p->src_h || ix < 0 || ix >= (ptrdiff_t)p->src_w)
                continue;
            const float *restrict x = p->src + ((size_t)iy * p->src_w + (size_t)ix) * p->c;
            const float *restrict w = p->w + tap * p->c;
            for (size_t c = 0; c < p->c; c++)
                y[c] += x[c] * w[c];
        }
        if (p->fold.scale != NULL)
            fold_pixel(p, ox * p->c);
    }
}

static void convolve(const mdl_call *call, int thread, int threads, cpu_ahead *ahead)
{
    cpu_dw g = cpu_dw_of(call, &call->out[0].shape);
    gather p = {.w = cpu_in(call, 1),
                .src_h = g.in_h,
                .src_w = g.in_w,
                .dst_w = g.out_w,
                .c = g.channels,
                .pad_left = g.pad_left,
                .accumulate = cpu_accumulates(call, 0),
                .ahead = ahead,
                .fold = cpu_fold_of(call)};
    static void (*const rows[2][2][2])(const gather *) = {
        {{gather_3_1, gather_3_2}, {gather_5_1, gather_5_2}},
        {{folded_3_1, folded_3_2}, {folded_5_1, folded_5_2}}};
    const float *residual = p.fold.residual;
    size_t begin, end;
    cpu_range(g.n * g.out_h, 1, thread, threads, &begin, &end);
    for (size_t row = begin; row < end; row++) {
        p.src = cpu_in(call, 0) + row / g.out_h * g.in_h * g.in_w * g.channels;
        p.dst = cpu_out(call, 0) + row * g.out_w * g.channels;
        p.fold.residual = residual != NULL ? residual + row * g.out_w * g.channels : NULL;
        p.top = (ptrdiff_t)(row % g.out_h * g.stride) - g.pad_top;
        if (!cpu_dw_is_fast(&g))
            general_row(&g, &p);
        else
            rows[p.fold.scale != NULL][g.kernel_h == 5][g.stride == 2](&p);
    }
}

void CPU_NAME(depthwise)(mdl_device *device, const mdl_call *call, int thread, int threads)
{
    (void)device;
    convolve(call, thread, threads, NULL);
}

size_t CPU_NAME(depthwise_norm_workspace)(const mdl_call *call, int threads)
{
    (void)threads;
    return cpu_fold_size(call) * sizeof(float);
}

void CPU_NAME(depthwise_norm_prepare)(const mdl_call *call, int thread, int threads)
{
    cpu_fold_prepare(call, thread, threads);
}

/* Of all *_NORM. */
bool CPU_NAME(depthwise_norm_supports)(const mdl_call *call)
{
    return cpu_is_clamp(call->attrs->conv.act);
}

void CPU_NAME(depthwise_tile)(const mdl_call *slice, const cpu_tile *t)
{
    convolve(slice, 0, 1, t->ahead);
}

size_t CPU_NAME(depthwise_tiles)(const mdl_call *call)
{
    return cpu_tiles(&call->in[0].shape, &call->out[0].shape);
}

void CPU_NAME(depthwise_turned)(const cpu_dw *g, const mdl_call *call, int thread, int threads,
                                cpu_ahead *ahead)
{
    gather p = {.w = cpu_in(call, 1),
                .src_h = g->out_h,
                .src_w = g->out_w,
                .dst_w = g->in_w,
                .c = g->channels,
                .pad_left = (ptrdiff_t)g->kernel_w - 1 - g->pad_left,
                .accumulate = cpu_accumulates(call, 0),
                .ahead = ahead};
    size_t begin, end;
    cpu_range(g->n * g->in_h, 1, thread, threads, &begin, &end);
    for (size_t row = begin; row < end; row++) {
        p.src = cpu_in(call, 0) + row / g->in_h * g->out_h * g->out_w * g->channels;
        p.dst = cpu_out(call, 0) + row * g->in_w * g->channels;
        p.top = (ptrdiff_t)(row % g->in_h) - ((ptrdiff_t)g->kernel_h - 1 - g->pad_top);
        (g->kernel_h == 3 ? gather_3_flipped : gather_5_flipped)(&p);
    }
}
