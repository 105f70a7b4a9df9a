/* What a configuration accepts can be read again: for every key of the table and every value that
 * is taken, what a run writes (config.yaml, a checkpoint's metadata) gives the same bytes of the
 * struct when it is read.  And what nobody can mean is refused, soon, with its line. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/config_internal.h"

static mdl_config config;

static int fresh(void **state)
{
    (void)state;
    config = mdl_config_default();
    return 0;
}

/* ---- round trips ---------------------------------------------------------------------------- */

static void assert_same(const mdl_config *a, const mdl_config *b, unsigned flags, const char *text)
{
    for (size_t i = 0; i < mdl__key_total; i++) {
        const mdl__key *key = &mdl__keys[i];
        if ((key->flags & flags) == flags &&
            memcmp((const char *)a + key->offset, (const char *)b + key->offset,
                   mdl__key_size(key)) != 0)
            fail_msg("%s differs after reading\n%s", key->name, text);
    }
    assert_int_equal(mdl__augment_of(&a->data), mdl__augment_of(&b->data));
}

static void read_back(const mdl_config *written)
{
    char *text, *again;
    mdl_config back = mdl_config_default();
    assert_int_equal(mdl_config_text(written, &text), MDL_OK);
    if (mdl_config_parse(text, strlen(text), "dump", &back) != MDL_OK)
        fail_msg("%s\n%s", mdl_error_detail(), text);
    assert_same(written, &back, 0, text);
    assert_int_equal(mdl_config_text(&back, &again), MDL_OK);
    assert_string_equal(text, again);
    mdl_free(text);
    mdl_free(again);
    back = mdl_config_default();
    assert_int_equal(mdl_config_model_text(written, &text), MDL_OK);
    if (mdl_config_parse(text, strlen(text), "checkpoint", &back) != MDL_OK)
        fail_msg("%s\n%s", mdl_error_detail(), text);
    back.data.crop_padding = written->data.crop_padding; /* not in a checkpoint, but in the view */
    back.data.flip = written->data.flip;
    back.data.cutout = written->data.cutout;
    back.data.resized_crop = written->data.resized_crop;
    assert_same(written, &back, MDL__KEY_IN_CHECKPOINT, text);
    mdl_free(text);
}

/* Whether `value` is taken for the key; then it comes back. */
static bool try_value(const char *name, const char *value)
{
    char assignment[20000];
    mdl_config before = mdl_config_default();
    config = before;
    snprintf(assignment, sizeof(assignment), "%s=%s", name, value);
    mdl_status status = mdl_config_assign(&config, assignment);
    if (status != MDL_OK) {
        assert_int_equal(status, MDL_CONFIG);
        assert_true(strlen(mdl_error_detail()) > 10);
        assert_memory_equal(&config, &before, sizeof(config));
        return false;
    }
    read_back(&config);
    return true;
}

static const char *const nasty[] = {
    "",
    " ",
    "0",
    "-0",
    "1",
    "2",
    "7",
    "8",
    "16",
    "+1",
    "-1",
    "007",
    "00",
    "0x10",
    "0o17",
    "0b1",
    "1_000",
    "1,000",
    "1e3",
    "1e999",
    "-1e999",
    "1e-999",
    "4.9e-324",
    "0.1",
    ".5",
    "5.",
    ".",
    "e",
    "+",
    "-",
    "+-1",
    "1e",
    "0.30000000000000004",
    "0.1234567890123456789",
    "nan",
    ".nan",
    "inf",
    ".inf",
    "-.inf",
    "Infinity",
    "9007199254740992",
    "9007199254740993",
    "18446744073709551615",
    "18446744073709551616",
    "99999999999999999999999999999999",
    "true",
    "false",
    "yes",
    "no",
    "on",
    "off",
    "True",
    "NO",
    "null",
    "~",
    "Null",
    "[]",
    "{}",
    "[1]",
    "[1, 2]",
    "{a: 1}",
    "[[1]]",
    "[1,2,1,2,1,2,1]",
    "[1,2,1,2,1,2,01]",
    "[crop]",
    "[crop, flip, cutout]",
    "[normalize]",
    "crop",
    "\"3\"",
    "'3'",
    "\"\"",
    "''",
    "\"\\0\"",
    "\"1\\0\"",
    "\"a\\0b\"",
    "!!int 3",
    "!!str 3",
    "!x y",
    "&a b",
    "*a",
    "- a",
    "a: b",
    "? a",
    "# a",
    "a # b",
    "a#b",
    "'a # b'",
    "%a",
    "@a",
    "`a",
    "|",
    ">",
    "--- a",
    "...",
    "'...'",
    "\"a\\nb\"",
    "\"\\r\"",
    "\"\\t a \"",
    "' a '",
    "\" \"",
    "\"'\"",
    "'\"'",
    "'it''s'",
    "\"\\\\\"",
    "\\",
    "a\\",
    "\"a\\\\x41\"",
    "a\\x41",
    "a\\x5Cx41",
    "a\\x",
    "a\\x4",
    "a\\xZZ",
    "a\\x00b",
    "\"idx:/x\\x81\"",
    "\"\\x85\"",
    "\"\\x9f\"",
    "\"\\xa0\"",
    "\"\\u2028\"",
    "\"\\u2029\"",
    "\"\\ufeff\"",
    "\"\\ufffe\"",
    "\"\\uffff\"",
    "\"\\U0010ffff\"",
    "\"\\ud800\"",
    "\"\\e[31m\"",
    "\"\\x7f\"",
    "\xC3\xA9",
    "\xE2\x82\xAC",
    "\xF0\x9F\x98\x80",
    "\x81",
    "a\xFF"
    "b",
    "\xED\xA0\x80",
    "\xC0\x80",
    "\xF5\x80\x80\x80",
    "\xE2\x82",
    "\"\x81\"",
    "a\nb",
    "\na",
    "a\n",
    "\ta",
    "a\tb",
    "\x01",
    "\x1b[31m",
    "\x7f",
    "\xC2\x81",
    "\xC2\x85",
    "\xEF\xBB\xBF"
    "a",
    "a:",
    ":a",
    ":",
    "::",
    "a:b",
    "folder:/a b/c",
    "folder:C:\\x41\\y",
    "2GiB",
    "1.5 GiB",
    "0.1kB",
    "999TiB",
    "1e9",
    "mlp",
    "hybrid",
    "efficientnet_lite0",
    "normal",
    "uniform",
    "constant",
    "float64",
    "mixed",
    "random",
    "niches",
    "line",
    "zero",
    "reflect",
    "refuse",
    "train",
    "probability",
    "grid",
    "attention",
    "stepwise",
    "pad",
    "native",
    "none",
    "unit",
    "alternating",
    "sgd",
    "step",
    "parts",
    "best",
    "recalibrate",
    "log_likelihood",
    "block",
    "fraction",
    "same",
    "random,ga,ties",
    "whole",
    "copy",
    "layers",
    "bfloat16",
};

static void every_key_with_nasty_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < mdl__key_total; i++) {
        size_t taken = 0;
        for (size_t j = 0; j < MDL_COUNT(nasty); j++)
            taken += try_value(mdl__keys[i].name, nasty[j]);
        if (taken == 0)
            fail_msg("%s takes nothing of all this", mdl__keys[i].name);
    }
}

/* The ends of each range are taken and come back; what is beyond is refused. */
static void ends_of_ranges(void **state)
{
    (void)state;
    char value[64];
    for (size_t i = 0; i < mdl__key_total; i++) {
        const mdl__key *key = &mdl__keys[i];
        if (key->type != MDL__KEY_SIZE && key->type != MDL__KEY_REAL)
            continue;
        for (int end = 0; end < 2; end++) {
            snprintf(value, sizeof(value), key->type == MDL__KEY_SIZE ? "%.0f" : "%.17g",
                     end == 0 ? key->min : key->max);
            assert_true(try_value(key->name, value));
            snprintf(value, sizeof(value), "%.17g", end == 0 ? key->min - 1 : 3 * key->max + 1);
            assert_false(try_value(key->name, value));
        }
    }
}

static void longest_texts(void **state)
{
    (void)state;
    static const char *const units[] = {"a", "\x81", "\\", "\x01", "\xC2\x85", "\\x"};
    for (size_t i = 0; i < mdl__key_total; i++) {
        const mdl__key *key = &mdl__keys[i];
        for (size_t u = 0; u < MDL_COUNT(units) && key->type == MDL__KEY_TEXT; u++) {
            char value[2 * MDL_PATH_MAX] = "";
            size_t room = (size_t)key->max, n = strlen(units[u]);
            for (size_t at = 0; at + n < room; at += n)
                memcpy(value + at, units[u], n);
            config = mdl_config_default();
            assert_int_equal(mdl_config_set_text(&config, key->name, value), MDL_OK);
            assert_string_equal((char *)&config + key->offset, value);
            read_back(&config);
            memset(value, 'a', room);
            assert_int_equal(mdl_config_set_text(&config, key->name, value), MDL_CONFIG);
        }
    }
    /* All of them at once are still a configuration. */
    for (size_t i = 0; i < mdl__key_total; i++) {
        static char value[2 * MDL_PATH_MAX];
        memset(value, 0, sizeof(value));
        if (mdl__keys[i].type != MDL__KEY_TEXT)
            continue;
        memset(value, 0x81, (size_t)mdl__keys[i].max - 1);
        assert_int_equal(mdl_config_set_text(&config, mdl__keys[i].name, value), MDL_OK);
    }
    read_back(&config);
}

/* Seeded bytes of all kinds as a name, as --set takes it, and as a double. */
static void random_bytes(void **state)
{
    (void)state;
    static const char *const pieces[] = {"\\",       "x",    "\\x",          "\"", "'", " ",
                                         ":",        "#",    "\n",           "8",  "F", "\xC2",
                                         "\xE2\x80", "\xA8", "\xEF\xBF\xBE", "/",  "a"};
    const char *text = getenv("MDL_TEST_SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 10) : 12;
    print_message("seed %" PRIu64 "\n", seed);
    mdl_rng rng = mdl_rng_init(seed, 1);
    for (int round = 0; round < 500; round++) {
        char value[200] = "", number[64];
        size_t length = 0, parts = mdl_rng_below(&rng, 24);
        for (size_t i = 0; i < parts; i++) {
            char any[2] = {(char)(1 + mdl_rng_below(&rng, 255)), '\0'};
            size_t which = mdl_rng_below(&rng, 2 * MDL_COUNT(pieces));
            const char *piece = which < MDL_COUNT(pieces) ? pieces[which] : any;
            length += (size_t)snprintf(value + length, sizeof(value) - length, "%s", piece);
        }
        config = mdl_config_default();
        assert_int_equal(mdl_config_set_text(&config, "data.source", value), MDL_OK);
        assert_string_equal(config.data.source, value);
        read_back(&config);
        try_value("data.source", value);
        union {
            uint64_t bits;
            double value;
        } real = {.bits = (uint64_t)mdl_rng_u32(&rng) << 32 | mdl_rng_u32(&rng)};
        snprintf(number, sizeof(number), "%.17g", real.value);
        try_value("optim.lr", number);
        snprintf(number, sizeof(number), "%.17g", mdl_rng_uniform(&rng));
        assert_true(try_value("optim.lr", number));
    }
}

/* ---- what is refused ------------------------------------------------------------------------ */

static void expect(const char *text, size_t size, const char *said)
{
    config = mdl_config_default();
    assert_int_equal(mdl_config_parse(text, size, "a.yaml", &config), MDL_CONFIG);
    if (strstr(mdl_error_detail(), said) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", said, mdl_error_detail());
}

/* Each would take libyaml from seconds to minutes. */
static void hostile_text_is_refused_at_once(void **state)
{
    (void)state;
    enum { ROOM = 400000 };
    static char text[ROOM];
    static const struct {
        const char *piece, *said;
    } cases[] = {
        {"[", "nested more than 32 deep"},    {"{", "nested more than 32 deep"},
        {"- ", "nested more than 32 deep"},   {"? ", "nested more than 32 deep"},
        {"[a, ", "nested more than 32 deep"}, {"{a: ", "nested more than 32 deep"},
        {"%TAG !a! b\n", "as directives do"}, {"%YAML 1.1\n", "as directives do"},
    };
    for (size_t i = 0; i < MDL_COUNT(cases); i++) {
        size_t n = strlen(cases[i].piece), size = 0;
        for (; size + n <= 200000; size += n)
            memcpy(text + size, cases[i].piece, n);
        expect(text, size, cases[i].said);
    }
    expect(text, 300000, "expected at most 262144");
    size_t size = (size_t)snprintf(text, ROOM, "data.augment: [");
    for (int i = 0; i < 20000; i++)
        size += (size_t)snprintf(text + size, ROOM - size, "&a%d b,", i);
    expect(text, size, "more than 64 anchors");
    /* Aliases are not copied: a list of lists of lists stays as small as it is written. */
    static const char *const shared = "a: &a [x,x,x,x]\nb: &b [*a,*a,*a]\nc: &c [*b,*b,*b]\n";
    expect(shared, strlen(shared), "a: no such key");
}

static void doubled_keys_are_refused_with_both_lines(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"optim:\n  lr: 1\n  beta1: 0.5\n  lr: 2\n",
         "a.yaml:4: optim.lr: set twice, first in line 2"},
        {"optim: {lr: 1, lr: 1}\n", "a.yaml:1: optim.lr: set twice, first in line 1"},
        {"optim:\n  lr: 1\ntrain:\noptim:\n  beta1: 0.5\n",
         "a.yaml:4: optim: this section is there twice, first in line 1"},
        {"optim:\noptim:\n", "a.yaml:2: optim: this section is there twice, first in line 1"},
        {"\"optim.lr\\0\": 1\n", "a.yaml:1: optim.lr: the name of a key has a NUL"},
        {"optim.lr: 0100\n", "a.yaml:1: optim.lr: expected a number from 0 to 1000, got 0100"},
        {"train.epochs: 0100\n", "a.yaml:1: train.epochs: expected an integer from 1"},
        {"optim.nesterov: \"true\\0x\"\n", "a.yaml:1: optim.nesterov: the value has a NUL"},
        {"data.source: \x81\n", "as a backslash, x and two hexadecimal"},
    };
    for (size_t i = 0; i < MDL_COUNT(cases); i++)
        expect(cases[i][0], strlen(cases[i][0]), cases[i][1]);
}

/* An error that is found across keys has the line of the key that it names. */
static void lines_of_model_errors(void **state)
{
    (void)state;
    static const char *const text = "model:\n  kind: hybrid\n  head_hidden: 5\n";
    assert_int_equal(mdl_config_parse(text, strlen(text), "a.yaml", &config), MDL_OK);
    assert_int_equal(mdl_config_check(&config), MDL_CONFIG);
    assert_non_null(strstr(mdl_error_detail(), "a.yaml:3: model.head_hidden: expected 0"));
    config = mdl_config_default();
    static const char *const mix =
        "trm:\n  mix: attention\n  tokens: grid\n  dim: 48\nmodel.kind: hybrid\n";
    assert_int_equal(mdl_config_parse(mix, strlen(mix), "a.yaml", &config), MDL_OK);
    assert_int_equal(mdl_config_check(&config), MDL_CONFIG);
    assert_non_null(strstr(mdl_error_detail(), "a.yaml:4: trm.dim: with trm.mix"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(every_key_with_nasty_values, fresh),
        cmocka_unit_test_setup(ends_of_ranges, fresh),
        cmocka_unit_test_setup(longest_texts, fresh),
        cmocka_unit_test_setup(random_bytes, fresh),
        cmocka_unit_test_setup(hostile_text_is_refused_at_once, fresh),
        cmocka_unit_test_setup(doubled_keys_are_refused_with_both_lines, fresh),
        cmocka_unit_test_setup(lines_of_model_errors, fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
