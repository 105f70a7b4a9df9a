/* What the depthwise kernels share.  Activations are [N, H, W, C], weights [kh, kw, C]; the vector
 * runs over the channels, so every tap is a plain multiply-add of whole vectors. */
#ifndef MDL_CPU_DEPTHWISE_H
#define MDL_CPU_DEPTHWISE_H

#include "backends/cpu/fold.h"

/* Columns that are computed together: each weight and each input column in registers serves
 * several of them. */
#define CPU_DW_COLUMNS 4

typedef struct cpu_dw { /* geometry of a call, in terms of the forward convolution */
    size_t n, channels;
    size_t in_h, in_w, out_h, out_w;
    size_t kernel_h, kernel_w, stride;
    ptrdiff_t pad_top, pad_left;
} cpu_dw;

static inline cpu_dw cpu_dw_of(const mdl_call *call, const mdl_shape *y)
{
    const mdl_attrs *a = call->attrs;
    return (cpu_dw){.n = y->dim[0],
                    .channels = y->dim[3],
                    .in_h = a->conv.in_h,
                    .in_w = a->conv.in_w,
                    .out_h = y->dim[1],
                    .out_w = y->dim[2],
                    .kernel_h = a->conv.kernel_h,
                    .kernel_w = a->conv.kernel_w,
                    .stride = a->conv.stride,
                    .pad_top = (ptrdiff_t)a->conv.pad_top,
                    .pad_left = (ptrdiff_t)a->conv.pad_left};
}

/* Whether the register-blocked kernels serve; they are compiled for 3x3 and 5x5 at stride 1, 2. */
static inline bool cpu_dw_is_fast(const cpu_dw *g)
{
    return g->kernel_h == g->kernel_w && (g->kernel_h == 3 || g->kernel_h == 5) &&
           (g->stride == 1 || g->stride == 2);
}

/* The input gradient of a fast convolution at stride 1, by rows of dx; `ahead` or NULL. */
void CPU_NAME(depthwise_turned)(const cpu_dw *g, const mdl_call *call, int thread, int threads,
                                cpu_ahead *ahead);

#endif
