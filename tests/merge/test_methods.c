/* The table of methods, and the formulas of SLERP, TIES, DARE and CMA-ES by hand. */
#include "merging.h"

static void slerp_coefficients(void **state)
{
    (void)state;
    const double dots[3] = {4, 3, 9}; /* cos W = 1/2, W = pi/3 */
    mdl__pair p = mdl__slerp(dots, 0.25);
    near(p.a, sin(0.75 * acos(0.5)) / sin(acos(0.5)));
    near(p.b, sin(0.25 * acos(0.5)) / sin(acos(0.5)));
    p = mdl__slerp(dots, 0);
    near(p.a, 1);
    near(p.b, 0);
    static const double flat[][3] = {{4, 6, 9}, {4, -6, 9}, {0, 0, 9}, {4, 0, 0}, {0, 0, 0}};
    for (size_t i = 0; i < MDL_COUNT(flat); i++) { /* parallel, opposite, zero: linear */
        p = mdl__slerp(flat[i], 0.3);
        near(p.a, 0.7);
        near(p.b, 0.3);
    }
}

/* A worked example in the manner of the paper's figure 1: trim to two of four, elect, average. */
static void ties_by_hand(void **state)
{
    (void)state;
    float a_tau[] = {3, -1, 0.5F, 0.1F}, b_tau[] = {-2, -4, 0, 1}, c_tau[] = {1, 0.2F, 5, -6};
    float *tau[] = {a_tau, b_tau, c_tau};
    static uint64_t bins[MDL__BINS];
    float merged[4];
    mdl__ties(tau, 3, 4, 2, bins, merged);
    /* 3 -1 0 0, -2 -4 0 0, 0 0 5 -6; signs + - + - */
    const float expected[] = {3, -2.5F, 5, -6};
    for (size_t i = 0; i < 4; i++)
        near((double)merged[i], (double)expected[i]);
    assert_true(a_tau[2] == 0 && b_tau[3] == 0 && c_tau[0] == 0);
    float one[] = {1, -2, 3, -4}; /* all of one vector is that vector */
    tau[0] = one;
    mdl__ties(tau, 1, 4, 4, bins, merged);
    assert_memory_equal(merged, one, sizeof(one));
    float up[] = {2, 0, 0, 0}, down[] = {-2, 0, 0, 0}; /* no sign wins: nothing */
    tau[0] = up;
    tau[1] = down;
    mdl__ties(tau, 2, 4, 4, bins, merged);
    assert_true(merged[0] == 0);
}

/* The expected value is the average; what stays is enlarged. */
static void dare_keeps_the_mean(void **state)
{
    (void)state;
    enum { N = 40000 };
    static float ones[N], twos[N], merged[N];
    float *tau[] = {ones, twos};
    double sum = 0, zeros = 0;
    for (size_t i = 0; i < N; i++) {
        ones[i] = 1;
        twos[i] = 2;
    }
    mdl__dare(tau, 2, N, 0.25, 7, merged);
    for (size_t i = 0; i < N; i++) {
        sum += (double)merged[i];
        zeros += merged[i] == 0;
        assert_true(merged[i] == 0 || merged[i] == 2 || merged[i] == 4 || merged[i] == 6);
    }
    /* mean 1.5; variance of an element (1 + 4) / 4 * (1 / 0.25 - 1) = 3.75; five standard errors */
    assert_true(fabs(sum / N - 1.5) < 5 * sqrt(3.75 / N));
    assert_true(fabs(zeros / N - 0.5625) < 5 * sqrt(0.5625 * 0.4375 / N));
    for (size_t i = 0; i < N; i++) {
        ones[i] = 1;
        twos[i] = 2;
    }
    mdl__dare(tau, 2, N, 1, 7, merged); /* nothing dropped: the average */
    assert_true(merged[0] == 1.5F && merged[N - 1] == 1.5F);
}

static void methods(void **state)
{
    (void)state;
    const mdl_method *method;
    mdl_merge_config c = mdl_merge_config_default();
    mdl_method_find("ga")->configure(&c);
    assert_true(c.search == MDL_SEARCH_NICHES && c.alpha == 0 && !c.attraction && c.crossover);
    mdl_method_find("map-elites")->configure(&c);
    assert_int_equal(c.search, MDL_SEARCH_MAP_ELITES);
    c = mdl_merge_config_default();
    assert_true(c.start_averages && c.keep_average);
    mdl_method_find("line")->configure(&c);
    assert_int_equal(c.search, MDL_SEARCH_LINE);
    assert_true(!c.start_averages && !c.keep_average);

    assert_int_equal(mdl_method_choose("elites", MDL_METHOD_TO_EVOLVE, &method), MDL_CONFIG);
    assert_non_null(strstr(mdl_error_detail(), "map-elites, cma-es, random, line"));
    assert_null(strstr(mdl_error_detail(), "ties"));
    assert_null(method);
    assert_int_equal(mdl_method_choose("ties", MDL_METHOD_TO_EVOLVE, &method), MDL_CONFIG);
    assert_int_equal(mdl_method_choose("ties", MDL_METHOD_TO_COMPARE, &method), MDL_OK);
    assert_int_equal(mdl_method_choose("average", MDL_METHOD_TO_COMPARE, &method), MDL_CONFIG);
    assert_non_null(strstr(mdl_error_detail(), "leave average out"));
    assert_int_equal(mdl_method_choose("m2n2", MDL_METHOD_TO_MERGE, &method), MDL_CONFIG);
    /* A former name still works. */
    assert_int_equal(mdl_method_choose("no-split", MDL_METHOD_TO_EVOLVE, &method), MDL_OK);
    assert_string_equal(method->name, "no-crossover-point");
}

/* Each row has what a row must have, and no two have one name. */
static void rows_of_methods(void **state)
{
    (void)state;
    for (size_t i = 0; i < mdl_method_count; i++) {
        const mdl_method *m = &mdl_methods[i];
        assert_true(mdl_method_find(m->name) == m);
        assert_true(m->title[0] != '\0' && m->what[0] != '\0');
        assert_true(strlen(m->what) <= 58); /* a line of the help */
        assert_false(m->configure != NULL && m->merge != NULL);
        assert_true(mdl_method_serves(m, MDL_METHOD_TO_EVOLVE) !=
                    mdl_method_serves(m, MDL_METHOD_TO_MERGE));
        if ((m->flags & MDL_METHOD_NEEDS_TRUNK) != 0)
            assert_true(m->formula != NULL && m->density > 0 && m->density <= 1);
    }
}

static void methods_fit(void **state)
{
    (void)state;
    const struct {
        const char *method;
        mdl_circumstances circumstances;
        const char *reason; /* a part of it; NULL: it fits */
    } cases[] = {
        {"m2n2", {.parents = 0}, NULL},
        {"m2n2", {.parents = 3}, NULL},
        {"cma-es", {.parents = 0}, NULL},
        {"cma-es", {.parents = 2}, "from random weights"},
        {"line", {.parents = 0}, "needs trained parents"},
        {"line", {.parents = 1}, "needs two parents"},
        {"line", {.parents = 2}, NULL},
        {"ties", {.parents = 2}, "needs a trunk"},
        {"dare", {.parents = 1, .trunk = true}, NULL},
        {"ga-no-crossover", {.parents = 2}, "by mutation alone"},
        {"no-crossover", {.parents = 2, .mutation = true}, NULL},
    };
    for (size_t i = 0; i < MDL_COUNT(cases); i++) {
        const char *reason;
        bool fits =
            mdl_method_fits(mdl_method_find(cases[i].method), &cases[i].circumstances, &reason);
        assert_true(fits == (cases[i].reason == NULL));
        if (fits)
            assert_null(reason);
        else
            assert_non_null(strstr(reason, cases[i].reason));
    }
}

/* By hand for lambda 6, n 10: weights log 3.5 - log 1, 2, 3. */
static void cma_constants(void **state)
{
    (void)state;
    double w[3] = {log(3.5), log(1.75), log(3.5 / 3)};
    double sum = w[0] + w[1] + w[2], squares = w[0] * w[0] + w[1] * w[1] + w[2] * w[2];
    mdl__cma c = mdl__cma_constants(6, 10);
    assert_int_equal(c.parents, 3);
    near(c.sum, sum);
    near(c.mu_eff, sum * sum / squares); /* 2.0286 */
    assert_true(fabs(c.mu_eff - 2.0286) < 1e-4);
    near(c.c_sigma, (c.mu_eff + 2) / (c.mu_eff + 15));
    near(c.damping, 1 + c.c_sigma);
    near(c.length, sqrt(10) * (1 - 1.0 / 40 + 1.0 / 2100));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slerp_coefficients),
        cmocka_unit_test(cma_constants),
        cmocka_unit_test(methods),
        cmocka_unit_test(rows_of_methods),
        cmocka_unit_test(methods_fit),
        cmocka_unit_test(ties_by_hand),
        cmocka_unit_test(dare_keeps_the_mean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
