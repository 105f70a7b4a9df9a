/* What the BatchNorm kernels share: two sums for each channel, over fixed chunks of rows that are
 * added in a fixed order, so that no result depends on the number of threads. */
#ifndef MDL_CPU_BATCH_NORM_H
#define MDL_CPU_BATCH_NORM_H

#include "backends/cpu/channels.h"

#define CPU_BN_CHUNKS   32  /* at most */
#define CPU_BN_CHANNELS 128 /* shared out as one where there are few chunks */

typedef struct cpu_bn_plan {
    size_t rows, channels;
    size_t chunks; /* of rows */
    size_t parts;  /* of channels */
    size_t items;  /* chunks * parts: the pieces of work */
} cpu_bn_plan;

static inline cpu_bn_plan cpu_bn_plan_of(const mdl_shape *x)
{
    cpu_bn_plan p = {.rows = mdl_shape_rows(x), .channels = mdl_shape_last(x), .parts = 1};
    p.chunks = mdl_min_size((p.rows + CPU_ROW_BLOCK - 1) / CPU_ROW_BLOCK, CPU_BN_CHUNKS);
    if (p.chunks < CPU_BN_CHUNKS)
        p.parts = (p.channels + CPU_BN_CHANNELS - 1) / CPU_BN_CHANNELS;
    p.items = p.chunks * p.parts;
    return p;
}

typedef struct cpu_bn_item {
    size_t chunk, row_first, row_last, c_first, c_last;
} cpu_bn_item;

static inline cpu_bn_item cpu_bn_item_of(const cpu_bn_plan *p, size_t index)
{
    cpu_bn_item it = {.chunk = index / p->parts};
    cpu_range(p->rows, CPU_ROW_BLOCK, (int)it.chunk, (int)p->chunks, &it.row_first, &it.row_last);
    it.c_first = index % p->parts * CPU_BN_CHANNELS;
    it.c_last =
        p->parts == 1 ? p->channels : mdl_min_size(p->channels, it.c_first + CPU_BN_CHANNELS);
    return it;
}

/* The workspace starts with double sums[chunks][2][channels]. */
static inline size_t cpu_bn_sums_bytes(const cpu_bn_plan *p)
{
    return p->chunks * 2 * p->channels * sizeof(double);
}
static inline float *cpu_bn_behind_sums(const mdl_call *call, const cpu_bn_plan *p)
{
    return (float *)((char *)call->workspace.host + cpu_bn_sums_bytes(p));
}
static inline void cpu_bn_sums_of(const mdl_call *call, const cpu_bn_plan *p, size_t chunk,
                                  double **first, double **second)
{
    *first = (double *)call->workspace.host + chunk * 2 * p->channels;
    *second = *first + p->channels;
}

/* Totals of one channel. */
static inline void cpu_bn_total(const mdl_call *call, const cpu_bn_plan *p, size_t c, double *first,
                                double *second)
{
    const double *sums = call->workspace.host;
    *first = *second = 0;
    for (size_t chunk = 0; chunk < p->chunks; chunk++) {
        *first += sums[chunk * 2 * p->channels + c];
        *second += sums[(chunk * 2 + 1) * p->channels + c];
    }
}

/* sums[i] += lane i of v, for n lanes. */
CPU_INLINE void cpu_add_lanes(double *sums, cpu_vec v, size_t n)
{
    float lanes[CPU_LANES];
    cpu_store(lanes, v);
    if (n == CPU_LANES)
        for (size_t i = 0; i < CPU_LANES; i++)
            sums[i] += (double)lanes[i];
    else
        for (size_t i = 0; i < n; i++)
            sums[i] += (double)lanes[i];
}

#endif
