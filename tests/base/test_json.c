/* JSON: what is built and printed, and that every failed allocation, of building, printing and
 * reading, is told as lack of memory. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/base.h"

static int hook_off(void **state)
{
    (void)state;
    mdl_alloc_fail_at(0);
    return 0;
}

/* Print a value, which is taken. */
static void assert_prints(json_t *value, size_t flags, const char *want)
{
    char *text;
    assert_int_equal(mdl_json_text(value, flags, &text), MDL_OK);
    assert_string_equal(text, want);
    mdl_free(text);
    json_decref(value);
}

static void values_are_packed(void **state)
{
    (void)state;
    json_t *inner = mdl_json_pack("[i, i]", 1, -2);
    assert_prints(
        mdl_json_pack("{s:s, s:I, s:i, s:f, s:b, s:n, s:o, s:[I, I], s:{s:s}, s:[], s:{}}", "s",
                      "text", "I", 1LL << 40, "i", -3, "f", 0.1, "b", 7, "n", "o",
                      mdl_json_pack("{}"), "list", 4LL, 5LL, "map", "k", "v", "e", "o2"),
        JSON_COMPACT,
        "{\"s\":\"text\",\"I\":1099511627776,\"i\":-3,\"f\":0.10000000000000001,"
        "\"b\":true,\"n\":null,\"o\":{},\"list\":[4,5],\"map\":{\"k\":\"v\"},\"e\":[],"
        "\"o2\":{}}");
    assert_prints(mdl_json_pack("[O,O]", inner, inner), 0, "[[1, -2], [1, -2]]");
    assert_prints(inner, JSON_INDENT(1), "[\n 1,\n -2\n]");
    assert_prints(mdl_json_pack("s", "alone"), 0, "\"alone\"");
    assert_prints(mdl_json_pack("s", NULL), 0, "null");
}

static void what_json_lacks_is_null_or_escaped(void **state)
{
    (void)state;
    assert_prints(
        mdl_json_pack("[f, f, f, f]", (double)NAN, (double)INFINITY, (double)-INFINITY, 1.5),
        JSON_COMPACT, "[null,null,null,1.5]");
    assert_prints(mdl_json_pack("{s:s, s:s}", "caf\xE9", "a\nb\x1B\"\xFF", "k", "\xC3\xA9 \\x41"),
                  JSON_COMPACT,
                  "{\"caf\\\\xE9\":\"a\\nb\\u001B\\\"\\\\xFF\",\"k\":\"\xC3\xA9 \\\\x5Cx41\"}");
    char number[MDL_JSON_NUMBER], *quoted;
    assert_string_equal(mdl_json_number(0.1, number), "0.1");
    assert_string_equal(mdl_json_number(-1e300, number), "-1e+300");
    assert_string_equal(mdl_json_number((double)NAN, number), "null");
    assert_string_equal(mdl_json_number(-(double)INFINITY, number), "null");
    assert_int_equal(mdl_json_quoted("a\"\n\xE9", &quoted), MDL_OK);
    assert_string_equal(quoted, "\"a\\\"\\n\\\\xE9\"");
    mdl_free(quoted);
}

static void null_goes_to_the_top(void **state)
{
    (void)state;
    char *text = (char *)state; /* not NULL */
    json_t *list = mdl_json_pack("[]"), *map = mdl_json_pack("{}");
    mdl_json_append(&list, NULL);
    assert_null(list);
    mdl_json_append(&list, mdl_json_pack("i", 1));
    assert_null(list);
    mdl_json_set(&map, "k", list);
    assert_null(map);
    mdl_json_set(&map, "k", mdl_json_pack("i", 1));
    json_t *root = mdl_json_pack("{s:o, s:s}", "map", map, "s", "t");
    assert_null(root);
    assert_int_equal(mdl_json_text(root, 0, &text), MDL_NO_MEMORY);
    assert_null(text);
    assert_non_null(strstr(mdl_error_detail(), "out of memory"));
    assert_int_equal(mdl_json_write("/nonexistent/x.json", root, 0), MDL_NO_MEMORY);
}

static json_t *build(void)
{
    json_t *list = mdl_json_pack("[]");
    for (int i = 0; i < 20; i++) {
        json_t *row =
            mdl_json_pack("{s:i, s:s, s:[f, f]}", "i", i, "name", "caf\xE9", "p", 0.5, 1.5);
        mdl_json_append(&list, row);
    }
    json_t *map = mdl_json_pack("{}");
    for (int i = 0; i < 20; i++) {
        char key[16];
        snprintf(key, sizeof(key), "key%d\xFF", i);
        mdl_json_set(&map, key, mdl_json_pack("b", i & 1));
    }
    return mdl_json_pack("{s:o, s:o}", "list", list, "map", map);
}

static void no_failed_allocation_is_lost(void **state)
{
    (void)state;
    char *want, *text;
    json_t *value = build();
    assert_int_equal(mdl_json_text(value, JSON_INDENT(1) | JSON_SORT_KEYS, &want), MDL_OK);
    json_decref(value);
    unsigned long nth = 1;
    for (bool failed = true; failed; nth++) {
        mdl_alloc_fail_at(nth);
        value = build();
        mdl_status status = mdl_json_text(value, JSON_INDENT(1) | JSON_SORT_KEYS, &text);
        json_decref(value);
        failed = status != MDL_OK;
        assert_int_equal(status, failed ? MDL_NO_MEMORY : MDL_OK);
        mdl_alloc_fail_at(0);
    }
    assert_in_range(nth, 200, 2000);
    assert_string_equal(text, want);
    mdl_free(text);
    mdl_free(want);
}

/* Long tokens of each kind: jansson's buffer grows in their middle. */
static void reading_says_lack_of_memory(void **state)
{
    (void)state;
    char text[2048], *p = text;
    p += sprintf(p, "{\"a\": [true, false, null, 12345678901234567, -1.2345678901234567e-100, 0.");
    for (int i = 0; i < 300; i++)
        *p++ = (char)('0' + i % 10);
    p += sprintf(p, "], \"%0200d\": \"\\u00e9%0600d\", \"map\": {", 7, 8);
    for (int i = 0; i < 40; i++)
        p += sprintf(p, "%s\"k%d\": %d", i > 0 ? ", " : "", i, i);
    p += sprintf(p, "}}");
    json_t *want, *got;
    assert_int_equal(mdl_json_read(text, (size_t)(p - text), 0, &want), MDL_OK);
    unsigned long nth = 1;
    for (mdl_status status = MDL_NO_MEMORY; status != MDL_OK; nth++) {
        mdl_alloc_fail_at(nth);
        status = mdl_json_read(text, (size_t)(p - text), JSON_REJECT_DUPLICATES, &got);
        if (status != MDL_OK) {
            assert_int_equal(status, MDL_NO_MEMORY);
            assert_null(got);
            assert_non_null(strstr(mdl_error_detail(), "out of memory"));
        }
        mdl_alloc_fail_at(0);
    }
    assert_in_range(nth, 100, 1000);
    assert_true(json_equal(got, want));
    json_decref(got);
    json_decref(want);
}

static void faults_of_the_text_are_its_own(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "", "{", "{\"a\": uniform}", "[1, 2", "{\"a\\u0000\": 1}", "\"\xFF\"", "{\"a\":1} x",
    };
    for (size_t i = 0; i < MDL_COUNT(texts); i++) {
        json_t *value = NULL;
        assert_int_equal(mdl_json_read(texts[i], strlen(texts[i]), 0, &value), MDL_FORMAT);
        assert_null(value);
        assert_non_null(strstr(mdl_error_detail(), "line 1"));
    }
    char path[] = "/tmp/mendel-json-XXXXXX";
    int descriptor = mkstemp(path);
    assert_true(descriptor >= 0 && write(descriptor, "{\"a\": [1]}", 10) == 10);
    close(descriptor);
    json_t *value;
    assert_int_equal(mdl_json_read_file(path, 9, 0, &value), MDL_FORMAT);
    assert_int_equal(mdl_json_read_file(path, 0, 0, &value), MDL_OK);
    assert_int_equal(mdl_json_write(path, value, JSON_COMPACT), MDL_OK);
    json_decref(value);
    assert_int_equal(mdl_json_read_file(path, 10, 0, &value), MDL_OK);
    assert_prints(value, JSON_COMPACT, "{\"a\":[1]}");
    remove(path);
    assert_int_not_equal(mdl_json_read_file(path, 0, 0, &value), MDL_OK);
    assert_null(value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_packed),
        cmocka_unit_test(what_json_lacks_is_null_or_escaped),
        cmocka_unit_test(null_goes_to_the_top),
        cmocka_unit_test_teardown(no_failed_allocation_is_lost, hook_off),
        cmocka_unit_test_teardown(reading_says_lack_of_memory, hook_off),
        cmocka_unit_test(faults_of_the_text_are_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
