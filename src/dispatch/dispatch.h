/* Dispatch: finds backends and devices, routes each op to a kernel (or, explicitly and logged, to
 * the reference backend), runs calls, keeps traces and times.  The only door to the backends. */
#ifndef MDL_DISPATCH_H
#define MDL_DISPATCH_H

#include "backends/backend.h"

/* ---- backends and devices ------------------------------------------------------------------- */

int mdl_backend_count(void);
const mdl_backend *mdl_backend_at(int index);
/* Open "cpu", "reference", "name:selector".  An unknown name fails with the list of names. */
mdl_status mdl_device_open(const char *spec, int threads, mdl_dtype real,
                           mdl_device **out) MDL_MUST_CHECK;
void mdl_device_close(mdl_device *device); /* NULL is allowed; destroy its buffers first */
/* Counters of the device, zero where its backend keeps none. */
mdl_device_stats mdl_device_get_stats(const mdl_device *device);

/* ---- memory -------------------------------------------------------------------------------- */

mdl_status mdl_buffer_create(mdl_device *device, size_t bytes, const char *tag,
                             mdl_buffer **out) MDL_MUST_CHECK; /* zeroed */
void mdl_buffer_destroy(mdl_buffer *buffer);                   /* NULL is allowed */
mdl_status mdl_buffer_upload(mdl_buffer *to, size_t offset, const void *from,
                             size_t bytes) MDL_MUST_CHECK;
mdl_status mdl_buffer_download(const mdl_buffer *from, size_t offset, void *to,
                               size_t bytes) MDL_MUST_CHECK;
mdl_status mdl_buffer_copy(mdl_buffer *to, size_t to_offset, const mdl_buffer *from,
                           size_t from_offset, size_t bytes) MDL_MUST_CHECK;
/* A view of `shape` at `offset` bytes. */
mdl_view mdl_buffer_view(mdl_buffer *buffer, size_t offset, mdl_dtype dtype, mdl_shape shape);
/* Host float64 or float32 values to and from a view of the device's floating type. */
mdl_status mdl_view_upload_f64(const mdl_view *to, const double *from, size_t count) MDL_MUST_CHECK;
mdl_status mdl_view_upload_f32(const mdl_view *to, const float *from, size_t count) MDL_MUST_CHECK;
mdl_status mdl_view_upload_i32(const mdl_view *to, const int32_t *from,
                               size_t count) MDL_MUST_CHECK;
mdl_status mdl_view_download_f64(const mdl_view *from, double *to, size_t count) MDL_MUST_CHECK;
mdl_status mdl_view_download_f32(const mdl_view *from, float *to, size_t count) MDL_MUST_CHECK;

/* ---- routing and running ------------------------------------------------------------------- */

/* Choose the kernel of a call by its op, attributes and descriptions (data not needed); fails
 * where neither the backend nor the fallback can do it. */
mdl_status mdl_dispatch_route(mdl_device *device, mdl_call *call) MDL_MUST_CHECK;
bool mdl_dispatch_is_fallback(const mdl_device *device, const mdl_call *call);
size_t mdl_dispatch_workspace(const mdl_device *device, const mdl_call *call); /* bytes */
mdl_status mdl_dispatch_run(mdl_device *device, const mdl_call *calls, size_t n,
                            double *seconds) MDL_MUST_CHECK;

/* Route and run one op now: the door for optimizers and merging.  Workspace comes from a scratch
 * buffer of `scratch`, which grows when needed and may be shared by calls on one device. */
typedef struct mdl_scratch {
    mdl_buffer *buffer;
} mdl_scratch;
mdl_status mdl_dispatch_now(mdl_device *device, mdl_scratch *scratch, mdl_op op,
                            const mdl_attrs *attrs, const mdl_view *in, int n_in,
                            const mdl_view *out, int n_out) MDL_MUST_CHECK;

#endif
