/* Tuning tables: what is written is read, what is damaged or made elsewhere does not serve, a call
 * gets the variant its table names, variants agree, and a resumed run uses the table it began
 * with. */
#include <math.h>
#include <unistd.h>

#include "small_jobs.h"

static char folder[256];
static char warned[2048];

static void on_log(void *user, mdl_log_level level, const char *text)
{
    (void)user;
    if (level == MDL_LOG_WARN)
        snprintf(warned, sizeof(warned), "%s", text);
}

static int set_up(void **state)
{
    (void)state;
    warned[0] = 0;
    mdl_context_set_log(mdl_context_current(), on_log, NULL);
    if (!scratch_create(folder))
        return -1;
    return setenv("XDG_CACHE_HOME", folder, 1);
}

static int tear_down(void **state)
{
    (void)state;
    mdl_context_reset(mdl_context_current());
    mdl_context_set_log(mdl_context_current(), NULL, NULL);
    scratch_remove(folder);
    return 0;
}

static mdl_device *open_cpu(int threads)
{
    mdl_device *device;
    must(mdl_device_open("cpu", threads, MDL_F32, &device));
    return device;
}

static void put_file(const char *path, const char *text)
{
    must(mdl_file_write(path, text, strlen(text)));
}

/* Where the device's table belongs, with the folder made. */
static void cache_path(const mdl_device *device, char path[MDL_PATH_MAX])
{
    char parent[MDL_PATH_MAX];
    must(mdl_tuning_path(device, path));
    assert_int_equal(strncmp(path, folder, strlen(folder)), 0);
    snprintf(parent, sizeof(parent), "%s", path);
    *strrchr(parent, '/') = 0;
    must(mdl_make_folders(parent));
}

static void names(void **state)
{
    (void)state;
    char text[MDL_TUNING_TEXT];
    mdl_attrs conv = {
        .conv = {.kernel_h = 5, .kernel_w = 5, .stride = 2, .pad_top = 2, .pad_left = 1}};
    mdl_call call = {.op = MDL_OP_DEPTHWISE, .attrs = &conv, .n_in = 2, .n_out = 1};
    call.in[0].shape = MDL_SHAPE4(64, 16, 16, 144);
    call.in[1].shape = MDL_SHAPE3(5, 5, 144);
    call.out[0].shape = MDL_SHAPE4(64, 8, 8, 144);
    assert_string_equal(
        mdl_tuning_name(&call, text),
        "depthwise float32 5x5 stride 2 pad 2,1,0,0 64x16x16x144 5x5x144 -> 64x8x8x144");
    call.accumulate = 1;
    call.op = MDL_OP_LINEAR;
    call.n_in = 3; /* the bias is absent */
    assert_string_equal(mdl_tuning_name(&call, text),
                        "linear float32 64x16x16x144 5x5x144 - -> 64x8x8x144 +1");
}

static void round_trip(void **state)
{
    (void)state;
    char path[MDL_PATH_MAX];
    mdl_device *device = open_cpu(1);
    mdl_tuning *tuning, *again;
    must(mdl_tuning_create(&tuning));
    must(mdl_tuning_put(tuning, "linear float32 \"1\"", "one"));
    must(mdl_tuning_put(tuning, "linear 2", "two"));
    must(mdl_tuning_put(tuning, "linear 2", "three")); /* replaces */
    make_path(path, folder, "table.json");
    must(mdl_tuning_write(tuning, device, path));
    must(mdl_tuning_read(path, device, &again));
    assert_int_equal(mdl_tuning_count(again), 2);
    assert_string_equal(mdl_tuning_find(again, "linear float32 \"1\""), "one");
    assert_string_equal(mdl_tuning_find(again, "linear 2"), "three");
    assert_null(mdl_tuning_find(again, "linear 3"));
    mdl_tuning_destroy(again);
    mdl_tuning_destroy(tuning);
    mdl_device_close(device);
}

/* Each is refused by name, and ignored with a warning where it lies in the cache folder. */
static void damaged(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "{",
        "[]",
        "null",
        "{\"format\": \"mendel tuning 1\"}",
        "{\"format\": 1, \"version\": \"0\", \"backend\": \"cpu\", \"device\": \"\"}",
        "{\"format\": \"mendel tuning 1\", \"calls\": {\"a\": 1}}",
        "{\"format\": \"mendel tuning 1\", \"calls\": {\"a\": \"b\", \"a\": \"c\"}}",
        "{\"format\": \"mendel tuning 1\", \"calls\": [\"a\"]}",
        "{\"format\": \"mendel tuning 1\", \"calls\": {}, \"version\": [], \"backend\": {}}",
        "\xff\xfe\x01",
    };
    char path[MDL_PATH_MAX];
    mdl_device *device = open_cpu(1);
    mdl_tuning *tuning;
    cache_path(device, path);
    for (size_t i = 0; i < MDL_COUNT(texts); i++) {
        put_file(path, texts[i]);
        assert_int_equal(mdl_tuning_read(path, device, &tuning), MDL_FORMAT);
        assert_null(tuning);
        assert_non_null(strstr(mdl_error_detail(), path));
        warned[0] = 0;
        must(mdl_tuning_use(device, "auto"));
        assert_null(device->tuning);
        assert_non_null(strstr(warned, "it is ignored"));
        assert_int_equal(mdl_tuning_use(device, path), MDL_FORMAT); /* asked for by name */
    }
    assert_int_equal(mdl_tuning_use(device, "none.json"), MDL_NOT_FOUND);
    mdl_device_close(device);
}

/* Every table that is cut short is refused. */
static void cut_short(void **state)
{
    (void)state;
    char path[MDL_PATH_MAX], *text;
    size_t size;
    mdl_device *device = open_cpu(1);
    mdl_tuning *tuning;
    must(mdl_tuning_create(&tuning));
    must(mdl_tuning_put(tuning, "linear 1", "openblas"));
    cache_path(device, path);
    must(mdl_tuning_write(tuning, device, path));
    mdl_tuning_destroy(tuning);
    must(mdl_file_read(path, 0, &text, &size));
    for (size_t length = 0; length < size; length++) {
        must(mdl_file_write(path, text, length));
        assert_int_equal(mdl_tuning_read(path, device, &tuning), MDL_FORMAT);
    }
    mdl_free(text);
    mdl_device_close(device);
}

static void stale(void **state)
{
    (void)state;
    static const char *const keys[][3] = {
        {"0.0.0-other", "cpu", NULL}, {NULL, "opencl", NULL}, {NULL, "cpu", "another processor"}};
    char path[MDL_PATH_MAX], text[2048], self[512] = "";
    mdl_device *device = open_cpu(1);
    mdl_tuning *tuning;
    device->backend->identify(device, self, sizeof(self));
    assert_true(strlen(self) > 8);
    cache_path(device, path);
    for (size_t i = 0; i < MDL_COUNT(keys); i++) {
        snprintf(text, sizeof(text),
                 "{\"format\": \"mendel tuning 1\", \"version\": \"%s\", \"backend\": \"%s\", "
                 "\"device\": \"%s\", \"calls\": {\"a\": \"openblas\"}}",
                 keys[i][0] != NULL ? keys[i][0] : mdl_build_version(), keys[i][1],
                 keys[i][2] != NULL ? keys[i][2] : self);
        put_file(path, text);
        assert_int_equal(mdl_tuning_read(path, device, &tuning), MDL_UNSUPPORTED);
        must(mdl_tuning_use(device, "auto"));
        assert_null(device->tuning);
        assert_non_null(strstr(warned, "it is ignored"));
        must(mdl_tuning_read(path, NULL, &tuning)); /* a run that goes on elsewhere */
        mdl_tuning_destroy(tuning);
    }
    mdl_device_close(device);
}

/* ---- calls ---------------------------------------------------------------------------------- */

/* "openblas" for every call of the model's training that offers it; how many those are. */
static size_t table_for(const mdl_model_config *model, size_t batch, mdl_device *device,
                        mdl_tuning **out)
{
    mdl_graph *graph;
    mdl_model_io io;
    mdl_plan *plan;
    must(mdl_tuning_create(out));
    must(mdl_graph_create(device->real, &graph));
    must(mdl_model_build(model, MDL_MODE_TRAIN, batch, 0, 0, graph, &io));
    must(mdl_graph_fuse(graph));
    must(mdl_graph_backward(graph, io.loss, 1));
    must(mdl_plan_create(graph, device, NULL, &plan));
    for (size_t i = 0; i < mdl_plan_step_count(plan); i++) {
        const mdl_call *call = mdl_plan_step(plan, i);
        char name[MDL_TUNING_TEXT];
        assert_int_equal(call->variant, 0);
        const char *variant =
            call->kernel->variant != NULL ? call->kernel->variant(device, call, 1) : NULL;
        if (variant != NULL)
            must(mdl_tuning_put(*out, mdl_tuning_name(call, name), variant));
    }
    mdl_plan_destroy(plan);
    mdl_graph_destroy(graph);
    return mdl_tuning_count(*out);
}

/* [m, c] x [c, k], as LINEAR with a bias or as LINEAR_GRAD_INPUT (x is dy then). */
typedef struct product {
    size_t m, c, k;
    bool gradient, bias;
} product;

/* By the variant of that name, NULL: by the backend's own rule.  False where it is not offered. */
static bool run_product(const product *p, int threads, const char *variant, float *y)
{
    mdl_device *device = open_cpu(threads);
    mdl_scratch scratch = {0};
    mdl_buffer *buffers[4];
    mdl_shape shapes[4] = {MDL_SHAPE2(p->m, p->gradient ? p->k : p->c), MDL_SHAPE2(p->c, p->k),
                           MDL_SHAPE1(p->k), MDL_SHAPE2(p->m, p->gradient ? p->c : p->k)};
    mdl_view views[4];
    mdl_rng rng = mdl_rng_init(5, MDL_STREAM_SYNTHETIC);
    int n_in = p->bias ? 3 : 2;
    for (int i = 0; i < 4; i++) {
        size_t count = mdl_shape_count(&shapes[i]);
        must(mdl_buffer_create(device, count * sizeof(float), "test", &buffers[i]));
        views[i] = mdl_buffer_view(buffers[i], 0, MDL_F32, shapes[i]);
        for (size_t j = 0; j < count; j++)
            ((float *)views[i].host)[j] = (float)mdl_rng_normal(&rng);
    }
    mdl_op op = p->gradient ? MDL_OP_LINEAR_GRAD_INPUT : MDL_OP_LINEAR;
    mdl_call call = {.op = op, .n_in = n_in, .n_out = 1};
    char name[MDL_TUNING_TEXT];
    for (int i = 0; i < n_in; i++)
        call.in[i] = views[i];
    call.out[0] = views[3];
    bool offered = true;
    if (variant != NULL) {
        mdl_tuning *tuning;
        must(mdl_tuning_create(&tuning));
        must(mdl_tuning_put(tuning, mdl_tuning_name(&call, name), "unheard of"));
        mdl_device_set_tuning(device, tuning);
        must(mdl_dispatch_route(device, &call));
        assert_int_equal(call.variant, 0);
        must(mdl_tuning_put(tuning, name, variant));
        must(mdl_dispatch_route(device, &call));
        offered = call.variant > 0;
    }
    must(mdl_dispatch_now(device, &scratch, op, NULL, views, n_in, &views[3], 1));
    memcpy(y, views[3].host, buffers[3]->bytes);
    for (int i = 0; i < 4; i++)
        mdl_buffer_destroy(buffers[i]);
    mdl_buffer_destroy(scratch.buffer);
    mdl_device_close(device);
    return offered;
}

static void agrees(const char *variant, bool gradients)
{
    static const product products[] = {
        {.m = 1, .c = 1, .k = 1},
        {.m = 7, .c = 13, .k = 5, .bias = true},
        {.m = 129, .c = 31, .k = 65, .bias = true},
        {.m = 1025, .c = 24, .k = 144},
        {.m = 1025, .c = 24, .k = 144, .gradient = true},
        {.m = 63, .c = 33, .k = 17, .gradient = true},
    };
    enum { LARGEST = 1025 * 144 };
    static float own[LARGEST], blas[LARGEST], more[LARGEST];
    for (size_t i = 0; i < MDL_COUNT(products); i++) {
        const product *p = &products[i];
        size_t count = p->m * (p->gradient ? p->c : p->k);
        double depth = (double)(p->gradient ? p->k : p->c);
        run_product(p, 1, NULL, own);
        assert_int_equal(run_product(p, 1, variant, blas), gradients || !p->gradient);
        /* sums of `depth` products of normals, in another order: a few roundings of their size */
        for (size_t j = 0; j < count; j++)
            if (!(fabs((double)own[j] - (double)blas[j]) <= 4e-7 * (depth + 4)))
                fail_msg("product %zu, element %zu: %g and %g", i, j, (double)own[j],
                         (double)blas[j]);
        for (int threads = 2; threads <= 5; threads++) {
            run_product(p, threads, variant, more);
            assert_memory_equal(blas, more, count * sizeof(*more));
        }
    }
}

static void openblas_agrees(void **state)
{
    (void)state;
    agrees("openblas", true);
}

#ifdef MDL_LIBXSMM
static void libxsmm_agrees(void **state)
{
    (void)state;
    agrees("libxsmm", false);
}
#endif

/* ---- runs ----------------------------------------------------------------------------------- */

static size_t steps_left; /* until the run is asked to stop; 0: it is not */

static void on_step(void *user, uint64_t epoch, uint64_t epochs, uint64_t batch, uint64_t batches,
                    double loss, double top1, double images_per_second, double seconds_left)
{
    (void)user, (void)epoch, (void)epochs, (void)batch, (void)batches;
    (void)loss, (void)top1, (void)images_per_second, (void)seconds_left;
    if (steps_left > 0 && --steps_left == 0)
        mdl_context_stop(mdl_context_current());
}

static mdl_status train(const mdl_data *data, mdl_device *device, const char *out, bool resume)
{
    static const mdl_train_events events = {.step = on_step};
    mdl_model_config model = small_model(MDL_MODEL_EFFICIENTNET_LITE0, data);
    mdl_train_config config = small_training();
    mdl_train_result result;
    config.max_steps = 12;
    mdl_train_job job = {.model = &model,
                         .train = &config,
                         .data = data,
                         .device = device,
                         .seed = 7,
                         .out = out,
                         .resume = resume,
                         .config_text = "model:\n  kind: small\n",
                         .events = &events};
    return mdl_train_run(&job, &result);
}

/* A run with a table, stopped; meanwhile the cache has none; it goes on to the same bytes. */
static void resume_uses_the_stored_one(void **state)
{
    (void)state;
    char whole[300], parts[300], cache[MDL_PATH_MAX], path[MDL_PATH_MAX];
    mdl_data *data;
    mdl_tuning *tuning;
    mdl_device *device = open_cpu(2);
    must(small_data(200, &data));
    mdl_model_config model = small_model(MDL_MODEL_EFFICIENTNET_LITE0, data);
    size_t calls = table_for(&model, small_training().batch, device, &tuning);
    assert_true(calls > 10);
    cache_path(device, cache);
    must(mdl_tuning_write(tuning, device, cache));
    mdl_tuning_destroy(tuning);
    snprintf(whole, sizeof(whole), "%s/whole", folder);
    snprintf(parts, sizeof(parts), "%s/parts", folder);
    must(mdl_tuning_use_in(device, "auto", whole, false));
    assert_int_equal(mdl_tuning_count(device->tuning), calls);
    must(train(data, device, whole, false));
    must(mdl_tuning_use_in(device, "auto", parts, false));
    steps_left = 5;
    assert_int_equal(train(data, device, parts, false), MDL_CANCELLED);
    mdl_context_reset(mdl_context_current());
    must(mdl_remove_file(cache));
    must(mdl_tuning_use_in(device, "off", parts, true));
    assert_int_equal(mdl_tuning_count(device->tuning), calls);
    must(train(data, device, parts, true));
    assert_same_file(whole, parts, "final.safetensors");
    assert_same_file(whole, parts, "tuning.json");

    /* A run that begins anew without a table leaves none, and goes on without one. */
    must(mdl_tuning_use_in(device, "auto", parts, false));
    assert_null(device->tuning);
    make_path(path, parts, "tuning.json");
    assert_false(mdl_file_exists(path));
    char table[MDL_PATH_MAX];
    make_path(table, whole, "tuning.json");
    must(mdl_tuning_use_in(device, table, parts, true));
    assert_null(device->tuning);
    put_file(path, "{}"); /* what it must go on with is damaged: it cannot */
    assert_int_equal(mdl_tuning_use_in(device, "auto", parts, true), MDL_FORMAT);
    mdl_data_close(data);
    mdl_device_close(device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(round_trip, set_up, tear_down),
        cmocka_unit_test_setup_teardown(damaged, set_up, tear_down),
        cmocka_unit_test_setup_teardown(cut_short, set_up, tear_down),
        cmocka_unit_test_setup_teardown(stale, set_up, tear_down),
        cmocka_unit_test_setup_teardown(openblas_agrees, set_up, tear_down),
#ifdef MDL_LIBXSMM
        cmocka_unit_test(libxsmm_agrees),
#endif
        cmocka_unit_test_setup_teardown(resume_uses_the_stored_one, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
