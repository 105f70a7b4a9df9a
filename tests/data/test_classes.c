/* Matching the classes of data with those of a checkpoint by their names, and the hash by which
 * other images are noticed. */
#include "data/internal.h"
#include "small_jobs.h"

static mdl_data *data;

static int open_digits(void **state)
{
    (void)state;
    mdl_data_config config = mdl_data_config_default();
    return mdl_data_read(&config, &data) == MDL_OK ? 0 : -1;
}

static int close_data(void **state)
{
    (void)state;
    mdl_alloc_fail_at(0);
    mdl_data_close(data);
    data = NULL;
    return 0;
}

static void assert_detail(const char *text)
{
    if (strstr(mdl_error_detail(), text) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", text, mdl_error_detail());
}

static void another_order(void **state)
{
    (void)state;
    int32_t before[64];
    char *text;
    memcpy(before, data->train->labels, sizeof(before));
    must(mdl_classes_text(data, &text));
    assert_string_equal(text, "[\"0\",\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\"]");
    must(mdl_data_match_classes(data, text, "same"));
    assert_memory_equal(before, data->train->labels, sizeof(before));
    mdl_free(text);
    must(mdl_data_match_classes(
        data, "[\"9\",\"8\",\"7\",\"6\",\"5\",\"4\",\"3\",\"2\",\"1\",\"0\"]", "turned"));
    for (size_t i = 0; i < MDL_COUNT(before); i++)
        assert_int_equal(data->train->labels[i], 9 - before[i]);
    assert_string_equal(data->class_names[0], "9");
}

static void more_and_fewer(void **state)
{
    (void)state;
    int32_t first = data->test->labels[0];
    assert_int_equal(mdl_data_match_classes(data, "[\"0\",\"1\",\"x\"]", "few"), MDL_SHAPE);
    assert_detail("few does not have: 2, 3, 4, 5, 6, 7 and 2 more");
    assert_int_equal(data->classes, 10);
    assert_int_equal(data->test->labels[0], first); /* nothing half done */
    must(mdl_data_match_classes(data,
                                "[\"odd\",\"0\",\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\","
                                "\"9\",\"even\"]",
                                "more"));
    assert_int_equal(data->classes, 12);
    assert_int_equal(data->test->labels[0], first + 1);
    must(mdl_data_match_classes(data, NULL, "without")); /* its names must not be claimed */
    assert_null(data->class_names);
    assert_int_equal(mdl_data_match_classes(data, "[\"0\"]", "less"), MDL_SHAPE);
}

static void hostile_lists(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "{}",
        "[",
        "[]",
        "[1]",
        "[\"a\",[]]",
        "\"a\"",
        "null",
        "[\"a\"]x",
        "[\"a\",\"a\"]",
        "[\"\\\\x41\",\"A\"]",
        "[\"a\\u0000\"]",
    };
    for (size_t i = 0; i < MDL_COUNT(bad); i++) {
        assert_int_equal(mdl_data_match_classes(data, bad[i], "bad"), MDL_FORMAT);
        assert_detail("bad");
    }
    assert_int_equal(data->classes, 10);
}

static void two_lists(void **state)
{
    (void)state;
    must(mdl_classes_agree(NULL, "a", "[\"x\"]", "b"));
    must(mdl_classes_agree("[\"x\"]", "a", "[\"x\"]", "b"));
    must(mdl_classes_agree("[\"x\", \"y\"]", "a", "[\"x\",\"y\"]", "b")); /* written otherwise */
    assert_int_equal(mdl_classes_agree("[\"x\",\"y\"]", "a", "[\"y\",\"x\"]", "b"), MDL_SHAPE);
    assert_detail("in another order: where the first has x, y, the second has y, x");
    assert_int_equal(mdl_classes_agree("[\"x\",\"y\"]", "a", "[\"y\"]", "b"), MDL_SHAPE);
    assert_detail("only the first has x; only the second has none");
}

/* Every name comes back, whatever its bytes. */
static void odd_names(void **state)
{
    (void)state;
    static const char *const names[] = {"caf\xe9",  "\\x41",   "two\nlines",
                                        "\"q\",\\", "\x1b[0m", "\\\\x"};
    char *text;
    for (size_t i = 0; i < MDL_COUNT(names); i++) {
        mdl_free(data->class_names[i]);
        must(mdl_strdup(names[i], &data->class_names[i]));
    }
    must(mdl_classes_text(data, &text));
    assert_true(mdl_text_is_utf8(text));
    assert_null(strstr(text, "\\x")); /* a header would escape it once more */
    must(mdl_data_match_classes(data, text, "itself"));
    for (size_t i = 0; i < MDL_COUNT(names); i++)
        assert_string_equal(data->class_names[i], names[i]);
    mdl_free(text);
}

static void without_memory(void **state)
{
    (void)state;
    mdl_status status;
    unsigned long nth = 0;
    do {
        mdl_alloc_fail_at(++nth);
        status = mdl_data_match_classes(
            data, "[\"9\",\"8\",\"7\",\"6\",\"5\",\"4\",\"3\",\"2\",\"1\",\"0\"]", "turned");
        mdl_alloc_fail_at(0);
        assert_true(status == MDL_OK || status == MDL_NO_MEMORY);
    } while (status != MDL_OK);
    assert_true(nth > 10);
    assert_string_equal(data->class_names[0], "9");
}

/* Any pixel, label or name counts, and the same data has the same hash. */
static void hashes(void **state)
{
    (void)state;
    uint64_t hash = mdl__data_hash(data);
    size_t bytes = data->train->count * 64;
    assert_true(hash == data->hash && hash != 0);
    for (size_t at = 0; at < bytes; at += 997) {
        data->train->pixels[at] ^= 1;
        assert_true(mdl__data_hash(data) != hash);
        data->train->pixels[at] ^= 1;
    }
    data->test->labels[data->test->count - 1] ^= 1;
    assert_true(mdl__data_hash(data) != hash);
    data->test->labels[data->test->count - 1] ^= 1;
    data->class_names[3][0] = 'x';
    assert_true(mdl__data_hash(data) != hash);
    data->class_names[3][0] = '3';
    assert_true(mdl__data_hash(data) == hash);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_digits, close_data)
    const struct CMUnitTest tests[] = {
        TEST(another_order), TEST(more_and_fewer), TEST(hostile_lists), TEST(two_lists),
        TEST(odd_names),     TEST(without_memory), TEST(hashes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
