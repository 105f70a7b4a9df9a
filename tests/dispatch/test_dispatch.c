/* Dispatch: names of backends, ranges of buffers, conversion of numbers, explicit fallback, refusal
 * of wrong shapes; and that the cpu backend's results do not depend on the number of threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dispatch/dispatch.h"

#include <math.h>
#include <string.h>

static mdl_device *cpu;

static int open_cpu(void **state)
{
    (void)state;
    return mdl_device_open("cpu", 2, MDL_F32, &cpu) == MDL_OK ? 0 : -1;
}

static int close_cpu(void **state)
{
    (void)state;
    mdl_device_close(cpu);
    return 0;
}

static void test_names(void **state)
{
    (void)state;
    mdl_device *device;
    assert_true(mdl_backend_count() >= 2);
    for (int i = 0; i < mdl_backend_count(); i++) {
        if (!mdl_backend_at(i)->host_memory)
            continue; /* not on every machine; tests/opencl/test_program.sh */
        assert_int_equal(mdl_device_open(mdl_backend_at(i)->name, 1, MDL_F32, &device), MDL_OK);
        assert_string_equal(device->backend->name, mdl_backend_at(i)->name);
        mdl_device_close(device);
    }
    assert_null(mdl_backend_at(-1));
    assert_null(mdl_backend_at(mdl_backend_count()));
    assert_int_equal(mdl_device_open("cpux", 1, MDL_F32, &device), MDL_NOT_FOUND);
    assert_non_null(strstr(mdl_error_detail(), "cpu, reference"));
    assert_null(device);
    assert_int_equal(mdl_device_open("cp", 1, MDL_F32, &device), MDL_NOT_FOUND);
    assert_int_equal(mdl_device_open("", 1, MDL_F32, &device), MDL_NOT_FOUND);
    assert_int_equal(mdl_device_open("cpu:z80", 1, MDL_F32, &device), MDL_NOT_FOUND);
    assert_int_equal(mdl_device_open("cpu", -1, MDL_F32, &device), MDL_INVALID);
    assert_int_equal(mdl_device_open("cpu", 1, MDL_I32, &device), MDL_INVALID);
    assert_int_equal(mdl_device_open("cpu", 1, MDL_F64, &device), MDL_UNSUPPORTED);
    mdl_device_close(NULL);
}

static void test_ranges(void **state)
{
    (void)state;
    mdl_buffer *a, *b;
    char bytes[32] = "0123456789abcdef0123456789abcde";
    assert_int_equal(mdl_buffer_create(cpu, 16, "test", &a), MDL_OK);
    assert_int_equal(mdl_buffer_create(cpu, 32, "test", &b), MDL_OK);
    assert_int_equal(mdl_buffer_upload(a, 0, bytes, 16), MDL_OK);
    assert_int_equal(mdl_buffer_upload(a, 16, bytes, 0), MDL_OK);
    assert_int_equal(mdl_buffer_upload(a, 0, bytes, 17), MDL_INVALID);
    assert_int_equal(mdl_buffer_upload(a, 17, bytes, 0), MDL_INVALID);
    assert_int_equal(mdl_buffer_upload(a, 8, bytes, SIZE_MAX - 4), MDL_INVALID);
    assert_int_equal(mdl_buffer_download(a, 1, bytes, 16), MDL_INVALID);
    assert_int_equal(mdl_buffer_copy(b, 16, a, 0, 16), MDL_OK);
    assert_int_equal(mdl_buffer_copy(b, 17, a, 0, 16), MDL_INVALID);
    assert_int_equal(mdl_buffer_copy(b, 0, a, 8, 16), MDL_INVALID);
    assert_int_equal(mdl_buffer_copy(b, 4, b, 16, 16), MDL_OK); /* parts of one buffer may meet */
    assert_int_equal(mdl_buffer_download(b, 4, bytes, 16), MDL_OK);
    assert_memory_equal(bytes, "0123456789abcdef", 16);
    mdl_buffer_destroy(a);
    mdl_buffer_destroy(b);
    mdl_buffer_destroy(NULL);
}

static void test_conversion(void **state)
{
    (void)state;
    enum { COUNT = 2500 }; /* more than one piece */
    static double in[COUNT], out[COUNT];
    static float singles[COUNT];
    mdl_device *reference;
    mdl_buffer *buffer, *wide;
    assert_int_equal(mdl_device_open("reference", 1, MDL_F64, &reference), MDL_OK);
    assert_int_equal(mdl_buffer_create(cpu, COUNT * sizeof(float) + 4, "test", &buffer), MDL_OK);
    assert_int_equal(mdl_buffer_create(reference, COUNT * sizeof(double), "test", &wide), MDL_OK);
    mdl_view view = mdl_buffer_view(buffer, 4, MDL_F32, MDL_SHAPE1(COUNT));
    mdl_view wide_view = mdl_buffer_view(wide, 0, MDL_F64, MDL_SHAPE1(COUNT));
    for (int i = 0; i < COUNT; i++)
        in[i] = 1.0 / (i + 1);
    assert_int_equal(mdl_view_upload_f64(&view, in, COUNT), MDL_OK);
    assert_int_equal(mdl_view_download_f64(&view, out, COUNT), MDL_OK);
    assert_int_equal(mdl_view_download_f32(&view, singles, COUNT), MDL_OK);
    for (int i = 0; i < COUNT; i++) {
        assert_true(out[i] == (double)(float)in[i]);
        assert_true(singles[i] == (float)in[i]);
    }
    assert_int_equal(mdl_view_upload_f32(&wide_view, singles, COUNT), MDL_OK);
    assert_int_equal(mdl_view_download_f64(&wide_view, in, COUNT), MDL_OK);
    assert_memory_equal(in, out, sizeof(in));
    assert_int_equal(mdl_view_upload_f64(&view, in, COUNT + 1), MDL_SHAPE);
    int32_t label = 1;
    assert_int_equal(mdl_view_upload_i32(&view, &label, 1), MDL_INVALID);
    assert_int_equal(mdl_view_upload_f32(&(mdl_view){0}, singles, 1), MDL_SHAPE);
    mdl_buffer_destroy(buffer);
    mdl_buffer_destroy(wide);
    mdl_device_close(reference);
}

static void test_now(void **state)
{
    (void)state;
    mdl_scratch scratch = {0};
    mdl_buffer *buffer;
    float x[6] = {1, 2, 3, 4, 5, 6}, sum[3];
    assert_int_equal(mdl_buffer_create(cpu, 64, "test", &buffer), MDL_OK);
    mdl_view in = mdl_buffer_view(buffer, 0, MDL_F32, MDL_SHAPE2(2, 3));
    mdl_view out = mdl_buffer_view(buffer, 32, MDL_F32, MDL_SHAPE1(3));
    assert_int_equal(mdl_view_upload_f32(&in, x, 6), MDL_OK);
    assert_int_equal(mdl_dispatch_now(cpu, &scratch, MDL_OP_SUM_ROWS, NULL, &in, 1, &out, 1),
                     MDL_OK);
    assert_int_equal(mdl_view_download_f32(&out, sum, 3), MDL_OK);
    assert_true(sum[0] == 5.0f && sum[1] == 7.0f && sum[2] == 9.0f);
    mdl_view narrow = mdl_buffer_view(buffer, 32, MDL_F32, MDL_SHAPE1(2));
    assert_int_equal(mdl_dispatch_now(cpu, &scratch, MDL_OP_SUM_ROWS, NULL, &in, 1, &narrow, 1),
                     MDL_SHAPE);
    mdl_view two[2] = {out, out};
    assert_int_equal(mdl_dispatch_now(cpu, &scratch, MDL_OP_SUM_ROWS, NULL, &in, 1, two, 2),
                     MDL_SHAPE);
    assert_int_equal(mdl_dispatch_now(cpu, &scratch, MDL_OP_SUM_ROWS, NULL, &in, 1, two, 0),
                     MDL_INVALID);
    mdl_call unrouted = {.op = MDL_OP_SUM_ROWS};
    assert_int_equal(mdl_dispatch_run(cpu, &unrouted, 1, NULL), MDL_INVALID);
    assert_int_equal(mdl_dispatch_run(cpu, NULL, 0, NULL), MDL_OK);
    mdl_buffer_destroy(buffer);
    mdl_buffer_destroy(scratch.buffer);
}

static int warnings;

static void count_warnings(void *user, mdl_log_level level, const char *text)
{
    (void)user;
    warnings += level == MDL_LOG_WARN && strstr(text, "batch_norm_infer") != NULL;
}

/* SiLU behind a BatchNorm is not among the cpu kernels. */
static void test_fallback(void **state)
{
    (void)state;
    mdl_attrs attrs = {.norm = {.eps = 1e-3, .act = MDL_ACT_SILU}};
    mdl_view c = {.dtype = MDL_F32, .shape = MDL_SHAPE1(3)};
    mdl_view x = {.dtype = MDL_F32, .shape = MDL_SHAPE2(2, 3)};
    mdl_call call = {.op = MDL_OP_BATCH_NORM_INFER,
                     .attrs = &attrs,
                     .n_in = 5,
                     .n_out = 1,
                     .in = {x, c, c, c, c},
                     .out = {x}};
    mdl_context_set_log(mdl_context_current(), count_warnings, NULL);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(mdl_dispatch_route(cpu, &call), MDL_OK);
        assert_true(mdl_dispatch_is_fallback(cpu, &call));
        assert_ptr_equal(call.kernel, &mdl_backend_reference.kernels[MDL_OP_BATCH_NORM_INFER]);
    }
    mdl_context_set_log(mdl_context_current(), NULL, NULL);
    assert_int_equal(warnings, 1);
    attrs.norm.act = MDL_ACT_RELU6;
    assert_int_equal(mdl_dispatch_route(cpu, &call), MDL_OK);
    assert_false(mdl_dispatch_is_fallback(cpu, &call));
    call.op = MDL_OP_VIEW;
    assert_int_equal(mdl_dispatch_route(cpu, &call), MDL_UNSUPPORTED);
}

/* ---- threads -------------------------------------------------------------------------------- */

enum { FLOATS = 1 << 18 };

/* What a call writes with so many threads; its data are made anew. */
static void run_with(int threads, mdl_call *call, float *result)
{
    mdl_device *device;
    mdl_buffer *buffer, *workspace;
    mdl_step_state step = {.bn_momentum = -1};
    mdl_rng rng = mdl_rng_init(7, 0);
    size_t offset = 0;
    assert_int_equal(mdl_device_open("cpu", threads, MDL_F32, &device), MDL_OK);
    assert_int_equal(mdl_buffer_create(device, FLOATS * sizeof(float), "test", &buffer), MDL_OK);
    for (int i = 0; i < FLOATS; i++)
        ((float *)buffer->host)[i] = (float)mdl_rng_uniform(&rng);
    for (int i = 0; i < call->n_in + call->n_out; i++) {
        mdl_view *v = i < call->n_in ? &call->in[i] : &call->out[i - call->n_in];
        *v = mdl_buffer_view(buffer, offset, MDL_F32, v->shape);
        offset += mdl_round_up(mdl_shape_count(&v->shape) * sizeof(float), MDL_ALIGNMENT);
    }
    assert_true(offset <= FLOATS * sizeof(float));
    call->state = &step;
    assert_int_equal(mdl_dispatch_route(device, call), MDL_OK);
    assert_false(mdl_dispatch_is_fallback(device, call));
    size_t bytes = mdl_dispatch_workspace(device, call);
    assert_int_equal(mdl_buffer_create(device, bytes, "test", &workspace), MDL_OK);
    call->workspace = mdl_buffer_view(workspace, 0, MDL_F32, MDL_SHAPE1(bytes / sizeof(float)));
    assert_int_equal(mdl_dispatch_run(device, call, 1, NULL), MDL_OK);
    memcpy(result, buffer->host, FLOATS * sizeof(float));
    mdl_buffer_destroy(workspace);
    mdl_buffer_destroy(buffer);
    mdl_device_close(device);
}

static void test_threads(void **state)
{
    (void)state;
    static float one[FLOATS], many[FLOATS];
    static const mdl_attrs norm = {.norm = {.eps = 1e-3, .momentum = 0.1}};
    static const mdl_attrs window = {.conv = {.kernel_h = 3,
                                              .kernel_w = 3,
                                              .stride = 1,
                                              .pad_top = 1,
                                              .pad_left = 1,
                                              .pad_bottom = 1,
                                              .pad_right = 1,
                                              .in_h = 7,
                                              .in_w = 9}};
    const mdl_view x = {.shape = MDL_SHAPE2(2311, 24)}, y = {.shape = MDL_SHAPE2(2311, 40)};
    const mdl_view w = {.shape = MDL_SHAPE2(24, 40)}, c = {.shape = MDL_SHAPE1(24)};
    const mdl_view image = {.shape = MDL_SHAPE4(37, 7, 9, 24)};
    const mdl_view taps = {.shape = MDL_SHAPE3(3, 3, 24)};
    const struct {
        mdl_op op;
        const mdl_attrs *attrs;
        int n_in, n_out;
        mdl_view in[MDL_MAX_IN], out[MDL_MAX_OUT];
    } cases[] = {
        {MDL_OP_LINEAR, NULL, 2, 1, {x, w}, {y}},
        {MDL_OP_LINEAR_GRAD_INPUT, NULL, 2, 1, {y, w}, {x}},
        {MDL_OP_LINEAR_GRAD_WEIGHT, NULL, 2, 1, {x, y}, {w}},
        {MDL_OP_SUM_ROWS, NULL, 1, 1, {x}, {c}},
        {MDL_OP_DEPTHWISE, &window, 2, 1, {image, taps}, {image}},
        {MDL_OP_DEPTHWISE_GRAD_INPUT, &window, 2, 1, {image, taps}, {image}},
        {MDL_OP_DEPTHWISE_GRAD_WEIGHT, &window, 2, 1, {image, image}, {taps}},
        {MDL_OP_BATCH_NORM, &norm, 5, 3, {x, c, c, c, c}, {x, c, c}},
        {MDL_OP_BATCH_NORM_GRAD, &norm, 6, 3, {x, x, c, c, c, c}, {x, c, c}},
    };
    for (size_t i = 0; i < MDL_COUNT(cases); i++) {
        mdl_call call = {.op = cases[i].op,
                         .attrs = cases[i].attrs,
                         .n_in = cases[i].n_in,
                         .n_out = cases[i].n_out};
        memcpy(call.in, cases[i].in, sizeof(call.in));
        memcpy(call.out, cases[i].out, sizeof(call.out));
        run_with(1, &call, one);
        for (int threads = 2; threads <= 5; threads++) {
            run_with(threads, &call, many);
            if (memcmp(one, many, sizeof(one)) != 0)
                fail_msg("%s differs with %d threads", mdl_op_get(call.op)->name, threads);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),      cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_conversion), cmocka_unit_test(test_now),
        cmocka_unit_test(test_fallback),   cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, open_cpu, close_cpu);
}
