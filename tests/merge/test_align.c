/* Alignment: the assignment against brute force, the groups of each model against what is known of
 * them, permutations that change nothing, copies that are found again, and the barrier between two
 * trained networks before and after. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "merge/align_internal.h"
#include "small_jobs.h"

static char folder[256];
static mdl_device *device;
static mdl_data *data;
static mdl_model_config model;
static mdl_merge_config merge;
static mdl_groups groups;
static uint32_t **match; /* [groups] */
static mdl_merge_job job;
static mdl__merge_context context;
static mdl_weights a, b;
static mdl_scores scores[2];
static uint64_t seed;

static int setup(void **state)
{
    (void)state;
    const char *text = getenv("MDL_TEST_SEED");
    seed = text != NULL ? strtoull(text, NULL, 10) : 1;
    printf("seed %llu\n", (unsigned long long)seed);
    return scratch_create(folder) && mdl_device_open("cpu", 2, MDL_F32, &device) == MDL_OK &&
                   small_data(300, &data) == MDL_OK
               ? 0
               : -1;
}

static void close_model(void)
{
    for (size_t g = 0; g < groups.count && match != NULL; g++)
        mdl_free(match[g]);
    mdl_free((void *)match);
    match = NULL;
    mdl_groups_free(&groups);
    mdl_weights_destroy(&a);
    mdl_weights_destroy(&b);
    mdl_scores_free(&scores[0]);
    mdl_scores_free(&scores[1]);
    mdl__merge_context_destroy(&context);
    memset(&a, 0, sizeof(a));
    memset(&b, 0, sizeof(b));
}

static int teardown(void **state)
{
    (void)state;
    close_model();
    mdl_data_close(data);
    mdl_device_close(device);
    data = NULL;
    device = NULL;
    scratch_remove(folder);
    return 0;
}

/* ---- assignment ----------------------------------------------------------------------------- */

static double total(const double *gain, size_t n, const uint32_t *columns)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += gain[i * n + columns[i]];
    return sum;
}

/* The best over all orders of columns[from ..]. */
static double brute_force(const double *gain, size_t n, uint32_t *columns, size_t from)
{
    double best = from == n ? total(gain, n, columns) : -1e300;
    for (size_t i = from; i < n; i++) {
        uint32_t kept = columns[from];
        columns[from] = columns[i];
        columns[i] = kept;
        best = fmax(best, brute_force(gain, n, columns, from + 1));
        columns[i] = columns[from];
        columns[from] = kept;
    }
    return best;
}

static void expect_permutation(const uint32_t *columns, size_t n)
{
    bool seen[256] = {false};
    for (size_t i = 0; i < n; i++) {
        assert_true(columns[i] < n && !seen[columns[i]]);
        seen[columns[i]] = true;
    }
}

static void assignment_is_exact(void **state)
{
    (void)state;
    mdl_rng rng = mdl_rng_init(seed, 77);
    for (size_t trial = 0; trial < 600; trial++) {
        double gain[49];
        uint32_t found[7], columns[7];
        size_t n = 1 + trial % 7, kind = trial / 7 % 3; /* few values: ties; and real numbers */
        for (size_t i = 0; i < n * n; i++)
            gain[i] = kind == 0   ? mdl_rng_normal(&rng)
                      : kind == 1 ? (double)mdl_rng_below(&rng, 3)
                                  : 1e6 * mdl_rng_normal(&rng) + (double)mdl_rng_below(&rng, 2);
        for (size_t i = 0; i < n; i++)
            columns[i] = (uint32_t)i;
        must(mdl__assign(gain, n, found));
        expect_permutation(found, n);
        double best = brute_force(gain, n, columns, 0);
        assert_true(fabs(total(gain, n, found) - best) <= 1e-12 * fmax(1, fabs(best)));
    }
}

/* A matrix with a planted optimum: prices of rows and columns, and a loss off the planted places.
 */
static void assignment_of_many(void **state)
{
    (void)state;
    enum { N = 200 };
    static double gain[N * N], row[N], column[N];
    static uint32_t planted[N], found[N];
    mdl_rng rng = mdl_rng_init(seed, 78);
    for (size_t i = 0; i < N; i++) {
        planted[i] = (uint32_t)i;
        row[i] = mdl_rng_normal(&rng);
        column[i] = mdl_rng_normal(&rng);
    }
    mdl_rng_shuffle(&rng, planted, N);
    for (size_t i = 0; i < N; i++) {
        for (size_t j = 0; j < N; j++)
            gain[i * N + j] =
                row[i] + column[j] - (planted[i] == j ? 0 : 0.01 + mdl_rng_uniform(&rng));
    }
    must(mdl__assign(gain, N, found));
    assert_memory_equal(found, planted, sizeof(planted));
    gain[N + 1] = (double)NAN;
    assert_int_equal(mdl__assign(gain, N, found), MDL_NUMERIC);
    assert_non_null(strstr(mdl_error_detail(), "row 1, column 1"));
}

/* ---- groups --------------------------------------------------------------------------------- */

static void open_model(mdl_model_kind kind)
{
    close_model();
    model = small_model(kind, data);
    merge = mdl_merge_config_default();
    job = (mdl_merge_job){
        .model = &model, .merge = &merge, .data = data, .device = device, .seed = seed};
}

static void create_model(void)
{
    must(mdl__merge_context_create(&job, job.device, true, &context));
    must(mdl_graph_groups(context.graph, &groups));
    must(mdl_weights_create(context.graph, device, &a));
    must(mdl_weights_create(context.graph, device, &b));
    must(MDL_NEW(groups.count + 1, "permutations", &match));
    for (size_t g = 0; g < groups.count; g++) {
        must(MDL_NEW(groups.group[g].size, "a permutation", &match[g]));
        for (size_t i = 0; i < groups.group[g].size; i++)
            match[g][i] = (uint32_t)i;
    }
}

static size_t count_groups(size_t size)
{
    size_t count = 0;
    for (size_t g = 0; g < groups.count; g++)
        count += groups.group[g].size == size;
    return count;
}

static const mdl_group *group_of(const char *name, int axis)
{
    for (size_t g = 0; g < groups.count; g++) {
        for (size_t p = 0; p < groups.group[g].n_parts; p++) {
            const mdl_group_part *part = &groups.group[g].parts[p];
            const mdl_param *row = part->buffer ? mdl_graph_buffer_at(context.graph, part->row)
                                                : mdl_graph_param_at(context.graph, part->row);
            if (strcmp(row->name, name) == 0 && part->axis == axis)
                return &groups.group[g];
        }
    }
    return NULL;
}

/* The streams S0 to S7, an inner group for each of the 15 blocks with expansion, the head. */
static void groups_of_the_backbone(void **state)
{
    (void)state;
    static const size_t streams[] = {32, 16, 24, 40, 80, 112, 192, 320};
    open_model(MDL_MODEL_EFFICIENTNET_LITE0);
    model.width = model.depth = 1;
    create_model();
    assert_int_equal(groups.count, 8 + 15 + 1);
    for (size_t i = 0; i < MDL_COUNT(streams); i++)
        assert_int_equal(count_groups(streams[i]), 1);
    assert_int_equal(count_groups(1280), 1);
    assert_int_equal(count_groups(6 * 192), 4);
    /* S3: out of blocks 2.0 and 2.1, into 2.1 and the first of the next stage. */
    const mdl_group *stream = group_of("blocks.2.0.conv_pwl.weight", 1);
    assert_ptr_equal(stream, group_of("blocks.2.1.conv_pw.weight", 0));
    assert_ptr_equal(stream, group_of("blocks.2.1.bn3.running_var", 0));
    assert_ptr_equal(stream, group_of("blocks.3.0.conv_pw.weight", 0));
    /* two projections and their BatchNorms (2 x 5), two expansions */
    assert_int_equal(stream->n_parts, 12);
    /* What is fixed: the image's channels, kernels, classes. */
    assert_null(group_of("conv_stem.weight", 2));
    assert_null(group_of("conv_stem.weight", 0));
    assert_null(group_of("classifier.weight", 1));
    assert_null(group_of("classifier.bias", 0));
    assert_non_null(group_of("classifier.weight", 0));
}

static void groups_of_the_hybrid(void **state)
{
    (void)state;
    open_model(MDL_MODEL_HYBRID);
    model.trm.dim = 64;
    create_model();
    const mdl_group *stream = group_of("trm.embed.weight", 1);
    assert_int_equal(stream->size, 64);
    assert_ptr_equal(stream, group_of("trm.y0", 0));
    assert_ptr_equal(stream, group_of("trm.head.weight", 0));
    assert_ptr_equal(stream, group_of("trm.q_head.weight", 0));
    assert_ptr_equal(stream, group_of("trm.blocks.1.mlp.down.weight", 1));
    /* Gate and value of a hidden channel go together. */
    const mdl_group *hidden = group_of("trm.blocks.0.mlp.up.weight", 1);
    assert_ptr_equal(hidden, group_of("trm.blocks.0.mlp.down.weight", 0));
    assert_int_equal(hidden->n_parts, 3);
    for (size_t i = 0; i < hidden->size; i++)
        assert_int_equal(hidden->parts[1].at[i], hidden->parts[0].at[i] + hidden->size);

    open_model(MDL_MODEL_HYBRID); /* over tokens: hidden channels, not the tokens themselves */
    model.trm.dim = 64;
    model.trm.tokens = MDL_TOKENS_GRID;
    create_model();
    assert_null(group_of("trm.blocks.0.mix.up.weight", 0));
    assert_non_null(group_of("trm.blocks.0.mix.up.weight", 1));

    open_model(MDL_MODEL_HYBRID); /* values within each of two heads; no queries, no keys */
    model.trm.dim = 64;
    model.trm.tokens = MDL_TOKENS_GRID;
    model.trm.mix = MDL_MIX_ATTENTION;
    create_model();
    const mdl_group *head = group_of("trm.blocks.0.mix.qkv.weight", 1);
    assert_int_equal(head->size, 32);
    assert_int_equal(head->n_parts, 2);
    for (size_t i = 0; i < 32; i++)
        assert_true(head->parts[0].at[i] >= 128 || head->parts[1].at[i] < 64);
}

/* ---- permutations --------------------------------------------------------------------------- */

/* Weights as they might be after training: nothing is 0 or 1 everywhere. */
static void shake(mdl_weights *weights, uint64_t stream)
{
    mdl_rng rng = mdl_rng_init(seed, stream);
    must(mdl_weights_init(context.graph, seed + stream, weights));
    for (size_t table = 0; table < 2; table++) {
        size_t count = table == 0 ? mdl_graph_param_count(context.graph)
                                  : mdl_graph_buffer_count(context.graph);
        for (size_t i = 0; i < count; i++) {
            const mdl_param *row = table == 0 ? mdl_graph_param_at(context.graph, i)
                                              : mdl_graph_buffer_at(context.graph, i);
            mdl_buffer *arena = table == 0 ? weights->params : weights->buffers;
            mdl_view view = mdl_buffer_view(arena, row->offset * mdl_dtype_size(device->real),
                                            device->real, MDL_SHAPE1(row->count));
            double value[2048];
            if (row->count > MDL_COUNT(value) || row->role == MDL_ROLE_START ||
                (table == 0 && row->shape.rank > 1 && row->init != MDL_INIT_ZERO))
                continue;
            bool positive = row->role == MDL_ROLE_VAR || row->role == MDL_ROLE_GAMMA;
            for (size_t k = 0; k < row->count; k++)
                value[k] = positive ? 0.5 + mdl_rng_uniform(&rng) : 0.3 * mdl_rng_normal(&rng);
            must(mdl_view_upload_f64(&view, value, row->count));
        }
    }
}

static void draw_permutations(uint64_t stream)
{
    mdl_rng rng = mdl_rng_init(seed, stream);
    for (size_t g = 0; g < groups.count; g++)
        mdl_rng_shuffle(&rng, match[g], groups.group[g].size);
}

static double difference_of_logits(const mdl_weights *x, const mdl_weights *y)
{
    mdl_evaluator *evaluator = NULL;
    mdl_evaluator_options options = {.split = MDL_SPLIT_VALIDATION, .keep_logits = true};
    double most = 0;
    must(mdl_evaluator_create(&model, data, device, &options, &evaluator));
    must(mdl_evaluator_run(evaluator, x, &scores[0]));
    must(mdl_evaluator_run(evaluator, y, &scores[1]));
    mdl_evaluator_destroy(evaluator);
    for (size_t i = 0; i < scores[0].count * scores[0].classes; i++) {
        double p = scores[0].logits[i], q = scores[1].logits[i];
        assert_true(isfinite(p));
        most = fmax(most, fabs(p - q) / fmax(1, fabs(p)));
    }
    mdl_scores_free(&scores[0]);
    mdl_scores_free(&scores[1]);
    return most;
}

static bool same_weights(const mdl_weights *x, const mdl_weights *y)
{
    return memcmp(x->params->host, y->params->host, x->params->bytes) == 0 &&
           memcmp(x->buffers->host, y->buffers->host, x->buffers->bytes) == 0;
}

/* A random permutation of every group moves the weights, leaves the logits, and is found again.
 * `most`: in float64 only rounding is left; in float32 the sums of 1,280 channels are. */
static void permute_and_find(const char *name, double most)
{
    mdl_align_result result;
    create_model();
    shake(&a, 5);
    draw_permutations(6);
    must(mdl_weights_copy(&b, &a));
    must(mdl__permute(context.graph, &groups, (const uint32_t *const *)match, &b));
    assert_false(same_weights(&a, &b));
    double difference = difference_of_logits(&a, &b);
    printf("%s: %zu groups, logits differ by %.2g\n", name, groups.count, difference);
    assert_true(difference <= most);
    must(mdl__align(&context, MDL_ALIGN_WEIGHTS, &a, &b, &result));
    assert_int_equal(result.groups, groups.count);
    if (!same_weights(&a, &b))
        fail_msg("%s: the copy is not the original; cosine %.9f -> %.9f", name,
                 result.cosine_before, result.cosine_after);
    assert_true(result.cosine_after > 1 - 1e-9 && result.cosine_before < 0.9);
    assert_true(result.moved > result.places / 2);
}

static void permutations_change_nothing(void **state)
{
    (void)state;
    open_model(MDL_MODEL_EFFICIENTNET_LITE0);
    model.width = model.depth = 1;
    permute_and_find("EfficientNet-Lite0, float32", 1e-5);
    open_model(MDL_MODEL_HYBRID);
    permute_and_find("hybrid, float32", 1e-5);
    close_model();
    mdl_device_close(device);
    must(mdl_device_open("reference", 1, MDL_F64, &device));
    open_model(MDL_MODEL_MLP);
    permute_and_find("mlp", 1e-11);
    open_model(MDL_MODEL_EFFICIENTNET_LITE0);
    permute_and_find("small baseline", 1e-11);
    open_model(MDL_MODEL_HYBRID);
    model.trm.tokens = MDL_TOKENS_GRID;
    permute_and_find("hybrid, grid", 1e-11);
    open_model(MDL_MODEL_HYBRID);
    model.trm.dim = 64;
    model.trm.tokens = MDL_TOKENS_GRID;
    model.trm.mix = MDL_MIX_ATTENTION;
    permute_and_find("hybrid, grid, attention", 1e-11);
}

/* The ends of the line are the two networks, aligned or not: also the second's start vectors, which
 * are permuted with the stream. */
static void ends_of_the_hybrids_line(void **state)
{
    (void)state;
    static mdl_interpolation line;
    char path[2][MDL_PATH_MAX];
    const char *parents[2] = {path[0], path[1]};
    open_model(MDL_MODEL_HYBRID);
    create_model();
    for (size_t i = 0; i < 2; i++) {
        shake(&a, i);
        make_path(path[i], folder, i == 0 ? "first" : "second");
        must(mdl__merge_context_save(&context, path[i], "random", &a));
    }
    job.parents = parents;
    job.n_parents = 2;
    must(mdl_interpolate_run(&job, MDL_ALIGN_WEIGHTS, 2, &line));
    assert_true(line.align.moved > 0);
    for (size_t i = 0; i < 2; i++) {
        printf("loss %.9g, aligned %.9g\n", line.line[0].loss[i], line.line[2].loss[i]);
        assert_true(fabs(line.line[0].loss[i] - line.line[2].loss[i]) < 1e-5);
    }
}

/* Of random networks many channels never answer; trained ones' do. */
static void activations_of_a_trained_network(void **state)
{
    (void)state;
    open_model(MDL_MODEL_HYBRID);
    mdl_train_config train = small_training();
    mdl_train_result trained;
    mdl_train_job training = {.model = &model,
                              .train = &train,
                              .data = data,
                              .device = device,
                              .seed = seed,
                              .out = folder};
    mdl_align_result result;
    char path[MDL_PATH_MAX];
    must(mdl_train_run(&training, &trained));
    make_path(path, folder, "final.safetensors");
    create_model();
    must(mdl__merge_context_load(&context, path, &a));
    draw_permutations(9);
    must(mdl_weights_copy(&b, &a));
    must(mdl__permute(context.graph, &groups, (const uint32_t *const *)match, &b));
    must(mdl__align(&context, MDL_ALIGN_ACTIVATIONS, &a, &b, &result));
    printf("hybrid by activations: cosine %.4f -> %.9f\n", result.cosine_before,
           result.cosine_after);
    assert_true(difference_of_logits(&a, &b) <= 1e-5);
    assert_true(result.cosine_after > 0.999); /* channels that never answer cannot be told apart */
}

/* ---- trained networks ----------------------------------------------------------------------- */

static void aligned_seeds_have_a_lower_barrier(void **state)
{
    (void)state;
    char path[2][MDL_PATH_MAX], sub[MDL_PATH_MAX];
    const char *parents[2] = {path[0], path[1]};
    mdl_train_config train = small_training();
    mdl_train_result trained;
    static mdl_interpolation line[2];
    open_model(MDL_MODEL_MLP);
    model.hidden = 64;
    train.epochs = 20;
    for (size_t i = 0; i < 2; i++) {
        must(mdl_path(sub, sizeof(sub), folder, "%zu", i));
        mdl_train_job training = {.model = &model,
                                  .train = &train,
                                  .data = data,
                                  .device = device,
                                  .seed = seed + i,
                                  .out = sub};
        must(mdl_train_run(&training, &trained));
        make_path(path[i], sub, "final.safetensors");
    }
    job.parents = parents;
    job.n_parents = 2;
    for (int method = 0; method < 2; method++) {
        mdl_interpolation *p = &line[method];
        must(mdl_interpolate_run(&job, (mdl_align_method)method, 5, p));
        assert_true(p->points == 5 && p->t[0] == 0 && p->t[2] == 0.5 && p->t[4] == 1);
        assert_int_equal(p->images, data->count[MDL_SPLIT_VALIDATION]);
        const mdl_interpolation_line *plain = &p->line[0], *aligned = &p->line[2];
        printf("barrier %.3f, aligned by method %d %.3f\n", plain->barrier, method,
               aligned->barrier);
        assert_true(aligned->barrier < 0.7 * plain->barrier);
        assert_true(aligned->top1[2] > plain->top1[2]);
        /* The ends are the two networks, aligned or not. */
        assert_true(plain->top1[0] == aligned->top1[0] && plain->loss[0] == aligned->loss[0]);
        assert_true(fabs(plain->loss[4] - aligned->loss[4]) < 1e-5);
        /* The MLP has no statistics to re-estimate. */
        assert_memory_equal(p->line[1].loss, plain->loss, sizeof(plain->loss));
    }
    job.n_parents = 1;
    assert_int_equal(mdl_interpolate_run(&job, MDL_ALIGN_WEIGHTS, 5, &line[0]), MDL_INVALID);
    job.n_parents = 2;
    assert_int_equal(mdl_interpolate_run(&job, MDL_ALIGN_WEIGHTS, 1, &line[0]), MDL_CONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(assignment_is_exact, setup, teardown),
        cmocka_unit_test_setup_teardown(assignment_of_many, setup, teardown),
        cmocka_unit_test_setup_teardown(groups_of_the_backbone, setup, teardown),
        cmocka_unit_test_setup_teardown(groups_of_the_hybrid, setup, teardown),
        cmocka_unit_test_setup_teardown(ends_of_the_hybrids_line, setup, teardown),
        cmocka_unit_test_setup_teardown(permutations_change_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(activations_of_a_trained_network, setup, teardown),
        cmocka_unit_test_setup_teardown(aligned_seeds_have_a_lower_barrier, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
