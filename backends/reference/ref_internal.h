/* Private to the reference backend: access to elements, and the declarations of its kernels.
 *
 * Kernels are naive scalar loops: storage is float32 or float64, arithmetic is double.  They are
 * the oracle of the other backends and their fallback, so they use nothing of the device. */
#ifndef REF_INTERNAL_H
#define REF_INTERNAL_H

#include "backends/backend.h"

#include <math.h>

/* VIEW never runs and has no definition. */
#define X(upper, lower)                                                                            \
    void ref_##lower(mdl_device *device, const mdl_call *call, int thread, int threads);
MDL_OP_LIST(X)
#undef X

/* The parameters of a kernel. */
#define REF_KERNEL(name)                                                                           \
    void name(mdl_device *device, const mdl_call *call, int thread, int threads)
/* All kernels are serial and use nothing of the device. */
#define REF_UNUSED() ((void)device, (void)thread, (void)threads)

static inline bool ref_present(const mdl_call *call, int input)
{
    return input < call->n_in && call->in[input].shape.rank != 0;
}

/* Element i of a tensor. */
static inline double ref_get(const mdl_view *view, size_t i)
{
    switch (view->dtype) {
    case MDL_F64:
        return ((const double *)view->host)[i];
    case MDL_I32:
        return (double)((const int32_t *)view->host)[i];
    case MDL_BF16:
        return (double)mdl_bf16_value(((const uint16_t *)view->host)[i]);
    default:
        return (double)((const float *)view->host)[i];
    }
}
static inline int32_t ref_get_i32(const mdl_view *view, size_t i)
{
    return ((const int32_t *)view->host)[i];
}

/* Element i = value; for what is updated in place, and outputs that never accumulate. */
static inline void ref_set(const mdl_view *view, size_t i, double value)
{
    switch (view->dtype) {
    case MDL_F64:
        ((double *)view->host)[i] = value;
        break;
    case MDL_I32:
        ((int32_t *)view->host)[i] = (int32_t)value;
        break;
    case MDL_BF16:
        ((uint16_t *)view->host)[i] = mdl_bf16_of((float)value);
        break;
    default:
        ((float *)view->host)[i] = (float)value;
    }
}

/* Element i of output j = value, or += value where the call says so. */
static inline void ref_put(const mdl_call *call, int j, size_t i, double value)
{
    const mdl_view *view = &call->out[j];
    ref_set(view, i, (call->accumulate >> j & 1U) != 0 ? ref_get(view, i) + value : value);
}

static inline size_t ref_count(const mdl_view *view)
{
    return mdl_shape_count(&view->shape);
}

static inline double ref_sigmoid(double x)
{
    return x >= 0 ? 1.0 / (1.0 + exp(-x)) : exp(x) / (1.0 + exp(x));
}

/* Activations and their slopes; at a corner the slope is 0, as in PyTorch. */
static inline double ref_act(mdl_act act, double x)
{
    switch (act) {
    case MDL_ACT_RELU:
        return x < 0 ? 0 : x; /* so written that a NaN passes */
    case MDL_ACT_RELU6:
        return x < 0 ? 0 : x > 6 ? 6 : x;
    case MDL_ACT_SILU:
        return x * ref_sigmoid(x);
    default:
        return x;
    }
}
static inline double ref_act_slope(mdl_act act, double x)
{
    double s;
    switch (act) {
    case MDL_ACT_RELU:
        return x > 0 ? 1 : 0;
    case MDL_ACT_RELU6:
        return x > 0 && x < 6 ? 1 : 0;
    case MDL_ACT_SILU:
        s = ref_sigmoid(x);
        return s + x * s * (1.0 - s);
    default:
        return 1;
    }
}

/* ---- convolutions, along one axis ----------------------------------------------------------- */

/* The position in x that tap `tap` of output `o` reads; false: in the padding. */
static inline bool ref_tap_source(size_t o, size_t tap, size_t stride, size_t pad, size_t in,
                                  size_t *at)
{
    size_t padded = o * stride + tap;
    *at = padded - pad;
    return padded >= pad && *at < in;
}

/* The output whose tap `tap` reads position `i` of x; false: none. */
static inline bool ref_tap_target(size_t i, size_t tap, size_t stride, size_t pad, size_t out,
                                  size_t *at)
{
    if (i + pad < tap || (i + pad - tap) % stride != 0)
        return false;
    *at = (i + pad - tap) / stride;
    return *at < out;
}

/* The class with the largest logit in a row, the first of several. */
static inline size_t ref_argmax(const mdl_view *logits, size_t row)
{
    size_t classes = mdl_shape_last(&logits->shape), best = 0;
    for (size_t c = 1; c < classes; c++) {
        if (ref_get(logits, row * classes + c) > ref_get(logits, row * classes + best))
            best = c;
    }
    return best;
}
/* How many labels are not negative. */
static inline size_t ref_valid(const mdl_view *labels)
{
    size_t valid = 0;
    for (size_t i = 0; i < ref_count(labels); i++)
        valid += ref_get_i32(labels, i) >= 0 ? 1 : 0;
    return valid;
}

#endif
