/* LERP, SUM_SQUARES, ADAMW, SGD, DOTS, BLEND, NOISE: each element once, memory is the limit.  Sums
 * are taken in double over fixed chunks, so that they do not depend on the number of threads. */
#include <math.h>

#include "backends/cpu/cpu_internal.h"
#include "backends/cpu/cpu_math.h"

#define CHUNK 4096 /* elements; a multiple of 2 * CPU_PHILOX, because of the pairs of NOISE */

void CPU_NAME(lerp)(mdl_device *device, const mdl_call *call, int thread, int threads)
{
    (void)device;
    const float *restrict x = cpu_in(call, 0);
    float *restrict y = cpu_out(call, 0), t = (float)call->attrs->lerp.t;
    size_t begin, end;
    cpu_range(mdl_shape_count(&call->in[0].shape), CHUNK, thread, threads, &begin, &end);
    for (size_t i = begin; i < end; i++)
        y[i] += t * (x[i] - y[i]);
}

/* ---- sums ----------------------------------------------------------------------------------- */

static double chunk_dot(const float *a, const float *b, size_t n)
{
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (size_t i = 0; i < n; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

static size_t chunk_count(size_t n)
{
    return (n + CHUNK - 1) / CHUNK;
}

size_t CPU_NAME(sum_squares_workspace)(const mdl_call *call, int threads)
{
    (void)threads;
    return chunk_count(mdl_shape_count(&call->in[0].shape)) * sizeof(double);
}

void CPU_NAME(sum_squares_before)(const mdl_call *call, int share, int shares)
{
    size_t n = mdl_shape_count(&call->in[0].shape), begin, end;
    double *partial = call->workspace.host;
    cpu_range(chunk_count(n), 1, share, shares, &begin, &end);
    for (size_t i = begin; i < end; i++) {
        const float *x = cpu_in(call, 0) + i * CHUNK;
        partial[i] = chunk_dot(x, x, mdl_min_size(CHUNK, n - i * CHUNK));
    }
}

void CPU_NAME(sum_squares)(mdl_device *device, const mdl_call *call, int thread, int threads)
{
    (void)device, (void)thread, (void)threads;
    const double *partial = call->workspace.host;
    double sum = 0;
    for (size_t i = 0; i < chunk_count(mdl_shape_count(&call->in[0].shape)); i++)
        sum += partial[i];
    *(double *)call->out[0].host = sum;
}

/* Each segment has chunks of its own. */
size_t CPU_NAME(dots_workspace)(const mdl_call *call, int threads)
{
    (void)threads;
    size_t chunks = 0;
    for (size_t s = 0; s < call->attrs->blend.n_segments; s++)
        chunks += chunk_count(call->attrs->blend.segments[s].count);
    return 3 * chunks * sizeof(double);
}

static void dots_of_chunk(const mdl_call *call, const mdl_segment *seg, size_t chunk, double *out)
{
    size_t first = seg->offset + chunk * CHUNK;
    size_t n = mdl_min_size(CHUNK, seg->count - chunk * CHUNK);
    const float *a = cpu_in(call, 0) + first, *b = cpu_in(call, 1) + first;
    out[0] = chunk_dot(a, a, n);
    out[1] = chunk_dot(a, b, n);
    out[2] = chunk_dot(b, b, n);
}

static void add_chunks(const mdl_call *call)
{
    const double *partial = call->workspace.host;
    double *out = call->out[0].host;
    for (size_t s = 0; s < call->attrs->blend.n_segments; s++) {
        double sum[3] = {0, 0, 0};
        size_t chunks = chunk_count(call->attrs->blend.segments[s].count);
        for (size_t i = 0; i < 3 * chunks; i++)
            sum[i % 3] += *partial++;
        for (size_t j = 0; j < 3; j++)
            out[3 * s + j] = sum[j];
    }
}

void CPU_NAME(dots_before)(const mdl_call *call, int share, int shares)
{
    double *partial = call->workspace.host;
    size_t begin, end, before = 0; /* chunks of the segments before this one */
    cpu_range(CPU_NAME(dots_workspace)(call, shares) / (3 * sizeof(double)), 1, share, shares,
              &begin, &end);
    for (size_t s = 0; s < call->attrs->blend.n_segments; s++) {
        const mdl_segment *seg = &call->attrs->blend.segments[s];
        size_t after = before + chunk_count(seg->count);
        for (size_t i = mdl_max_size(begin, before); i < mdl_min_size(end, after); i++)
            dots_of_chunk(call, seg, i - before, partial + 3 * i);
        before = after;
    }
}

void CPU_NAME(dots)(mdl_device *device, const mdl_call *call, int thread, int threads)
{
    (void)device, (void)thread, (void)threads;
    add_chunks(call);
}

/* ---- segments ------------------------------------------------------------------------------- */

/* The part of a segment that lies in [*begin, *end); false where there is none. */
static bool clip(const mdl_segment *seg, size_t *begin, size_t *end)
{
    *begin = mdl_max_size(*begin, seg->offset);
    *end = mdl_min_size(*end, seg->offset + seg->count);
    return *begin < *end;
}

static void adamw_run(const mdl_call *call, const mdl_segment *seg, size_t begin, size_t end)
{
    const float *restrict grad = cpu_in(call, 0);
    float *restrict param = cpu_out(call, 0);
    float *restrict first = cpu_out(call, 1), *restrict second = cpu_out(call, 2);
    double lr = call->attrs->optim.lr * seg->b;
    float keep = (float)(1.0 - lr * call->attrs->optim.weight_decay * seg->a);
    float step = (float)(lr / call->attrs->optim.correction1);
    float root = (float)(1.0 / sqrt(call->attrs->optim.correction2));
    float b1 = (float)call->attrs->optim.beta1, rest1 = (float)(1.0 - call->attrs->optim.beta1);
    float b2 = (float)call->attrs->optim.beta2, rest2 = (float)(1.0 - call->attrs->optim.beta2);
    float scale = (float)mdl_optim_scale(call), eps = (float)call->attrs->optim.eps;
    for (size_t i = begin; i < end; i++) {
        float g = scale * grad[i];
        float m = b1 * first[i] + rest1 * g;
        float v = b2 * second[i] + rest2 * (g * g);
        param[i] = keep * param[i] - step * m / (sqrtf(v) * root + eps);
        first[i] = m;
        second[i] = v;
    }
}

typedef void (*segment_run)(const mdl_call *call, const mdl_segment *seg, size_t begin, size_t end);

/* This thread's share of the parameters, a segment at a time. */
static void step_segments(const mdl_call *call, int thread, int threads, segment_run run)
{
    size_t first, last;
    cpu_range(mdl_shape_count(&call->in[0].shape), CHUNK, thread, threads, &first, &last);
    for (size_t s = 0; s < call->attrs->optim.n_segments; s++) {
        const mdl_segment *seg = &call->attrs->optim.segments[s];
        size_t begin = first, end = last;
        if (clip(seg, &begin, &end))
            run(call, seg, begin, end);
    }
}

void CPU_NAME(adamw)(mdl_device *device, const mdl_call *call, int thread, int threads)
{
    (void)device;
    step_segments(call, thread, threads, adamw_run);
}

static void sgd_run(const mdl_call *call, const mdl_segment *seg, size_t begin, size_t end)
{
    const float *restrict grad = cpu_in(call, 0);
    float *restrict param = cpu_out(call, 0), *restrict momentum = cpu_out(call, 1);
    float lr = (float)(call->attrs->optim.lr * seg->b);
    float decay = (float)(call->attrs->optim.weight_decay * seg->a);
    float scale = (float)mdl_optim_scale(call), mu = (float)call->attrs->optim.momentum;
    /* Plain momentum steps by m, Nesterov by g + mu m. */
    float of_g = call->attrs->optim.nesterov ? 1 : 0, of_m = call->attrs->optim.nesterov ? mu : 1;
    for (size_t i = begin; i < end; i++) {
        float g = scale * grad[i] + decay * param[i];
        float m = mu * momentum[i] + g;
        param[i] -= lr * (of_g * g + of_m * m);
        momentum[i] = m;
    }
}

void CPU_NAME(sgd)(mdl_device *device, const mdl_call *call, int thread, int threads)
{
    (void)device;
    step_segments(call, thread, threads, sgd_run);
}

/* y may be a or b, so nothing is restrict; each element depends on its own only. */
void CPU_NAME(blend)(mdl_device *device, const mdl_call *call, int thread, int threads)
{
    (void)device;
    const float *a = cpu_in(call, 0), *b = cpu_in(call, 1);
    float *y = cpu_out(call, 0);
    size_t first, last;
    cpu_range(mdl_shape_count(&call->in[0].shape), CHUNK, thread, threads, &first, &last);
    for (size_t s = 0; s < call->attrs->blend.n_segments; s++) {
        const mdl_segment *seg = &call->attrs->blend.segments[s];
        float of_a = (float)seg->a, of_b = (float)seg->b;
        size_t begin = first, end = last;
        if (!clip(seg, &begin, &end))
            continue;
#pragma omp simd
        for (size_t i = begin; i < end; i++)
            y[i] = of_a * a[i] + of_b * b[i];
    }
}

/* ---- noise ---------------------------------------------------------------------------------- */

/* Pairs of normals (Box & Muller 1958) from the words of one block of Philox for each pair; in
 * double, since near u1 = 1 a float would lose the logarithm. */
static void normal_pairs(const mdl_call *call, uint64_t first, float out[2 * CPU_PHILOX])
{
    uint32_t words[4][CPU_PHILOX];
    double std = call->attrs->noise.std;
    cpu_philox(call->attrs->noise.seed, call->attrs->noise.stream, first, words);
#pragma omp simd
    for (int i = 0; i < CPU_PHILOX; i++) {
        double sine, cosine, r = std * sqrt(-2.0 * cpu_log_word(words[0][i]));
        cpu_turn(words[1][i], &sine, &cosine);
        out[2 * i] = (float)(r * cosine);
        out[2 * i + 1] = (float)(r * sine);
    }
}

void CPU_NAME(noise)(mdl_device *device, const mdl_call *call, int thread, int threads)
{
    (void)device;
    float *y = cpu_out(call, 0), normals[2 * CPU_PHILOX];
    size_t begin, end;
    cpu_range(mdl_shape_count(&call->out[0].shape), CHUNK, thread, threads, &begin, &end);
    for (size_t i = begin; i < end; i += 2 * CPU_PHILOX) {
        size_t n = mdl_min_size(2 * CPU_PHILOX, end - i);
        normal_pairs(call, i / 2, normals);
        for (size_t k = 0; k < n; k++)
            y[i + k] += normals[k];
    }
}
