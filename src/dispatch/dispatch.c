/* Routing and running of calls. */
#include "dispatch/host.h"
#include "dispatch/tuning.h"

#include <stdatomic.h>

/* Which fallbacks were logged, so that each op is named once. */
static atomic_bool fallback_logged[MDL_OP_COUNT];

static bool can_run(const mdl_kernel *kernel, const mdl_call *call)
{
    return kernel->run != NULL && (kernel->supports == NULL || kernel->supports(call));
}

mdl_status mdl_dispatch_route(mdl_device *device, mdl_call *call)
{
    const mdl_backend *backend = device->backend;
    const mdl_kernel *own = &backend->kernels[call->op];
    const mdl_kernel *fallback = &mdl_backend_reference.kernels[call->op];
    call->kernel = NULL;
    call->variant = 0;
    if (can_run(own, call)) {
        call->kernel = own;
        call->variant = mdl__tuned_variant(device, call);
        return MDL_OK;
    }
    const char *op = mdl_op_get(call->op)->name;
    if (!can_run(fallback, call))
        return mdl_fail(MDL_UNSUPPORTED, "backend %s has no kernel for %s, and no other can serve",
                        backend->name, op);
    if (!atomic_exchange(&fallback_logged[call->op], true))
        mdl_log(MDL_LOG_WARN, "backend %s has no kernel for %s here: the reference kernel serves%s",
                backend->name, op,
                backend->host_memory ? "" : " on the host, and its data crosses at every call");
    call->kernel = fallback;
    return backend->host_memory ? MDL_OK : mdl__host_reserve(device, call);
}

bool mdl_dispatch_is_fallback(const mdl_device *device, const mdl_call *call)
{
    return call->kernel != NULL && call->kernel != &device->backend->kernels[call->op];
}

bool mdl_dispatch_offers(const mdl_device *device, const mdl_call *call)
{
    return can_run(&device->backend->kernels[call->op], call);
}

size_t mdl_dispatch_workspace(const mdl_device *device, const mdl_call *call)
{
    const mdl_kernel *kernel = call->kernel;
    if (kernel == NULL || kernel->workspace == NULL)
        return 0;
    return kernel->workspace(call, kernel->serial ? 1 : device->threads);
}

/* On host memory the backend runs the reference kernels like its own; else the calls between them
 * go to it in pieces. */
static mdl_status run_all(mdl_device *device, const mdl_call *calls, size_t n, double *seconds)
{
    const mdl_backend *backend = device->backend;
    if (backend->host_memory)
        return backend->run(device, calls, n, seconds);
    for (size_t i = 0, end; i < n; i = end) {
        end = i;
        while (end < n && !mdl_dispatch_is_fallback(device, &calls[end]))
            end++;
        if (end > i) {
            MDL_TRY(backend->run(device, calls + i, end - i, seconds != NULL ? seconds + i : NULL));
            continue;
        }
        double start = mdl_time();
        MDL_TRY(mdl__host_run(device, &calls[end]));
        if (seconds != NULL)
            seconds[end] += mdl_time() - start;
        end++;
    }
    return MDL_OK;
}

mdl_status mdl_dispatch_run(mdl_device *device, const mdl_call *calls, size_t n, double *seconds)
{
    for (size_t i = 0; i < n; i++)
        if (calls[i].kernel == NULL)
            return mdl_fail(MDL_INVALID, "call %zu (%s) was not routed", i,
                            mdl_op_get(calls[i].op)->name);
    if (n == 0)
        return MDL_OK;
    double start = mdl_time();
    mdl_status status = run_all(device, calls, n, seconds);
    device->host_seconds += mdl_time() - start;
    device->calls += n;
    return status;
}

/* ---- one op now ----------------------------------------------------------------------------- */

static mdl_status check_outputs(const mdl_device *device, const mdl_call *call)
{
    const mdl_op_def *def = mdl_op_get(call->op);
    mdl_desc in[MDL_MAX_IN], expected[MDL_MAX_OUT];
    int n_expected = 0;
    for (int i = 0; i < call->n_in; i++)
        in[i] = (mdl_desc){call->in[i].dtype, call->in[i].shape};
    MDL_TRY(def->infer(call->attrs, device->real, in, call->n_in, expected, &n_expected));
    if (n_expected != call->n_out)
        return mdl_fail(MDL_SHAPE, "%s: %d outputs given, expected %d", def->name, call->n_out,
                        n_expected);
    for (int j = 0; j < call->n_out; j++) {
        char want[MDL_SHAPE_TEXT], got[MDL_SHAPE_TEXT];
        if (call->out[j].dtype != expected[j].dtype ||
            !mdl_shape_equal(&call->out[j].shape, &expected[j].shape))
            return mdl_fail(
                MDL_SHAPE, "%s: output %d is %s %s, expected %s %s", def->name, j,
                mdl_dtype_name(call->out[j].dtype), mdl_shape_text(&call->out[j].shape, got),
                mdl_dtype_name(expected[j].dtype), mdl_shape_text(&expected[j].shape, want));
    }
    return MDL_OK;
}

static mdl_status ensure_scratch(mdl_device *device, mdl_scratch *scratch, size_t bytes)
{
    if (bytes == 0 || (scratch->buffer != NULL && scratch->buffer->bytes >= bytes))
        return MDL_OK;
    mdl_buffer_destroy(scratch->buffer);
    scratch->buffer = NULL;
    return mdl_buffer_create(device, bytes, "workspace", &scratch->buffer);
}

mdl_status mdl_dispatch_now(mdl_device *device, mdl_scratch *scratch, mdl_op op,
                            const mdl_attrs *attrs, const mdl_view *in, int n_in,
                            const mdl_view *out, int n_out)
{
    static const mdl_attrs no_attrs;
    static const mdl_step_state no_state = {.bn_momentum = -1.0};
    if (n_in < 0 || n_in > MDL_MAX_IN || n_out < 1 || n_out > MDL_MAX_OUT)
        return mdl_fail(MDL_INVALID, "%s: %d inputs and %d outputs", mdl_op_get(op)->name, n_in,
                        n_out);
    mdl_call call = {.op = op,
                     .attrs = attrs != NULL ? attrs : &no_attrs,
                     .n_in = n_in,
                     .n_out = n_out,
                     .state = &no_state};
    for (int i = 0; i < n_in; i++)
        call.in[i] = in[i];
    for (int j = 0; j < n_out; j++)
        call.out[j] = out[j];
    MDL_TRY(check_outputs(device, &call));
    MDL_TRY(mdl_dispatch_route(device, &call));
    size_t bytes = mdl_dispatch_workspace(device, &call);
    MDL_TRY(ensure_scratch(device, scratch, bytes));
    if (bytes > 0)
        call.workspace =
            mdl_buffer_view(scratch->buffer, 0, MDL_F32, MDL_SHAPE1(bytes / sizeof(float)));
    return mdl_dispatch_run(device, &call, 1, NULL);
}
