/* Evaluation, halting, re-estimated BatchNorm statistics, latency. */
#include <math.h>

#include "small_jobs.h"

static mdl_data *data;
static mdl_device *device;
static mdl_evaluator *evaluators[2];
static mdl_scores scores[2];
static mdl_weights weights, other;

static int set_up(void **state)
{
    (void)state;
    evaluators[0] = evaluators[1] = NULL;
    memset(scores, 0, sizeof scores);
    weights = other = (mdl_weights){.params = NULL};
    data = NULL;
    device = NULL;
    return small_data(150, &data) == MDL_OK && mdl_device_open("cpu", 1, MDL_F32, &device) == MDL_OK
               ? 0
               : -1;
}

static int tear_down(void **state)
{
    (void)state;
    mdl_alloc_fail_at(0);
    for (size_t i = 0; i < 2; i++) {
        mdl_evaluator_destroy(evaluators[i]);
        mdl_scores_free(&scores[i]);
    }
    mdl_weights_destroy(&weights);
    mdl_weights_destroy(&other);
    mdl_data_close(data);
    mdl_device_close(device);
    return 0;
}

static void evaluate(size_t i, const mdl_model_config *model, mdl_evaluator_options options)
{
    mdl_evaluator_destroy(evaluators[i]);
    evaluators[i] = NULL;
    mdl_scores_free(&scores[i]);
    must(mdl_evaluator_create(model, data, device, &options, &evaluators[i]));
    if (!weights.params) {
        must(mdl_weights_create(mdl_evaluator_graph(evaluators[i]), device, &weights));
        must(mdl_weights_init(mdl_evaluator_graph(evaluators[i]), 5, &weights));
    }
    must(mdl_evaluator_run(evaluators[i], &weights, &scores[i]));
}

/* The same images in other batches, padded or not, from the device or the host. */
static void batches_do_not_matter(void **state)
{
    (void)state;
    static const mdl_evaluator_options ways[] = {{.batch = 7},
                                                 {.batch = 64},
                                                 {.batch = 143},
                                                 {.batch = 200},
                                                 {.batch = 7, .keep_on_device = true},
                                                 {.keep_on_device = true}};
    static const mdl_model_kind kinds[] = {MDL_MODEL_MLP, MDL_MODEL_HYBRID};
    for (size_t k = 0; k < MDL_COUNT(kinds); k++) {
        mdl_model_config model = small_model(kinds[k], data);
        evaluate(0, &model, (mdl_evaluator_options){.split = MDL_SPLIT_FITNESS});
        assert_int_equal(scores[0].count, data->count[MDL_SPLIT_FITNESS]);
        assert_null(scores[0].logits);
        for (size_t w = 0; w < MDL_COUNT(ways); w++) {
            mdl_evaluator_options options = ways[w];
            options.split = MDL_SPLIT_FITNESS;
            evaluate(1, &model, options);
            assert_true(scores[1].top1 == scores[0].top1);
            for (size_t i = 0; i < scores[0].count; i++) {
                assert_true(scores[1].correct[i] == scores[0].correct[i]);
                /* another block of a product may round otherwise */
                assert_true(fabsf(scores[1].losses[i] - scores[0].losses[i]) < 1e-5F);
            }
        }
        mdl_weights_destroy(&weights);
    }
}

/* Scores agree with the logits; a second run allocates nothing and gives the same bytes. */
static void scores_follow_from_logits(void **state)
{
    (void)state;
    mdl_model_config model = small_model(MDL_MODEL_MLP, data);
    evaluate(0, &model, (mdl_evaluator_options){.split = MDL_SPLIT_TEST, .keep_logits = true});
    mdl_scores *s = &scores[0];
    int32_t labels[150];
    double right = 0, loss = 0;
    mdl_data_labels(data, MDL_SPLIT_TEST, labels);
    for (size_t i = 0; i < s->count; i++) {
        const float *logits = s->logits + i * s->classes;
        double sum = 0;
        size_t best = 0;
        for (size_t c = 0; c < s->classes; c++) {
            sum += exp((double)logits[c]);
            best = logits[c] > logits[best] ? c : best;
        }
        right += best == (size_t)labels[i];
        loss += log(sum) - (double)logits[labels[i]];
    }
    assert_true(fabs(s->top1 - right / (double)s->count) < 1e-12);
    assert_true(fabs(s->loss - loss / (double)s->count) < 1e-6);
    assert_true(s->n_steps == 1 && s->mean_steps == 1 && s->step_top1[0] == s->top1);

    double before = s->loss;
    evaluate(1, &model, (mdl_evaluator_options){.split = MDL_SPLIT_TEST, .keep_on_device = true});
    mdl_alloc_fail_at(1);
    must(mdl_evaluator_run(evaluators[0], &weights, s));
    must(mdl_evaluator_run(evaluators[1], &weights, &scores[1]));
    mdl_alloc_fail_at(0);
    assert_true(s->loss == before);
}

static void halting(void **state)
{
    (void)state;
    mdl_model_config model = small_model(MDL_MODEL_HYBRID, data);
    model.trm.n_sup = 3;
    mdl_evaluator_options options = {.split = MDL_SPLIT_FITNESS, .keep_logits = true};
    evaluate(0, &model, options); /* all three steps */
    assert_int_equal(scores[0].n_steps, 3);
    assert_true(scores[0].mean_steps == 3 && scores[0].step_top1[2] == scores[0].top1);
    for (size_t i = 0; i < scores[0].count * 3; i++)
        assert_true(scores[0].q[i] == -5.0F); /* as initialised: weight 0, bias -5 */
    model.trm.halt = true;
    evaluate(1, &model, options); /* q < 0: nobody halts early */
    assert_true(scores[1].mean_steps == 3 && scores[1].top1 == scores[0].top1);
    assert_true(fabs(scores[1].loss - scores[0].loss) < 1e-6);

    /* q = +1 everywhere: all stop after the first step. */
    const mdl_graph *graph = mdl_evaluator_graph(evaluators[1]);
    for (size_t p = 0; p < mdl_graph_param_count(graph); p++) {
        const mdl_param *param = mdl_graph_param_at(graph, p);
        float one = 1;
        if (strcmp(param->name, "trm.q_head.bias") == 0)
            must(mdl_buffer_upload(weights.params, param->offset * sizeof one, &one, sizeof one));
    }
    must(mdl_evaluator_run(evaluators[1], &weights, &scores[1]));
    assert_true(scores[1].mean_steps == 1 && scores[1].top1 == scores[0].step_top1[0]);
    options.steps = 1; /* the same answers as one step alone */
    evaluate(0, &model, options);
    assert_true(fabs(scores[1].loss - scores[0].loss) < 1e-6);
    for (size_t i = 0; i < scores[0].count * scores[0].classes; i++)
        assert_true(scores[0].logits[i] == scores[1].logits[i]);
}

static void refuses(void **state)
{
    (void)state;
    mdl_model_config model = small_model(MDL_MODEL_MLP, data);
    mdl_evaluator_options options = {.split = MDL_SPLIT_FITNESS};
    data->count[MDL_SPLIT_FITNESS] = 0;
    assert_int_equal(mdl_evaluator_create(&model, data, device, &options, &evaluators[0]),
                     MDL_CONFIG);
    assert_null(evaluators[0]);
    assert_non_null(strstr(mdl_error_detail(), "data.fitness_fraction"));
    model.classes = 9;
    assert_int_equal(mdl_evaluator_create(&model, data, device, &options, &evaluators[0]),
                     MDL_SHAPE);
    model.channels = 3;
    assert_int_equal(mdl_evaluator_create(&model, data, device, &options, &evaluators[0]),
                     MDL_SHAPE);
}

/* ---- statistics --------------------------------------------------------------------------------
 */

/* Largest difference of the two sets of running statistics; padding is nobody's. */
static double difference(void)
{
    const mdl_graph *graph = mdl_evaluator_graph(evaluators[0]);
    const float *x = weights.buffers->host, *y = other.buffers->host;
    double most = 0;
    for (size_t p = 0; p < mdl_graph_buffer_count(graph); p++) {
        const mdl_param *param = mdl_graph_buffer_at(graph, p);
        for (size_t i = param->offset; i < param->offset + param->count; i++)
            most = fmax(most, fabs((double)x[i] - (double)y[i]));
    }
    return most;
}

static void recalibrates(void **state)
{
    (void)state;
    mdl_model_config model = small_model(MDL_MODEL_EFFICIENTNET_LITE0, data);
    size_t count = data->count[MDL_SPLIT_TRAIN];
    evaluate(0, &model, (mdl_evaluator_options){.split = MDL_SPLIT_FITNESS});
    must(mdl_weights_create(mdl_evaluator_graph(evaluators[0]), device, &other));
    must(mdl_weights_copy(&other, &weights));
    float *values = weights.buffers->host;
    for (size_t i = 0; i < weights.buffers->bytes / sizeof *values; i++)
        values[i] = 1e6F; /* what was there before does not matter */
    must(mdl_recalibrate(&model, data, device, 16, 0, &weights));
    must(mdl_recalibrate(&model, data, device, 16, 0, &other));
    assert_true(difference() == 0);
    must(mdl_evaluator_run(evaluators[0], &weights, &scores[0]));
    assert_true(isfinite(scores[0].loss) && scores[0].loss < 10);

    must(mdl_recalibrate(&model, data, device, 16, 16, &other)); /* one batch only */
    assert_true(difference() > 0);
    must(mdl_recalibrate(&model, data, device, 16, 1, &weights)); /* `limit` is rounded up */
    assert_true(difference() == 0);

    /* The stem sees the same images in one batch or in many, so its mean is the same. */
    const mdl_param *stem = mdl_graph_buffer_at(mdl_evaluator_graph(evaluators[0]), 0);
    size_t divisor = 2;
    while (count % divisor != 0)
        divisor++;
    must(mdl_recalibrate(&model, data, device, count, 0, &other));
    must(mdl_recalibrate(&model, data, device, divisor, 0, &weights));
    const float *one = other.buffers->host, *many = weights.buffers->host;
    assert_int_equal(stem->role, MDL_ROLE_MEAN);
    for (size_t i = stem->offset; i < stem->offset + stem->count; i++)
        assert_true(fabsf(one[i] - many[i]) < 1e-5F);
}

static void nothing_to_recalibrate(void **state)
{
    (void)state;
    mdl_model_config model = small_model(MDL_MODEL_MLP, data);
    evaluate(0, &model, (mdl_evaluator_options){.split = MDL_SPLIT_FITNESS});
    must(mdl_recalibrate(&model, data, device, 16, 0, &weights));
}

static void latency(void **state)
{
    (void)state;
    mdl_model_config model = small_model(MDL_MODEL_MLP, data);
    mdl_latency l;
    evaluate(0, &model, (mdl_evaluator_options){.split = MDL_SPLIT_FITNESS});
    must(mdl_measure_latency(&model, &weights, device, 1, 20, &l));
    assert_true(l.runs == 20 && l.median > 0 && l.p95 >= l.median);
    assert_int_equal(mdl_measure_latency(&model, &weights, device, 1, 0, &l), MDL_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(batches_do_not_matter, set_up, tear_down),
        cmocka_unit_test_setup_teardown(scores_follow_from_logits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(halting, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses, set_up, tear_down),
        cmocka_unit_test_setup_teardown(recalibrates, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_to_recalibrate, set_up, tear_down),
        cmocka_unit_test_setup_teardown(latency, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
