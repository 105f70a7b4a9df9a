/* Device memory: range checks before the backend's functions, and conversion between the host's
 * numbers and those of the device. */
#include "dispatch/dispatch.h"

static mdl_status check_range(const mdl_buffer *buffer, size_t offset, size_t bytes,
                              const char *what)
{
    if (offset > buffer->bytes || bytes > buffer->bytes - offset)
        return mdl_fail(MDL_INVALID, "%s: %zu bytes at %zu do not lie in a buffer of %zu", what,
                        bytes, offset, buffer->bytes);
    return MDL_OK;
}

mdl_status mdl_buffer_create(mdl_device *device, size_t bytes, const char *tag, mdl_buffer **out)
{
    *out = NULL;
    if (device->slab > 0 && bytes > device->slab)
        return mdl_fail(MDL_MEMORY_LIMIT,
                        "%s: %zu bytes are needed in one piece, the device gives at most %zu; a "
                        "smaller model or `run.backend=cpu` helps",
                        tag, bytes, device->slab);
    return device->backend->buffer_create(device, bytes, tag, out);
}

mdl_status mdl_buffer_create_slabs(mdl_device *device, size_t bytes, const char *tag,
                                   mdl_buffer **out)
{
    return device->backend->buffer_create(device, bytes, tag, out);
}

void mdl_buffer_destroy(mdl_buffer *buffer)
{
    if (buffer != NULL)
        buffer->device->backend->buffer_destroy(buffer);
}

mdl_status mdl_buffer_upload(mdl_buffer *to, size_t offset, const void *from, size_t bytes)
{
    MDL_TRY(check_range(to, offset, bytes, "upload"));
    double start = mdl_time();
    mdl_status status = to->device->backend->upload(to, offset, from, bytes);
    to->device->host_seconds += mdl_time() - start;
    return status;
}

mdl_status mdl_buffer_download(const mdl_buffer *from, size_t offset, void *to, size_t bytes)
{
    MDL_TRY(check_range(from, offset, bytes, "download"));
    return from->device->backend->download(from, offset, to, bytes);
}

mdl_status mdl_buffer_copy(mdl_buffer *to, size_t to_offset, const mdl_buffer *from,
                           size_t from_offset, size_t bytes)
{
    MDL_TRY(check_range(to, to_offset, bytes, "copy, target"));
    MDL_TRY(check_range(from, from_offset, bytes, "copy, source"));
    if (to->device != from->device && (to->host == NULL || from->host == NULL))
        return mdl_fail(MDL_INVALID, "copy: the buffers belong to different devices");
    return to->device->backend->copy(to, to_offset, from, from_offset, bytes);
}

mdl_view mdl_buffer_view(mdl_buffer *buffer, size_t offset, mdl_dtype dtype, mdl_shape shape)
{
    return (mdl_view){.dtype = dtype,
                      .shape = shape,
                      .host = buffer->host != NULL ? (char *)buffer->host + offset : NULL,
                      .buffer = buffer,
                      .offset = offset};
}

/* ---- conversion ----------------------------------------------------------------------------- */

static mdl_status check_view(const mdl_view *view, size_t count, const char *what)
{
    size_t have = view->shape.rank > 0 ? mdl_shape_count(&view->shape) : 0;
    if (view->buffer == NULL || count > have)
        return mdl_fail(MDL_SHAPE, "%s: %zu elements do not fit a view of %zu", what, count, have);
    return MDL_OK;
}

/* Elements are converted in pieces of this many, on the stack. */
#define PIECE 1024

/* Element i of numbers of a floating type. */
static double get_number(const void *data, mdl_dtype dtype, size_t i)
{
    return dtype == MDL_F64 ? ((const double *)data)[i] : (double)((const float *)data)[i];
}

static void set_number(void *data, mdl_dtype dtype, size_t i, double value)
{
    if (dtype == MDL_F64)
        ((double *)data)[i] = value;
    else
        ((float *)data)[i] = (float)value;
}

static mdl_status upload(const mdl_view *to, const void *from, mdl_dtype dtype, size_t count)
{
    MDL_TRY(check_view(to, count, "upload"));
    size_t size = mdl_dtype_size(to->dtype);
    if (to->dtype == dtype)
        return mdl_buffer_upload(to->buffer, to->offset, from, count * size);
    if (to->dtype == MDL_I32 || dtype == MDL_I32)
        return mdl_fail(MDL_INVALID, "upload: %s to a view of %s", mdl_dtype_name(dtype),
                        mdl_dtype_name(to->dtype));
    double piece[PIECE];
    for (size_t first = 0; first < count; first += PIECE) {
        size_t n = mdl_min_size(PIECE, count - first);
        for (size_t i = 0; i < n; i++)
            set_number(piece, to->dtype, i, get_number(from, dtype, first + i));
        MDL_TRY(mdl_buffer_upload(to->buffer, to->offset + first * size, piece, n * size));
    }
    return MDL_OK;
}

static mdl_status download(const mdl_view *from, void *to, mdl_dtype dtype, size_t count)
{
    MDL_TRY(check_view(from, count, "download"));
    size_t size = mdl_dtype_size(from->dtype);
    if (from->dtype == dtype)
        return mdl_buffer_download(from->buffer, from->offset, to, count * size);
    if (from->dtype == MDL_I32 || dtype == MDL_I32)
        return mdl_fail(MDL_INVALID, "download: %s from a view of %s", mdl_dtype_name(dtype),
                        mdl_dtype_name(from->dtype));
    double piece[PIECE];
    for (size_t first = 0; first < count; first += PIECE) {
        size_t n = mdl_min_size(PIECE, count - first);
        MDL_TRY(mdl_buffer_download(from->buffer, from->offset + first * size, piece, n * size));
        for (size_t i = 0; i < n; i++)
            set_number(to, dtype, first + i, get_number(piece, from->dtype, i));
    }
    return MDL_OK;
}

mdl_status mdl_view_stream(const mdl_view *to, const void *from, mdl_dtype dtype, size_t count)
{
    mdl_device *device = to->buffer != NULL ? to->buffer->device : NULL;
    if (device == NULL || device->backend->stream == NULL || to->dtype != dtype)
        return upload(to, from, dtype, count);
    MDL_TRY(check_view(to, count, "upload"));
    double start = mdl_time();
    mdl_status status =
        device->backend->stream(to->buffer, to->offset, from, count * mdl_dtype_size(dtype));
    device->host_seconds += mdl_time() - start;
    return status;
}

mdl_status mdl_view_upload_f64(const mdl_view *to, const double *from, size_t count)
{
    return upload(to, from, MDL_F64, count);
}

mdl_status mdl_view_upload_f32(const mdl_view *to, const float *from, size_t count)
{
    return upload(to, from, MDL_F32, count);
}

mdl_status mdl_view_upload_i32(const mdl_view *to, const int32_t *from, size_t count)
{
    return upload(to, from, MDL_I32, count);
}

mdl_status mdl_view_download_f64(const mdl_view *from, double *to, size_t count)
{
    return download(from, to, MDL_F64, count);
}

mdl_status mdl_view_download_f32(const mdl_view *from, float *to, size_t count)
{
    return download(from, to, MDL_F32, count);
}
