/* ACTIVATION and its gradient, ADD, SCALE, DROPOUT, FILL, STORE16, LOAD16. */
#include "backends/reference/ref_internal.h"

REF_KERNEL(ref_activation)
{
    REF_UNUSED();
    for (size_t i = 0; i < ref_count(&call->in[0]); i++)
        ref_set(&call->out[0], i, ref_act(call->attrs->act.kind, ref_get(&call->in[0], i)));
}

REF_KERNEL(ref_activation_grad)
{
    const mdl_view *dy = &call->in[0], *x = &call->in[1];
    REF_UNUSED();
    for (size_t i = 0; i < ref_count(x); i++)
        ref_put(call, 0, i, ref_get(dy, i) * ref_act_slope(call->attrs->act.kind, ref_get(x, i)));
}

REF_KERNEL(ref_add)
{
    double alpha = call->attrs->add.alpha, beta = call->attrs->add.beta;
    REF_UNUSED();
    for (size_t i = 0; i < ref_count(&call->in[0]); i++)
        ref_set(&call->out[0], i,
                alpha * ref_get(&call->in[0], i) + beta * ref_get(&call->in[1], i));
}

REF_KERNEL(ref_scale)
{
    REF_UNUSED();
    for (size_t i = 0; i < ref_count(&call->in[0]); i++)
        ref_put(call, 0, i, call->attrs->scale.factor * ref_get(&call->in[0], i));
}

REF_KERNEL(ref_dropout)
{
    const mdl_view *x = &call->in[0];
    size_t count = ref_count(x);
    size_t each = call->attrs->dropout.per_sample ? count / x->shape.dim[0] : 1;
    double rate = call->attrs->dropout.rate;
    REF_UNUSED();
    for (size_t i = 0; i < count; i++) {
        uint32_t word = mdl_dropout_word(call->state, call->attrs->dropout.stream, i / each);
        bool keep = (double)word * 0x1p-32 >= rate;
        ref_put(call, 0, i, keep ? ref_get(x, i) / (1 - rate) : 0);
    }
}

REF_KERNEL(ref_fill)
{
    REF_UNUSED();
    for (size_t i = 0; i < ref_count(&call->out[0]); i++)
        ref_set(&call->out[0], i, call->attrs->fill.value);
}

REF_KERNEL(ref_store16)
{
    REF_UNUSED();
    for (size_t i = 0; i < ref_count(&call->in[0]); i++)
        ref_set(&call->out[0], i, ref_get(&call->in[0], i));
}

REF_KERNEL(ref_load16)
{
    ref_store16(device, call, thread, threads);
}
