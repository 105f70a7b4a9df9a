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
    memset(scores, 0, sizeof(scores));
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
    if (weights.params == NULL) {
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
        evaluate(0, &model, (mdl_evaluator_options){.split = MDL_SPLIT_VALIDATION});
        assert_int_equal(scores[0].count, data->count[MDL_SPLIT_VALIDATION]);
        assert_null(scores[0].logits);
        for (size_t w = 0; w < MDL_COUNT(ways); w++) {
            mdl_evaluator_options options = ways[w];
            options.split = MDL_SPLIT_VALIDATION;
            evaluate(1, &model, options);
            assert_true(scores[1].top1 == scores[0].top1);
            for (size_t i = 0; i < scores[0].count; i++) {
                assert_true(scores[1].correct[i] == scores[0].correct[i]);
                /* another block of a product may round otherwise */
                assert_true(fabs(scores[1].losses[i] - scores[0].losses[i]) < 1e-5);
            }
        }
        mdl_weights_destroy(&weights);
    }
}

static size_t seen[256];

static bool note(void *user, const mdl_scores *s, const uint32_t *images, size_t n)
{
    size_t *batches = user;
    (*batches)++;
    for (size_t i = 0; i < n; i++) {
        seen[images[i]]++;
        assert_true(s->losses[images[i]] == scores[0].losses[images[i]]);
    }
    return *batches < 4;
}

/* In another order each image has the scores that it had, to the last bit, with a twin too. */
static void same_in_order(const mdl_model_config *model, size_t batch)
{
    mdl_evaluator_options options = {
        .split = MDL_SPLIT_VALIDATION, .batch = batch, .keep_on_device = true, .reorders = true};
    uint32_t order[256];
    size_t count = data->count[MDL_SPLIT_VALIDATION], batches = 0;
    bool complete;
    assert_true(count <= MDL_COUNT(order) && count > 4 * batch);
    evaluate(0, model, options);
    mdl_scores_free(&scores[1]);
    mdl_rng rng = mdl_rng_init(8, batch);
    for (size_t round = 0; round < 2; round++) {
        for (size_t i = 0; i < count; i++)
            order[i] = (uint32_t)i;
        mdl_rng_shuffle(&rng, order, count);
        must(mdl_evaluator_order(evaluators[0], order));
        mdl_evaluator_destroy(evaluators[1]);
        must(mdl_evaluator_twin(evaluators[0], data, device, &evaluators[1]));
        for (size_t e = 0; e < 2; e++) {
            must(mdl_evaluator_run(evaluators[e], &weights, &scores[1]));
            for (size_t i = 0; i < count; i++) {
                assert_true(scores[1].correct[i] == scores[0].correct[i]);
                assert_true(scores[1].losses[i] == scores[0].losses[i]);
            }
            assert_true(scores[1].top1 == scores[0].top1 && scores[1].loss == scores[0].loss);
        }
    }
    memset(seen, 0, sizeof(seen));
    must(mdl_evaluator_run_while(evaluators[1], &weights, note, &batches, &scores[1], &complete));
    assert_false(complete);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(seen[order[i]], i < 4 * batch);
    mdl_evaluator_destroy(evaluators[1]); /* before the one that it borrows from */
    evaluators[1] = NULL;
}

static void order_changes_nothing(void **state)
{
    (void)state;
    static const char *const variants[] = {"cpu", "cpu:base", "cpu:avx2", "cpu:avx512"};
    for (size_t v = 0; v < MDL_COUNT(variants); v++) {
        mdl_evaluator_destroy(evaluators[0]);
        evaluators[0] = NULL;
        mdl_device_close(device);
        if (mdl_device_open(variants[v], 1, MDL_F32, &device) != MDL_OK)
            continue; /* not on this processor */
        for (int halt = 0; halt < 2; halt++) {
            mdl_model_config model = small_model(halt ? MDL_MODEL_HYBRID : MDL_MODEL_MLP, data);
            model.trm.halt = halt != 0;
            same_in_order(&model, 5);
            same_in_order(&model, 29);
            mdl_weights_destroy(&weights);
        }
    }
    mdl_evaluator_options options = {
        .split = MDL_SPLIT_VALIDATION, .keep_logits = true, .reorders = true};
    mdl_model_config model = small_model(MDL_MODEL_MLP, data);
    assert_int_equal(mdl_evaluator_create(&model, data, device, &options, &evaluators[1]),
                     MDL_INVALID);
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
        const double *logits = s->logits + i * s->classes;
        double sum = 0;
        size_t best = 0;
        for (size_t c = 0; c < s->classes; c++) {
            sum += exp(logits[c]);
            best = logits[c] > logits[best] ? c : best;
        }
        right += best == (size_t)labels[i];
        loss += log(sum) - logits[labels[i]];
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

/* Values of a parameter of the evaluator's network, on a device of double. */
static const double *values_of(const char *name)
{
    const mdl_graph *graph = mdl_evaluator_graph(evaluators[0]);
    for (size_t p = 0; p < mdl_graph_param_count(graph); p++)
        if (strcmp(mdl_graph_param_at(graph, p)->name, name) == 0)
            return (const double *)weights.params->host + mdl_graph_param_at(graph, p)->offset;
    fail_msg("there is no %s", name);
    return NULL;
}

static void layer_by_hand(const char *weight, const char *bias, const double *x, size_t in,
                          double *y, size_t out)
{
    const double *w = values_of(weight), *b = values_of(bias);
    for (size_t o = 0; o < out; o++) {
        y[o] = b[o];
        for (size_t i = 0; i < in; i++)
            y[o] += x[i] * w[i * out + o];
    }
}

static void open_double(void)
{
    mdl_data_config config = data->config;
    config.normalize = MDL_NORMALIZE_DATASET; /* sixteenths would be exact in float, too */
    config.crop_padding = 0;
    mdl_data_close(data);
    must(mdl_data_read(&config, &data));
    mdl_device_close(device);
    must(mdl_device_open("reference", 1, MDL_F64, &device));
}

/* With float64, from the bytes to logits and losses nothing is rounded to float. */
static void double_throughout(void **state)
{
    (void)state;
    enum { HIDDEN = 32, CLASSES = 10 };
    open_double();
    mdl_model_config model = small_model(MDL_MODEL_MLP, data);
    const mdl_loader_options wide = {.split = MDL_SPLIT_TEST, .wide = true};
    for (int on_device = 0; on_device < 2; on_device++) {
        evaluate(0, &model,
                 (mdl_evaluator_options){.split = MDL_SPLIT_TEST,
                                         .batch = 64,
                                         .keep_logits = true,
                                         .keep_on_device = on_device != 0});
        double loss = 0;
        for (uint32_t i = 0; i < scores[0].count; i++) {
            double image[64], hidden[HIDDEN], logits[CLASSES], sum = 0;
            int32_t label;
            assert_int_equal(mdl_prepare_image(data, &wide, 0, i, image, &label), MDL_OK);
            layer_by_hand("fc1.weight", "fc1.bias", image, 64, hidden, HIDDEN);
            for (size_t h = 0; h < HIDDEN; h++)
                hidden[h] = fmax(hidden[h], 0);
            layer_by_hand("fc2.weight", "fc2.bias", hidden, HIDDEN, logits, CLASSES);
            for (size_t c = 0; c < CLASSES; c++) {
                assert_true(fabs(logits[c] - scores[0].logits[i * CLASSES + c]) < 1e-13);
                sum += exp(logits[c]);
            }
            loss += log(sum) - logits[label];
        }
        assert_true(fabs(scores[0].loss - loss / (double)scores[0].count) < 1e-13);
    }
}

/* Loss of a training's first step on the whole split. */
static double first_loss(const mdl_model_config *model)
{
    mdl_train_config train = small_training();
    train.epochs = 1;
    train.batch = data->count[MDL_SPLIT_TRAIN];
    mdl_train_job job = {
        .model = model, .train = &train, .data = data, .device = device, .seed = 5, .out = ""};
    mdl_train_result result;
    must(mdl_train_run(&job, &result));
    return result.last.train_loss;
}

/* Training sees the images that evaluation sees, sample by sample (stepwise), too. */
static void trains_in_double(void **state)
{
    (void)state;
    open_double();
    mdl_model_config model = small_model(MDL_MODEL_MLP, data);
    evaluate(0, &model, (mdl_evaluator_options){.split = MDL_SPLIT_TRAIN});
    assert_true(fabs(first_loss(&model) - scores[0].loss) < 1e-13);
    model = small_model(MDL_MODEL_HYBRID, data);
    model.drop_connect = model.dropout = 0;
    model.trm.n_sup = 1;
    double shared = first_loss(&model);
    model.trm.supervision = MDL_SUPERVISION_STEPWISE;
    assert_true(fabs(first_loss(&model) - shared) < 1e-13);
}

static void halting(void **state)
{
    (void)state;
    mdl_model_config model = small_model(MDL_MODEL_HYBRID, data);
    model.trm.n_sup = 3;
    mdl_evaluator_options options = {.split = MDL_SPLIT_VALIDATION, .keep_logits = true};
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
            must(mdl_buffer_upload(weights.params, param->offset * sizeof(one), &one, sizeof(one)));
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
    mdl_evaluator_options options = {.split = MDL_SPLIT_VALIDATION};
    data->count[MDL_SPLIT_VALIDATION] = 0;
    assert_int_equal(mdl_evaluator_create(&model, data, device, &options, &evaluators[0]),
                     MDL_CONFIG);
    assert_null(evaluators[0]);
    assert_non_null(strstr(mdl_error_detail(), "data.validation_fraction"));
    model.classes = 9;
    assert_int_equal(mdl_evaluator_create(&model, data, device, &options, &evaluators[0]),
                     MDL_SHAPE);
    model.channels = 3;
    assert_int_equal(mdl_evaluator_create(&model, data, device, &options, &evaluators[0]),
                     MDL_SHAPE);
}

/* ---- statistics ----------------------------------------------------------------------------- */

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
    evaluate(0, &model, (mdl_evaluator_options){.split = MDL_SPLIT_VALIDATION});
    must(mdl_weights_create(mdl_evaluator_graph(evaluators[0]), device, &other));
    must(mdl_weights_copy(&other, &weights));
    float *values = weights.buffers->host;
    for (size_t i = 0; i < weights.buffers->bytes / sizeof(*values); i++)
        values[i] = 1e6F; /* what was there before does not matter */
    must(mdl_recalibrate_once(&model, data, device, 16, 0, &weights));
    must(mdl_recalibrate_once(&model, data, device, 16, 0, &other));
    assert_true(difference() == 0);
    must(mdl_evaluator_run(evaluators[0], &weights, &scores[0]));
    assert_true(isfinite(scores[0].loss) && scores[0].loss < 10);

    must(mdl_recalibrate_once(&model, data, device, 16, 16, &other)); /* one batch only */
    assert_true(difference() > 0);
    must(mdl_recalibrate_once(&model, data, device, 16, 1, &weights)); /* `limit` is rounded up */
    assert_true(difference() == 0);

    /* The stem sees the same images in one batch or in many, so its mean is the same. */
    const mdl_param *stem = mdl_graph_buffer_at(mdl_evaluator_graph(evaluators[0]), 0);
    size_t divisor = 2;
    while (count % divisor != 0)
        divisor++;
    must(mdl_recalibrate_once(&model, data, device, count, 0, &other));
    must(mdl_recalibrate_once(&model, data, device, divisor, 0, &weights));
    const float *one = other.buffers->host, *many = weights.buffers->host;
    assert_int_equal(stem->role, MDL_ROLE_MEAN);
    for (size_t i = stem->offset; i < stem->offset + stem->count; i++)
        assert_true(fabsf(one[i] - many[i]) < 1e-5F);
}

/* Statistics in double are those in float, but for rounding: values around 1, of 135 images. */
static void recalibrates_in_double(void **state)
{
    (void)state;
    float single[512];
    open_double();
    mdl_model_config model = small_model(MDL_MODEL_EFFICIENTNET_LITE0, data);
    for (int wide = 0; wide < 2; wide++) {
        mdl_evaluator_destroy(evaluators[0]);
        mdl_weights_destroy(&weights);
        mdl_device_close(device);
        evaluators[0] = NULL;
        must(mdl_device_open("reference", 1, wide != 0 ? MDL_F64 : MDL_F32, &device));
        evaluate(0, &model, (mdl_evaluator_options){.split = MDL_SPLIT_VALIDATION});
        must(mdl_recalibrate_once(&model, data, device, 45, 0, &weights));
        const mdl_param *stem = mdl_graph_buffer_at(mdl_evaluator_graph(evaluators[0]), 0);
        assert_in_range(stem->count, 1, MDL_COUNT(single));
        for (size_t i = 0; i < stem->count; i++) {
            size_t at = stem->offset + i;
            if (wide == 0)
                single[i] = ((const float *)weights.buffers->host)[at];
            else
                assert_true(fabs((double)single[i] - ((const double *)weights.buffers->host)[at]) <
                            1e-6);
        }
    }
}

static void nothing_to_recalibrate(void **state)
{
    (void)state;
    mdl_model_config model = small_model(MDL_MODEL_MLP, data);
    evaluate(0, &model, (mdl_evaluator_options){.split = MDL_SPLIT_VALIDATION});
    must(mdl_recalibrate_once(&model, data, device, 16, 0, &weights));
}

static void latency(void **state)
{
    (void)state;
    mdl_model_config model = small_model(MDL_MODEL_MLP, data);
    mdl_latency l;
    evaluate(0, &model, (mdl_evaluator_options){.split = MDL_SPLIT_VALIDATION});
    must(mdl_measure_latency(&model, &weights, device, 1, 20, &l));
    assert_true(l.runs >= 20);
    assert_true(isnan(l.median) ? isnan(l.p95) : l.median > 0 && l.p95 >= l.median);
    assert_int_equal(mdl_measure_latency(&model, &weights, device, 1, 0, &l), MDL_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(batches_do_not_matter, set_up, tear_down),
        cmocka_unit_test_setup_teardown(order_changes_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(scores_follow_from_logits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(double_throughout, set_up, tear_down),
        cmocka_unit_test_setup_teardown(trains_in_double, set_up, tear_down),
        cmocka_unit_test_setup_teardown(halting, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses, set_up, tear_down),
        cmocka_unit_test_setup_teardown(recalibrates, set_up, tear_down),
        cmocka_unit_test_setup_teardown(recalibrates_in_double, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_to_recalibrate, set_up, tear_down),
        cmocka_unit_test_setup_teardown(latency, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
