/* CROSS_ENTROPY and its gradient, softmax and stablemax. */
#include "backends/reference/ref_internal.h"

/* log s(x): x itself for softmax, log(x + 1) or -log(1 - x) for stablemax. */
static double log_score(const mdl_call *call, double x)
{
    if (!call->attrs->loss.stablemax)
        return x;
    return x >= 0 ? log1p(x) : -log1p(-x);
}

/* log of the sum of all scores of a row. */
static double log_sum(const mdl_call *call, const mdl_view *logits, size_t row)
{
    size_t classes = mdl_shape_last(&logits->shape);
    double max = -(double)INFINITY, sum = 0;
    for (size_t c = 0; c < classes; c++)
        max = fmax(max, log_score(call, ref_get(logits, row * classes + c)));
    for (size_t c = 0; c < classes; c++)
        sum += exp(log_score(call, ref_get(logits, row * classes + c)) - max);
    return max + log(sum);
}

/* The smoothed target of class c; NaN where the label is none of the classes. */
static double target(const mdl_call *call, int32_t label, size_t c, size_t classes)
{
    double s = call->attrs->loss.smoothing;
    if ((size_t)label >= classes)
        return (double)NAN;
    return (c == (size_t)label ? 1.0 - s : 0.0) + s / (double)classes;
}

REF_KERNEL(ref_cross_entropy)
{
    REF_UNUSED();
    const mdl_view *logits = &call->in[0];
    size_t n = logits->shape.dim[0], classes = logits->shape.dim[1];
    double sum = 0;
    for (size_t r = 0; r < n; r++) {
        int32_t label = ref_get_i32(&call->in[1], r);
        double loss = 0, all = log_sum(call, logits, r);
        for (size_t c = 0; c < classes && label >= 0; c++)
            loss -= target(call, label, c, classes) *
                    (log_score(call, ref_get(logits, r * classes + c)) - all);
        ref_set(&call->out[1], r, loss);
        ref_set(&call->out[2], r, label >= 0 && ref_argmax(logits, r) == (size_t)label ? 1 : 0);
        sum += loss;
    }
    size_t valid = ref_valid(&call->in[1]);
    ref_set(&call->out[0], 0, valid > 0 ? sum / (double)valid : 0);
}

/* The derivative of log s is 1 for softmax and 1 / (1 + |x|) for stablemax, and the targets add up
 * to 1, so the gradient of a loss is (p - t) times that. */
REF_KERNEL(ref_cross_entropy_grad)
{
    REF_UNUSED();
    const mdl_view *logits = &call->in[1], *labels = &call->in[2];
    size_t n = logits->shape.dim[0], classes = logits->shape.dim[1];
    double each = ref_get(&call->in[0], 0) / (double)mdl_max_size(ref_valid(labels), 1);
    for (size_t r = 0; r < n; r++) {
        int32_t label = ref_get_i32(labels, r);
        double all = log_sum(call, logits, r);
        for (size_t c = 0; c < classes; c++) {
            double x = ref_get(logits, r * classes + c), dx = 0;
            if (label >= 0) {
                dx = exp(log_score(call, x) - all) - target(call, label, c, classes);
                dx *= each / (call->attrs->loss.stablemax ? 1.0 + fabs(x) : 1.0);
            }
            ref_put(call, 0, r * classes + c, dx);
        }
    }
}
