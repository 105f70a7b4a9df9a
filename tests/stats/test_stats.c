/* Statistics against known values: expected figures were computed with SciPy 1.17
 * (binomtest, ttest_ind(equal_var=False), ttest_rel) and NumPy's quantile. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "experiment/experiment.h"

/* Relative difference; the functions are a few dozen roundings of double arithmetic and lgamma of
 * arguments up to 10^4, whose error in the exponent is about 1e-11. */
static void assert_near(double got, double expected, double tolerance)
{
    double scale = fmax(fabs(expected), 1e-300);
    if (!(fabs(got - expected) <= tolerance * scale) && !(expected == 0 && got == 0))
        fail_msg("got %.17g, expected %.17g", got, expected);
}

static void wilson(void **state)
{
    (void)state;
    static const struct {
        size_t k, n;
        double low, high;
    } cases[] = {
        {0, 10, 0.0, 0.27753279986288926},
        {10, 10, 0.7224672001371109, 1.0},
        {7, 10, 0.39677814746114526, 0.892208732593699},
        {5690, 10000, 0.5592692741863334, 0.578677734038513},
        {1, 360, 0.000490514392087504, 0.015564442180557707},
        {9999, 10000, 0.9994337311025987, 0.9999823473263989},
        {0, 0, 0.0, 1.0},
    };
    for (size_t i = 0; i < MDL_COUNT(cases); i++) {
        mdl_interval got = mdl_stat_wilson(cases[i].k, cases[i].n);
        assert_near(got.low, cases[i].low, 1e-12);
        assert_near(got.high, cases[i].high, 1e-12);
    }
}

static void mcnemar(void **state)
{
    (void)state;
    static const struct {
        size_t b, c;
        double p;
    } cases[] = {
        {0, 0, 1.0},
        {5, 5, 1.0},
        {1, 0, 1.0},
        {10, 2, 0.03857421875},
        {2, 10, 0.03857421875},
        {120, 80, 0.005685155996750306},
        {260, 200, 0.0058839224731039984},
        {5000, 4800, 0.04440414879984631},
        {0, 40, 1.8189894035458565e-12},
        {300, 20, 2.849606224389251e-65},
    };
    for (size_t i = 0; i < MDL_COUNT(cases); i++)
        assert_near(mdl_stat_mcnemar(cases[i].b, cases[i].c), cases[i].p, 1e-10);
}

static void assert_test(mdl_t_test got, double t, double df, double p)
{
    assert_near(got.t, t, 1e-11);
    assert_near(got.df, df, 1e-11);
    assert_near(got.p, p, 1e-10);
}

static void welch(void **state)
{
    (void)state;
    assert_test(mdl_stat_welch((double[]){56.9, 57.4}, 2, (double[]){55.1, 56.2}, 2),
                2.4828176658070897, 1.3963055155246944, 0.18278754144216952);
    assert_test(
        mdl_stat_welch((double[]){91.2, 91.5, 91.1, 91.9}, 4, (double[]){90.7, 91.0, 90.2}, 3),
        2.6880812161278542, 4.111725526682749, 0.05319453323286055);
    assert_test(mdl_stat_welch((double[]){1, 2, 3, 4, 5}, 5, (double[]){1, 2, 3, 4, 9.5}, 5),
                -0.5467110653077082, 5.721820767028301, 0.6052227389682512);
    assert_test(mdl_stat_welch((double[]){10.0, 10.1}, 2, (double[]){0.0, 0.05}, 2),
                179.33265179548363, 1.4705882352941206, 0.0003609064746539386);
}

static void paired(void **state)
{
    (void)state;
    assert_test(
        mdl_stat_paired_t((double[]){1, 2, 3, 4, 5}, (double[]){1.5, 1.8, 3.9, 4.1, 5.5}, 5),
        -1.9079961840114474, 4.0, 0.12904358178244207);
    assert_test(mdl_stat_paired_t((double[]){56.9, 57.4, 58.0}, (double[]){55.1, 56.2, 55.5}, 3),
                4.880460801788604, 2.0, 0.03951191628896353);
}

static void undefined_tests_say_so(void **state)
{
    (void)state;
    mdl_t_test one = mdl_stat_welch((double[]){1}, 1, (double[]){2, 3}, 2);
    assert_true(isnan(one.p) && isnan(one.t));
    assert_near(one.difference, -1.5, 1e-15);
    assert_true(isnan(mdl_stat_welch((double[]){1, 1}, 2, (double[]){2, 2}, 2).p));
    assert_true(isnan(mdl_stat_paired_t((double[]){1, 2}, (double[]){2, 3}, 2).p));
    assert_true(isnan(mdl_stat_paired_t((double[]){1}, (double[]){2}, 1).p));
    /* Equal differences that differ by rounding alone are no spread. */
    const double x[] = {0.3, 0.8, 0.7}, y[] = {0.2, 0.7, 0.6};
    assert_true((x[0] - y[0]) - (x[1] - y[1]) != 0);
    assert_true(isnan(mdl_stat_paired_t(x, y, 3).p));
    const double same[] = {0.1 + 0.2, 0.3}, other[] = {0.5, 0.5};
    assert_true(isnan(mdl_stat_welch(same, 2, other, 2).p));
}

/* With differences that take only -1, 0 and 1 the mean of a resample is nearly normal: the interval
 * must agree with mean +- 1.96 standard errors within the noise of 4,000 rounds (about 3 %). */
static void bootstrap(void **state)
{
    (void)state;
    enum { N = 2000 };
    static float x[N], y[N];
    for (int i = 0; i < N; i++) {
        x[i] = i % 10 < 7 ? 1.0f : 0.0f;
        y[i] = i % 10 < 6 || i % 20 == 19 ? 1.0f : 0.0f;
    }
    double mean = 0.05, sd = sqrt(0.15 - mean * mean), se = sd / sqrt((double)N);
    mdl_interval got = mdl_stat_bootstrap(x, y, N, 4000, 1);
    assert_true(fabs(got.low - (mean - 1.96 * se)) < 0.15 * se);
    assert_true(fabs(got.high - (mean + 1.96 * se)) < 0.15 * se);
    mdl_interval again = mdl_stat_bootstrap(x, y, N, 4000, 1);
    assert_true(got.low == again.low && got.high == again.high);
    mdl_interval same = mdl_stat_bootstrap(x, x, N, 100, 1);
    assert_true(same.low == 0 && same.high == 0);
    assert_true(isnan(mdl_stat_bootstrap(x, y, 0, 100, 1).low));
    mdl_alloc_fail_at(1);
    assert_true(isnan(mdl_stat_bootstrap(x, y, N, 100, 1).low));
    mdl_alloc_fail_at(0);
}

static void quantile(void **state)
{
    (void)state;
    double values[] = {3, 1, 4, 1, 5, 9, 2, 6};
    assert_near(mdl_stat_quantile(values, 8, 0.95), 7.949999999999998, 1e-14);
    assert_near(mdl_stat_quantile(values, 8, 0.5), 3.5, 1e-14);
    assert_near(mdl_stat_quantile(values, 8, 0), 1, 1e-14);
    assert_near(mdl_stat_quantile(values, 8, 1), 9, 1e-14);
    assert_near(mdl_stat_quantile(values, 1, 0.3), 1, 1e-14);
    assert_true(isnan(mdl_stat_quantile(values, 0, 0.5)));
}

/* Fisher's worked example: Darwin's 15 pairs of Zea mays (The Design of Experiments, section 21):
 * 863 of 2^15 choices of signs have a sum as far as 314 on the one side, so 1726 of 32768. */
static void sign_flips(void **state)
{
    (void)state;
    static const double d[15] = {49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48};
    static const double zero[15] = {0};
    double p = mdl_stat_sign_flip(d, zero, 15);
    if (!(fabs(p - 1726.0 / 32768) < 1e-15))
        fail_msg("p = %.17g", p);
    static const double five[5] = {0.1, 0.2, 0.1, 0.3, 0.2}; /* all positive: the least p */
    assert_true(mdl_stat_sign_flip(five, zero, 5) == 2.0 / 32);
    assert_true(mdl_stat_sign_flip(zero, zero, 5) == 1);
    assert_true(isnan(mdl_stat_sign_flip(zero, zero, 0)));
}

/* Quantiles of Student's t: 2.7764451051977987 for 4 degrees of freedom, 12.706204736174698 for 1
 * (scipy.stats.t.ppf(0.975, df)).  Bisection ends within a rounding or two of them. */
static void intervals_of_means(void **state)
{
    (void)state;
    double half = 2.7764451051977987 * sqrt(0.5);
    mdl_interval got = mdl_stat_mean((double[]){1, 2, 3, 4, 5}, 5);
    assert_near(got.low, 3 - half, 1e-11);
    assert_near(got.high, 3 + half, 1e-11);
    assert_true(isnan(mdl_stat_mean((double[]){1}, 1).low));
    mdl_t_test t = mdl_stat_paired_t((double[]){2, 5}, (double[]){1, 2}, 2); /* 1 and 3 */
    assert_near(t.low, 2 - 12.706204736174698, 1e-11);
    assert_near(t.high, 2 + 12.706204736174698, 1e-11);
    assert_true(isnan(mdl_stat_paired_t((double[]){1, 2}, (double[]){2, 3}, 2).low));
}

static void holm(void **state)
{
    (void)state;
    const double p[] = {0.01, 0.04, (double)NAN, 0.03, 0.5, 0.5};
    /* Of five tests: 5 x 0.01, 4 x 0.03, 3 x 0.04 (not below the one before), 2 x 0.5. */
    const double expected[] = {0.05, 0.12, (double)NAN, 0.12, 1, 1};
    double got[MDL_COUNT(p)];
    mdl_stat_holm(p, MDL_COUNT(p), got);
    for (size_t i = 0; i < MDL_COUNT(p); i++) {
        if (isnan(expected[i]))
            assert_true(isnan(got[i]));
        else
            assert_near(got[i], expected[i], 1e-14);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sign_flips),
        cmocka_unit_test(wilson),
        cmocka_unit_test(intervals_of_means),
        cmocka_unit_test(holm),
        cmocka_unit_test(mcnemar),
        cmocka_unit_test(welch),
        cmocka_unit_test(paired),
        cmocka_unit_test(bootstrap),
        cmocka_unit_test(quantile),
        cmocka_unit_test(undefined_tests_say_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
