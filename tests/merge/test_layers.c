/* Searching over weights by group of layers: what a genome stands for, to the last bit what a merge
 * by the same numbers writes; searches are reproducible, resumed exactly, the same with any number
 * of workers. */
#include "merging.h"

#include "merge/layers_internal.h"

static mdl_model_config model;
static mdl_merge_config merge;
static mdl__merge_context context;

static void begin(mdl_model_kind kind, const char *method)
{
    model = small_model(kind, data);
    train_parents(&model);
    merge = mdl_merge_config_default();
    merge.space = MDL_SPACE_LAYERS;
    merge.archive = 6;
    merge.batch = 4;
    merge.evaluations = 14;
    merge.layer_granularity = 1;
    snprintf(merge.layer_method, sizeof(merge.layer_method), "%s", method);
}

/* The tools for genomes of these parents. */
static void open_context(const mdl_merge_job *job)
{
    must(mdl__merge_context_create(job, job->device, true, &context));
    must(mdl__merge_context_by_layers(&context));
}

static void set_genome(const double *values, size_t groups, size_t each, mdl_weights *out)
{
    const mdl_graph *of = mdl__layers_graph(context.layers);
    double arena[1024] = {0};
    assert_int_equal(mdl_graph_param_count(of), groups);
    for (size_t g = 0; g < groups; g++)
        memcpy(arena + mdl_graph_param_at(of, g)->offset, values + g * each, each * sizeof(double));
    must(mdl_weights_create(of, device, out));
    mdl_view view =
        mdl_buffer_view(out->params, 0, mdl_graph_real(of), MDL_SHAPE1(mdl_graph_params_size(of)));
    must(mdl_view_upload_f64(&view, arena, mdl_graph_params_size(of)));
}

static const float *values_of(const mdl_weights *w, const char *name, size_t *count)
{
    for (size_t p = 0; p < mdl_graph_param_count(context.graph); p++) {
        const mdl_param *param = mdl_graph_param_at(context.graph, p);
        if (strcmp(param->name, name) != 0)
            continue;
        *count = param->count;
        return (const float *)w->params->host + param->offset;
    }
    fail_msg("there is no %s", name);
    return NULL;
}

/* The first layer is 0.1 A + 0.3 B + 0.1 C divided by 0.5, the second C alone: a weight counts
 * without its sign, and weights that are all 0 are alike. */
static void linear_by_hand(void **state)
{
    (void)state;
    static const double genomes[2][6] = {{0.1, -0.3, 0.1, 0, 0, 0.7}, {0, 0, 0, 1, 0, 0}};
    static const double weights[2][6] = {{0.2, 0.6, 0.2, 0, 0, 1},
                                         {1. / 3, 1. / 3, 1. / 3, 1, 0, 0}};
    static const char *const names[] = {"fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"};
    begin(MDL_MODEL_MLP, "linear");
    mdl_merge_job job = job_of(&model, &merge, "");
    open_context(&job);
    graph = context.graph;
    mdl_weights parent[3];
    for (size_t v = 0; v < 3; v++) {
        must(mdl_weights_create(graph, device, &parent[v]));
        load(parents[v], &parent[v]);
    }
    for (size_t k = 0; k < 2; k++) {
        mdl_weights one = {0}, *made;
        set_genome(genomes[k], 2, 3, &one);
        must(mdl__merge_context_express(&context, &one, &made));
        for (size_t i = 0; i < MDL_COUNT(names); i++) {
            size_t count = 0;
            const float *got = values_of(made, names[i], &count);
            const double *w = weights[k] + 3 * (i / 2);
            for (size_t e = 0; e < count; e++) {
                double want = 0;
                for (size_t v = 0; v < 3; v++)
                    want += w[v] * (double)values_of(&parent[v], names[i], &count)[e];
                if (fabs((double)got[e] - want) > 1e-7)
                    fail_msg("%s[%zu] is %.9g, expected %.9g", names[i], e, (double)got[e], want);
            }
        }
        mdl_weights_destroy(&one);
    }
    for (size_t v = 0; v < 3; v++)
        mdl_weights_destroy(&parent[v]);
    graph = NULL;
    mdl__merge_context_destroy(&context);
}

typedef void (*write_text)(const mdl__layers *, const mdl_weights *, mdl_string *);

static bool text_is(write_text write, const mdl_weights *one, const char *expected)
{
    mdl_string text = {0};
    char *got;
    write(context.layers, one, &text);
    must(mdl_string_take(&text, &got));
    bool is = strcmp(got, expected) == 0;
    if (!is)
        print_error("\"%s\", expected \"%s\"\n", got, expected);
    mdl_free(got);
    return is;
}

static void expect_text(write_text write, const mdl_weights *one, const char *expected)
{
    assert_true(text_is(write, one, expected));
}

typedef struct told { /* a genome, and its numbers */
    const mdl_weights *genome;
    const char *numbers;
} told;

static mdl_status tell_often(void *user, size_t worker, size_t index)
{
    const told *t = (const told *)user + index;
    (void)worker;
    for (size_t i = 0; i < 20000; i++)
        if (!text_is(mdl__layers_numbers, t->genome, t->numbers))
            return MDL_INVALID;
    return MDL_OK;
}

/* A lineage tells of one child by the layers with which another thread makes the next. */
static void texts_by_two_threads(void **state)
{
    (void)state;
    static const double ones[] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    static const double halves[] = {.5, .5, .5, .5, .5, .5, .5, .5, .5, .5, .5, .5};
    begin(MDL_MODEL_MLP, "ties");
    snprintf(merge.base, sizeof(merge.base), "%s", parents[3]);
    mdl_merge_job job = job_of(&model, &merge, "");
    mdl_weights one = {0}, other = {0};
    mdl_pool *pool;
    open_context(&job);
    set_genome(ones, 2, 6, &one);
    set_genome(halves, 2, 6, &other);
    told both[] = {{&one, "[[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1]]"},
                   {&other, "[[0.5, 0.5, 0.5, 0.5, 0.5, 0.5], [0.5, 0.5, 0.5, 0.5, 0.5, 0.5]]"}};
    must(mdl_pool_create(2, &pool));
    must(mdl_pool_run(pool, 2, tell_often, both));
    mdl_pool_destroy(pool);
    mdl_weights_destroy(&one);
    mdl_weights_destroy(&other);
    mdl__merge_context_destroy(&context);
}

static void genomes_as_texts(void **state)
{
    (void)state;
    static const double values[] = {0.25, 0.75, 0, 0.5, 1.5, -0.004, 1, 2, 3, 1, 1, 1};
    begin(MDL_MODEL_MLP, "ties");
    snprintf(merge.base, sizeof(merge.base), "%s", parents[3]);
    mdl_merge_job job = job_of(&model, &merge, "");
    mdl_weights one = {0};
    open_context(&job);
    set_genome(values, 2, 6, &one);
    expect_text(mdl__layers_rules, &one,
                "fc1 weights=0.25,0.75,0 density=0.5,1,0.01; fc2 weights=1,2,3 density=1,1,1");
    expect_text(mdl__layers_numbers, &one, "[[0.25, 0.75, 0, 0.5, 1, 0.01], [1, 2, 3, 1, 1, 1]]");
    must(mdl__layers_parent(context.layers, 1, &one));
    expect_text(mdl__layers_numbers, &one, "[[0, 1, 0, 1, 1, 1], [0, 1, 0, 1, 1, 1]]");
    must(mdl__layers_alike(context.layers, &one));
    expect_text(mdl__layers_rules, &one,
                "fc1 weights=0.333333343,0.333333343,0.333333343 density=1,1,1; "
                "fc2 weights=0.333333343,0.333333343,0.333333343 density=1,1,1");
    mdl_weights_destroy(&one);
    mdl__merge_context_destroy(&context);
}

static void expect_groups(const char *const *names, size_t n)
{
    mdl__groups groups;
    must(mdl__groups_find(&merge, graph, &groups));
    assert_int_equal(groups.n, n);
    for (size_t g = 0; g < n; g++) {
        mdl_string text = {0};
        mdl__groups_name(&groups, g, &text);
        assert_string_equal(text.data, names[g]);
        mdl_free(text.data);
    }
    mdl__groups_free(&groups);
}

/* EfficientNet-Lite0: stem, 16 blocks, head and classifier. */
static void groups_of_layers(void **state)
{
    (void)state;
    static const char *const fours[] = {"conv_stem, bn1, blocks.0, blocks.1",
                                        "blocks.2, blocks.3.0, blocks.3.1", "blocks.3.2, blocks.4",
                                        "blocks.5", "blocks.6, conv_head, bn2, classifier"};
    static const char *const all[] = {"all"};
    static const char *const named[] = {"all", "conv_stem, bn1, blocks.0", "*.bn2.*"};
    mdl_model_io io;
    model = mdl_model_config_default();
    model.height = model.width_px = 32;
    model.channels = 3;
    model.classes = 10;
    merge = mdl_merge_config_default();
    must(mdl_graph_create(MDL_F32, &graph));
    must(mdl_model_build(&model, MDL_MODE_INFER, 1, 0, 0, graph, &io));
    merge.layer_granularity = 5;
    mdl__groups groups;
    must(mdl__groups_find(&merge, graph, &groups));
    assert_int_equal(groups.n, 4); /* of 19 blocks */
    mdl__groups_free(&groups);
    merge.layer_granularity = 4;
    expect_groups(fours, MDL_COUNT(fours));
    merge.layer_granularity = 0;
    expect_groups(all, 1);
    snprintf(merge.layer_groups, sizeof(merge.layer_groups), " conv_stem bn1,blocks.0; ;*.bn2.* ");
    expect_groups(named, MDL_COUNT(named));
    snprintf(merge.layer_groups, sizeof(merge.layer_groups), "all");
    expect_groups(all, 1);
    snprintf(merge.layer_groups, sizeof(merge.layer_groups), "blocks.0; clasifier");
    assert_int_equal(mdl__groups_find(&merge, graph, &groups), MDL_CONFIG);
    assert_non_null(strstr(mdl_error_detail(), "clasifier is the name of no tensor"));
}

/* The values of all tensors that a network has. */
static void same_tensors(const char *got_path, const char *expected_path)
{
    mdl_tensors *got, *expected;
    must(mdl_tensors_load(got_path, &got));
    must(mdl_tensors_load(expected_path, &expected));
    assert_int_equal(got->n_tensors, expected->n_tensors);
    for (size_t i = 0; i < got->n_tensors; i++) {
        const mdl_file_tensor *x = &got->tensors[i], *y = mdl_tensors_find(expected, x->name);
        assert_non_null(y);
        assert_int_equal(x->bytes, y->bytes);
        if (x->type != MDL_FILE_I64 && memcmp(x->data, y->data, x->bytes) != 0)
            fail_msg("%s differs", x->name);
    }
    mdl_tensors_close(got);
    mdl_tensors_close(expected);
}

/* What the search writes is what merging by the rules of its winner writes, with statistics from
 * the training images at its end. */
static void winner_is_a_merge(void **state)
{
    (void)state;
    static const char *const methods[] = {"linear", "slerp",     "multislerp", "task-arithmetic",
                                          "ties",   "dare-ties", "breadcrumbs"};
    char path[MDL_PATH_MAX], other[MDL_PATH_MAX];
    begin(MDL_MODEL_EFFICIENTNET_LITE0, "linear");
    snprintf(merge.base, sizeof(merge.base), "%s", parents[3]);
    merge.keep_average = merge.start_averages = false;
    for (size_t k = 0; k < MDL_COUNT(methods); k++) {
        mdl_merge_result result;
        mdl_merge_job job = job_of(&model, &merge, whole);
        const mdl_method *method = mdl_method_find(methods[k]);
        mdl_method_options options = mdl_method_defaults(method);
        char *text, *rules, *end;
        size_t size;
        job.n_parents = strcmp(methods[k], "slerp") == 0 ? 2 : 3;
        snprintf(merge.layer_method, sizeof(merge.layer_method), "%s", methods[k]);
        must(mdl_search_run(&job, &result));
        make_path(path, whole, "recipe.yaml");
        must(mdl_file_read(path, 0, &text, &size));
        rules = strstr(text, "parameters: \"");
        assert_non_null(rules);
        rules += strlen("parameters: \"");
        end = strchr(rules, '"');
        assert_non_null(end);
        *end = '\0';
        mdl_merge_config by_rules = mdl_merge_config_default();
        snprintf(by_rules.formula.parameters, sizeof(by_rules.formula.parameters), "%s", rules);
        mdl_free(text);
        mdl_merge_job again = job;
        again.merge = &by_rules;
        mdl_method plain = *method; /* tensor by tensor, as mendel merge with merge.parameters */
        plain.merge = NULL;
        options.trunk = method->formula->base != MDL__BASE_NONE ? parents[3] : NULL;
        make_path(other, folder, "merged.safetensors");
        must(mdl_method_merge(&again, &plain, &options, other));
        make_path(path, whole, "merged.safetensors");
        same_tensors(path, other);
    }
}

static void same_search(void)
{
    assert_same_file(whole, parts, "merged.safetensors");
    assert_same_file(whole, parts, "lineage.jsonl");
    assert_same_file(whole, parts, "winner.json");
    assert_same_file(whole, parts, "recipe.yaml");
    assert_int_equal(scratch_count(parts), 5);
}

/* Whole with one worker, and with others interrupted twice. */
static void searches_are_reproducible(void **state)
{
    (void)state;
    mdl_merge_result result;
    begin(MDL_MODEL_EFFICIENTNET_LITE0, "ties");
    snprintf(merge.base, sizeof(merge.base), "%s", parents[3]);
    for (size_t kind = 0; kind < MDL_SEARCH_KINDS; kind++) {
        mdl_merge_job job = job_of(&model, &merge, whole);
        job.n_parents = kind == MDL_SEARCH_LINE ? 2 : 3;
        merge.search = (mdl_search_kind)kind;
        merge.batch_norm =
            kind == MDL_SEARCH_CMA_ES ? MDL_MERGE_BN_RECALIBRATE : MDL_MERGE_BN_INTERPOLATE;
        merge.workers = 1;
        merge.abandon = false;
        scratch_remove(whole);
        scratch_remove(parts);
        must(mdl_search_run(&job, &result));
        job.out = parts;
        job.resume = true;
        merge.workers = 3;
        merge.abandon = true;
        for (size_t part = 0; part < 2; part++) {
            calls = 0;
            stop_at = 1;
            assert_int_equal(mdl_search_run(&job, &result), MDL_CANCELLED);
            mdl_context_reset(mdl_context_current());
        }
        stop_at = 0;
        must(mdl_search_run(&job, &result));
        same_search();
    }
}

/* The best of the search is at least as good as each parent, which it begins with. */
static void search_improves(void **state)
{
    (void)state;
    double best = 0;
    mdl_merge_result result;
    begin(MDL_MODEL_MLP, "linear");
    merge.final = MDL_FINAL_ACCURACY;
    merge.keep_average = false;
    merge.evaluations = 60;
    mdl_merge_job job = job_of(&model, &merge, whole);
    for (size_t kind = 0; kind < 2; kind++) {
        merge.search = kind == 0 ? MDL_SEARCH_NICHES : MDL_SEARCH_CMA_ES;
        must(mdl_search_run(&job, &result));
        for (size_t v = 0; v < 3; v++) {
            const char *one[] = {parents[v]};
            mdl_merge_job alone = job;
            mdl_merge_ensemble_result e;
            alone.parents = one;
            alone.n_parents = 1;
            must(mdl_merge_ensemble(&alone, MDL_SPLIT_VALIDATION, &e));
            best = fmax(best, e.top1);
        }
        print_message("best parent %.3f, found %.3f\n", best, result.fitness_top1);
        assert_true(result.fitness_top1 >= best);
    }
}

static void expect_refusal(const char *detail)
{
    mdl_merge_result result;
    mdl_merge_job job = job_of(&model, &merge, whole);
    assert_int_equal(mdl_search_run(&job, &result), MDL_CONFIG);
    if (strstr(mdl_error_detail(), detail) == NULL)
        fail_msg("expected '%s' in '%s'", detail, mdl_error_detail());
}

static void wrong_settings(void **state)
{
    (void)state;
    begin(MDL_MODEL_MLP, "model-stock");
    expect_refusal("merge.layer_method: expected a method with a weight or a ratio");
    snprintf(merge.layer_method, sizeof(merge.layer_method), "slerp");
    expect_refusal("slerp is of 2 checkpoints, 3 are given");
    snprintf(merge.layer_method, sizeof(merge.layer_method), "ties");
    expect_refusal("set merge.base");
    snprintf(merge.base, sizeof(merge.base), "%s", parents[3]);
    merge.formula.scope = MDL_SCOPE_WHOLE;
    expect_refusal("merge.scope: whole");
    merge.formula.scope = MDL_SCOPE_TENSOR;
    merge.layer_step = 0;
    expect_refusal("merge.layer_step is 0");
    merge.layer_step = 0.1;
    snprintf(merge.formula.parameters, sizeof(merge.formula.parameters), "fc1 weights=1,2,3");
    expect_refusal("merge.parameters: expected nothing");
    merge.formula.parameters[0] = '\0';
    merge.from_scratch = 2;
    expect_refusal("merge.from_scratch");
    merge.from_scratch = 0;
    mdl_merge_result result;
    mdl_merge_job job = job_of(&model, &merge, whole);
    must(mdl_search_run(&job, &result));
    merge.layer_granularity = 2; /* another search */
    job.resume = true;
    assert_int_equal(mdl_search_run(&job, &result), MDL_CONFIG);
    assert_non_null(strstr(mdl_error_detail(), "merge.layer_granularity 1"));
    merge.layer_granularity = 1;
    snprintf(merge.base, sizeof(merge.base), "%s", parents[2]); /* with other contents */
    assert_int_equal(mdl_search_run(&job, &result), MDL_CONFIG);
    assert_non_null(strstr(mdl_error_detail(), "contents of the parents"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(linear_by_hand, set_up, tear_down),
        cmocka_unit_test_setup_teardown(genomes_as_texts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(texts_by_two_threads, set_up, tear_down),
        cmocka_unit_test_setup_teardown(groups_of_layers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(winner_is_a_merge, set_up, tear_down),
        cmocka_unit_test_setup_teardown(searches_are_reproducible, set_up, tear_down),
        cmocka_unit_test_setup_teardown(search_improves, set_up, tear_down),
        cmocka_unit_test_setup_teardown(wrong_settings, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
