/* Movement and sums of rows: EXPAND, EXPAND_ROWS, MEAN_ROWS, SELECT_ROWS, TRANSPOSE, SUM_ROWS,
 * DROPOUT. */
#include <math.h>
#include <string.h>

#include "backends/cpu/cpu_internal.h"
#include "backends/cpu/cpu_math.h"

void CPU_NAME(expand)(mdl_device *device, const mdl_call *call, int thread, int threads)
{
    (void)device;
    const float *v = cpu_in(call, 0);
    size_t d = mdl_shape_last(&call->out[0].shape), begin, end;
    cpu_range(mdl_shape_rows(&call->out[0].shape), 1, thread, threads, &begin, &end);
    for (size_t row = begin; row < end; row++)
        memcpy(cpu_out(call, 0) + row * d, v, d * sizeof(float));
}

void CPU_NAME(expand_rows)(mdl_device *device, const mdl_call *call, int thread, int threads)
{
    (void)device;
    const mdl_shape *shape = &call->out[0].shape;
    size_t c = mdl_shape_last(shape), between = mdl_shape_rows(shape) / shape->dim[0], begin, end;
    float factor = (float)call->attrs->scale.factor;
    cpu_range(mdl_shape_rows(shape), 1, thread, threads, &begin, &end);
    for (size_t row = begin; row < end; row++) {
        const float *x = cpu_in(call, 0) + row / between * c;
        float *y = cpu_out(call, 0) + row * c;
        if (cpu_accumulates(call, 0))
            for (size_t i = 0; i < c; i++)
                y[i] += factor * x[i];
        else
            for (size_t i = 0; i < c; i++)
                y[i] = factor * x[i];
    }
}

void CPU_NAME(mean_rows)(mdl_device *device, const mdl_call *call, int thread, int threads)
{
    (void)device;
    const mdl_shape *shape = &call->in[0].shape;
    size_t c = mdl_shape_last(shape), between = mdl_shape_rows(shape) / shape->dim[0], begin, end;
    float factor = 1.0f / (float)between;
    cpu_range(shape->dim[0], 1, thread, threads, &begin, &end);
    for (size_t n = begin; n < end; n++) {
        const float *restrict x = cpu_in(call, 0) + n * between * c;
        float *restrict y = cpu_out(call, 0) + n * c;
        memset(y, 0, c * sizeof(float));
        for (size_t row = 0; row < between; row++)
            for (size_t i = 0; i < c; i++)
                y[i] += x[row * c + i];
        for (size_t i = 0; i < c; i++)
            y[i] *= factor;
    }
}

void CPU_NAME(select_rows)(mdl_device *device, const mdl_call *call, int thread, int threads)
{
    (void)device;
    const int32_t *mask = call->in[0].host;
    size_t rows = call->out[0].shape.dim[0], begin, end;
    size_t each = mdl_shape_count(&call->out[0].shape) / rows;
    cpu_range(rows, 1, thread, threads, &begin, &end);
    for (size_t row = begin; row < end; row++)
        memmove(cpu_out(call, 0) + row * each, cpu_in(call, mask[row] ? 1 : 2) + row * each,
                each * sizeof(float));
}

void CPU_NAME(transpose)(mdl_device *device, const mdl_call *call, int thread, int threads)
{
    (void)device;
    const size_t *dim = call->in[0].shape.dim;
    size_t a = dim[1], b = dim[2], begin, end;
    cpu_range(dim[0] * b, 1, thread, threads, &begin, &end);
    for (size_t row = begin; row < end; row++) {
        const float *restrict x = cpu_in(call, 0) + row / b * a * b + row % b;
        float *restrict y = cpu_out(call, 0) + row * a;
        if (cpu_accumulates(call, 0))
            for (size_t i = 0; i < a; i++)
                y[i] += x[i * b];
        else
            for (size_t i = 0; i < a; i++)
                y[i] = x[i * b];
    }
}

/* ---- SUM_ROWS ------------------------------------------------------------------------------- */

#define SUM_COLUMNS 64 /* shared out as one */
#define SUM_ROWS    64 /* added in float32, then to the sum in float64 */

void CPU_NAME(sum_rows)(mdl_device *device, const mdl_call *call, int thread, int threads)
{
    (void)device;
    const mdl_shape *shape = &call->in[0].shape;
    size_t rows = mdl_shape_rows(shape), k = mdl_shape_last(shape), begin, end;
    cpu_range(k, SUM_COLUMNS, thread, threads, &begin, &end);
    for (size_t first = begin; first < end; first += SUM_COLUMNS) {
        size_t n = mdl_min_size(SUM_COLUMNS, end - first);
        double sum[SUM_COLUMNS] = {0};
        for (size_t top = 0; top < rows; top += SUM_ROWS) {
            float part[SUM_COLUMNS] = {0};
            for (size_t row = top; row < mdl_min_size(rows, top + SUM_ROWS); row++)
                for (size_t i = 0; i < n; i++)
                    part[i] += cpu_in(call, 0)[row * k + first + i];
            for (size_t i = 0; i < n; i++)
                sum[i] += (double)part[i];
        }
        float *db = cpu_out(call, 0) + first;
        for (size_t i = 0; i < n; i++)
            db[i] = cpu_accumulates(call, 0) ? db[i] + (float)sum[i] : (float)sum[i];
    }
}

/* ---- DROPOUT -------------------------------------------------------------------------------- */

/* What is dropped may be infinite, so it is not multiplied by zero. */
static void drop_elements(float *restrict y, const float *restrict x, const float *restrict factor,
                          size_t n, bool accumulate)
{
    for (size_t i = 0; i < n; i++) {
        float value = factor[i] == 0.0f ? 0.0f : factor[i] * x[i];
        y[i] = accumulate ? y[i] + value : value;
    }
}

static void drop_sample(float *restrict y, const float *restrict x, float factor, size_t n,
                        bool accumulate)
{
    for (size_t i = 0; i < n; i++) {
        float value = factor == 0.0f ? 0.0f : factor * x[i];
        y[i] = accumulate ? y[i] + value : value;
    }
}

void CPU_NAME(dropout)(mdl_device *device, const mdl_call *call, int thread, int threads)
{
    (void)device;
    enum { BLOCK = 4 * CPU_PHILOX };
    const float *x = cpu_in(call, 0);
    float *y = cpu_out(call, 0);
    bool accumulate = cpu_accumulates(call, 0);
    double rate = call->attrs->dropout.rate;
    float survivor = (float)(1.0 / (1.0 - rate));
    uint64_t limit = (uint64_t)ceil(rate * 0x1p32); /* word * 2^-32 >= rate */
    uint64_t stream = call->attrs->dropout.stream + 65536 * call->state->step;
    size_t count = mdl_shape_count(&call->in[0].shape), begin, end;
    size_t each = call->attrs->dropout.per_sample ? count / call->in[0].shape.dim[0] : 1;
    cpu_range(count / each, BLOCK, thread, threads, &begin, &end);
    for (size_t first = begin; first < end; first += BLOCK) {
        uint32_t words[4][CPU_PHILOX];
        float factor[BLOCK];
        size_t n = mdl_min_size(BLOCK, end - first);
        cpu_philox(call->state->seed, stream, first / 4, words);
        for (size_t i = 0; i < CPU_PHILOX; i++)
            for (size_t w = 0; w < 4; w++)
                factor[4 * i + w] = words[w][i] >= limit ? survivor : 0.0f;
        if (each == 1)
            drop_elements(y + first, x + first, factor, n, accumulate);
        for (size_t i = 0; each > 1 && i < n; i++)
            drop_sample(y + (first + i) * each, x + (first + i) * each, factor[i], each,
                        accumulate);
    }
}
