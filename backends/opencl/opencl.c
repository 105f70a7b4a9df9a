/* The OpenCL backend: one device of an OpenCL driver, float32.  A module that the program loads
 * when it is asked for, so that the program needs no OpenCL library to start. */
#include "backends/opencl/host.h"
#include "backends/opencl/ocl_internal.h"

#include <stdlib.h>
#include <string.h>

/* MENDEL_OPENCL_WITHOUT="op op ...", for tests: ops that are not offered. */
static bool offered(const mdl_call *call)
{
    const char *without = getenv("MENDEL_OPENCL_WITHOUT"), *name = mdl_op_get(call->op)->name;
    size_t length = strlen(name);
    while (without != NULL && *without) {
        size_t word = strcspn(without, " ");
        if (word == length && memcmp(without, name, length) == 0)
            return false;
        without += word + (without[word] != '\0');
    }
    return true;
}

#define ROW(UPPER, lower)                                                                          \
    [MDL_OP_##UPPER] = {.run = ocl_##lower, .supports = offered, .serial = true}
#define ROW_WORKSPACE(UPPER, lower)                                                                \
    [MDL_OP_##UPPER] = {.run = ocl_##lower,                                                        \
                        .supports = offered,                                                       \
                        .workspace = ocl_##lower##_workspace,                                      \
                        .serial = true}

static const mdl_kernel kernels[MDL_OP_COUNT] = {
    [MDL_OP_LINEAR] = {.run = ocl_linear,
                       .supports = offered,
                       .serial = true,
                       .variant = ocl_linear_variant},
    [MDL_OP_LINEAR_GRAD_INPUT] = {.run = ocl_linear_grad_input,
                                  .supports = offered,
                                  .serial = true,
                                  .variant = ocl_linear_variant},
    [MDL_OP_LINEAR_GRAD_WEIGHT] = {.run = ocl_linear_grad_weight,
                                   .supports = offered,
                                   .workspace = ocl_linear_grad_weight_workspace,
                                   .serial = true,
                                   .variant = ocl_linear_grad_weight_variant},
    ROW_WORKSPACE(SUM_ROWS, sum_rows),
    ROW(CONV2D, conv2d),
    ROW(CONV2D_GRAD_INPUT, conv2d_grad_input),
    ROW_WORKSPACE(CONV2D_GRAD_WEIGHT, conv2d_grad_weight),
    [MDL_OP_DEPTHWISE] = {.run = ocl_depthwise,
                          .supports = offered,
                          .serial = true,
                          .variant = ocl_depthwise_variant},
    [MDL_OP_DEPTHWISE_GRAD_INPUT] = {.run = ocl_depthwise_grad_input,
                                     .supports = offered,
                                     .serial = true,
                                     .variant = ocl_depthwise_variant},
    ROW_WORKSPACE(DEPTHWISE_GRAD_WEIGHT, depthwise_grad_weight),
    [MDL_OP_BATCH_NORM] = {.run = ocl_batch_norm,
                           .supports = offered,
                           .workspace = ocl_batch_norm_workspace,
                           .serial = true,
                           .early_workspace = true},
    ROW(BATCH_NORM_APPLY, batch_norm_apply),
    ROW(BATCH_NORM_INFER, batch_norm_infer),
    ROW_WORKSPACE(BATCH_NORM_GRAD, batch_norm_grad),
    ROW(RMS_NORM, rms_norm),
    ROW(RMS_NORM_GRAD, rms_norm_grad),
    ROW(ACTIVATION, activation),
    ROW(ACTIVATION_GRAD, activation_grad),
    ROW(SWIGLU, swiglu),
    ROW(SWIGLU_GRAD, swiglu_grad),
    ROW(ADD, add),
    ROW(SCALE, scale),
    ROW(EXPAND, expand),
    ROW(EXPAND_ROWS, expand_rows),
    ROW(MEAN_ROWS, mean_rows),
    ROW(SELECT_ROWS, select_rows),
    ROW(TRANSPOSE, transpose),
    ROW(DROPOUT, dropout),
    ROW(ROPE, rope),
    ROW(ATTENTION, attention),
    ROW_WORKSPACE(ATTENTION_GRAD, attention_grad),
    ROW(CROSS_ENTROPY, cross_entropy),
    ROW(CROSS_ENTROPY_GRAD, cross_entropy_grad),
    ROW(HALT_LOSS, halt_loss),
    ROW(HALT_LOSS_GRAD, halt_loss_grad),
    ROW(STORE16, store16),
    ROW(LOAD16, load16),
    ROW(FILL, fill),
    ROW(LERP, lerp),
    ROW_WORKSPACE(SUM_SQUARES, sum_squares),
    ROW(ADAMW, adamw),
    ROW(SGD, sgd),
    ROW_WORKSPACE(DOTS, dots),
    ROW(BLEND, blend),
    ROW(NOISE, noise),
};

/* The BatchNorm behind call i if it takes what that writes: its moments may be made on the way. */
static const mdl_call *norm_behind(const mdl_call *calls, size_t n, size_t i)
{
    const mdl_call *next = &calls[i + 1];
    if (i + 1 == n || next->op != MDL_OP_BATCH_NORM)
        return NULL;
    bool same = next->in[0].buffer == calls[i].out[0].buffer &&
                next->in[0].offset == calls[i].out[0].offset &&
                ocl_count(&next->in[0]) == ocl_count(&calls[i].out[0]);
    return same ? next : NULL;
}

/* Enqueue the calls; they need not be done when this returns, unless times are asked for. */
static mdl_status ocl_run(mdl_device *device, const mdl_call *calls, size_t n, double *seconds)
{
    ocl_state *state = ocl_of(device);
    bool profile = seconds != NULL || device->profile;
    state->part_rows = 0;
    state->failed = profile ? ocl_profile_begin(state) : MDL_OK;
    for (size_t i = 0; i < n && state->failed == MDL_OK; i++) {
        state->profile.call = i;
        state->norm = norm_behind(calls, n, i);
        calls[i].kernel->run(device, &calls[i], 0, 1);
    }
    if (profile) {
        mdl_status status = ocl_profile_end(device, seconds);
        return state->failed != MDL_OK ? state->failed : status;
    }
    MDL_TRY(state->failed);
    OCL_TRY(clFlush(state->queue), "%s: submitting", state->name);
    return MDL_OK;
}

static void stats(const mdl_device *device, mdl_device_stats *out)
{
    *out = ocl_of(device)->stats;
}

static const mdl_backend backend = {
    .name = "opencl",
    .summary = "GPUs and other devices with an OpenCL driver",
    .host_memory = false,
    .supports_f64 = false,
    .devices = ocl_devices,
    .open = ocl_open,
    .close = ocl_close,
    .buffer_create = ocl_buffer_create,
    .buffer_destroy = ocl_buffer_destroy,
    .upload = ocl_upload,
    .stream = ocl_stream,
    .streams = OCL_STREAMS,
    .download = ocl_download,
    .copy = ocl_copy,
    .finish = ocl_finish,
    .stats = stats,
    .kernel_use = ocl_kernel_use,
    .run = ocl_run,
    .kernels = kernels,
    .identify = ocl_identify,
    .parameters = &ocl_blast_parameters,
};

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

EXPORT mdl_backend_load_fn mdl_backend_load;
const mdl_backend *mdl_backend_load(const mdl_host *host)
{
    if (host->abi != MDL_BACKEND_ABI)
        return NULL;
    ocl_host_set(host);
    return &backend;
}
