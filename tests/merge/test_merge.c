/* Merging: the archive against an example worked by hand, SLERP against float64, crossing at the
 * borders, the search (reproducible, resumed exactly), the baselines and the final choice. */
#include <math.h>

#include "merge/merge_internal.h"
#include "small_jobs.h"

/* ---- archive -------------------------------------------------------------------------------- */

static mdl__archive archive;

static int archive_set_up(void **state)
{
    (void)state;
    return mdl__archive_create(3, 4, 1, &archive) == MDL_OK ? 0 : -1;
}

static int archive_tear_down(void **state)
{
    (void)state;
    mdl__archive_destroy(&archive);
    return 0;
}

static void row(size_t i, uint64_t id, float a, float b, float c, float d)
{
    const float values[] = {a, b, c, d};
    archive.member[i].id = id;
    memcpy(archive.scores[i], values, sizeof(values));
}

static void near(double got, double expected)
{
    if (!(fabs(got - expected) <= 1e-14))
        fail_msg("got %.17g, expected %.17g", got, expected);
}

/*      s = 1 1 0 0   z = 2 3 1 0 -> 1, weights 1/2 1/3 1 1
 *          1 1 0 0
 *          0 1 1 0   f = 5/6, 5/6, 4/3; sum 3 */
static void three_by_four(void)
{
    row(0, 11, 1, 1, 0, 0);
    row(1, 12, 1, 1, 0, 0);
    row(2, 13, 0, 1, 1, 0);
    mdl__archive_rate(&archive, 3);
}

static void competition(void **state)
{
    (void)state;
    three_by_four();
    near(archive.fitness[0], 5.0 / 6);
    near(archive.fitness[1], 5.0 / 6);
    near(archive.fitness[2], 4.0 / 3);
    assert_true(archive.z[3] == 0 && archive.weight[3] == 1);
    archive.alpha = 0; /* a plain GA: the number of right answers */
    mdl__archive_rate(&archive, 3);
    near(archive.fitness[0], 2);
    near(archive.fitness[2], 2);
    archive.alpha = 2; /* weights 1/4 1/9 1 1 */
    mdl__archive_rate(&archive, 3);
    near(archive.fitness[0], 0.25 + 1.0 / 9);
    near(archive.fitness[2], 1.0 / 9 + 1);
}

static void choice_of_parents(void **state)
{
    (void)state;
    three_by_four();
    assert_int_equal(mdl__archive_first(&archive, 0), 0);
    assert_int_equal(mdl__archive_first(&archive, 0.277), 0); /* 5/18 = 0.2777 */
    assert_int_equal(mdl__archive_first(&archive, 0.278), 1);
    assert_int_equal(mdl__archive_first(&archive, 0.555), 1); /* 10/18 = 0.5555 */
    assert_int_equal(mdl__archive_first(&archive, 0.556), 2);
    assert_int_equal(mdl__archive_first(&archive, 1 - 1e-16), 2);
    /* Beside member 0, only the last knows something else: g = 0, 0, 1. */
    for (int i = 0; i < 4; i++)
        assert_int_equal(mdl__archive_second(&archive, 0, 0.3 * i), 2);
    /* Beside the last: g = 1/2, 1/2, 0. */
    assert_int_equal(mdl__archive_second(&archive, 2, 0.49), 0);
    assert_int_equal(mdl__archive_second(&archive, 2, 0.51), 1);
    near(archive.attraction[0], 0.5);
    near(archive.attraction[2], 0);
}

static void replacement(void **state)
{
    (void)state;
    three_by_four();
    /* z = 3 3 1 1: f = 2/3, 2/3, 4/3, 4/3: the first of the two least goes. */
    row(3, 14, 1, 0, 0, 1);
    float *old = archive.scores[0];
    assert_int_equal(mdl__archive_replace(&archive), 0);
    assert_int_equal(archive.member[0].id, 14);
    assert_int_equal(archive.member[3].id, 11);
    assert_ptr_equal(archive.scores[3], old);
    near(archive.fitness[0], 2.0 / 3); /* as rated before the exchange */
    near(archive.fitness[3], 4.0 / 3);
    /* Now 1 0 0 1 / 1 1 0 0 / 0 1 1 0; a child that is worse than all goes itself. */
    row(3, 15, 0, 1, 0, 0);
    assert_int_equal(mdl__archive_replace(&archive), 3);
    assert_int_equal(archive.member[3].id, 15);
}

/* Where the published code divides by zero. */
static void zeros(void **state)
{
    (void)state;
    row(1, 21, 0, 0, 0, 0); /* one member that knows nothing, two empty places */
    mdl__archive_rate(&archive, 3);
    near(archive.fitness[1], 0);
    assert_int_equal(mdl__archive_first(&archive, 0.99), 1);
    assert_int_equal(mdl__archive_second(&archive, 1, 0.5), 1);
    row(0, 22, 1, 0, 0, 0);
    mdl__archive_rate(&archive, 3);
    assert_int_equal(mdl__archive_first(&archive, 0.99), 0);
    assert_int_equal(mdl__archive_second(&archive, 0, 0.5),
                     0);    /* nobody adds anything: by fitness */
    row(3, 23, 0, 0, 0, 0); /* an empty place goes before the worst member */
    assert_int_equal(mdl__archive_replace(&archive), 2);
    assert_int_equal(archive.member[1].id, 21);
    assert_int_equal(archive.member[3].id, 0);
    row(3, 24, 1, 1, 1, 1);
    assert_int_equal(mdl__archive_replace(&archive), 1);
}

/* A child is hopeless only where, however its other samples turn out, it goes: held against all
 * continuations of random archives. */
static void hopeless_is_hopeless(void **state)
{
    (void)state;
    mdl_rng rng = mdl_rng_init(5, 5);
    double room[4];
    size_t found = 0;
    for (size_t round = 0; round < 4000; round++) {
        static const double alphas[] = {0, 0.5, 1, 2};
        float known[4], draws[16];
        size_t done = 1 + round % 3, left = 4 - done, first = round % 7 % 4; /* any of them */
        archive.alpha = alphas[round / 3 % 4];
        archive.binary = round % 2 == 0 || archive.alpha > 1;
        archive.best_capacity = !archive.binary && round % 5 == 0;
        for (size_t i = 0; i < 16; i++) {
            draws[i] = (float)mdl_rng_uniform(&rng);
            if (archive.binary)
                draws[i] = draws[i] < 0.6F ? 1 : 0;
        }
        for (size_t i = 0; i < 3; i++)
            row(i, 41 + i, draws[4 * i], draws[4 * i + 1], draws[4 * i + 2], draws[4 * i + 3]);
        memcpy(known, draws + 12, sizeof(known));
        for (size_t j = 0; j < left; j++)
            known[(first + j) % 4] = 1;
        archive.rated = 0;
        if (!mdl__archive_hopeless(&archive, known, room))
            continue;
        found++;
        for (size_t way = 0; way < (size_t)1 << left; way++) { /* each end of each other sample */
            for (size_t j = 0; j < left; j++)
                known[(first + j) % 4] = (way >> j & 1) != 0 ? 1.0F : 0.0F;
            row(3, 50, known[0], known[1], known[2], known[3]);
            assert_int_equal(mdl__archive_replace(&archive), 3);
        }
    }
    print_message("%zu of 4000 hopeless\n", found);
    assert_true(found > 100);
}

static void hardest_samples_come_first(void **state)
{
    (void)state;
    uint32_t order[4];
    row(0, 11, 1, 0, 0, 1);
    row(1, 12, 1, 0.5F, 0, 1);
    row(2, 13, 1, 0.4F, 0, 0); /* sums 3, 0.9, 0, 2 */
    mdl__archive_hardest_first(&archive, order);
    static const uint32_t expected[4] = {1, 2, 3, 0}; /* whole ones count */
    assert_memory_equal(order, expected, sizeof(order));
}

static void empty_places_do_not_count(void **state)
{
    (void)state;
    row(0, 0, 1, 1, 1, 1); /* what an empty place's row holds is nobody's score */
    row(1, 31, 1, 1, 0, 0);
    mdl__archive_rate(&archive, 3);
    near(archive.fitness[0], 0);
    near(archive.fitness[1], 2);
}

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
    float room[4], merged[4];
    mdl__ties(tau, 3, 4, 2, room, merged);
    /* 3 -1 0 0, -2 -4 0 0, 0 0 5 -6; signs + - + - */
    const float expected[] = {3, -2.5F, 5, -6};
    for (size_t i = 0; i < 4; i++)
        near((double)merged[i], (double)expected[i]);
    assert_true(a_tau[2] == 0 && b_tau[3] == 0 && c_tau[0] == 0);
    float one[] = {1, -2, 3, -4}; /* all of one vector is that vector */
    tau[0] = one;
    mdl__ties(tau, 1, 4, 4, room, merged);
    assert_memory_equal(merged, one, sizeof(one));
    float up[] = {2, 0, 0, 0}, down[] = {-2, 0, 0, 0}; /* no sign wins: nothing */
    tau[0] = up;
    tau[1] = down;
    mdl__ties(tau, 2, 4, 4, room, merged);
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
    assert_int_equal(mdl_method_choose("m2n2", MDL_METHOD_TO_MERGE, &method), MDL_CONFIG);
}

/* Each row has what a row must have, and no two have one name. */
static void rows_of_methods(void **state)
{
    (void)state;
    for (size_t i = 0; i < mdl_method_count; i++) {
        const mdl_method *m = &mdl_methods[i];
        assert_true(mdl_method_find(m->name) == m);
        assert_true(m->title[0] != '\0' && m->what[0] != '\0');
        assert_true(strlen(m->what) <= 72); /* a line of the help */
        assert_false(m->configure != NULL && m->merge != NULL);
        assert_true(mdl_method_serves(m, MDL_METHOD_TO_EVOLVE) !=
                    mdl_method_serves(m, MDL_METHOD_TO_MERGE));
        if ((m->flags & MDL_METHOD_NEEDS_TRUNK) != 0)
            assert_true(m->merge != NULL && m->density > 0 && m->density <= 1);
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

/* ---- genomes -------------------------------------------------------------------------------- */

static char folder[256], whole[300], parts[300];
static char parents[4][400];
static mdl_data *data;
static mdl_device *device;
static mdl_graph *graph;
static mdl__genome genome;
static mdl_weights a, b, child;
static size_t calls, stop_at, starve_from; /* of the progress */
static size_t last_abandoned;

static int set_up(void **state)
{
    (void)state;
    data = NULL;
    device = NULL;
    graph = NULL;
    calls = stop_at = 0;
    starve_from = SIZE_MAX - 20;
    memset(&genome, 0, sizeof(genome));
    a = b = child = (mdl_weights){.params = NULL};
    mdl_clear_stop();
    if (!scratch_create(folder))
        return -1;
    snprintf(whole, sizeof(whole), "%s/whole", folder);
    snprintf(parts, sizeof(parts), "%s/parts", folder);
    return small_data(120, &data) == MDL_OK && mdl_device_open("cpu", 1, MDL_F32, &device) == MDL_OK
               ? 0
               : -1;
}

static int tear_down(void **state)
{
    (void)state;
    mdl_alloc_fail_at(0);
    mdl_clear_stop();
    mdl_weights_destroy(&a);
    mdl_weights_destroy(&b);
    mdl_weights_destroy(&child);
    mdl__genome_destroy(&genome);
    mdl_graph_destroy(graph);
    mdl_data_close(data);
    mdl_device_close(device);
    scratch_remove(folder);
    return 0;
}

/* A conv with BatchNorm, then a layer with bias; 54 + 3 + 3 + 12 + 4 parameters. */
static void two_layers(bool slerp_all)
{
    must(mdl_graph_create(MDL_F32, &graph));
    mdl_graph_param(graph, "conv.weight", MDL_ROLE_CONV, MDL_SHAPE4(3, 3, 2, 3), MDL_INIT_NORMAL,
                    1);
    mdl_graph_param(graph, "bn.weight", MDL_ROLE_GAMMA, MDL_SHAPE1(3), MDL_INIT_NORMAL, 1);
    mdl_graph_param(graph, "bn.bias", MDL_ROLE_BETA, MDL_SHAPE1(3), MDL_INIT_NORMAL, 1);
    mdl_graph_param(graph, "bn.running_mean", MDL_ROLE_MEAN, MDL_SHAPE1(3), MDL_INIT_NORMAL, 1);
    mdl_graph_param(graph, "bn.running_var", MDL_ROLE_VAR, MDL_SHAPE1(3), MDL_INIT_NORMAL, 1);
    mdl_graph_set_block(graph, 1);
    mdl_graph_param(graph, "start", MDL_ROLE_START, MDL_SHAPE1(5), MDL_INIT_NORMAL, 1);
    mdl_graph_param(graph, "fc.weight", MDL_ROLE_LINEAR, MDL_SHAPE2(3, 4), MDL_INIT_NORMAL, 1);
    mdl_graph_param(graph, "fc.bias", MDL_ROLE_BIAS, MDL_SHAPE1(4), MDL_INIT_NORMAL, 1);
    must(mdl_graph_status(graph));
    must(mdl__genome_create(graph, device, slerp_all, &genome));
    assert_int_equal(genome.elements, 76);
    must(mdl_weights_create(graph, device, &a));
    must(mdl_weights_create(graph, device, &b));
    must(mdl_weights_create(graph, device, &child));
    must(mdl_weights_init(graph, 1, &a));
    must(mdl_weights_init(graph, 2, &b));
}

static float value(const mdl_weights *w, const mdl_param *param, bool buffer, size_t i)
{
    const float *host = buffer ? w->buffers->host : w->params->host;
    return host[param->offset + i];
}

/* The formula over the flat vector, element by element, in float64. */
typedef struct expectation {
    bool slerp_all;
    mdl_angle angle;
    size_t split;
    double ratio;
} expectation;

static double angle_between(const expectation *e, bool first, bool both)
{
    double aa = 0, ab = 0, bb = 0;
    for (size_t p = 0, at = 0; p < genome.n_params; p++) {
        const mdl_param *param = mdl_graph_param_at(graph, p);
        bool weight = param->role == MDL_ROLE_CONV || param->role == MDL_ROLE_LINEAR;
        for (size_t i = 0; i < param->count; i++, at++) {
            double x = (double)value(&a, param, false, i), y = (double)value(&b, param, false, i);
            if (!(weight || e->slerp_all) || !(both || (at < e->split) == first))
                continue;
            aa += x * x;
            ab += x * y;
            bb += y * y;
        }
    }
    return aa > 0 ? acos(ab / sqrt(aa * bb)) : 0;
}

static double slerp(double w, double x, double y, double t)
{
    if (sin(w) < 1e-6) /* one element alone has no angle */
        return (1 - t) * x + t * y;
    return sin((1 - t) * w) / sin(w) * x + sin(t * w) / sin(w) * y;
}

static void check(double got, double expected, const char *name, size_t i)
{
    /* float32 coefficients and sums of a few values of about 1 */
    if (!(fabs(got - expected) < 1e-6 * (1 + fabs(expected))))
        fail_msg("%s[%zu]: got %.9g, expected %.9g", name, i, got, expected);
}

static void check_child(const expectation *e)
{
    bool whole_angle = e->angle == MDL_ANGLE_WHOLE;
    double w[2] = {angle_between(e, true, whole_angle), angle_between(e, false, whole_angle)};
    double conv_first = fmin((double)e->split, 54) / 54; /* part of the convolution before it */
    double fc_first = fmin(fmax((double)e->split - 60, 0), 12) / 12;
    for (size_t p = 0, at = 0; p < genome.n_params; p++) {
        const mdl_param *param = mdl_graph_param_at(graph, p);
        bool weight = param->role == MDL_ROLE_CONV || param->role == MDL_ROLE_LINEAR;
        double part = p < 3 ? conv_first : fc_first;
        double linear = part * e->ratio + (1 - part) * (1 - e->ratio);
        for (size_t i = 0; i < param->count; i++, at++) {
            double x = (double)value(&a, param, false, i), y = (double)value(&b, param, false, i);
            bool first = at < e->split;
            double t = first ? e->ratio : 1 - e->ratio;
            double expected = weight || e->slerp_all ? slerp(w[first ? 0 : 1], x, y, t)
                                                     : (1 - linear) * x + linear * y;
            check((double)value(&child, param, false, i), expected, param->name, i);
        }
    }
    double linear = conv_first * e->ratio + (1 - conv_first) * (1 - e->ratio);
    double of_start =
        fc_first * e->ratio + (1 - fc_first) * (1 - e->ratio); /* its block's weight */
    for (size_t p = 0; p < genome.n_buffers; p++) {
        const mdl_param *param = mdl_graph_buffer_at(graph, p);
        double t = param->role == MDL_ROLE_START ? of_start : linear;
        for (size_t i = 0; i < param->count; i++)
            check((double)value(&child, param, true, i),
                  (1 - t) * (double)value(&a, param, true, i) +
                      t * (double)value(&b, param, true, i),
                  param->name, i);
    }
}

static void crossing(void **state)
{
    (void)state;
    for (int all = 0; all < 2; all++) {
        two_layers(all == 1);
        static const size_t splits[] = {0, 1, 20, 53, 54, 55, 60, 61, 72, 75, 76};
        for (size_t i = 0; i < MDL_COUNT(splits); i++)
            for (int parts_apart = 0; parts_apart < 2; parts_apart++) {
                expectation e = {all == 1, parts_apart ? MDL_ANGLE_PARTS : MDL_ANGLE_WHOLE,
                                 splits[i], 0.3};
                must(mdl__genome_cross(&genome, e.angle, &a, &b, e.split, e.ratio, &child));
                check_child(&e);
            }
        mdl_weights_destroy(&a);
        mdl_weights_destroy(&b);
        mdl_weights_destroy(&child);
        mdl__genome_destroy(&genome);
        mdl_graph_destroy(graph);
        graph = NULL;
    }
}

/* A ratio of 0 with the split at the end is the first parent; twins have twins. */
static void crossing_of_twins(void **state)
{
    (void)state;
    two_layers(false);
    must(mdl__genome_cross(&genome, MDL_ANGLE_WHOLE, &a, &b, genome.elements, 0, &child));
    assert_memory_equal(child.params->host, a.params->host, a.params->bytes);
    assert_memory_equal(child.buffers->host, a.buffers->host, a.buffers->bytes);
    must(mdl__genome_cross(&genome, MDL_ANGLE_PARTS, &a, &a, 30, 0.37, &child));
    const float *x = a.params->host, *y = child.params->host;
    for (size_t i = 0; i < genome.params_size; i++)
        assert_true(fabsf(x[i] - y[i]) <= 1e-6F * fabsf(x[i]));
    must(mdl__genome_mix(&genome, &a, 0.25, &b, 0.75, &child));
    const float *z = b.params->host;
    for (size_t i = 0; i < genome.params_size; i++)
        assert_true(fabsf(0.25F * x[i] + 0.75F * z[i] - y[i]) <= 1e-6F);
}

static void splits(void **state)
{
    (void)state;
    mdl_rng rng = mdl_rng_init(1, 1);
    bool flat[76] = {false};
    two_layers(false);
    for (size_t i = 0; i < 2000; i++) {
        size_t split = mdl__genome_draw_split(&genome, MDL_SPLIT_FLAT, &rng);
        assert_in_range(split, 0, 75);
        flat[split] = true;
        split = mdl__genome_draw_split(&genome, MDL_SPLIT_TENSOR, &rng);
        assert_true(split == 0 || split == 54 || split == 57 || split == 60 || split == 72);
        split = mdl__genome_draw_split(&genome, MDL_SPLIT_BLOCK, &rng);
        assert_true(split == 0 || split == 60);
        assert_int_equal(mdl__genome_draw_split(&genome, MDL_SPLIT_NONE, &rng), 76);
    }
    for (size_t i = 0; i < 76; i++) /* each point of the flat genome is possible */
        assert_true(flat[i]);
}

/* Noise of the right size on every parameter, none in the padding, another for each child. */
static void mutation(void **state)
{
    (void)state;
    two_layers(false);
    must(mdl_weights_copy(&child, &a));
    must(mdl_weights_copy(&b, &a));
    must(mdl__genome_mutate(&genome, 0.01, 3, 8, &child));
    must(mdl__genome_mutate(&genome, 0.01, 3, 9, &b));
    double squares = 0;
    for (size_t p = 0; p < genome.n_params; p++) {
        const mdl_param *param = mdl_graph_param_at(graph, p);
        for (size_t i = 0; i < param->count; i++) {
            double d = (double)value(&child, param, false, i) - (double)value(&a, param, false, i);
            assert_true(d != 0);
            assert_true(value(&child, param, false, i) != value(&b, param, false, i));
            squares += d * d;
        }
    }
    assert_true(squares / 76 > 0.5e-4 && squares / 76 < 1.7e-4); /* 1e-4 +- 4 standard errors */
    const float *x = child.params->host;
    for (size_t p = 0; p + 1 < genome.n_params; p++) {
        const mdl_param *param = mdl_graph_param_at(graph, p);
        for (size_t i = param->offset + param->count; i < mdl_graph_param_at(graph, p + 1)->offset;
             i++)
            assert_true(x[i] == 0);
    }
}

/* ---- the search ----------------------------------------------------------------------------- */

static void on_progress(void *user, const mdl_merge_progress *p)
{
    (void)user;
    assert_true(p->evaluations <= p->total && p->members > 0);
    assert_true(p->best_top1 >= p->mean_top1 && p->niches >= 0 && p->niches <= 1);
    calls++;
    last_abandoned = p->abandoned;
    if (calls == stop_at)
        mdl_request_stop();
    if (calls == starve_from)
        mdl_alloc_fail_at(1);
    if (calls == starve_from + 20)
        mdl_alloc_fail_at(0);
}

static mdl_merge_job job_of(const mdl_model_config *model, const mdl_merge_config *merge,
                            const char *out)
{
    static const char *list[4];
    for (size_t i = 0; i < 4; i++)
        list[i] = parents[i];
    return (mdl_merge_job){.model = model,
                           .merge = merge,
                           .data = data,
                           .device = device,
                           .seed = 11,
                           .parents = list,
                           .n_parents = 3,
                           .out = out,
                           .config_text = "model:\n  kind: small\n",
                           .progress = on_progress};
}

/* Three branches of one short training. */
static void train_parents(const mdl_model_config *model)
{
    mdl_train_config train = small_training();
    mdl_train_result result;
    train.epochs = 4;
    train.batch = 8;
    data->config.crop_padding = 0;
    for (size_t i = 0; i < 4; i++) {
        char out[300];
        snprintf(out, sizeof(out), "%s/parent%zu", folder, i);
        mdl_train_job job = {.model = model,
                             .train = &train,
                             .data = data,
                             .device = device,
                             .seed = i,
                             .out = out,
                             .config_text = ""};
        must(mdl_train(&job, &result));
        snprintf(parents[i], sizeof(parents[i]), "%s/final.safetensors", out);
        memcpy(train.init, parents[0], sizeof(parents[0]));
    }
}

static mdl_merge_config digits_merge(void)
{
    mdl_merge_config merge = mdl_merge_config_default();
    merge.archive = 6;
    merge.batch = 1;
    merge.evaluations = 60;
    merge.split = MDL_SPLIT_FLAT;
    merge.slerp_all = true;
    merge.mutation = 0.01;
    merge.fitness = MDL_FITNESS_TRAIN;
    merge.final = MDL_FINAL_ACCURACY;
    merge.from_scratch = 2;
    return merge;
}

static void same_search(void)
{
    assert_same_file(whole, parts, "merged.safetensors");
    assert_same_file(whole, parts, "lineage.jsonl");
    assert_same_file(whole, parts, "winner.json");
    assert_int_equal(scratch_count(whole), 4);
    assert_int_equal(scratch_count(parts), 4);
}

/* Interrupted twice, on the way a lineage that is ahead of the saved state. */
static void search_resumes(const mdl_model_config *model, const mdl_merge_config *merge)
{
    mdl_merge_result result, resumed;
    mdl_merge_job job = job_of(model, merge, whole);
    char path[MDL_PATH_MAX];
    scratch_remove(whole);
    scratch_remove(parts);
    must(mdl_evolve(&job, &result));
    assert_int_equal(result.evaluations, merge->evaluations);
    job.out = parts;
    job.resume = true;
    for (size_t part = 0; part < 2; part++) {
        calls = 0;
        stop_at = 2;
        assert_int_equal(mdl_evolve(&job, &resumed), MDL_CANCELLED);
        mdl_clear_stop();
        make_path(path, parts, "lineage.jsonl");
        FILE *lineage = fopen(path, "ab");
        assert_non_null(lineage);
        fputs("{\"id\": 99, \"torn", lineage);
        fclose(lineage);
    }
    stop_at = 0;
    must(mdl_evolve(&job, &resumed));
    same_search();
    must(mdl_evolve(&job, &resumed)); /* finished: the same end again */
    same_search();
    assert_true(resumed.fitness_top1 == result.fitness_top1);
    assert_true(resumed.is_average == result.is_average);
}

static void search_is_reproducible(void **state)
{
    (void)state;
    mdl_model_config model = small_model(MDL_MODEL_MLP, data);
    model.mlp_init = MDL_INIT_NORMAL;
    model.mlp_init_scale = 0.1;
    mdl_merge_config merge = digits_merge();
    search_resumes(&model, &merge);
    merge.attraction = false; /* the GA, in batches */
    merge.alpha = 0;
    merge.batch = 7;
    search_resumes(&model, &merge);
    merge.crossover = false;
    merge.score = MDL_SCORE_PROBABILITY;
    search_resumes(&model, &merge);
}

static void search_from_checkpoints(void **state)
{
    (void)state;
    mdl_model_config model = small_model(MDL_MODEL_EFFICIENTNET_LITE0, data);
    train_parents(&model);
    mdl_merge_config merge = mdl_merge_config_default();
    merge.archive = 5;
    merge.batch = 4;
    merge.evaluations = 14;
    search_resumes(&model, &merge);
    merge.batch_norm = MDL_MERGE_BN_RECALIBRATE;
    merge.angle = MDL_ANGLE_PARTS;
    merge.keep_average = false;
    search_resumes(&model, &merge);
}

/* Every strategy resumes exactly, alone and with batches. */
static void strategies_resume(void **state)
{
    (void)state;
    mdl_model_config model = small_model(MDL_MODEL_MLP, data);
    model.mlp_init = MDL_INIT_NORMAL;
    model.mlp_init_scale = 0.1;
    mdl_merge_config merge = digits_merge();
    merge.search = MDL_SEARCH_MAP_ELITES;
    merge.cells = 4;
    search_resumes(&model, &merge);
    merge.search = MDL_SEARCH_RANDOM;
    merge.batch = 5;
    search_resumes(&model, &merge);
    merge.search = MDL_SEARCH_LINE;
    search_resumes(&model, &merge);
    merge.search = MDL_SEARCH_CMA_ES;
    merge.from_scratch = 1;
    search_resumes(&model, &merge);
}

/* Neither the number of workers nor early abandoning changes a byte. */
static void workers_change_nothing(void **state)
{
    (void)state;
    static const mdl_search_kind kinds[] = {MDL_SEARCH_NICHES, MDL_SEARCH_MAP_ELITES,
                                            MDL_SEARCH_RANDOM, MDL_SEARCH_CMA_ES};
    mdl_model_config model = small_model(MDL_MODEL_MLP, data);
    model.mlp_init = MDL_INIT_NORMAL;
    model.mlp_init_scale = 0.1;
    mdl_merge_config merge = digits_merge();
    mdl_merge_result result;
    mdl_merge_job job = job_of(&model, &merge, whole);
    merge.evaluations = 150;
    merge.mutation = 0.3; /* many children are bad */
    job.eval_batch = 16;  /* many places to stop at */
    for (size_t i = 0; i < 2 * MDL_COUNT(kinds); i++) {
        merge.search = kinds[i / 2];
        merge.score = i % 2 == 0 ? MDL_SCORE_CORRECT : MDL_SCORE_PROBABILITY;
        merge.capacity = i % 2 == 0 ? MDL_CAPACITY_ONE : MDL_CAPACITY_BEST;
        merge.from_scratch = merge.search == MDL_SEARCH_CMA_ES ? 1 : 2;
        merge.batch = 1 + 3 * (i % 2);
        merge.workers = 1;
        merge.abandon = false;
        job.out = whole;
        must(mdl_evolve(&job, &result));
        assert_int_equal(result.workers, 1);
        assert_int_equal(last_abandoned, 0);
        job.out = parts;
        for (merge.workers = 1; merge.workers <= 3; merge.workers++) {
            merge.abandon = true;
            must(mdl_evolve(&job, &result));
            same_search();
        }
        print_message("strategy %zu: %zu of 150 abandoned\n", i / 2, last_abandoned);
        if (merge.search == MDL_SEARCH_NICHES && i % 2 == 0)
            assert_true(last_abandoned > 0);
    }
}

/* Workers that were asked for, too: as many as fit, and not less than one. */
static void workers_keep_the_limit(void **state)
{
    (void)state;
    mdl_model_config model = small_model(MDL_MODEL_MLP, data);
    mdl_merge_config merge = digits_merge();
    mdl_merge_job job = job_of(&model, &merge, "");
    mdl__crew crew;
    merge.from_scratch = 2;
    merge.workers = 3;
    must(mdl__crew_create(&job, 3, &crew));
    assert_int_equal(crew.workers, 3);
    size_t one = mdl_evaluator_bytes(crew.mergers[0].evaluator);
    mdl__crew_destroy(&crew);
    for (size_t fits = 1; fits <= 3; fits++) {
        job.memory_limit = (fits + 1) * one - 1;
        must(mdl__crew_create(&job, 3, &crew));
        assert_int_equal(crew.workers, fits);
        mdl__crew_destroy(&crew);
    }
    job.memory_limit = one - 1;
    assert_int_equal(mdl__crew_create(&job, 3, &crew), MDL_MEMORY_LIMIT);
    assert_non_null(strstr(mdl_error_detail(), "the limit is"));
    mdl__crew_destroy(&crew);
}

/* Mutation and selection alone must do better than the start; the lineage tells the story. */
static void search_improves(void **state)
{
    (void)state;
    mdl_model_config model = small_model(MDL_MODEL_MLP, data);
    model.mlp_init = MDL_INIT_NORMAL;
    model.mlp_init_scale = 0.1;
    mdl_merge_config merge = digits_merge();
    mdl_merge_result result;
    char path[MDL_PATH_MAX];
    char *text;
    size_t size, lines = 0;
    merge.archive = 20;
    merge.evaluations = 1500;
    merge.mutation = 0.05;
    mdl_merge_job job = job_of(&model, &merge, whole);
    must(mdl_evolve(&job, &result));
    print_message("top1 %.3f on the training images\n", result.fitness_top1);
    assert_true(result.fitness_top1 > 0.25); /* guessing: 0.1 */
    make_path(path, whole, "lineage.jsonl");
    must(mdl_file_read(path, 0, &text, &size));
    for (size_t i = 0; i < size; i++)
        lines += text[i] == '\n';
    bool first =
        strstr(text, "{\"id\": 1, \"source\": \"random 0\", \"kept\": true, \"top1\": ") == text;
    bool third = strstr(text, "\n{\"id\": 3, \"parents\": [") != NULL;
    mdl_free(text);
    assert_true(first && third);
    assert_int_equal(lines, 1502);
}

static void no_allocation_for_a_child(void **state)
{
    (void)state;
    mdl_model_config model = small_model(MDL_MODEL_MLP, data);
    mdl_merge_config merge = digits_merge();
    mdl_merge_job job = job_of(&model, &merge, "");
    mdl_merge_result result;
    starve_from = 5;
    must(mdl_evolve(&job, &result)); /* without `out` nothing is written */
    assert_int_equal(scratch_count(folder), 0);
}

static void search_refuses(void **state)
{
    (void)state;
    mdl_model_config model = small_model(MDL_MODEL_MLP, data);
    mdl_merge_config merge = digits_merge();
    mdl_merge_result result;
    mdl_merge_job job = job_of(&model, &merge, whole);
    merge.archive = 1;
    assert_int_equal(mdl_evolve(&job, &result), MDL_CONFIG);
    merge.archive = 6;
    merge.from_scratch = 0;
    job.n_parents = 0;
    assert_int_equal(mdl_evolve(&job, &result), MDL_INVALID);
    job.n_parents = 1;
    snprintf(parents[0], sizeof(parents[0]), "%s/none.safetensors", folder);
    assert_int_equal(mdl_evolve(&job, &result), MDL_NOT_FOUND);
    merge.from_scratch = 2;
    merge.evaluations = 4;
    must(mdl_evolve(&job, &result));
    merge.alpha = 0.5;
    job.resume = true;
    assert_int_equal(mdl_evolve(&job, &result), MDL_CONFIG);
    assert_non_null(strstr(mdl_error_detail(), "merge.alpha 1"));
    merge.alpha = 1;
    merge.evaluations = 9; /* more of the same is no other search */
    must(mdl_evolve(&job, &result));
    assert_int_equal(result.evaluations, 9);
}

/* ---- final choice, baselines ---------------------------------------------------------------- */

static void one_standard_error(void **state)
{
    (void)state;
    double win[] = {0.1, 0.2, 0.3, 0.4}, base[] = {0.2, 0.3, 0.4, 0.5};
    double near_base[] = {0.1, 0.4, 0.3, 0.6};
    float right[] = {1, 1, 1, 0}, wrong[] = {1, 0, 1, 1};
    mdl_scores x = {.count = 4, .losses = win, .correct = right};
    mdl_scores y = {.count = 4, .losses = base, .correct = wrong};
    assert_true(mdl__beats(&x, &y, MDL_FINAL_LOG_LIKELIHOOD)); /* 0.1 better each time */
    assert_false(mdl__beats(&y, &x, MDL_FINAL_LOG_LIKELIHOOD));
    assert_false(mdl__beats(&x, &x, MDL_FINAL_LOG_LIKELIHOOD));
    /* differences 0, 0.2, 0, 0.2: mean 0.1, standard error 0.0577; then 0.3: 0.125 and 0.075 */
    y.losses = near_base;
    assert_true(mdl__beats(&x, &y, MDL_FINAL_LOG_LIKELIHOOD));
    /* right answers: differences 0, 1, 0, -1: mean 0 */
    assert_false(mdl__beats(&x, &y, MDL_FINAL_ACCURACY));
    wrong[3] = 0; /* 0, 1, 0, 0: mean 0.25, standard error 0.25: not more than one */
    assert_false(mdl__beats(&x, &y, MDL_FINAL_ACCURACY));
    wrong[0] = 0; /* 1, 1, 0, 0: mean 0.5, standard error 0.289 */
    assert_true(mdl__beats(&x, &y, MDL_FINAL_ACCURACY));
}

static void load(const char *path, mdl_weights *w)
{
    mdl_safetensors *file = NULL;
    must(mdl_safetensors_read(path, &file));
    must(mdl_weights_load(file, path, graph, w));
    mdl_safetensors_free(file);
}

static void baselines(void **state)
{
    (void)state;
    mdl_model_config model = small_model(MDL_MODEL_EFFICIENTNET_LITE0, data);
    mdl_merge_config merge = mdl_merge_config_default();
    mdl_merge_job job = job_of(&model, &merge, NULL);
    mdl_model_io io;
    char path[MDL_PATH_MAX];
    bool taken[3];
    train_parents(&model);
    must(mdl_graph_create(MDL_F32, &graph));
    must(mdl_model_build(&model, MDL_MODE_INFER, 1, 0, 0, graph, &io));
    must(mdl_weights_create(graph, device, &a));
    must(mdl_weights_create(graph, device, &b));
    must(mdl_weights_create(graph, device, &child));
    must(mdl_make_folders(whole));
    load(parents[0], &a);
    load(parents[1], &b);

    make_path(path, whole, "slerp.safetensors");
    must(mdl_merge_slerp(&job, 0.5, path));
    job.n_parents = 2;
    make_path(path, whole, "average.safetensors");
    must(mdl_merge_average(&job, path));
    load(path, &child);
    const float *x = a.params->host, *y = b.params->host, *z = child.params->host;
    for (size_t i = 0; i < mdl_graph_params_size(graph); i++)
        assert_true(fabsf(0.5F * (x[i] + y[i]) - z[i]) <= 1e-6F);
    /* Statistics are estimated anew, the same as by hand. */
    must(mdl_recalibrate(&model, data, device, 0, 0, &child));
    load(path, &a);
    assert_memory_equal(a.buffers->host, child.buffers->host, a.buffers->bytes);

    job.data = NULL; /* interpolated only; how images are prepared comes from the first parent */
    must(mdl_merge_average(&job, path));
    mdl_safetensors *file = NULL;
    must(mdl_safetensors_read(path, &file));
    const char *input = mdl_safetensors_metadata(file, "mendel.input");
    bool same = input != NULL && strcmp(input, "8 8 1") == 0;
    mdl_safetensors_free(file);
    assert_true(same);
    job.data = data;

    job.n_parents = 1; /* the average, and the soup, of one is that one */
    must(mdl_merge_average(&job, path));
    load(path, &child);
    load(parents[0], &a);
    assert_memory_equal(a.params->host, child.params->host, a.params->bytes);
    assert_int_equal(mdl_merge_slerp(&job, 0.5, path), MDL_INVALID);
    must(mdl_merge_greedy_soup(&job, path, taken));
    assert_true(taken[0]);
    load(path, &child);
    assert_memory_equal(a.params->host, child.params->host, a.params->bytes);

    job.n_parents = 3;
    must(mdl_merge_greedy_soup(&job, path, taken));
    print_message("soup of %d%d%d\n", taken[0], taken[1], taken[2]);
    assert_true(taken[0] || taken[1] || taken[2]);
    must(mdl_merge_greedy_soup(&job, path, NULL));

    /* All of one parent's change on the trunk is that parent. */
    mdl_method_options options = {.trunk = parents[0], .density = 1, .scale = 1};
    const char *second[] = {parents[1]};
    job.parents = second;
    job.n_parents = 1;
    load(parents[1], &b);
    for (int ties = 0; ties < 2; ties++) {
        must(mdl_method_find(ties == 1 ? "ties" : "dare")->merge(&job, &options, path));
        load(path, &child);
        const float *from = b.params->host, *to = child.params->host;
        for (size_t i = 0; i < mdl_graph_params_size(graph); i++)
            assert_true(fabsf(from[i] - to[i]) <= 1e-6F * (1 + fabsf(from[i])));
    }
    /* An ensemble of one is that one. */
    mdl_merge_ensemble_result mean;
    mdl_evaluator_options test = {.split = MDL_SPLIT_TEST};
    mdl_evaluator *evaluator;
    mdl_scores scores = {0};
    must(mdl_merge_ensemble(&job, MDL_SPLIT_TEST, &mean));
    must(mdl_evaluator_create(&model, data, device, &test, &evaluator));
    must(mdl_evaluator_run(evaluator, &b, &scores));
    bool alike = scores.top1 == mean.top1 && fabs(scores.loss - mean.loss) < 1e-6;
    mdl_scores_free(&scores);
    mdl_evaluator_destroy(evaluator);
    assert_true(alike);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(competition, archive_set_up, archive_tear_down),
        cmocka_unit_test_setup_teardown(choice_of_parents, archive_set_up, archive_tear_down),
        cmocka_unit_test_setup_teardown(replacement, archive_set_up, archive_tear_down),
        cmocka_unit_test_setup_teardown(zeros, archive_set_up, archive_tear_down),
        cmocka_unit_test_setup_teardown(empty_places_do_not_count, archive_set_up,
                                        archive_tear_down),
        cmocka_unit_test_setup_teardown(hopeless_is_hopeless, archive_set_up, archive_tear_down),
        cmocka_unit_test_setup_teardown(hardest_samples_come_first, archive_set_up,
                                        archive_tear_down),
        cmocka_unit_test(slerp_coefficients),
        cmocka_unit_test(cma_constants),
        cmocka_unit_test(methods),
        cmocka_unit_test(rows_of_methods),
        cmocka_unit_test(methods_fit),
        cmocka_unit_test(ties_by_hand),
        cmocka_unit_test(dare_keeps_the_mean),
        cmocka_unit_test_setup_teardown(crossing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(crossing_of_twins, set_up, tear_down),
        cmocka_unit_test_setup_teardown(splits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(mutation, set_up, tear_down),
        cmocka_unit_test_setup_teardown(search_is_reproducible, set_up, tear_down),
        cmocka_unit_test_setup_teardown(search_from_checkpoints, set_up, tear_down),
        cmocka_unit_test_setup_teardown(strategies_resume, set_up, tear_down),
        cmocka_unit_test_setup_teardown(workers_change_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(workers_keep_the_limit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(search_improves, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_allocation_for_a_child, set_up, tear_down),
        cmocka_unit_test_setup_teardown(search_refuses, set_up, tear_down),
        cmocka_unit_test(one_standard_error),
        cmocka_unit_test_setup_teardown(baselines, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
