/* Depthwise convolutions of K x K with stride S, four channels to a work-item: channels and offsets
 * are multiples of 4, and `c` counts float4.  conv.cl takes everything else.
 *
 * Forward, and the input's gradient of stride 1, which is the same with turned weights: P
 * neighbouring pixels of a line to a work-item, so that a value of x serves several of them.
 * Beyond the edges zeros are read; all work-items go the same way. */

typedef struct geometry {
    uint n, h, w, c;             /* of x */
    uint out_h, out_w, k;        /* of y */
    uint kernel_h, kernel_w, stride, top, left;
} geometry;

#define SPAN ((P - 1) * S + K) /* columns of x that P pixels need */

kernel void depthwise(global const float *x, uint x_at, global const float *w, uint w_at,
                      global float *y, uint y_at, geometry g, uint turned, uint accumulate)
{
    uint c = get_global_id(0), ox = get_global_id(1) * P, line = get_global_id(2);
    if (c >= g.c || ox >= g.out_w || line >= g.n * g.out_h)
        return;
    uint image = line / g.out_h, oy = line % g.out_h;
    global const float4 *from = (global const float4 *)(x + x_at) + c;
    global const float4 *weights = (global const float4 *)(w + w_at) + c;
    float4 sum[P];
#pragma unroll
    for (int p = 0; p < P; p++)
        sum[p] = (float4)(0.0f);
#pragma unroll
    for (int ky = 0; ky < K; ky++) {
        uint iy = oy * S + ky - g.top; /* huge where it is negative */
        float4 weight[K];
#pragma unroll
        for (int kx = 0; kx < K; kx++)
            weight[kx] = weights[(turned ? K * K - 1 - ky * K - kx : ky * K + kx) * g.c];
#pragma unroll
        for (int j = 0; j < SPAN; j++) {
            uint ix = ox * S + j - g.left;
            float4 v = iy < g.h && ix < g.w ? from[((image * g.h + iy) * g.w + ix) * g.c]
                                            : (float4)(0.0f);
#pragma unroll
            for (int p = 0; p < P; p++)
                if (j - p * S >= 0 && j - p * S < K)
                    sum[p] += v * weight[j - p * S];
        }
    }
    global float4 *to = (global float4 *)(y + y_at) + (line * g.out_w + ox) * g.c + c;
#pragma unroll
    for (int p = 0; p < P; p++)
        if (ox + p < g.out_w)
            to[p * g.c] = accumulate ? to[p * g.c] + sum[p] : sum[p];
}

#if P == 2
/* For stride 2: a pixel to a work-item, the taps that hit a pixel of y. */
kernel void depthwise_grad_input(global const float *dy, uint dy_at, global const float *w,
                                 uint w_at, global float *dx, uint dx_at, geometry g,
                                 uint accumulate)
{
    uint c = get_global_id(0), ix = get_global_id(1), line = get_global_id(2);
    if (c >= g.c || ix >= g.w || line >= g.n * g.h)
        return;
    uint image = line / g.h, iy = line % g.h;
    global const float4 *from = (global const float4 *)(dy + dy_at) + c;
    global const float4 *weights = (global const float4 *)(w + w_at) + c;
    float4 sum = (float4)(0.0f);
#pragma unroll
    for (int ky = 0; ky < K; ky++) {
        uint py = iy + g.top - ky; /* S times the line of y; huge where it is negative */
#pragma unroll
        for (int kx = 0; kx < K; kx++) {
            uint px = ix + g.left - kx;
            if (py % S == 0 && px % S == 0 && py < g.out_h * S && px < g.out_w * S)
                sum += from[((image * g.out_h + py / S) * g.out_w + px / S) * g.c] *
                       weights[(ky * K + kx) * g.c];
        }
    }
    global float4 *to = (global float4 *)(dx + dx_at) + (line * g.w + ix) * g.c + c;
    *to = accumulate ? *to + sum : sum;
}

/* A line of taps (third axis of the grid) over a chunk of the output's lines, shared out among the
 * group's second axis.  to[chunk, tap, c]; with one chunk, the gradient itself. */
kernel void depthwise_grad_weight(global const float *x, uint x_at, global const float *dy,
                                  uint dy_at, global float *dw, uint dw_at, geometry g, uint chunk,
                                  uint accumulate)
{
    local float4 room[256];
    uint c = get_global_id(0), ky = get_global_id(2);
    uint first = get_group_id(1) * chunk, last = min(g.n * g.out_h, first + chunk);
    float4 sum[K];
#pragma unroll
    for (int kx = 0; kx < K; kx++)
        sum[kx] = (float4)(0.0f);
    for (uint line = first + get_local_id(1); line < last && c < g.c; line += get_local_size(1)) {
        uint image = line / g.out_h, iy = line % g.out_h * S + ky - g.top;
        if (iy >= g.h)
            continue;
        global const float4 *from = (global const float4 *)(x + x_at) +
                                    (image * g.h + iy) * g.w * g.c + c;
        global const float4 *over = (global const float4 *)(dy + dy_at) + line * g.out_w * g.c + c;
        float4 window[K + S]; /* of x under the taps; moves by S */
#pragma unroll
        for (int j = 0; j < K - S; j++)
            window[j + S] = j - g.left < g.w ? from[(j - g.left) * g.c] : (float4)(0.0f);
        for (uint ox = 0; ox < g.out_w; ox++) {
            float4 value = over[ox * g.c];
#pragma unroll
            for (int kx = 0; kx < K; kx++) {
                uint ix = ox * S + kx - g.left;
                if (kx < K - S)
                    window[kx] = window[kx + S];
                else
                    window[kx] = ix < g.w ? from[ix * g.c] : (float4)(0.0f);
                sum[kx] += window[kx] * value;
            }
        }
    }
    uint lx = get_local_size(0), at = get_local_id(1) * lx + get_local_id(0);
#pragma unroll
    for (int kx = 0; kx < K; kx++) {
        room[at] = sum[kx];
        for (uint rows = get_local_size(1) / 2; rows > 0; rows /= 2) {
            barrier(CLK_LOCAL_MEM_FENCE);
            if (get_local_id(1) < rows)
                room[at] += room[at + rows * lx];
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        if (c < g.c && get_local_id(1) == 0) {
            global float4 *to = (global float4 *)(dw + dw_at) +
                                ((get_group_id(1) * K + ky) * K + kx) * g.c + c;
            *to = accumulate ? *to + room[at] : room[at];
        }
        barrier(CLK_LOCAL_MEM_FENCE); /* the room is used again */
    }
}
#endif
