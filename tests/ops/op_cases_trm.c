/* Cases of the TRM's ops, the losses, the optimizers and merging.  Sizes are 1, primes, odd
 * numbers, and a vector's or a chunk's size and one more or less. */
#include "op_cases.h"

#define S1 OP_S1
#define S2 OP_S2
#define S3 OP_S3

#define RMS_NORM(...)                                                                              \
    .op = MDL_OP_RMS_NORM, .attrs.norm = {.eps = 1e-5}, .n_in = 1, .in = {__VA_ARGS__}, .grad = 1, \
    .scale = 1 /* terms of this size cancel where a row has one channel */
#define SWIGLU(...) .op = MDL_OP_SWIGLU, .n_in = 1, .in = {__VA_ARGS__}, .grad = 1
#define ROPE(n, l, d, of_heads, of_theta, inverted)                                                \
    .op = MDL_OP_ROPE, .n_in = 1, .in = {S3(n, l, 3 * (d))}, .grad = 1,                            \
    .attrs.rope = {.heads = (of_heads), .theta = (of_theta), .inverse = (inverted)}
#define ATTENTION(n, l, d, of_heads)                                                               \
    .op = MDL_OP_ATTENTION, .n_in = 1, .in = {S3(n, l, 3 * (d))}, .grad = 1,                       \
    .attrs.attention = {.heads = (of_heads)}
/* A single sample without a label gives 0; with a single class, logits of size 1 cancel. */
#define CROSS_ENTROPY(n, classes, smooth, stable, logits)                                          \
    .op = MDL_OP_CROSS_ENTROPY, .n_in = 2, .in = {S2(n, classes), S1(n)},                          \
    .fill = {logits, OP_LABELS}, .limit = (classes), .grad = 1,                                    \
    .scale = (classes) == 1 ? 1 : 0.01,                                                            \
    .attrs.loss = {.smoothing = (smooth), .stablemax = (stable)}
#define HALT_LOSS(n, classes, q)                                                                   \
    .op = MDL_OP_HALT_LOSS, .n_in = 3, .in = {S2(n, 1), S2(n, classes), S1(n)},                    \
    .fill = {q, OP_NORMAL, OP_LABELS}, .limit = (classes), .grad = 1, .scale = 0.01

/* Segments of an arena of 12,293 elements: of one element, across chunks, with gaps. */
static const mdl_segment pieces[] = {
    {.offset = 0, .count = 1, .a = 1.0, .b = 0.5},
    {.offset = 16, .count = 4096, .a = 0.0, .b = 1.0},
    {.offset = 4112, .count = 0, .a = 1.0, .b = 1.0},
    {.offset = 4115, .count = 8111, .a = 0.7, .b = -0.25},
    {.offset = 12288, .count = 5, .a = -0.3, .b = 1.3},
};
static const mdl_segment whole[] = {{.offset = 0, .count = 17, .a = 1.0, .b = 1.0}};

#define SEGMENTS(list) .segments = (list), .n_segments = MDL_COUNT(list)
#define ADAMW(n, list, t, of_scale)                                                                \
    .op = MDL_OP_ADAMW, .n_in = 1, .in = {S1(n)}, .in_out = true,                                  \
    .out_fill = {OP_NORMAL, OP_NORMAL, OP_POSITIVE},                                               \
    .attrs.optim = {.lr = 1e-2,                                                                    \
                    .beta1 = 0.9,                                                                  \
                    .beta2 = 0.999,                                                                \
                    .eps = 1e-8,                                                                   \
                    .weight_decay = 0.05,                                                          \
                    .correction1 = (t) == 1 ? 0.1 : 0.5,                                           \
                    .correction2 = (t) == 1 ? 0.001 : 0.25,                                        \
                    .grad_scale = (of_scale),                                                      \
                    SEGMENTS(list)}
#define SGD(n, list, mu, is_nesterov)                                                              \
    .op = MDL_OP_SGD, .n_in = 1, .in = {S1(n)}, .in_out = true,                                    \
    .attrs.optim = {.lr = 0.1,                                                                     \
                    .weight_decay = 5e-4,                                                          \
                    .grad_scale = 0.5,                                                             \
                    .momentum = (mu),                                                              \
                    .nesterov = (is_nesterov),                                                     \
                    SEGMENTS(list)}
/* The gradient is clipped to a norm of 0.3, and is longer. */
#define CLIPPED(upper, n, list)                                                                    \
    .op = MDL_OP_##upper, .n_in = 2, .in = {S1(n), S1(1)}, .fill = {OP_NORMAL, OP_SQUARES},        \
    .in_out = true, .out_fill = {OP_NORMAL, OP_NORMAL, OP_POSITIVE},                               \
    .attrs.optim = {.lr = 1e-2,                                                                    \
                    .beta1 = 0.9,                                                                  \
                    .beta2 = 0.999,                                                                \
                    .eps = 1e-8,                                                                   \
                    .correction1 = 0.5,                                                            \
                    .correction2 = 0.25,                                                           \
                    .grad_scale = 1,                                                               \
                    .clip = 0.3,                                                                   \
                    SEGMENTS(list)}
#define PAIR(upper, n, list)                                                                       \
    .op = MDL_OP_##upper, .n_in = 2, .in = {S1(n), S1(n)}, .attrs.blend = {SEGMENTS(list)}
#define NOISE(deviation, ...)                                                                      \
    .op = MDL_OP_NOISE, .in_out = true,                                                            \
    .attrs.noise = {.std = (deviation), .seed = 11, .stream = 5, .shape = __VA_ARGS__}

const op_case op_cases_trm[] = {
    {RMS_NORM(S1(5))},
    {RMS_NORM(S2(1, 1)), .fill = {OP_POSITIVE}}, /* near 0 too curved for differences */
    {RMS_NORM(S2(3, 7))},
    {RMS_NORM(S3(2, 5, 16))},
    {RMS_NORM(S2(4, 17))},
    {RMS_NORM(S2(2, 128))},
    {RMS_NORM(S2(65, 129)), .large = true},

    {SWIGLU(S1(2))},
    {SWIGLU(S2(3, 14))},
    {SWIGLU(S3(2, 3, 32))},
    {SWIGLU(S2(5, 34)), .fill = {OP_WIDE}},
    {SWIGLU(S2(33, 512)), .large = true},

    {ROPE(1, 1, 2, 1, 10000, false)},
    {ROPE(2, 5, 8, 2, 10000, false)},
    {ROPE(2, 5, 8, 2, 10000, true)},
    {ROPE(3, 4, 34, 1, 100, false)},
    {ROPE(5, 3, 18, 3, 10000, true)},
    {ROPE(1, 2, 260, 2, 10000, false)}, /* more pairs than a block of angles */
    {ROPE(7, 16, 64, 2, 10000, false), .large = true},

    {ATTENTION(1, 1, 1, 1)},
    {ATTENTION(3, 1, 6, 2)},
    {ATTENTION(2, 4, 8, 2)},
    {ATTENTION(1, 5, 6, 3)},
    {ATTENTION(1, 7, 33, 3)},
    {ATTENTION(3, 3, 17, 1), .fill = {OP_WIDE}, .scale = 4},
    {ATTENTION(5, 16, 64, 2), .large = true},
    {ATTENTION(1, 65, 32, 1), .large = true},

    {CROSS_ENTROPY(1, 1, 0, false, OP_NORMAL)},
    {CROSS_ENTROPY(1, 10, 0, false, OP_NORMAL)},
    {CROSS_ENTROPY(5, 10, 0.1, false, OP_NORMAL)},
    {CROSS_ENTROPY(9, 10, 0, false, OP_WIDE)},
    {CROSS_ENTROPY(2, 1, 0.1, true, OP_NORMAL)},
    {CROSS_ENTROPY(7, 3, 0, true, OP_NORMAL)},
    {CROSS_ENTROPY(4, 17, 0.2, true, OP_WIDE)},
    {CROSS_ENTROPY(18, 37, 0, false, OP_WIDE)},
    {CROSS_ENTROPY(65, 10, 0.1, false, OP_NORMAL), .large = true},
    {CROSS_ENTROPY(31, 100, 0.1, true, OP_NORMAL), .large = true},

    {HALT_LOSS(1, 1, OP_NORMAL)},
    {HALT_LOSS(5, 2, OP_NORMAL)},
    {HALT_LOSS(17, 3, OP_WIDE)},
    {HALT_LOSS(65, 10, OP_NORMAL), .large = true},

    {.op = MDL_OP_LERP, .attrs.lerp = {0.001}, .n_in = 1, .in = {S1(1)}, .in_out = true},
    {.op = MDL_OP_LERP, .attrs.lerp = {0.25}, .n_in = 1, .in = {S2(17, 241)}, .in_out = true},
    {.op = MDL_OP_SUM_SQUARES, .n_in = 1, .in = {S1(1)}},
    {.op = MDL_OP_SUM_SQUARES, .n_in = 1, .in = {S1(4095)}},
    {.op = MDL_OP_SUM_SQUARES, .n_in = 1, .in = {S1(4096)}},
    {.op = MDL_OP_SUM_SQUARES, .n_in = 1, .in = {S2(3, 4099)}},
    {ADAMW(17, whole, 1, 1.0)},
    {ADAMW(12293, pieces, 7, 0.3)},
    {SGD(17, whole, 0, false)},
    {SGD(12293, pieces, 0.9, false)},
    {SGD(12293, pieces, 0.9, true)},
    {CLIPPED(ADAMW, 4115, whole)},
    {CLIPPED(SGD, 17, whole)},
    {PAIR(DOTS, 17, whole)},
    {PAIR(DOTS, 12293, pieces), .scale = 1}, /* a.b of one element may nearly vanish */
    {PAIR(BLEND, 17, whole)},
    {PAIR(BLEND, 12293, pieces), .in_out = true},
    {NOISE(0.01, S1(1))},
    {NOISE(1.0, S2(3, 5))},
    {NOISE(2.0, S1(8193))},
    {.op = MDL_OP_NOISE, /* all bits of the key and of the stream count */
     .in_out = true,
     .attrs.noise = {.std = 1,
                     .seed = UINT64_C(0x9123456789ABCDEF),
                     .stream = UINT64_C(0xFEDCBA9876543210),
                     .shape = S1(37)}},
};
const size_t op_cases_trm_count = MDL_COUNT(op_cases_trm);

const op_case op_cases_trm_tiny[] = {
    {RMS_NORM(S2(3, 7))},
    {SWIGLU(S2(3, 14))},
    {ROPE(1, 3, 6, 1, 10000, false)},
    {ATTENTION(1, 3, 6, 2)},
    {CROSS_ENTROPY(5, 3, 0.1, false, OP_NORMAL)},
    {CROSS_ENTROPY(3, 5, 0, true, OP_NORMAL)},
    {HALT_LOSS(5, 2, OP_NORMAL)},
    {.op = MDL_OP_LERP, .attrs.lerp = {0.25}, .n_in = 1, .in = {S1(17)}, .in_out = true},
    {.op = MDL_OP_SUM_SQUARES, .n_in = 1, .in = {S1(4099)}}, /* two chunks */
    {ADAMW(17, whole, 1, 1.0)},
    {SGD(17, whole, 0.9, true)},
    {CLIPPED(ADAMW, 17, whole)},
    {CLIPPED(SGD, 17, whole)},
    {PAIR(DOTS, 17, whole)},
    {PAIR(BLEND, 17, whole)},
    {NOISE(1.0, S1(5))},
};
const size_t op_cases_trm_tiny_count = MDL_COUNT(op_cases_trm_tiny);
