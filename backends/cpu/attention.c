/* ATTENTION and its gradient; the heads of all samples are shared among the threads.  Each head's
 * part of a gradient has one writer. */
#include <math.h>

#include "backends/cpu/cpu_internal.h"
#include "backends/cpu/cpu_math.h"

static float dot(const float *restrict a, const float *restrict b, size_t n)
{
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (size_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

static void add_scaled(float *restrict y, float scale, const float *restrict x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] += scale * x[i];
}

/* Row i of q, k, v of a head is at q + i * 3D, and so on; rows of y are D apart. */
typedef struct head {
    size_t tokens, width, d;
    size_t qkv; /* element of qkv where q of the head starts, at token 0 */
    size_t y;   /* element of y */
    size_t p;   /* element of p */
} head;

static head head_at(const mdl_call *call, const mdl_shape *qkv, size_t index)
{
    size_t heads = call->attrs->attention.heads, n = index / heads, h = index % heads;
    head at = {.tokens = qkv->dim[1], .d = qkv->dim[2] / 3};
    at.width = at.d / heads;
    at.qkv = n * at.tokens * 3 * at.d + h * at.width;
    at.y = n * at.tokens * at.d + h * at.width;
    at.p = index * at.tokens * at.tokens;
    return at;
}

static void softmax(float *row, size_t n)
{
    float max = row[0], sum = 0;
    for (size_t j = 1; j < n; j++)
        max = row[j] > max ? row[j] : max;
#pragma omp simd reduction(+ : sum)
    for (size_t j = 0; j < n; j++) {
        row[j] = cpu_expf(row[j] - max);
        sum += row[j];
    }
    for (size_t j = 0; j < n; j++)
        row[j] /= sum;
}

static void head_forward(const mdl_call *call, const head *at)
{
    const float *q = cpu_in(call, 0) + at->qkv, *k = q + at->d, *v = k + at->d;
    float scale = 1.0f / sqrtf((float)at->width);
    for (size_t i = 0; i < at->tokens; i++) {
        float *y = cpu_out(call, 0) + at->y + i * at->d;
        float *p = cpu_out(call, 1) + at->p + i * at->tokens;
        for (size_t j = 0; j < at->tokens; j++)
            p[j] = scale * dot(q + i * 3 * at->d, k + j * 3 * at->d, at->width);
        softmax(p, at->tokens);
        for (size_t c = 0; c < at->width; c++)
            y[c] = 0;
        for (size_t j = 0; j < at->tokens; j++)
            add_scaled(y, p[j], v + j * 3 * at->d, at->width);
    }
}

void CPU_NAME(attention)(mdl_device *device, const mdl_call *call, int thread, int threads)
{
    (void)device;
    const mdl_shape *qkv = &call->in[0].shape;
    size_t begin, end;
    cpu_range(qkv->dim[0] * call->attrs->attention.heads, 1, thread, threads, &begin, &end);
    for (size_t index = begin; index < end; index++) {
        head at = head_at(call, qkv, index);
        head_forward(call, &at);
    }
}

static void clear_head(float *dq, const head *at)
{
    for (size_t i = 0; i < at->tokens; i++) {
        for (size_t part = 0; part < 3; part++) {
            for (size_t c = 0; c < at->width; c++)
                dq[(i * 3 + part) * at->d + c] = 0;
        }
    }
}

/* With dp_ij = dy_i . v_j and mean_i = sum_j p_ij dp_ij: the gradient of the score of i and j is
 * p_ij (dp_ij - mean_i).  `dp` has room for one row. */
static void head_backward(const mdl_call *call, const head *at, float *dp)
{
    const float *q = cpu_in(call, 1) + at->qkv, *k = q + at->d, *v = k + at->d;
    float *dq = cpu_out(call, 0) + at->qkv, *dk = dq + at->d, *dv = dk + at->d;
    float scale = 1.0f / sqrtf((float)at->width);
    size_t step = 3 * at->d;
    if (!cpu_accumulates(call, 0))
        clear_head(dq, at);
    for (size_t i = 0; i < at->tokens; i++) {
        const float *dy = cpu_in(call, 0) + at->y + i * at->d;
        const float *p = cpu_in(call, 2) + at->p + i * at->tokens;
        for (size_t j = 0; j < at->tokens; j++)
            dp[j] = dot(dy, v + j * step, at->width);
        float mean = dot(p, dp, at->tokens);
        for (size_t j = 0; j < at->tokens; j++) {
            float ds = scale * p[j] * (dp[j] - mean);
            add_scaled(dq + i * step, ds, k + j * step, at->width);
            add_scaled(dk + j * step, ds, q + i * step, at->width);
            add_scaled(dv + j * step, p[j], dy, at->width);
        }
    }
}

/* Elements of a thread's row; whole cache lines, so that threads do not disturb each other. */
static size_t row_size(const mdl_call *call)
{
    return mdl_round_up(call->in[1].shape.dim[1], MDL_ALIGNMENT / sizeof(float));
}

size_t CPU_NAME(attention_grad_workspace)(const mdl_call *call, int threads)
{
    return (size_t)threads * row_size(call) * sizeof(float);
}

void CPU_NAME(attention_grad)(mdl_device *device, const mdl_call *call, int thread, int threads)
{
    (void)device;
    const mdl_shape *qkv = &call->in[1].shape;
    float *dp = (float *)call->workspace.host + (size_t)thread * row_size(call);
    size_t begin, end;
    cpu_range(qkv->dim[0] * call->attrs->attention.heads, 1, thread, threads, &begin, &end);
    for (size_t index = begin; index < end; index++) {
        head at = head_at(call, qkv, index);
        head_backward(call, &at, dp);
    }
}
