/* Genomes: crossing against the formula in float64 and at the borders, and mutation. */
#include "merging.h"

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
        size_t split = mdl__genome_draw_point(&genome, MDL_CROSSOVER_FLAT, &rng);
        assert_in_range(split, 0, 75);
        flat[split] = true;
        split = mdl__genome_draw_point(&genome, MDL_CROSSOVER_TENSOR, &rng);
        assert_true(split == 0 || split == 54 || split == 57 || split == 60 || split == 72);
        split = mdl__genome_draw_point(&genome, MDL_CROSSOVER_BLOCK, &rng);
        assert_true(split == 0 || split == 60);
        assert_int_equal(mdl__genome_draw_point(&genome, MDL_CROSSOVER_NONE, &rng), 76);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(crossing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(crossing_of_twins, set_up, tear_down),
        cmocka_unit_test_setup_teardown(splits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(mutation, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
