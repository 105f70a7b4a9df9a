/* Calls that run interleaved (src/graph/interleave.c): one training step of a small convolutional
 * network on the cpu backend gives the same bits with any number of threads and any plan, and
 * agrees with the reference backend in float64; the same for inference.  Groups are formed at all,
 * and what lives inside of one takes no memory of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "graph/graph.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* An odd number of images, odd sizes, widths beside the vector lengths. */
enum { BATCH = 37, SIDE = 11, CLASSES = 5, MAX_PARAMS = 8192, MAX_BUFFERS = 1024 };

typedef struct result { /* what a step leaves behind */
    double loss;
    double logits[BATCH * CLASSES];
    double gradients[MAX_PARAMS], buffers[MAX_BUFFERS];
    size_t n_params, n_buffers, arena;
    int joined; /* calls in groups */
} result;

typedef struct setting {
    bool training;
    bool clamped; /* with ReLU and ReLU6 */
} setting;

typedef struct net {
    mdl_graph *graph;
    int images, labels, loss, logits;
    setting setting;
    int norms; /* so far, for names */
} net;

static int norm(net *n, int x, mdl_act act)
{
    char text[64];
    const mdl_shape c = MDL_SHAPE1(mdl_shape_last(&mdl_graph_desc(n->graph, x)->shape));
    int in[5] = {x};
    static const char *const parts[] = {"weight", "bias", "running_mean", "running_var"};
    static const mdl_role roles[] = {MDL_ROLE_GAMMA, MDL_ROLE_BETA, MDL_ROLE_MEAN, MDL_ROLE_VAR};
    for (int i = 0; i < 4; i++) {
        snprintf(text, sizeof(text), "bn%d.%s", n->norms, parts[i]);
        in[i + 1] = mdl_graph_param(n->graph, text, roles[i], c, MDL_INIT_ZERO, 1);
    }
    n->norms++;
    mdl_attrs attrs = {.norm = {.eps = 1e-3, .momentum = 0.1}};
    mdl_op op = n->setting.training ? MDL_OP_BATCH_NORM : MDL_OP_BATCH_NORM_INFER;
    int y = mdl_graph_op(n->graph, op, &attrs, in, 5, NULL);
    attrs = (mdl_attrs){.act = {act}};
    return act == MDL_ACT_NONE || !n->setting.clamped
               ? y
               : mdl_graph_op(n->graph, MDL_OP_ACTIVATION, &attrs, &y, 1, NULL);
}

static int pointwise(net *n, const char *name, int x, size_t out)
{
    size_t in = mdl_shape_last(&mdl_graph_desc(n->graph, x)->shape);
    int w = mdl_graph_param(n->graph, name, MDL_ROLE_POINTWISE, MDL_SHAPE2(in, out),
                            MDL_INIT_NORMAL, 1);
    return mdl_graph_op(n->graph, MDL_OP_LINEAR, NULL, (int[]){x, w}, 2, NULL);
}

static mdl_attrs window(const net *n, int x, size_t kernel, size_t stride)
{
    const mdl_shape *s = &mdl_graph_desc(n->graph, x)->shape;
    size_t pad = kernel / 2;
    return (mdl_attrs){.conv = {.kernel_h = kernel,
                                .kernel_w = kernel,
                                .stride = stride,
                                .pad_top = pad,
                                .pad_left = pad,
                                .pad_bottom = pad,
                                .pad_right = pad,
                                .in_h = s->dim[1],
                                .in_w = s->dim[2]}};
}

static int depthwise(net *n, const char *name, int x, size_t kernel, size_t stride)
{
    mdl_attrs attrs = window(n, x, kernel, stride);
    size_t c = mdl_shape_last(&mdl_graph_desc(n->graph, x)->shape);
    int w = mdl_graph_param(n->graph, name, MDL_ROLE_DEPTHWISE, MDL_SHAPE3(kernel, kernel, c),
                            MDL_INIT_NORMAL, 1);
    return mdl_graph_op(n->graph, MDL_OP_DEPTHWISE, &attrs, (int[]){x, w}, 2, NULL);
}

/* Two blocks at full size that share their expansion, one at stride 2, one small with a residual;
 * an ADD that no BatchNorm takes in stands between. */
static void build(net *n, mdl_dtype real, setting s)
{
    *n = (net){.setting = s};
    assert_int_equal(mdl_graph_create(real, &n->graph), MDL_OK);
    mdl_graph *g = n->graph;
    n->images = mdl_graph_input(g, "images", real, MDL_SHAPE4(BATCH, SIDE, SIDE, 3));
    n->labels = mdl_graph_input(g, "labels", MDL_I32, MDL_SHAPE1(BATCH));
    mdl_attrs attrs = window(n, n->images, 3, 1);
    int w = mdl_graph_param(g, "stem", MDL_ROLE_CONV, MDL_SHAPE4(3, 3, 3, 17), MDL_INIT_NORMAL, 1);
    int x = mdl_graph_op(g, MDL_OP_CONV2D, &attrs, (int[]){n->images, w}, 2, NULL);
    x = norm(n, x, MDL_ACT_RELU6);
    for (int block = 0; block < 2; block++) {
        int h = norm(n, pointwise(n, "shared", x, 34), MDL_ACT_RELU6);
        h = norm(n, depthwise(n, block ? "d1" : "d0", h, block ? 5 : 3, 1), MDL_ACT_RELU6);
        h = norm(n, pointwise(n, block ? "p1" : "p0", h, 17), MDL_ACT_NONE);
        attrs = (mdl_attrs){.add = {1, 1}};
        x = mdl_graph_op(g, MDL_OP_ADD, &attrs, (int[]){h, x}, 2, NULL);
    }
    attrs = (mdl_attrs){.add = {0.5, 1}};
    x = mdl_graph_op(g, MDL_OP_ADD, &attrs, (int[]){x, x}, 2, NULL);
    int h = norm(n, pointwise(n, "e2", x, 40), MDL_ACT_RELU6);
    h = norm(n, depthwise(n, "d2", h, 5, 2), MDL_ACT_RELU6);
    x = norm(n, pointwise(n, "p2", h, 20), MDL_ACT_NONE);
    h = norm(n, depthwise(n, "d3", x, 3, 1), MDL_ACT_RELU);
    h = norm(n, pointwise(n, "p3", h, 20), MDL_ACT_NONE);
    attrs = (mdl_attrs){.add = {1, 1}};
    x = mdl_graph_op(g, MDL_OP_ADD, &attrs, (int[]){x, h}, 2, NULL);
    x = mdl_graph_op(g, MDL_OP_MEAN_ROWS, NULL, &x, 1, NULL);
    n->logits = pointwise(n, "head", x, CLASSES);
    n->loss = mdl_graph_op(g, MDL_OP_CROSS_ENTROPY, NULL, (int[]){n->logits, n->labels}, 2, NULL);
    mdl_graph_output(g, n->loss);
    mdl_graph_output(g, n->logits);
    assert_int_equal(mdl_graph_status(g), MDL_OK);
    assert_int_equal(mdl_graph_fuse(g), MDL_OK);
    if (s.training)
        assert_int_equal(mdl_graph_backward(g, n->loss, 1.0), MDL_OK);
}

static void fill(const mdl_graph *g, bool buffers, double *values)
{
    size_t rows = buffers ? mdl_graph_buffer_count(g) : mdl_graph_param_count(g);
    for (size_t i = 0; i < rows; i++) {
        const mdl_param *p = buffers ? mdl_graph_buffer_at(g, i) : mdl_graph_param_at(g, i);
        mdl_rng rng = mdl_rng_init(7, 50 + i + (buffers ? 1000 : 0));
        bool scale = p->role == MDL_ROLE_GAMMA || p->role == MDL_ROLE_VAR;
        for (size_t k = 0; k < p->count; k++) {
            double value = scale ? 0.5 + mdl_rng_uniform(&rng) : 0.4 * mdl_rng_normal(&rng) + 0.1;
            values[p->offset + k] = (double)(float)value;
        }
    }
}

static mdl_view whole(mdl_device *device, mdl_buffer *buffer, size_t count)
{
    return mdl_buffer_view(buffer, 0, device->real, MDL_SHAPE1(count));
}

static void must(mdl_status status)
{
    if (status != MDL_OK)
        fail_msg("%s", mdl_error_detail());
}

static void upload_inputs(const net *n, const mdl_run *run)
{
    static double images[BATCH * SIDE * SIDE * 3];
    int32_t labels[BATCH];
    mdl_rng rng = mdl_rng_init(3, 3);
    for (size_t i = 0; i < MDL_COUNT(images); i++)
        images[i] = (double)(float)mdl_rng_normal(&rng);
    for (int i = 0; i < BATCH; i++)
        labels[i] = i % CLASSES;
    mdl_view view = mdl_run_view(run, n->images);
    must(mdl_view_upload_f64(&view, images, MDL_COUNT(images)));
    view = mdl_run_view(run, n->labels);
    must(mdl_view_upload_i32(&view, labels, BATCH));
}

static void download(const mdl_view *view, double *values)
{
    must(mdl_view_download_f64(view, values, mdl_shape_count(&view->shape)));
}

/* Two steps, so that the memory of the second is not fresh. */
static void run(const char *spec, int threads, mdl_dtype real, setting s,
                const mdl_plan_options *options, result *r)
{
    static double values[MAX_PARAMS];
    mdl_device *device;
    mdl_plan *plan;
    mdl_run *runner;
    mdl_buffer *params, *buffers, *gradients;
    net n;
    memset(r, 0, sizeof(*r));
    must(mdl_device_open(spec, threads, real, &device));
    build(&n, real, s);
    must(mdl_plan_create(n.graph, device, options, &plan));
    must(mdl_run_create(plan, &runner));
    r->n_params = mdl_graph_params_size(n.graph);
    r->n_buffers = mdl_graph_buffers_size(n.graph);
    r->arena = mdl_plan_arena_bytes(plan);
    assert_true(r->n_params <= MAX_PARAMS && r->n_buffers <= MAX_BUFFERS);
    for (size_t i = 0; i < mdl_plan_step_count(plan); i++)
        r->joined += mdl_plan_step(plan, i)->interleave.group != 0;
    size_t size = mdl_dtype_size(real);
    must(mdl_buffer_create(device, r->n_params * size, "p", &params));
    must(mdl_buffer_create(device, r->n_params * size, "g", &gradients));
    must(mdl_buffer_create(device, r->n_buffers * size, "b", &buffers));
    fill(n.graph, false, values);
    mdl_view view = whole(device, params, r->n_params);
    must(mdl_view_upload_f64(&view, values, r->n_params));
    memset(values, 0, sizeof(values));
    fill(n.graph, true, values);
    view = whole(device, buffers, r->n_buffers);
    must(mdl_view_upload_f64(&view, values, r->n_buffers));
    must(mdl_run_bind(runner, params, buffers, gradients));
    upload_inputs(&n, runner);
    must(mdl_run_trace(runner, true));
    for (int step = 0; step < 2; step++) {
        memset(gradients->host, 0, gradients->bytes);
        must(mdl_run_step(runner));
    }
    view = mdl_run_view(runner, n.loss);
    download(&view, &r->loss);
    view = mdl_run_view(runner, n.logits);
    download(&view, r->logits);
    view = whole(device, gradients, r->n_params);
    download(&view, r->gradients);
    view = whole(device, buffers, r->n_buffers);
    download(&view, r->buffers);
    mdl_buffer_destroy(params);
    mdl_buffer_destroy(gradients);
    mdl_buffer_destroy(buffers);
    mdl_run_destroy(runner);
    mdl_plan_destroy(plan);
    mdl_graph_destroy(n.graph);
    mdl_device_close(device);
}

/* The error's norm against that of the expected values. */
static void expect_near(const char *what, const double *got, const double *expected, size_t count,
                        double tolerance)
{
    double size = 0, error = 0;
    for (size_t i = 0; i < count; i++) {
        size += expected[i] * expected[i];
        error += (got[i] - expected[i]) * (got[i] - expected[i]);
    }
    if (!(sqrt(error / size) <= tolerance))
        fail_msg("%s: relative error %.3g", what, sqrt(error / size));
}

static const char *spec_or(const char *usual)
{
    return getenv("MDL_TEST_BACKEND") != NULL ? getenv("MDL_TEST_BACKEND") : usual;
}

/* Sums of some thousand float32 terms pass through a dozen layers.  Of 2 million activations a few
 * may lie so near to a corner of ReLU6 that rounding decides on their gradient. */
static void check(bool training, bool clamped)
{
    static const mdl_plan_options plans[] = {
        {0}, {.separate = true}, {.recompute = true}, {.recompute = true, .separate = true}};
    static const int threads[] = {1, 2, 3, 5};
    static result expected, first, other;
    setting s = {.training = training, .clamped = clamped};
    run("reference", 1, MDL_F64, s, NULL, &expected);
    assert_int_equal(expected.joined, 0);
    run(spec_or("cpu"), 1, MDL_F32, s, NULL, &first);
    assert_true(first.joined > 0);
    expect_near("loss", &first.loss, &expected.loss, 1, 2e-6);
    expect_near("logits", first.logits, expected.logits, MDL_COUNT(first.logits), 2e-6);
    expect_near("buffers", first.buffers, expected.buffers, first.n_buffers, 1e-6);
    if (training)
        expect_near("gradients", first.gradients, expected.gradients, first.n_params,
                    clamped ? 1e-2 : 1e-5);
    for (size_t p = 0; p < MDL_COUNT(plans); p++) {
        for (size_t t = 0; t < MDL_COUNT(threads); t++) {
            run(spec_or("cpu"), threads[t], MDL_F32, s, &plans[p], &other);
            assert_true(other.loss == first.loss);
            assert_memory_equal(other.logits, first.logits, sizeof(first.logits));
            assert_memory_equal(other.gradients, first.gradients, sizeof(first.gradients));
            assert_memory_equal(other.buffers, first.buffers, sizeof(first.buffers));
            if (plans[p].separate)
                assert_true(other.arena > first.arena);
        }
    }
}

static void test_training(void **state)
{
    (void)state;
    check(true, true);
}

static void test_training_without_clamps(void **state)
{
    (void)state;
    check(true, false);
}

static void test_inference(void **state)
{
    (void)state;
    check(false, true);
}

/* Activations kept as bfloat16: the forward pass is the same to the last bit, the gradients are
 * near, they depend neither on threads nor on the plan, and the memory is less.  A stored value is
 * off by at most 2^-9 of itself, and the errors of a dozen layers add up like random ones: less
 * than 1e-2. With ReLU6, about 0.4 * 2 * 2^-9 of the normalised values lie so near to a corner that
 * they get to its other side, which changes the gradient's norm by the root of that, 4e-2. */
static void test_mixed(void **state)
{
    static const mdl_plan_options plans[] = {{.mixed = true}, {.mixed = true, .separate = true}};
    static const int threads[] = {1, 2, 5};
    static result wide, first, other;
    (void)state;
    for (int clamped = 0; clamped < 2; clamped++) {
        setting s = {.training = true, .clamped = clamped != 0};
        run(spec_or("cpu"), 1, MDL_F32, s, NULL, &wide);
        run(spec_or("cpu"), 1, MDL_F32, s, &plans[0], &first);
        assert_true(first.joined > 0 && first.arena < wide.arena);
        assert_true(first.loss == wide.loss);
        assert_memory_equal(first.logits, wide.logits, sizeof(first.logits));
        assert_memory_equal(first.buffers, wide.buffers, sizeof(first.buffers));
        assert_true(memcmp(first.gradients, wide.gradients, sizeof(first.gradients)) != 0);
        expect_near("gradients", first.gradients, wide.gradients, first.n_params,
                    clamped ? 4e-2 : 1e-2);
        for (size_t p = 0; p < MDL_COUNT(plans); p++) {
            for (size_t t = 0; t < MDL_COUNT(threads); t++) {
                run(spec_or("cpu"), threads[t], MDL_F32, s, &plans[p], &other);
                assert_true(other.loss == first.loss);
                assert_memory_equal(other.gradients, first.gradients, sizeof(first.gradients));
            }
        }
        run("reference", 1, MDL_F32, s, &plans[0], &other);
        expect_near("against the reference", first.gradients, other.gradients, first.n_params,
                    5e-3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_training),
        cmocka_unit_test(test_training_without_clamps),
        cmocka_unit_test(test_inference),
        cmocka_unit_test(test_mixed),
    };
    mdl_device *probe;
    if (mdl_device_open(spec_or("cpu"), 1, MDL_F32, &probe) != MDL_OK)
        return 77; /* Meson's sign for a skipped test: no such instructions here */
    mdl_device_close(probe);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
