/* Merging tensor by tensor: selections, coefficients and conversions by hand, and a merge that is
 * interrupted at every place and goes on. */
#include <fcntl.h>
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "merge/tensors.h"
#include "scratch.h"

static char folder[256];

static void near(double got, double expected)
{
    if (!(fabs(got - expected) <= 1e-12 * fmax(1, fabs(expected))))
        fail_msg("got %.17g, expected %.17g", got, expected);
}

static int set_up(void **state)
{
    (void)state;
    mdl_context_reset(mdl_context_current());
    return scratch_create(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    mdl_context_reset(mdl_context_current());
    scratch_remove(folder);
    return 0;
}

/* ---- the k-th largest ----------------------------------------------------------------------- */

static int larger_first(const void *x, const void *y)
{
    float p = fabsf(*(const float *)x), q = fabsf(*(const float *)y);
    return (p < q) - (p > q);
}

/* Against sorting, with equal numbers, zeros, and numbers that share their upper half. */
static void selects_as_sorting_does(void **state)
{
    (void)state;
    enum { N = 5000 };
    static uint64_t bins[MDL__BINS];
    static float x[N], sorted[N];
    static const uint64_t ranks[] = {1, 2, 17, 2500, 4999, 5000};
    mdl_rng rng = mdl_rng_init(3, 1);
    for (size_t round = 0; round < 4; round++) {
        for (size_t i = 0; i < N; i++) {
            double normal = mdl_rng_normal(&rng);
            x[i] = (float)(round == 0   ? normal
                           : round == 1 ? floor(3 * normal)
                           : round == 2 ? 1 + normal * 1e-6
                                        : normal * exp(30 * mdl_rng_normal(&rng)));
        }
        memcpy(sorted, x, sizeof(x));
        qsort(sorted, N, sizeof(*sorted), larger_first);
        for (size_t r = 0; r < MDL_COUNT(ranks); r++) {
            mdl__select select;
            mdl__select_begin(&select, ranks[r], bins);
            for (size_t pass = 0; pass < 2; pass++) {
                mdl__select_add(&select, x, 1234);
                mdl__select_add(&select, x + 1234, N - 1234);
                mdl__select_next(&select);
            }
            assert_true(select.least == fabsf(sorted[ranks[r] - 1]));
        }
    }
    mdl__select none;
    mdl__select_begin(&none, 0, bins);
    for (size_t pass = 0; pass < 2; pass++) {
        mdl__select_add(&none, x, N);
        mdl__select_next(&none);
    }
    assert_true(isinf(none.least));
}

/* ---- coefficients --------------------------------------------------------------------------- */

static void coefficients(void **state)
{
    (void)state;
    mdl__given g = {.n = 2, .weight = {1, 3}, .ratio = 0.25, .straight = 0.9995, .scale = 2};
    double c[2], half = acos(0.5);
    const double dots[4] = {4, 3, 3, 9}; /* lengths 2 and 3, cosine 1/2 */
    mdl__formula_slerp.combine(&g, dots, c);
    near(c[0], sin(0.75 * half) / sin(half));
    near(c[1], sin(0.25 * half) / sin(half));
    const double close[4] = {1, 0.9996, 0.9996, 1}; /* linear above 0.9995 */
    mdl__formula_slerp.combine(&g, close, c);
    near(c[0], 0.75);
    near(c[1], 0.25);
    mdl__formula_nuslerp.combine(&g, dots, c); /* at 3/4 */
    near(c[1], sin(0.75 * half) / sin(half));
    g.normalize = true;
    mdl__formula_linear.combine(&g, NULL, c);
    near(c[0], 0.25);
    mdl__formula_task_arithmetic.combine(&g, NULL, c);
    near(c[1], 1.5);
    /* The mean of two on a sphere lies in their middle: half each where they are as long. */
    g.weight[1] = 1;
    const double alike[4] = {1, 0.5, 0.5, 1};
    mdl__formula_karcher.combine(&g, alike, c);
    near(c[0], 1 / sqrt(3)); /* 1 / |a + b| */
    near(c[1], 1 / sqrt(3));
    mdl__formula_multislerp.combine(&g, alike, c);
    near(c[0], 1 / sqrt(3));
    mdl__formula_model_stock.combine(&g, alike, c); /* t = 2 (1/2) / (1 + 1/2) */
    near(c[0], 1.0 / 3);
    const double nothing[4] = {0, 0, 0,
                               4}; /* one is zero: the other's direction, half its length */
    mdl__formula_karcher.combine(&g, nothing, c);
    near(c[0], 0);
    near(c[1], 0.5);
}

/* DELLA's chances: from density - epsilon for the least to density + epsilon for the largest. */
static void chances_by_rank(void **state)
{
    (void)state;
    const float x[] = {3, -1, 0.5F, 8, -9}, wide[] = {1, 5, 2, 4, 3, 3}; /* 3 rows of stride 2 */
    uint64_t room[5];
    float chances[6];
    mdl__rank_chances(x, 5, 5, 1, 0.5, 0.1, room, chances);
    const double expected[] = {0.5, 0.45, 0.4, 0.55, 0.6};
    for (size_t i = 0; i < 5; i++)
        assert_true(fabs((double)chances[i] - expected[i]) < 1e-7);
    mdl__rank_chances(wide, 6, 3, 2, 0.5, 0.1, room, chances);
    const double rows[] = {0.4, 0.6, 0.5, 0.5, 0.6, 0.4};
    for (size_t i = 0; i < 6; i++)
        assert_true(fabs((double)chances[i] - rows[i]) < 1e-7);
}

/* ---- types ---------------------------------------------------------------------------------- */

/* Every number of 16 bits comes back; what lies between is rounded to the nearest, to even. */
static void small_types(void **state)
{
    (void)state;
    static const mdl_file_type types[] = {MDL_FILE_F16, MDL_FILE_BF16};
    for (size_t k = 0; k < 2; k++)
        for (uint32_t bits = 0; bits < 0x10000; bits++) {
            uint16_t in = (uint16_t)bits, out;
            float x;
            mdl_file_to_float(types[k], &in, 1, &x);
            mdl_file_from_float(types[k], &x, 1, &out);
            assert_true(isnan(x) || out == in);
        }
    const struct {
        float x;
        uint16_t half, bfloat;
    } cases[] = {{1, 0x3C00, 0x3F80},
                 {-2, 0xC000, 0xC000},
                 {65504, 0x7BFF, 0x4780},
                 {65519, 0x7BFF, 0x4780},
                 {65520, 0x7C00, 0x4780},
                 {0x1p-24F, 1, 0x3380},
                 {0x1p-25F, 0, 0x3300},
                 {0x1.8p-24F, 2, 0x33C0},
                 {1 + 0x1p-11F, 0x3C00, 0x3F80},
                 {1 + 0x1.8p-10F, 0x3C02, 0x3F80},
                 {FLT_MAX, 0x7C00, 0x7F80}};
    for (size_t i = 0; i < MDL_COUNT(cases); i++) {
        uint16_t half, bfloat;
        mdl_file_from_float(MDL_FILE_F16, &cases[i].x, 1, &half);
        mdl_file_from_float(MDL_FILE_BF16, &cases[i].x, 1, &bfloat);
        if (half != cases[i].half || bfloat != cases[i].bfloat)
            fail_msg("%a: %04x and %04x", (double)cases[i].x, half, bfloat);
    }
}

/* ---- interruption --------------------------------------------------------------------------- */

enum { TENSORS = 9, SIDE = 40 };

static void write_checkpoint(const char *name, uint64_t seed, char path[MDL_PATH_MAX])
{
    static float values[TENSORS][SIDE * SIDE];
    static char names[TENSORS][16];
    mdl_file_tensor tensors[TENSORS];
    mdl_rng rng = mdl_rng_init(seed, 1);
    for (size_t t = 0; t < TENSORS; t++) {
        snprintf(names[t], sizeof(names[t]), "t%zu.weight", t);
        for (size_t i = 0; i < SIDE * SIDE; i++)
            values[t][i] = (float)mdl_rng_normal(&rng);
        tensors[t] = (mdl_file_tensor){.name = names[t],
                                       .type = MDL_FILE_F32,
                                       .rank = 2,
                                       .dim = {SIDE, SIDE},
                                       .data = values[t]};
    }
    assert_int_equal(mdl_path(path, MDL_PATH_MAX, folder, "%s", name), MDL_OK);
    assert_int_equal(mdl_safetensors_write(path, tensors, TENSORS, NULL, NULL, 0), MDL_OK);
}

static size_t calls, stop_at;

static void stop_there(void *user, double part, double seconds_left)
{
    (void)user;
    assert_true(part > 0 && part <= 1 && seconds_left >= 0);
    if (++calls == stop_at)
        mdl_context_stop(mdl_context_current());
}

static void same_files(const char *a, const char *b)
{
    char *x, *y;
    size_t n, m;
    assert_int_equal(mdl_file_read(a, 0, &x, &n), MDL_OK);
    assert_int_equal(mdl_file_read(b, 0, &y, &m), MDL_OK);
    assert_int_equal(n, m);
    assert_memory_equal(x, y, n);
    mdl_free(x);
    mdl_free(y);
}

/* Stopped after each look at a tensor, gone on with: the same bytes, in files of each number. */
static void goes_on_where_it_was_stopped(void **state)
{
    (void)state;
    char first[MDL_PATH_MAX], second[MDL_PATH_MAX], base[MDL_PATH_MAX], whole[MDL_PATH_MAX],
        parts[MDL_PATH_MAX], file[MDL_PATH_MAX], again[MDL_PATH_MAX];
    write_checkpoint("first.safetensors", 1, first);
    write_checkpoint("second.safetensors", 2, second);
    write_checkpoint("base.safetensors", 3, base);
    assert_int_equal(mdl_path(whole, sizeof(whole), folder, "whole.safetensors"), MDL_OK);
    assert_int_equal(mdl_path(parts, sizeof(parts), folder, "parts.safetensors"), MDL_OK);
    const char *parents[] = {first, second};
    const mdl_method *method = mdl_method_find("ties");
    mdl_method_options options = mdl_method_defaults(method);
    mdl_formula_config config = mdl_merge_config_default().formula;
    options.trunk = base;
    mdl_tensor_job job = {.method = method,
                          .options = &options,
                          .config = &config,
                          .parents = parents,
                          .n_parents = 2,
                          .threads = 1,
                          .shard_size = 4 * SIDE * SIDE * sizeof(float),
                          .progress = stop_there};
    mdl_tensor_result result;
    stop_at = SIZE_MAX;
    assert_int_equal(mdl_merge_tensors(&job, whole, &result), MDL_OK);
    assert_int_equal(result.files, 3);
    for (stop_at = 1; stop_at < 3 * TENSORS; stop_at += 2) {
        calls = 0;
        job.resume = false;
        assert_int_equal(mdl_merge_tensors(&job, parts, &result), MDL_CANCELLED);
        mdl_context_reset(mdl_context_current());
        size_t before = calls;
        calls = 0;
        stop_at += 1000;
        job.resume = true;
        job.threads = 2;
        assert_int_equal(mdl_merge_tensors(&job, parts, &result), MDL_OK);
        stop_at -= 1000;
        job.threads = 1;
        assert_true(before < 6 || calls < 3 * TENSORS); /* what was finished is not looked at */
        for (size_t i = 1; i <= 3; i++) {
            assert_int_equal(
                mdl_path(file, sizeof(file), folder, "whole-%05zu-of-00003.safetensors", i),
                MDL_OK);
            assert_int_equal(
                mdl_path(again, sizeof(again), folder, "parts-%05zu-of-00003.safetensors", i),
                MDL_OK);
            same_files(file, again);
            assert_int_equal(mdl_remove_file(again), MDL_OK);
        }
    }
    /* What another merge left is not gone on with. */
    calls = 0;
    stop_at = 10;
    job.resume = false;
    assert_int_equal(mdl_merge_tensors(&job, parts, &result), MDL_CANCELLED);
    mdl_context_reset(mdl_context_current());
    calls = 0;
    stop_at = SIZE_MAX;
    job.resume = true;
    options.density = 0.4;
    assert_int_equal(mdl_merge_tensors(&job, parts, &result), MDL_OK);
    assert_int_equal(calls, 3 * TENSORS);
}

/* Whether a merge that was stopped after ten looks goes on, where meanwhile the first input was
 * replaced: by other values or the same, with its old time or a new one. */
static bool goes_on(mdl_tensor_job *job, const char *path, uint64_t seed, bool old_time)
{
    char first[MDL_PATH_MAX];
    struct stat before;
    mdl_tensor_result result;
    calls = 0;
    stop_at = 10;
    job->resume = false;
    assert_int_equal(mdl_merge_tensors(job, path, &result), MDL_CANCELLED);
    mdl_context_reset(mdl_context_current());
    assert_int_equal(stat(job->parents[0], &before), 0);
    write_checkpoint("first.safetensors", seed, first);
    struct timespec times[2] = {before.st_atim, before.st_mtim};
    times[1].tv_sec += old_time ? 0 : 10;
    assert_int_equal(utimensat(AT_FDCWD, first, times, 0), 0);
    calls = 0;
    stop_at = SIZE_MAX;
    job->resume = true;
    assert_int_equal(mdl_merge_tensors(job, path, &result), MDL_OK);
    write_checkpoint("first.safetensors", 1, first);
    return calls < 3 * TENSORS;
}

/* What an input is follows from its contents, not from its time, unless nobody wants checksums. */
static void inputs_are_known_by_their_contents(void **state)
{
    (void)state;
    char first[MDL_PATH_MAX], second[MDL_PATH_MAX], base[MDL_PATH_MAX], path[MDL_PATH_MAX],
        record[MDL_PATH_MAX], expected[128], digest[65], *text;
    size_t size;
    write_checkpoint("first.safetensors", 1, first);
    write_checkpoint("second.safetensors", 2, second);
    write_checkpoint("base.safetensors", 3, base);
    assert_int_equal(mdl_path(path, sizeof(path), folder, "out.safetensors"), MDL_OK);
    assert_int_equal(mdl_path(record, sizeof(record), folder, "out.safetensors.yaml"), MDL_OK);
    const char *parents[] = {first, second};
    const mdl_method *method = mdl_method_find("ties");
    mdl_method_options options = mdl_method_defaults(method);
    mdl_formula_config config = mdl_merge_config_default().formula;
    options.trunk = base;
    mdl_tensor_job job = {.method = method,
                          .options = &options,
                          .config = &config,
                          .parents = parents,
                          .n_parents = 2,
                          .threads = 1,
                          .record = true,
                          .progress = stop_there};
    assert_true(goes_on(&job, path, 1, true));
    assert_true(goes_on(&job, path, 1, false));
    assert_false(goes_on(&job, path, 4, true));
    assert_false(goes_on(&job, path, 4, false));
    const char *const inputs[] = {second, base};
    assert_int_equal(mdl_file_read(record, 0, &text, &size), MDL_OK);
    for (size_t i = 0; i < MDL_COUNT(inputs); i++) {
        char *bytes;
        size_t n;
        assert_int_equal(mdl_file_read(inputs[i], 0, &bytes, &n), MDL_OK);
        assert_int_equal(mdl_sha256_hex(bytes, n, digest), MDL_OK);
        mdl_free(bytes);
        snprintf(expected, sizeof(expected), "    bytes: %zu\n    sha256: %s\n", n, digest);
        assert_non_null(strstr(text, expected));
    }
    mdl_free(text);
    config.checksums = false;
    assert_true(goes_on(&job, path, 4, true));
    assert_false(goes_on(&job, path, 1, false));
    assert_int_equal(mdl_file_read(record, 0, &text, &size), MDL_OK);
    assert_null(strstr(text, "sha256"));
    mdl_free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(selects_as_sorting_does),
        cmocka_unit_test(coefficients),
        cmocka_unit_test(chances_by_rank),
        cmocka_unit_test(small_types),
        cmocka_unit_test_setup_teardown(goes_on_where_it_was_stopped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(inputs_are_known_by_their_contents, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
