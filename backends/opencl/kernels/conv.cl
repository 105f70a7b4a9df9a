/* Dense and depthwise convolution and their gradients, directly: a work-item for each element of
 * the result.  The gradients of weights sum over a chunk of the output's lines in each group and
 * write partial sums, which sum_parts (sums.cl) adds.
 *
 * Grid: the channels first, then the columns, then the lines of all images. */

typedef struct geometry {
    uint n, h, w, c;             /* of x */
    uint out_h, out_w, k;        /* of y */
    uint kernel_h, kernel_w, stride, top, left;
} geometry;

/* ---- depthwise ------------------------------------------------------------------------------- */

/* The size of the kernel and the stride are arguments, so that they are constants where the
 * kernels below give numbers, and the loops are unrolled. */
static void depthwise_at(global const float *x, global const float *w, global float *y,
                         const geometry *g, uint kernel_h, uint kernel_w, uint stride)
{
    uint c = get_global_id(0), ox = get_global_id(1), line = get_global_id(2);
    if (c >= g->c || ox >= g->out_w || line >= g->n * g->out_h)
        return;
    uint image = line / g->out_h, oy = line % g->out_h;
    float sum = 0.0f;
    for (uint ky = 0; ky < kernel_h; ky++) {
        uint iy = oy * stride + ky - g->top; /* huge where it is negative */
        for (uint kx = 0; kx < kernel_w; kx++) {
            uint ix = ox * stride + kx - g->left;
            if (iy < g->h && ix < g->w)
                sum += x[((image * g->h + iy) * g->w + ix) * g->c + c] *
                       w[(ky * kernel_w + kx) * g->c + c];
        }
    }
    y[(line * g->out_w + ox) * g->c + c] = sum;
}

#define DEPTHWISE(name, kernel_h, kernel_w, stride)                                                \
    kernel void name(global const float *x, uint x_at, global const float *w, uint w_at,           \
                     global float *y, uint y_at, geometry g)                                       \
    {                                                                                              \
        depthwise_at(x + x_at, w + w_at, y + y_at, &g, kernel_h, kernel_w, stride);                \
    }
DEPTHWISE(depthwise_any, g.kernel_h, g.kernel_w, g.stride)
DEPTHWISE(depthwise_3_1, 3, 3, 1)
DEPTHWISE(depthwise_3_2, 3, 3, 2)
DEPTHWISE(depthwise_5_1, 5, 5, 1)
DEPTHWISE(depthwise_5_2, 5, 5, 2)

static void depthwise_grad_input_at(global const float *dy, global const float *w,
                                    global float *dx, const geometry *g, uint kernel_h,
                                    uint kernel_w, uint stride, uint accumulate)
{
    uint c = get_global_id(0), ix = get_global_id(1), line = get_global_id(2);
    if (c >= g->c || ix >= g->w || line >= g->n * g->h)
        return;
    uint image = line / g->h, iy = line % g->h;
    float sum = 0.0f;
    for (uint ky = 0; ky < kernel_h; ky++) {
        uint py = iy + g->top - ky; /* stride times the line of y; huge where it is negative */
        for (uint kx = 0; kx < kernel_w; kx++) {
            uint px = ix + g->left - kx;
            if (py < g->out_h * stride && px < g->out_w * stride && py % stride == 0 &&
                px % stride == 0)
                sum += dy[((image * g->out_h + py / stride) * g->out_w + px / stride) * g->c + c] *
                       w[(ky * kernel_w + kx) * g->c + c];
        }
    }
    put(dx, (line * g->w + ix) * g->c + c, sum, accumulate);
}

#define DEPTHWISE_GRAD_INPUT(name, kernel_h, kernel_w, stride)                                     \
    kernel void name(global const float *dy, uint dy_at, global const float *w, uint w_at,         \
                     global float *dx, uint dx_at, geometry g, uint accumulate)                    \
    {                                                                                              \
        depthwise_grad_input_at(dy + dy_at, w + w_at, dx + dx_at, &g, kernel_h, kernel_w, stride,  \
                                accumulate);                                                       \
    }
DEPTHWISE_GRAD_INPUT(depthwise_grad_input_any, g.kernel_h, g.kernel_w, g.stride)
DEPTHWISE_GRAD_INPUT(depthwise_grad_input_3_1, 3, 3, 1)
DEPTHWISE_GRAD_INPUT(depthwise_grad_input_3_2, 3, 3, 2)
DEPTHWISE_GRAD_INPUT(depthwise_grad_input_5_1, 5, 5, 1)
DEPTHWISE_GRAD_INPUT(depthwise_grad_input_5_2, 5, 5, 2)

/* The share of a chunk of lines in one number of a weight gradient: channel c of x, moved by the tap,
 * times column k of dy.  The group's second axis shares out the chunk's pixels, the grid's second
 * axis are the chunks. */
static float chunk_sum(local float *room, global const float *x, global const float *dy, geometry g,
                       uint chunk, uint tap, uint c, uint k, uint columns)
{
    uint ky = tap / g.kernel_w, kx = tap % g.kernel_w;
    uint first = get_group_id(1) * chunk, last = min(g.n * g.out_h, first + chunk);
    float sum = 0.0f;
    if (k < columns) {
        for (uint pixel = first * g.out_w + get_local_id(1); pixel < last * g.out_w;
             pixel += get_local_size(1)) {
            uint line = pixel / g.out_w, image = line / g.out_h;
            uint iy = line % g.out_h * g.stride + ky - g.top;
            uint ix = pixel % g.out_w * g.stride + kx - g.left;
            if (iy < g.h && ix < g.w)
                sum += x[((image * g.h + iy) * g.w + ix) * g.c + c] * dy[pixel * columns + k];
        }
    }
    return column_sum(room, sum);
}

/* part[chunk, tap, c]; the grid's third axis are the taps. */
kernel void depthwise_grad_weight(global const float *x, uint x_at, global const float *dy,
                                  uint dy_at, global float *part, uint part_at, geometry g,
                                  uint chunk)
{
    local float room[256];
    uint c = get_global_id(0), tap = get_global_id(2), taps = g.kernel_h * g.kernel_w;
    float sum = chunk_sum(room, x + x_at, dy + dy_at, g, chunk, tap, c, c, g.c);
    if (c < g.c && get_local_id(1) == 0)
        part[part_at + (get_group_id(1) * taps + tap) * g.c + c] = sum;
}

/* ---- dense ----------------------------------------------------------------------------------- */

kernel void conv2d(global const float *x, uint x_at, global const float *w, uint w_at,
                   global float *y, uint y_at, geometry g)
{
    uint k = get_global_id(0), ox = get_global_id(1), line = get_global_id(2);
    if (k >= g.k || ox >= g.out_w || line >= g.n * g.out_h)
        return;
    uint image = line / g.out_h, oy = line % g.out_h;
    float sum = 0.0f;
    for (uint ky = 0; ky < g.kernel_h; ky++) {
        uint iy = oy * g.stride + ky - g.top;
        for (uint kx = 0; kx < g.kernel_w; kx++) {
            uint ix = ox * g.stride + kx - g.left;
            if (iy >= g.h || ix >= g.w)
                continue;
            global const float *from = x + x_at + ((image * g.h + iy) * g.w + ix) * g.c;
            global const float *weight = w + w_at + (ky * g.kernel_w + kx) * g.c * g.k + k;
            for (uint c = 0; c < g.c; c++)
                sum += from[c] * weight[c * g.k];
        }
    }
    y[y_at + (line * g.out_w + ox) * g.k + k] = sum;
}

kernel void conv2d_grad_input(global const float *dy, uint dy_at, global const float *w, uint w_at,
                              global float *dx, uint dx_at, geometry g, uint accumulate)
{
    uint c = get_global_id(0), ix = get_global_id(1), line = get_global_id(2);
    if (c >= g.c || ix >= g.w || line >= g.n * g.h)
        return;
    uint image = line / g.h, iy = line % g.h;
    float sum = 0.0f;
    for (uint ky = 0; ky < g.kernel_h; ky++) {
        uint py = iy + g.top - ky;
        for (uint kx = 0; kx < g.kernel_w; kx++) {
            uint px = ix + g.left - kx;
            if (py >= g.out_h * g.stride || px >= g.out_w * g.stride || py % g.stride != 0 ||
                px % g.stride != 0)
                continue;
            global const float *from =
                dy + dy_at + ((image * g.out_h + py / g.stride) * g.out_w + px / g.stride) * g.k;
            global const float *weight = w + w_at + ((ky * g.kernel_w + kx) * g.c + c) * g.k;
            for (uint k = 0; k < g.k; k++)
                sum += from[k] * weight[k];
        }
    }
    put(dx + dx_at, (line * g.w + ix) * g.c + c, sum, accumulate);
}

/* part[chunk, tap, c, k]; the grid's third axis are taps times channels of x. */
kernel void conv2d_grad_weight(global const float *x, uint x_at, global const float *dy,
                               uint dy_at, global float *part, uint part_at, geometry g,
                               uint chunk)
{
    local float room[256];
    uint k = get_global_id(0), row = get_global_id(2), rows = g.kernel_h * g.kernel_w * g.c;
    float sum = chunk_sum(room, x + x_at, dy + dy_at, g, chunk, row / g.c, row % g.c, k, g.k);
    if (k < g.k && get_local_id(1) == 0)
        part[part_at + (get_group_id(1) * rows + row) * g.k + k] = sum;
}
