/* BATCH_NORM_GRAD.  With z the value before the activation and dz = dy where the activation's slope
 * is 1, else 0: dbeta = sum dz, dgamma = inv_std * sum dz (x - mean),
 * dx = gamma inv_std (dz - dbeta / n - (x - mean) inv_std dgamma / n).
 * The mask is computed as the forward pass does, from x. */
#include "backends/cpu/batch_norm.h"

#include <string.h>

typedef struct grad_args {
    const float *dy, *x, *mean;
    const float *scale, *beta; /* of the mask: z = (x - mean) * scale + beta */
    double *sum_dz, *sum_dzx;  /* first pass: of one chunk, [channels] */
    const float *center;       /* second pass: dbeta / n */
    const float *slope;        /* and inv_std * dgamma / n; then dx = scale * (dz - center - ..) */
    float *dx;
    size_t channels;
    cpu_clamp act;
} grad_args;

/* dz, and x - mean into *d. */
CPU_INLINE cpu_vec mask_dy(cpu_vec dy, cpu_vec x, cpu_vec mean, cpu_vec scale, cpu_vec beta,
                           cpu_vec low, cpu_vec high, cpu_vec *d)
{
    *d = x - mean;
    cpu_vec z = *d * scale + beta;
    return cpu_where((z > low) & (z < high), dy);
}

CPU_INLINE void sums_group(const grad_args *p, size_t first, size_t last, size_t c, size_t vectors,
                           size_t lanes)
{
    cpu_vec mean[CPU_GROUP], scale[CPU_GROUP], beta[CPU_GROUP];
    cpu_vec sum_dz[CPU_GROUP] = {{0}}, sum_dzx[CPU_GROUP] = {{0}};
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
            cpu_vec dy = cpu_load_group(p->dy + at, v, vectors, lanes), d;
            cpu_vec x = cpu_load_group(p->x + at, v, vectors, lanes);
            cpu_vec dz = mask_dy(dy, x, mean[v], scale[v], beta[v], low, high, &d);
            sum_dz[v] += dz;
            sum_dzx[v] += dz * d;
        }
    }
    CPU_UNROLL
    for (size_t v = 0; v < vectors; v++) {
        size_t n = vectors == 1 ? lanes : CPU_LANES, at = c + v * CPU_LANES;
        cpu_add_lanes(p->sum_dz + at, sum_dz[v], n);
        cpu_add_lanes(p->sum_dzx + at, sum_dzx[v], n);
    }
}

static void sums_rows(const grad_args *p, size_t first, size_t last, size_t c_first, size_t c_last)
{
    memset(p->sum_dz + c_first, 0, (c_last - c_first) * sizeof(double));
    memset(p->sum_dzx + c_first, 0, (c_last - c_first) * sizeof(double));
    for (size_t row = first; row < last; row += CPU_ROW_BLOCK) {
        size_t stop = mdl_min_size(last, row + CPU_ROW_BLOCK);
#define BODY(c, vectors, lanes) sums_group(p, row, stop, c, vectors, lanes)
        CPU_FOR_GROUPS(c_first, c_last, BODY)
#undef BODY
    }
}

CPU_INLINE void dx_group(const grad_args *p, size_t first, size_t last, size_t c, size_t vectors,
                         size_t lanes, bool accumulate)
{
    cpu_vec mean[CPU_GROUP], scale[CPU_GROUP], beta[CPU_GROUP], center[CPU_GROUP], slope[CPU_GROUP];
    cpu_vec low = cpu_splat(p->act.low), high = cpu_splat(p->act.high);
    CPU_UNROLL
    for (size_t v = 0; v < vectors; v++) {
        mean[v] = cpu_load_group(p->mean + c, v, vectors, lanes);
        scale[v] = cpu_load_group(p->scale + c, v, vectors, lanes);
        beta[v] = cpu_load_group(p->beta + c, v, vectors, lanes);
        center[v] = cpu_load_group(p->center + c, v, vectors, lanes);
        slope[v] = cpu_load_group(p->slope + c, v, vectors, lanes);
    }
    for (size_t row = first; row < last; row++) {
        size_t at = row * p->channels + c;
        CPU_UNROLL
        for (size_t v = 0; v < vectors; v++) {
            cpu_vec dy = cpu_load_group(p->dy + at, v, vectors, lanes), d;
            cpu_vec x = cpu_load_group(p->x + at, v, vectors, lanes);
            cpu_vec dz = mask_dy(dy, x, mean[v], scale[v], beta[v], low, high, &d);
            cpu_vec dx = scale[v] * (dz - center[v] - d * slope[v]);
            if (accumulate)
                dx += cpu_load_group(p->dx + at, v, vectors, lanes);
            cpu_store_group(p->dx + at, dx, v, vectors, lanes);
        }
    }
}

static void dx_rows(const grad_args *p, size_t first, size_t last, bool accumulate)
{
    if (accumulate) {
#define BODY(c, vectors, lanes) dx_group(p, first, last, c, vectors, lanes, true)
        CPU_FOR_GROUPS(0, p->channels, BODY)
#undef BODY
    } else {
#define BODY(c, vectors, lanes) dx_group(p, first, last, c, vectors, lanes, false)
        CPU_FOR_GROUPS(0, p->channels, BODY)
#undef BODY
    }
}

/* Workspace: sums of the chunks, center[C], slope[C], then a scale[C] for each thread. */
size_t CPU_NAME(batch_norm_grad_workspace)(const mdl_call *call, int threads)
{
    cpu_bn_plan plan = cpu_bn_plan_of(&call->in[1].shape);
    return cpu_bn_sums_bytes(&plan) + plan.channels * (2 + (size_t)threads) * sizeof(float);
}

/* Totals of the channels [begin, end). */
static void finish_sums(const mdl_call *call, const cpu_bn_plan *plan, float *center, float *slope,
                        size_t begin, size_t end)
{
    float *dgamma = cpu_out(call, 1), *dbeta = cpu_out(call, 2);
    for (size_t c = begin; c < end; c++) {
        double sum_dz, sum_dzx, n = (double)plan->rows, inv_std = (double)cpu_in(call, 5)[c];
        cpu_bn_total(call, plan, c, &sum_dz, &sum_dzx);
        center[c] = (float)(sum_dz / n);
        slope[c] = (float)(sum_dzx * inv_std * inv_std / n);
        float dg = (float)(sum_dzx * inv_std), db = (float)sum_dz;
        dgamma[c] = cpu_accumulates(call, 1) ? dgamma[c] + dg : dg;
        dbeta[c] = cpu_accumulates(call, 2) ? dbeta[c] + db : db;
    }
}

void CPU_NAME(batch_norm_grad)(mdl_device *device, const mdl_call *call, int thread, int threads)
{
    cpu_bn_plan plan = cpu_bn_plan_of(&call->in[1].shape);
    float *center = cpu_bn_behind_sums(call, &plan), *slope = center + plan.channels;
    float *scale = slope + plan.channels * (1 + (size_t)thread);
    size_t begin, end;
    for (size_t c = 0; c < plan.channels; c++)
        scale[c] = cpu_in(call, 2)[c] * cpu_in(call, 5)[c];
    grad_args args = {.dy = cpu_in(call, 0),
                      .x = cpu_in(call, 1),
                      .mean = cpu_in(call, 4),
                      .scale = scale,
                      .beta = cpu_in(call, 3),
                      .center = center,
                      .slope = slope,
                      .dx = cpu_out(call, 0),
                      .channels = plan.channels,
                      .act = cpu_clamp_of(call->attrs->norm.act)};
    cpu_range(plan.items, 1, thread, threads, &begin, &end);
    for (size_t item = begin; item < end; item++) {
        cpu_bn_item it = cpu_bn_item_of(&plan, item);
        cpu_bn_sums_of(call, &plan, it.chunk, &args.sum_dz, &args.sum_dzx);
        sums_rows(&args, it.row_first, it.row_last, it.c_first, it.c_last);
    }
    cpu_barrier(device);
    cpu_range(plan.channels, 16, thread, threads, &begin, &end);
    finish_sums(call, &plan, center, slope, begin, end);
    cpu_barrier(device);
    cpu_range(plan.rows, 4, thread, threads, &begin, &end);
    for (size_t row = begin; row < end; row += CPU_ROW_BLOCK)
        dx_rows(&args, row, mdl_min_size(end, row + CPU_ROW_BLOCK), cpu_accumulates(call, 0));
}
