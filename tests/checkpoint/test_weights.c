/* Weights of a model and their files: layout of each role, initial values, round trip in float32
 * and float64, num_batches_tracked, and files that are not the model's. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "checkpoint/checkpoint.h"
#include "scratch.h"

static char folder[256]; /* of the running test */
static char path[MDL_PATH_MAX];
static mdl_graph *graph;
static mdl_device *device;
static mdl_weights weights, other;
static mdl_tensors *opened;

/* One parameter of each role, and buffers. */
static int open_all(mdl_dtype real)
{
    weights = other = (mdl_weights){.params = NULL};
    opened = NULL;
    if (!scratch_create(folder) ||
        mdl_path(path, sizeof(path), folder, "%s", "w.safetensors") != MDL_OK ||
        mdl_graph_create(real, &graph) != MDL_OK ||
        mdl_device_open("reference", 1, real, &device) != MDL_OK)
        return -1;
    mdl_graph_param(graph, "conv.weight", MDL_ROLE_CONV, MDL_SHAPE4(3, 2, 4, 5), MDL_INIT_NORMAL,
                    0.5);
    mdl_graph_param(graph, "bn.weight", MDL_ROLE_GAMMA, MDL_SHAPE1(5), MDL_INIT_ONE, 0.0);
    mdl_graph_param(graph, "bn.bias", MDL_ROLE_BETA, MDL_SHAPE1(5), MDL_INIT_ZERO, 0.0);
    mdl_graph_param(graph, "bn.running_mean", MDL_ROLE_MEAN, MDL_SHAPE1(5), MDL_INIT_ZERO, 0.0);
    mdl_graph_param(graph, "bn.running_var", MDL_ROLE_VAR, MDL_SHAPE1(5), MDL_INIT_ONE, 0.0);
    mdl_graph_param(graph, "dw.weight", MDL_ROLE_DEPTHWISE, MDL_SHAPE3(3, 2, 7),
                    MDL_INIT_TRUNCATED_NORMAL, 2.0);
    mdl_graph_param(graph, "pw.weight", MDL_ROLE_POINTWISE, MDL_SHAPE2(4, 6), MDL_INIT_UNIFORM,
                    0.25);
    mdl_graph_param(graph, "start", MDL_ROLE_START, MDL_SHAPE1(9), MDL_INIT_TRUNCATED_NORMAL, 1.0);
    mdl_graph_param(graph, "carry", MDL_ROLE_CARRY, MDL_SHAPE1(3), MDL_INIT_ZERO, 0.0);
    mdl_graph_param(graph, "fc.weight", MDL_ROLE_LINEAR, MDL_SHAPE2(100, 130), MDL_INIT_NORMAL,
                    1.0);
    mdl_graph_param(graph, "fc.bias", MDL_ROLE_BIAS, MDL_SHAPE1(1), MDL_INIT_CONSTANT, -5.0);
    if (mdl_graph_status(graph) != MDL_OK ||
        mdl_weights_create(graph, device, &weights) != MDL_OK ||
        mdl_weights_create(graph, device, &other) != MDL_OK)
        return -1;
    return 0;
}

static int set_up_f32(void **state)
{
    (void)state;
    return open_all(MDL_F32);
}

static int set_up_f64(void **state)
{
    (void)state;
    return open_all(MDL_F64);
}

static int tear_down(void **state)
{
    (void)state;
    mdl_alloc_fail_at(0);
    mdl_tensors_close(opened);
    mdl_weights_destroy(&weights);
    mdl_weights_destroy(&other);
    mdl_device_close(device);
    mdl_graph_destroy(graph);
    scratch_remove(folder);
    return 0;
}

static const mdl_param *find(const char *name)
{
    for (size_t i = 0; i < mdl_graph_param_count(graph); i++) {
        if (strcmp(mdl_graph_param_at(graph, i)->name, name) == 0)
            return mdl_graph_param_at(graph, i);
    }
    for (size_t i = 0; i < mdl_graph_buffer_count(graph); i++) {
        if (strcmp(mdl_graph_buffer_at(graph, i)->name, name) == 0)
            return mdl_graph_buffer_at(graph, i);
    }
    fail_msg("no parameter %s", name);
    return NULL;
}

/* Values of one parameter on the device; `buffer` is its arena. */
static void download(mdl_buffer *buffer, const mdl_param *param, double *out)
{
    mdl_view view = mdl_buffer_view(buffer, param->offset * mdl_dtype_size(device->real),
                                    device->real, MDL_SHAPE1(param->count));
    assert_int_equal(mdl_view_download_f64(&view, out, param->count), MDL_OK);
}

static void assert_same_buffers(const mdl_buffer *a, const mdl_buffer *b)
{
    assert_int_equal(a->bytes, b->bytes);
    assert_memory_equal(a->host, b->host, a->bytes);
}

static void assert_tracked(uint64_t steps)
{
    const mdl_file_tensor *tensor = mdl_tensors_find(opened, "bn.num_batches_tracked");
    assert_non_null(tensor);
    assert_int_equal(tensor->type, MDL_FILE_I64);
    assert_int_equal(tensor->rank, 0);
    double value;
    mdl_file_tensor_get(tensor, &value);
    assert_true(value == (double)steps);
}

static void round_trip(void **state)
{
    (void)state;
    static const char *const keys[] = {"extra"}, *const values[] = {"text"};
    const mdl_checkpoint_info info = {
        .config = "a: 1\n", .steps = 77, .keys = keys, .values = values, .n_extra = 1};
    assert_int_equal(mdl_weights_init(graph, 5, &weights), MDL_OK);
    assert_int_equal(mdl_weights_save(path, graph, &weights, &info), MDL_OK);
    assert_int_equal(mdl_tensors_load(path, &opened), MDL_OK);
    assert_tracked(77);
    assert_null(mdl_tensors_find(opened, "carry"));
    assert_string_equal(mdl_tensors_metadata(opened, "format"), "pt");
    assert_string_equal(mdl_tensors_metadata(opened, "mendel.config"), "a: 1\n");
    assert_string_equal(mdl_tensors_metadata(opened, "extra"), "text");
    char hash[65];
    assert_int_equal(mdl_sha256_hex("a: 1\n", 5, hash), MDL_OK);
    assert_string_equal(mdl_tensors_metadata(opened, "mendel.config_hash"), hash);
    for (size_t i = 0; i < opened->n_tensors; i++) { /* mapped files need aligned elements */
        const mdl_file_tensor *tensor = &opened->tensors[i];
        if (tensor->count > 0)
            assert_int_equal(tensor->offset % (tensor->bytes / tensor->count), 0);
    }
    assert_int_equal(mdl_weights_load(opened, path, graph, &other), MDL_OK);
    assert_same_buffers(weights.params, other.params);
    assert_same_buffers(weights.buffers, other.buffers);

    char *first, *second; /* same weights, same bytes */
    size_t first_size, second_size;
    assert_int_equal(mdl_file_read(path, 0, &first, &first_size), MDL_OK);
    assert_int_equal(mdl_weights_save(path, graph, &other, &info), MDL_OK);
    assert_int_equal(mdl_file_read(path, 0, &second, &second_size), MDL_OK);
    assert_int_equal(first_size, second_size);
    assert_memory_equal(first, second, first_size);
    mdl_free(first);
    mdl_free(second);
}

static void assert_file_dims(const char *name, int rank, const size_t *dim)
{
    const mdl_file_tensor *tensor = mdl_tensors_find(opened, name);
    assert_non_null(tensor);
    assert_int_equal(tensor->rank, rank);
    assert_memory_equal(tensor->dim, dim, (size_t)rank * sizeof(*dim));
}

/* Element (k, c, i, j) of the file is element (i, j, c, k) of ours. */
static void layout_of_each_role(void **state)
{
    (void)state;
    static double ours[13000], file[13000];
    const mdl_checkpoint_info info = {.config = NULL};
    assert_int_equal(mdl_weights_init(graph, 6, &weights), MDL_OK);
    assert_int_equal(mdl_weights_save(path, graph, &weights, &info), MDL_OK);
    assert_int_equal(mdl_tensors_load(path, &opened), MDL_OK);
    assert_file_dims("conv.weight", 4, (const size_t[]){5, 4, 3, 2});
    assert_file_dims("dw.weight", 4, (const size_t[]){7, 1, 3, 2});
    assert_file_dims("pw.weight", 4, (const size_t[]){6, 4, 1, 1});
    assert_file_dims("fc.weight", 2, (const size_t[]){130, 100});
    assert_file_dims("start", 1, (const size_t[]){9});
    static const struct {
        const char *name;
        size_t k, c, h, w;
    } cases[] = {
        {"conv.weight", 5, 4, 3, 2},   {"dw.weight", 7, 1, 3, 2}, {"pw.weight", 6, 4, 1, 1},
        {"fc.weight", 130, 100, 1, 1}, {"bn.weight", 5, 1, 1, 1},
    };
    for (size_t n = 0; n < MDL_COUNT(cases); n++) {
        size_t nk = cases[n].k, nc = cases[n].c, nh = cases[n].h, nw = cases[n].w;
        download(weights.params, find(cases[n].name), ours);
        mdl_file_tensor_get(mdl_tensors_find(opened, cases[n].name), file);
        for (size_t e = 0; e < nk * nc * nh * nw; e++) {
            size_t j = e % nw, i = e / nw % nh, c = e / nw / nh % nc, k = e / nw / nh / nc;
            assert_true(file[e] == ours[((i * nw + j) * nc + c) * nk + k]);
        }
    }
}

/* Mean, standard deviation and largest magnitude of a parameter's initial values. */
static void measure(const double *values, size_t n, double *mean, double *std, double *most)
{
    double sum = 0.0, squares = 0.0;
    *most = 0.0;
    for (size_t i = 0; i < n; i++) {
        sum += values[i];
        squares += values[i] * values[i];
        *most = fmax(*most, fabs(values[i]));
    }
    *mean = sum / (double)n;
    *std = sqrt(squares / (double)n - *mean * *mean);
}

static void initial_values(void **state)
{
    (void)state;
    static double values[13000];
    double mean, std, most;
    assert_int_equal(mdl_weights_init(graph, 7, &weights), MDL_OK);
    download(weights.params, find("fc.weight"), values);
    measure(values, 13000, &mean, &std, &most);
    /* Standard errors of mean and deviation are 0.0088 and 0.0062; five of them. */
    assert_true(fabs(mean) < 0.045 && fabs(std - 1.0) < 0.032);
    download(weights.params, find("fc.bias"), values);
    assert_true(values[0] == -5.0);
    download(weights.params, find("bn.weight"), values);
    assert_true(values[0] == 1.0 && values[4] == 1.0);
    download(weights.buffers, find("bn.running_var"), values);
    assert_true(values[0] == 1.0 && values[4] == 1.0);
    download(weights.params, find("pw.weight"), values);
    measure(values, 24, &mean, &std, &most);
    assert_true(most <= 0.25 && most > 0.15);

    /* Another seed changes all that is drawn but the start vectors. */
    assert_int_equal(mdl_weights_init(graph, 7, &other), MDL_OK);
    assert_same_buffers(weights.params, other.params);
    assert_int_equal(mdl_weights_init(graph, 8, &other), MDL_OK);
    assert_same_buffers(weights.buffers, other.buffers);
    static double again[13000];
    download(weights.params, find("conv.weight"), values);
    download(other.params, find("conv.weight"), again);
    size_t equal = 0;
    for (size_t i = 0; i < 120; i++)
        equal += values[i] == again[i];
    assert_int_equal(equal, 0);
}

static void truncated_normal(void **state)
{
    (void)state;
    static double values[40000];
    double mean, std, most;
    mdl_graph *wide;
    mdl_weights drawn;
    assert_int_equal(mdl_graph_create(MDL_F64, &wide), MDL_OK);
    mdl_graph_param(wide, "w", MDL_ROLE_LINEAR, MDL_SHAPE2(200, 200), MDL_INIT_TRUNCATED_NORMAL,
                    3.0);
    assert_int_equal(mdl_weights_create(wide, device, &drawn), MDL_OK);
    assert_int_equal(mdl_weights_init(wide, 1, &drawn), MDL_OK);
    mdl_view view = mdl_buffer_view(drawn.params, 0, MDL_F64, MDL_SHAPE1(40000));
    assert_int_equal(mdl_view_download_f64(&view, values, 40000), MDL_OK);
    measure(values, 40000, &mean, &std, &most);
    /* Cut at 2 of the inner normal's deviations, 3 / 0.87963; five standard errors. */
    assert_true(most <= 2.0 * 3.0 / 0.8796256 && most > 6.75);
    assert_true(fabs(mean) < 0.075 && fabs(std - 3.0) < 0.053);
    mdl_weights_destroy(&drawn);
    mdl_graph_destroy(wide);
}

static void copy_and_arena(void **state)
{
    (void)state;
    static double file[13000], ours[13000];
    assert_int_equal(mdl_weights_init(graph, 9, &weights), MDL_OK);
    assert_int_equal(mdl_weights_copy(&other, &weights), MDL_OK);
    assert_same_buffers(weights.params, other.params);
    assert_same_buffers(weights.buffers, other.buffers);
    assert_int_equal(mdl_arena_save(path, graph, weights.params), MDL_OK);
    assert_int_equal(mdl_tensors_load(path, &opened), MDL_OK);
    assert_int_equal(opened->n_tensors, mdl_graph_param_count(graph));
    mdl_file_tensor_get(mdl_tensors_find(opened, "bn.weight"), file);
    download(weights.params, find("bn.weight"), ours);
    assert_memory_equal(file, ours, 5 * sizeof(double));
}

/* Write a checkpoint, then again with one change in its tensors, and load that. */
enum { MAX_TENSORS = 16 };
static mdl_status load_changed(const char *name, void (*change)(mdl_file_tensor *tensor), bool drop)
{
    const mdl_checkpoint_info info = {.config = NULL};
    mdl_file_tensor tensors[MAX_TENSORS];
    size_t n = 0;
    assert_int_equal(mdl_weights_save(path, graph, &weights, &info), MDL_OK);
    assert_int_equal(mdl_tensors_load(path, &opened), MDL_OK);
    assert_in_range(opened->n_tensors, 1, MAX_TENSORS);
    for (size_t i = 0; i < opened->n_tensors; i++) {
        tensors[n] = opened->tensors[i];
        if (strcmp(tensors[n].name, name) == 0) {
            if (drop)
                continue;
            change(&tensors[n]);
        }
        n++;
    }
    assert_int_equal(mdl_safetensors_write(path, tensors, n, NULL, NULL, 0), MDL_OK);
    mdl_tensors_close(opened);
    assert_int_equal(mdl_tensors_load(path, &opened), MDL_OK);
    mdl_status status = mdl_weights_load(opened, path, graph, &other);
    mdl_tensors_close(opened);
    opened = NULL;
    return status;
}

static void rename_it(mdl_file_tensor *tensor)
{
    static char name[] = "renamed";
    tensor->name = name;
}

static void transpose_it(mdl_file_tensor *tensor)
{
    size_t first = tensor->dim[0];
    tensor->dim[0] = tensor->dim[1];
    tensor->dim[1] = first;
}

static void flatten_it(mdl_file_tensor *tensor)
{
    tensor->rank = 1;
    tensor->dim[0] = tensor->count;
}

static void make_integers(mdl_file_tensor *tensor)
{
    tensor->type = MDL_FILE_I32;
}

static void files_of_other_models(void **state)
{
    (void)state;
    assert_int_equal(mdl_weights_init(graph, 10, &weights), MDL_OK);
    assert_int_equal(load_changed("bn.num_batches_tracked", NULL, true), MDL_OK);
    assert_same_buffers(weights.params, other.params);

    assert_int_equal(mdl_weights_init(graph, 11, &weights), MDL_OK);
    assert_int_equal(load_changed("pw.weight", NULL, true), MDL_SHAPE);
    assert_non_null(strstr(mdl_error_detail(), "1 missing: pw.weight"));
    assert_int_equal(load_changed("bn.running_mean", NULL, true), MDL_SHAPE);
    assert_non_null(strstr(mdl_error_detail(), "1 missing: bn.running_mean"));
    assert_int_equal(load_changed("fc.bias", rename_it, false), MDL_SHAPE);
    assert_non_null(strstr(mdl_error_detail(), "1 missing: fc.bias; 1 unexpected: renamed"));
    assert_int_equal(load_changed("fc.weight", transpose_it, false), MDL_SHAPE);
    assert_non_null(strstr(mdl_error_detail(), "expected [130, 100], the file has"));
    assert_int_equal(load_changed("conv.weight", flatten_it, false), MDL_SHAPE);
    assert_non_null(strstr(mdl_error_detail(), "[120]"));
    assert_int_equal(load_changed("bn.bias", make_integers, false), MDL_SHAPE);
    assert_non_null(strstr(mdl_error_detail(), "I32"));

    /* A refused file changes nothing: `other` still holds what was loaded first. */
    assert_int_equal(mdl_weights_init(graph, 10, &weights), MDL_OK);
    assert_same_buffers(weights.params, other.params);
}

/* Write `value` in the file's place `at` of a tensor. */
static double spoiled;
static size_t spoiled_at;
static void spoil(mdl_file_tensor *tensor)
{
    static float copy[16384];
    static double wide[16384];
    assert_in_range(tensor->count, 1, MDL_COUNT(copy));
    memcpy(copy, tensor->data, tensor->count * sizeof(*copy));
    copy[spoiled_at] = (float)spoiled;
    tensor->data = copy;
    if (isfinite((float)spoiled) || !isfinite(spoiled))
        return;
    for (size_t i = 0; i < tensor->count; i++) /* only a wider type can hold it */
        wide[i] = (double)copy[i];
    wide[spoiled_at] = spoiled;
    tensor->type = MDL_FILE_F64;
    tensor->data = wide;
}

static void values_that_are_no_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t at;
        double value;
        const char *says;
    } cases[] = {
        {"conv.weight", 119, (double)NAN, "conv.weight[4,3,2,1] is nan"},
        {"fc.weight", 102, (double)INFINITY, "fc.weight[1,2] is inf"},
        {"fc.bias", 0, -(double)INFINITY, "fc.bias[0] is -inf"},
        {"bn.running_mean", 1, (double)NAN, "bn.running_mean[1] is nan"},
        {"bn.running_var", 2, (double)INFINITY, "bn.running_var[2] is inf"},
        {"bn.running_var", 3, -1e-6, "bn.running_var[3] is -1e-06, and no variance is negative"},
        {"fc.weight", 1, 1e39, "fc.weight[0,1] is 1e+39, more than float32 can hold"},
    };
    for (size_t i = 0; i < MDL_COUNT(cases); i++) {
        assert_int_equal(mdl_weights_init(graph, 13, &weights), MDL_OK);
        assert_int_equal(mdl_weights_copy(&other, &weights), MDL_OK);
        spoiled = cases[i].value;
        spoiled_at = cases[i].at;
        assert_int_equal(load_changed(cases[i].name, spoil, false), MDL_NUMERIC);
        if (strstr(mdl_error_detail(), cases[i].says) == NULL)
            fail_msg("\"%s\" is not in: %s", cases[i].says, mdl_error_detail());
        assert_non_null(strstr(mdl_error_detail(), path));
        assert_same_buffers(weights.params, other.params); /* nothing was loaded */
    }
    /* What could not be loaded is not written, and what was there stays. */
    const mdl_checkpoint_info info = {.config = NULL};
    assert_int_equal(mdl_weights_save(path, graph, &weights, &info), MDL_OK);
    assert_int_equal(mdl_weights_check(graph, &weights, "it"), MDL_OK);
    float bad = (float)NAN;
    mdl_view first = mdl_buffer_view(weights.params, 0, MDL_F32, MDL_SHAPE1(1));
    assert_int_equal(mdl_view_upload_f32(&first, &bad, 1), MDL_OK);
    assert_int_equal(mdl_weights_check(graph, &weights, "it"), MDL_NUMERIC);
    assert_non_null(strstr(mdl_error_detail(), "it: conv.weight[0,0,0,0] is nan"));
    assert_int_equal(mdl_weights_save(path, graph, &weights, &info), MDL_NUMERIC);
    assert_non_null(strstr(mdl_error_detail(), "not written"));
    assert_int_equal(mdl_tensors_load(path, &opened), MDL_OK);
    assert_int_equal(mdl_weights_load(opened, path, graph, &other), MDL_OK);
}

static void out_of_memory(void **state)
{
    (void)state;
    const mdl_checkpoint_info info = {.config = "x: 1\n"};
    assert_int_equal(mdl_weights_init(graph, 12, &weights), MDL_OK);
    unsigned long nth = 1;
    for (; nth < 1000; nth++) {
        mdl_alloc_fail_at(nth);
        mdl_status status = mdl_weights_save(path, graph, &weights, &info);
        mdl_alloc_fail_at(0);
        if (status == MDL_OK)
            break;
        assert_int_equal(status, MDL_NO_MEMORY);
        assert_int_equal(scratch_count(folder), 0);
    }
    assert_in_range(nth, 5, 999);
    assert_int_equal(mdl_tensors_load(path, &opened), MDL_OK);
    for (nth = 1; nth < 1000; nth++) {
        mdl_alloc_fail_at(nth);
        mdl_status status = mdl_weights_load(opened, path, graph, &other);
        mdl_alloc_fail_at(0);
        if (status == MDL_OK)
            break;
        assert_int_equal(status, MDL_NO_MEMORY);
    }
    assert_in_range(nth, 3, 999);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {"round_trip_f32", round_trip, set_up_f32, tear_down, NULL},
        {"round_trip_f64", round_trip, set_up_f64, tear_down, NULL},
        {"layout_f32", layout_of_each_role, set_up_f32, tear_down, NULL},
        {"layout_f64", layout_of_each_role, set_up_f64, tear_down, NULL},
        cmocka_unit_test_setup_teardown(initial_values, set_up_f64, tear_down),
        cmocka_unit_test_setup_teardown(truncated_normal, set_up_f64, tear_down),
        cmocka_unit_test_setup_teardown(copy_and_arena, set_up_f32, tear_down),
        {"other_models_f32", files_of_other_models, set_up_f32, tear_down, NULL},
        cmocka_unit_test_setup_teardown(values_that_are_no_numbers, set_up_f32, tear_down),
        cmocka_unit_test_setup_teardown(out_of_memory, set_up_f32, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
