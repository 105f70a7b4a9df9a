/* Cases of products, convolutions, BatchNorm, elementwise and movement ops.  Sizes are 1, primes,
 * odd numbers, and a vector's or a block's size and one more or less. */
#include "op_cases.h"

#define S1 OP_S1
#define S2 OP_S2
#define S3 OP_S3
#define S4 OP_S4

/* Without and with a bias. */
#define LINEAR(x, c, k)                                                                            \
    {                                                                                              \
        .op = MDL_OP_LINEAR, .n_in = 2, .in = {x, S2(c, k)}, .grad = 3                             \
    }
#define LINEAR_BIAS(x, c, k)                                                                       \
    {                                                                                              \
        .op = MDL_OP_LINEAR, .n_in = 3, .in = {x, S2(c, k), S1(k)}, .grad = 7                      \
    }
#define LINEAR_LARGE(x, c, k)                                                                      \
    {                                                                                              \
        .op = MDL_OP_LINEAR, .n_in = 3, .in = {x, S2(c, k), S1(k)}, .grad = 7, .large = true       \
    }

/* Padding: top, left, bottom, right. */
#define CONV_GEOMETRY(h, w, kh, kw, s, t, l, b, r)                                                 \
    .kernel_h = (kh), .kernel_w = (kw), .stride = (s), .pad_top = (t), .pad_left = (l),            \
    .pad_bottom = (b), .pad_right = (r), .in_h = (h), .in_w = (w)
#define CONV_ATTRS(...) .attrs.conv = {CONV_GEOMETRY(__VA_ARGS__)}
#define CONV(n, h, w, c, k, kh, kw, ...)                                                           \
    {                                                                                              \
        .op = MDL_OP_CONV2D, CONV_ATTRS(h, w, kh, kw, __VA_ARGS__), .n_in = 2,                     \
        .in = {S4(n, h, w, c), S4(kh, kw, c, k)}, .grad = 3                                        \
    }
#define DEPTHWISE(n, h, w, c, kh, kw, ...)                                                         \
    {                                                                                              \
        .op = MDL_OP_DEPTHWISE, CONV_ATTRS(h, w, kh, kw, __VA_ARGS__), .n_in = 2,                  \
        .in = {S4(n, h, w, c), S3(kh, kw, c)}, .grad = 3                                           \
    }
#define DEPTHWISE_LARGE(n, h, w, c, k, ...)                                                        \
    {                                                                                              \
        .op = MDL_OP_DEPTHWISE, CONV_ATTRS(h, w, k, k, __VA_ARGS__), .n_in = 2,                    \
        .in = {S4(n, h, w, c), S3(k, k, c)}, .grad = 3, .large = true                              \
    }

/* gamma and running_var are positive; 39: x, gamma, beta, residual. */
#define NORM(upper, n, activation)                                                                 \
    .op = MDL_OP_BATCH_NORM##upper,                                                                \
    .attrs.norm = {.eps = 1e-3, .momentum = 0.1, .act = MDL_ACT_##activation}, .n_in = (n),        \
    .fill = {OP_NORMAL, OP_POSITIVE, OP_NORMAL, OP_NORMAL, OP_POSITIVE, OP_NORMAL}
#define NORM_IN(x, c)          .in = {x, S1(c), S1(c), S1(c), S1(c)}
#define NORM_IN_RESIDUAL(x, c) .in = {x, S1(c), S1(c), S1(c), S1(c), x}

/* A product and its BatchNorm: x, w, gamma, beta, mean, var, [residual]. */
#define FOLDED_FILL                                                                                \
    .fill = {OP_NORMAL, OP_NORMAL, OP_POSITIVE, OP_NORMAL, OP_NORMAL, OP_POSITIVE, OP_NORMAL}
#define LINEAR_NORM(n, activation, x, y, c, k)                                                     \
    {                                                                                              \
        .op = MDL_OP_LINEAR_NORM, .attrs.conv = {.eps = 1e-3, .act = MDL_ACT_##activation},        \
        .n_in = (n), .in = {x, S2(c, k), S1(k), S1(k), S1(k), S1(k), y}, FOLDED_FILL               \
    }
#define FOLDED_ATTRS(activation, ...)                                                              \
    .attrs.conv = {CONV_GEOMETRY(__VA_ARGS__), .eps = 1e-3, .act = MDL_ACT_##activation}
#define CONV_NORM(ins, activation, y, n, h, w, c, k, kh, kw, ...)                                  \
    {                                                                                              \
        .op = MDL_OP_CONV2D_NORM, FOLDED_ATTRS(activation, h, w, kh, kw, __VA_ARGS__),             \
        .n_in = (ins), .in = {S4(n, h, w, c), S4(kh, kw, c, k), S1(k), S1(k), S1(k), S1(k), y},    \
        FOLDED_FILL                                                                                \
    }
#define DEPTHWISE_NORM(ins, activation, y, n, h, w, c, kh, kw, ...)                                \
    {                                                                                              \
        .op = MDL_OP_DEPTHWISE_NORM, FOLDED_ATTRS(activation, h, w, kh, kw, __VA_ARGS__),          \
        .n_in = (ins), .in = {S4(n, h, w, c), S3(kh, kw, c), S1(c), S1(c), S1(c), S1(c), y},       \
        FOLDED_FILL                                                                                \
    }
#define NO_RESIDUAL                                                                                \
    {                                                                                              \
        0                                                                                          \
    }

const op_case op_cases_conv[] = {
    LINEAR(S2(1, 1), 1, 1),
    LINEAR(S2(1, 7), 7, 5),
    LINEAR_BIAS(S2(15, 16), 16, 17),
    LINEAR_BIAS(S2(3, 33), 33, 10),
    LINEAR(S4(2, 3, 3, 8), 8, 31),
    LINEAR_BIAS(S3(2, 5, 31), 31, 1),
    LINEAR(S2(17, 1), 1, 16),
    LINEAR_LARGE(S2(65, 64), 64, 63),
    LINEAR_LARGE(S4(3, 7, 5, 32), 32, 96),
    LINEAR_LARGE(S2(257, 17), 17, 15),
    LINEAR_LARGE(S2(260, 68), 68, 76),
    LINEAR_LARGE(S4(3, 7, 5, 132), 132, 12),
    LINEAR_LARGE(S2(1028, 24), 24, 40),

    CONV(1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0),
    CONV(2, 5, 7, 3, 4, 3, 3, 1, 1, 1, 1, 1), /* the stem's kind, symmetric */
    CONV(1, 1, 1, 2, 3, 3, 3, 1, 1, 1, 1, 1), /* nearly all taps in the padding */
    CONV(1, 8, 8, 3, 5, 3, 3, 2, 0, 0, 1, 1), /* TF 'SAME' for an even input */
    CONV(2, 8, 6, 2, 3, 5, 5, 2, 1, 1, 2, 2), /* the same for 5x5 */
    CONV(1, 8, 7, 2, 2, 3, 3, 2, 0, 0, 0, 0), /* last row never read */
    CONV(1, 7, 6, 3, 2, 1, 3, 1, 0, 2, 0, 1), /* not square */
    CONV(2, 9, 5, 1, 7, 2, 2, 3, 1, 0, 0, 1),
    CONV(1, 4, 4, 5, 3, 1, 1, 2, 0, 0, 0, 0), /* 1x1 with a stride */
    CONV(1, 5, 5, 16, 17, 3, 3, 1, 1, 1, 1, 1),
    CONV(2, 9, 9, 3, 32, 3, 3, 2, 1, 1, 1, 1),

    DEPTHWISE(1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0),
    DEPTHWISE(2, 5, 7, 3, 3, 3, 1, 1, 1, 1, 1),
    DEPTHWISE(1, 2, 2, 7, 5, 5, 1, 2, 2, 2, 2), /* kernel larger than the image */
    DEPTHWISE(1, 1, 1, 8, 3, 3, 1, 1, 1, 1, 1),
    DEPTHWISE(1, 8, 8, 5, 3, 3, 2, 0, 0, 1, 1), /* TF 'SAME' */
    DEPTHWISE(2, 8, 6, 3, 5, 5, 2, 1, 1, 2, 2),
    DEPTHWISE(1, 7, 8, 9, 5, 5, 2, 2, 2, 2, 2), /* symmetric, odd and even */
    DEPTHWISE(1, 6, 5, 15, 3, 3, 2, 1, 1, 1, 1),
    DEPTHWISE(1, 5, 4, 2, 2, 3, 1, 1, 0, 0, 2), /* not square, not symmetric */
    DEPTHWISE(1, 7, 7, 4, 3, 3, 3, 0, 1, 2, 0),
    DEPTHWISE_LARGE(3, 4, 4, 16, 3, 1, 1, 1, 1, 1),
    DEPTHWISE_LARGE(2, 4, 3, 17, 5, 1, 2, 2, 2, 2),
    DEPTHWISE_LARGE(26, 10, 9, 36, 3, 1, 1, 1, 1, 1), /* weights in several parts */
    DEPTHWISE_LARGE(3, 13, 10, 12, 3, 2, 1, 1, 1, 1),
    DEPTHWISE_LARGE(3, 7, 9, 20, 5, 1, 2, 2, 2, 2),
    DEPTHWISE_LARGE(2, 8, 11, 8, 5, 2, 1, 1, 2, 2),
    DEPTHWISE_LARGE(2, 9, 11, 31, 3, 1, 1, 1, 1, 1),
    DEPTHWISE_LARGE(1, 9, 9, 32, 5, 2, 2, 2, 2, 2),
    DEPTHWISE_LARGE(2, 8, 8, 33, 3, 2, 0, 0, 1, 1),
    DEPTHWISE_LARGE(5, 2, 2, 65, 5, 1, 2, 2, 2, 2),
    DEPTHWISE_LARGE(1, 17, 16, 63, 5, 1, 2, 2, 2, 2),

    {NORM(, 5, NONE), NORM_IN(S2(7, 3), 3), .grad = 7},
    {NORM(, 5, RELU6), NORM_IN(S4(2, 3, 3, 5), 5), .grad = 7},
    {NORM(, 5, RELU), NORM_IN(S3(3, 5, 1), 1), .grad = 7},
    {NORM(, 6, SILU), NORM_IN_RESIDUAL(S4(2, 2, 2, 7), 7), .grad = 39},
    {NORM(, 6, NONE), NORM_IN_RESIDUAL(S4(3, 1, 3, 16), 16), .grad = 39},
    {NORM(, 6, RELU6), NORM_IN_RESIDUAL(S2(17, 4), 4), .grad = 39},
    /* One row: all of it cancels; errors are relative to 1 / sqrt(eps). */
    {NORM(, 5, NONE), NORM_IN(S2(1, 9), 9), .grad = 7, .scale = 32},
    {NORM(, 5, RELU6), NORM_IN(S4(3, 5, 5, 33), 33), .grad = 7, .large = true},
    {NORM(, 6, NONE), NORM_IN_RESIDUAL(S4(2, 7, 9, 15), 15), .grad = 39, .large = true},
    {NORM(, 5, RELU6), NORM_IN(S4(5, 8, 8, 64), 64), .grad = 7, .large = true},
    {NORM(, 5, NONE), NORM_IN(S2(1031, 17), 17), .grad = 7, .large = true},
    {NORM(, 5, RELU6), NORM_IN(S2(1100, 36), 36), .grad = 7, .large = true},
    {NORM(, 6, SILU), NORM_IN_RESIDUAL(S2(2050, 4), 4), .grad = 39, .large = true},

    {NORM(_APPLY, 5, RELU6), NORM_IN(S4(2, 3, 3, 17), 17)},
    {NORM(_APPLY, 6, NONE), NORM_IN_RESIDUAL(S2(5, 31), 31)},
    {NORM(_INFER, 5, RELU6), NORM_IN(S4(2, 3, 3, 17), 17)},
    {NORM(_INFER, 5, SILU), NORM_IN(S2(1, 1), 1)},
    {NORM(_INFER, 6, RELU), NORM_IN_RESIDUAL(S3(3, 5, 33), 33)},

    LINEAR_NORM(6, NONE, S2(1, 1), NO_RESIDUAL, 1, 1),
    LINEAR_NORM(6, RELU6, S2(15, 16), NO_RESIDUAL, 16, 17), /* too few rows to pack */
    LINEAR_NORM(7, RELU, S2(3, 33), S2(3, 10), 33, 10),
    LINEAR_NORM(7, NONE, S2(5, 7), S2(5, 132), 7, 132), /* shared out by panels */
    LINEAR_NORM(7, RELU6, S4(3, 7, 5, 32), S4(3, 7, 5, 96), 32, 96),
    LINEAR_NORM(6, NONE, S2(65, 64), NO_RESIDUAL, 64, 63),
    LINEAR_NORM(7, NONE, S2(257, 17), S2(257, 24), 17, 24), /* half vectors of AVX-512 */
    LINEAR_NORM(7, RELU6, S2(130, 24), S2(130, 40), 24, 40),
    LINEAR_NORM(7, SILU, S2(5, 7), S2(5, 3), 7, 3), /* not a clamp */

    CONV_NORM(6, RELU6, NO_RESIDUAL, 2, 9, 9, 3, 32, 3, 3, 2, 1, 1, 1, 1),
    CONV_NORM(7, NONE, S4(2, 5, 7, 4), 2, 5, 7, 3, 4, 3, 3, 1, 1, 1, 1, 1),
    CONV_NORM(7, RELU, S4(2, 9, 5, 17), 2, 18, 9, 1, 17, 2, 2, 2, 0, 0, 0, 1),
    CONV_NORM(6, SILU, NO_RESIDUAL, 1, 4, 4, 5, 3, 1, 1, 2, 0, 0, 0, 0),

    DEPTHWISE_NORM(6, RELU6, NO_RESIDUAL, 2, 5, 7, 3, 3, 3, 1, 1, 1, 1, 1),
    DEPTHWISE_NORM(6, NONE, NO_RESIDUAL, 2, 9, 11, 31, 3, 3, 1, 1, 1, 1, 1),
    DEPTHWISE_NORM(7, RELU6, S4(3, 7, 9, 20), 3, 7, 9, 20, 5, 5, 1, 2, 2, 2, 2),
    DEPTHWISE_NORM(7, NONE, S4(2, 4, 4, 33), 2, 8, 8, 33, 3, 3, 2, 0, 0, 1, 1),
    DEPTHWISE_NORM(6, RELU6, NO_RESIDUAL, 1, 9, 9, 32, 5, 5, 2, 2, 2, 2, 2),
    DEPTHWISE_NORM(7, RELU, S4(1, 5, 5, 19), 1, 5, 4, 19, 2, 3, 1, 1, 1, 0, 2), /* not square */
    DEPTHWISE_NORM(6, SILU, NO_RESIDUAL, 1, 1, 1, 8, 3, 3, 1, 1, 1, 1, 1),

#define ACTIVATION(kind_, x)                                                                       \
    {                                                                                              \
        .op = MDL_OP_ACTIVATION, .attrs.act = {.kind = MDL_ACT_##kind_}, .n_in = 1, .in = {x},     \
        .fill = {OP_WIDE}, .grad = 1                                                               \
    }
    ACTIVATION(NONE, S1(5)),
    ACTIVATION(RELU, S2(3, 31)),
    ACTIVATION(RELU6, S4(2, 3, 5, 7)),
    ACTIVATION(SILU, S2(17, 4)),
    ACTIVATION(RELU6, S1(1)),
    ACTIVATION(SILU, S1(257)),

#define ADD(a_, b_, x)                                                                             \
    {                                                                                              \
        .op = MDL_OP_ADD, .attrs.add = {.alpha = (a_), .beta = (b_)}, .n_in = 2, .in = {x, x},     \
        .grad = 3                                                                                  \
    }
    ADD(1, 1, S2(5, 7)),
    ADD(0.3, -2, S3(3, 1, 11)),
    ADD(1, 0.5, S1(65)),

    {.op = MDL_OP_SCALE, .attrs.scale.factor = -1.7, .n_in = 1, .in = {S2(5, 13)}, .grad = 1},
    {.op = MDL_OP_SCALE, .attrs.scale.factor = 1, .n_in = 1, .in = {S1(1)}, .grad = 1},
    {.op = MDL_OP_SCALE, .attrs.scale.factor = 0.25, .n_in = 1, .in = {S1(67)}, .grad = 1},

    {.op = MDL_OP_STORE16, .n_in = 1, .in = {S4(2, 3, 5, 7)}},
    {.op = MDL_OP_STORE16, .n_in = 1, .in = {S1(1023)}, .fill = {OP_WIDE}},
    {.op = MDL_OP_LOAD16, .n_in = 1, .in = {S4(2, 3, 5, 7)}, .fill = {OP_STORED}},
    {.op = MDL_OP_LOAD16, .n_in = 1, .in = {S1(1023)}, .fill = {OP_STORED}},

    {.op = MDL_OP_EXPAND, .attrs.expand.shape = S2(5, 17), .n_in = 1, .in = {S1(17)}},
    {.op = MDL_OP_EXPAND, .attrs.expand.shape = S3(3, 1, 8), .n_in = 1, .in = {S1(8)}},
    {.op = MDL_OP_EXPAND_ROWS,
     .attrs.scale = {.factor = 0.3, .shape = S4(3, 2, 5, 7)},
     .n_in = 1,
     .in = {S2(3, 7)}},

    {.op = MDL_OP_MEAN_ROWS, .n_in = 1, .in = {S4(2, 3, 5, 7)}, .grad = 1},
    {.op = MDL_OP_MEAN_ROWS, .n_in = 1, .in = {S3(3, 4, 17)}, .grad = 1},
    {.op = MDL_OP_MEAN_ROWS, .n_in = 1, .in = {S4(5, 2, 2, 33)}, .grad = 1},
    {.op = MDL_OP_MEAN_ROWS, .n_in = 1, .in = {S2(3, 5)}, .grad = 1}, /* nothing between */

    {.op = MDL_OP_SELECT_ROWS,
     .n_in = 3,
     .in = {S1(7), S2(7, 5), S2(7, 5)},
     .fill = {OP_MASK, OP_NORMAL, OP_NORMAL}},
    {.op = MDL_OP_SELECT_ROWS,
     .n_in = 3,
     .in = {S1(3), S3(3, 4, 16), S3(3, 4, 16)},
     .fill = {OP_MASK, OP_NORMAL, OP_NORMAL}},

    {.op = MDL_OP_TRANSPOSE, .n_in = 1, .in = {S3(2, 3, 5)}, .grad = 1},
    {.op = MDL_OP_TRANSPOSE, .n_in = 1, .in = {S3(1, 1, 7)}, .grad = 1},
    {.op = MDL_OP_TRANSPOSE, .n_in = 1, .in = {S3(3, 17, 33)}, .grad = 1},

#define DROPOUT(rate_, per_sample_, x)                                                             \
    {                                                                                              \
        .op = MDL_OP_DROPOUT,                                                                      \
        .attrs.dropout = {.rate = (rate_), .stream = 1003, .per_sample = (per_sample_)},           \
        .n_in = 1, .in = {x}, .grad = 1                                                            \
    }
    DROPOUT(0.2, false, S2(5, 33)),
    DROPOUT(0.5, true, S4(7, 2, 1, 3)),
    DROPOUT(0, false, S1(5)),
    DROPOUT(0.9, true, S2(1, 4)),
    DROPOUT(0.3, false, S1(131)),

    {.op = MDL_OP_VIEW, .attrs.expand.shape = S2(6, 5), .n_in = 1, .in = {S3(2, 3, 5)}, .grad = 1},

    {.op = MDL_OP_FILL, .attrs.fill = {.value = -2.5, .shape = S3(3, 5, 7)}},
    {.op = MDL_OP_FILL, .attrs.fill = {.value = 1, .shape = S1(1)}},
};
const size_t op_cases_conv_count = MDL_COUNT(op_cases_conv);

const op_case op_cases_conv_tiny[] = {
    LINEAR_BIAS(S2(3, 5), 5, 7),
    LINEAR(S2(3, 5), 5, 17),
    LINEAR_BIAS(S2(5, 3), 3, 33),
    LINEAR(S2(257, 1), 1, 3),   /* the weight's gradient in two parts */
    LINEAR(S2(68, 68), 68, 36), /* every tile, with edges */

    CONV(1, 5, 4, 3, 2, 3, 3, 2, 0, 0, 1, 1),
    CONV(1, 13, 7, 1, 2, 1, 1, 1, 0, 0, 0, 0), /* in two parts */
    DEPTHWISE(1, 3, 3, 2, 2, 3, 1, 1, 0, 0, 2),
    DEPTHWISE(1, 3, 2, 3, 3, 3, 1, 1, 1, 1, 1),
    DEPTHWISE(1, 3, 4, 3, 3, 3, 2, 0, 0, 1, 1),
    DEPTHWISE(1, 2, 3, 3, 5, 5, 1, 2, 2, 2, 2),
    DEPTHWISE(1, 5, 3, 1, 5, 5, 2, 1, 1, 2, 2),
    DEPTHWISE(1, 3, 3, 4, 3, 3, 1, 1, 1, 1, 1), /* channels by fours */
    DEPTHWISE(1, 3, 5, 4, 3, 3, 2, 0, 0, 1, 1),
    DEPTHWISE(1, 3, 2, 4, 5, 5, 1, 2, 2, 2, 2),
    DEPTHWISE(1, 4, 5, 4, 5, 5, 2, 1, 1, 2, 2),

    {NORM(, 5, RELU6), NORM_IN(S2(7, 3), 3), .grad = 7},
    {NORM(, 6, SILU), NORM_IN_RESIDUAL(S2(67, 1), 1), .grad = 39}, /* in two parts */
    {NORM(, 5, RELU6), NORM_IN(S2(3, 4), 4), .grad = 7},
    {NORM(, 5, RELU), NORM_IN(S2(1025, 1), 1), .grad = 7}, /* in several launches */
    {NORM(, 6, RELU6), NORM_IN_RESIDUAL(S2(1025, 4), 4), .grad = 39},
    {NORM(_APPLY, 6, NONE), NORM_IN_RESIDUAL(S2(5, 3), 3)},
    {NORM(_INFER, 5, RELU6), NORM_IN(S2(3, 5), 5)},
    LINEAR_NORM(7, RELU6, S2(3, 5), S2(3, 7), 5, 7),
    CONV_NORM(6, RELU6, NO_RESIDUAL, 1, 5, 4, 3, 2, 3, 3, 2, 0, 0, 1, 1),
    DEPTHWISE_NORM(6, RELU6, NO_RESIDUAL, 1, 3, 2, 3, 3, 3, 1, 1, 1, 1, 1),
    ACTIVATION(RELU6, S2(3, 5)),
    ACTIVATION(SILU, S1(7)),
    ADD(0.3, -2, S2(3, 5)),
    {.op = MDL_OP_SCALE, .attrs.scale.factor = -1.7, .n_in = 1, .in = {S2(5, 3)}, .grad = 1},
    {.op = MDL_OP_EXPAND, .attrs.expand.shape = S2(3, 5), .n_in = 1, .in = {S1(5)}},
    {.op = MDL_OP_MEAN_ROWS, .n_in = 1, .in = {S4(2, 3, 1, 5)}, .grad = 1},
    {.op = MDL_OP_SELECT_ROWS,
     .n_in = 3,
     .in = {S1(3), S2(3, 5), S2(3, 5)},
     .fill = {OP_MASK, OP_NORMAL, OP_NORMAL}},
    {.op = MDL_OP_TRANSPOSE, .n_in = 1, .in = {S3(2, 3, 5)}, .grad = 1},
    DROPOUT(0.2, false, S2(3, 5)),
    DROPOUT(0.5, true, S2(3, 7)),
    {.op = MDL_OP_FILL, .attrs.fill = {.value = -2.5, .shape = S2(3, 5)}},

    {.op = MDL_OP_STORE16, .n_in = 1, .in = {S1(5)}},
    {.op = MDL_OP_LOAD16, .n_in = 1, .in = {S1(5)}, .fill = {OP_STORED}},
};
const size_t op_cases_conv_tiny_count = MDL_COUNT(op_cases_conv_tiny);
