/* The search: reproducible, resumed exactly, the same with any number of workers. */
#include "merging.h"

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
    must(mdl_search_run(&job, &result));
    assert_int_equal(result.evaluations, merge->evaluations);
    job.out = parts;
    job.resume = true;
    for (size_t part = 0; part < 2; part++) {
        calls = 0;
        stop_at = 2;
        assert_int_equal(mdl_search_run(&job, &resumed), MDL_CANCELLED);
        mdl_context_reset(mdl_context_current());
        make_path(path, parts, "lineage.jsonl");
        FILE *lineage = fopen(path, "ab");
        assert_non_null(lineage);
        fputs("{\"id\": 99, \"torn", lineage);
        fclose(lineage);
    }
    stop_at = 0;
    must(mdl_search_run(&job, &resumed));
    same_search();
    must(mdl_search_run(&job, &resumed)); /* finished: the same end again */
    same_search();
    assert_true(resumed.fitness_top1 == result.fitness_top1);
    assert_true(resumed.is_average == result.is_average);
}

/* The end of a search, with each of its allocations failing: no other model wins for that. */
static void lack_of_memory_decides_nothing(void **state)
{
    (void)state;
    mdl_model_config model = small_model(MDL_MODEL_MLP, data);
    mdl_merge_config merge = mdl_merge_config_default(); /* where the average may stay */
    train_parents(&model);
    merge.archive = 3;
    merge.evaluations = 2;
    mdl_merge_result result, again;
    mdl_merge_job job = job_of(&model, &merge, whole);
    scratch_remove(whole);
    must(mdl_search_run(&job, &result));
    job.resume = true;
    unsigned long before = 0;
    for (unsigned long nth = 1; nth == 1 || mdl_alloc_failures() > before; nth++) {
        before = mdl_alloc_failures();
        mdl_alloc_fail_at(nth);
        mdl_status status = mdl_search_run(&job, &again);
        mdl_alloc_fail_at(0);
        if (status != MDL_OK)
            assert_int_equal(status, MDL_NO_MEMORY);
        else
            assert_true(again.is_average == result.is_average);
    }
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
    for (size_t kind = 0; kind < MDL_SEARCH_KINDS; kind++) {
        mdl_merge_config merge = digits_merge();
        merge.search = (mdl_search_kind)kind;
        merge.batch = kind % 2 == 0 ? 5 : 1;
        merge.cells = 4;
        merge.from_scratch = kind == MDL_SEARCH_CMA_ES ? 1 : 2;
        search_resumes(&model, &merge);
    }
}

/* Neither the number of workers nor early abandoning changes a byte. */
static void workers_change_nothing(void **state)
{
    (void)state;
    mdl_model_config model = small_model(MDL_MODEL_MLP, data);
    model.mlp_init = MDL_INIT_NORMAL;
    model.mlp_init_scale = 0.1;
    mdl_merge_config merge = digits_merge();
    mdl_merge_result result;
    mdl_merge_job job = job_of(&model, &merge, whole);
    merge.evaluations = 150;
    merge.mutation = 0.3; /* many children are bad */
    job.eval_batch = 16;  /* many places to stop at */
    for (size_t i = 0; i < 2 * (size_t)MDL_SEARCH_KINDS; i++) {
        merge.search = (mdl_search_kind)(i / 2);
        merge.score = i % 2 == 0 ? MDL_SCORE_CORRECT : MDL_SCORE_PROBABILITY;
        merge.capacity = i % 2 == 0 ? MDL_CAPACITY_ONE : MDL_CAPACITY_BEST;
        merge.from_scratch = merge.search == MDL_SEARCH_CMA_ES ? 1 : 2;
        merge.batch = 1 + 3 * (i % 2);
        merge.workers = 1;
        merge.abandon = false;
        job.out = whole;
        must(mdl_search_run(&job, &result));
        assert_int_equal(result.workers, 1);
        assert_int_equal(last_abandoned, 0);
        job.out = parts;
        for (merge.workers = 1; merge.workers <= 3; merge.workers++) {
            merge.abandon = true;
            must(mdl_search_run(&job, &result));
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
    mdl__workers workers;
    merge.from_scratch = 2;
    merge.workers = 3;
    must(mdl__workers_create(&job, 3, &workers));
    assert_int_equal(workers.count, 3);
    size_t one = mdl_evaluator_bytes(workers.contexts[0].evaluator);
    mdl__workers_destroy(&workers);
    for (size_t fits = 1; fits <= 3; fits++) {
        job.memory_limit = (fits + 1) * one - 1;
        must(mdl__workers_create(&job, 3, &workers));
        assert_int_equal(workers.count, fits);
        mdl__workers_destroy(&workers);
    }
    job.memory_limit = one - 1;
    assert_int_equal(mdl__workers_create(&job, 3, &workers), MDL_MEMORY_LIMIT);
    assert_non_null(strstr(mdl_error_detail(), "the limit is"));
    mdl__workers_destroy(&workers);
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
    must(mdl_search_run(&job, &result));
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
    must(mdl_search_run(&job, &result)); /* without `out` nothing is written */
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
    assert_int_equal(mdl_search_run(&job, &result), MDL_CONFIG);
    merge.archive = 6;
    merge.from_scratch = 0;
    job.n_parents = 0;
    assert_int_equal(mdl_search_run(&job, &result), MDL_INVALID);
    job.n_parents = 1;
    snprintf(parents[0], sizeof(parents[0]), "%s/none.safetensors", folder);
    assert_int_equal(mdl_search_run(&job, &result), MDL_NOT_FOUND);
    merge.from_scratch = 2;
    merge.evaluations = 4;
    must(mdl_search_run(&job, &result));
    merge.alpha = 0.5;
    job.resume = true;
    assert_int_equal(mdl_search_run(&job, &result), MDL_CONFIG);
    assert_non_null(strstr(mdl_error_detail(), "merge.alpha 1"));
    merge.alpha = 1;
    merge.evaluations = 9; /* more of the same is no other search */
    must(mdl_search_run(&job, &result));
    assert_int_equal(result.evaluations, 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lack_of_memory_decides_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(search_is_reproducible, set_up, tear_down),
        cmocka_unit_test_setup_teardown(search_from_checkpoints, set_up, tear_down),
        cmocka_unit_test_setup_teardown(strategies_resume, set_up, tear_down),
        cmocka_unit_test_setup_teardown(workers_change_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(workers_keep_the_limit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(search_improves, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_allocation_for_a_child, set_up, tear_down),
        cmocka_unit_test_setup_teardown(search_refuses, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
