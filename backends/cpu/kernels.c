/* The table of the CPU backend's kernels, one for each variant.  An op without a row falls back to
 * the reference backend. */
#include "backends/cpu/blas.h"

#define ROW(UPPER, lower) [MDL_OP_##UPPER] = {.run = CPU_NAME(lower)}
#define ROW_WORKSPACE(UPPER, lower)                                                                \
    [MDL_OP_##UPPER] = {.run = CPU_NAME(lower), .workspace = CPU_NAME(lower##_workspace)}
#define ROW_SERIAL(UPPER, lower) [MDL_OP_##UPPER] = {.run = CPU_NAME(lower), .serial = true}

/* Sums that are added up on one thread. */
#define ROW_SUMS(UPPER, lower)                                                                     \
    [MDL_OP_##UPPER] = {                                                                           \
        .run = CPU_NAME(lower), .workspace = CPU_NAME(lower##_workspace), .serial = true}

/* Kernels that may work in groups: bits of the inputs and outputs that have images. */
#define ROW_TILES(UPPER, lower, tiles_like, in, out)                                               \
    [MDL_OP_##UPPER] = {.run = CPU_NAME(lower),                                                    \
                        .workspace = CPU_NAME(lower##_workspace),                                  \
                        .tile = CPU_NAME(tiles_like##_tiles),                                      \
                        .images_in = (in),                                                         \
                        .images_out = (out)}
/* Those of products: OpenBLAS may do them. */
#define ROW_PRODUCT(UPPER, lower)                                                                  \
    [MDL_OP_##UPPER] = {.run = CPU_NAME(lower),                                                    \
                        .workspace = CPU_NAME(lower##_workspace),                                  \
                        .tile = CPU_NAME(linear_tiles),                                            \
                        .images_in = 1,                                                            \
                        .images_out = 1,                                                           \
                        .variant = cpu_blas_variant}
#define ROW_TILES_ONLY(UPPER, lower, tiles_like)                                                   \
    [MDL_OP_##UPPER] = {.run = CPU_NAME(lower),                                                    \
                        .tile = CPU_NAME(tiles_like##_tiles),                                      \
                        .images_in = 1,                                                            \
                        .images_out = 1}
#define ROW_BATCH_NORM(UPPER, lower, in, two)                                                      \
    [MDL_OP_##UPPER] = {.run = CPU_NAME(lower),                                                    \
                        .supports = CPU_NAME(batch_norm_supports),                                 \
                        .workspace = CPU_NAME(lower##_workspace),                                  \
                        .tile = CPU_NAME(batch_norm_tiles),                                        \
                        .images_in = (in),                                                         \
                        .images_out = 1,                                                           \
                        .two_parts = (two)}

/* Products with a BatchNorm: the plain kernels do them, too. */
#define ROW_NORM(UPPER, lower, workspace_of)                                                       \
    [MDL_OP_##UPPER##_NORM] = {.run = CPU_NAME(lower),                                             \
                               .supports = CPU_NAME(depthwise_norm_supports),                      \
                               .workspace = CPU_NAME(workspace_of##_workspace),                    \
                               .tile = CPU_NAME(lower##_tiles),                                    \
                               .images_in = 1 | 1 << 6,                                            \
                               .images_out = 1}

const mdl_kernel CPU_NAME(kernels)[MDL_OP_COUNT] = {
    ROW_PRODUCT(LINEAR, linear),
    ROW_PRODUCT(LINEAR_GRAD_INPUT, linear_grad_input),
    ROW_TILES(LINEAR_GRAD_WEIGHT, linear_grad_weight, linear_grad_weight, 1 | 2, 0),
    ROW(SUM_ROWS, sum_rows),
    ROW_TILES(CONV2D, conv2d, conv2d, 1, 1),
    ROW_WORKSPACE(CONV2D_GRAD_INPUT, conv2d_grad_input),
    ROW_TILES(CONV2D_GRAD_WEIGHT, conv2d_grad_weight, conv2d_grad_weight, 1 | 2, 0),
    ROW_TILES_ONLY(DEPTHWISE, depthwise, depthwise),
    ROW_TILES_ONLY(DEPTHWISE_GRAD_INPUT, depthwise_grad_input, depthwise),
    ROW_TILES(DEPTHWISE_GRAD_WEIGHT, depthwise_grad_weight, depthwise_grad_weight, 1 | 2, 0),
    ROW_BATCH_NORM(BATCH_NORM, batch_norm, 1 | 1 << 5, true),
    ROW_BATCH_NORM(BATCH_NORM_APPLY, batch_norm_apply, 1 | 1 << 5, false),
    ROW_BATCH_NORM(BATCH_NORM_INFER, batch_norm_infer, 1 | 1 << 5, false),
    ROW_BATCH_NORM(BATCH_NORM_GRAD, batch_norm_grad, 1 | 2, true),
    ROW_NORM(LINEAR, linear, linear),
    ROW_NORM(CONV2D, conv2d, conv2d),
    ROW_NORM(DEPTHWISE, depthwise, depthwise_norm),
    ROW(ACTIVATION, activation),
    ROW(ACTIVATION_GRAD, activation_grad),
    ROW(ADD, add),
    ROW(SCALE, scale),
    ROW(EXPAND, expand),
    ROW(EXPAND_ROWS, expand_rows),
    ROW(MEAN_ROWS, mean_rows),
    ROW(SELECT_ROWS, select_rows),
    ROW(TRANSPOSE, transpose),
    ROW(DROPOUT, dropout),
    ROW_TILES_ONLY(STORE16, store16, store16),
    ROW_TILES_ONLY(LOAD16, load16, store16),
    ROW(FILL, fill),
    ROW(RMS_NORM, rms_norm),
    ROW(RMS_NORM_GRAD, rms_norm_grad),
    ROW(SWIGLU, swiglu),
    ROW(SWIGLU_GRAD, swiglu_grad),
    ROW(ROPE, rope),
    ROW(ATTENTION, attention),
    ROW_WORKSPACE(ATTENTION_GRAD, attention_grad),
    ROW_SERIAL(CROSS_ENTROPY, cross_entropy),
    ROW(CROSS_ENTROPY_GRAD, cross_entropy_grad),
    ROW_SERIAL(HALT_LOSS, halt_loss),
    ROW_SERIAL(HALT_LOSS_GRAD, halt_loss_grad),
    ROW(LERP, lerp),
    ROW_SUMS(SUM_SQUARES, sum_squares),
    ROW(ADAMW, adamw),
    ROW(SGD, sgd),
    ROW_SUMS(DOTS, dots),
    ROW(BLEND, blend),
    ROW(NOISE, noise),
};

#define PREPARE(lower) .prepare = CPU_NAME(lower##_prepare)
#define TILE(lower)    .tile = CPU_NAME(lower##_tile)
#define FINISH(lower)  .finish = CPU_NAME(lower##_finish)
#define BEFORE(...)    .before = {__VA_ARGS__}
#define DIRECT(lower)  .direct = CPU_NAME(lower##_direct)

const cpu_parts CPU_NAME(parts)[MDL_OP_COUNT] = {
    [MDL_OP_LINEAR] = {.main = {PREPARE(linear), TILE(linear)},
                       BEFORE(CPU_NAME(linear_before)),
                       DIRECT(linear)},
    [MDL_OP_LINEAR_GRAD_INPUT] = {.main = {PREPARE(linear_grad_input), TILE(linear_grad_input)},
                                  BEFORE(CPU_NAME(linear_grad_input_prepare)),
                                  DIRECT(linear_grad_input)},
    [MDL_OP_LINEAR_GRAD_WEIGHT] = {.main = {TILE(linear_grad_weight), FINISH(sum_partials)},
                                   BEFORE(CPU_NAME(linear_grad_weight_before)),
                                   DIRECT(linear_grad_weight)},
    [MDL_OP_CONV2D] = {.main = {PREPARE(conv2d), TILE(conv2d)}, BEFORE(CPU_NAME(conv2d_prepare))},
    [MDL_OP_CONV2D_GRAD_INPUT] = {BEFORE(CPU_NAME(conv2d_grad_input_before))},
    [MDL_OP_CONV2D_GRAD_WEIGHT] = {.main = {TILE(conv2d_grad_weight), FINISH(sum_partials)},
                                   BEFORE(CPU_NAME(conv2d_grad_weight_before))},
    [MDL_OP_STORE16].main = {TILE(store16)},
    [MDL_OP_LOAD16].main = {TILE(load16)},
    [MDL_OP_DEPTHWISE].main = {TILE(depthwise)},
    [MDL_OP_DEPTHWISE_GRAD_INPUT].main = {TILE(depthwise_grad_input)},
    [MDL_OP_DEPTHWISE_GRAD_WEIGHT] = {.main = {TILE(depthwise_grad_weight), FINISH(sum_partials)},
                                      BEFORE(CPU_NAME(depthwise_grad_weight_before))},
    [MDL_OP_LINEAR_NORM] = {.main = {PREPARE(linear), TILE(linear)},
                            BEFORE(CPU_NAME(linear_before)),
                            DIRECT(linear)},
    [MDL_OP_CONV2D_NORM] = {.main = {PREPARE(conv2d), TILE(conv2d)},
                            BEFORE(CPU_NAME(conv2d_prepare))},
    [MDL_OP_DEPTHWISE_NORM] = {.main = {PREPARE(depthwise_norm), TILE(depthwise)},
                               BEFORE(CPU_NAME(depthwise_norm_prepare))},
    [MDL_OP_BATCH_NORM] = {.first_part = {TILE(batch_norm_sums), FINISH(batch_norm_sums)},
                           .main = {TILE(batch_norm)},
                           BEFORE(CPU_NAME(batch_norm_before), CPU_NAME(batch_norm_totals_before))},
    [MDL_OP_BATCH_NORM_APPLY] = {.main = {PREPARE(batch_norm_apply), TILE(batch_norm)},
                                 BEFORE(CPU_NAME(batch_norm_apply_prepare))},
    [MDL_OP_BATCH_NORM_INFER] = {.main = {PREPARE(batch_norm_infer), TILE(batch_norm)},
                                 BEFORE(CPU_NAME(batch_norm_infer_prepare))},
    [MDL_OP_BATCH_NORM_GRAD] = {.first_part = {PREPARE(batch_norm_grad), TILE(batch_norm_grad_sums),
                                               FINISH(batch_norm_grad_sums)},
                                .main = {TILE(batch_norm_grad)},
                                BEFORE(CPU_NAME(batch_norm_grad_prepare),
                                       CPU_NAME(batch_norm_grad_before),
                                       CPU_NAME(batch_norm_grad_totals_before))},
    [MDL_OP_SUM_SQUARES] = {BEFORE(CPU_NAME(sum_squares_before))},
    [MDL_OP_DOTS] = {BEFORE(CPU_NAME(dots_before))},
};
