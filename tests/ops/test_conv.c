/* Products, convolutions, BatchNorm, elementwise and movement ops with values worked out by hand,
 * on both backends; the random words of dropout. */
#include "op_now.h"

#include <math.h>
#include <string.h>

static void each_device(void (*body)(now *n, double tolerance))
{
    for (size_t i = 0; i < MDL_COUNT(now_specs); i++) {
        now n;
        now_open(&n, &now_specs[i]);
        body(&n, now_specs[i].tolerance);
        now_close(&n);
    }
}

/* Run an op with one output and compare. */
static void expect_op(now *n, double tolerance, mdl_op op, const mdl_attrs *attrs,
                      const mdl_view *in, int n_in, mdl_shape shape, const double *expected)
{
    mdl_view y = now_tensor(n, shape, NULL);
    now_run(n, op, attrs, in, n_in, &y, 1);
    now_expect(&y, expected, tolerance);
}
#define V(...) ((const double[]){__VA_ARGS__})

static void linear(now *n, double tolerance)
{
    mdl_view x = now_tensor(n, MDL_SHAPE2(2, 2), V(1, 2, 3, 4));
    mdl_view w = now_tensor(n, MDL_SHAPE2(2, 3), V(1, 2, 3, 4, 5, 6));
    mdl_view b = now_tensor(n, MDL_SHAPE1(3), V(0.5, -0.5, 0));
    mdl_view dy = now_tensor(n, MDL_SHAPE2(2, 3), V(1, 0, -1, 2, 1, 0));
    expect_op(n, tolerance, MDL_OP_LINEAR, NULL, (mdl_view[]){x, w, b}, 3, MDL_SHAPE2(2, 3),
              V(9.5, 11.5, 15, 19.5, 25.5, 33));
    expect_op(n, tolerance, MDL_OP_LINEAR_GRAD_INPUT, NULL, (mdl_view[]){dy, w}, 2,
              MDL_SHAPE2(2, 2), V(-2, -2, 4, 13));
    expect_op(n, tolerance, MDL_OP_LINEAR_GRAD_WEIGHT, NULL, (mdl_view[]){x, dy}, 2,
              MDL_SHAPE2(2, 3), V(7, 3, -1, 10, 4, -2));
    expect_op(n, tolerance, MDL_OP_SUM_ROWS, NULL, &dy, 1, MDL_SHAPE1(3), V(3, 1, -1));
}

static void test_linear(void **state)
{
    (void)state;
    each_device(linear);
}

static mdl_attrs conv_attrs(size_t stride, size_t before, size_t after)
{
    return (mdl_attrs){.conv = {.kernel_h = 2,
                                .kernel_w = 2,
                                .stride = stride,
                                .pad_top = before,
                                .pad_left = before,
                                .pad_bottom = after,
                                .pad_right = after,
                                .in_h = 3,
                                .in_w = 3}};
}

static void conv2d(now *n, double tolerance)
{
    mdl_view x = now_tensor(n, MDL_SHAPE4(1, 3, 3, 1), V(1, 2, 3, 4, 5, 6, 7, 8, 9));
    mdl_view w = now_tensor(n, MDL_SHAPE4(2, 2, 1, 1), V(1, 2, 3, 4));
    mdl_view dy = now_tensor(n, MDL_SHAPE4(1, 2, 2, 1), V(1, 10, 100, 1000));
    mdl_attrs plain = conv_attrs(1, 0, 0), after = conv_attrs(2, 0, 1),
              before = conv_attrs(2, 1, 0);
    const mdl_shape y = MDL_SHAPE4(1, 2, 2, 1);
    mdl_view xw[2] = {x, w}, xdy[2] = {x, dy}, dyw[2] = {dy, w};
    expect_op(n, tolerance, MDL_OP_CONV2D, &plain, xw, 2, y, V(37, 47, 67, 77));
    expect_op(n, tolerance, MDL_OP_CONV2D, &after, xw, 2, y, V(37, 21, 23, 9));
    expect_op(n, tolerance, MDL_OP_CONV2D, &before, xw, 2, y, V(4, 18, 36, 77));
    expect_op(n, tolerance, MDL_OP_CONV2D_GRAD_WEIGHT, &after, xdy, 2, w.shape,
              V(9731, 802, 64, 5));
    expect_op(n, tolerance, MDL_OP_CONV2D_GRAD_INPUT, &after, dyw, 2, x.shape,
              V(1, 2, 10, 3, 4, 30, 100, 200, 1000));
}

/* The layout of channels: a 1x1 kernel is a product with w[C, K]. */
static void conv2d_channels(now *n, double tolerance)
{
    mdl_attrs attrs = {.conv = {.kernel_h = 1, .kernel_w = 1, .stride = 1, .in_h = 1, .in_w = 1}};
    mdl_view in[2] = {now_tensor(n, MDL_SHAPE4(1, 1, 1, 2), V(1, 2)),
                      now_tensor(n, MDL_SHAPE4(1, 1, 2, 3), V(1, 2, 3, 4, 5, 6))};
    expect_op(n, tolerance, MDL_OP_CONV2D, &attrs, in, 2, MDL_SHAPE4(1, 1, 1, 3), V(9, 12, 15));
}

static void test_conv2d(void **state)
{
    (void)state;
    each_device(conv2d);
    each_device(conv2d_channels);
}

static void depthwise(now *n, double tolerance)
{
    mdl_attrs attrs = {.conv = {.kernel_h = 2, .kernel_w = 2, .stride = 1, .in_h = 2, .in_w = 2}};
    mdl_view x = now_tensor(n, MDL_SHAPE4(1, 2, 2, 2), V(1, 10, 2, 20, 3, 30, 4, 40));
    mdl_view w = now_tensor(n, MDL_SHAPE3(2, 2, 2), V(1, 1, 2, 0, 3, -1, 4, 0.5));
    mdl_view dy = now_tensor(n, MDL_SHAPE4(1, 1, 1, 2), V(2, -1));
    expect_op(n, tolerance, MDL_OP_DEPTHWISE, &attrs, (mdl_view[]){x, w}, 2, dy.shape, V(30, 0));
    expect_op(n, tolerance, MDL_OP_DEPTHWISE_GRAD_INPUT, &attrs, (mdl_view[]){dy, w}, 2, x.shape,
              V(2, -1, 4, 0, 6, 1, 8, -0.5));
    expect_op(n, tolerance, MDL_OP_DEPTHWISE_GRAD_WEIGHT, &attrs, (mdl_view[]){x, dy}, 2, w.shape,
              V(2, -10, 4, -20, 6, -30, 8, -40));
}

static void test_depthwise(void **state)
{
    (void)state;
    each_device(depthwise);
}

/* x = 1, 2, 3, 6: mean 3, variance 3.5, unbiased 14/3; eps 0.5 gives inv_std 0.5, so with gamma 2
 * and beta 1 the normalised value is x - 2. */
static void batch_norm(now *n, double tolerance)
{
    const mdl_shape one = MDL_SHAPE1(1), four = MDL_SHAPE2(4, 1);
    mdl_attrs attrs = {.norm = {.eps = 0.5, .momentum = 0.1, .act = MDL_ACT_RELU6}};
    mdl_view in[6] = {now_tensor(n, four, V(1, 2, 3, 6)), now_tensor(n, one, V(2)),
                      now_tensor(n, one, V(1)),           now_tensor(n, one, V(1)),
                      now_tensor(n, one, V(2)),           now_tensor(n, four, V(10, 20, 30, 40))};
    mdl_view out[3] = {now_tensor(n, four, NULL), now_tensor(n, one, NULL),
                       now_tensor(n, one, NULL)};
    now_run(n, MDL_OP_BATCH_NORM, &attrs, in, 6, out, 3);
    now_expect(&out[0], V(10, 20, 31, 44), tolerance);
    now_expect(&out[1], V(3), tolerance);
    now_expect(&out[2], V(0.5), tolerance);
    now_expect(&in[3], V(1.2), tolerance);
    now_expect(&in[4], V(1.8 + 1.4 / 3), tolerance);
    mdl_view given[5] = {in[0], in[1], in[2], out[1], out[2]};
    expect_op(n, tolerance, MDL_OP_BATCH_NORM_APPLY, &attrs, given, 5, four, V(0, 0, 1, 4));
    given[3] = now_tensor(n, one, V(3));
    given[4] = now_tensor(n, one, V(3.5));
    expect_op(n, tolerance, MDL_OP_BATCH_NORM_INFER, &attrs, given, 5, four, V(0, 0, 1, 4));
}

/* dz = 0, 0, 3, 4 behind the ReLU6's mask (z = -1, 0, 1, 4); xhat = -1, -0.5, 0, 1.5; so dbeta = 7,
 * dgamma = 6, dx = 1 * (dz - 7/4 - xhat * 6/4). */
static void batch_norm_grad(now *n, double tolerance)
{
    const mdl_shape one = MDL_SHAPE1(1), four = MDL_SHAPE2(4, 1);
    mdl_attrs attrs = {.norm = {.eps = 0.5, .momentum = 0.1, .act = MDL_ACT_RELU6}};
    mdl_view in[6] = {now_tensor(n, four, V(1, 2, 3, 4)), now_tensor(n, four, V(1, 2, 3, 6)),
                      now_tensor(n, one, V(2)),           now_tensor(n, one, V(1)),
                      now_tensor(n, one, V(3)),           now_tensor(n, one, V(0.5))};
    mdl_view out[3] = {now_tensor(n, four, NULL), now_tensor(n, one, NULL),
                       now_tensor(n, one, NULL)};
    now_run(n, MDL_OP_BATCH_NORM_GRAD, &attrs, in, 6, out, 3);
    now_expect(&out[0], V(-0.25, -1, 1.25, 0), tolerance);
    now_expect(&out[1], V(6), tolerance);
    now_expect(&out[2], V(7), tolerance);
}

/* The momentum of a step state replaces the attribute's; a single row has no variance to correct.
 */
static void batch_norm_momentum(now *n, double tolerance)
{
    const mdl_shape c = MDL_SHAPE1(2), row = MDL_SHAPE2(1, 2);
    mdl_attrs attrs = {.norm = {.eps = 1e-3, .momentum = 0.1}};
    const mdl_step_state steps[2] = {{.bn_momentum = 1}, {.bn_momentum = 0.5}};
    const double running[2] = {7, 8.5};
    mdl_call call = {.op = MDL_OP_BATCH_NORM, .attrs = &attrs, .n_in = 5, .n_out = 3};
    call.in[0] = now_tensor(n, row, V(7, 7));
    call.out[0] = now_tensor(n, row, NULL);
    for (int i = 1; i < 5; i++)
        call.in[i] = now_tensor(n, c, V(10, 10));
    for (int i = 1; i < 3; i++)
        call.out[i] = now_tensor(n, c, NULL);
    now_check(mdl_dispatch_route(n->device, &call));
    size_t bytes = mdl_dispatch_workspace(n->device, &call);
    call.workspace = now_tensor(n, MDL_SHAPE1(bytes / sizeof(float) + 1), NULL);
    for (int step = 0; step < 2; step++) {
        now_check(mdl_view_upload_f64(&call.in[3], V(10, 10), 2));
        call.state = &steps[step];
        now_check(mdl_dispatch_run(n->device, &call, 1, NULL));
        now_expect(&call.in[3], V(running[step], running[step]), tolerance);
    }
    now_expect(&call.in[4], V(0, 0), tolerance); /* (1 - 1) * 10 + 0, then half of it */
    now_expect(&call.out[0], V(10, 10), tolerance);
}

static void test_batch_norm(void **state)
{
    (void)state;
    each_device(batch_norm);
    each_device(batch_norm_grad);
    each_device(batch_norm_momentum);
}

static void elementwise(now *n, double tolerance)
{
    const mdl_shape five = MDL_SHAPE1(5);
    mdl_view x = now_tensor(n, five, V(-1, 0, 1, 6, 7)),
             ones = now_tensor(n, five, V(1, 1, 1, 1, 1));
    mdl_view dyx[2] = {ones, x}, pair[2] = {x, ones};
    mdl_attrs relu = {.act.kind = MDL_ACT_RELU}, relu6 = {.act.kind = MDL_ACT_RELU6};
    mdl_attrs silu = {.act.kind = MDL_ACT_SILU}, add = {.add = {.alpha = 2, .beta = -1}};
    mdl_attrs scale = {.scale.factor = -0.5}, fill = {.fill = {.value = 2.5, .shape = five}};
    expect_op(n, tolerance, MDL_OP_ACTIVATION, &relu, &x, 1, five, V(0, 0, 1, 6, 7));
    expect_op(n, tolerance, MDL_OP_ACTIVATION, &relu6, &x, 1, five, V(0, 0, 1, 6, 6));
    expect_op(
        n, tolerance, MDL_OP_ACTIVATION, &silu, &x, 1, five,
        V(-0.26894142136999512, 0, 0.73105857863000488, 5.98516426106019204, 6.99362264163919545));
    /* at the corners 0 and 6 the slope is 0 */
    expect_op(n, tolerance, MDL_OP_ACTIVATION_GRAD, &relu, dyx, 2, five, V(0, 0, 1, 1, 1));
    expect_op(n, tolerance, MDL_OP_ACTIVATION_GRAD, &relu6, dyx, 2, five, V(0, 0, 1, 0, 0));
    expect_op(n, tolerance, MDL_OP_ADD, &add, pair, 2, five, V(-3, -1, 1, 11, 13));
    expect_op(n, tolerance, MDL_OP_SCALE, &scale, &x, 1, five, V(0.5, 0, -0.5, -3, -3.5));
    expect_op(n, tolerance, MDL_OP_FILL, &fill, NULL, 0, five, V(2.5, 2.5, 2.5, 2.5, 2.5));
}

/* A NaN is not clamped away: the trainer has to see it in the loss. */
static void nan_passes(now *n, double tolerance)
{
    static const mdl_act acts[] = {MDL_ACT_NONE, MDL_ACT_RELU, MDL_ACT_RELU6, MDL_ACT_SILU};
    const mdl_shape c = MDL_SHAPE1(9), rows = MDL_SHAPE2(1, 9);
    mdl_view norm[5] = {now_tensor(n, rows, NULL)};
    double x[9] = {0}, y[9];
    (void)tolerance;
    for (int i = 1; i < 5; i++)
        norm[i] = now_tensor(n, c, V(1, 1, 1, 1, 1, 1, 1, 1, 1));
    mdl_view out = now_tensor(n, rows, NULL);
    for (size_t i = 0; i < 2 * MDL_COUNT(acts); i++) {
        mdl_attrs act = {.act.kind = acts[i / 2]};
        mdl_attrs infer = {.norm = {.eps = 1e-3, .act = acts[i / 2]}};
        size_t at = i % 2 * 8; /* in a full vector, and behind it */
        memset(x, 0, sizeof(x));
        x[at] = (double)NAN;
        now_check(mdl_view_upload_f64(&norm[0], x, 9));
        now_run(n, MDL_OP_ACTIVATION, &act, norm, 1, &out, 1);
        now_read(&out, y);
        assert_true(isnan(y[at]) && !isnan(y[4]));
        now_run(n, MDL_OP_BATCH_NORM_INFER, &infer, norm, 5, &out, 1);
        now_read(&out, y);
        assert_true(isnan(y[at]) && !isnan(y[4]));
    }
}

static void movement(now *n, double tolerance)
{
    mdl_view v = now_tensor(n, MDL_SHAPE1(2), V(1, 2));
    mdl_view x = now_tensor(n, MDL_SHAPE3(2, 2, 2), V(1, 2, 3, 4, 5, 6, 7, 8));
    mdl_view rows = now_tensor(n, MDL_SHAPE2(2, 2), V(1, 2, 3, 4));
    mdl_view zero = now_tensor(n, x.shape, NULL);
    mdl_view select[3] = {now_labels(n, 2, (int32_t[]){0, 1}), x, zero};
    mdl_attrs expand = {.expand.shape = MDL_SHAPE3(2, 1, 2)};
    mdl_attrs expand_rows = {.scale = {.factor = 0.5, .shape = MDL_SHAPE3(2, 2, 2)}};
    expect_op(n, tolerance, MDL_OP_EXPAND, &expand, &v, 1, MDL_SHAPE3(2, 1, 2), V(1, 2, 1, 2));
    expect_op(n, tolerance, MDL_OP_EXPAND_ROWS, &expand_rows, &rows, 1, MDL_SHAPE3(2, 2, 2),
              V(0.5, 1, 0.5, 1, 1.5, 2, 1.5, 2));
    expect_op(n, tolerance, MDL_OP_MEAN_ROWS, NULL, &x, 1, MDL_SHAPE2(2, 2), V(2, 3, 6, 7));
    expect_op(n, tolerance, MDL_OP_SELECT_ROWS, NULL, select, 3, x.shape,
              V(0, 0, 0, 0, 5, 6, 7, 8));
    expect_op(n, tolerance, MDL_OP_TRANSPOSE, NULL, &x, 1, x.shape, V(1, 3, 2, 4, 5, 7, 6, 8));
}

static void test_elementwise(void **state)
{
    (void)state;
    each_device(elementwise);
    each_device(nan_passes);
}

static void test_movement(void **state)
{
    (void)state;
    each_device(movement);
}

/* ---- dropout -------------------------------------------------------------------------------- */

static void test_dropout_word(void **state)
{
    const mdl_step_state step = {.seed = 11, .step = 2};
    uint32_t words[4];
    (void)state;
    mdl_philox(11, 1000 + 2 * 65536, 1, words);
    for (uint64_t i = 0; i < 4; i++)
        assert_int_equal(mdl_dropout_word(&step, 1000, 4 + i), words[i]);
    assert_int_not_equal(mdl_dropout_word(&step, 1001, 4), words[0]);
}

enum { SAMPLES = 500, EACH = 7 };

/* What is kept follows from the words, and about 1 - rate of it. */
static void dropout(now *n, double tolerance)
{
    const mdl_step_state outside = {.bn_momentum = -1};
    const mdl_shape shape = MDL_SHAPE3(SAMPLES, EACH, 1);
    static double ones[SAMPLES * EACH], y[SAMPLES * EACH];
    for (int per_sample = 0; per_sample < 2; per_sample++) {
        mdl_attrs attrs = {
            .dropout = {.rate = 0.25, .stream = 1007, .per_sample = per_sample != 0}};
        size_t kept = 0;
        for (size_t i = 0; i < MDL_COUNT(ones); i++)
            ones[i] = 1;
        mdl_view x = now_tensor(n, shape, ones), out = now_tensor(n, shape, NULL);
        now_run(n, MDL_OP_DROPOUT, &attrs, &x, 1, &out, 1);
        now_read(&out, y);
        for (size_t i = 0; i < MDL_COUNT(y); i++) {
            uint32_t word = mdl_dropout_word(&outside, 1007, per_sample != 0 ? i / EACH : i);
            bool keep = word >= UINT32_C(1) << 30; /* 0.25 * 2^32 */
            now_near(y[i], keep ? 1 / 0.75 : 0, tolerance);
            kept += keep;
        }
        /* 5 standard deviations of the number of draws */
        double share = (double)kept / (SAMPLES * EACH);
        double deviation = per_sample != 0 ? 0.0194 : 0.0073;
        assert_true(share > 0.75 - 5 * deviation && share < 0.75 + 5 * deviation);
    }
}

static void test_dropout(void **state)
{
    (void)state;
    each_device(dropout);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_linear),       cmocka_unit_test(test_conv2d),
        cmocka_unit_test(test_depthwise),    cmocka_unit_test(test_batch_norm),
        cmocka_unit_test(test_elementwise),  cmocka_unit_test(test_movement),
        cmocka_unit_test(test_dropout_word), cmocka_unit_test(test_dropout),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
