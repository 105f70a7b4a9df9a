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

static void dx_rows(const grad_args *p, size_t begin, size_t end, bool accumulate)
{
    for (size_t row = begin; row < end; row += CPU_ROW_BLOCK) {
        size_t last = mdl_min_size(end, row + CPU_ROW_BLOCK);
        if (accumulate) {
#define BODY(c, vectors, lanes) dx_group(p, row, last, c, vectors, lanes, true)
            CPU_FOR_GROUPS(0, p->channels, BODY)
#undef BODY
        } else {
#define BODY(c, vectors, lanes) dx_group(p, row, last, c, vectors, lanes, false)
            CPU_FOR_GROUPS(0, p->channels, BODY)
#undef BODY
        }
    }
}

/* ---- kernels -------------------------------------------------------------------------------- */

/* The workspace has scale, center and slope. */
static grad_args args_of(const mdl_call *call, size_t chunk)
{
    size_t channels = mdl_shape_last(&call->in[1].shape);
    cpu_bn_sums sums = cpu_bn_sums_of(call, channels, chunk);
    return (grad_args){.dy = cpu_in(call, 0),
                       .x = cpu_in(call, 1),
                       .mean = cpu_in(call, 4),
                       .scale = cpu_bn_constants(call, channels, 0),
                       .beta = cpu_in(call, 3),
                       .sum_dz = sums.first,
                       .sum_dzx = sums.second,
                       .center = cpu_bn_constants(call, channels, 1),
                       .slope = cpu_bn_constants(call, channels, 2),
                       .dx = cpu_out(call, 0),
                       .channels = channels,
                       .act = cpu_clamp_of(call->attrs->norm.act)};
}

size_t CPU_NAME(batch_norm_grad_workspace)(const mdl_call *call, int threads)
{
    (void)threads;
    cpu_bn_plan plan = cpu_bn_plan_of(call);
    return cpu_bn_bytes(plan.channels, plan.chunks);
}

void CPU_NAME(batch_norm_grad_prepare)(const mdl_call *call, int thread, int threads)
{
    cpu_bn_scale(call, cpu_in(call, 2), cpu_in(call, 5), thread, threads);
}

static void begin_sums(const grad_args *p, size_t c_first, size_t c_last)
{
    memset(p->sum_dz + c_first, 0, (c_last - c_first) * sizeof(double));
    memset(p->sum_dzx + c_first, 0, (c_last - c_first) * sizeof(double));
}

void CPU_NAME(batch_norm_grad_sums_tile)(const mdl_call *slice, const cpu_tile *t)
{
    grad_args args = args_of(slice, t->band);
    if (t->fresh)
        begin_sums(&args, 0, args.channels);
    sums_rows(&args, 0, mdl_shape_rows(&slice->in[1].shape), 0, args.channels);
}

/* Totals of this thread's channels. */
static void finish_sums(const mdl_call *call, int thread, int threads)
{
    cpu_bn_plan plan = cpu_bn_plan_of(call);
    float *center = cpu_bn_constants(call, plan.channels, 1);
    float *slope = cpu_bn_constants(call, plan.channels, 2);
    float *dgamma = cpu_out(call, 1), *dbeta = cpu_out(call, 2);
    double n = (double)plan.rows;
    size_t begin, end;
    cpu_range(plan.channels, CPU_BN_LANES, thread, threads, &begin, &end);
    for (size_t c = begin; c < end; c += CPU_BN_LANES) {
        size_t lanes = mdl_min_size(CPU_BN_LANES, end - c);
        double dz[CPU_BN_LANES] = {0}, dzx[CPU_BN_LANES] = {0};
        for (size_t chunk = 0; chunk < plan.chunks; chunk++) {
            cpu_bn_sums s = cpu_bn_sums_of(call, plan.channels, chunk);
            for (size_t i = 0; i < lanes; i++) {
                dz[i] += s.first[c + i];
                dzx[i] += s.second[c + i];
            }
        }
        for (size_t i = 0; i < lanes; i++) {
            double inv_std = (double)cpu_in(call, 5)[c + i];
            center[c + i] = (float)(dz[i] / n);
            slope[c + i] = (float)(dzx[i] * inv_std * inv_std / n);
            float dg = (float)(dzx[i] * inv_std), db = (float)dz[i];
            dgamma[c + i] = cpu_accumulates(call, 1) ? dgamma[c + i] + dg : dg;
            dbeta[c + i] = cpu_accumulates(call, 2) ? dbeta[c + i] + db : db;
        }
    }
}

void CPU_NAME(batch_norm_grad_sums_finish)(const mdl_call *call, size_t bands, int thread,
                                           int threads)
{
    (void)bands;
    finish_sums(call, thread, threads);
}

void CPU_NAME(batch_norm_grad_tile)(const mdl_call *slice, const cpu_tile *t)
{
    grad_args args = args_of(slice, t->band);
    dx_rows(&args, 0, mdl_shape_rows(&slice->in[1].shape), cpu_accumulates(slice, 0));
}

void CPU_NAME(batch_norm_grad_before)(const mdl_call *call, int share, int shares)
{
    cpu_bn_plan plan = cpu_bn_plan_of(call);
    size_t begin, end;
    cpu_range(plan.items, 1, share, shares, &begin, &end);
    for (size_t item = begin; item < end; item++) {
        cpu_bn_item it = cpu_bn_item_of(&plan, item);
        grad_args args = args_of(call, it.chunk);
        begin_sums(&args, it.c_first, it.c_last);
        sums_rows(&args, it.row_first, it.row_last, it.c_first, it.c_last);
    }
}

void CPU_NAME(batch_norm_grad_totals_before)(const mdl_call *call, int share, int shares)
{
    finish_sums(call, share, shares);
}

void CPU_NAME(batch_norm_grad)(mdl_device *device, const mdl_call *call, int thread, int threads)
{
    (void)device;
    cpu_bn_plan plan = cpu_bn_plan_of(call);
    grad_args args = args_of(call, 0);
    size_t begin, end;
    cpu_range(plan.rows, 4, thread, threads, &begin, &end);
    dx_rows(&args, begin, end, cpu_accumulates(call, 0));
}
