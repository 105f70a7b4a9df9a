/* Sums over the rows of x[rows, c], in two stages.  A group takes a chunk of rows of some
 * channels: its first axis are the channels, its second the rows, which are added in a tree. */

/* part[chunk, c] */
kernel void sum_rows(global const float *x, uint x_at, global float *part, uint part_at, uint rows,
                     uint c, uint chunk)
{
    local float room[256];
    uint channel = get_global_id(0), begin = get_group_id(1) * chunk;
    uint end = min(rows, begin + chunk);
    float sum = 0.0f;
    if (channel < c)
        for (uint row = begin + get_local_id(1); row < end; row += get_local_size(1))
            sum += x[x_at + row * c + channel];
    sum = column_sum(room, sum);
    if (channel < c && get_local_id(1) == 0)
        part[part_at + get_group_id(1) * c + channel] = sum;
}

/* y[i] (+)= sum of part[chunk, i] */
kernel void sum_parts(global const float *part, uint part_at, global float *y, uint y_at,
                      uint count, uint chunks, uint accumulate)
{
    local float room[256];
    uint i = get_global_id(0);
    float sum = 0.0f;
    if (i < count)
        for (uint chunk = get_local_id(1); chunk < chunks; chunk += get_local_size(1))
            sum += part[part_at + chunk * count + i];
    sum = column_sum(room, sum);
    if (i < count && get_local_id(1) == 0)
        put(y + y_at, i, sum, accumulate);
}

/* ---- BatchNorm ------------------------------------------------------------------------------- */

/* Mean and sum of squared deviations of n values, so merged that nothing cancels (Chan, Golub and
 * LeVeque 1979). */
typedef struct moments {
    float n, mean, m2;
} moments;

static moments merge(moments a, moments b)
{
    moments all;
    all.n = a.n + b.n;
    if (all.n == 0.0f)
        return a;
    float d = b.mean - a.mean, share = b.n / all.n;
    all.mean = a.mean + d * share;
    all.m2 = a.m2 + b.m2 + d * d * (a.n * share);
    return all;
}

static moments column_merge(local float *n, local float *mean, local float *m2, moments own)
{
    uint lx = get_local_size(0), at = get_local_id(1) * lx + get_local_id(0);
    n[at] = own.n;
    mean[at] = own.mean;
    m2[at] = own.m2;
    for (uint rows = get_local_size(1) / 2; rows > 0; rows /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (get_local_id(1) < rows) {
            uint other = at + rows * lx;
            moments a = {n[at], mean[at], m2[at]}, b = {n[other], mean[other], m2[other]};
            a = merge(a, b);
            n[at] = a.n;
            mean[at] = a.mean;
            m2[at] = a.m2;
        }
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    at = get_local_id(0);
    moments all = {n[at], mean[at], m2[at]};
    return all;
}

/* part[chunk, 2, c]: mean, m2 */
kernel void bn_moments(global const float *x, uint x_at, global float *part, uint part_at,
                       uint rows, uint c, uint chunk)
{
    local float n[256], mean[256], m2[256];
    uint channel = get_global_id(0), begin = get_group_id(1) * chunk;
    uint end = min(rows, begin + chunk);
    float count = 0.0f, shift = 0.0f, sum = 0.0f, squares = 0.0f;
    if (channel < c) {
        for (uint row = begin + get_local_id(1); row < end; row += get_local_size(1)) {
            float value = x[x_at + row * c + channel];
            if (count == 0.0f)
                shift = value;
            count += 1.0f;
            sum += value - shift;
            squares += (value - shift) * (value - shift);
        }
    }
    moments own = {count, shift, 0.0f};
    if (count > 0.0f) {
        own.mean = shift + sum / count;
        own.m2 = fmax(squares - sum / count * sum, 0.0f);
    }
    moments all = column_merge(n, mean, m2, own);
    if (channel < c && get_local_id(1) == 0) {
        uint at = part_at + get_group_id(1) * 2 * c + channel;
        part[at] = all.mean;
        part[at + c] = all.m2;
    }
}

kernel void bn_finish(global const float *part, uint part_at, global float *running_mean,
                      uint running_mean_at, global float *running_var, uint running_var_at,
                      global float *mean_out, uint mean_at, global float *inv_std, uint inv_std_at,
                      uint rows, uint c, uint chunk, uint chunks, float momentum, float eps)
{
    local float n[256], mean[256], m2[256];
    uint channel = get_global_id(0);
    moments own = {0.0f, 0.0f, 0.0f};
    if (channel < c) {
        for (uint i = get_local_id(1); i < chunks; i += get_local_size(1)) {
            uint at = part_at + i * 2 * c + channel;
            moments next = {(float)min(chunk, rows - i * chunk), part[at], part[at + c]};
            own = merge(own, next);
        }
    }
    moments all = column_merge(n, mean, m2, own);
    if (channel >= c || get_local_id(1) != 0)
        return;
    float var = all.m2 / (float)rows;
    float unbiased = rows > 1 ? all.m2 / (float)(rows - 1) : var;
    mean_out[mean_at + channel] = all.mean;
    inv_std[inv_std_at + channel] = 1.0f / sqrt(var + eps);
    running_mean += running_mean_at + channel;
    running_var += running_var_at + channel;
    *running_mean = (1.0f - momentum) * *running_mean + momentum * all.mean;
    *running_var = (1.0f - momentum) * *running_var + momentum * unbiased;
}

/* y = act(gamma xhat + beta) + residual.  `spread` is 1 / standard deviation, or the variance. */
kernel void bn_apply(global const float *x, uint x_at, global const float *gamma, uint gamma_at,
                     global const float *beta, uint beta_at, global const float *mean,
                     uint mean_at, global const float *spread, uint spread_at,
                     global const float *residual, uint residual_at, uint has_residual,
                     global float *y, uint y_at, uint n, uint c, uint kind, uint is_variance,
                     float eps)
{
    uint i = get_global_id(0), channel = i % c;
    if (i >= n)
        return;
    float inv = spread[spread_at + channel];
    if (is_variance)
        inv = 1.0f / sqrt(inv + eps);
    float xhat = (x[x_at + i] - mean[mean_at + channel]) * inv;
    float value = activate(kind, gamma[gamma_at + channel] * xhat + beta[beta_at + channel]);
    y[y_at + i] = has_residual ? value + residual[residual_at + i] : value;
}

/* part[chunk, 2, c]: sum of dz, sum of dz xhat, where dz = dy act'(gamma xhat + beta) */
kernel void bn_grad_sums(global const float *dy, uint dy_at, global const float *x, uint x_at,
                         global const float *gamma, uint gamma_at, global const float *beta,
                         uint beta_at, global const float *mean, uint mean_at,
                         global const float *inv_std, uint inv_std_at, global float *part,
                         uint part_at, uint rows, uint c, uint chunk, uint kind)
{
    local float room[256];
    uint channel = get_global_id(0), begin = get_group_id(1) * chunk;
    uint end = min(rows, begin + chunk);
    float sum = 0.0f, weighted = 0.0f;
    if (channel < c) {
        float m = mean[mean_at + channel], inv = inv_std[inv_std_at + channel];
        float g = gamma[gamma_at + channel], b = beta[beta_at + channel];
        for (uint row = begin + get_local_id(1); row < end; row += get_local_size(1)) {
            uint i = row * c + channel;
            float xhat = (x[x_at + i] - m) * inv;
            float dz = dy[dy_at + i] * slope(kind, g * xhat + b);
            sum += dz;
            weighted += dz * xhat;
        }
    }
    sum = column_sum(room, sum);
    weighted = column_sum(room, weighted);
    if (channel < c && get_local_id(1) == 0) {
        uint at = part_at + get_group_id(1) * 2 * c + channel;
        part[at] = sum;
        part[at + c] = weighted;
    }
}

/* sums[2, c] from the parts, and the gradients of gamma and beta. */
kernel void bn_grad_finish(global const float *part, uint part_at, global float *sums,
                           uint sums_at, global float *dgamma, uint dgamma_at,
                           global float *dbeta, uint dbeta_at, uint c, uint chunks,
                           uint add_dgamma, uint add_dbeta)
{
    local float room[256];
    uint channel = get_global_id(0);
    float sum = 0.0f, weighted = 0.0f;
    if (channel < c) {
        for (uint i = get_local_id(1); i < chunks; i += get_local_size(1)) {
            sum += part[part_at + i * 2 * c + channel];
            weighted += part[part_at + i * 2 * c + c + channel];
        }
    }
    sum = column_sum(room, sum);
    weighted = column_sum(room, weighted);
    if (channel < c && get_local_id(1) == 0) {
        sums[sums_at + channel] = sum;
        sums[sums_at + c + channel] = weighted;
        put(dbeta + dbeta_at, channel, sum, add_dbeta);
        put(dgamma + dgamma_at, channel, weighted, add_dgamma);
    }
}

/* dx = gamma inv_std (dz - (sum dz + xhat sum dz xhat) / rows) */
kernel void bn_grad_dx(global const float *dy, uint dy_at, global const float *x, uint x_at,
                       global const float *gamma, uint gamma_at, global const float *beta,
                       uint beta_at, global const float *mean, uint mean_at,
                       global const float *inv_std, uint inv_std_at, global const float *sums,
                       uint sums_at, global float *dx, uint dx_at, uint n, uint c, uint kind,
                       float one_over_rows, uint accumulate)
{
    uint i = get_global_id(0), channel = i % c;
    if (i >= n)
        return;
    float inv = inv_std[inv_std_at + channel], g = gamma[gamma_at + channel];
    float xhat = (x[x_at + i] - mean[mean_at + channel]) * inv;
    float dz = dy[dy_at + i] * slope(kind, g * xhat + beta[beta_at + channel]);
    float mean_dz = sums[sums_at + channel] * one_over_rows;
    float mean_dz_xhat = sums[sums_at + c + channel] * one_over_rows;
    put(dx + dx_at, i, g * inv * (dz - mean_dz - xhat * mean_dz_xhat), accumulate);
}
