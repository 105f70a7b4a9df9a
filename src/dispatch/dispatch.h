/* Dispatch: finds backends and devices, routes each op to a kernel (or, explicitly and logged, to
 * the reference backend), runs calls, keeps traces and times.  The only door to the backends. */
#ifndef MDL_DISPATCH_H
#define MDL_DISPATCH_H

#include "backends/backend.h"

/* ---- backends and devices ------------------------------------------------------------------- */

int mdl_backend_count(void);
const mdl_backend *mdl_backend_at(int index);
/* The backend of "cpu", "reference", "name:selector"; MDL_NOT_FOUND with the list of names. */
mdl_status mdl_backend_find(const char *spec, const mdl_backend **out) MDL_MUST_CHECK;
/* Open "cpu", "reference", "name:selector".  An unknown name fails with the list of names. */
mdl_status mdl_device_open(const char *spec, int threads, mdl_dtype real,
                           mdl_device **out) MDL_MUST_CHECK;
/* Another team of threads with the same kernels, which may work on the buffers of `device` at the
 * same time; MDL_UNSUPPORTED where the memory is not the host's. */
mdl_status mdl_device_twin(const mdl_device *device, int threads, mdl_device **out) MDL_MUST_CHECK;
void mdl_device_close(mdl_device *device); /* NULL is allowed; destroy its buffers first */
/* Counters of the device, zero where its backend keeps none. */
mdl_device_stats mdl_device_get_stats(const mdl_device *device);

/* What the bytes of its results depend on, beside what is computed and a tuning table: version,
 * backend, instruction set or device, as "0.1.0, cpu, avx512".  Threads do not matter. */
void mdl_device_bits(const mdl_device *device, char *text, size_t size);

/* ---- memory --------------------------------------------------------------------------------- */

mdl_status mdl_buffer_create(mdl_device *device, size_t bytes, const char *tag,
                             mdl_buffer **out) MDL_MUST_CHECK; /* zeroed */
/* One that may consist of several pieces of device->slab bytes, none of which a tensor may leave.
 */
mdl_status mdl_buffer_create_slabs(mdl_device *device, size_t bytes, const char *tag,
                                   mdl_buffer **out) MDL_MUST_CHECK;
void mdl_buffer_destroy(mdl_buffer *buffer); /* NULL is allowed */
mdl_status mdl_buffer_upload(mdl_buffer *to, size_t offset, const void *from,
                             size_t bytes) MDL_MUST_CHECK;
mdl_status mdl_buffer_download(const mdl_buffer *from, size_t offset, void *to,
                               size_t bytes) MDL_MUST_CHECK;
mdl_status mdl_buffer_copy(mdl_buffer *to, size_t to_offset, const mdl_buffer *from,
                           size_t from_offset, size_t bytes) MDL_MUST_CHECK;
/* A view of `shape` at `offset` bytes. */
mdl_view mdl_buffer_view(mdl_buffer *buffer, size_t offset, mdl_dtype dtype, mdl_shape shape);
/* Upload what comes at every step; it may go up while the step before still runs. */
mdl_status mdl_view_stream(const mdl_view *to, const void *from, mdl_dtype dtype,
                           size_t count) MDL_MUST_CHECK;
/* Host float64 or float32 values to and from a view of the device's floating type. */
mdl_status mdl_view_upload_f64(const mdl_view *to, const double *from, size_t count) MDL_MUST_CHECK;
mdl_status mdl_view_upload_f32(const mdl_view *to, const float *from, size_t count) MDL_MUST_CHECK;
mdl_status mdl_view_upload_i32(const mdl_view *to, const int32_t *from,
                               size_t count) MDL_MUST_CHECK;
mdl_status mdl_view_download_f64(const mdl_view *from, double *to, size_t count) MDL_MUST_CHECK;
mdl_status mdl_view_download_f32(const mdl_view *from, float *to, size_t count) MDL_MUST_CHECK;

/* ---- routing and running -------------------------------------------------------------------- */

/* Choose the kernel of a call by its op, attributes and descriptions (data not needed); fails
 * where neither the backend nor the fallback can do it. */
mdl_status mdl_dispatch_route(mdl_device *device, mdl_call *call) MDL_MUST_CHECK;
bool mdl_dispatch_is_fallback(const mdl_device *device, const mdl_call *call);
/* Whether the device's own backend, not the fallback, has a kernel for the call. */
bool mdl_dispatch_offers(const mdl_device *device, const mdl_call *call);
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

/* ---- tuning --------------------------------------------------------------------------------- */
/* Where a kernel has several ways (mdl_kernel.variant), a table says which serves a call: measured
 * by `mendel bench --tune`, kept in the user's cache folder, looked up when a call is routed. */

typedef struct mdl_tuning mdl_tuning;
mdl_status mdl_tuning_create(mdl_tuning **out) MDL_MUST_CHECK;
void mdl_tuning_destroy(mdl_tuning *tuning); /* NULL is allowed */
size_t mdl_tuning_count(const mdl_tuning *tuning);
/* A call by what its time depends on: op, attributes of convolutions, shapes, type. */
#define MDL_TUNING_TEXT 640
const char *mdl_tuning_name(const mdl_call *call, char text[MDL_TUNING_TEXT]);
/* The variant for a call of that name; NULL where there is none. */
const char *mdl_tuning_find(const mdl_tuning *tuning, const char *call);
mdl_status mdl_tuning_put(mdl_tuning *tuning, const char *call, const char *variant) MDL_MUST_CHECK;

/* Parameters of the backend's library for the whole device (mdl_backend.parameters); NULL: its own.
 */
#define MDL_PARAMETERS_TEXT 256
const char *mdl_tuning_parameters(const mdl_tuning *tuning);
mdl_status mdl_tuning_set_parameters(mdl_tuning *tuning, const char *set) MDL_MUST_CHECK;

/* A table as JSON: {"format": "mendel tuning 1", "version", "backend", "device", "parameters"
 * (where they are not the backend's own), "calls": {name: variant}}.  Reading fails with MDL_FORMAT
 * where it is damaged, and with MDL_UNSUPPORTED where another backend, device or version of the
 * program made it, or the device cannot use the parameters (device NULL: not checked). */
mdl_status mdl_tuning_write(const mdl_tuning *tuning, const mdl_device *device,
                            const char *path) MDL_MUST_CHECK;
mdl_status mdl_tuning_read(const char *path, const mdl_device *device,
                           mdl_tuning **out) MDL_MUST_CHECK;
/* Where the device's own table lies: $XDG_CACHE_HOME (or ~/.cache) /mendel/tuning-*.json. */
mdl_status mdl_tuning_path(const mdl_device *device, char path[MDL_PATH_MAX]) MDL_MUST_CHECK;

/* Use a table (taken; NULL: none) for the calls that are routed from now on, and its parameters for
 * all that run, or with a warning the backend's own where the device cannot use them. */
void mdl_device_set_tuning(mdl_device *device, mdl_tuning *tuning);
/* The same by a setting: "off"; "auto": the device's own table if there is one, which is ignored
 * with a warning where it is damaged or stale; or a file, which must serve. */
mdl_status mdl_tuning_use(mdl_device *device, const char *setting) MDL_MUST_CHECK;
/* The same for a run that keeps its files in `folder`: it leaves its table there as tuning.json,
 * and one that goes on uses that (or none, as it began), so that its results stay the same to the
 * last bit. */
mdl_status mdl_tuning_use_in(mdl_device *device, const char *setting, const char *folder,
                             bool goes_on) MDL_MUST_CHECK;
/* Give all ranks the table of rank 0, so that their kernels round alike. */
mdl_status mdl_tuning_share(const mdl_comm *comm, mdl_device *device) MDL_MUST_CHECK;
/* The part of it that writes, for a run that checks other things first: the device's table as
 * tuning.json in `folder`; without a table none stays there. */
mdl_status mdl_tuning_leave(const mdl_device *device, const char *folder) MDL_MUST_CHECK;

#endif
