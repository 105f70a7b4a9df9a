/* For tests that call single ops with hand-made data: the devices to try, tensors that are freed
 * together, and a call that must succeed. */
#ifndef MDL_TESTS_OP_NOW_H
#define MDL_TESTS_OP_NOW_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dispatch/dispatch.h"

typedef struct now_spec { /* a device to try */
    const char *backend;
    mdl_dtype real;
    int threads;
    double tolerance; /* relative error of a few roundings */
} now_spec;

/* Five threads are more than the tests' arrays have chunks. */
static const now_spec now_specs[] = {
    {"reference", MDL_F64, 1, 1e-12}, {"reference", MDL_F32, 1, 1e-6}, {"cpu", MDL_F32, 1, 1e-6},
    {"cpu", MDL_F32, 2, 1e-6},        {"cpu", MDL_F32, 5, 1e-6},
};

enum { NOW_TENSORS = 32 };
typedef struct now { /* an open device with what was made on it */
    mdl_device *device;
    mdl_scratch scratch;
    mdl_buffer *buffers[NOW_TENSORS];
    int n_buffers;
} now;

static inline void now_check(mdl_status status)
{
    if (status != MDL_OK)
        fail_msg("%s: %s", mdl_status_text(status), mdl_error_detail());
}

static inline void now_open(now *n, const now_spec *spec)
{
    *n = (now){0};
    now_check(mdl_device_open(spec->backend, spec->threads, spec->real, &n->device));
}

static inline void now_close(now *n)
{
    for (int i = 0; i < n->n_buffers; i++)
        mdl_buffer_destroy(n->buffers[i]);
    mdl_buffer_destroy(n->scratch.buffer);
    mdl_device_close(n->device);
    *n = (now){0};
}

/* A tensor; zeros where `values` is NULL. */
static inline mdl_view now_typed(now *n, mdl_dtype dtype, mdl_shape shape)
{
    mdl_buffer **buffer = &n->buffers[n->n_buffers];
    assert_true(n->n_buffers < NOW_TENSORS);
    size_t bytes = mdl_shape_count(&shape) * mdl_dtype_size(dtype);
    now_check(mdl_buffer_create(n->device, bytes, "test", buffer));
    n->n_buffers++;
    return mdl_buffer_view(*buffer, 0, dtype, shape);
}
static inline mdl_view now_tensor(now *n, mdl_shape shape, const double *values)
{
    mdl_view view = now_typed(n, n->device->real, shape);
    if (values != NULL)
        now_check(mdl_view_upload_f64(&view, values, mdl_shape_count(&shape)));
    return view;
}
static inline mdl_view now_labels(now *n, size_t count, const int32_t *values)
{
    mdl_view view = now_typed(n, MDL_I32, MDL_SHAPE1(count));
    now_check(mdl_view_upload_i32(&view, values, count));
    return view;
}

static inline void now_run(now *n, mdl_op op, const mdl_attrs *attrs, const mdl_view *in, int n_in,
                           const mdl_view *out, int n_out)
{
    now_check(mdl_dispatch_now(n->device, &n->scratch, op, attrs, in, n_in, out, n_out));
}

static inline void now_read(const mdl_view *view, double *values)
{
    now_check(mdl_view_download_f64(view, values, mdl_shape_count(&view->shape)));
}

/* |got - expected| <= tolerance * max(|expected|, 1); NaN fails. */
static inline void now_near(double got, double expected, double tolerance)
{
    double size = expected < 0 ? -expected : expected;
    double error = got < expected ? expected - got : got - expected;
    if (!(error <= tolerance * (size > 1 ? size : 1)))
        fail_msg("got %.17g, expected %.17g", got, expected);
}
static inline void now_expect(const mdl_view *view, const double *expected, double tolerance)
{
    size_t count = mdl_shape_count(&view->shape);
    double *got = test_calloc(count, sizeof(*got));
    now_read(view, got);
    for (size_t i = 0; i < count; i++)
        now_near(got[i], expected[i], tolerance);
    test_free(got);
}

#endif
