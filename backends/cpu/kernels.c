/* The table of the CPU backend's kernels, one for each variant.  An op without a row falls back to
 * the reference backend. */
#include "backends/cpu/cpu_internal.h"

#define ROW(UPPER, lower) [MDL_OP_##UPPER] = {.run = CPU_NAME(lower)}
#define ROW_WORKSPACE(UPPER, lower)                                                                \
    [MDL_OP_##UPPER] = {.run = CPU_NAME(lower), .workspace = CPU_NAME(lower##_workspace)}
#define ROW_SERIAL(UPPER, lower) [MDL_OP_##UPPER] = {.run = CPU_NAME(lower), .serial = true}

const mdl_kernel CPU_NAME(kernels)[MDL_OP_COUNT] = {
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
