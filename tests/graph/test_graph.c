/* Graph: building errors, sharing, fusion, accumulation of gradients, recomputation and the plan's
 * packing.  Networks are tiny and run on the reference backend in float64; gradients of the whole
 * are compared with central differences.  Single ops are tested elsewhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "graph/graph.h"

#include <math.h>
#include <string.h>

enum { BATCH = 3, SIDE = 4, CHANNELS = 5, CLASSES = 4 };

typedef struct net {
    mdl_graph *graph;
    mdl_plan *plan;
    mdl_run *run;
    mdl_buffer *params, *buffers, *gradients;
    int images, labels, loss, logits;
} net;

static mdl_device *device;

static int open_device(void **state)
{
    (void)state;
    return mdl_device_open("reference", 1, MDL_F64, &device) == MDL_OK ? 0 : -1;
}

static int close_device(void **state)
{
    (void)state;
    mdl_device_close(device);
    return 0;
}

static int norm(mdl_graph *g, const char *name, int x)
{
    char text[64];
    const mdl_shape c = MDL_SHAPE1(CHANNELS);
    int in[5] = {x};
    static const char *const parts[] = {"weight", "bias", "running_mean", "running_var"};
    static const mdl_role roles[] = {MDL_ROLE_GAMMA, MDL_ROLE_BETA, MDL_ROLE_MEAN, MDL_ROLE_VAR};
    static const mdl_init inits[] = {MDL_INIT_ONE, MDL_INIT_ZERO, MDL_INIT_ZERO, MDL_INIT_ONE};
    for (int i = 0; i < 4; i++) {
        snprintf(text, sizeof(text), "%s.%s", name, parts[i]);
        in[i + 1] = mdl_graph_param(g, text, roles[i], c, inits[i], 1);
    }
    mdl_attrs attrs = {.norm = {.eps = 1e-3, .momentum = 0.1}};
    return mdl_graph_op(g, MDL_OP_BATCH_NORM, &attrs, in, 5, NULL);
}

static int pointwise(mdl_graph *g, const char *name, int x, size_t in, size_t out)
{
    int w = mdl_graph_param(g, name, MDL_ROLE_POINTWISE, MDL_SHAPE2(in, out), MDL_INIT_NORMAL, 1);
    return mdl_graph_op(g, MDL_OP_LINEAR, NULL, (int[]){x, w}, 2, NULL);
}

/* Two residual blocks that share their first weight, one input used three times, and a head. */
static void build(net *n, bool fuse, bool backward)
{
    assert_int_equal(mdl_graph_create(MDL_F64, &n->graph), MDL_OK);
    mdl_graph *g = n->graph;
    n->images = mdl_graph_input(g, "images", MDL_F64, MDL_SHAPE4(BATCH, SIDE, SIDE, CHANNELS));
    n->labels = mdl_graph_input(g, "labels", MDL_I32, MDL_SHAPE1(BATCH));
    int x = norm(g, "bn0", pointwise(g, "stem", n->images, CHANNELS, CHANNELS));
    for (int block = 0; block < 2; block++) {
        int h = pointwise(g, "shared", x, CHANNELS, CHANNELS);
        h = norm(g, block ? "bn2" : "bn1", h);
        mdl_attrs act = {.act = {MDL_ACT_RELU6}};
        h = mdl_graph_op(g, MDL_OP_ACTIVATION, &act, &h, 1, NULL);
        h = norm(g, block ? "bn4" : "bn3",
                 pointwise(g, block ? "p1" : "p0", h, CHANNELS, CHANNELS));
        mdl_attrs add = {.add = {1, 1}};
        x = mdl_graph_op(g, MDL_OP_ADD, &add, (int[]){h, x}, 2, NULL);
    }
    mdl_attrs mix = {.add = {0.5, 1}};
    x = mdl_graph_op(g, MDL_OP_ADD, &mix, (int[]){x, x}, 2, NULL);
    int pooled = mdl_graph_op(g, MDL_OP_MEAN_ROWS, NULL, &x, 1, NULL);
    pooled = mdl_graph_reshape(g, pooled, MDL_SHAPE2(BATCH, CHANNELS));
    n->logits = pointwise(g, "head", pooled, CHANNELS, CLASSES);
    mdl_attrs loss = {.loss = {.smoothing = 0.1}};
    n->loss = mdl_graph_op(g, MDL_OP_CROSS_ENTROPY, &loss, (int[]){n->logits, n->labels}, 2, NULL);
    mdl_graph_output(g, n->loss);
    mdl_graph_output(g, n->logits);
    mdl_graph_require_gradient(g, n->images);
    assert_int_equal(mdl_graph_status(g), MDL_OK);
    if (fuse)
        assert_int_equal(mdl_graph_fuse(g), MDL_OK);
    if (backward)
        assert_int_equal(mdl_graph_backward(g, n->loss, 1.0), MDL_OK);
}

static void fill(mdl_buffer *buffer, const mdl_graph *g, bool buffers)
{
    size_t rows = buffers ? mdl_graph_buffer_count(g) : mdl_graph_param_count(g);
    for (size_t i = 0; i < rows; i++) {
        const mdl_param *p = buffers ? mdl_graph_buffer_at(g, i) : mdl_graph_param_at(g, i);
        mdl_rng rng = mdl_rng_init(7, 50 + i + (buffers ? 1000 : 0));
        for (size_t k = 0; k < p->count; k++) {
            double value = p->role == MDL_ROLE_GAMMA || p->role == MDL_ROLE_VAR
                               ? 0.5 + mdl_rng_uniform(&rng)
                               : 0.5 * mdl_rng_normal(&rng);
            ((double *)buffer->host)[p->offset + k] = value;
        }
    }
}

static void prepare(net *n, const mdl_plan_options *options)
{
    const size_t size = sizeof(double);
    assert_int_equal(mdl_plan_create(n->graph, device, options, &n->plan), MDL_OK);
    assert_int_equal(mdl_run_create(n->plan, &n->run), MDL_OK);
    size_t params = mdl_graph_params_size(n->graph) * size;
    assert_int_equal(mdl_buffer_create(device, params, "p", &n->params), MDL_OK);
    assert_int_equal(mdl_buffer_create(device, params, "g", &n->gradients), MDL_OK);
    assert_int_equal(
        mdl_buffer_create(device, mdl_graph_buffers_size(n->graph) * size, "b", &n->buffers),
        MDL_OK);
    fill(n->params, n->graph, false);
    fill(n->buffers, n->graph, true);
    assert_int_equal(mdl_run_bind(n->run, n->params, n->buffers, n->gradients), MDL_OK);
    double images[BATCH * SIDE * SIDE * CHANNELS];
    mdl_rng rng = mdl_rng_init(3, 3);
    for (size_t i = 0; i < MDL_COUNT(images); i++)
        images[i] = mdl_rng_normal(&rng);
    mdl_view view = mdl_run_view(n->run, n->images);
    assert_int_equal(mdl_view_upload_f64(&view, images, MDL_COUNT(images)), MDL_OK);
    view = mdl_run_view(n->run, n->labels);
    assert_int_equal(mdl_view_upload_i32(&view, (int32_t[]){2, 0, 3}, BATCH), MDL_OK);
}

static double step(net *n)
{
    double loss;
    memset(n->gradients->host, 0, n->gradients->bytes);
    assert_int_equal(mdl_run_step(n->run), MDL_OK);
    mdl_view view = mdl_run_view(n->run, n->loss);
    assert_int_equal(mdl_view_download_f64(&view, &loss, 1), MDL_OK);
    return loss;
}

static void release(net *n)
{
    mdl_buffer_destroy(n->params);
    mdl_buffer_destroy(n->buffers);
    mdl_buffer_destroy(n->gradients);
    mdl_run_destroy(n->run);
    mdl_plan_destroy(n->plan);
    mdl_graph_destroy(n->graph);
    memset(n, 0, sizeof(*n));
}

static double difference(net *n, double *value)
{
    const double h = 1e-5, start = *value;
    *value = start + h;
    double up = step(n);
    *value = start - h;
    double down = step(n);
    *value = start;
    return (up - down) / (2 * h);
}

static void check_against_differences(net *n)
{
    step(n);
    size_t count = mdl_graph_params_size(n->graph);
    double gradients[1024];
    assert_true(count <= MDL_COUNT(gradients));
    memcpy(gradients, n->gradients->host, count * sizeof(double));
    for (size_t i = 0; i < mdl_graph_param_count(n->graph); i++) {
        const mdl_param *p = mdl_graph_param_at(n->graph, i);
        for (size_t k = p->offset; k < p->offset + p->count; k++) {
            double expected = difference(n, (double *)n->params->host + k);
            if (fabs(gradients[k] - expected) > 1e-7 + 1e-6 * fabs(expected))
                fail_msg("%s[%zu]: gradient %.9g, differences give %.9g", p->name, k - p->offset,
                         gradients[k], expected);
        }
    }
    step(n);
    mdl_view image = mdl_run_view(n->run, n->images);
    mdl_view grad = mdl_run_view(n->run, mdl_graph_gradient(n->graph, n->images));
    double dx[BATCH * SIDE * SIDE * CHANNELS];
    memcpy(dx, grad.host, sizeof(dx));
    for (size_t k = 0; k < MDL_COUNT(dx); k += 7) {
        double expected = difference(n, (double *)image.host + k);
        assert_true(fabs(dx[k] - expected) <= 1e-7 + 1e-6 * fabs(expected));
    }
}

static void test_gradients(void **state)
{
    (void)state;
    for (int fuse = 0; fuse < 2; fuse++) {
        net n = {0};
        build(&n, fuse, true);
        prepare(&n, NULL);
        check_against_differences(&n);
        release(&n);
    }
}

/* The same loss, logits and gradients, bit for bit, whatever the plan. */
static void test_plans_agree(void **state)
{
    (void)state;
    static const mdl_plan_options plans[] = {
        {0}, {.separate = true}, {.recompute = true}, {.recompute = true, .separate = true}};
    double loss[4], gradients[4][1024];
    size_t arena[4], count = 0;
    for (int i = 0; i < 4; i++) {
        net n = {0};
        build(&n, true, true);
        prepare(&n, &plans[i]);
        loss[i] = step(&n);
        count = mdl_graph_params_size(n.graph);
        memcpy(gradients[i], n.gradients->host, count * sizeof(double));
        arena[i] = mdl_plan_arena_bytes(n.plan);
        release(&n);
        assert_true(loss[i] == loss[0]);
        assert_memory_equal(gradients[i], gradients[0], count * sizeof(double));
    }
    assert_true(arena[0] < arena[1]);
    assert_true(arena[2] < arena[0]);
}

static void test_fusion(void **state)
{
    (void)state;
    size_t steps[2];
    double loss[2];
    for (int fuse = 0; fuse < 2; fuse++) {
        net n = {0};
        build(&n, fuse, false);
        prepare(&n, NULL);
        steps[fuse] = mdl_plan_step_count(n.plan);
        loss[fuse] = step(&n);
        release(&n);
    }
    assert_int_equal(steps[0] - steps[1], 4); /* two activations and two additions are gone */
    assert_true(fabs(loss[0] - loss[1]) < 1e-12);
}

/* Parameter gradients add up over runs until they are zeroed. */
static void test_accumulation_over_steps(void **state)
{
    (void)state;
    net n = {0};
    build(&n, true, true);
    prepare(&n, NULL);
    step(&n);
    double once[1024];
    size_t count = mdl_graph_params_size(n.graph);
    memcpy(once, n.gradients->host, count * sizeof(double));
    assert_int_equal(mdl_run_step(n.run), MDL_OK);
    const double *twice = n.gradients->host;
    for (size_t i = 0; i < count; i++)
        assert_true(fabs(twice[i] - 2 * once[i]) <= 1e-12 * (1 + fabs(once[i])));
    release(&n);
}

static void test_stop_gradient(void **state)
{
    (void)state;
    mdl_graph *g;
    assert_int_equal(mdl_graph_create(MDL_F64, &g), MDL_OK);
    int x = mdl_graph_input(g, "x", MDL_F64, MDL_SHAPE2(2, 3));
    int seed = mdl_graph_input(g, "seed", MDL_F64, MDL_SHAPE2(2, 3));
    mdl_graph_require_gradient(g, x);
    int y = mdl_graph_stop_gradient(g, x);
    assert_int_equal(mdl_graph_backward_from(g, &y, &seed, 1), MDL_OK);
    assert_int_equal(mdl_graph_gradient(g, x), MDL_NONE);
    mdl_graph_destroy(g);
}

static void test_sticky_error(void **state)
{
    (void)state;
    mdl_graph *g;
    assert_int_equal(mdl_graph_create(MDL_F64, &g), MDL_OK);
    int x = mdl_graph_input(g, "x", MDL_F64, MDL_SHAPE2(2, 3));
    int y = pointwise(g, "w", x, 4, 5);
    assert_int_equal(y, MDL_NONE);
    assert_int_equal(mdl_graph_reshape(g, y, MDL_SHAPE1(6)), MDL_NONE);
    assert_false(mdl_graph_needs_gradient(g, y));
    assert_int_equal(mdl_graph_status(g), MDL_SHAPE);
    assert_non_null(strstr(mdl_error_detail(), "linear"));
    mdl_plan *plan;
    assert_int_equal(mdl_plan_create(g, device, NULL, &plan), MDL_SHAPE);
    mdl_graph_destroy(g);
}

static void test_shared_parameter_must_agree(void **state)
{
    (void)state;
    mdl_graph *g;
    assert_int_equal(mdl_graph_create(MDL_F64, &g), MDL_OK);
    const mdl_shape shape = MDL_SHAPE2(3, 4);
    int a = mdl_graph_param(g, "w", MDL_ROLE_LINEAR, shape, MDL_INIT_ZERO, 0);
    assert_int_equal(mdl_graph_param(g, "w", MDL_ROLE_LINEAR, shape, MDL_INIT_ZERO, 0), a);
    assert_int_equal(mdl_graph_param_count(g), 1);
    mdl_graph_param(g, "w", MDL_ROLE_LINEAR, MDL_SHAPE2(4, 3), MDL_INIT_ZERO, 0);
    assert_int_equal(mdl_graph_status(g), MDL_SHAPE);
    mdl_graph_destroy(g);
}

/* Every allocation may fail: an error, nothing leaks, nothing crashes. */
static void test_out_of_memory(void **state)
{
    (void)state;
    for (unsigned long nth = 1; nth < 400; nth++) {
        mdl_graph *g = NULL;
        mdl_plan *plan = NULL;
        mdl_run *run = NULL;
        mdl_alloc_fail_at(nth);
        mdl_status status = mdl_graph_create(MDL_F64, &g);
        if (status == MDL_OK) {
            int x = mdl_graph_input(g, "x", MDL_F64, MDL_SHAPE2(2, CHANNELS));
            int y = norm(g, "bn", pointwise(g, "w", x, CHANNELS, CHANNELS));
            int seed = mdl_graph_input(g, "seed", MDL_F64, MDL_SHAPE2(2, CHANNELS));
            status = mdl_graph_fuse(g);
            if (status == MDL_OK)
                status = mdl_graph_backward_from(g, &y, &seed, 1);
            if (status == MDL_OK)
                status = mdl_plan_create(g, device, &(mdl_plan_options){.recompute = true}, &plan);
            if (status == MDL_OK)
                status = mdl_run_create(plan, &run);
        }
        mdl_run_destroy(run);
        mdl_plan_destroy(plan);
        mdl_graph_destroy(g);
        mdl_alloc_fail_at(0);
        if (status == MDL_OK) {
            assert_true(nth > 10);
            return;
        }
        assert_int_equal(status, MDL_NO_MEMORY);
    }
    fail_msg("the graph never got its memory");
}

/* ---- folding -------------------------------------------------------------------------------- */

typedef enum variation { PLAIN, BIAS, READ_TWICE, KEPT, IN_TRAINING, SILU_BEHIND } variation;

/* A product of the images and a BatchNorm with a residual behind it, fused. */
static void build_pair(net *n, variation v)
{
    assert_int_equal(mdl_graph_create(MDL_F64, &n->graph), MDL_OK);
    mdl_graph *g = n->graph;
    n->images = mdl_graph_input(g, "images", MDL_F64, MDL_SHAPE4(BATCH, SIDE, SIDE, CHANNELS));
    n->labels = mdl_graph_input(g, "labels", MDL_I32, MDL_SHAPE1(BATCH));
    int in[5] = {n->images};
    const mdl_shape c = MDL_SHAPE1(CHANNELS), w = MDL_SHAPE2(CHANNELS, CHANNELS);
    in[1] = mdl_graph_param(g, "w", MDL_ROLE_POINTWISE, w, MDL_INIT_NORMAL, 1);
    in[2] = mdl_graph_param(g, "bias", MDL_ROLE_BIAS, c, MDL_INIT_ZERO, 1);
    int x = mdl_graph_op(g, MDL_OP_LINEAR, NULL, in, v == BIAS ? 3 : 2, NULL);
    in[0] = x;
    in[1] = mdl_graph_param(g, "gamma", MDL_ROLE_GAMMA, c, MDL_INIT_ONE, 1);
    in[2] = mdl_graph_param(g, "beta", MDL_ROLE_BETA, c, MDL_INIT_ZERO, 1);
    in[3] = mdl_graph_param(g, "mean", MDL_ROLE_MEAN, c, MDL_INIT_ZERO, 1);
    in[4] = mdl_graph_param(g, "var", MDL_ROLE_VAR, c, MDL_INIT_ONE, 1);
    mdl_attrs attrs = {.norm = {.eps = 1e-3, .momentum = 0.1, .act = MDL_ACT_RELU6}};
    if (v == SILU_BEHIND)
        attrs.norm.act = MDL_ACT_SILU;
    mdl_op op = v == IN_TRAINING ? MDL_OP_BATCH_NORM : MDL_OP_BATCH_NORM_INFER;
    int y = mdl_graph_op(g, op, &attrs, in, 5, NULL);
    attrs = (mdl_attrs){.add = {1, 1}};
    y = mdl_graph_op(g, MDL_OP_ADD, &attrs, (int[]){y, n->images}, 2, NULL);
    attrs = (mdl_attrs){.add = {1, 0.5}};
    if (v == READ_TWICE)
        y = mdl_graph_op(g, MDL_OP_ADD, &attrs, (int[]){y, x}, 2, NULL);
    if (v == KEPT)
        mdl_graph_output(g, x);
    mdl_graph_output(g, y);
    n->loss = y;
    assert_int_equal(mdl_graph_status(g), MDL_OK);
    assert_int_equal(mdl_graph_fuse(g), MDL_OK);
}

static size_t count_folded(const mdl_plan *plan)
{
    size_t count = 0;
    for (size_t i = 0; i < mdl_plan_step_count(plan); i++)
        count += mdl_plan_step(plan, i)->op == MDL_OP_LINEAR_NORM;
    return count;
}

static void run_pair(net *n, double y[BATCH * SIDE * SIDE * CHANNELS])
{
    assert_int_equal(mdl_run_step(n->run), MDL_OK);
    mdl_view view = mdl_run_view(n->run, n->loss);
    assert_int_equal(mdl_view_download_f64(&view, y, BATCH * SIDE * SIDE * CHANNELS), MDL_OK);
}

/* Folded where nobody else reads the product; the same numbers, also of other weights and
 * statistics in the same memory. */
static void test_folding(void **state)
{
    (void)state;
    static double y[2][2][BATCH * SIDE * SIDE * CHANNELS];
    for (int v = PLAIN; v <= SILU_BEHIND; v++) {
        for (int composed = 0; composed < 2; composed++) {
            net n = {0};
            build_pair(&n, (variation)v);
            prepare(&n, &(mdl_plan_options){.separate = composed});
            bool folds = (v == PLAIN || v == SILU_BEHIND) && !composed;
            assert_int_equal(count_folded(n.plan), folds ? 1 : 0);
            run_pair(&n, y[composed][0]);
            mdl_buffer *both[] = {n.params, n.buffers};
            for (size_t b = 0; b < MDL_COUNT(both); b++)
                for (size_t i = 0; i < both[b]->bytes / sizeof(double); i++)
                    ((double *)both[b]->host)[i] *= 1.5;
            run_pair(&n, y[composed][1]);
            release(&n);
        }
        assert_memory_equal(y[0], y[1], sizeof(y[0]));
        assert_memory_not_equal(y[0][0], y[0][1], sizeof(y[0][0]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_plans_agree),
        cmocka_unit_test(test_fusion),
        cmocka_unit_test(test_folding),
        cmocka_unit_test(test_accumulation_over_steps),
        cmocka_unit_test(test_stop_gradient),
        cmocka_unit_test(test_sticky_error),
        cmocka_unit_test(test_shared_parameter_must_agree),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
