/* DEPTHWISE_GRAD_INPUT and DEPTHWISE_GRAD_WEIGHT. */
#include "backends/cpu/depthwise.h"

#include <string.h>

#include "backends/cpu/sums.h"

/* ---- input gradient at stride 2 ------------------------------------------------------------- */

/* One row of dx.  With ix + pad = 2 u + e: dx[ix] = sum over t of dy[u - t] * w[2 t + e], so the
 * even and the odd columns of a pair share the columns of dy. */
typedef struct scatter {
    const float *dy; /* of this image */
    const float *w;
    float *dx; /* first pixel of the row */
    size_t out_h, out_w, in_w, c;
    ptrdiff_t iy; /* row of dx, plus padding */
    ptrdiff_t pad_left;
    bool accumulate;
    cpu_ahead *ahead; /* what to fetch on the way, or NULL */
} scatter;

CPU_INLINE void put_column(const scatter *p, ptrdiff_t ix, size_t channel, size_t lanes,
                           cpu_vec value)
{
    if (ix < 0 || ix >= (ptrdiff_t)p->in_w)
        return;
    float *dx = p->dx + (size_t)ix * p->c + channel;
    if (p->accumulate)
        value += cpu_load_n(dx, lanes);
    cpu_store_n(dx, value, lanes);
}

/* Pairs u .. u + 3 of one vector of channels; `kernel` is a constant. */
CPU_INLINE void scatter_vector(const scatter *p, size_t channel, ptrdiff_t u, size_t lanes,
                               size_t kernel)
{
    cpu_vec even[CPU_DW_COLUMNS] = {{0}}, odd[CPU_DW_COLUMNS] = {{0}};
    size_t reach = kernel / 2;
    cpu_fetch(p->ahead);
    for (size_t ky = (size_t)p->iy % 2; ky < kernel; ky += 2) {
        ptrdiff_t oy = (p->iy - (ptrdiff_t)ky) / 2;
        if (p->iy < (ptrdiff_t)ky || oy >= (ptrdiff_t)p->out_h)
            continue;
        const float *row = p->dy + (size_t)oy * p->out_w * p->c + channel;
        cpu_vec weight[5];
        CPU_UNROLL
        for (size_t kx = 0; kx < kernel; kx++)
            weight[kx] = cpu_load_n(p->w + (ky * kernel + kx) * p->c + channel, lanes);
        CPU_UNROLL
        for (size_t j = 0; j < CPU_DW_COLUMNS + reach; j++) {
            ptrdiff_t ox = u + (ptrdiff_t)j - (ptrdiff_t)reach;
            if (ox < 0 || ox >= (ptrdiff_t)p->out_w)
                continue;
            cpu_vec dy = cpu_load_n(row + ox * (ptrdiff_t)p->c, lanes);
            CPU_UNROLL
            for (size_t b = 0; b < CPU_DW_COLUMNS; b++) {
                if (b + reach < j || b + reach - j > reach)
                    continue;
                size_t t = b + reach - j;
                even[b] += dy * weight[2 * t];
                if (2 * t + 1 < kernel)
                    odd[b] += dy * weight[2 * t + 1];
            }
        }
    }
    CPU_UNROLL
    for (size_t b = 0; b < CPU_DW_COLUMNS; b++) {
        ptrdiff_t ix = 2 * (u + (ptrdiff_t)b) - p->pad_left;
        put_column(p, ix, channel, lanes, even[b]);
        put_column(p, ix + 1, channel, lanes, odd[b]);
    }
}

CPU_INLINE void scatter_row(const scatter *p, size_t kernel)
{
    ptrdiff_t last = ((ptrdiff_t)p->in_w - 1 + p->pad_left) / 2;
    for (ptrdiff_t u = p->pad_left / 2; u <= last; u += CPU_DW_COLUMNS) {
        size_t channel = 0;
        for (; channel + CPU_LANES <= p->c; channel += CPU_LANES)
            scatter_vector(p, channel, u, CPU_LANES, kernel);
        if (channel < p->c)
            scatter_vector(p, channel, u, p->c - channel, kernel);
    }
}

static void scatter_3(const scatter *p)
{
    scatter_row(p, 3);
}
static void scatter_5(const scatter *p)
{
    scatter_row(p, 5);
}

static void scatter_rows(const cpu_dw *g, const mdl_call *call, int thread, int threads,
                         cpu_ahead *ahead)
{
    scatter p = {.w = cpu_in(call, 1),
                 .out_h = g->out_h,
                 .out_w = g->out_w,
                 .in_w = g->in_w,
                 .c = g->channels,
                 .pad_left = g->pad_left,
                 .accumulate = cpu_accumulates(call, 0),
                 .ahead = ahead};
    size_t begin, end;
    cpu_range(g->n * g->in_h, 1, thread, threads, &begin, &end);
    for (size_t row = begin; row < end; row++) {
        p.dy = cpu_in(call, 0) + row / g->in_h * g->out_h * g->out_w * g->channels;
        p.dx = cpu_out(call, 0) + row * g->in_w * g->channels;
        p.iy = (ptrdiff_t)(row % g->in_h) + g->pad_top;
        (g->kernel_h == 3 ? scatter_3 : scatter_5)(&p);
    }
}

/* ---- input gradient in general -------------------------------------------------------------- */

/* Whole images: each pixel of dy is spread over the pixels it came from. */
static void general_input(const cpu_dw *g, const mdl_call *call, int thread, int threads)
{
    size_t begin, end, image = g->in_h * g->in_w * g->channels;
    cpu_range(g->n, 1, thread, threads, &begin, &end);
    for (size_t n = begin; n < end; n++) {
        float *dx = cpu_out(call, 0) + n * image;
        if (!cpu_accumulates(call, 0))
            memset(dx, 0, image * sizeof(float));
        for (size_t i = 0; i < g->out_h * g->out_w * g->kernel_h * g->kernel_w; i++) {
            size_t tap = i % (g->kernel_h * g->kernel_w), pixel = i / (g->kernel_h * g->kernel_w);
            ptrdiff_t iy =
                (ptrdiff_t)(pixel / g->out_w * g->stride + tap / g->kernel_w) - g->pad_top;
            ptrdiff_t ix =
                (ptrdiff_t)(pixel % g->out_w * g->stride + tap % g->kernel_w) - g->pad_left;
            if (iy < 0 || iy >= (ptrdiff_t)g->in_h || ix < 0 || ix >= (ptrdiff_t)g->in_w)
                continue;
            float *restrict to = dx + ((size_t)iy * g->in_w + (size_t)ix) * g->channels;
            const float *restrict w = cpu_in(call, 1) + tap * g->channels;
            const float *restrict dy =
                cpu_in(call, 0) + (n * g->out_h * g->out_w + pixel) * g->channels;
            for (size_t c = 0; c < g->channels; c++)
                to[c] += dy[c] * w[c];
        }
    }
}

static void grad_input(const mdl_call *call, int thread, int threads, cpu_ahead *ahead)
{
    cpu_dw g = cpu_dw_of(call, &call->in[0].shape);
    if (!cpu_dw_is_fast(&g))
        general_input(&g, call, thread, threads);
    else if (g.stride == 1)
        CPU_NAME(depthwise_turned)(&g, call, thread, threads, ahead);
    else
        scatter_rows(&g, call, thread, threads, ahead);
}

void CPU_NAME(depthwise_grad_input)(mdl_device *device, const mdl_call *call, int thread,
                                    int threads)
{
    (void)device;
    grad_input(call, thread, threads, NULL);
}

void CPU_NAME(depthwise_grad_input_tile)(const mdl_call *slice, const cpu_tile *t)
{
    grad_input(slice, 0, 1, t->ahead);
}

/* ---- weight gradient ------------------------------------------------------------------------ */

typedef struct correlate {
    const float *x, *dy; /* of one image */
    float *dw;           /* += */
    cpu_ahead *ahead;    /* what to fetch on the way, or NULL */
} correlate;

/* Rows of the kernel whose sums the registers hold at once. */
#if CPU_LANES == 16
#define KERNEL_ROWS 5
#else
#define KERNEL_ROWS 2
#endif

typedef struct taps {
    cpu_vec sum[KERNEL_ROWS][5];
} taps;

/* What `columns` pixels of dy from (oy, ox) on add to the taps of kernel rows ky .. ky + rows - 1.
 * kernel, stride, columns, rows and checked are constants where this is inlined. */
CPU_INLINE void correlate_block(const cpu_dw *g, const correlate *p, taps *s, size_t channel,
                                size_t lanes, size_t oy, size_t ox, size_t ky, size_t rows,
                                size_t kernel, size_t stride, size_t columns, bool checked)
{
    cpu_vec dy[CPU_DW_COLUMNS];
    const float *from = p->dy + (oy * g->out_w + ox) * g->channels + channel;
    ptrdiff_t left = (ptrdiff_t)(ox * stride) - g->pad_left;
    CPU_UNROLL
    for (size_t b = 0; b < columns; b++)
        dy[b] = cpu_load_n(from + b * g->channels, lanes);
    CPU_UNROLL
    for (size_t r = 0; r < rows; r++) {
        ptrdiff_t iy = (ptrdiff_t)(oy * stride + ky + r) - g->pad_top;
        if (iy < 0 || iy >= (ptrdiff_t)g->in_h)
            continue;
        const float *row = p->x + (size_t)iy * g->in_w * g->channels + channel;
        CPU_UNROLL
        for (size_t j = 0; j < (columns - 1) * stride + kernel; j++) {
            ptrdiff_t ix = left + (ptrdiff_t)j;
            if (checked && (ix < 0 || ix >= (ptrdiff_t)g->in_w))
                continue;
            cpu_vec x = cpu_load_n(row + ix * (ptrdiff_t)g->channels, lanes);
            CPU_UNROLL
            for (size_t b = 0; b < columns; b++)
                if (j >= b * stride && j - b * stride < kernel)
                    s->sum[r][j - b * stride] += x * dy[b];
        }
    }
}

/* One image, one vector of channels, kernel rows ky .. ky + rows - 1. */
CPU_INLINE void correlate_vector(const cpu_dw *g, const correlate *p, size_t channel, size_t lanes,
                                 size_t ky, size_t rows, size_t kernel, size_t stride)
{
    taps s;
    float *dw = p->dw + ky * kernel * g->channels + channel;
    CPU_UNROLL
    for (size_t r = 0; r < rows; r++)
        CPU_UNROLL
    for (size_t kx = 0; kx < kernel; kx++)
        s.sum[r][kx] = cpu_load_n(dw + (r * kernel + kx) * g->channels, lanes);
    for (size_t oy = 0; oy < g->out_h; oy++) {
        size_t ox = 0;
        cpu_fetch(p->ahead);
        for (; ox + 4 <= g->out_w; ox += 4) {
            ptrdiff_t left = (ptrdiff_t)(ox * stride) - g->pad_left;
            if (left >= 0 && left + (ptrdiff_t)(3 * stride + kernel) <= (ptrdiff_t)g->in_w)
                correlate_block(g, p, &s, channel, lanes, oy, ox, ky, rows, kernel, stride, 4,
                                false);
            else
                correlate_block(g, p, &s, channel, lanes, oy, ox, ky, rows, kernel, stride, 4,
                                true);
        }
        for (; ox < g->out_w; ox++)
            correlate_block(g, p, &s, channel, lanes, oy, ox, ky, rows, kernel, stride, 1, true);
    }
    CPU_UNROLL
    for (size_t r = 0; r < rows; r++)
        CPU_UNROLL
    for (size_t kx = 0; kx < kernel; kx++)
        cpu_store_n(dw + (r * kernel + kx) * g->channels, s.sum[r][kx], lanes);
}

CPU_INLINE void correlate_rows(const cpu_dw *g, const correlate *p, size_t channel, size_t lanes,
                               size_t kernel, size_t stride)
{
    size_t ky = 0;
    for (; ky + KERNEL_ROWS <= kernel; ky += KERNEL_ROWS)
        correlate_vector(g, p, channel, lanes, ky, KERNEL_ROWS, kernel, stride);
    if (kernel % KERNEL_ROWS > 0)
        correlate_vector(g, p, channel, lanes, ky, kernel % KERNEL_ROWS, kernel, stride);
}

CPU_INLINE void correlate_image(const cpu_dw *g, const correlate *p, size_t kernel, size_t stride)
{
    size_t channel = 0;
    for (; channel + CPU_LANES <= g->channels; channel += CPU_LANES)
        correlate_rows(g, p, channel, CPU_LANES, kernel, stride);
    if (channel < g->channels)
        correlate_rows(g, p, channel, g->channels - channel, kernel, stride);
}

#define CORRELATE(kernel, stride)                                                                  \
    static void correlate_##kernel##_##stride(const cpu_dw *g, const correlate *p)                 \
    {                                                                                              \
        correlate_image(g, p, kernel, stride);                                                     \
    }
CORRELATE(3, 1)
CORRELATE(3, 2)
CORRELATE(5, 1)
CORRELATE(5, 2)

static void general_correlate(const cpu_dw *g, const correlate *p)
{
    size_t all = g->kernel_h * g->kernel_w;
    for (size_t i = 0; i < g->out_h * g->out_w * all; i++) {
        size_t tap = i % all, pixel = i / all;
        ptrdiff_t iy = (ptrdiff_t)(pixel / g->out_w * g->stride + tap / g->kernel_w) - g->pad_top;
        ptrdiff_t ix = (ptrdiff_t)(pixel % g->out_w * g->stride + tap % g->kernel_w) - g->pad_left;
        if (iy < 0 || iy >= (ptrdiff_t)g->in_h || ix < 0 || ix >= (ptrdiff_t)g->in_w)
            continue;
        const float *restrict x = p->x + ((size_t)iy * g->in_w + (size_t)ix) * g->channels;
        const float *restrict dy = p->dy + pixel * g->channels;
        float *restrict dw = p->dw + tap * g->channels;
        for (size_t c = 0; c < g->channels; c++)
            dw[c] += x[c] * dy[c];
    }
}

/* Images [first, last) into the sum of a chunk. */
static void correlate_images(const mdl_call *call, size_t chunk, size_t first, size_t last,
                             bool fresh, cpu_ahead *ahead)
{
    cpu_dw g = cpu_dw_of(call, &call->in[1].shape);
    size_t count = mdl_shape_count(&call->out[0].shape);
    correlate p = {.dw = (float *)call->workspace.host + chunk * count, .ahead = ahead};
    if (fresh)
        memset(p.dw, 0, count * sizeof(float));
    for (size_t n = first; n < last; n++) {
        p.x = cpu_in(call, 0) + n * g.in_h * g.in_w * g.channels;
        p.dy = cpu_in(call, 1) + n * g.out_h * g.out_w * g.channels;
        if (!cpu_dw_is_fast(&g))
            general_correlate(&g, &p);
        else if (g.kernel_h == 3)
            (g.stride == 1 ? correlate_3_1 : correlate_3_2)(&g, &p);
        else
            (g.stride == 1 ? correlate_5_1 : correlate_5_2)(&g, &p);
    }
}

/* The images are cut into a fixed number of chunks with a sum of their own. */
size_t CPU_NAME(depthwise_grad_weight_workspace)(const mdl_call *call, int threads)
{
    (void)threads;
    size_t tile = mdl_max_size(1, call->interleave.tile);
    return cpu_bands(call, tile) * mdl_shape_count(&call->out[0].shape) * sizeof(float);
}

size_t CPU_NAME(depthwise_grad_weight_tiles)(const mdl_call *call)
{
    return cpu_tiles(&call->in[0].shape, &call->in[1].shape);
}

void CPU_NAME(depthwise_grad_weight_tile)(const mdl_call *slice, const cpu_tile *t)
{
    correlate_images(slice, t->band, 0, slice->in[0].shape.dim[0], t->fresh, t->ahead);
}

void CPU_NAME(depthwise_grad_weight_before)(const mdl_call *call, int share, int shares)
{
    size_t chunks = cpu_bands(call, 1), begin, end, first, last;
    cpu_range(chunks, 1, share, shares, &begin, &end);
    for (size_t chunk = begin; chunk < end; chunk++) {
        cpu_range(call->in[0].shape.dim[0], 1, (int)chunk, (int)chunks, &first, &last);
        correlate_images(call, chunk, first, last, true, NULL);
    }
}

void CPU_NAME(depthwise_grad_weight)(mdl_device *device, const mdl_call *call, int thread,
                                     int threads)
{
    (void)device;
    cpu_sum_partials(call, cpu_bands(call, 1), thread, threads);
}

void CPU_NAME(sum_partials_finish)(const mdl_call *call, size_t bands, int thread, int threads)
{
    cpu_sum_partials(call, bands, thread, threads);
}
