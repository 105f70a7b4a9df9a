/* Names as text: escaping to UTF-8 and back, truncation, control characters. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"

static const struct {
    const char *bytes, *utf8, *visible;
} cases[] = {
    {"", "", ""},
    {"plain/name.png", "plain/name.png", "plain/name.png"},
    {"caf\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80", "caf\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80",
     "caf\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80"},
    {"caf\xE9", "caf\\xE9", "caf\\xE9"},
    {"\xE9t\xE9", "\\xE9t\\xE9", "\\xE9t\\xE9"},
    {"C:\\dir", "C:\\dir", "C:\\dir"},
    {"a\\x41", "a\\x5Cx41", "a\\x5Cx41"},
    {"\\\\x", "\\\\x5Cx", "\\\\x5Cx"},
    {"\\\xFF", "\\\\xFF", "\\\\xFF"},
    {"\\", "\\", "\\"},
    {"a\nb\x1B[31m\x7F", "a\nb\x1B[31m\x7F", "a\\x0Ab\\x1B[31m\\x7F"},
    {"\xC2\x9B"
     "2J",
     "\xC2\x9B"
     "2J",
     "\\xC2\\x9B2J"},                                                     /* U+009B, a C1 control */
    {"\xC2\xA0", "\xC2\xA0", "\xC2\xA0"},                                 /* U+00A0 is none */
    {"\xC0\x80", "\\xC0\\x80", "\\xC0\\x80"},                             /* overlong */
    {"\xE0\x9F\xBF", "\\xE0\\x9F\\xBF", "\\xE0\\x9F\\xBF"},               /* overlong */
    {"\xED\xA0\x80", "\\xED\\xA0\\x80", "\\xED\\xA0\\x80"},               /* a surrogate */
    {"\xF4\x90\x80\x80", "\\xF4\\x90\\x80\\x80", "\\xF4\\x90\\x80\\x80"}, /* above U+10FFFF */
    {"\xE2\x82", "\\xE2\\x82", "\\xE2\\x82"},                             /* cut off */
    {"\xE2\x82x", "\\xE2\\x82x", "\\xE2\\x82x"},
};

static void names_are_escaped_and_come_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < MDL_COUNT(cases); i++) {
        for (int form = MDL_TEXT_UTF8; form <= MDL_TEXT_VISIBLE; form++) {
            const char *want = form == MDL_TEXT_UTF8 ? cases[i].utf8 : cases[i].visible;
            char *text;
            assert_int_equal(mdl_text_escaped(cases[i].bytes, (mdl_text_form)form, &text), MDL_OK);
            assert_string_equal(text, want);
            assert_true(mdl_text_is_utf8(text));
            mdl_text_unescape(text);
            assert_string_equal(text, cases[i].bytes);
            mdl_free(text);
        }
    }
}

static void utf8_is_known(void **state)
{
    (void)state;
    assert_true(mdl_text_is_utf8("") && mdl_text_is_utf8("a\\x41\n") &&
                mdl_text_is_utf8("\xC3\xA9"));
    assert_false(mdl_text_is_utf8("caf\xE9") || mdl_text_is_utf8("\xC0\x80"));
    assert_false(mdl_text_is_utf8("\xED\xA0\x80") || mdl_text_is_utf8("\xE2\x82"));
}

/* All names of two bytes, and many longer ones. */
static void every_name_comes_back(void **state)
{
    (void)state;
    mdl_rng rng = mdl_rng_init(12, 1);
    for (unsigned i = 0; i < 65536 + 50000; i++) {
        static const char often[] = "\\x5CE\xC3\xA9\x9B\n";
        char name[9] = {0}, text[64];
        if (i < 65536) {
            name[0] = (char)(i & 255);
            name[1] = (char)(i >> 8);
        } else {
            for (size_t k = 0; k < sizeof(name) - 1; k++)
                name[k] = often[mdl_rng_below(&rng, sizeof(often))];
        }
        for (int form = MDL_TEXT_UTF8; form <= MDL_TEXT_VISIBLE; form++) {
            size_t length = mdl_text_escape(name, (mdl_text_form)form, text, sizeof(text));
            assert_int_equal(length, strlen(text));
            assert_true(mdl_text_is_utf8(text));
            for (size_t k = 0; form == MDL_TEXT_VISIBLE && k < length; k++)
                assert_true((unsigned char)text[k] >= 0x20 && text[k] != 0x7F);
            mdl_text_unescape(text);
            assert_string_equal(text, name);
        }
    }
}

static void no_escape_is_cut(void **state)
{
    (void)state;
    const char *name = "a\xE9\xE2\x82\xAC"; /* a \xE9 and the euro */
    const char *want[] = {"",  "",       "a",      "a",      "a",
                          "a", "a\\xE9", "a\\xE9", "a\\xE9", "a\\xE9\xE2\x82\xAC"};
    assert_int_equal(mdl_text_escape(name, MDL_TEXT_UTF8, NULL, 0), 8);
    for (size_t size = 1; size < MDL_COUNT(want); size++) {
        char text[16];
        memset(text, '#', sizeof(text));
        assert_int_equal(mdl_text_escape(name, MDL_TEXT_UTF8, text, size), 8);
        assert_string_equal(text, want[size]);
        assert_int_equal(text[size], '#');
    }
}

static void what_is_no_escape_stays(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"\\x", "\\x"}, {"\\x4", "\\x4"}, {"\\xG1", "\\xG1"}, {"\\x00", "\\x00"}, {"\\xe9", "\xE9"},
    };
    for (size_t i = 0; i < MDL_COUNT(pairs); i++) {
        char text[8];
        strcpy(text, pairs[i][0]);
        mdl_text_unescape(text);
        assert_string_equal(text, pairs[i][1]);
    }
    mdl_alloc_fail_at(1);
    char *copy;
    assert_int_equal(mdl_text_escaped("x", MDL_TEXT_UTF8, &copy), MDL_NO_MEMORY);
    assert_null(copy);
    mdl_alloc_fail_at(0);
}

static void times_are_text(void **state)
{
    (void)state;
    static const struct {
        double seconds;
        const char *text;
    } times[] = {{(double)NAN, "0.0 s"},  {-1, "0.0 s"},        {1e300, "0.0 s"},
                 {0.04, "0.0 s"},         {31.44, "31.4 s"},    {59.6, "1 m 00 s"},
                 {192.4, "3 m 12 s"},     {3599.7, "1 h 00 m"}, {3725, "1 h 02 m"},
                 {4049564, "1124 h 52 m"}};
    char text[32];
    for (size_t i = 0; i < MDL_COUNT(times); i++)
        assert_string_equal(mdl_duration(times[i].seconds, text), times[i].text);
}

static void endings_are_found(void **state)
{
    size_t before = 7;
    (void)state;
    assert_true(mdl_text_ends("model.index.json", ".index.json", &before));
    assert_int_equal(before, 5);
    assert_true(mdl_text_ends(".json", ".json", &before));
    assert_int_equal(before, 0);
    assert_true(mdl_text_ends("a", "", NULL));
    before = 7;
    assert_false(mdl_text_ends("json", ".json", &before));
    assert_false(mdl_text_ends("a.JSON", ".json", &before));
    assert_false(mdl_text_ends("a.json.x", ".json", &before));
    assert_int_equal(before, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_escaped_and_come_back),
        cmocka_unit_test(utf8_is_known),
        cmocka_unit_test(every_name_comes_back),
        cmocka_unit_test(no_escape_is_cut),
        cmocka_unit_test(what_is_no_escape_stays),
        cmocka_unit_test(times_are_text),
        cmocka_unit_test(endings_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
