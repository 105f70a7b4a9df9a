/* The baselines, the formulas on checkpoints, and the final choice. */
#include "merging.h"

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
    must(mdl_recalibrate_once(&model, data, device, 0, 0, &child));
    load(path, &a);
    assert_memory_equal(a.buffers->host, child.buffers->host, a.buffers->bytes);

    job.data = NULL; /* interpolated only; how images are prepared comes from the first parent */
    must(mdl_merge_average(&job, path));
    mdl_tensors *file = NULL;
    must(mdl_tensors_load(path, &file));
    const char *input = mdl_tensors_metadata(file, "mendel.input");
    bool same = input != NULL && strcmp(input, "8 8 1") == 0;
    mdl_tensors_close(file);
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
        cmocka_unit_test(one_standard_error),
        cmocka_unit_test_setup_teardown(baselines, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
