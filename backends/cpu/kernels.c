/* The table of the CPU backend's kernels, one for each variant.  An op without a row falls back to
 * the reference backend. */
#include "backends/cpu/cpu_internal.h"

#define ROW(UPPER, lower) [MDL_OP_##UPPER] = {.run = CPU_NAME(lower)}
#define ROW_WORKSPACE(UPPER, lower)                                                                \
    [MDL_OP_##UPPER] = {.run = CPU_NAME(lower), .workspace = CPU_NAME(lower##_workspace)}
#define ROW_SERIAL(UPPER, lower) [MDL_OP_##UPPER] = {.run = CPU_NAME(lower), .serial = true}

const mdl_kernel CPU_NAME(kernels)[MDL_OP_COUNT] = {
    [MDL_OP_LINEAR] = {0},
};
