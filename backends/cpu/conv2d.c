/* CONV2D and its gradients for any kernel, stride and padding: a few rows of patches at a time
 * (im2col) and a product with them.  Meant for the stem; no convolution here is large. */
#include "backends/cpu/gemm.h"
#include "backends/cpu/sums.h"

#include <string.h>

#define PATCH_ROWS 64 /* output pixels whose patches are made at once */

typedef struct conv {
    size_t in_h, in_w, c;   /* of x */
    size_t out_h, out_w, k; /* of y */
    size_t kernel_h, kernel_w, stride;
    ptrdiff_t pad_top, pad_left;
    size_t rows;  /* N out_h out_w */
    size_t patch; /* kernel_h kernel_w c */
} conv;

static conv conv_of(const mdl_call *call, size_t c, const mdl_shape *y)
{
    const mdl_attrs *a = call->attrs;
    return (conv){.in_h = a->conv.in_h,
                  .in_w = a->conv.in_w,
                  .c = c,
                  .out_h = y->dim[1],
                  .out_w = y->dim[2],
                  .k = y->dim[3],
                  .kernel_h = a->conv.kernel_h,
                  .kernel_w = a->conv.kernel_w,
                  .stride = a->conv.stride,
                  .pad_top = (ptrdiff_t)a->conv.pad_top,
                  .pad_left = (ptrdiff_t)a->conv.pad_left,
                  .rows = mdl_shape_rows(y),
                  .patch = a->conv.kernel_h * a->conv.kernel_w * c};
}

/* The input pixel under tap (ky, kx) of output pixel `row`, as an index of pixels; false outside.
 */
static inline bool find_pixel(const conv *g, size_t row, size_t ky, size_t kx, size_t *pixel)
{
    size_t image = row / (g->out_h * g->out_w), at = row % (g->out_h * g->out_w);
    ptrdiff_t iy = (ptrdiff_t)(at / g->out_w * g->stride + ky) - g->pad_top;
    ptrdiff_t ix = (ptrdiff_t)(at % g->out_w * g->stride + kx) - g->pad_left;
    *pixel = (image * g->in_h + (size_t)iy) * g->in_w + (size_t)ix;
    return iy >= 0 && iy < (ptrdiff_t)g->in_h && ix >= 0 && ix < (ptrdiff_t)g->in_w;
}

/* Patches of the output pixels [first, last): [last - first, patch]. */
static void make_patches(const conv *g, const float *x, size_t first, size_t last, float *patches)
{
    for (size_t row = first; row < last; row++)
        for (size_t ky = 0; ky < g->kernel_h; ky++)
            for (size_t kx = 0; kx < g->kernel_w; kx++, patches += g->c) {
                size_t pixel;
                bool inside = find_pixel(g, row, ky, kx, &pixel);
                for (size_t c = 0; c < g->c; c++)
                    patches[c] = inside ? x[pixel * g->c + c] : 0.0f;
            }
}

/* The opposite: add patches of gradients to the pixels they came from. */
static void spread_patches(const conv *g, float *dx, size_t first, size_t last,
                           const float *patches)
{
    for (size_t row = first; row < last; row++)
        for (size_t ky = 0; ky < g->kernel_h; ky++)
            for (size_t kx = 0; kx < g->kernel_w; kx++, patches += g->c) {
                size_t pixel;
                if (!find_pixel(g, row, ky, kx, &pixel))
                    continue;
                for (size_t c = 0; c < g->c; c++)
                    dx[pixel * g->c + c] += patches[c];
            }
}

/* Floats for the patches of one thread. */
static size_t patches_size(size_t patch)
{
    return mdl_round_up(PATCH_ROWS * patch, 16);
}

/* Packed weights, then patches for each thread. */
static void pack_weights(const mdl_call *call, const float *w, size_t ldb, bool transposed,
                         size_t k, size_t n, int thread, int threads)
{
    size_t begin, end;
    cpu_range(CPU_NAME(gemm_panels)(n), 1, thread, threads, &begin, &end);
    CPU_NAME(gemm_pack)(call->workspace.host, w, ldb, transposed, k, n, begin, end);
}

static float *patches_of(const mdl_call *call, size_t k, size_t n, size_t patch, int thread)
{
    return (float *)call->workspace.host + mdl_round_up(CPU_NAME(gemm_packed_size)(k, n), 16) +
           patches_size(patch) * (size_t)thread;
}

static size_t workspace(size_t k, size_t n, size_t patch, int threads)
{
    return (mdl_round_up(CPU_NAME(gemm_packed_size)(k, n), 16) +
            patches_size(patch) * (size_t)threads) *
           sizeof(float);
}

size_t CPU_NAME(conv2d_workspace)(const mdl_call *call, int threads)
{
    conv g = conv_of(call, mdl_shape_last(&call->in[0].shape), &call->out[0].shape);
    return workspace(g.patch, g.k, g.patch, threads);
}

void CPU_NAME(conv2d_prepare)(const mdl_call *call, int thread, int threads)
{
    conv g = conv_of(call, mdl_shape_last(&call->in[0].shape), &call->out[0].shape);
    pack_weights(call, cpu_in(call, 1), g.k, false, g.patch, g.k, thread, threads);
}

static void convolve_rows(const mdl_call *call, size_t begin, size_t end, int thread)
{
    conv g = conv_of(call, mdl_shape_last(&call->in[0].shape), &call->out[0].shape);
    float *patches = patches_of(call, g.patch, g.k, g.patch, thread);
    cpu_gemm product = {.a = patches,
                        .lda = g.patch,
                        .b = call->workspace.host,
                        .ldc = g.k,
                        .k = g.patch,
                        .n = g.k,
                        .accumulate = cpu_accumulates(call, 0)};
    for (size_t row = begin; row < end; row += PATCH_ROWS) {
        size_t last = mdl_min_size(end, row + PATCH_ROWS);
        make_patches(&g, cpu_in(call, 0), row, last, patches);
        product.c = cpu_out(call, 0) + row * g.k;
        product.m = last - row;
        CPU_NAME(gemm_run)(&product, 0, CPU_NAME(gemm_panels)(g.k));
    }
}

void CPU_NAME(conv2d)(mdl_device *device, const mdl_call *call, int thread, int threads)
{
    size_t begin, end;
    CPU_NAME(conv2d_prepare)(call, thread, threads);
    cpu_barrier(device);
    cpu_range(mdl_shape_rows(&call->out[0].shape), 8, thread, threads, &begin, &end);
    convolve_rows(call, begin, end, thread);
}

void CPU_NAME(conv2d_tile)(const mdl_call *slice, const cpu_tile *t)
{
    convolve_rows(slice, 0, mdl_shape_rows(&slice->out[0].shape), t->thread);
}

size_t CPU_NAME(conv2d_tiles)(const mdl_call *call)
{
    return cpu_tiles(&call->in[0].shape, &call->out[0].shape);
}

size_t CPU_NAME(conv2d_grad_input_workspace)(const mdl_call *call, int threads)
{
    conv g = conv_of(call, mdl_shape_last(&call->out[0].shape), &call->in[0].shape);
    return workspace(g.k, g.patch, g.patch, threads);
}

/* By whole images, so that no two threads add to the same pixel. */
void CPU_NAME(conv2d_grad_input)(mdl_device *device, const mdl_call *call, int thread, int threads)
{
    conv g = conv_of(call, mdl_shape_last(&call->out[0].shape), &call->in[0].shape);
    float *patches = patches_of(call, g.k, g.patch, g.patch, thread);
    pack_weights(call, cpu_in(call, 1), g.k, true, g.k, g.patch, thread, threads);
    cpu_barrier(device);
    size_t out_pixels = g.out_h * g.out_w, image = g.in_h * g.in_w * g.c, begin, end;
    cpu_gemm product = {.lda = g.k,
                        .b = call->workspace.host,
                        .c = patches,
                        .ldc = g.patch,
                        .k = g.k,
                        .n = g.patch};
    cpu_range(g.rows / out_pixels, 1, thread, threads, &begin, &end);
    if (!cpu_accumulates(call, 0))
        memset(cpu_out(call, 0) + begin * image, 0, (end - begin) * image * sizeof(float));
    for (size_t row = begin * out_pixels; row < end * out_pixels; row += PATCH_ROWS) {
        size_t last = mdl_min_size(end * out_pixels, row + PATCH_ROWS);
        product.a = cpu_in(call, 0) + row * g.k;
        product.m = last - row;
        CPU_NAME(gemm_run)(&product, 0, CPU_NAME(gemm_panels)(g.patch));
        spread_patches(&g, cpu_out(call, 0), row, last, patches);
    }
}

/* Sums of the chunks, then patches for each thread. */
size_t CPU_NAME(conv2d_grad_weight_workspace)(const mdl_call *call, int threads)
{
    conv g = conv_of(call, mdl_shape_last(&call->in[0].shape), &call->in[1].shape);
    size_t chunks = cpu_bands(call, mdl_max_size(1, call->join.tile));
    return (mdl_round_up(chunks * g.patch * g.k, 16) + patches_size(g.patch) * (size_t)threads) *
           sizeof(float);
}

/* Output pixels [first, last) into the sum of a chunk. */
static void correlate_rows(const mdl_call *call, const cpu_tile *t, size_t first, size_t last)
{
    conv g = conv_of(call, mdl_shape_last(&call->in[0].shape), &call->in[1].shape);
    size_t count = g.patch * g.k;
    float *partial = call->workspace.host;
    float *patches =
        partial + mdl_round_up(t->bands * count, 16) + patches_size(g.patch) * (size_t)t->thread;
    cpu_gemm product = {.a = patches,
                        .lda = g.patch,
                        .a_transposed = true,
                        .ldb = g.k,
                        .c = partial + t->band * count,
                        .ldc = g.k,
                        .m = g.patch,
                        .n = g.k,
                        .accumulate = !t->fresh};
    for (size_t row = first; row < last; row += PATCH_ROWS, product.accumulate = true) {
        product.k = mdl_min_size(PATCH_ROWS, last - row);
        make_patches(&g, cpu_in(call, 0), row, row + product.k, patches);
        product.b = cpu_in(call, 1) + row * g.k;
        CPU_NAME(gemm_run)(&product, 0, CPU_NAME(gemm_panels)(g.k));
    }
}

/* The images are cut into a fixed number of chunks with a sum of their own. */
void CPU_NAME(conv2d_grad_weight)(mdl_device *device, const mdl_call *call, int thread, int threads)
{
    const mdl_shape *dy = &call->in[1].shape;
    size_t begin, end, first, last, chunks = cpu_bands(call, 1);
    size_t pixels = mdl_shape_rows(dy) / dy->dim[0];
    cpu_range(chunks, 1, thread, threads, &begin, &end);
    for (size_t chunk = begin; chunk < end; chunk++) {
        cpu_tile t = {.band = chunk, .bands = chunks, .fresh = true, .thread = thread};
        cpu_range(dy->dim[0], 1, (int)chunk, (int)chunks, &first, &last);
        correlate_rows(call, &t, first * pixels, last * pixels);
    }
    cpu_barrier(device);
    cpu_sum_partials(call, chunks, thread, threads);
}

void CPU_NAME(conv2d_grad_weight_tile)(const mdl_call *slice, const cpu_tile *t)
{
    correlate_rows(slice, t, 0, mdl_shape_rows(&slice->in[1].shape));
}

size_t CPU_NAME(conv2d_grad_weight_tiles)(const mdl_call *call)
{
    return cpu_tiles(&call->in[0].shape, &call->in[1].shape);
}
