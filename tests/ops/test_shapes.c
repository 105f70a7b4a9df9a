/* Shapes and types, what the ops infer from them, what they refuse, and costs.  No arithmetic on
 * tensors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "op_cases.h"

#include <string.h>

static void test_shape_helpers(void **state)
{
    char text[MDL_SHAPE_TEXT];
    const mdl_shape shape = MDL_SHAPE4(2, 3, 5, 7);
    mdl_shape other = mdl_shape_of(4, (size_t)2, (size_t)3, (size_t)5, (size_t)7);
    (void)state;
    assert_int_equal(mdl_shape_count(&shape), 210);
    assert_int_equal(mdl_shape_last(&shape), 7);
    assert_int_equal(mdl_shape_rows(&shape), 30);
    assert_true(mdl_shape_equal(&shape, &other));
    other.dim[2] = 6;
    assert_false(mdl_shape_equal(&shape, &other));
    assert_false(mdl_shape_equal(&shape, &MDL_SHAPE3(2, 3, 35)));
    assert_string_equal(mdl_shape_text(&shape, text), "[2, 3, 5, 7]");
    assert_string_equal(mdl_shape_text(&MDL_SHAPE1(9), text), "[9]");
    const mdl_shape huge = MDL_SHAPE4(SIZE_MAX, SIZE_MAX, SIZE_MAX, SIZE_MAX);
    assert_int_equal(strlen(mdl_shape_text(&huge, text)), 4 * 20 + 8);
    assert_int_equal(mdl_dtype_size(MDL_F32), 4);
    assert_int_equal(mdl_dtype_size(MDL_F64), 8);
    assert_int_equal(mdl_dtype_size(MDL_I32), 4);
    assert_string_equal(mdl_dtype_name(MDL_I32), "int32");
    assert_int_equal(mdl_dtype_size(MDL_BF16), 2);
    assert_string_equal(mdl_dtype_name(MDL_BF16), "bfloat16");
}

/* Rounding to nearest even; infinities, NaN and what overflows. */
static void test_bf16(void **state)
{
    static const struct {
        uint32_t bits;
        uint16_t stored;
    } cases[] = {
        {0x3f800000U, 0x3f80U}, /* 1 */
        {0x3f808000U, 0x3f80U}, /* half-way: to even, down */
        {0x3f818000U, 0x3f82U}, /* half-way: to even, up */
        {0x3f808001U, 0x3f81U}, {0x3f807fffU, 0x3f80U}, {0x80000000U, 0x8000U}, /* -0 */
        {0xbfffffffU, 0xc000U}, {0x7f7fffffU, 0x7f80U}, {0x7f800000U, 0x7f80U}, /* infinity */
        {0xff800000U, 0xff80U}, {0x7f800001U, 0x7fc0U}, {0xffffffffU, 0xffffU}, /* NaN */
        {0x00000001U, 0x0000U}, {0x00018000U, 0x0002U},
    };
    (void)state;
    for (size_t i = 0; i < MDL_COUNT(cases); i++) {
        float value;
        memcpy(&value, &cases[i].bits, sizeof(value));
        assert_int_equal(mdl_bf16_of(value), cases[i].stored);
    }
    for (uint32_t stored = 0; stored <= 0xffffU; stored++) {
        float value = mdl_bf16_value((uint16_t)stored);
        if (value == value)
            assert_int_equal(mdl_bf16_of(value), stored);
    }
}

/* Names follow the list, so that tables and messages can rely on them. */
static void test_names(void **state)
{
    static const char *const names[] = {
#define X(upper, lower) #lower,
        MDL_OP_LIST(X)
#undef X
    };
    (void)state;
    for (int op = 0; op < MDL_OP_COUNT; op++)
        assert_string_equal(mdl_op_get((mdl_op)op)->name, names[op]);
}

/* ---- what is refused ------------------------------------------------------------------------ */

typedef struct refusal {
    mdl_op op;
    int n_in;
    mdl_shape in[MDL_MAX_IN]; /* float32 but for the first of SELECT_ROWS */
    mdl_attrs attrs;
    mdl_status status;
    const char *says; /* part of the detail */
} refusal;

#define CONV(kh, kw, s, t, l, b, r, h, w)                                                          \
    .attrs.conv = {.kernel_h = (kh),                                                               \
                   .kernel_w = (kw),                                                               \
                   .stride = (s),                                                                  \
                   .pad_top = (t),                                                                 \
                   .pad_left = (l),                                                                \
                   .pad_bottom = (b),                                                              \
                   .pad_right = (r),                                                               \
                   .in_h = (h),                                                                    \
                   .in_w = (w)}
#define NORM(e, m, a) .attrs.norm = {.eps = (e), .momentum = (m), .act = (a)}
#define C5            OP_S1(5)

static const refusal refusals[] = {
    {MDL_OP_LINEAR, 1, {OP_S2(2, 3)}, .status = MDL_SHAPE, .says = "linear: 1 inputs"},
    {MDL_OP_LINEAR, 2, {OP_S2(2, 3)}, .status = MDL_SHAPE, .says = "input 1 is absent"},
    {MDL_OP_LINEAR,
     2,
     {OP_S2(2, 3), OP_S2(4, 5)},
     .status = MDL_SHAPE,
     .says = "linear: x is [2, 3], expected [2, 4]"},
    {MDL_OP_LINEAR,
     2,
     {OP_S2(2, 3), OP_S3(3, 5, 1)},
     .status = MDL_SHAPE,
     .says = "linear: w is [3, 5, 1], expected rank 2"},
    {MDL_OP_LINEAR,
     3,
     {OP_S2(2, 3), OP_S2(3, 5), OP_S1(3)},
     .status = MDL_SHAPE,
     .says = "linear: bias is [3], expected [5]"},
    {MDL_OP_LINEAR, 2, {OP_S2(0, 3), OP_S2(3, 5)}, .status = MDL_SHAPE, .says = "dimension of 0"},
    {MDL_OP_LINEAR,
     2,
     {OP_S2(SIZE_MAX / 8, 3), OP_S2(3, 5)},
     .status = MDL_SHAPE,
     .says = "more than memory can hold"},
    {MDL_OP_LINEAR,
     2,
     {{5, {1, 1, 1, 3}}, OP_S2(3, 5)},
     .status = MDL_SHAPE,
     .says = "x has rank 5, expected 1 to 4"},
    {MDL_OP_LINEAR_GRAD_INPUT,
     2,
     {OP_S2(2, 3), OP_S2(3, 5)},
     .status = MDL_SHAPE,
     .says = "dy is [2, 3], expected [2, 5]"},
    {MDL_OP_LINEAR_GRAD_WEIGHT,
     2,
     {OP_S2(2, 3), OP_S2(3, 5)},
     .status = MDL_SHAPE,
     .says = "dy is [3, 5], expected [2, 5]"},

    {MDL_OP_CONV2D,
     2,
     {OP_S4(1, 8, 8, 3), OP_S4(3, 3, 4, 5)},
     CONV(3, 3, 1, 1, 1, 1, 1, 8, 8),
     .status = MDL_SHAPE,
     .says = "w is [3, 3, 4, 5], expected [3, 3, 3, 5]"},
    {MDL_OP_CONV2D,
     2,
     {OP_S4(1, 8, 8, 3), OP_S4(3, 3, 3, 5)},
     CONV(3, 3, 1, 1, 1, 1, 1, 8, 9),
     .status = MDL_SHAPE,
     .says = "x is [1, 8, 8, 3], expected [1, 8, 9, 3]"},
    {MDL_OP_CONV2D,
     2,
     {OP_S4(1, 8, 8, 3), OP_S4(3, 3, 3, 5)},
     CONV(3, 3, 0, 1, 1, 1, 1, 8, 8),
     .status = MDL_SHAPE,
     .says = "stride 0 along height"},
    {MDL_OP_CONV2D,
     2,
     {OP_S4(1, 8, 8, 3), OP_S4(3, 3, 3, 5)},
     CONV(3, 3, 1, 1, 3, 1, 1, 8, 8),
     .status = MDL_SHAPE,
     .says = "padding 3 and 1 along width"},
    {MDL_OP_CONV2D,
     2,
     {OP_S4(1, 2, 8, 3), OP_S4(5, 5, 3, 5)},
     CONV(5, 5, 1, 1, 1, 1, 1, 2, 8),
     .status = MDL_SHAPE,
     .says = "kernel 5 along height is larger than the input with its padding, 2 + 1 + 1"},
    {MDL_OP_CONV2D_GRAD_INPUT,
     2,
     {OP_S4(1, 8, 8, 5), OP_S4(3, 3, 3, 5)},
     CONV(3, 3, 2, 1, 1, 1, 1, 8, 8),
     .status = MDL_SHAPE,
     .says = "dy is [1, 8, 8, 5], expected [1, 4, 4, 5]"},
    {MDL_OP_CONV2D_GRAD_INPUT,
     2,
     {OP_S4(1, SIZE_MAX / 8, 1, 1), OP_S4(1, 1, 3, 1)},
     CONV(1, 1, 1, 0, 0, 0, 0, SIZE_MAX / 8, 1),
     .status = MDL_SHAPE,
     .says = "more than memory can hold"},
    {MDL_OP_CONV2D_GRAD_WEIGHT,
     2,
     {OP_S4(1, 8, 8, 3), OP_S4(2, 8, 8, 5)},
     CONV(3, 3, 1, 1, 1, 1, 1, 8, 8),
     .status = MDL_SHAPE,
     .says = "dy is [2, 8, 8, 5], expected [1, 8, 8, 5]"},
    {MDL_OP_DEPTHWISE,
     2,
     {OP_S4(1, 8, 8, 3), OP_S3(3, 3, 4)},
     CONV(3, 3, 1, 1, 1, 1, 1, 8, 8),
     .status = MDL_SHAPE,
     .says = "depthwise: w is [3, 3, 4], expected [3, 3, 3]"},
    {MDL_OP_DEPTHWISE_GRAD_INPUT,
     2,
     {OP_S4(1, 8, 8, 3), OP_S3(3, 3, 3)},
     CONV(3, 3, 2, 0, 0, 1, 1, 8, 8),
     .status = MDL_SHAPE,
     .says = "dy is [1, 8, 8, 3], expected [1, 4, 4, 3]"},
    {MDL_OP_DEPTHWISE_GRAD_WEIGHT,
     2,
     {OP_S4(1, 8, 8, 3), OP_S4(1, 8, 8, 4)},
     CONV(3, 3, 1, 1, 1, 1, 1, 8, 8),
     .status = MDL_SHAPE,
     .says = "dy is [1, 8, 8, 4], expected [1, 8, 8, 3]"},

    {MDL_OP_BATCH_NORM,
     5,
     {OP_S2(2, 5), C5, C5, OP_S1(4), C5},
     NORM(1e-3, 0.1, MDL_ACT_NONE),
     .status = MDL_SHAPE,
     .says = "running_mean is [4], expected [5]"},
    {MDL_OP_BATCH_NORM,
     6,
     {OP_S2(2, 5), C5, C5, C5, C5, OP_S2(3, 5)},
     NORM(1e-3, 0.1, MDL_ACT_NONE),
     .status = MDL_SHAPE,
     .says = "residual is [3, 5], expected [2, 5]"},
    {MDL_OP_BATCH_NORM,
     5,
     {OP_S2(2, 5), C5, C5, C5, C5},
     NORM(0, 0.1, MDL_ACT_NONE),
     .status = MDL_INVALID,
     .says = "eps is 0"},
    {MDL_OP_BATCH_NORM,
     5,
     {OP_S2(2, 5), C5, C5, C5, C5},
     NORM(1e-3, 1.5, MDL_ACT_NONE),
     .status = MDL_INVALID,
     .says = "momentum is 1.5"},
    {MDL_OP_BATCH_NORM_INFER,
     5,
     {OP_S2(2, 5), C5, C5, C5, C5},
     NORM(1e-3, 0.1, (mdl_act)9),
     .status = MDL_INVALID,
     .says = "activation 9 is not known"},
    {MDL_OP_LINEAR_NORM,
     6,
     {OP_S2(2, 3), OP_S2(3, 5), C5, C5, C5, OP_S1(3)},
     {.conv = {.eps = 1e-3}},
     .status = MDL_SHAPE,
     .says = "linear_norm: running_var is [3], expected [5]"},
    {MDL_OP_LINEAR_NORM,
     7,
     {OP_S2(2, 3), OP_S2(3, 5), C5, C5, C5, C5, OP_S2(2, 3)},
     {.conv = {.eps = 1e-3}},
     .status = MDL_SHAPE,
     .says = "residual is [2, 3], expected [2, 5]"},
    {MDL_OP_LINEAR_NORM,
     6,
     {OP_S2(2, 3), OP_S2(3, 5), C5, C5, C5, C5},
     {.conv = {.eps = 0}},
     .status = MDL_INVALID,
     .says = "eps is 0"},
    {MDL_OP_DEPTHWISE_NORM,
     2,
     {OP_S4(1, 4, 4, 5), OP_S3(3, 3, 5)},
     .status = MDL_SHAPE,
     .says = "depthwise_norm: 2 inputs"},
    {MDL_OP_BATCH_NORM_GRAD,
     6,
     {OP_S2(2, 5), OP_S2(3, 5), C5, C5, C5, C5},
     NORM(1e-3, 0.1, MDL_ACT_NONE),
     .status = MDL_SHAPE,
     .says = "dy is [2, 5], expected [3, 5]"},

    {MDL_OP_ACTIVATION,
     1,
     {OP_S1(3)},
     .attrs.act.kind = (mdl_act)-1,
     .status = MDL_INVALID,
     .says = "activation -1"},
    {MDL_OP_ACTIVATION_GRAD,
     2,
     {OP_S1(3), OP_S1(4)},
     .status = MDL_SHAPE,
     .says = "activation_grad: x is [4], expected [3]"},
    {MDL_OP_ADD,
     2,
     {OP_S2(2, 3), OP_S2(3, 2)},
     .status = MDL_SHAPE,
     .says = "add: b is [3, 2], expected [2, 3]"},
    {MDL_OP_DROPOUT,
     1,
     {OP_S1(3)},
     .attrs.dropout.rate = 1,
     .status = MDL_INVALID,
     .says = "rate is 1, expected in [0, 1)"},
    {MDL_OP_EXPAND,
     1,
     {OP_S1(3)},
     .attrs.expand.shape = OP_S2(2, 4),
     .status = MDL_SHAPE,
     .says = "v is [3], expected [4]"},
    {MDL_OP_EXPAND,
     1,
     {OP_S1(3)},
     .status = MDL_SHAPE,
     .says = "expand: the attribute shape has rank 0"},
    {MDL_OP_EXPAND_ROWS,
     1,
     {OP_S2(2, 4)},
     .attrs.scale.shape = OP_S3(3, 5, 4),
     .status = MDL_SHAPE,
     .says = "x is [2, 4], expected [3, 4]"},
    {MDL_OP_MEAN_ROWS,
     1,
     {OP_S1(3)},
     .status = MDL_SHAPE,
     .says = "mean_rows: x is [3], expected rank 2 or more"},
    {MDL_OP_SELECT_ROWS,
     3,
     {OP_S1(3), OP_S2(2, 4), OP_S2(2, 4)},
     .status = MDL_SHAPE,
     .says = "mask is [3], expected [2]"},
    {MDL_OP_TRANSPOSE,
     1,
     {OP_S2(2, 4)},
     .status = MDL_SHAPE,
     .says = "transpose: x is [2, 4], expected rank 3"},
    {MDL_OP_VIEW,
     1,
     {OP_S2(2, 4)},
     .attrs.expand.shape = OP_S2(3, 3),
     .status = MDL_SHAPE,
     .says = "x is [2, 4], which has not as many elements as [3, 3]"},
    {MDL_OP_FILL, 0, .attrs.fill.shape = OP_S2(0, 3), .status = MDL_SHAPE,
     .says = "fill: the attribute shape is [0, 3]"},
};

static void test_refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < MDL_COUNT(refusals); i++) {
        const refusal *r = &refusals[i];
        mdl_desc in[MDL_MAX_IN] = {{0}}, out[MDL_MAX_OUT];
        int n_out;
        for (int k = 0; k < r->n_in; k++)
            in[k] = (mdl_desc){MDL_F32, r->in[k]};
        if (r->op == MDL_OP_SELECT_ROWS)
            in[0].dtype = MDL_I32;
        mdl_status status = mdl_op_get(r->op)->infer(&r->attrs, MDL_F32, in, r->n_in, out, &n_out);
        if (status != r->status || strstr(mdl_error_detail(), r->says) == NULL) {
            fail_msg("row %zu: status %d, expected %d; detail \"%s\", expected \"%s\"", i,
                     (int)status, (int)r->status, mdl_error_detail(), r->says);
        }
    }
}

/* A case with an input of another type, with one that is missing, and with one too many. */
static void test_every_op_refuses(void **state)
{
    (void)state;
    for (size_t i = 0; i < op_case_count(); i++) {
        const op_case *c = op_case_at(i);
        const mdl_op_def *def = mdl_op_get(c->op);
        mdl_desc in[MDL_MAX_IN + 1] = {{0}}, out[MDL_MAX_OUT];
        int n_out = 0;
        op_case_descs(c, MDL_F32, in);
        assert_int_equal(def->infer(&c->attrs, MDL_F32, in, c->n_in, out, &n_out), MDL_OK);
        assert_in_range(n_out, 1, MDL_MAX_OUT);
        in[MDL_MAX_IN] = in[0];
        assert_int_equal(def->infer(&c->attrs, MDL_F32, in, MDL_MAX_IN + 1, out, &n_out),
                         MDL_SHAPE);
        for (int k = 0; k < c->n_in && c->op != MDL_OP_VIEW; k++) {
            mdl_desc kept = in[k];
            in[k].dtype = kept.dtype == MDL_I32 ? MDL_F32 : MDL_I32;
            assert_int_equal(def->infer(&c->attrs, MDL_F32, in, c->n_in, out, &n_out), MDL_SHAPE);
            assert_non_null(strstr(mdl_error_detail(), "int32"));
            in[k] = kept;
        }
        if (c->n_in > 0) {
            in[0].shape.rank = 0;
            assert_int_equal(def->infer(&c->attrs, MDL_F32, in, c->n_in, out, &n_out), MDL_SHAPE);
        }
    }
}

/* ---- outputs and costs ---------------------------------------------------------------------- */

static mdl_cost cost_of(const op_case *c, mdl_desc out[MDL_MAX_OUT])
{
    mdl_desc in[MDL_MAX_IN];
    int n_out;
    op_case_descs(c, MDL_F32, in);
    assert_int_equal(mdl_op_get(c->op)->infer(&c->attrs, MDL_F32, in, c->n_in, out, &n_out),
                     MDL_OK);
    return mdl_op_cost(c->op, &c->attrs, in, c->n_in, out, n_out);
}

/* The stem of EfficientNet-Lite0 for one 32x32 image: 32 * 32 * 9 * 3 * 32 multiply-adds. */
static void test_costs(void **state)
{
    mdl_desc out[MDL_MAX_OUT];
    const op_case stem = {.op = MDL_OP_CONV2D,
                          CONV(3, 3, 1, 1, 1, 1, 1, 32, 32),
                          .n_in = 2,
                          .in = {OP_S4(1, 32, 32, 3), OP_S4(3, 3, 3, 32)}};
    const op_case same = {.op = MDL_OP_DEPTHWISE,
                          CONV(5, 5, 2, 1, 1, 2, 2, 32, 32),
                          .n_in = 2,
                          .in = {OP_S4(2, 32, 32, 96), OP_S3(5, 5, 96)}};
    const op_case view = {
        .op = MDL_OP_VIEW, .attrs.expand.shape = OP_S1(6), .n_in = 1, .in = {OP_S2(2, 3)}};
    (void)state;
    mdl_cost cost = cost_of(&stem, out);
    assert_true(cost.flops == 2.0 * 32 * 32 * 9 * 3 * 32);
    assert_true(cost.bytes == 4.0 * (32 * 32 * 3 + 9 * 3 * 32 + 32 * 32 * 32));
    cost = cost_of(&same, out);
    assert_true(mdl_shape_equal(&out[0].shape, &MDL_SHAPE4(2, 16, 16, 96)));
    assert_true(cost.flops == 2.0 * 2 * 16 * 16 * 96 * 25);
    cost = cost_of(&view, out);
    assert_true(cost.flops == 0 && cost.bytes == 0);
}

/* Backward products cost what the forward one does. */
static void test_backward_costs(void **state)
{
    mdl_desc out[MDL_MAX_OUT];
    const double flops = 2.0 * 6 * 5 * 7;
    const op_case cases[] = {
        {.op = MDL_OP_LINEAR, .n_in = 2, .in = {OP_S2(6, 5), OP_S2(5, 7)}},
        {.op = MDL_OP_LINEAR_GRAD_INPUT, .n_in = 2, .in = {OP_S2(6, 7), OP_S2(5, 7)}},
        {.op = MDL_OP_LINEAR_GRAD_WEIGHT, .n_in = 2, .in = {OP_S2(6, 5), OP_S2(6, 7)}},
    };
    (void)state;
    for (size_t i = 0; i < MDL_COUNT(cases); i++)
        assert_true(cost_of(&cases[i], out).flops == flops);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shape_helpers),
        cmocka_unit_test(test_bf16),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_every_op_refuses),
        cmocka_unit_test(test_costs),
        cmocka_unit_test(test_backward_costs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
