/* EXPAND, EXPAND_ROWS, MEAN_ROWS, SELECT_ROWS, TRANSPOSE. */
#include "backends/reference/ref_internal.h"

REF_KERNEL(ref_expand)
{
    size_t d = ref_count(&call->in[0]);
    REF_UNUSED();
    for (size_t i = 0; i < ref_count(&call->out[0]); i++)
        ref_set(&call->out[0], i, ref_get(&call->in[0], i % d));
}

REF_KERNEL(ref_expand_rows)
{
    const mdl_shape *y = &call->out[0].shape;
    size_t c = mdl_shape_last(y), sample = mdl_shape_count(y) / y->dim[0];
    REF_UNUSED();
    for (size_t i = 0; i < mdl_shape_count(y); i++)
        ref_put(call, 0, i,
                call->attrs->scale.factor * ref_get(&call->in[0], i / sample * c + i % c));
}

REF_KERNEL(ref_mean_rows)
{
    const mdl_shape *x = &call->in[0].shape;
    size_t c = mdl_shape_last(x), between = mdl_shape_rows(x) / x->dim[0];
    REF_UNUSED();
    for (size_t i = 0; i < ref_count(&call->out[0]); i++) {
        double sum = 0;
        for (size_t row = 0; row < between; row++)
            sum += ref_get(&call->in[0], (i / c * between + row) * c + i % c);
        ref_set(&call->out[0], i, sum / (double)between);
    }
}

REF_KERNEL(ref_select_rows)
{
    const mdl_view *mask = &call->in[0], *a = &call->in[1], *b = &call->in[2];
    size_t sample = ref_count(a) / a->shape.dim[0];
    REF_UNUSED();
    for (size_t i = 0; i < ref_count(a); i++)
        ref_set(&call->out[0], i, ref_get(ref_get_i32(mask, i / sample) != 0 ? a : b, i));
}

REF_KERNEL(ref_transpose)
{
    const mdl_view *x = &call->in[0];
    const size_t *dim = x->shape.dim;
    REF_UNUSED();
    for (size_t n = 0; n < dim[0]; n++) {
        for (size_t a = 0; a < dim[1]; a++) {
            for (size_t b = 0; b < dim[2]; b++)
                ref_put(call, 0, (n * dim[2] + b) * dim[1] + a,
                        ref_get(x, (n * dim[1] + a) * dim[2] + b));
        }
    }
}
