/* The table of the CPU backend's kernels, one for each variant.  An op without a row falls back to
 * the reference backend. */
#include "backends/cpu/cpu_internal.h"

#define ROW(UPPER, lower) [MDL_OP_##UPPER] = {.run = CPU_NAME(lower)}
#define ROW_WORKSPACE(UPPER, lower)                                                                \
    [MDL_OP_##UPPER] = {.run = CPU_NAME(lower), .workspace = CPU_NAME(lower##_workspace)}
#define ROW_SERIAL(UPPER, lower) [MDL_OP_##UPPER] = {.run = CPU_NAME(lower), .serial = true}

#define ROW_BATCH_NORM(UPPER, lower)                                                               \
    [MDL_OP_##UPPER] = {.run = CPU_NAME(lower),                                                    \
                        .supports = CPU_NAME(batch_norm_supports),                                 \
                        .workspace = CPU_NAME(lower##_workspace)}

const mdl_kernel CPU_NAME(kernels)[MDL_OP_COUNT] = {
    ROW_WORKSPACE(LINEAR, linear),
    ROW_WORKSPACE(LINEAR_GRAD_INPUT, linear_grad_input),
    ROW_WORKSPACE(LINEAR_GRAD_WEIGHT, linear_grad_weight),
    ROW(SUM_ROWS, sum_rows),
    ROW_WORKSPACE(CONV2D, conv2d),
    ROW_WORKSPACE(CONV2D_GRAD_INPUT, conv2d_grad_input),
    ROW_WORKSPACE(CONV2D_GRAD_WEIGHT, conv2d_grad_weight),
    ROW(DEPTHWISE, depthwise),
    ROW(DEPTHWISE_GRAD_INPUT, depthwise_grad_input),
    ROW_WORKSPACE(DEPTHWISE_GRAD_WEIGHT, depthwise_grad_weight),
    ROW_BATCH_NORM(BATCH_NORM, batch_norm),
    ROW_BATCH_NORM(BATCH_NORM_APPLY, batch_norm_apply),
    ROW_BATCH_NORM(BATCH_NORM_INFER, batch_norm_infer),
    ROW_BATCH_NORM(BATCH_NORM_GRAD, batch_norm_grad),
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
    ROW_WORKSPACE(SUM_SQUARES, sum_squares),
    ROW(ADAMW, adamw),
    ROW(SGD, sgd),
    ROW_WORKSPACE(DOTS, dots),
    ROW(BLEND, blend),
    ROW(NOISE, noise),
};
