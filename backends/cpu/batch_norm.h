/* What the BatchNorm kernels share: two sums for each channel, over fixed chunks of rows that are
 * added in a fixed order, so that no result depends on the number of threads. */
#ifndef MDL_CPU_BATCH_NORM_H
#define MDL_CPU_BATCH_NORM_H

#include "backends/cpu/channels.h"

#define CPU_BN_CHUNKS   32  /* at most, of a call that runs whole */
#define CPU_BN_CHANNELS 128 /* shared out as one where there are few chunks */

typedef struct cpu_bn_plan {
    size_t rows, channels;
    size_t grain;  /* a chunk is a multiple of so many rows */
    size_t chunks; /* of rows; in a group: its bands */
    size_t parts;  /* of channels */
    size_t items;  /* chunks * parts: the pieces of work */
} cpu_bn_plan;

static inline cpu_bn_plan cpu_bn_plan_of(const mdl_call *call)
{
    const mdl_shape *x = &call->in[0].shape;
    cpu_bn_plan p = {.rows = mdl_shape_rows(x), .channels = mdl_shape_last(x), .parts = 1};
    if (call->first_part.tile) {
        p.grain = p.rows / x->dim[0] * call->first_part.tile;
        p.chunks = cpu_bands(call, call->first_part.tile);
    } else {
        p.grain = CPU_ROW_BLOCK;
        p.chunks = mdl_min_size((p.rows + p.grain - 1) / p.grain, CPU_BN_CHUNKS);
        if (p.chunks < CPU_BN_CHUNKS)
            p.parts = (p.channels + CPU_BN_CHANNELS - 1) / CPU_BN_CHANNELS;
    }
    p.items = p.chunks * p.parts;
    return p;
}

static inline void cpu_bn_chunk_rows(const cpu_bn_plan *p, size_t chunk, size_t *first,
                                     size_t *last)
{
    cpu_range(p->rows, p->grain, (int)chunk, (int)p->chunks, first, last);
}

typedef struct cpu_bn_item {
    size_t chunk, row_first, row_last, c_first, c_last;
} cpu_bn_item;

static inline cpu_bn_item cpu_bn_item_of(const cpu_bn_plan *p, size_t index)
{
    cpu_bn_item it = {.chunk = index / p->parts};
    cpu_bn_chunk_rows(p, it.chunk, &it.row_first, &it.row_last);
    it.c_first = index % p->parts * CPU_BN_CHANNELS;
    it.c_last =
        p->parts == 1 ? p->channels : mdl_min_size(p->channels, it.c_first + CPU_BN_CHANNELS);
    return it;
}

/* The workspace: three numbers for each channel, then for each chunk two sums and a shift for each
 * channel. */
static inline float *cpu_bn_constants(const mdl_call *call, size_t channels, size_t index)
{
    return (float *)call->workspace.host + index * channels;
}
typedef struct cpu_bn_sums {
    double *first, *second;
    float *shift;
} cpu_bn_sums;
static inline size_t cpu_bn_bytes(size_t channels, size_t chunks)
{
    return mdl_round_up(3 * channels * sizeof(float), MDL_ALIGNMENT) +
           chunks * mdl_round_up(channels * (2 * sizeof(double) + sizeof(float)), MDL_ALIGNMENT);
}
static inline cpu_bn_sums cpu_bn_sums_of(const mdl_call *call, size_t channels, size_t chunk)
{
    double *sums = (double *)((char *)call->workspace.host + cpu_bn_bytes(channels, chunk));
    return (cpu_bn_sums){sums, sums + channels, (float *)(sums + 2 * channels)};
}

/* constants[0] = gamma / std */
static inline void cpu_bn_scale(const mdl_call *call, const float *gamma, const float *inv_std,
                                int thread, int threads)
{
    size_t channels = mdl_shape_last(&call->in[0].shape), begin, end;
    float *scale = cpu_bn_constants(call, channels, 0);
    cpu_range(channels, 16, thread, threads, &begin, &end);
    for (size_t c = begin; c < end; c++)
        scale[c] = gamma[c] * inv_std[c];
}

/* Channels whose sums are added up at once. */
#define CPU_BN_LANES 16

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
