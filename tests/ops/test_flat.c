/* Optimizers and merging ops against hand-made values and formulas written out again, on every
 * backend and several numbers of threads. */
#include "op_now.h"

#include <math.h>
#include <string.h>

/* More than two chunks of the CPU kernels, and not a multiple of a vector. */
enum { LARGE = 9001 };

static now bench;
static double a_values[LARGE], b_values[LARGE], results[LARGE];

static int setup(void **state)
{
    (void)state;
    mdl_rng rng = mdl_rng_init(3, 0);
    for (size_t i = 0; i < LARGE; i++) { /* exact in float32: each backend has the same */
        a_values[i] = floor(1024 * mdl_rng_normal(&rng)) / 1024;
        b_values[i] = floor(1024 * mdl_rng_normal(&rng)) / 1024;
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    now_close(&bench);
    return 0;
}

/* ---- optimizers ----------------------------------------------------------------------------- */

enum { N = 7, STEPS = 6 };

/* Element 3 belongs to no segment. */
static const mdl_segment groups[] = {
    {.offset = 0, .count = 3, .a = 1.0, .b = 1.0},
    {.offset = 4, .count = 2, .a = 0.0, .b = 1.0},
    {.offset = 6, .count = 1, .a = 0.5, .b = 0.1},
};
static const double decay_of[N] = {1, 1, 1, 0, 0, 0, 0.5};
static const double rate_of[N] = {1, 1, 1, 0, 1, 1, 0.1};
static const double start[N] = {0.5, -1.25, 2.0, 3.0, -0.75, 0.0, 1.5};

static double gradient_at(size_t i, int t) /* exact in float32 */
{
    return (double)((7 * (int)i + 5 * t) % 11 - 5) / 8;
}

typedef struct optimizer_case {
    mdl_op op;
    mdl_attrs attrs; /* without the corrections */
} optimizer_case;

static const optimizer_case optimizer_cases[] = {
    {MDL_OP_ADAMW,
     {.optim = {.lr = 0.01, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .grad_scale = 1}}},
    {MDL_OP_ADAMW,
     {.optim = {.lr = 0.1,
                .beta1 = 0.8,
                .beta2 = 0.95,
                .eps = 1e-3,
                .weight_decay = 0.05,
                .grad_scale = 0.25}}},
    {MDL_OP_SGD, {.optim = {.lr = 0.1, .grad_scale = 1}}},
    {MDL_OP_SGD, {.optim = {.lr = 0.1, .weight_decay = 0.01, .grad_scale = 0.5, .momentum = 0.9}}},
    {MDL_OP_SGD,
     {.optim =
          {.lr = 0.1, .weight_decay = 0.01, .grad_scale = 0.5, .momentum = 0.9, .nesterov = true}}},
};

/* One parameter after STEPS steps of torch.optim.AdamW, as its documentation has it. */
static double expect_adamw(const mdl_attrs *attrs, size_t i)
{
    double theta = start[i], m = 0, v = 0, lr = attrs->optim.lr * rate_of[i];
    double beta1 = attrs->optim.beta1, beta2 = attrs->optim.beta2;
    for (int t = 1; t <= STEPS; t++) {
        double g = attrs->optim.grad_scale * gradient_at(i, t);
        theta -= lr * attrs->optim.weight_decay * decay_of[i] * theta;
        m = beta1 * m + (1 - beta1) * g;
        v = beta2 * v + (1 - beta2) * g * g;
        double m_hat = m / (1 - pow(beta1, t)), v_hat = v / (1 - pow(beta2, t));
        theta -= lr * m_hat / (sqrt(v_hat) + attrs->optim.eps);
    }
    return theta;
}

/* The same of torch.optim.SGD, whose buffer is the gradient itself at the first step. */
static double expect_sgd(const mdl_attrs *attrs, size_t i)
{
    double theta = start[i], buffer = 0, mu = attrs->optim.momentum;
    for (int t = 1; t <= STEPS; t++) {
        double g = attrs->optim.grad_scale * gradient_at(i, t);
        g += attrs->optim.weight_decay * decay_of[i] * theta;
        if (mu != 0) {
            buffer = t == 1 ? g : mu * buffer + g;
            g = attrs->optim.nesterov ? g + mu * buffer : buffer;
        }
        theta -= attrs->optim.lr * rate_of[i] * g;
    }
    return theta;
}

static void check_optimizer(const optimizer_case *c, double tolerance)
{
    mdl_attrs attrs = c->attrs;
    double values[N], expected[N];
    mdl_view grad = now_tensor(&bench, MDL_SHAPE1(N), NULL), out[3];
    out[0] = now_tensor(&bench, MDL_SHAPE1(N), start);
    out[1] = now_tensor(&bench, MDL_SHAPE1(N), NULL);
    out[2] = now_tensor(&bench, MDL_SHAPE1(N), NULL);
    attrs.optim.segments = groups;
    attrs.optim.n_segments = MDL_COUNT(groups);
    for (int t = 1; t <= STEPS; t++) {
        for (size_t i = 0; i < N; i++)
            values[i] = gradient_at(i, t);
        now_check(mdl_view_upload_f64(&grad, values, N));
        attrs.optim.correction1 = 1 - pow(attrs.optim.beta1, t);
        attrs.optim.correction2 = 1 - pow(attrs.optim.beta2, t);
        now_run(&bench, c->op, &attrs, &grad, 1, out, c->op == MDL_OP_ADAMW ? 3 : 2);
    }
    for (size_t i = 0; i < N; i++)
        expected[i] = c->op == MDL_OP_ADAMW ? expect_adamw(&attrs, i) : expect_sgd(&attrs, i);
    now_expect(&out[0], expected, tolerance);
    now_read(&out[0], values);
    assert_true(values[3] == start[3]); /* untouched, so exactly equal */
}

static void test_optimizers(void **state)
{
    (void)state;
    for (size_t s = 0; s < MDL_COUNT(now_specs); s++) {
        for (size_t i = 0; i < MDL_COUNT(optimizer_cases); i++) {
            now_open(&bench, &now_specs[s]);
            check_optimizer(&optimizer_cases[i], STEPS * now_specs[s].tolerance);
            now_close(&bench);
        }
    }
}

/* Where the arena is cut between threads changes nothing. */
static void test_optimizers_on_threads(void **state)
{
    (void)state;
    static double first[3][LARGE];
    mdl_segment all[] = {{.offset = 0, .count = 4500, .a = 1, .b = 1},
                         {.offset = 4500, .count = 4501, .a = 0, .b = 2}};
    mdl_attrs attrs = {.optim = {.lr = 0.01,
                                 .beta1 = 0.9,
                                 .beta2 = 0.99,
                                 .eps = 1e-8,
                                 .weight_decay = 0.1,
                                 .correction1 = 0.1,
                                 .correction2 = 0.01,
                                 .grad_scale = 0.7,
                                 .segments = all,
                                 .n_segments = 2}};
    for (int threads = 1; threads <= 3; threads++) {
        now_open(&bench, &(now_spec){"cpu", MDL_F32, threads, 0});
        mdl_view grad = now_tensor(&bench, MDL_SHAPE1(LARGE), a_values), out[3];
        for (int j = 0; j < 3; j++)
            out[j] = now_tensor(&bench, MDL_SHAPE1(LARGE), j == 0 ? b_values : NULL);
        now_run(&bench, MDL_OP_ADAMW, &attrs, &grad, 1, out, 3);
        for (int j = 0; j < 3; j++) {
            now_read(&out[j], results);
            if (threads == 1)
                memcpy(first[j], results, sizeof(results));
            assert_memory_equal(results, first[j], sizeof(results));
        }
        now_close(&bench);
    }
}

/* ---- sums ----------------------------------------------------------------------------------- */

static void test_sum_squares(void **state)
{
    (void)state;
    double expected = 0, first = 0;
    for (size_t i = 0; i < LARGE; i++)
        expected += a_values[i] * a_values[i];
    for (size_t s = 0; s < MDL_COUNT(now_specs); s++) {
        double got;
        now_open(&bench, &now_specs[s]);
        mdl_view x = now_tensor(&bench, MDL_SHAPE1(LARGE), a_values);
        mdl_view sum = now_typed(&bench, MDL_F64, MDL_SHAPE1(1));
        now_run(&bench, MDL_OP_SUM_SQUARES, NULL, &x, 1, &sum, 1);
        now_read(&sum, &got);
        now_near(got, expected, 1e-13); /* in double, also where x is float32 */
        now_close(&bench);
    }
    for (int threads = 1; threads <= 3; threads++) {
        double got;
        now_open(&bench, &(now_spec){"cpu", MDL_F32, threads, 0});
        mdl_view x = now_tensor(&bench, MDL_SHAPE1(LARGE), a_values);
        mdl_view sum = now_typed(&bench, MDL_F64, MDL_SHAPE1(1));
        now_run(&bench, MDL_OP_SUM_SQUARES, NULL, &x, 1, &sum, 1);
        now_read(&sum, &got);
        if (threads == 1)
            first = got;
        assert_memory_equal(&got, &first, sizeof(got));
        now_close(&bench);
    }
}

static const mdl_segment parts[] = {
    {.offset = 1, .count = 8500, .a = 2, .b = -1},
    {.offset = 8501, .count = 0, .a = 1, .b = 1},
    {.offset = 8600, .count = 1, .a = 0, .b = 0.5},
    {.offset = 8700, .count = 301, .a = 0.25, .b = 0.75},
};

static void test_dots(void **state)
{
    (void)state;
    const mdl_attrs attrs = {.blend = {parts, MDL_COUNT(parts)}};
    double expected[3 * MDL_COUNT(parts)] = {0}, first[3 * MDL_COUNT(parts)];
    for (size_t s = 0; s < MDL_COUNT(parts); s++) {
        for (size_t i = parts[s].offset; i < parts[s].offset + parts[s].count; i++) {
            expected[3 * s] += a_values[i] * a_values[i];
            expected[3 * s + 1] += a_values[i] * b_values[i];
            expected[3 * s + 2] += b_values[i] * b_values[i];
        }
    }
    for (size_t s = 0; s < MDL_COUNT(now_specs); s++) {
        double got[3 * MDL_COUNT(parts)];
        now_open(&bench, &now_specs[s]);
        mdl_view in[2] = {now_tensor(&bench, MDL_SHAPE1(LARGE), a_values),
                          now_tensor(&bench, MDL_SHAPE1(LARGE), b_values)};
        mdl_view out = now_typed(&bench, MDL_F64, MDL_SHAPE1(3 * MDL_COUNT(parts)));
        now_run(&bench, MDL_OP_DOTS, &attrs, in, 2, &out, 1);
        now_expect(&out, expected, 1e-13);
        now_read(&out, got);
        if (s == 2) /* cpu with one thread, then with more */
            memcpy(first, got, sizeof(got));
        if (s >= 2)
            assert_memory_equal(got, first, sizeof(got));
        now_close(&bench);
    }
}

/* ---- blend, lerp ---------------------------------------------------------------------------- */

static void check_blend(const now_spec *spec, int target)
{
    const mdl_attrs attrs = {.blend = {parts, MDL_COUNT(parts)}};
    static double expected[LARGE];
    now_open(&bench, spec);
    mdl_view tensors[3] = {now_tensor(&bench, MDL_SHAPE1(LARGE), a_values),
                           now_tensor(&bench, MDL_SHAPE1(LARGE), b_values),
                           now_tensor(&bench, MDL_SHAPE1(LARGE), NULL)};
    now_read(&tensors[target], expected); /* what is outside the segments stays */
    for (size_t s = 0; s < MDL_COUNT(parts); s++) {
        for (size_t i = parts[s].offset; i < parts[s].offset + parts[s].count; i++)
            expected[i] = parts[s].a * a_values[i] + parts[s].b * b_values[i];
    }
    now_run(&bench, MDL_OP_BLEND, &attrs, tensors, 2, &tensors[target], 1);
    now_expect(&tensors[target], expected, spec->tolerance);
    now_close(&bench);
}

static void test_blend(void **state)
{
    (void)state;
    for (size_t s = 0; s < MDL_COUNT(now_specs); s++) {
        for (int target = 0; target < 3; target++) /* into a, into b, into another */
            check_blend(&now_specs[s], target);
    }
}

static void test_lerp(void **state)
{
    (void)state;
    const double x[4] = {1, -2, 0.5, 0}, y[4] = {3, 2, 0.5, -8};
    const double expected[4] = {2.5, 1, 0.5, -6};
    const mdl_attrs attrs = {.lerp = {0.25}};
    for (size_t s = 0; s < MDL_COUNT(now_specs); s++) {
        now_open(&bench, &now_specs[s]);
        mdl_view from = now_tensor(&bench, MDL_SHAPE2(2, 2), x);
        mdl_view to = now_tensor(&bench, MDL_SHAPE2(2, 2), y);
        now_run(&bench, MDL_OP_LERP, &attrs, &from, 1, &to, 1);
        now_expect(&to, expected, 0); /* exact in float32 */
        now_close(&bench);
    }
}

/* ---- noise ---------------------------------------------------------------------------------- */

static void make_noise(const now_spec *spec, uint64_t seed, uint64_t stream, double std,
                       const double *start_at, double *out)
{
    mdl_attrs attrs = {.noise = {std, seed, stream, MDL_SHAPE1(LARGE)}};
    now_open(&bench, spec);
    mdl_view y = now_tensor(&bench, MDL_SHAPE1(LARGE), start_at);
    now_run(&bench, MDL_OP_NOISE, &attrs, NULL, 0, &y, 1);
    now_read(&y, out);
    now_close(&bench);
}

/* The first pair from its formula, at the level of bits. */
static void test_noise_formula(void **state)
{
    (void)state;
    uint32_t words[4];
    mdl_philox(77, 6, 0, words);
    double u1 = ldexp((double)words[0] + 1, -32), u2 = ldexp((double)words[1], -32);
    double radius = sqrt(-2 * log(u1)), angle = 2 * acos(-1.0) * u2;
    for (size_t s = 0; s < MDL_COUNT(now_specs); s++) {
        make_noise(&now_specs[s], 77, 6, 2.0, a_values, results);
        now_near(results[0], a_values[0] + 2 * radius * cos(angle), now_specs[s].tolerance);
        now_near(results[1], a_values[1] + 2 * radius * sin(angle), now_specs[s].tolerance);
    }
}

static void test_noise_threads(void **state)
{
    (void)state;
    static double first[LARGE], other[LARGE];
    make_noise(&now_specs[2], 1, 2, 0.5, b_values, first);
    for (int threads = 1; threads <= 3; threads++) { /* one thread again: reproducible */
        make_noise(&(now_spec){"cpu", MDL_F32, threads, 0}, 1, 2, 0.5, b_values, results);
        assert_memory_equal(results, first, sizeof(first));
    }
    make_noise(&now_specs[0], 1, 2, 0.5, b_values, other);
    for (size_t i = 0; i < LARGE; i++) /* other backends: the same normals up to rounding */
        now_near(results[i], other[i], 1e-6);
    make_noise(&now_specs[2], 1, 3, 0.5, b_values, other);
    size_t equal = 0;
    for (size_t i = 0; i < LARGE; i++)
        equal += fabs(other[i] - first[i]) < 1e-6 ? 1 : 0;
    assert_true(equal < 20); /* another stream is another sequence */
}

/* Bounds are five standard errors of LARGE independent normals. */
static void test_noise_distribution(void **state)
{
    (void)state;
    double mean = 0, square = 0, lag = 0, pair = 0, root = sqrt((double)LARGE);
    size_t beyond = 0;
    make_noise(&now_specs[3], 5, 9, 1.0, NULL, results);
    for (size_t i = 0; i < LARGE; i++) {
        mean += results[i] / LARGE;
        square += results[i] * results[i] / LARGE;
        lag += i > 0 ? results[i] * results[i - 1] / LARGE : 0;
        pair += i % 2 == 1 ? results[i] * results[i - 1] / LARGE : 0;
        beyond += fabs(results[i]) > 1.959963985 ? 1 : 0;
    }
    assert_true(fabs(mean) < 5 / root);
    assert_true(fabs(square - 1) < 5 * sqrt(2.0) / root);
    assert_true(fabs(lag) < 5 / root);
    assert_true(fabs(pair) < 5 / root);
    assert_true(fabs((double)beyond / LARGE - 0.05) < 5 * sqrt(0.05 * 0.95) / root);
}

/* ---- refusals ------------------------------------------------------------------------------- */

static void expect_refused(mdl_op op, const mdl_attrs *attrs, int n_in, const char *says)
{
    const mdl_desc in[2] = {{MDL_F32, MDL_SHAPE1(10)}, {MDL_F32, MDL_SHAPE1(10)}};
    mdl_desc out[MDL_MAX_OUT];
    int n_out;
    assert_int_not_equal(mdl_op_get(op)->infer(attrs, MDL_F32, in, n_in, out, &n_out), MDL_OK);
    if (strstr(mdl_error_detail(), says) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", mdl_error_detail(), says);
}

static void test_segments_are_checked(void **state)
{
    (void)state;
    static const mdl_segment wrong[][2] = {
        {{.offset = 0, .count = 11}, {.offset = 0, .count = 0}},       /* beyond the end */
        {{.offset = 11, .count = 0}, {.offset = 0, .count = 0}},       /* starts beyond the end */
        {{.offset = 4, .count = SIZE_MAX}, {.offset = 0, .count = 0}}, /* the sum overflows */
        {{.offset = 0, .count = 5}, {.offset = 4, .count = 2}},        /* overlap */
        {{.offset = 5, .count = 5}, {.offset = 0, .count = 5}},        /* not ascending */
    };
    for (size_t i = 0; i < MDL_COUNT(wrong); i++) {
        mdl_attrs blend = {.blend = {wrong[i], 2}};
        mdl_attrs optim = {.optim = {.correction1 = 1, .correction2 = 1}};
        optim.optim.segments = wrong[i];
        optim.optim.n_segments = 2;
        expect_refused(MDL_OP_DOTS, &blend, 2, "dots: segment");
        expect_refused(MDL_OP_BLEND, &blend, 2, "blend: segment");
        expect_refused(MDL_OP_ADAMW, &optim, 1, "adamw: segment");
        expect_refused(MDL_OP_SGD, &optim, 1, "sgd: segment");
    }
}

static void test_attributes_are_checked(void **state)
{
    (void)state;
    static const mdl_segment all[] = {{.offset = 0, .count = 10}};
    const mdl_attrs none = {.optim = {.correction1 = 1, .correction2 = 1}};
    const mdl_attrs no_correction = {.optim = {.segments = all, .n_segments = 1}};
    const mdl_attrs no_shape = {.noise = {.std = 1}};
    expect_refused(MDL_OP_ADAMW, &none, 1, "no segments");
    expect_refused(MDL_OP_ADAMW, &no_correction, 1, "corrections");
    expect_refused(MDL_OP_NOISE, &no_shape, 0, "noise");
    expect_refused(MDL_OP_DOTS, &(mdl_attrs){.blend = {all, 1}}, 1, "dots: 1 inputs");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_optimizers, teardown),
        cmocka_unit_test_teardown(test_optimizers_on_threads, teardown),
        cmocka_unit_test_teardown(test_sum_squares, teardown),
        cmocka_unit_test_teardown(test_dots, teardown),
        cmocka_unit_test_teardown(test_blend, teardown),
        cmocka_unit_test_teardown(test_lerp, teardown),
        cmocka_unit_test_teardown(test_noise_formula, teardown),
        cmocka_unit_test_teardown(test_noise_threads, teardown),
        cmocka_unit_test_teardown(test_noise_distribution, teardown),
        cmocka_unit_test(test_segments_are_checked),
        cmocka_unit_test(test_attributes_are_checked),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
