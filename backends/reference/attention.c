/* ATTENTION and its gradient. */
#include "backends/reference/ref_internal.h"

typedef struct place { /* one head of one sample */
    const mdl_view *qkv;
    size_t first;  /* element of qkv: channel 0 of q of this head, token 0 */
    size_t tokens; /* L */
    size_t width;  /* channels of a head */
    size_t d;      /* channels of all heads */
    size_t y;      /* element of y (and dy): channel 0 of this head, token 0 */
    size_t p;      /* element of p: weight of token 0 for token 0 */
} place;

enum part { Q, K, V };

static place place_of(const mdl_call *call, const mdl_view *qkv, size_t sample, size_t head)
{
    place at = {.qkv = qkv, .tokens = qkv->shape.dim[1], .d = qkv->shape.dim[2] / 3};
    size_t heads = call->attrs->attention.heads;
    at.width = at.d / heads;
    at.first = sample * at.tokens * 3 * at.d + head * at.width;
    at.y = sample * at.tokens * at.d + head * at.width;
    at.p = (sample * heads + head) * at.tokens * at.tokens;
    return at;
}

/* Element of qkv: channel c of the part of token l. */
static size_t element(const place *at, size_t l, enum part part, size_t c)
{
    return at->first + (l * 3 + (size_t)part) * at->d + c;
}

static double get(const place *at, size_t l, enum part part, size_t c)
{
    return ref_get(at->qkv, element(at, l, part, c));
}

/* q of token i times k of token j, scaled. */
static double score(const place *at, size_t i, size_t j)
{
    double sum = 0;
    for (size_t c = 0; c < at->width; c++)
        sum += get(at, i, Q, c) * get(at, j, K, c);
    return sum / sqrt((double)at->width);
}

static void forward(const mdl_call *call, const place *at, size_t i)
{
    size_t row = at->p + i * at->tokens;
    double max = -(double)INFINITY, sum = 0;
    for (size_t j = 0; j < at->tokens; j++)
        max = fmax(max, score(at, i, j));
    for (size_t j = 0; j < at->tokens; j++)
        sum += exp(score(at, i, j) - max);
    for (size_t j = 0; j < at->tokens; j++)
        ref_set(&call->out[1], row + j, exp(score(at, i, j) - max) / sum);
    for (size_t c = 0; c < at->width; c++) {
        double y = 0;
        for (size_t j = 0; j < at->tokens; j++)
            y += ref_get(&call->out[1], row + j) * get(at, j, V, c);
        ref_set(&call->out[0], at->y + i * at->d + c, y);
    }
}

REF_KERNEL(ref_attention)
{
    REF_UNUSED();
    const mdl_view *qkv = &call->in[0];
    for (size_t n = 0; n < qkv->shape.dim[0]; n++) {
        for (size_t h = 0; h < call->attrs->attention.heads; h++) {
            place at = place_of(call, qkv, n, h);
            for (size_t i = 0; i < at.tokens; i++)
                forward(call, &at, i);
        }
    }
}

/* dp of the weight of token j for token i: dy of token i times v of token j. */
static double weight_grad(const mdl_call *call, const place *at, size_t i, size_t j)
{
    double sum = 0;
    for (size_t c = 0; c < at->width; c++)
        sum += ref_get(&call->in[0], at->y + i * at->d + c) * get(at, j, V, c);
    return sum;
}

static void add(const mdl_call *call, size_t i, double value)
{
    ref_set(&call->out[0], i, ref_get(&call->out[0], i) + value);
}

/* What token i's row of weights gives: with mean = sum_j p_ij dp_ij, the gradient of score ij is
 * p_ij (dp_ij - mean). */
static void backward(const mdl_call *call, const place *at, size_t i)
{
    const mdl_view *p = &call->in[2];
    size_t row = at->p + i * at->tokens;
    double mean = 0;
    for (size_t j = 0; j < at->tokens; j++)
        mean += ref_get(p, row + j) * weight_grad(call, at, i, j);
    for (size_t j = 0; j < at->tokens; j++) {
        double pij = ref_get(p, row + j);
        double ds = pij * (weight_grad(call, at, i, j) - mean) / sqrt((double)at->width);
        for (size_t c = 0; c < at->width; c++) {
            add(call, element(at, i, Q, c), ds * get(at, j, K, c));
            add(call, element(at, j, K, c), ds * get(at, i, Q, c));
            add(call, element(at, j, V, c), pij * ref_get(&call->in[0], at->y + i * at->d + c));
        }
    }
}

REF_KERNEL(ref_attention_grad)
{
    REF_UNUSED();
    const mdl_view *qkv = &call->in[1];
    if ((call->accumulate & 1U) == 0) {
        for (size_t i = 0; i < ref_count(qkv); i++)
            ref_set(&call->out[0], i, 0);
    }
    for (size_t n = 0; n < qkv->shape.dim[0]; n++) {
        for (size_t h = 0; h < call->attrs->attention.heads; h++) {
            place at = place_of(call, qkv, n, h);
            for (size_t i = 0; i < at.tokens; i++)
                backward(call, &at, i);
        }
    }
}
