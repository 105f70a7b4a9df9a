/* Models: parameter counts, multiply-adds, names and blocks, padding and drop-connect as they
 * arrive at the ops, the same tables in every mode, supervision steps, refused configurations.
 * Values are compared with PyTorch's in test_golden.c. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "checkpoint/checkpoint.h"
#include "models/models.h"

static mdl_graph *graph, *second;
static mdl_device *device;
static mdl_plan *plan;
static mdl_run *run;
static mdl_weights weights;

static int set_up(void **state)
{
    (void)state;
    graph = second = NULL;
    plan = NULL;
    run = NULL;
    weights = (mdl_weights){.params = NULL};
    return mdl_device_open("reference", 1, MDL_F64, &device) == MDL_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    mdl_run_destroy(run);
    mdl_plan_destroy(plan);
    mdl_weights_destroy(&weights);
    mdl_graph_destroy(graph);
    mdl_graph_destroy(second);
    mdl_device_close(device);
    return 0;
}

static mdl_model_io build(const mdl_model_config *config, mdl_mode mode, size_t batch, size_t steps,
                          mdl_graph **out)
{
    mdl_model_io io;
    mdl_graph_destroy(*out);
    assert_int_equal(mdl_graph_create(MDL_F64, out), MDL_OK);
    if (mdl_model_build(config, mode, batch, 0.0, steps, *out, &io) != MDL_OK)
        fail_msg("%s", mdl_error_detail());
    return io;
}

static mdl_model_config hybrid(mdl_tokens tokens, mdl_mix mix)
{
    mdl_model_config config = mdl_model_config_default();
    config.kind = MDL_MODEL_HYBRID;
    config.trm.tokens = tokens;
    config.trm.mix = mix;
    return config;
}

/* Few and narrow layers, for tests that run. */
static mdl_model_config small(mdl_model_config config)
{
    config.width = 0.2;
    config.depth = 0.3;
    config.height = config.width_px = 16;
    config.drop_connect = config.dropout = 0.0;
    config.trm.dim = 16;
    return config;
}

static size_t count_parameters(const mdl_graph *counted)
{
    size_t sum = 0;
    for (size_t i = 0; i < mdl_graph_param_count(counted); i++)
        sum += mdl_graph_param_at(counted, i)->count;
    return sum;
}

static void published_counts(void **state)
{
    (void)state;
    mdl_model_config config = mdl_model_config_default();
    assert_int_equal(config.kind, MDL_MODEL_EFFICIENTNET_LITE0);
    build(&config, MDL_MODE_TRAIN, 1, 0, &graph);
    assert_int_equal(count_parameters(graph), 3383818);
    /* 31.35 M, 115.5 M and 406.7 M an image (algorithm notes, section 1). */
    assert_true(fabs(mdl_graph_multiply_adds(graph) - 31.35e6) < 5e3);
    config.strides[1] = 1;
    build(&config, MDL_MODE_INFER, 1, 0, &graph);
    assert_true(fabs(mdl_graph_multiply_adds(graph) - 115.5e6) < 5e4);
    config.strides[2] = 1;
    build(&config, MDL_MODE_INFER, 2, 0, &graph);
    assert_true(fabs(mdl_graph_multiply_adds(graph) - 2 * 406.7e6) < 1e5);

    config = mdl_model_config_default();
    config.classes = 1000; /* published: 4.7 M on ImageNet */
    build(&config, MDL_MODE_INFER, 1, 0, &graph);
    assert_int_equal(count_parameters(graph), 4652008);

    config = hybrid(MDL_TOKENS_POOLED, MDL_MIX_MLP);
    build(&config, MDL_MODE_TRAIN, 1, 0, &graph);
    assert_int_equal(count_parameters(graph), 3929473);
    config.kind = MDL_MODEL_MLP;
    config.height = config.width_px = 8;
    config.channels = 1;
    build(&config, MDL_MODE_TRAIN, 1, 0, &graph);
    assert_int_equal(count_parameters(graph), 64 * 256 + 256 + 256 * 10 + 10);
}

/* Published multipliers of the larger Lites: 5.4 M, 6.1 M and 8.2 M parameters (Google's table). */
static void larger_lites(void **state)
{
    (void)state;
    static const struct {
        double width, depth;
        double millions;
    } lites[] = {{1.0, 1.1, 5.4}, {1.1, 1.2, 6.1}, {1.2, 1.4, 8.2}, {1.4, 1.8, 13.0}};
    for (size_t i = 0; i < MDL_COUNT(lites); i++) {
        mdl_model_config config = mdl_model_config_default();
        config.classes = 1000;
        config.width = lites[i].width;
        config.depth = lites[i].depth;
        build(&config, MDL_MODE_INFER, 1, 0, &graph);
        double millions = (double)count_parameters(graph) * 1e-6;
        assert_true(fabs(millions - lites[i].millions) < 0.06);
    }
}

static const mdl_param *find(const mdl_graph *in, const char *name)
{
    for (size_t i = 0; i < mdl_graph_param_count(in); i++) {
        if (strcmp(mdl_graph_param_at(in, i)->name, name) == 0)
            return mdl_graph_param_at(in, i);
    }
    for (size_t i = 0; i < mdl_graph_buffer_count(in); i++) {
        if (strcmp(mdl_graph_buffer_at(in, i)->name, name) == 0)
            return mdl_graph_buffer_at(in, i);
    }
    return NULL;
}

typedef struct expected {
    const char *name;
    mdl_shape shape;
    int block;
    bool decay;
} expected;

static void assert_rows(const expected *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const mdl_param *param = find(graph, rows[i].name);
        if (param == NULL) {
            fail_msg("no parameter %s", rows[i].name);
            return;
        }
        char a[MDL_SHAPE_TEXT], b[MDL_SHAPE_TEXT];
        if (!mdl_shape_equal(&param->shape, &rows[i].shape) || param->block != rows[i].block ||
            param->decay != rows[i].decay)
            fail_msg("%s: shape %s block %d decay %d, expected %s %d %d", param->name,
                     mdl_shape_text(&param->shape, a), param->block, param->decay,
                     mdl_shape_text(&rows[i].shape, b), rows[i].block, rows[i].decay);
    }
}

static void names_and_blocks(void **state)
{
    (void)state;
    static const expected backbone[] = {
        {"conv_stem.weight", {4, {3, 3, 3, 32}}, 0, true},
        {"bn1.weight", {1, {32}}, 0, false},
        {"bn1.bias", {1, {32}}, 0, false},
        {"bn1.running_mean", {1, {32}}, 0, false},
        {"bn1.running_var", {1, {32}}, 0, false},
        {"blocks.0.0.conv_dw.weight", {3, {3, 3, 32}}, 1, true},
        {"blocks.0.0.bn1.weight", {1, {32}}, 1, false},
        {"blocks.0.0.conv_pw.weight", {2, {32, 16}}, 1, true},
        {"blocks.0.0.bn2.bias", {1, {16}}, 1, false},
        {"blocks.1.0.conv_pw.weight", {2, {16, 96}}, 2, true},
        {"blocks.1.0.bn1.weight", {1, {96}}, 2, false},
        {"blocks.1.0.conv_dw.weight", {3, {3, 3, 96}}, 2, true},
        {"blocks.1.0.conv_pwl.weight", {2, {96, 24}}, 2, true},
        {"blocks.1.0.bn3.running_var", {1, {24}}, 2, false},
        {"blocks.2.1.conv_dw.weight", {3, {5, 5, 240}}, 5, true},
        {"blocks.5.3.conv_pwl.weight", {2, {1152, 192}}, 15, true},
        {"blocks.6.0.conv_pwl.weight", {2, {1152, 320}}, 16, true},
        {"conv_head.weight", {2, {320, 1280}}, 17, true},
        {"bn2.weight", {1, {1280}}, 17, false},
    };
    static const expected classifier[] = {
        {"classifier.weight", {2, {1280, 10}}, 18, true},
        {"classifier.bias", {1, {10}}, 18, false},
    };
    static const expected pooled[] = {
        {"trm.embed.weight", {2, {1280, 128}}, 18, true},
        {"trm.y0", {1, {128}}, 18, false},
        {"trm.blocks.0.mlp.up.weight", {2, {128, 1024}}, 19, true},
        {"trm.blocks.1.mlp.down.weight", {2, {512, 128}}, 20, true},
        {"trm.head.weight", {2, {128, 10}}, 21, true},
        {"trm.q_head.weight", {2, {128, 1}}, 21, true},
        {"trm.q_head.bias", {1, {1}}, 21, false},
    };
    static const expected mlp[] = {
        {"trm.blocks.0.mix.up.weight", {2, {4, 512}}, 19, true},
        {"trm.blocks.0.mix.down.weight", {2, {256, 4}}, 19, true},
    };
    static const expected attention[] = {
        {"trm.blocks.1.mix.qkv.weight", {2, {128, 384}}, 20, true},
        {"trm.blocks.1.mix.out.weight", {2, {128, 128}}, 20, true},
    };
    mdl_model_config config = mdl_model_config_default();
    build(&config, MDL_MODE_TRAIN, 2, 0, &graph);
    assert_rows(backbone, MDL_COUNT(backbone));
    assert_rows(classifier, MDL_COUNT(classifier));
    assert_int_equal(mdl_graph_buffer_count(graph), 2 * 49);
    assert_null(find(graph, "blocks.0.0.conv_pwl.weight"));
    assert_null(find(graph, "blocks.0.0.bn3.weight"));
    config = hybrid(MDL_TOKENS_POOLED, MDL_MIX_ATTENTION);
    build(&config, MDL_MODE_TRAIN, 2, 0, &graph);
    assert_rows(backbone, MDL_COUNT(backbone));
    assert_rows(pooled, MDL_COUNT(pooled));
    assert_null(find(graph, "classifier.weight"));
    assert_null(find(graph, "trm.blocks.0.mix.qkv.weight")); /* one token: nothing to mix */
    config = hybrid(MDL_TOKENS_GRID, MDL_MIX_MLP);
    build(&config, MDL_MODE_TRAIN, 2, 0, &graph);
    assert_rows(pooled, MDL_COUNT(pooled));
    assert_rows(mlp, MDL_COUNT(mlp));
    config = hybrid(MDL_TOKENS_GRID, MDL_MIX_ATTENTION);
    build(&config, MDL_MODE_TRAIN, 2, 0, &graph);
    assert_rows(attention, MDL_COUNT(attention));
    config.height = config.width_px = 16; /* a final map of one position */
    build(&config, MDL_MODE_TRAIN, 2, 0, &graph);
    assert_null(find(graph, "trm.blocks.0.mix.qkv.weight"));
}

static void assert_same_row(const mdl_param *a, const mdl_param *b)
{
    assert_string_equal(a->name, b->name);
    assert_true(a->role == b->role && mdl_shape_equal(&a->shape, &b->shape));
    assert_true(a->offset == b->offset && a->count == b->count && a->block == b->block);
    assert_true(a->init == b->init && a->init_scale == b->init_scale && a->decay == b->decay);
}

static void assert_same_table(void)
{
    assert_int_equal(mdl_graph_param_count(graph), mdl_graph_param_count(second));
    assert_int_equal(mdl_graph_buffer_count(graph), mdl_graph_buffer_count(second));
    for (size_t i = 0; i < mdl_graph_param_count(graph); i++)
        assert_same_row(mdl_graph_param_at(graph, i), mdl_graph_param_at(second, i));
    for (size_t i = 0; i < mdl_graph_buffer_count(graph); i++)
        assert_same_row(mdl_graph_buffer_at(graph, i), mdl_graph_buffer_at(second, i));
}

static void same_tables_in_every_mode(void **state)
{
    (void)state;
    mdl_model_config configs[] = {
        mdl_model_config_default(), hybrid(MDL_TOKENS_POOLED, MDL_MIX_MLP),
        hybrid(MDL_TOKENS_GRID, MDL_MIX_MLP), hybrid(MDL_TOKENS_GRID, MDL_MIX_ATTENTION),
        mdl_model_config_default()};
    configs[2].trm.n_sup = 3;
    configs[3].trm.supervision = MDL_SUPERVISION_STEPWISE;
    configs[4].kind = MDL_MODEL_MLP;
    for (size_t i = 0; i < MDL_COUNT(configs); i++) {
        build(&configs[i], MDL_MODE_TRAIN, 4, 0, &graph);
        build(&configs[i], MDL_MODE_INFER, 7, 5, &second);
        assert_same_table();
        build(&configs[i], MDL_MODE_RECALIBRATE, 1, 0, &second);
        assert_same_table();
    }
}

/* The steps of a plan with this op, in order; returns how many. */
static size_t steps_with(mdl_op op, const mdl_attrs **attrs, size_t max)
{
    size_t n = 0;
    for (size_t i = 0; i < mdl_plan_step_count(plan); i++) {
        const mdl_call *call = mdl_plan_step(plan, i);
        if (call->op == op && n < max)
            attrs[n++] = call->attrs;
    }
    return n;
}

static void make_plan(void)
{
    mdl_plan_destroy(plan);
    plan = NULL;
    const mdl_plan_options options = {.recompute = false};
    assert_int_equal(mdl_graph_fuse(graph), MDL_OK);
    assert_int_equal(mdl_plan_create(graph, device, &options, &plan), MDL_OK);
}

static void drop_connect_and_dropout(void **state)
{
    (void)state;
    /* Blocks with a residual, counted from 0; each drops with 0.2 * index / 16. */
    static const size_t residual[] = {2, 4, 6, 7, 9, 10, 12, 13, 14};
    static const mdl_attrs *attrs[32];
    mdl_model_config config = mdl_model_config_default();
    config.dropout = 0.3;
    build(&config, MDL_MODE_TRAIN, 1, 0, &graph);
    make_plan();
    assert_int_equal(steps_with(MDL_OP_DROPOUT, attrs, 32), MDL_COUNT(residual) + 1);
    for (size_t i = 0; i < MDL_COUNT(residual); i++) {
        assert_true(attrs[i]->dropout.per_sample);
        assert_true(fabs(attrs[i]->dropout.rate - 0.2 * (double)residual[i] / 16.0) < 1e-15);
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(attrs[i]->dropout.stream, attrs[j]->dropout.stream);
    }
    assert_false(attrs[MDL_COUNT(residual)]->dropout.per_sample);
    assert_true(attrs[MDL_COUNT(residual)]->dropout.rate == 0.3);
    build(&config, MDL_MODE_INFER, 1, 0, &graph);
    make_plan();
    assert_int_equal(steps_with(MDL_OP_DROPOUT, attrs, 32), 0);
}

static void padding(void **state)
{
    (void)state;
    /* Block 1.0 (3x3 at 32 -> 16) and block 2.0 (5x5 at 16 -> 8) have stride 2. */
    static const struct {
        mdl_padding kind;
        size_t before3, after3, before5, after5;
    } cases[] = {{MDL_PADDING_SYMMETRIC, 1, 1, 2, 2}, {MDL_PADDING_SAME, 0, 1, 1, 2}};
    static const mdl_attrs *attrs[32];
    for (size_t i = 0; i < MDL_COUNT(cases); i++) {
        mdl_model_config config = mdl_model_config_default();
        config.padding = cases[i].kind;
        build(&config, MDL_MODE_INFER, 1, 0, &graph);
        make_plan();
        assert_int_equal(steps_with(MDL_OP_CONV2D_NORM, attrs, 32), 1);
        assert_int_equal(attrs[0]->conv.pad_top, 1); /* stride 1: the same in both */
        assert_int_equal(attrs[0]->conv.pad_bottom, 1);
        assert_int_equal(steps_with(MDL_OP_DEPTHWISE_NORM, attrs, 32), 16);
        assert_int_equal(attrs[0]->conv.pad_top, 1);
        assert_int_equal(attrs[1]->conv.stride, 2);
        assert_int_equal(attrs[1]->conv.pad_top, cases[i].before3);
        assert_int_equal(attrs[1]->conv.pad_left, cases[i].before3);
        assert_int_equal(attrs[1]->conv.pad_bottom, cases[i].after3);
        assert_int_equal(attrs[1]->conv.pad_right, cases[i].after3);
        assert_int_equal(attrs[3]->conv.stride, 2);
        assert_int_equal(attrs[3]->conv.pad_top, cases[i].before5);
        assert_int_equal(attrs[3]->conv.pad_bottom, cases[i].after5);
        assert_int_equal(attrs[4]->conv.pad_top, 2);
        assert_int_equal(attrs[4]->conv.pad_bottom, 2);
    }
}

/* ---- running -------------------------------------------------------------------------------- */

enum { BATCH = 3, CLASSES = 10, LOGITS = BATCH * CLASSES };

static void fill_input(int tensor, double phase)
{
    static double values[BATCH * 16 * 16 * 3];
    mdl_view view = mdl_run_view(run, tensor);
    size_t count = mdl_shape_count(&view.shape);
    assert_true(count <= MDL_COUNT(values));
    for (size_t i = 0; i < count; i++)
        values[i] = sin(phase + 0.37 * (double)i);
    assert_int_equal(mdl_view_upload_f64(&view, values, count), MDL_OK);
}

static const int32_t labels[BATCH] = {3, 1, 4};

static void start(const mdl_model_io *io)
{
    mdl_run_destroy(run);
    run = NULL;
    make_plan();
    assert_int_equal(mdl_run_create(plan, &run), MDL_OK);
    if (weights.params == NULL) {
        assert_int_equal(mdl_weights_create(graph, device, &weights), MDL_OK);
        assert_int_equal(mdl_weights_init(graph, 3, &weights), MDL_OK);
    }
    assert_int_equal(mdl_run_bind(run, weights.params, weights.buffers, NULL), MDL_OK);
    fill_input(io->images, 0.0);
    if (io->labels != MDL_NONE) {
        mdl_view view = mdl_run_view(run, io->labels);
        assert_int_equal(mdl_view_upload_i32(&view, labels, BATCH), MDL_OK);
    }
}

static void read_back(int tensor, double *out, size_t count)
{
    mdl_view view = mdl_run_view(run, tensor);
    assert_int_equal(mdl_shape_count(&view.shape), count);
    assert_int_equal(mdl_view_download_f64(&view, out, count), MDL_OK);
}

static void copy_tensor(int from, int to)
{
    static double values[BATCH * 4 * 64];
    mdl_view source = mdl_run_view(run, from), target = mdl_run_view(run, to);
    size_t count = mdl_shape_count(&source.shape);
    assert_true(count <= MDL_COUNT(values));
    assert_int_equal(mdl_view_download_f64(&source, values, count), MDL_OK);
    assert_int_equal(mdl_view_upload_f64(&target, values, count), MDL_OK);
}

/* Shared supervision over two steps gives the logits of two stepwise runs that carry y and z,
 * bit by bit; and the loss of shared supervision is the sum of both. */
static void stepwise_equals_shared(void **state)
{
    (void)state;
    static const mdl_tokens tokens[] = {MDL_TOKENS_POOLED, MDL_TOKENS_GRID};
    for (size_t i = 0; i < MDL_COUNT(tokens); i++) {
        mdl_model_config config = small(hybrid(tokens[i], MDL_MIX_ATTENTION));
        config.strides[5] = 1; /* a final map of 2x2 */
        config.trm.n_sup = 2;
        double logits[2][LOGITS], got[LOGITS], loss, part, sum = 0.0;
        mdl_model_io io = build(&config, MDL_MODE_TRAIN, BATCH, 0, &graph);
        assert_int_equal(io.n_steps, 2);
        assert_int_equal(io.carry_fresh, MDL_NONE);
        start(&io);
        assert_int_equal(mdl_run_step(run), MDL_OK);
        read_back(io.step_logits[0], logits[0], LOGITS);
        read_back(io.step_logits[1], logits[1], LOGITS);
        read_back(io.loss, &loss, 1);
        assert_int_equal(io.logits, io.step_logits[1]);

        config.trm.supervision = MDL_SUPERVISION_STEPWISE;
        io = build(&config, MDL_MODE_TRAIN, BATCH, 0, &graph);
        assert_int_equal(io.n_steps, 1);
        start(&io);
        fill_input(io.carry_y, 9.0); /* of no account where the slot is fresh */
        fill_input(io.carry_z, 9.0);
        for (int step = 0; step < 2; step++) {
            mdl_view fresh = mdl_run_view(run, io.carry_fresh);
            const int32_t flags[BATCH] = {step == 0, step == 0, step == 0};
            assert_int_equal(mdl_view_upload_i32(&fresh, flags, BATCH), MDL_OK);
            assert_int_equal(mdl_run_step(run), MDL_OK);
            read_back(io.logits, got, LOGITS);
            assert_memory_equal(got, logits[step], sizeof(got));
            read_back(io.loss, &part, 1);
            sum += part;
            copy_tensor(io.next_y, io.carry_y);
            copy_tensor(io.next_z, io.carry_z);
        }
        assert_true(fabs(sum - loss) < 1e-12 * fabs(loss));
        mdl_weights_destroy(&weights);
    }
}

/* More steps at inference leave the first ones as they are; recalibration gives logits too. */
static void inference_steps(void **state)
{
    (void)state;
    mdl_model_config config = small(hybrid(MDL_TOKENS_POOLED, MDL_MIX_MLP));
    double two[LOGITS], three[LOGITS], q[BATCH], losses[BATCH];
    mdl_model_io io = build(&config, MDL_MODE_INFER, BATCH, 2, &graph);
    assert_int_equal(io.n_steps, 2);
    start(&io);
    assert_int_equal(mdl_run_step(run), MDL_OK);
    read_back(io.step_logits[1], two, LOGITS);
    read_back(io.losses, losses, BATCH);
    for (size_t n = 0; n < BATCH; n++) { /* -log softmax at the label */
        double sum = 0.0;
        for (size_t c = 0; c < CLASSES; c++)
            sum += exp(two[n * CLASSES + c]);
        assert_true(fabs(losses[n] - log(sum) + two[n * CLASSES + (size_t)labels[n]]) < 1e-12);
    }
    read_back(io.step_q[0], q, BATCH);
    assert_true(q[0] == -5.0); /* weight 0, bias -5 at first */
    io = build(&config, MDL_MODE_INFER, BATCH, 3, &graph);
    start(&io);
    assert_int_equal(mdl_run_step(run), MDL_OK);
    read_back(io.step_logits[1], three, LOGITS);
    assert_memory_equal(two, three, sizeof(two));
    assert_int_equal(io.loss, MDL_NONE);

    io = build(&config, MDL_MODE_RECALIBRATE, BATCH, 0, &graph);
    assert_int_equal(io.labels, MDL_NONE);
    assert_int_equal(io.losses, MDL_NONE);
    start(&io);
    assert_int_equal(mdl_run_step(run), MDL_OK);
    read_back(io.logits, two, LOGITS);
    const mdl_param *mean = find(graph, "bn1.running_mean");
    double value = 0.0;
    mdl_view view =
        mdl_buffer_view(weights.buffers, mean->offset * sizeof(double), MDL_F64, MDL_SHAPE1(1));
    assert_int_equal(mdl_view_download_f64(&view, &value, 1), MDL_OK);
    assert_true(value != 0.0);
}

/* ---- refused configurations ----------------------------------------------------------------- */

static void refused(void **state)
{
    (void)state;
    const mdl_model_config good = hybrid(MDL_TOKENS_GRID, MDL_MIX_ATTENTION);
    assert_int_equal(mdl_model_check(&good), MDL_OK);
    mdl_model_config bad;
#define REFUSED(field, value, text)                                                                \
    do {                                                                                           \
        bad = good;                                                                                \
        bad.field = (value);                                                                       \
        assert_int_equal(mdl_model_check(&bad), MDL_CONFIG);                                       \
        if (strstr(mdl_error_detail(), text) == NULL)                                              \
            fail_msg("%s: '%s'", text, mdl_error_detail());                                        \
    } while (0)
    REFUSED(kind, (mdl_model_kind)7, "model.kind");
    REFUSED(classes, 1, "model.classes: expected an integer from 2");
    REFUSED(classes, 0, "model.classes");
    REFUSED(height, 0, "image height");
    REFUSED(channels, 0, "image channels");
    REFUSED(stem_stride, 0, "model.stem_stride: expected an integer from 1 to 4, got 0");
    REFUSED(strides[2], 0, "model.strides, element 3 of 7: expected an integer from 1 to 4");
    REFUSED(strides[6], 5, "model.strides, element 7 of 7");
    REFUSED(width, 0.0, "model.width: expected a number above 0");
    REFUSED(width, (double)NAN, "model.width");
    REFUSED(depth, -1.0, "model.depth");
    REFUSED(depth, 1e9, "model.depth");
    REFUSED(drop_connect, 1.0, "model.drop_connect: expected a number from 0 and below 1");
    REFUSED(dropout, -0.1, "model.dropout");
    REFUSED(bn_eps, 0.0, "model.bn_eps");
    REFUSED(bn_momentum, 1.5, "model.bn_momentum: expected a number above 0 and up to 1");
    REFUSED(padding, (mdl_padding)9, "model.padding");
    REFUSED(trm.dim, 0, "trm.dim");
    REFUSED(trm.dim, 48, "trm.dim: with trm.mix attention expected a multiple of 32");
    REFUSED(trm.dim, 17, "trm.dim");
    REFUSED(trm.n, 0, "trm.n:");
    REFUSED(trm.t, 33, "trm.t:");
    REFUSED(trm.n_sup, 33, "trm.n_sup: expected an integer from 1 to 32, got 33");
    REFUSED(trm.halt_weight, (double)INFINITY, "trm.halt_weight");
    bad = good;
    bad.trm.dim = 16; /* one head */
    assert_int_equal(mdl_model_check(&bad), MDL_OK);
    bad.trm.dim = 17; /* nothing is mixed with one token */
    bad.trm.tokens = MDL_TOKENS_POOLED;
    assert_int_equal(mdl_model_check(&bad), MDL_OK);
    bad = good;
    bad.kind = MDL_MODEL_MLP;
    bad.width = -1.0; /* not looked at */
    assert_int_equal(mdl_model_check(&bad), MDL_OK);
    bad.hidden = 0;
    assert_int_equal(mdl_model_check(&bad), MDL_CONFIG);
    assert_non_null(strstr(mdl_error_detail(), "model.hidden"));
#undef REFUSED

    mdl_model_io io;
    assert_int_equal(mdl_graph_create(MDL_F32, &graph), MDL_OK);
    assert_int_equal(mdl_model_build(&good, MDL_MODE_TRAIN, 0, 0.0, 0, graph, &io), MDL_INVALID);
    assert_int_equal(mdl_model_build(&good, MDL_MODE_INFER, 1, 0.0, 33, graph, &io), MDL_INVALID);
    assert_int_equal(io.logits, MDL_NONE);
}

/* Whatever the image's size and the strides, the final map has a position. */
static void odd_sizes(void **state)
{
    (void)state;
    static const size_t sizes[][2] = {{1, 1}, {2, 7}, {31, 33}, {64, 1}};
    for (size_t i = 0; i < MDL_COUNT(sizes); i++) {
        for (int p = MDL_PADDING_SYMMETRIC; p <= MDL_PADDING_SAME; p++) {
            mdl_model_config config = hybrid(MDL_TOKENS_GRID, MDL_MIX_MLP);
            config.height = sizes[i][0];
            config.width_px = sizes[i][1];
            config.padding = (mdl_padding)p;
            build(&config, MDL_MODE_TRAIN, 2, 0, &graph);
        }
    }
}

/* Each row has what a row must have, and its own name; of what it declares, the graph agrees. */
static void rows_of_models(void **state)
{
    (void)state;
    for (size_t i = 0; i < MDL_MODEL_KINDS; i++) {
        const mdl_model_def *def = mdl_model_def_of((mdl_model_kind)i);
        assert_true(def->name[0] != '\0' && def->what[0] != '\0' && strlen(def->what) <= 58);
        assert_true(def->check != NULL && def->build != NULL);
        for (size_t other = 0; other < i; other++)
            assert_string_not_equal(def->name, mdl_model_def_of((mdl_model_kind)other)->name);
        mdl_model_config config = mdl_model_config_default();
        config.kind = (mdl_model_kind)i;
        assert_int_equal(mdl_model_check(&config), MDL_OK);
        mdl_model_io io = build(&config, MDL_MODE_TRAIN, 2, 0, &graph);
        assert_true(def->statistics == (mdl_graph_buffer_count(graph) > 0));
        assert_true(def->recursive == (io.step_q[0] != MDL_NONE));
        assert_true(io.logits != MDL_NONE && io.loss != MDL_NONE);
        char text[512] = "";
        size_t length = def->describe != NULL ? def->describe(&config, text, sizeof(text)) : 0;
        assert_int_equal(length, strlen(text));
        assert_true(text[0] == '\0' || text[strlen(text) - 1] == '\n');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(published_counts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(larger_lites, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_and_blocks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(same_tables_in_every_mode, set_up, tear_down),
        cmocka_unit_test_setup_teardown(drop_connect_and_dropout, set_up, tear_down),
        cmocka_unit_test_setup_teardown(padding, set_up, tear_down),
        cmocka_unit_test_setup_teardown(stepwise_equals_shared, set_up, tear_down),
        cmocka_unit_test_setup_teardown(inference_steps, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(odd_sizes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(rows_of_models, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
