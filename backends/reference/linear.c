/* Products: LINEAR, its gradients, SUM_ROWS.  Triple loops with a double accumulator. */
#include "backends/reference/ref_internal.h"

REF_KERNEL(ref_linear)
{
    const mdl_view *x = &call->in[0], *w = &call->in[1];
    size_t rows = mdl_shape_rows(&x->shape), c = w->shape.dim[0], k = w->shape.dim[1];
    REF_UNUSED();
    for (size_t row = 0; row < rows; row++) {
        for (size_t j = 0; j < k; j++) {
            double sum = ref_present(call, 2) ? ref_get(&call->in[2], j) : 0;
            for (size_t i = 0; i < c; i++)
                sum += ref_get(x, row * c + i) * ref_get(w, i * k + j);
            ref_put(call, 0, row * k + j, sum);
        }
    }
}

REF_KERNEL(ref_linear_grad_input)
{
    const mdl_view *dy = &call->in[0], *w = &call->in[1];
    size_t rows = mdl_shape_rows(&dy->shape), c = w->shape.dim[0], k = w->shape.dim[1];
    REF_UNUSED();
    for (size_t row = 0; row < rows; row++) {
        for (size_t i = 0; i < c; i++) {
            double sum = 0;
            for (size_t j = 0; j < k; j++)
                sum += ref_get(dy, row * k + j) * ref_get(w, i * k + j);
            ref_put(call, 0, row * c + i, sum);
        }
    }
}

REF_KERNEL(ref_linear_grad_weight)
{
    const mdl_view *x = &call->in[0], *dy = &call->in[1];
    size_t rows = mdl_shape_rows(&x->shape);
    size_t c = mdl_shape_last(&x->shape), k = mdl_shape_last(&dy->shape);
    REF_UNUSED();
    for (size_t i = 0; i < c; i++) {
        for (size_t j = 0; j < k; j++) {
            double sum = 0;
            for (size_t row = 0; row < rows; row++)
                sum += ref_get(x, row * c + i) * ref_get(dy, row * k + j);
            ref_put(call, 0, i * k + j, sum);
        }
    }
}

REF_KERNEL(ref_sum_rows)
{
    const mdl_view *dy = &call->in[0];
    size_t rows = mdl_shape_rows(&dy->shape), k = mdl_shape_last(&dy->shape);
    REF_UNUSED();
    for (size_t j = 0; j < k; j++) {
        double sum = 0;
        for (size_t row = 0; row < rows; row++)
            sum += ref_get(dy, row * k + j);
        ref_put(call, 0, j, sum);
    }
}
