/* BATCH_NORM and its gradient.  Built for V = 1 and for V = 4 channels to a work-item; V = 4 needs
 * channels and offsets that are multiples of 4.  `c` counts these reals (common.cl), not floats.
 *
 * A group takes some channels (first axis) of a chunk of rows (second axis).  Few rows: one launch
 * does it all, each group with all rows of its channels.  Many rows: parts for each chunk (or from
 * the kernel that wrote x), a launch that finishes the sums, one that applies them. */

static real sigmoid_of(real x)
{
    real e = exp(-fabs(x));
    return select(e, (real)(1.0f), x >= (real)(0.0f)) / (1.0f + e);
}

/* As activate and slope of common.cl.  A NaN passes. */
static real act_of(uint kind, real x)
{
    if (kind == NONE)
        return x;
    if (kind == SILU)
        return x * sigmoid_of(x);
    real y = select(x, (real)(0.0f), x < (real)(0.0f));
    return kind == RELU6 ? select(y, (real)(6.0f), y > (real)(6.0f)) : y;
}

/* dy times the slope */
static real masked(uint kind, real x, real dy)
{
    if (kind == NONE)
        return dy;
    if (kind == SILU) {
        real s = sigmoid_of(x);
        return dy * (s + x * s * (1.0f - s));
    }
    real y = select((real)(0.0f), dy, x > (real)(0.0f));
    return kind == RELU6 ? select((real)(0.0f), y, x < (real)(6.0f)) : y;
}

/* Mean and sum of squared deviations of n values, so merged that nothing cancels (Chan, Golub and
 * LeVeque 1979). */
typedef struct moments {
    float n;
    real mean, m2;
} moments;

static moments merge(moments a, moments b)
{
    moments all;
    all.n = a.n + b.n;
    if (all.n == 0.0f)
        return a;
    real d = b.mean - a.mean;
    float share = b.n / all.n;
    all.mean = a.mean + d * share;
    all.m2 = a.m2 + b.m2 + d * d * (a.n * share);
    return all;
}

/* Those of a column of the group, in a fixed tree; all work-items get them. */
static moments column_merge(local float *n, local real *mean, local real *m2, moments own)
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

/* A pointer to the channel of a row. */
#define AT(tensor) ((global real *)(tensor + tensor##_at) + channel)
#define AT_CONST(tensor) ((global const real *)(tensor + tensor##_at) + channel)

/* Of this work-item's rows; the values are taken relative to the first, against cancellation. */
static moments own_moments(global const real *x, uint begin, uint end, uint c)
{
    float count = 0.0f;
    real shift = (real)(0.0f), sum = (real)(0.0f), squares = (real)(0.0f);
    for (uint row = begin + get_local_id(1); row < end; row += get_local_size(1)) {
        real value = x[row * c];
        if (count == 0.0f)
            shift = value;
        count += 1.0f;
        value -= shift;
        sum += value;
        squares += value * value;
    }
    moments own = {count, shift, (real)(0.0f)};
    if (count > 0.0f) {
        own.mean = shift + sum / count;
        own.m2 = fmax(squares - sum / count * sum, (real)(0.0f));
    }
    return own;
}

/* What is kept of the moments of all rows; 1 / standard deviation. */
static real keep_moments(moments all, uint rows, float momentum, float eps,
                         global real *running_mean, global real *running_var,
                         global real *mean_out, global real *inv_std)
{
    real var = all.m2 / (float)rows, inv = (real)(1.0f) / sqrt(var + eps);
    if (get_local_id(1) == 0) {
        real unbiased = rows > 1 ? all.m2 / (float)(rows - 1) : var;
        *mean_out = all.mean;
        *inv_std = inv;
        *running_mean = (1.0f - momentum) * *running_mean + momentum * all.mean;
        *running_var = (1.0f - momentum) * *running_var + momentum * unbiased;
    }
    return inv;
}

/* part[chunk, 2, c]: mean, m2 */
kernel void bn_moments(global const float *x, uint x_at, global float *part, uint part_at,
                       uint rows, uint c, uint chunk)
{
    local float n[256];
    local real mean[256], m2[256];
    uint channel = get_global_id(0), begin = get_group_id(1) * chunk;
    uint end = min(rows, begin + chunk);
    moments own = own_moments(AT_CONST(x), begin, channel < c ? end : 0, c);
    moments all = column_merge(n, mean, m2, own);
    if (channel < c && get_local_id(1) == 0) {
        global real *to = AT(part) + get_group_id(1) * 2 * c;
        to[0] = all.mean;
        to[c] = all.m2;
    }
}

kernel void bn_finish(global const float *part, uint part_at, global float *running_mean,
                      uint running_mean_at, global float *running_var, uint running_var_at,
                      global float *mean_out, uint mean_out_at, global float *inv_std,
                      uint inv_std_at, uint rows, uint c, uint chunk, uint chunks, float momentum,
                      float eps)
{
    local float n[256];
    local real mean[256], m2[256];
    uint channel = get_global_id(0);
    moments own = {0.0f, (real)(0.0f), (real)(0.0f)};
    global const real *from = AT_CONST(part);
    if (channel < c) {
        for (uint i = get_local_id(1); i < chunks; i += get_local_size(1)) {
            moments next = {(float)min(chunk, rows - i * chunk), from[i * 2 * c],
                            from[i * 2 * c + c]};
            own = merge(own, next);
        }
    }
    moments all = column_merge(n, mean, m2, own);
    if (channel < c)
        keep_moments(all, rows, momentum, eps, AT(running_mean), AT(running_var), AT(mean_out),
                     AT(inv_std));
}

/* y = act(gamma xhat + beta) + residual, for this work-item's rows. */
static void apply(global const real *x, global const real *residual, uint has_residual,
                  global real *y, real mean, real inv, real gamma, real beta, uint begin,
                  uint end, uint c, uint kind)
{
    for (uint row = begin + get_local_id(1); row < end; row += get_local_size(1)) {
        real value = act_of(kind, gamma * ((x[row * c] - mean) * inv) + beta);
        y[row * c] = has_residual ? value + residual[row * c] : value;
    }
}

/* `spread` is 1 / standard deviation, or the variance. */
kernel void bn_apply(global const float *x, uint x_at, global const float *gamma, uint gamma_at,
                     global const float *beta, uint beta_at, global const float *mean,
                     uint mean_at, global const float *spread, uint spread_at,
                     global const float *residual, uint residual_at, uint has_residual,
                     global float *y, uint y_at, uint rows, uint c, uint chunk, uint kind,
                     uint is_variance, float eps)
{
    uint channel = get_global_id(0), begin = get_group_id(1) * chunk;
    if (channel >= c)
        return;
    real inv = *AT_CONST(spread);
    if (is_variance)
        inv = (real)(1.0f) / sqrt(inv + eps);
    apply(AT_CONST(x), AT_CONST(residual), has_residual, AT(y), *AT_CONST(mean), inv,
          *AT_CONST(gamma), *AT_CONST(beta), begin, min(rows, begin + chunk), c, kind);
}

/* Moments and application at once; a group has all rows. */
kernel void bn_whole(global const float *x, uint x_at, global const float *gamma, uint gamma_at,
                     global const float *beta, uint beta_at, global float *running_mean,
                     uint running_mean_at, global float *running_var, uint running_var_at,
                     global const float *residual, uint residual_at, uint has_residual,
                     global float *y, uint y_at, global float *mean_out, uint mean_out_at,
                     global float *inv_std, uint inv_std_at, uint rows, uint c, uint kind,
                     float momentum, float eps)
{
    local float n[256];
    local real mean[256], m2[256];
    uint channel = get_global_id(0);
    moments own = own_moments(AT_CONST(x), 0, channel < c ? rows : 0, c);
    moments all = column_merge(n, mean, m2, own);
    if (channel >= c)
        return;
    real inv = keep_moments(all, rows, momentum, eps, AT(running_mean), AT(running_var),
                            AT(mean_out), AT(inv_std));
    apply(AT_CONST(x), AT_CONST(residual), has_residual, AT(y), all.mean, inv, *AT_CONST(gamma),
          *AT_CONST(beta), 0, rows, c, kind);
}

/* ---- gradient -------------------------------------------------------------------------------- */

typedef struct norm { /* of a channel */
    real mean, inv, gamma, beta;
} norm;

#define NORM_ARGS                                                                                  \
    global const float *gamma, uint gamma_at, global const float *beta, uint beta_at,              \
        global const float *mean, uint mean_at, global const float *inv_std, uint inv_std_at
#define GET_NORM                                                                                   \
    {                                                                                              \
        *AT_CONST(mean), *AT_CONST(inv_std), *AT_CONST(gamma), *AT_CONST(beta)                     \
    }

typedef struct sums { /* of dz, of dz xhat, where dz = dy act'(gamma xhat + beta) */
    real dz, dz_xhat;
} sums;

static sums own_sums(global const real *dy, global const real *x, norm n, uint begin, uint end,
                     uint c, uint kind)
{
    sums sum = {(real)(0.0f), (real)(0.0f)};
    for (uint row = begin + get_local_id(1); row < end; row += get_local_size(1)) {
        real xhat = (x[row * c] - n.mean) * n.inv;
        real dz = masked(kind, n.gamma * xhat + n.beta, dy[row * c]);
        sum.dz += dz;
        sum.dz_xhat += dz * xhat;
    }
    return sum;
}

/* dx = gamma inv_std (dz - (sum dz + xhat sum dz xhat) / rows) */
static void write_dx(global const real *dy, global const real *x, global real *dx, norm n,
                     sums sum, uint begin, uint end, uint rows, uint c, uint kind,
                     uint accumulate)
{
    float share = 1.0f / (float)rows;
    real factor = n.gamma * n.inv, mean_dz = sum.dz * share, mean_dz_xhat = sum.dz_xhat * share;
    for (uint row = begin + get_local_id(1); row < end; row += get_local_size(1)) {
        real xhat = (x[row * c] - n.mean) * n.inv;
        real dz = masked(kind, n.gamma * xhat + n.beta, dy[row * c]);
        real value = factor * (dz - mean_dz - xhat * mean_dz_xhat);
        dx[row * c] = accumulate ? dx[row * c] + value : value;
    }
}

static void add_to(global real *y, real value, uint accumulate)
{
    *y = accumulate ? *y + value : value;
}

/* part[chunk, 2, c] */
kernel void bn_grad_sums(global const float *dy, uint dy_at, global const float *x, uint x_at,
                         NORM_ARGS, global float *part, uint part_at, uint rows, uint c,
                         uint chunk, uint kind)
{
    local real room[256];
    uint channel = get_global_id(0), begin = get_group_id(1) * chunk;
    sums sum = {(real)(0.0f), (real)(0.0f)};
    if (channel < c) {
        norm n = GET_NORM;
        sum = own_sums(AT_CONST(dy), AT_CONST(x), n, begin, min(rows, begin + chunk), c, kind);
    }
    sum.dz = column_sum(room, sum.dz);
    sum.dz_xhat = column_sum(room, sum.dz_xhat);
    if (channel < c && get_local_id(1) == 0) {
        global real *to = AT(part) + get_group_id(1) * 2 * c;
        to[0] = sum.dz;
        to[c] = sum.dz_xhat;
    }
}

/* total[2, c] from the parts, and the gradients of gamma and beta. */
kernel void bn_grad_finish(global const float *part, uint part_at, global float *total,
                           uint total_at, global float *dgamma, uint dgamma_at,
                           global float *dbeta, uint dbeta_at, uint c, uint chunks,
                           uint add_dgamma, uint add_dbeta)
{
    local real room[256];
    uint channel = get_global_id(0);
    sums sum = {(real)(0.0f), (real)(0.0f)};
    global const real *from = AT_CONST(part);
    if (channel < c) {
        for (uint i = get_local_id(1); i < chunks; i += get_local_size(1)) {
            sum.dz += from[i * 2 * c];
            sum.dz_xhat += from[i * 2 * c + c];
        }
    }
    sum.dz = column_sum(room, sum.dz);
    sum.dz_xhat = column_sum(room, sum.dz_xhat);
    if (channel < c && get_local_id(1) == 0) {
        AT(total)[0] = sum.dz;
        AT(total)[c] = sum.dz_xhat;
        add_to(AT(dbeta), sum.dz, add_dbeta);
        add_to(AT(dgamma), sum.dz_xhat, add_dgamma);
    }
}

kernel void bn_grad_dx(global const float *dy, uint dy_at, global const float *x, uint x_at,
                       NORM_ARGS, global const float *total, uint total_at, global float *dx,
                       uint dx_at, uint rows, uint c, uint chunk, uint kind, uint accumulate)
{
    uint channel = get_global_id(0), begin = get_group_id(1) * chunk;
    if (channel >= c)
        return;
    norm n = GET_NORM;
    sums sum = {AT_CONST(total)[0], AT_CONST(total)[c]};
    write_dx(AT_CONST(dy), AT_CONST(x), AT(dx), n, sum, begin, min(rows, begin + chunk), rows, c,
             kind, accumulate);
}

/* All at once; a group has all rows. */
kernel void bn_grad_whole(global const float *dy, uint dy_at, global const float *x, uint x_at,
                          NORM_ARGS, global float *dx, uint dx_at, global float *dgamma,
                          uint dgamma_at, global float *dbeta, uint dbeta_at, uint rows, uint c,
                          uint kind, uint add_dx, uint add_dgamma, uint add_dbeta)
{
    local real room[256];
    uint channel = get_global_id(0), last = min(channel, c - 1);
    channel = last; /* those beyond the last channel repeat it, and write nothing */
    bool mine = get_global_id(0) < c;
    norm n = GET_NORM;
    sums sum = own_sums(AT_CONST(dy), AT_CONST(x), n, 0, mine ? rows : 0, c, kind);
    sum.dz = column_sum(room, sum.dz);
    sum.dz_xhat = column_sum(room, sum.dz_xhat);
    if (!mine)
        return;
    if (get_local_id(1) == 0) {
        add_to(AT(dbeta), sum.dz, add_dbeta);
        add_to(AT(dgamma), sum.dz_xhat, add_dgamma);
    }
    write_dx(AT_CONST(dy), AT_CONST(x), AT(dx), n, sum, 0, rows, rows, c, kind, add_dx);
}
