/* BATCH_NORM, BATCH_NORM_APPLY, BATCH_NORM_INFER.
 *
 * With scale = gamma * inv_std: y = act((x - mean) * scale + beta) + residual.  Statistics come
 * from one pass: sums of x - k and (x - k)^2 with a shift k near the mean, in float32 over a few
 * rows and in float64 beyond. */
#include "backends/cpu/batch_norm.h"

#include <string.h>

/* ---- apply --------------------------------------------------------------------------------------
 */

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

static void apply_rows(const apply_args *p, size_t rows, int thread, int threads)
{
    size_t begin, end;
    cpu_range(rows, 4, thread, threads, &begin, &end);
    for (size_t row = begin; row < end; row += CPU_ROW_BLOCK) {
        size_t last = mdl_min_size(end, row + CPU_ROW_BLOCK);
        if (p->residual)
            apply_residual(p, row, last);
        else
            apply_plain(p, row, last);
    }
}

static apply_args prepare(const mdl_call *call, const float *mean, const float *scale)
{
    return (apply_args){.x = cpu_in(call, 0),
                        .mean = mean,
                        .scale = scale,
                        .beta = cpu_in(call, 2),
                        .residual = cpu_has(call, 5) ? cpu_in(call, 5) : NULL,
                        .y = cpu_out(call, 0),
                        .channels = mdl_shape_last(&call->in[0].shape),
                        .act = cpu_clamp_of(call->attrs->norm.act)};
}

/* ---- statistics ---------------------------------------------------------------------------------
 */

typedef struct stats_args {
    const float *x, *shift;
    double *sum, *squares; /* of one chunk, [channels] */
    size_t channels;
} stats_args;

CPU_INLINE void stats_group(const stats_args *p, size_t first, size_t last, size_t c,
                            size_t vectors, size_t lanes)
{
    cpu_vec shift[CPU_GROUP], sum[CPU_GROUP] = {{0}}, squares[CPU_GROUP] = {{0}};
    CPU_UNROLL
    for (size_t v = 0; v < vectors; v++)
        shift[v] = cpu_load_group(p->shift + c, v, vectors, lanes);
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
        cpu_add_lanes(p->sum + at, sum[v], n);
        cpu_add_lanes(p->squares + at, squares[v], n);
    }
}

/* Sums of rows [first, last) of the channels [c_first, c_last). */
static void stats_rows(const stats_args *p, size_t first, size_t last, size_t c_first,
                       size_t c_last)
{
    memset(p->sum + c_first, 0, (c_last - c_first) * sizeof(double));
    memset(p->squares + c_first, 0, (c_last - c_first) * sizeof(double));
    for (size_t row = first; row < last; row += CPU_ROW_BLOCK) {
        size_t stop = mdl_min_size(last, row + CPU_ROW_BLOCK);
#define BODY(c, vectors, lanes) stats_group(p, row, stop, c, vectors, lanes)
        CPU_FOR_GROUPS(c_first, c_last, BODY)
#undef BODY
    }
}

/* Mean of a few rows, spread over all of them: near enough to the true mean that x - shift loses
 * nothing in the sum of squares. */
static void find_shift(const float *x, size_t rows, size_t channels, float *shift)
{
    size_t n = mdl_min_size(rows, 16);
    memset(shift, 0, channels * sizeof(float));
    for (size_t i = 0; i < n; i++) {
        const float *row = x + rows * i / n * channels;
        for (size_t c = 0; c < channels; c++)
            shift[c] += row[c] / (float)n;
    }
}

/* Statistics of the channels [begin, end) from the sums of all chunks. */
static void finish_stats(const mdl_call *call, const cpu_bn_plan *plan, const float *shift,
                         float *scale, size_t begin, size_t end)
{
    const float *gamma = cpu_in(call, 1);
    float *running_mean = call->in[3].host, *running_var = call->in[4].host;
    double m = call->attrs->norm.momentum, n = (double)plan->rows;
    if (call->state && call->state->bn_momentum >= 0)
        m = call->state->bn_momentum;
    double unbiased = plan->rows > 1 ? n / (n - 1) : 1;
    for (size_t c = begin; c < end; c++) {
        double sum, squares;
        cpu_bn_total(call, plan, c, &sum, &squares);
        double mean = (double)shift[c] + sum / n;
        double var = squares / n - (sum / n) * (sum / n);
        var = var < 0 ? 0 : var; /* a NaN passes */
        double inv_std = 1 / sqrt(var + call->attrs->norm.eps);
        running_mean[c] = (float)((1 - m) * (double)running_mean[c] + m * mean);
        running_var[c] = (float)((1 - m) * (double)running_var[c] + m * var * unbiased);
        cpu_out(call, 1)[c] = (float)mean;
        cpu_out(call, 2)[c] = (float)inv_std;
        scale[c] = gamma[c] * (float)inv_std;
    }
}

/* ---- kernels ------------------------------------------------------------------------------------
 */

/* Workspace: sums of the chunks, scale[C], then a shift[C] for each thread. */
size_t CPU_NAME(batch_norm_workspace)(const mdl_call *call, int threads)
{
    cpu_bn_plan plan = cpu_bn_plan_of(&call->in[0].shape);
    return cpu_bn_sums_bytes(&plan) + plan.channels * (1 + (size_t)threads) * sizeof(float);
}

void CPU_NAME(batch_norm)(mdl_device *device, const mdl_call *call, int thread, int threads)
{
    cpu_bn_plan plan = cpu_bn_plan_of(&call->in[0].shape);
    float *scale = cpu_bn_behind_sums(call, &plan);
    float *shift = scale + plan.channels * (1 + (size_t)thread);
    const float *x = cpu_in(call, 0);
    size_t begin, end;
    find_shift(x, plan.rows, plan.channels, shift);
    cpu_range(plan.items, 1, thread, threads, &begin, &end);
    for (size_t item = begin; item < end; item++) {
        cpu_bn_item it = cpu_bn_item_of(&plan, item);
        stats_args args = {.x = x, .shift = shift, .channels = plan.channels};
        cpu_bn_sums_of(call, &plan, it.chunk, &args.sum, &args.squares);
        stats_rows(&args, it.row_first, it.row_last, it.c_first, it.c_last);
    }
    cpu_barrier(device);
    cpu_range(plan.channels, 16, thread, threads, &begin, &end);
    finish_stats(call, &plan, shift, scale, begin, end);
    cpu_barrier(device);
    apply_args args = prepare(call, cpu_out(call, 1), scale);
    apply_rows(&args, plan.rows, thread, threads);
}

size_t CPU_NAME(batch_norm_apply_workspace)(const mdl_call *call, int threads)
{
    return mdl_shape_last(&call->in[0].shape) * (size_t)threads * sizeof(float);
}

void CPU_NAME(batch_norm_apply)(mdl_device *device, const mdl_call *call, int thread, int threads)
{
    (void)device;
    size_t channels = mdl_shape_last(&call->in[0].shape);
    float *scale = (float *)call->workspace.host + channels * (size_t)thread;
    for (size_t c = 0; c < channels; c++)
        scale[c] = cpu_in(call, 1)[c] * cpu_in(call, 4)[c];
    apply_args args = prepare(call, cpu_in(call, 3), scale);
    apply_rows(&args, mdl_shape_rows(&call->in[0].shape), thread, threads);
}

size_t CPU_NAME(batch_norm_infer_workspace)(const mdl_call *call, int threads)
{
    return mdl_shape_last(&call->in[0].shape) * (size_t)threads * sizeof(float);
}

void CPU_NAME(batch_norm_infer)(mdl_device *device, const mdl_call *call, int thread, int threads)
{
    (void)device;
    size_t channels = mdl_shape_last(&call->in[0].shape);
    float *scale = (float *)call->workspace.host + channels * (size_t)thread;
    for (size_t c = 0; c < channels; c++) {
        double var = (double)cpu_in(call, 4)[c];
        scale[c] = cpu_in(call, 1)[c] * (float)(1 / sqrt(var + call->attrs->norm.eps));
    }
    apply_args args = prepare(call, cpu_in(call, 3), scale);
    apply_rows(&args, mdl_shape_rows(&call->in[0].shape), thread, threads);
}

bool CPU_NAME(batch_norm_supports)(const mdl_call *call)
{
    return cpu_is_clamp(call->attrs->norm.act);
}
