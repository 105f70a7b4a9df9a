/* BATCH_NORM, BATCH_NORM_APPLY, BATCH_NORM_INFER.
 *
 * With scale = gamma * inv_std: y = act((x - mean) * scale + beta) + residual.  Statistics come
 * from one pass: sums of x - k and (x - k)^2 with a shift k near the mean, in float32 over a few
 * rows and in float64 beyond. */
#include "backends/cpu/batch_norm.h"

#include <string.h>

/* ---- apply ---------------------------------------------------------------------------------- */

typedef struct apply_args {
    const float *x, *mean, *scale, *beta;
    const float *residual; /* or NULL */
    float *y;
    size_t channels;
    cpu_clamp act;
} apply_args;

/* Rows [first, last) of a group of channels from c on. */
CPU_INLINE void apply_group(const apply_args *p, size_t first, size_t last, size_t c,
                            size_t vectors, size_t lanes, bool residual)
{
    cpu_vec mean[CPU_GROUP], scale[CPU_GROUP], beta[CPU_GROUP];
    cpu_vec low = cpu_splat(p->act.low), high = cpu_splat(p->act.high);
    CPU_UNROLL
    for (size_t v = 0; v < vectors; v++) {
        mean[v] = cpu_load_group(p->mean + c, v, vectors, lanes);
        scale[v] = cpu_load_group(p->scale + c, v, vectors, lanes);
        beta[v] = cpu_load_group(p->beta + c, v, vectors, lanes);
    }
    for (size_t row = first; row < last; row++) {
        size_t at = row * p->channels + c;
        CPU_UNROLL
        for (size_t v = 0; v < vectors; v++) {
            cpu_vec x = cpu_load_group(p->x + at, v, vectors, lanes);
            cpu_vec y = cpu_min(high, cpu_max(low, (x - mean[v]) * scale[v] + beta[v]));
            if (residual)
                y += cpu_load_group(p->residual + at, v, vectors, lanes);
            cpu_store_group(p->y + at, y, v, vectors, lanes);
        }
    }
}

static void apply_plain(const apply_args *p, size_t first, size_t last)
{
#define BODY(c, vectors, lanes) apply_group(p, first, last, c, vectors, lanes, false)
    CPU_FOR_GROUPS(0, p->channels, BODY)
#undef BODY
}

static void apply_residual(const apply_args *p, size_t first, size_t last)
{
#define BODY(c, vectors, lanes) apply_group(p, first, last, c, vectors, lanes, true)
    CPU_FOR_GROUPS(0, p->channels, BODY)
#undef BODY
}

/* Of the three ops; the workspace has the scale. */
static void apply_rows(const mdl_call *call, size_t begin, size_t end)
{
    size_t channels = mdl_shape_last(&call->in[0].shape);
    apply_args p = {.x = cpu_in(call, 0),
                    .mean = call->op == MDL_OP_BATCH_NORM ? cpu_out(call, 1) : cpu_in(call, 3),
                    .scale = cpu_bn_constants(call, channels, 0),
                    .beta = cpu_in(call, 2),
                    .residual = cpu_has(call, 5) ? cpu_in(call, 5) : NULL,
                    .y = cpu_out(call, 0),
                    .channels = channels,
                    .act = cpu_clamp_of(call->attrs->norm.act)};
    for (size_t row = begin; row < end; row += CPU_ROW_BLOCK) {
        size_t last = mdl_min_size(end, row + CPU_ROW_BLOCK);
        if (p.residual != NULL)
            apply_residual(&p, row, last);
        else
            apply_plain(&p, row, last);
    }
}

static void share_rows(const mdl_call *call, int thread, int threads)
{
    size_t begin, end;
    cpu_range(mdl_shape_rows(&call->in[0].shape), 4, thread, threads, &begin, &end);
    apply_rows(call, begin, end);
}

void CPU_NAME(batch_norm_tile)(const mdl_call *slice, const cpu_tile *t)
{
    (void)t;
    apply_rows(slice, 0, mdl_shape_rows(&slice->in[0].shape));
}

size_t CPU_NAME(batch_norm_tiles)(const mdl_call *call)
{
    return cpu_tiles(&call->in[0].shape, &call->in[0].shape);
}

/* ---- statistics ----------------------------------------------------------------------------- */

typedef struct stats_args {
    const float *x;
    cpu_bn_sums sums; /* of the chunk */
    size_t channels;
} stats_args;

CPU_INLINE void stats_group(const stats_args *p, size_t first, size_t last, size_t c,
                            size_t vectors, size_t lanes)
{
    cpu_vec shift[CPU_GROUP], sum[CPU_GROUP] = {{0}}, squares[CPU_GROUP] = {{0}};
    CPU_UNROLL
    for (size_t v = 0; v < vectors; v++)
        shift[v] = cpu_load_group(p->sums.shift + c, v, vectors, lanes);
    for (size_t row = first; row < last; row++) {
        const float *x = p->x + row * p->channels + c;
        CPU_UNROLL
        for (size_t v = 0; v < vectors; v++) {
            cpu_vec d = cpu_load_group(x, v, vectors, lanes) - shift[v];
            sum[v] += d;
            squares[v] += d * d;
        }
    }
    CPU_UNROLL
    for (size_t v = 0; v < vectors; v++) {
        size_t n = vectors == 1 ? lanes : CPU_LANES, at = c + v * CPU_LANES;
        cpu_add_lanes(p->sums.first + at, sum[v], n);
        cpu_add_lanes(p->sums.second + at, squares[v], n);
    }
}

/* A chunk begins: its shift is the mean of a few rows, near enough to the true mean that x - shift
 * loses nothing in the sum of squares. */
static void begin_stats(const stats_args *p, size_t first, size_t last, size_t c_first,
                        size_t c_last)
{
    size_t rows = last - first, n = mdl_min_size(rows, 8), bytes = c_last - c_first;
    memset(p->sums.first + c_first, 0, bytes * sizeof(double));
    memset(p->sums.second + c_first, 0, bytes * sizeof(double));
    memset(p->sums.shift + c_first, 0, bytes * sizeof(float));
    for (size_t i = 0; i < n; i++) {
        const float *row = p->x + (first + rows * i / n) * p->channels;
        for (size_t c = c_first; c < c_last; c++)
            p->sums.shift[c] += row[c] / (float)n;
    }
}

/* Sums of rows [first, last) of the channels [c_first, c_last). */
static void stats_rows(const stats_args *p, size_t first, size_t last, size_t c_first,
                       size_t c_last)
{
    for (size_t row = first; row < last; row += CPU_ROW_BLOCK) {
        size_t stop = mdl_min_size(last, row + CPU_ROW_BLOCK);
#define BODY(c, vectors, lanes) stats_group(p, row, stop, c, vectors, lanes)
        CPU_FOR_GROUPS(c_first, c_last, BODY)
#undef BODY
    }
}

void CPU_NAME(batch_norm_sums_tile)(const mdl_call *slice, const cpu_tile *t)
{
    size_t channels = mdl_shape_last(&slice->in[0].shape);
    size_t rows = mdl_shape_rows(&slice->in[0].shape);
    stats_args args = {.x = cpu_in(slice, 0),
                       .sums = cpu_bn_sums_of(slice, channels, t->band),
                       .channels = channels};
    if (t->fresh)
        begin_stats(&args, 0, rows, 0, channels);
    stats_rows(&args, 0, rows, 0, channels);
}

/* Mean and variance of some channels.  With n, m and q the number, mean and sum of squared
 * deviations of each chunk: mean = sum n m / N, N var = sum q + n (m - mean)^2 (Chan et al. 1979).
 */
static void merge_chunks(const mdl_call *call, const cpu_bn_plan *plan, size_t c, size_t lanes,
                         double *mean, double *var)
{
    double all = (double)plan->rows;
    for (size_t i = 0; i < lanes; i++)
        mean[i] = var[i] = 0;
    for (size_t chunk = 0; chunk < plan->chunks; chunk++) {
        cpu_bn_sums s = cpu_bn_sums_of(call, plan->channels, chunk);
        size_t first, last;
        cpu_bn_chunk_rows(plan, chunk, &first, &last);
        double n = (double)(last - first);
        for (size_t i = 0; i < lanes; i++)
            mean[i] += (n * (double)s.shift[c + i] + s.first[c + i]) / all;
    }
    for (size_t chunk = 0; chunk < plan->chunks; chunk++) {
        cpu_bn_sums s = cpu_bn_sums_of(call, plan->channels, chunk);
        size_t first, last;
        cpu_bn_chunk_rows(plan, chunk, &first, &last);
        double n = (double)(last - first);
        for (size_t i = 0; i < lanes; i++) {
            double off = s.first[c + i] / n, d = (double)s.shift[c + i] + off - mean[i];
            var[i] += (s.second[c + i] - n * off * off + n * d * d) / all;
        }
    }
}

/* Statistics from the sums of all chunks, for this thread's channels. */
static void finish_stats(const mdl_call *call, int thread, int threads)
{
    cpu_bn_plan plan = cpu_bn_plan_of(call);
    float *scale = cpu_bn_constants(call, plan.channels, 0);
    float *running_mean = call->in[3].host, *running_var = call->in[4].host;
    double m = call->attrs->norm.momentum, n = (double)plan.rows;
    if (call->state != NULL && call->state->bn_momentum >= 0)
        m = call->state->bn_momentum;
    double unbiased = plan.rows > 1 ? n / (n - 1) : 1;
    size_t begin, end;
    cpu_range(plan.channels, CPU_BN_LANES, thread, threads, &begin, &end);
    for (size_t first = begin; first < end; first += CPU_BN_LANES) {
        double mean[CPU_BN_LANES], vars[CPU_BN_LANES];
        merge_chunks(call, &plan, first, mdl_min_size(CPU_BN_LANES, end - first), mean, vars);
        for (size_t c = first; c < mdl_min_size(end, first + CPU_BN_LANES); c++) {
            double var = vars[c - first] < 0 ? 0 : vars[c - first]; /* a NaN passes */
            double inv_std = 1 / sqrt(var + call->attrs->norm.eps);
            running_mean[c] = (float)((1 - m) * (double)running_mean[c] + m * mean[c - first]);
            running_var[c] = (float)((1 - m) * (double)running_var[c] + m * var * unbiased);
            cpu_out(call, 1)[c] = (float)mean[c - first];
            cpu_out(call, 2)[c] = (float)inv_std;
            scale[c] = cpu_in(call, 1)[c] * (float)inv_std;
        }
    }
}

void CPU_NAME(batch_norm_sums_finish)(const mdl_call *call, size_t bands, int thread, int threads)
{
    (void)bands;
    finish_stats(call, thread, threads);
}

/* ---- kernels -------------------------------------------------------------------------------- */

size_t CPU_NAME(batch_norm_workspace)(const mdl_call *call, int threads)
{
    (void)threads;
    cpu_bn_plan plan = cpu_bn_plan_of(call);
    return cpu_bn_bytes(plan.channels, plan.chunks);
}

void CPU_NAME(batch_norm_before)(const mdl_call *call, int share, int shares)
{
    cpu_bn_plan plan = cpu_bn_plan_of(call);
    size_t begin, end;
    cpu_range(plan.items, 1, share, shares, &begin, &end);
    for (size_t item = begin; item < end; item++) {
        cpu_bn_item it = cpu_bn_item_of(&plan, item);
        stats_args args = {.x = cpu_in(call, 0),
                           .sums = cpu_bn_sums_of(call, plan.channels, it.chunk),
                           .channels = plan.channels};
        begin_stats(&args, it.row_first, it.row_last, it.c_first, it.c_last);
        stats_rows(&args, it.row_first, it.row_last, it.c_first, it.c_last);
    }
}

void CPU_NAME(batch_norm_totals_before)(const mdl_call *call, int share, int shares)
{
    finish_stats(call, share, shares);
}

void CPU_NAME(batch_norm)(mdl_device *device, const mdl_call *call, int thread, int threads)
{
    (void)device;
    share_rows(call, thread, threads);
}

size_t CPU_NAME(batch_norm_apply_workspace)(const mdl_call *call, int threads)
{
    (void)threads;
    return mdl_shape_last(&call->in[0].shape) * sizeof(float);
}

void CPU_NAME(batch_norm_apply_prepare)(const mdl_call *call, int thread, int threads)
{
    cpu_bn_scale(call, cpu_in(call, 1), cpu_in(call, 4), thread, threads);
}

void CPU_NAME(batch_norm_apply)(mdl_device *device, const mdl_call *call, int thread, int threads)
{
    (void)device;
    share_rows(call, thread, threads);
}

size_t CPU_NAME(batch_norm_infer_workspace)(const mdl_call *call, int threads)
{
    (void)threads;
    return mdl_shape_last(&call->in[0].shape) * sizeof(float);
}

void CPU_NAME(batch_norm_infer_prepare)(const mdl_call *call, int thread, int threads)
{
    size_t channels = mdl_shape_last(&call->in[0].shape), begin, end;
    float *scale = cpu_bn_constants(call, channels, 0);
    cpu_range(channels, 16, thread, threads, &begin, &end);
    for (size_t c = begin; c < end; c++) {
        double var = (double)cpu_in(call, 4)[c];
        scale[c] = cpu_in(call, 1)[c] * (float)(1 / sqrt(var + call->attrs->norm.eps));
    }
}

void CPU_NAME(batch_norm_infer)(mdl_device *device, const mdl_call *call, int thread, int threads)
{
    (void)device;
    share_rows(call, thread, threads);
}

bool CPU_NAME(batch_norm_supports)(const mdl_call *call)
{
    return cpu_is_clamp(call->attrs->norm.act);
}
