/* CROSS_ENTROPY and its gradient.  The loss is small work in a fixed order, so it runs on one
 * thread; the rows of the gradient are shared. */
#include <math.h>

#include "backends/cpu/cpu_math.h"
#include "backends/cpu/losses.h"

/* What a row of logits is reduced to. */
typedef struct scores {
    float shift; /* softmax: the largest logit, subtracted before exp; stablemax: 0 */
    float sum;   /* of s(x - shift) */
} scores;

static inline float stable_score(float x)
{
    return x >= 0 ? x + 1.0f : 1.0f / (1.0f - x);
}

static scores scores_of(const float *x, size_t n, bool stablemax)
{
    scores s = {0, 0};
    float sum = 0;
    if (stablemax) {
        for (size_t c = 0; c < n; c++)
            sum += stable_score(x[c]);
    } else {
        s.shift = x[0];
        for (size_t c = 1; c < n; c++)
            s.shift = x[c] > s.shift ? x[c] : s.shift;
#pragma omp simd reduction(+ : sum)
        for (size_t c = 0; c < n; c++)
            sum += cpu_expf(x[c] - s.shift);
    }
    s.sum = sum;
    return s;
}

/* log s(x - shift). */
static float log_score(const scores *s, float x, bool stablemax)
{
    if (!stablemax)
        return x - s->shift;
    return x >= 0 ? log1pf(x) : -log1pf(-x);
}

/* The targets add up to 1, so the loss is log(sum s) - sum_c t_c log s_c. */
static float sample_loss(const mdl_call *call, const scores *s, const float *x, size_t n,
                         int32_t label)
{
    bool stablemax = call->attrs->loss.stablemax;
    float smoothing = (float)call->attrs->loss.smoothing, spread = 0;
    if ((size_t)label >= n)
        return NAN;
    for (size_t c = 0; c < n && smoothing > 0; c++)
        spread += log_score(s, x[c], stablemax);
    return logf(s->sum) - (1.0f - smoothing) * log_score(s, x[label], stablemax) -
           smoothing / (float)n * spread;
}

/* Logits have few columns, so rows are what a vector is filled with. */
#define ROWS    16
#define COLUMNS 16

/* Columns first .. first + columns - 1 of `rows` rows side by side; the last row again where there
 * are fewer than ROWS. */
static void side_by_side(const float *x, size_t n, size_t rows, size_t first, size_t columns,
                         float out[COLUMNS][ROWS])
{
    for (size_t row = 0; row < ROWS; row++)
        for (size_t c = 0; c < columns; c++)
            out[c][row] = x[mdl_min_size(row, rows - 1) * n + first + c];
}

/* Of `rows` rows the largest logit, as the softmax's scores have it, and the first column that it
 * stands in. */
static void largest_of(const float *x, size_t n, size_t rows, float largest[ROWS],
                       int32_t best[ROWS])
{
    float part[COLUMNS][ROWS];
    for (size_t first = 0; first < n; first += COLUMNS) {
        size_t columns = mdl_min_size(COLUMNS, n - first);
        side_by_side(x, n, rows, first, columns, part);
        if (first == 0) {
            memcpy(largest, part[0], sizeof(part[0]));
            memset(best, 0, ROWS * sizeof(*best));
        }
        for (size_t c = 0; c < columns; c++) {
#pragma omp simd
            for (size_t row = 0; row < ROWS; row++) {
                bool larger = part[c][row] > largest[row];
                best[row] = larger ? (int32_t)(first + c) : best[row];
                largest[row] = larger ? part[c][row] : largest[row];
            }
        }
    }
}

/* The softmax's sums, each in the order of the columns. */
static void exp_sums(const float *x, size_t n, size_t rows, const float shift[ROWS],
                     float sum[ROWS])
{
    float part[COLUMNS][ROWS];
    memset(sum, 0, ROWS * sizeof(*sum));
    for (size_t first = 0; first < n; first += COLUMNS) {
        size_t columns = mdl_min_size(COLUMNS, n - first);
        side_by_side(x, n, rows, first, columns, part);
        for (size_t c = 0; c < columns; c++) {
#pragma omp simd
            for (size_t row = 0; row < ROWS; row++)
                sum[row] += cpu_expf(part[c][row] - shift[row]);
        }
    }
}

void CPU_NAME(cross_entropy)(mdl_device *device, const mdl_call *call, int thread, int threads)
{
    (void)device, (void)thread, (void)threads;
    size_t rows = call->in[0].shape.dim[0], n = call->in[0].shape.dim[1];
    const int32_t *labels = call->in[1].host;
    bool stablemax = call->attrs->loss.stablemax;
    float shift[ROWS], sum[ROWS];
    int32_t best[ROWS];
    double total = 0;
    for (size_t row = 0; row < rows; row++) {
        const float *x = cpu_in(call, 0) + row * n;
        size_t at = row % ROWS, block = mdl_min_size(ROWS, rows - row);
        if (at == 0) {
            largest_of(x, n, block, shift, best);
            exp_sums(x, n, block, shift, sum);
        }
        bool counts = labels[row] >= 0;
        scores s = stablemax ? scores_of(x, n, true) : (scores){shift[at], sum[at]};
        float loss = counts ? sample_loss(call, &s, x, n, labels[row]) : 0;
        cpu_out(call, 1)[row] = loss;
        cpu_out(call, 2)[row] = counts && best[at] == labels[row] ? 1 : 0;
        total += (double)loss;
    }
    size_t valid = cpu_valid(&call->in[1]);
    cpu_out(call, 0)[0] = valid > 0 ? (float)(total / (double)valid) : 0;
}

/* The gradient of a sample's loss is p - t, with stablemax times the derivative of log s, which is
 * 1 / (1 + |x|). */
static void sample_grad(const mdl_call *call, const float *x, float *dx, size_t n, int32_t label,
                        float each)
{
    bool stablemax = call->attrs->loss.stablemax;
    float on = (float)(1.0 - call->attrs->loss.smoothing);
    float off = (float)(call->attrs->loss.smoothing / (double)n);
    bool accumulate = cpu_accumulates(call, 0);
    scores s = scores_of(x, n, stablemax);
    for (size_t c = 0; c < n; c++) {
        float target = (size_t)label == c ? on + off : off;
        float p = (stablemax ? stable_score(x[c]) : cpu_expf(x[c] - s.shift)) / s.sum;
        float slope = stablemax ? 1.0f / (1.0f + fabsf(x[c])) : 1.0f;
        cpu_put(&dx[c], each * (p - target) * slope, accumulate);
    }
}

void CPU_NAME(cross_entropy_grad)(mdl_device *device, const mdl_call *call, int thread, int threads)
{
    (void)device;
    size_t rows = call->in[1].shape.dim[0], n = call->in[1].shape.dim[1], begin, end;
    const int32_t *labels = call->in[2].host;
    float each = cpu_in(call, 0)[0] / (float)mdl_max_size(cpu_valid(&call->in[2]), 1);
    cpu_range(rows, 1, thread, threads, &begin, &end);
    for (size_t row = begin; row < end; row++) {
        const float *x = cpu_in(call, 1) + row * n;
        float *dx = cpu_out(call, 0) + row * n;
        bool counts = labels[row] >= 0, known = counts && (size_t)labels[row] < n;
        if (known)
            sample_grad(call, x, dx, n, labels[row], each);
        for (size_t c = 0; c < n && !known; c++)
            cpu_put(&dx[c], counts ? NAN : 0, cpu_accumulates(call, 0));
    }
}
