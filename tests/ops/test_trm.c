/* RMSNorm, SwiGLU, RoPE and attention against values worked out by hand, on every backend.  Their
 * gradients are checked elsewhere, against finite differences. */
#include "op_now.h"

#include <math.h>
#include <string.h>

static now bench;

static int teardown(void **state)
{
    (void)state;
    now_close(&bench);
    return 0;
}

static void check_rms_norm(double tolerance)
{
    /* mean squares 12.5, 0.25 and 0; eps 1.5, so that inv_rms is 1/sqrt(14), ... */
    const mdl_attrs attrs = {.norm = {.eps = 1.5}};
    const double x[6] = {3, 4, -0.5, 0.5, 0, 0};
    const double inv[3] = {1 / sqrt(14), 1 / sqrt(1.75), 1 / sqrt(1.5)};
    double y[6];
    for (size_t i = 0; i < 6; i++)
        y[i] = x[i] * inv[i / 2];
    mdl_view in = now_tensor(&bench, MDL_SHAPE3(3, 1, 2), x);
    mdl_view out[2] = {now_tensor(&bench, MDL_SHAPE3(3, 1, 2), NULL),
                       now_tensor(&bench, MDL_SHAPE1(3), NULL)};
    now_run(&bench, MDL_OP_RMS_NORM, &attrs, &in, 1, out, 2);
    now_expect(&out[0], y, tolerance);
    now_expect(&out[1], inv, tolerance);
}

static void check_swiglu(double tolerance)
{
    /* g, g, u, u; sigmoid(ln 3) = 3/4, and far from 0 silu is g or 0 */
    const double ln3 = log(3), gu[12] = {ln3, -ln3, 2, 8, 0, 1000, 5, 0.5, -1000, 0, 7, 7};
    const double y[6] = {1.5 * ln3, -2 * ln3, 0, 500, 0, 0};
    mdl_view in = now_tensor(&bench, MDL_SHAPE2(3, 4), gu);
    mdl_view out = now_tensor(&bench, MDL_SHAPE2(3, 2), NULL);
    now_run(&bench, MDL_OP_SWIGLU, NULL, &in, 1, &out, 1);
    now_expect(&out, y, tolerance);
}

/* One head of 4 channels with theta 16: pairs (0, 2) and (1, 3) turn by l and l / 4. */
static void check_rope(double tolerance)
{
    mdl_attrs attrs = {.rope = {.heads = 1, .theta = 16}};
    double qkv[2 * 3 * 12], y[2 * 3 * 12];
    for (size_t i = 0; i < MDL_COUNT(qkv); i++)
        y[i] = qkv[i] = (double)i - 30;
    for (size_t row = 0; row < 6; row++) { /* sample, token */
        for (size_t pair = 0; pair < 4; pair++) {
            size_t at = row * 12 + pair / 2 * 4 + pair % 2;
            double angle = (double)(row % 3) / (pair % 2 == 0 ? 1.0 : 4.0);
            y[at] = qkv[at] * cos(angle) - qkv[at + 2] * sin(angle);
            y[at + 2] = qkv[at] * sin(angle) + qkv[at + 2] * cos(angle);
        }
    }
    mdl_view in = now_tensor(&bench, MDL_SHAPE3(2, 3, 12), qkv);
    mdl_view out = now_tensor(&bench, MDL_SHAPE3(2, 3, 12), NULL);
    now_run(&bench, MDL_OP_ROPE, &attrs, &in, 1, &out, 1);
    now_expect(&out, y, 2 * tolerance);
    mdl_view back = now_tensor(&bench, MDL_SHAPE3(2, 3, 12), NULL);
    attrs.rope.inverse = true;
    now_run(&bench, MDL_OP_ROPE, &attrs, &out, 1, &back, 1);
    now_expect(&back, qkv, 4 * tolerance);
}

/* Two heads of one channel, so that scores are q k: in head 0 q = 0, all weights are 1/2; in head 1
 * k = (0, ln 3), and q = (1, -1) gives the weights 1/4, 3/4 and 3/4, 1/4. */
static void check_attention(double tolerance)
{
    const mdl_attrs attrs = {.attention = {.heads = 2}};
    const double ln3 = log(3);
    const double qkv[2 * 6] = {/* q */ 0, 1,  /* k */ 5,  0,   /* v */ 2, 8,
                               /* q */ 0, -1, /* k */ -3, ln3, /* v */ 4, 16};
    const double p[8] = {0.5, 0.5, 0.5, 0.5, 0.25, 0.75, 0.75, 0.25}, y[4] = {3, 14, 3, 10};
    mdl_view in = now_tensor(&bench, MDL_SHAPE3(1, 2, 6), qkv);
    mdl_view out[2] = {now_tensor(&bench, MDL_SHAPE3(1, 2, 2), NULL),
                       now_tensor(&bench, MDL_SHAPE4(1, 2, 2, 2), NULL)};
    now_run(&bench, MDL_OP_ATTENTION, &attrs, &in, 1, out, 2);
    now_expect(&out[0], y, tolerance);
    now_expect(&out[1], p, tolerance);
}

/* Four channels: scores are halved.  q k = 2 ln 3 and 0; huge scores must not overflow. */
static void check_attention_scale(double tolerance)
{
    const mdl_attrs attrs = {.attention = {.heads = 1}};
    double qkv[2 * 12] = {0};
    const double p[4] = {0.75, 0.25, 0, 1};
    qkv[0] = 2;        /* q of token 0 */
    qkv[4] = log(3);   /* k of token 0 */
    qkv[12 + 1] = 1e4; /* q of token 1 */
    qkv[12 + 5] = 1e4; /* k of token 1 */
    mdl_view in = now_tensor(&bench, MDL_SHAPE3(1, 2, 12), qkv);
    mdl_view out[2] = {now_tensor(&bench, MDL_SHAPE3(1, 2, 4), NULL),
                       now_tensor(&bench, MDL_SHAPE4(1, 1, 2, 2), NULL)};
    now_run(&bench, MDL_OP_ATTENTION, &attrs, &in, 1, out, 2);
    now_expect(&out[1], p, tolerance);
}

static void test_known_values(void **state)
{
    (void)state;
    static void (*const checks[])(double) = {check_rms_norm, check_swiglu, check_rope,
                                             check_attention, check_attention_scale};
    for (size_t s = 0; s < MDL_COUNT(now_specs); s++) {
        for (size_t i = 0; i < MDL_COUNT(checks); i++) {
            now_open(&bench, &now_specs[s]);
            checks[i](now_specs[s].tolerance);
            now_close(&bench);
        }
    }
}

static void expect_refused(mdl_op op, const mdl_attrs *attrs, mdl_shape shape, const char *says)
{
    const mdl_desc in = {MDL_F32, shape};
    mdl_desc out[MDL_MAX_OUT];
    int n_out;
    assert_int_not_equal(mdl_op_get(op)->infer(attrs, MDL_F32, &in, 1, out, &n_out), MDL_OK);
    if (strstr(mdl_error_detail(), says) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", mdl_error_detail(), says);
}

static void test_refusals(void **state)
{
    (void)state;
    const mdl_attrs negative = {.norm = {.eps = -1}};
    const mdl_attrs with_act = {.norm = {.act = MDL_ACT_RELU}};
    const mdl_attrs no_heads = {.attention = {.heads = 0}}, three = {.attention = {.heads = 3}};
    const mdl_attrs rope_3 = {.rope = {.heads = 3, .theta = 1e4}};
    const mdl_attrs rope_0 = {.rope = {.heads = 1, .theta = 0}};
    const size_t huge = SIZE_MAX / 1024; /* qkv fits, p does not */
    expect_refused(MDL_OP_RMS_NORM, &negative, MDL_SHAPE2(2, 2), "eps");
    expect_refused(MDL_OP_RMS_NORM, &with_act, MDL_SHAPE2(2, 2), "activation");
    expect_refused(MDL_OP_SWIGLU, &negative, MDL_SHAPE2(2, 3), "even");
    expect_refused(MDL_OP_ATTENTION, &no_heads, MDL_SHAPE3(2, 2, 6), "0 heads");
    expect_refused(MDL_OP_ATTENTION, &three, MDL_SHAPE3(2, 2, 12), "3 heads");
    expect_refused(MDL_OP_ATTENTION, &three, MDL_SHAPE2(2, 9), "rank 3");
    expect_refused(MDL_OP_ATTENTION, &three, MDL_SHAPE3(1, huge, 9), "more than memory can hold");
    expect_refused(MDL_OP_ROPE, &rope_3, MDL_SHAPE3(2, 2, 27), "even");
    expect_refused(MDL_OP_ROPE, &rope_0, MDL_SHAPE3(2, 2, 6), "theta");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_known_values, teardown),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
