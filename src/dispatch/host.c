/* Calls that a device with memory of its own has no kernel for: their data comes down, the
 * reference kernel runs on the host, the results go up.  Slow, but explicit (the plan lists them)
 * and right. */
#include "dispatch/host.h"

static size_t view_bytes(const mdl_view *view)
{
    if (view->shape.rank == 0)
        return 0;
    return mdl_shape_count(&view->shape) * mdl_dtype_size(view->dtype);
}

static size_t room(const mdl_view *view)
{
    return mdl_round_up(view_bytes(view), MDL_ALIGNMENT);
}

mdl_status mdl__host_reserve(mdl_device *device, const mdl_call *call)
{
    size_t bytes = 0;
    for (int i = 0; i < call->n_in; i++)
        bytes += room(&call->in[i]);
    for (int j = 0; j < call->n_out; j++)
        bytes += room(&call->out[j]);
    if (bytes <= device->fallback_bytes)
        return MDL_OK;
    mdl_free(device->fallback);
    device->fallback_bytes = 0;
    MDL_TRY(mdl_alloc(bytes, 1, "data of calls on the host", &device->fallback));
    device->fallback_bytes = bytes;
    return MDL_OK;
}

/* Give the view memory on the host, with what the device has. */
static mdl_status bring(mdl_view *view, char **at)
{
    size_t bytes = view_bytes(view);
    if (bytes == 0)
        return MDL_OK;
    view->host = *at;
    *at += room(view);
    return mdl_buffer_download(view->buffer, view->offset, view->host, bytes);
}

static mdl_status take(const mdl_view *view)
{
    return mdl_buffer_upload(view->buffer, view->offset, view->host, view_bytes(view));
}

mdl_status mdl__host_run(mdl_device *device, const mdl_call *call)
{
    mdl_call here = *call;
    MDL_TRY(mdl__host_reserve(device, call)); /* nothing new, unless it was routed for a twin */
    char *at = device->fallback;
    for (int i = 0; i < here.n_in; i++)
        MDL_TRY(bring(&here.in[i], &at));
    for (int j = 0; j < here.n_out; j++)
        MDL_TRY(bring(&here.out[j], &at));
    call->kernel->run(device, &here, 0, 1);
    for (int j = 0; j < here.n_out; j++)
        MDL_TRY(take(&here.out[j]));
    for (int i = 3; call->op == MDL_OP_BATCH_NORM && i <= 4; i++) /* running statistics */
        MDL_TRY(take(&here.in[i]));
    return MDL_OK;
}
