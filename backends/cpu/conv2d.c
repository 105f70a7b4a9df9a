/* CONV2D, CONV2D_NORM and the gradients for any kernel, stride and padding.  Meant for the stem; no
 * convolution here is large.
 *
 * Where some rows of the image are copied with their padding, the patch under an output pixel is
 * kernel_h runs of kernel_w * C neighbouring numbers, and the patches of neighbouring pixels start
 * stride * C numbers apart: a product reads them as they lie.  Only the input gradient makes
 * patches. */
#include "backends/cpu/gemm.h"
#include "backends/cpu/sums.h"

#include <string.h>

#define OUT_ROWS   8  /* output rows whose input is padded at once */
#define PATCH_ROWS 64 /* output pixels whose patches are made at once */

typedef struct conv {
    size_t in_h, in_w, c;   /* of x */
    size_t out_h, out_w, k; /* of y */
    size_t kernel_h, kernel_w, stride;
    ptrdiff_t pad_top, pad_left;
    size_t rows;   /* N out_h out_w */
    size_t patch;  /* kernel_h kernel_w c */
    size_t padded; /* numbers in a padded row */
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
                  .patch = a->conv.kernel_h * a->conv.kernel_w * c,
                  .padded = ((y->dim[2] - 1) * a->conv.stride + a->conv.kernel_w) * c};
}

static float *packed_of(const mdl_call *call)
{
    return (float *)call->workspace.host + cpu_fold_size(call);
}

/* The weights (or their transpose) into the workspace, in panels. */
static void pack_weights(const mdl_call *call, const float *w, size_t ldb, bool transposed,
                         size_t k, size_t n, int thread, int threads)
{
    size_t begin, end;
    cpu_range(CPU_NAME(gemm_panels)(n), 1, thread, threads, &begin, &end);
    CPU_NAME(gemm_pack)(packed_of(call), w, ldb, transposed, k, n, begin, end);
}

/* Behind `first` floats the workspace has `each` for every thread. */
static float *own_part(const mdl_call *call, size_t first, size_t each, int thread)
{
    return (float *)call->workspace.host + mdl_round_up(first, 16) +
           mdl_round_up(each, 16) * (size_t)thread;
}
static size_t workspace_bytes(size_t first, size_t each, int threads)
{
    return (mdl_round_up(first, 16) + mdl_round_up(each, 16) * (size_t)threads) * sizeof(float);
}

/* ---- padding -------------------------------------------------------------------------------- */

static size_t padded_size(const conv *g)
{
    return ((OUT_ROWS - 1) * g->stride + g->kernel_h) * g->padded;
}

/* The input under output rows [first, last) of an image. */
static void pad_rows(const conv *g, const float *image, size_t first, size_t last, float *to)
{
    ptrdiff_t top = (ptrdiff_t)(first * g->stride) - g->pad_top;
    size_t rows = (last - first - 1) * g->stride + g->kernel_h;
    size_t left = (size_t)g->pad_left * g->c;
    size_t used = mdl_min_size(g->in_w * g->c, g->padded - mdl_min_size(g->padded, left));
    for (size_t i = 0; i < rows; i++, to += g->padded) {
        ptrdiff_t iy = top + (ptrdiff_t)i;
        if (iy < 0 || iy >= (ptrdiff_t)g->in_h || used == 0) {
            memset(to, 0, g->padded * sizeof(float));
            continue;
        }
        memset(to, 0, left * sizeof(float));
        memcpy(to + left, image + (size_t)iy * g->in_w * g->c, used * sizeof(float));
        memset(to + left + used, 0, (g->padded - left - used) * sizeof(float));
    }
}

/* Pieces of work: OUT_ROWS output rows of an image. */
typedef struct block {
    size_t image, first, last;
} block;

static size_t blocks_each(const conv *g)
{
    return (g->out_h + OUT_ROWS - 1) / OUT_ROWS;
}
static block block_of(const conv *g, size_t index)
{
    block b = {.image = index / blocks_each(g), .first = index % blocks_each(g) * OUT_ROWS};
    b.last = mdl_min_size(g->out_h, b.first + OUT_ROWS);
    return b;
}

/* ---- convolution ---------------------------------------------------------------------------- */

size_t CPU_NAME(conv2d_workspace)(const mdl_call *call, int threads)
{
    conv g = conv_of(call, mdl_shape_last(&call->in[0].shape), &call->out[0].shape);
    size_t packed = CPU_NAME(gemm_packed_size)(g.patch, g.k);
    return workspace_bytes(cpu_fold_size(call) + packed, padded_size(&g), threads);
}

void CPU_NAME(conv2d_prepare)(const mdl_call *call, int thread, int threads)
{
    conv g = conv_of(call, mdl_shape_last(&call->in[0].shape), &call->out[0].shape);
    pack_weights(call, cpu_in(call, 1), g.k, false, g.patch, g.k, thread, threads);
    cpu_fold_prepare(call, thread, threads);
}

static void convolve(const conv *g, const mdl_call *call, size_t begin, size_t end, int thread,
                     cpu_ahead *ahead)
{
    size_t before = cpu_fold_size(call) + CPU_NAME(gemm_packed_size)(g->patch, g->k);
    size_t panels = CPU_NAME(gemm_panels)(g->k);
    float *padded = own_part(call, before, padded_size(g), thread);
    cpu_fold fold = cpu_fold_of(call);
    cpu_gemm product = {.lda = g->stride * g->c,
                        .b = packed_of(call),
                        .ldc = g->k,
                        .m = g->out_w,
                        .k = g->kernel_w * g->c,
                        .n = g->k,
                        .accumulate = cpu_accumulates(call, 0),
                        .pieces = g->kernel_h,
                        .a_jump = g->padded,
                        .ahead = ahead,
                        .fold = fold};
    for (size_t index = begin; index < end; index++) {
        block b = block_of(g, index);
        pad_rows(g, cpu_in(call, 0) + b.image * g->in_h * g->in_w * g->c, b.first, b.last, padded);
        for (size_t oy = b.first; oy < b.last; oy++) {
            product.a = padded + (oy - b.first) * g->stride * g->padded;
            size_t row = (b.image * g->out_h + oy) * g->out_w * g->k;
            product.c = cpu_out(call, 0) + row;
            product.fold.residual = fold.residual != NULL ? fold.residual + row : NULL;
            CPU_NAME(gemm_run)(&product, 0, panels);
        }
    }
}

void CPU_NAME(conv2d)(mdl_device *device, const mdl_call *call, int thread, int threads)
{
    conv g = conv_of(call, mdl_shape_last(&call->in[0].shape), &call->out[0].shape);
    size_t begin, end;
    (void)device;
    cpu_range(call->out[0].shape.dim[0] * blocks_each(&g), 1, thread, threads, &begin, &end);
    convolve(&g, call, begin, end, thread, NULL);
}

void CPU_NAME(conv2d_tile)(const mdl_call *slice, const cpu_tile *t)
{
    conv g = conv_of(slice, mdl_shape_last(&slice->in[0].shape), &slice->out[0].shape);
    convolve(&g, slice, 0, slice->out[0].shape.dim[0] * blocks_each(&g), t->thread, t->ahead);
}

size_t CPU_NAME(conv2d_tiles)(const mdl_call *call)
{
    return cpu_tiles(&call->in[0].shape, &call->out[0].shape);
}

/* ---- input gradient ------------------------------------------------------------------------- */

/* Add patches of gradients to the pixels they came from. */
static void spread_patches(const conv *g, float *dx, size_t first, size_t last,
                           const float *patches)
{
    for (size_t row = first; row < last; row++) {
        size_t image = row / (g->out_h * g->out_w), at = row % (g->out_h * g->out_w);
        for (size_t tap = 0; tap < g->kernel_h * g->kernel_w; tap++, patches += g->c) {
            ptrdiff_t iy = (ptrdiff_t)(at / g->out_w * g->stride + tap / g->kernel_w) - g->pad_top;
            ptrdiff_t ix = (ptrdiff_t)(at % g->out_w * g->stride + tap % g->kernel_w) - g->pad_left;
            if (iy < 0 || iy >= (ptrdiff_t)g->in_h || ix < 0 || ix >= (ptrdiff_t)g->in_w)
                continue;
            float *pixel = dx + ((image * g->in_h + (size_t)iy) * g->in_w + (size_t)ix) * g->c;
            for (size_t c = 0; c < g->c; c++)
                pixel[c] += patches[c];
        }
    }
}

size_t CPU_NAME(conv2d_grad_input_workspace)(const mdl_call *call, int threads)
{
    conv g = conv_of(call, mdl_shape_last(&call->out[0].shape), &call->in[0].shape);
    return workspace_bytes(CPU_NAME(gemm_packed_size)(g.k, g.patch), PATCH_ROWS * g.patch, threads);
}

void CPU_NAME(conv2d_grad_input_before)(const mdl_call *call, int share, int shares)
{
    conv g = conv_of(call, mdl_shape_last(&call->out[0].shape), &call->in[0].shape);
    pack_weights(call, cpu_in(call, 1), g.k, true, g.k, g.patch, share, shares);
}

/* By whole images, so that no two threads add to the same pixel. */
void CPU_NAME(conv2d_grad_input)(mdl_device *device, const mdl_call *call, int thread, int threads)
{
    conv g = conv_of(call, mdl_shape_last(&call->out[0].shape), &call->in[0].shape);
    float *patches =
        own_part(call, CPU_NAME(gemm_packed_size)(g.k, g.patch), PATCH_ROWS * g.patch, thread);
    (void)device;
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

/* ---- weight gradient ------------------------------------------------------------------------ */

/* The workspace: sums of the chunks, then padded rows for each thread. */
size_t CPU_NAME(conv2d_grad_weight_workspace)(const mdl_call *call, int threads)
{
    conv g = conv_of(call, mdl_shape_last(&call->in[0].shape), &call->in[1].shape);
    size_t chunks = cpu_bands(call, mdl_max_size(1, call->interleave.tile));
    return workspace_bytes(chunks * g.patch * g.k, padded_size(&g), threads);
}

/* Images [first, last) into the sum of a chunk. */
static void correlate(const mdl_call *call, const cpu_tile *t, size_t first, size_t last)
{
    conv g = conv_of(call, mdl_shape_last(&call->in[0].shape), &call->in[1].shape);
    size_t run = g.kernel_w * g.c, panels = CPU_NAME(gemm_panels)(g.k);
    float *sum = (float *)call->workspace.host + t->band * g.patch * g.k;
    float *padded = own_part(call, t->bands * g.patch * g.k, padded_size(&g), t->thread);
    cpu_gemm product = {.lda = g.stride * g.c,
                        .a_transposed = true,
                        .ldb = g.k,
                        .ldc = g.k,
                        .m = run,
                        .k = g.out_w,
                        .n = g.k,
                        .accumulate = !t->fresh,
                        .a_jump = g.stride * g.padded,
                        .ahead = t->ahead};
    for (size_t i = first * blocks_each(&g); i < last * blocks_each(&g); i++) {
        block b = block_of(&g, i);
        pad_rows(&g, cpu_in(call, 0) + b.image * g.in_h * g.in_w * g.c, b.first, b.last, padded);
        product.pieces = b.last - b.first;
        product.b = cpu_in(call, 1) + (b.image * g.out_h + b.first) * g.out_w * g.k;
        for (size_t ky = 0; ky < g.kernel_h; ky++) {
            product.a = padded + ky * g.padded;
            product.c = sum + ky * run * g.k;
            CPU_NAME(gemm_run)(&product, 0, panels);
        }
        product.accumulate = true;
    }
}

/* The images are cut into a fixed number of chunks with a sum of their own. */
void CPU_NAME(conv2d_grad_weight_before)(const mdl_call *call, int share, int shares)
{
    size_t begin, end, first, last, images = call->in[0].shape.dim[0];
    size_t chunks = cpu_bands(call, 1);
    cpu_range(chunks, 1, share, shares, &begin, &end);
    for (size_t chunk = begin; chunk < end; chunk++) {
        cpu_tile t = {.band = chunk, .bands = chunks, .fresh = true, .thread = share};
        cpu_range(images, 1, (int)chunk, (int)chunks, &first, &last);
        correlate(call, &t, first, last);
    }
}

void CPU_NAME(conv2d_grad_weight)(mdl_device *device, const mdl_call *call, int thread, int threads)
{
    (void)device;
    cpu_sum_partials(call, cpu_bands(call, 1), thread, threads);
}

void CPU_NAME(conv2d_grad_weight_tile)(const mdl_call *slice, const cpu_tile *t)
{
    correlate(slice, t, 0, slice->in[0].shape.dim[0]);
}

size_t CPU_NAME(conv2d_grad_weight_tiles)(const mdl_call *call)
{
    return cpu_tiles(&call->in[0].shape, &call->in[1].shape);
}
