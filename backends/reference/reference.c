/* The reference backend: one thread of the host, naive kernels, float32 or float64.  The oracle,
 * not meant to be fast. */
#include "backends/reference/ref_internal.h"

#include <string.h>

#define ref_view NULL /* the one op that never runs */
static const mdl_kernel ref_kernels[MDL_OP_COUNT] = {
#define X(upper, lower) [MDL_OP_##upper] = {.run = ref_##lower, .serial = true},
    MDL_OP_LIST(X)
#undef X
};
#undef ref_view

static int ref_devices(mdl_device_info *infos, int max)
{
    if (max > 0) {
        infos[0] = (mdl_device_info){
            .name = "reference",
            .driver = "scalar loops, one thread",
            .units = 1,
            .usable = true,
        };
    }
    return 1;
}

static mdl_status ref_open(const mdl_backend *self, const mdl_device_options *options,
                           mdl_device **out)
{
    *out = NULL;
    if (options->selector != NULL && options->selector[0] != '\0') {
        return mdl_fail(MDL_NOT_FOUND, "reference: there is no device \"%s\"; use \"reference\"",
                        options->selector);
    }
    if (options->real != MDL_F32 && options->real != MDL_F64) {
        return mdl_fail(MDL_UNSUPPORTED, "reference: computes in float32 or float64, not %s",
                        mdl_dtype_name(options->real));
    }
    mdl_device *device;
    MDL_TRY(MDL_NEW(1, "device", &device));
    *device = (mdl_device){.backend = self, .real = options->real, .threads = 1};
    *out = device;
    return MDL_OK;
}

static void ref_close(mdl_device *device)
{
    mdl_free(device);
}

static mdl_status ref_buffer_create(mdl_device *device, size_t bytes, const char *tag,
                                    mdl_buffer **out)
{
    mdl_buffer *buffer;
    *out = NULL;
    MDL_TRY(MDL_NEW(1, tag, &buffer));
    mdl_status status = mdl_alloc(bytes, 1, tag, &buffer->host);
    if (status != MDL_OK) {
        mdl_free(buffer);
        return status;
    }
    buffer->device = device;
    buffer->bytes = bytes;
    *out = buffer;
    return MDL_OK;
}

static void ref_buffer_destroy(mdl_buffer *buffer)
{
    mdl_free(buffer->host);
    mdl_free(buffer);
}

static mdl_status ref_upload(mdl_buffer *to, size_t offset, const void *from, size_t bytes)
{
    memcpy((char *)to->host + offset, from, bytes);
    return MDL_OK;
}

static mdl_status ref_download(const mdl_buffer *from, size_t offset, void *to, size_t bytes)
{
    memcpy(to, (const char *)from->host + offset, bytes);
    return MDL_OK;
}

static mdl_status ref_copy(mdl_buffer *to, size_t to_offset, const mdl_buffer *from,
                           size_t from_offset, size_t bytes)
{
    memmove((char *)to->host + to_offset, (const char *)from->host + from_offset, bytes);
    return MDL_OK;
}

static mdl_status ref_finish(mdl_device *device)
{
    (void)device;
    return MDL_OK;
}

static mdl_status ref_run(mdl_device *device, const mdl_call *calls, size_t n, double *seconds)
{
    for (size_t i = 0; i < n; i++) {
        if (calls[i].kernel == NULL || calls[i].kernel->run == NULL) {
            return mdl_fail(MDL_INVALID, "reference: call %zu (%s) has no kernel; route it first",
                            i, mdl_op_get(calls[i].op)->name);
        }
        double start = seconds != NULL ? mdl_time() : 0;
        calls[i].kernel->run(device, &calls[i], 0, 1);
        if (seconds != NULL)
            seconds[i] += mdl_time() - start;
    }
    return MDL_OK;
}

const mdl_backend mdl_backend_reference = {
    .name = "reference",
    .summary = "naive loops in float32 or float64; the oracle, slow",
    .host_memory = true,
    .supports_f64 = true,
    .devices = ref_devices,
    .open = ref_open,
    .close = ref_close,
    .buffer_create = ref_buffer_create,
    .buffer_destroy = ref_buffer_destroy,
    .upload = ref_upload,
    .download = ref_download,
    .copy = ref_copy,
    .finish = ref_finish,
    .run = ref_run,
    .kernels = ref_kernels,
};
