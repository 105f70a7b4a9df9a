/* HALT_LOSS and its gradient. */
#include "backends/reference/ref_internal.h"

/* What q of a sample should say: whether the answer is right. */
static double target(const mdl_view *logits, size_t row, int32_t label)
{
    return label >= 0 && ref_argmax(logits, row) == (size_t)label ? 1 : 0;
}

/* -t log sigmoid(q) - (1 - t) log(1 - sigmoid(q)), without overflow. */
REF_KERNEL(ref_halt_loss)
{
    REF_UNUSED();
    const mdl_view *labels = &call->in[2];
    double sum = 0;
    for (size_t r = 0; r < ref_count(labels); r++) {
        int32_t label = ref_get_i32(labels, r);
        double q = ref_get(&call->in[0], r), t = target(&call->in[1], r, label);
        if (label >= 0)
            sum += (q > 0 ? q : 0) - q * t + log1p(exp(-fabs(q)));
    }
    size_t valid = ref_valid(labels);
    ref_set(&call->out[0], 0, valid > 0 ? sum / (double)valid : 0);
}

REF_KERNEL(ref_halt_loss_grad)
{
    REF_UNUSED();
    const mdl_view *labels = &call->in[3];
    double each = ref_get(&call->in[0], 0) / (double)mdl_max_size(ref_valid(labels), 1);
    for (size_t r = 0; r < ref_count(labels); r++) {
        int32_t label = ref_get_i32(labels, r);
        double q = ref_get(&call->in[1], r), t = target(&call->in[2], r, label);
        ref_put(call, 0, r, label >= 0 ? each * (ref_sigmoid(q) - t) : 0);
    }
}
