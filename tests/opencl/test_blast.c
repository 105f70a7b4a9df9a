/* The parameters of CLBlast that a tuning table may have: what does not suit is refused, what suits
 * gives right products in all layouts and the same bits at every run, what a driver compiles
 * wrongly or not at all is found before it is used, and nothing of a table stays behind. Skipped
 * without an OpenCL device, unless MDL_TEST_REQUIRE_OPENCL is set. */
#include <math.h>
#include <stdlib.h>

#include "small_jobs.h"

#define SET "WGD=32 MDIMCD=8 NDIMCD=8 MDIMAD=8 NDIMBD=8 KWID=2 VWMD=4 VWND=4 PADA=1 PADB=1"

enum { M = 70, C = 36, K = 52, LARGEST = M * K };

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
    unsetenv("CLBLAST_BUILD_OPTIONS");
    return scratch_create(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    mdl_context_set_log(mdl_context_current(), NULL, NULL);
    scratch_remove(folder);
    return 0;
}

static mdl_device *open_device(const char *spec)
{
    mdl_device *device;
    must(mdl_device_open(spec, 1, MDL_F32, &device));
    return device;
}

/* ---- tables --------------------------------------------------------------------------------- */

static mdl_status read_table(const mdl_device *device, const char *parameters)
{
    char path[MDL_PATH_MAX], self[512], text[4096];
    mdl_tuning *tuning;
    make_path(path, folder, "table.json");
    device->backend->identify(device, self, sizeof(self));
    snprintf(text, sizeof(text),
             "{\"format\": \"mendel tuning 1\", \"version\": \"%s\", \"backend\": \"%s\", "
             "\"device\": \"%s\", \"parameters\": %s, \"calls\": {}}",
             mdl_build_version(), device->backend->name, self, parameters);
    must(mdl_file_write(path, text, strlen(text)));
    mdl_status status = mdl_tuning_read(path, device, &tuning);
    if (status != MDL_OK) {
        assert_null(tuning);
        assert_non_null(strstr(mdl_error_detail(), path));
    }
    mdl_tuning_destroy(tuning);
    return status;
}

static void refused(void **state)
{
    (void)state;
    static const struct {
        const char *set, *says;
    } cases[] = {
        {"3", "no text"},
        {"null", "no text"},
        {"\"\"", "no text"},
        {"{\"WGD\": 32}", "no text"},
        {"\"WGD=32\"", "are no parameters of CLBlast"},
        {"\"%s%s%n\"", "are no parameters of CLBlast"},
        {"\"" SET " \"", "are no parameters of CLBlast"},
        {"\"" SET " WGD=32\"", "are no parameters of CLBlast"},
        {"\"WGD=32 MDIMCD=8 NDIMCD=8 MDIMAD=8 NDIMBD=8 KWID=2 VWMD=4 VWND=4 PADA=1 PADB=x\"",
         "are no parameters of CLBlast"},
        {"\"WGD=0 MDIMCD=8 NDIMCD=8 MDIMAD=8 NDIMBD=8 KWID=2 VWMD=4 VWND=4 PADA=1 PADB=1\"",
         "do not fit each other"},
        {"\"WGD=32 MDIMCD=0 NDIMCD=8 MDIMAD=8 NDIMBD=8 KWID=2 VWMD=4 VWND=4 PADA=1 PADB=1\"",
         "do not fit each other"},
        {"\"WGD=-1 MDIMCD=8 NDIMCD=8 MDIMAD=8 NDIMBD=8 KWID=2 VWMD=4 VWND=4 PADA=1 PADB=1\"",
         "do not fit each other"},
        {"\"WGD=999 MDIMCD=8 NDIMCD=8 MDIMAD=8 NDIMBD=8 KWID=2 VWMD=4 VWND=4 PADA=1 PADB=1\"",
         "do not fit each other"},
        {"\"WGD=32 MDIMCD=8 NDIMCD=8 MDIMAD=8 NDIMBD=8 KWID=3 VWMD=4 VWND=4 PADA=1 PADB=1\"",
         "do not fit each other"},
        {"\"WGD=32 MDIMCD=8 NDIMCD=8 MDIMAD=8 NDIMBD=8 KWID=2 VWMD=8 VWND=4 PADA=1 PADB=1\"",
         "do not fit each other"},
        {"\"WGD=32 MDIMCD=8 NDIMCD=8 MDIMAD=8 NDIMBD=8 KWID=2 VWMD=4 VWND=4 PADA=2 PADB=1\"",
         "do not fit each other"},
        {"\"WGD=32 MDIMCD=8 NDIMCD=8 MDIMAD=32 NDIMBD=8 KWID=2 VWMD=4 VWND=4 PADA=1 PADB=1\"",
         "do not fit each other"},
        {"\"WGD=128 MDIMCD=128 NDIMCD=128 MDIMAD=128 NDIMBD=128 KWID=2 VWMD=1 VWND=1 PADA=1 "
         "PADB=1\"",
         "groups of 16384"},
    };
    mdl_device *device = open_device("opencl"), *cpu = open_device("cpu");
    must(read_table(device, "\"" SET "\""));
    for (size_t i = 0; i < MDL_COUNT(cases); i++) {
        print_message("%s\n", cases[i].set);
        mdl_status status = read_table(device, cases[i].set);
        assert_true(status == MDL_FORMAT || status == MDL_UNSUPPORTED);
        if (strstr(mdl_error_detail(), cases[i].says) == NULL)
            fail_msg("'%s' does not say '%s'", mdl_error_detail(), cases[i].says);
    }
    char *text = malloc(2000);
    assert_non_null(text);
    memset(text, 'W', 1999);
    text[0] = text[1998] = '"';
    text[1999] = 0;
    assert_int_equal(read_table(device, text), MDL_FORMAT);
    free(text);
    assert_int_equal(read_table(cpu, "\"" SET "\""), MDL_FORMAT); /* it has no such library */
    mdl_device_close(cpu);
    mdl_device_close(device);
}

/* What the backend itself would try. */
static void candidates(void **state)
{
    (void)state;
    mdl_device *device = open_device("opencl");
    const mdl_parameters *parameters = device->backend->parameters;
    const char *set;
    int n = 0;
    while ((set = parameters->candidate(device, n + 1)) != NULL) {
        if (parameters->check(device, set) != MDL_OK) /* little local memory is no fault */
            assert_non_null(strstr(mdl_error_detail(), "bytes of local memory"));
        for (int i = 1; i <= n; i++)
            assert_string_not_equal(parameters->candidate(device, i), set);
        n++;
    }
    assert_true(n >= 3);
    mdl_device_close(device);
}

/* ---- products ------------------------------------------------------------------------------- */

static const mdl_op ops[] = {MDL_OP_LINEAR, MDL_OP_LINEAR_GRAD_INPUT, MDL_OP_LINEAR_GRAD_WEIGHT};

/* The op with normal numbers; through CLBlast with those parameters ("": its own), or by the
 * backend's rule (NULL). */
static mdl_status run(mdl_device *device, mdl_op op, const char *set, float *y)
{
    bool weight = op == MDL_OP_LINEAR_GRAD_WEIGHT, input = op == MDL_OP_LINEAR_GRAD_INPUT;
    mdl_shape shapes[3] = {MDL_SHAPE2(M, input ? K : C), MDL_SHAPE2(weight ? M : C, K),
                           MDL_SHAPE2(weight ? C : M, input ? C : K)};
    mdl_buffer *buffers[3];
    mdl_scratch scratch = {0};
    mdl_view views[3];
    mdl_rng rng = mdl_rng_init(7, MDL_STREAM_SYNTHETIC);
    for (int i = 0; i < 3; i++) {
        float numbers[LARGEST];
        size_t count = mdl_shape_count(&shapes[i]);
        must(mdl_buffer_create(device, count * sizeof(float), "test", &buffers[i]));
        views[i] = mdl_buffer_view(buffers[i], 0, MDL_F32, shapes[i]);
        for (size_t j = 0; j < count; j++)
            numbers[j] = (float)mdl_rng_normal(&rng);
        must(mdl_view_upload_f32(&views[i], numbers, count));
    }
    mdl_tuning *tuning = NULL;
    if (set != NULL) {
        char name[MDL_TUNING_TEXT];
        mdl_call call = {
            .op = op, .in = {views[0], views[1]}, .n_in = 2, .out = {views[2]}, .n_out = 1};
        must(mdl_tuning_create(&tuning));
        must(mdl_tuning_put(tuning, mdl_tuning_name(&call, name), "clblast"));
        must(mdl_tuning_set_parameters(tuning, set));
    }
    mdl_device_set_tuning(device, tuning);
    mdl_status status = mdl_dispatch_now(device, &scratch, op, NULL, views, 2, &views[2], 1);
    if (status == MDL_OK)
        status = mdl_view_download_f32(&views[2], y, mdl_shape_count(&shapes[2]));
    for (int i = 0; i < 3; i++)
        mdl_buffer_destroy(buffers[i]);
    mdl_buffer_destroy(scratch.buffer);
    return status;
}

static void agrees(void **state)
{
    (void)state;
    static float right[LARGEST], own[LARGEST], first[LARGEST], second[LARGEST];
    mdl_device *device = open_device("opencl"), *reference = open_device("reference");
    mdl_device *other = open_device("opencl"); /* the same, without a table */
    bool moved = false;
    for (size_t i = 0; i < MDL_COUNT(ops); i++) {
        bool weight = ops[i] == MDL_OP_LINEAR_GRAD_WEIGHT;
        size_t count = weight ? C * K : ops[i] == MDL_OP_LINEAR ? M * K : M * C;
        double depth = weight ? M : ops[i] == MDL_OP_LINEAR ? C : K;
        must(run(reference, ops[i], NULL, right));
        must(run(device, ops[i], "", own));
        uint64_t launches = mdl_device_get_stats(device).launches;
        must(run(device, ops[i], SET, first));
        must(run(other, ops[i], "", second));
        assert_memory_equal(own, second, count * sizeof(*own));
        must(run(device, ops[i], SET, second));
        assert_memory_equal(first, second, count * sizeof(*first));
        /* Trials are no launches of the run. */
        assert_int_equal(mdl_device_get_stats(device).launches - launches, 2);
        must(run(device, ops[i], "", second));
        assert_memory_equal(own, second, count * sizeof(*own));
        moved |= memcmp(own, first, count * sizeof(*own)) != 0;
        /* sums of `depth` products of normals, in another order: a few roundings of their size */
        for (size_t j = 0; j < count; j++)
            if (!(fabs((double)right[j] - (double)first[j]) <= 4e-7 * (depth + 4)))
                fail_msg("op %zu, element %zu: %g and %g", i, j, (double)right[j],
                         (double)first[j]);
    }
    print_message("the parameters move bits: %s\n", moved ? "yes" : "no");
    mdl_device_close(other);
    mdl_device_close(reference);
    mdl_device_close(device);
}

/* A driver that is at fault with tiles of 32 only: CLBlast takes further options for its programs
 * from the environment. */
static void faulty(void **state)
{
    (void)state;
    static const struct {
        const char *options, *says;
    } cases[] = {
        {" -Dif(x)=if((x)&&WGD!=32) ", "wrong numbers"},
        {" -Dif(x)=if((x)&&sizeof(char[WGD==32?-1:1])) ",
         "CLBlast with the parameters of the tuning table"},
    };
    static float y[LARGEST];
    for (size_t i = 0; i < MDL_COUNT(cases); i++) {
        assert_int_equal(setenv("CLBLAST_BUILD_OPTIONS", cases[i].options, 1), 0);
        mdl_device *device = open_device("opencl"); /* closing one clears CLBlast's programs */
        assert_int_not_equal(run(device, MDL_OP_LINEAR, SET, y), MDL_OK);
        print_message("%s\n", mdl_error_detail());
        assert_non_null(strstr(mdl_error_detail(), cases[i].says));
        /* It is not believed the second time, either. */
        assert_int_not_equal(run(device, MDL_OP_LINEAR, SET, y), MDL_OK);
        mdl_device_close(device);
    }
}

/* A run that goes on elsewhere. */
static void unsuitable(void **state)
{
    (void)state;
    static float own[LARGEST], y[LARGEST];
    mdl_device *device = open_device("opencl");
    must(run(device, MDL_OP_LINEAR, "", own));
    assert_string_equal(warned, "");
    must(run(device, MDL_OP_LINEAR, "WGD=7", y));
    assert_non_null(strstr(warned, "its own serve"));
    assert_memory_equal(own, y, sizeof(own));
    mdl_device_close(device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(candidates, set_up, tear_down),
        cmocka_unit_test_setup_teardown(agrees, set_up, tear_down),
        cmocka_unit_test_setup_teardown(faulty, set_up, tear_down),
        cmocka_unit_test_setup_teardown(unsuitable, set_up, tear_down),
    };
    mdl_device *device;
    if (mdl_device_open("opencl", 1, MDL_F32, &device) != MDL_OK) {
        print_message("skipped: %s\n", mdl_error_detail());
        return getenv("MDL_TEST_REQUIRE_OPENCL") != NULL ? 1 : 77;
    }
    mdl_device_close(device);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
