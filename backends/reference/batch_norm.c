/* Batch normalisation (Ioffe & Szegedy 2015) over all dimensions but the last, channel by channel.
 *
 * With xhat = (x - mean) * inv_std and z = gamma * xhat + beta: y = act(z) + residual. */
#include "backends/reference/ref_internal.h"

/* y of channel c. */
static void apply_channel(const mdl_call *call, size_t c, double mean, double inv_std)
{
    const mdl_view *x = &call->in[0];
    size_t rows = mdl_shape_rows(&x->shape), channels = mdl_shape_last(&x->shape);
    double gamma = ref_get(&call->in[1], c), beta = ref_get(&call->in[2], c);
    for (size_t row = 0; row < rows; row++) {
        size_t i = row * channels + c;
        double y = ref_act(call->attrs->norm.act, (ref_get(x, i) - mean) * inv_std * gamma + beta);
        if (ref_present(call, 5))
            y += ref_get(&call->in[5], i);
        ref_set(&call->out[0], i, y);
    }
}

/* running = (1 - m) * running + m * value, in place. */
static void update_running(const mdl_view *running, size_t c, double m, double value)
{
    ref_set(running, c, (1 - m) * ref_get(running, c) + m * value);
}

REF_KERNEL(ref_batch_norm)
{
    const mdl_view *x = &call->in[0], *mean = &call->out[1], *inv_std = &call->out[2];
    size_t rows = mdl_shape_rows(&x->shape), channels = mdl_shape_last(&x->shape);
    double n = (double)rows, unbiased = rows > 1 ? n / (n - 1) : 1;
    double m = call->attrs->norm.momentum;
    REF_UNUSED();
    if (call->state != NULL && call->state->bn_momentum >= 0)
        m = call->state->bn_momentum;
    for (size_t c = 0; c < channels; c++) {
        double sum = 0, squares = 0;
        for (size_t row = 0; row < rows; row++)
            sum += ref_get(x, row * channels + c);
        for (size_t row = 0; row < rows; row++) {
            double d = ref_get(x, row * channels + c) - sum / n;
            squares += d * d;
        }
        update_running(&call->in[3], c, m, sum / n);
        update_running(&call->in[4], c, m, squares / n * unbiased);
        ref_set(mean, c, sum / n);
        ref_set(inv_std, c, 1 / sqrt(squares / n + call->attrs->norm.eps));
        /* from the stored statistics, so that BATCH_NORM_APPLY repeats it to the bit */
        apply_channel(call, c, ref_get(mean, c), ref_get(inv_std, c));
    }
}

REF_KERNEL(ref_batch_norm_apply)
{
    REF_UNUSED();
    for (size_t c = 0; c < mdl_shape_last(&call->in[0].shape); c++)
        apply_channel(call, c, ref_get(&call->in[3], c), ref_get(&call->in[4], c));
}

REF_KERNEL(ref_batch_norm_infer)
{
    REF_UNUSED();
    for (size_t c = 0; c < mdl_shape_last(&call->in[0].shape); c++) {
        double var = ref_get(&call->in[4], c);
        apply_channel(call, c, ref_get(&call->in[3], c), 1 / sqrt(var + call->attrs->norm.eps));
    }
}

/* With dz = dy * act'(z): dbeta = sum dz, dgamma = sum dz * xhat,
 * dx = gamma * inv_std * (dz - dbeta / n - xhat * dgamma / n). */
REF_KERNEL(ref_batch_norm_grad)
{
    const mdl_view *dy = &call->in[0], *x = &call->in[1];
    size_t rows = mdl_shape_rows(&x->shape), channels = mdl_shape_last(&x->shape);
    REF_UNUSED();
    for (size_t c = 0; c < channels; c++) {
        double gamma = ref_get(&call->in[2], c), beta = ref_get(&call->in[3], c);
        double mean = ref_get(&call->in[4], c), inv_std = ref_get(&call->in[5], c);
        double dgamma = 0, dbeta = 0;
        for (int pass = 0; pass < 2; pass++) { /* the sums first, then dx */
            for (size_t row = 0; row < rows; row++) {
                size_t i = row * channels + c;
                double xhat = (ref_get(x, i) - mean) * inv_std;
                double dz =
                    ref_get(dy, i) * ref_act_slope(call->attrs->norm.act, gamma * xhat + beta);
                if (pass == 0) {
                    dbeta += dz;
                    dgamma += dz * xhat;
                } else {
                    ref_put(call, 0, i,
                            gamma * inv_std * (dz - (dbeta + xhat * dgamma) / (double)rows));
                }
            }
        }
        ref_put(call, 1, c, dgamma);
        ref_put(call, 2, c, dbeta);
    }
}
