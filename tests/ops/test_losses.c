/* The losses against values worked out by hand, on every backend: softmax and stablemax, smoothing,
 * samples that do not count, ties, extreme logits, labels out of range. */
#include "op_now.h"

#include <math.h>
#include <string.h>

enum { MAX_N = 4, MAX_C = 4 };

static now bench;

static int teardown(void **state)
{
    (void)state;
    now_close(&bench);
    return 0;
}

/* ---- cross-entropy -------------------------------------------------------------------------- */

typedef struct entropy_case {
    const char *what;
    double smoothing;
    bool stablemax;
    size_t n, classes;
    double logits[MAX_N * MAX_C];
    int32_t labels[MAX_N];
    double loss;
    double losses[MAX_N];
    double correct[MAX_N];
    double gradient[MAX_N * MAX_C]; /* for d(loss) = 1 */
} entropy_case;

#define LN2 0.693147180559945309
#define LN3 1.098612288668109691
#define LN5 1.609437912434100375
#define LN7 1.945910149055313305

static const entropy_case entropy_cases[] = {
    {.what = "logits (ln 2, 0, 0): p is 1/2, 1/4, 1/4; the second sample is wrong",
     .n = 2,
     .classes = 3,
     .logits = {LN2, 0, 0, LN2, 0, 0},
     .labels = {0, 2},
     .loss = 1.5 * LN2,
     .losses = {LN2, 2 * LN2},
     .correct = {1, 0},
     .gradient = {-0.25, 0.125, 0.125, 0.25, 0.125, -0.375}},
    {.what = "a negative label counts for nothing, the mean is over the others",
     .n = 3,
     .classes = 2,
     .logits = {0, LN3, 5, -5, LN3, 0},
     .labels = {1, -1, 1},
     .loss = (2 * LN2 - LN3 + 2 * LN2) / 2,
     .losses = {2 * LN2 - LN3, 0, 2 * LN2},
     .correct = {1, 0, 0},
     .gradient = {0.125, -0.125, 0, 0, 0.375, -0.375}},
    {.what = "no sample counts", /* loss and gradient 0, not 0/0 */
     .n = 2,
     .classes = 2,
     .logits = {1, 2, 3, 4},
     .labels = {-1, -7}},
    {.what = "smoothing 0.3: targets 0.8, 0.1, 0.1 and p 1/2, 1/4, 1/4",
     .smoothing = 0.3,
     .n = 1,
     .classes = 3,
     .logits = {LN2, 0, 0},
     .labels = {0},
     .loss = 0.8 * LN2 + 0.2 * 2 * LN2,
     .losses = {0.8 * LN2 + 0.2 * 2 * LN2},
     .correct = {1},
     .gradient = {0.5 - 0.8, 0.25 - 0.1, 0.25 - 0.1}},
    {.what = "extreme logits neither overflow nor lose the loss",
     .n = 2,
     .classes = 2,
     .logits = {1000, 0, -1000, 1000},
     .labels = {1, 1},
     .loss = 500,
     .losses = {1000, 0},
     .correct = {0, 1},
     .gradient = {0.5, -0.5, 0, 0}},
    {.what = "of equal logits the first is the answer",
     .n = 2,
     .classes = 2,
     .logits = {1, 1, 1, 1},
     .labels = {0, 1},
     .loss = LN2,
     .losses = {LN2, LN2},
     .correct = {1, 0},
     .gradient = {-0.25, 0.25, 0.25, -0.25}},
    {.what = "stablemax of (1, -1, 0): scores 2, 1/2, 1; slopes of log s 1/2, 1/2, 1",
     .stablemax = true,
     .n = 1,
     .classes = 3,
     .logits = {1, -1, 0},
     .labels = {0},
     .loss = LN7 - 2 * LN2,
     .losses = {LN7 - 2 * LN2},
     .correct = {1},
     .gradient = {(4.0 / 7 - 1) / 2, 1.0 / 14, 2.0 / 7}},
    {.what = "stablemax with smoothing 0.2: targets 0.1, 0.9; scores 1/4, 4",
     .smoothing = 0.2,
     .stablemax = true,
     .n = 1,
     .classes = 2,
     .logits = {-3, 3},
     .labels = {1},
     .loss = 2.833213344056216080 - 2 * LN2 - 0.1 * -2 * LN2 - 0.9 * 2 * LN2, /* ln(17 / 4) ... */
     .losses = {2.833213344056216080 - 2 * LN2 - 0.1 * -2 * LN2 - 0.9 * 2 * LN2},
     .correct = {1},
     .gradient = {(1.0 / 17 - 0.1) / 4, (16.0 / 17 - 0.9) / 4}},
    {.what = "a single class",
     .smoothing = 0.1,
     .n = 1,
     .classes = 1,
     .logits = {4},
     .labels = {0},
     .correct = {1}},
};

static void check_entropy(const entropy_case *c, double tolerance)
{
    const double dloss = 2; /* gradients are proportional to it */
    mdl_attrs attrs = {.loss = {c->smoothing, c->stablemax}};
    double doubled[MAX_N * MAX_C];
    mdl_view in[3] = {now_tensor(&bench, MDL_SHAPE1(1), &dloss),
                      now_tensor(&bench, MDL_SHAPE2(c->n, c->classes), c->logits),
                      now_labels(&bench, c->n, c->labels)};
    mdl_view out[3] = {now_tensor(&bench, MDL_SHAPE1(1), NULL),
                       now_tensor(&bench, MDL_SHAPE1(c->n), NULL),
                       now_tensor(&bench, MDL_SHAPE1(c->n), NULL)};
    mdl_view dlogits = now_tensor(&bench, MDL_SHAPE2(c->n, c->classes), NULL);
    now_run(&bench, MDL_OP_CROSS_ENTROPY, &attrs, &in[1], 2, out, 3);
    now_expect(&out[0], &c->loss, tolerance);
    now_expect(&out[1], c->losses, tolerance);
    now_expect(&out[2], c->correct, 0);
    now_run(&bench, MDL_OP_CROSS_ENTROPY_GRAD, &attrs, in, 3, &dlogits, 1);
    for (size_t i = 0; i < c->n * c->classes; i++)
        doubled[i] = dloss * c->gradient[i];
    now_expect(&dlogits, doubled, tolerance);
}

static void test_cross_entropy(void **state)
{
    (void)state;
    for (size_t s = 0; s < MDL_COUNT(now_specs); s++) {
        for (size_t i = 0; i < MDL_COUNT(entropy_cases); i++) {
            now_open(&bench, &now_specs[s]);
            check_entropy(&entropy_cases[i], now_specs[s].tolerance);
            now_close(&bench);
        }
    }
}

/* It is not read out of bounds; the NaN stops the trainer. */
static void test_label_beyond_the_classes(void **state)
{
    (void)state;
    const mdl_attrs attrs = {.loss = {0.1, false}};
    const double dloss = 1, logits[4] = {1, 2, 3, 4};
    const int32_t labels[2] = {2, INT32_MAX};
    double loss, gradient[4];
    for (size_t s = 0; s < MDL_COUNT(now_specs); s++) {
        now_open(&bench, &now_specs[s]);
        mdl_view in[3] = {now_tensor(&bench, MDL_SHAPE1(1), &dloss),
                          now_tensor(&bench, MDL_SHAPE2(2, 2), logits),
                          now_labels(&bench, 2, labels)};
        mdl_view out[3] = {now_tensor(&bench, MDL_SHAPE1(1), NULL),
                           now_tensor(&bench, MDL_SHAPE1(2), NULL),
                           now_tensor(&bench, MDL_SHAPE1(2), NULL)};
        mdl_view dlogits = now_tensor(&bench, MDL_SHAPE2(2, 2), NULL);
        now_run(&bench, MDL_OP_CROSS_ENTROPY, &attrs, &in[1], 2, out, 3);
        now_read(&out[0], &loss);
        assert_true(isnan(loss));
        now_run(&bench, MDL_OP_CROSS_ENTROPY_GRAD, &attrs, in, 3, &dlogits, 1);
        now_read(&dlogits, gradient);
        for (size_t i = 0; i < 4; i++)
            assert_true(isnan(gradient[i]));
        now_close(&bench);
    }
}

/* ---- halting -------------------------------------------------------------------------------- */

/* Right, wrong, not counted, right; the answers are those of logits below. */
static const double halt_logits[4 * 2] = {0, 1, 0, 1, 0, 1, 3, 3};
static const int32_t halt_labels[4] = {1, 0, -1, 0};

static void check_halt(const double *q, double loss, const double *dq, double tolerance)
{
    const double dloss = 1.5;
    double scaled[4];
    mdl_view in[4] = {
        now_tensor(&bench, MDL_SHAPE1(1), &dloss), now_tensor(&bench, MDL_SHAPE2(4, 1), q),
        now_tensor(&bench, MDL_SHAPE2(4, 2), halt_logits), now_labels(&bench, 4, halt_labels)};
    mdl_view out = now_tensor(&bench, MDL_SHAPE1(1), NULL);
    mdl_view out_q = now_tensor(&bench, MDL_SHAPE2(4, 1), NULL);
    now_run(&bench, MDL_OP_HALT_LOSS, NULL, &in[1], 3, &out, 1);
    now_expect(&out, &loss, tolerance);
    now_run(&bench, MDL_OP_HALT_LOSS_GRAD, NULL, in, 4, &out_q, 1);
    for (size_t i = 0; i < 4; i++)
        scaled[i] = dloss * dq[i];
    now_expect(&out_q, scaled, tolerance);
}

static void test_halt_loss(void **state)
{
    (void)state;
    /* sigmoid 3/4, 1/4, -, 1/2 */
    const double mild[4] = {LN3, -LN3, 9, 0};
    const double mild_loss = (2 * LN2 - LN3 + 2 * LN2 - LN3 + LN2) / 3;
    const double mild_dq[4] = {-0.25 / 3, 0.25 / 3, 0, -0.5 / 3};
    /* sure and right, sure and wrong, -, sure that it is wrong where it is right */
    const double sure[4] = {300, 300, -300, -300};
    const double sure_dq[4] = {0, 1.0 / 3, 0, -1.0 / 3};
    for (size_t s = 0; s < MDL_COUNT(now_specs); s++) {
        now_open(&bench, &now_specs[s]);
        check_halt(mild, mild_loss, mild_dq, now_specs[s].tolerance);
        check_halt(sure, 200, sure_dq, now_specs[s].tolerance);
        now_close(&bench);
    }
}

static void test_halt_loss_without_samples(void **state)
{
    (void)state;
    static const double zeros[2];
    const double zero = 0, one = 1, q[2] = {1, 2}, logits[4] = {1, 2, 3, 4};
    const int32_t labels[2] = {-1, -1};
    for (size_t s = 0; s < MDL_COUNT(now_specs); s++) {
        now_open(&bench, &now_specs[s]);
        mdl_view in[4] = {
            now_tensor(&bench, MDL_SHAPE1(1), &one), now_tensor(&bench, MDL_SHAPE2(2, 1), q),
            now_tensor(&bench, MDL_SHAPE2(2, 2), logits), now_labels(&bench, 2, labels)};
        mdl_view out = now_tensor(&bench, MDL_SHAPE1(1), &one);
        mdl_view dq = now_tensor(&bench, MDL_SHAPE2(2, 1), q);
        now_run(&bench, MDL_OP_HALT_LOSS, NULL, &in[1], 3, &out, 1);
        now_run(&bench, MDL_OP_HALT_LOSS_GRAD, NULL, in, 4, &dq, 1);
        now_expect(&out, &zero, 0);
        now_expect(&dq, zeros, 0);
        now_close(&bench);
    }
}

/* ---- refusals ------------------------------------------------------------------------------- */

static void expect_refused(mdl_op op, const mdl_attrs *attrs, const mdl_desc *in, int n_in,
                           const char *says)
{
    mdl_desc out[MDL_MAX_OUT];
    int n_out;
    assert_int_not_equal(mdl_op_get(op)->infer(attrs, MDL_F32, in, n_in, out, &n_out), MDL_OK);
    if (strstr(mdl_error_detail(), says) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", mdl_error_detail(), says);
}

static void test_refusals(void **state)
{
    (void)state;
    const mdl_attrs plain = {.loss = {0, false}}, much = {.loss = {1.5, false}};
    const mdl_attrs not_a_number = {.loss = {(double)NAN, false}};
    const mdl_desc good[] = {{MDL_F32, MDL_SHAPE2(4, 3)}, {MDL_I32, MDL_SHAPE1(4)}};
    const mdl_desc real_labels[] = {{MDL_F32, MDL_SHAPE2(4, 3)}, {MDL_F32, MDL_SHAPE1(4)}};
    const mdl_desc few_labels[] = {{MDL_F32, MDL_SHAPE2(4, 3)}, {MDL_I32, MDL_SHAPE1(3)}};
    const mdl_desc wide_q[] = {
        {MDL_F32, MDL_SHAPE2(4, 3)}, {MDL_F32, MDL_SHAPE2(4, 3)}, {MDL_I32, MDL_SHAPE1(4)}};
    expect_refused(MDL_OP_CROSS_ENTROPY, &much, good, 2, "smoothing");
    expect_refused(MDL_OP_CROSS_ENTROPY, &not_a_number, good, 2, "smoothing");
    expect_refused(MDL_OP_CROSS_ENTROPY, &plain, real_labels, 2, "labels");
    expect_refused(MDL_OP_CROSS_ENTROPY, &plain, few_labels, 2, "labels");
    expect_refused(MDL_OP_CROSS_ENTROPY, &plain, good, 1, "inputs");
    expect_refused(MDL_OP_HALT_LOSS, &plain, wide_q, 3, "q is [4, 3], expected [4, 1]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_cross_entropy, teardown),
        cmocka_unit_test_teardown(test_label_beyond_the_classes, teardown),
        cmocka_unit_test_teardown(test_halt_loss, teardown),
        cmocka_unit_test_teardown(test_halt_loss_without_samples, teardown),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
