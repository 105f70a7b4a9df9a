/* The configuration: reading, messages (file, line, key, expected, nearest name), dump and read
 * back,
 * --set, checks across keys, hostile text. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "experiment/experiment.h"

static mdl_config config;

static int fresh(void **state)
{
    (void)state;
    config = mdl_config_default();
    return 0;
}

static mdl_status parse(const char *text)
{
    return mdl_config_parse(text, strlen(text), "a.yaml", &config);
}

static void sections_and_dotted_names(void **state)
{
    (void)state;
    assert_int_equal(parse("model:\n"
                           "  kind: hybrid\n"
                           "  strides: [1, 1, 2, 2, 1, 2, 1]\n"
                           "trm: {dim: 64, tokens: grid, halt: yes}\n"
                           "optim.lr: 3e-4 # dotted\n"
                           "data:\n"
                           "  source: \"cifar10:/a b/c\"\n"
                           "merge:\n"
                           "run: {seed: 18446744073709551615, memory_limit: 1.5 GiB, "
                           "precision: float64}\n"),
                     MDL_OK);
    assert_int_equal(config.model.kind, MDL_MODEL_HYBRID);
    assert_int_equal(config.model.strides[1], 1);
    assert_int_equal(config.model.strides[5], 2);
    assert_int_equal(config.model.trm.dim, 64);
    assert_int_equal(config.model.trm.tokens, MDL_TOKENS_GRID);
    assert_true(config.model.trm.halt);
    assert_true(config.train.optim.lr == 3e-4);
    assert_string_equal(config.data.source, "cifar10:/a b/c");
    assert_true(config.run.seed == UINT64_MAX);
    assert_int_equal(config.run.memory_limit, (size_t)3 << 29);
    assert_int_equal(config.train.precision, MDL_PRECISION_FLOAT64);
    assert_int_equal(parse(""), MDL_OK);
    assert_int_equal(parse("# nothing\n"), MDL_OK);
}

typedef struct refusal {
    const char *text;        /* YAML */
    const char *expected[3]; /* parts of the message */
} refusal;

static const refusal refusals[] = {
    {"optim:\n  lr: 0.1\n  learning_rate: 1\n", {"a.yaml:3: optim.learning_rate: no such key"}},
    {"optim:\n  wieght_decay: 1\n", {"a.yaml:2:", "did you mean optim.weight_decay?"}},
    {"lr: 1\n", {"a.yaml:1: lr:", "did you mean optim.lr?"}},
    {"train.lr: 1\n", {"a.yaml:1: train.lr:", "did you mean optim.lr?"}},
    {"trian:\n  epochs: 1\n", {"a.yaml:1: trian: no such key"}},
    {"\n\ntrain:\n  epochs: many\n", {"a.yaml:4: train.epochs: expected an integer", "got many"}},
    {"train:\n  epochs: \"3\"\n", {"expected an integer", "got the text \"3\""}},
    {"train:\n  epochs: 3.5\n", {"expected an integer", "got 3.5"}},
    {"train:\n  epochs: -1\n", {"expected an integer from 1 to", "got -1"}},
    {"train:\n  epochs:\n", {"a.yaml:2: train.epochs: expected an integer", "got nothing"}},
    {"train:\n  epochs: [1, 2]\n", {"a.yaml:2: train.epochs:", "got a list"}},
    {"train:\n  epochs: {a: 1}\n", {"a.yaml:2: train.epochs:", "got a mapping"}},
    {"train:\n  epochs: 99999999999999999999999\n", {"expected an integer"}},
    {"train:\n  batch: 0\n", {"a.yaml:2: train.batch: expected an integer from 1"}},
    {"optim.lr: .inf\n", {"a.yaml:1: optim.lr: expected a number", "got .inf"}},
    {"optim.lr: nan\n", {"expected a number"}},
    {"optim.lr: 1.2.3\n", {"expected a number"}},
    {"optim.lr: 0x10\n", {"expected a number"}},
    {"model.drop_connect: 1.5\n", {"expected a number from 0 to 0.95", "got 1.5"}},
    {"model:\n  kind: hybird\n",
     {"a.yaml:2: model.kind: expected efficientnet_lite0 | hybrid | mlp, got hybird",
      "did you mean hybrid?"}},
    {"model.mlp_init: constant\n", {"expected normal | uniform, got constant"}},
    {"merge.attraction: perhaps\n", {"expected false | true, got perhaps"}},
    {"model.strides: [1, 2, 2]\n", {"a.yaml:1: model.strides: expected a list of seven", "got 3"}},
    {"model.strides: [1, 2, 2, 0, 1, 1, 1]\n", {"a.yaml:1: model.strides: expected an integer"}},
    {"model.strides: 2\n", {"expected a list of seven integers, got 2"}},
    {"run.memory_limit: 2 GB of it\n", {"expected a size such as 2GiB"}},
    {"run.memory_limit: 1e9\n", {"expected a size such as 2GiB"}},
    {"data.augment: [crop, spin]\n", {"expected none, or a list of crop", "got spin"}},
    {"data.augment: [crop, cutuot]\n", {"did you mean cutout?"}},
    {"data:\n  augment: [crop]\n  cutout: 8\n",
     {"a.yaml:2: data.augment and data.cutout contradict each other"}},
    {"data: {augment: [crop], crop_padding: 0}\n", {"data.augment and data.crop_padding"}},
    {"train.epochs: 1\ntrain:\n  epochs: 2\n",
     {"a.yaml:3: train.epochs: set twice, first in line 1"}},
    {"train: 3\n", {"a.yaml:1: train: expected the keys of this section, got one value"}},
    {"train: [3]\n", {"expected the keys of this section, got a list"}},
    {"- a\n- b\n", {"a.yaml:1: expected keys and values"}},
    {"? [a, b]\n: c\n", {"a.yaml:1: expected the name of a key"}},
    {"train:\n  epochs: 1\n --\n", {"a.yaml:", "not valid YAML"}},
    {"a: [1, 2\n", {"a.yaml:", "not valid YAML"}},
    {"train.epochs: 1\n---\ntrain.epochs: 2\n", {"a.yaml:3: expected one YAML document"}},
    {"\xff\xfe\xff", {"not valid YAML"}},
    {"data.source: \"digits\\0x\"\n", {"without NUL"}},
};

static void refused_with_the_place(void **state)
{
    (void)state;
    mdl_config before = mdl_config_default();
    for (size_t i = 0; i < MDL_COUNT(refusals); i++) {
        config = before;
        assert_int_equal(parse(refusals[i].text), MDL_CONFIG);
        for (size_t j = 0; j < 3 && refusals[i].expected[j] != NULL; j++) {
            if (strstr(mdl_error_detail(), refusals[i].expected[j]) == NULL)
                fail_msg("case %zu: \"%s\" is not in \"%s\"", i, refusals[i].expected[j],
                         mdl_error_detail());
        }
        assert_memory_equal(&config, &before, sizeof(config)); /* nothing half done */
    }
}

static void too_long_text_is_refused(void **state)
{
    (void)state;
    static char text[6000] = "data.source: digits";
    memset(text + strlen(text), 'x', 5000);
    assert_int_equal(parse(text), MDL_CONFIG);
    assert_non_null(strstr(mdl_error_detail(), "at most 4111 bytes"));
}

/* A mapping that contains itself, deep nesting, and shared nodes must end. */
static void hostile_structure_ends(void **state)
{
    (void)state;
    assert_int_equal(parse("train: &a\n  epochs: *a\n"), MDL_CONFIG);
    assert_int_equal(parse("&a train:\n  *a : 3\n"), MDL_CONFIG);
    assert_int_equal(parse("model: &m {kind: hybrid}\ntrm: *m\n"), MDL_CONFIG);
    static char deep[5001];
    memset(deep, '[', 5000);
    assert_int_equal(parse(deep), MDL_CONFIG);
}

/* Seeded damage to a valid document: read or refused, never worse (run under sanitizers). */
static void damaged_text(void **state)
{
    (void)state;
    const char *text = getenv("MDL_TEST_SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 10) : 20;
    print_message("seed %" PRIu64 "\n", seed);
    mdl_rng rng = mdl_rng_init(seed, 1);
    char *whole;
    assert_int_equal(mdl_config_text(&config, &whole), MDL_OK);
    size_t size = strlen(whole);
    for (int round = 0; round < 300; round++) {
        char *copy;
        assert_int_equal(mdl_strdup(whole, &copy), MDL_OK);
        size_t length = mdl_rng_below(&rng, 2) == 0 ? size : (size_t)mdl_rng_below(&rng, size);
        for (int i = 0; i < 3; i++)
            copy[mdl_rng_below(&rng, size)] = (char)mdl_rng_below(&rng, 256);
        mdl_config other = config;
        mdl_status status = mdl_config_parse(copy, length, "damaged", &other);
        assert_true(status == MDL_OK || status == MDL_CONFIG);
        mdl_free(copy);
    }
    mdl_free(whole);
}

static void assert_same_values(const mdl_config *a, const mdl_config *b)
{
    for (size_t i = 0; i < mdl_key_count(); i++) {
        char *x, *y;
        assert_int_equal(mdl_key_value(a, i, &x), MDL_OK);
        assert_int_equal(mdl_key_value(b, i, &y), MDL_OK);
        if (strcmp(x, y) != 0)
            fail_msg("%s: %s and %s", mdl_key_at(i).name, x, y);
        mdl_free(x);
        mdl_free(y);
    }
}

static void dump_reads_back(void **state)
{
    (void)state;
    static const char *const sets[] = {"model.kind=mlp",
                                       "model.strides=[2,2,1,1,2,1,2]",
                                       "optim.lr=0.1234567890123456789",
                                       "optim.eps=1e-8",
                                       "data.source='folder:/tmp/\"odd\" # name: \\ \u00fc'",
                                       "run.seed=18446744073709551615",
                                       "data.augment=[crop,cutout]",
                                       "data.crop_fill=reflect",
                                       "data.cutout=5",
                                       "run.memory_limit=1500MB",
                                       "merge.batch_norm=recalibrate",
                                       "model.mlp_init=uniform",
                                       "train.init=\"tab\\there\"",
                                       "schedule.final=0.30000000000000004",
                                       "run.precision=float64"};
    mdl_config back = mdl_config_default();
    char *text;
    for (size_t i = 0; i < MDL_COUNT(sets); i++) {
        if (mdl_config_assign(&config, sets[i]) != MDL_OK)
            fail_msg("%s", mdl_error_detail());
    }
    assert_int_equal(mdl_config_text(&config, &text), MDL_OK);
    if (mdl_config_parse(text, strlen(text), "dump", &back) != MDL_OK)
        fail_msg("%s\n%s", mdl_error_detail(), text);
    mdl_free(text);
    assert_same_values(&config, &back);
    assert_true(back.train.schedule.final == 0.30000000000000004);
    assert_memory_equal(&config.model.strides, &back.model.strides, sizeof(back.model.strides));
    assert_string_equal(config.data.source, back.data.source);
    assert_int_equal(back.run.memory_limit, 1500000000);
}

static void checkpoint_text_has_no_paths(void **state)
{
    (void)state;
    char *text;
    assert_int_equal(mdl_config_assign(&config, "data.source=cifar10:/secret/place"), MDL_OK);
    assert_int_equal(mdl_config_assign(&config, "trm.dim=96"), MDL_OK);
    assert_int_equal(mdl_config_assign(&config, "run.threads=3"), MDL_OK);
    assert_int_equal(mdl_config_model_text(&config, &text), MDL_OK);
    assert_null(strstr(text, "/secret"));
    assert_null(strstr(text, "threads"));
    mdl_config back = mdl_config_default();
    assert_int_equal(mdl_config_parse(text, strlen(text), "checkpoint", &back), MDL_OK);
    assert_int_equal(back.model.trm.dim, 96);
    mdl_free(text);
}

static void augment_is_a_view(void **state)
{
    (void)state;
    assert_int_equal(parse("data: {crop_padding: 2, augment: [crop, flip, normalize]}\n"), MDL_OK);
    assert_int_equal(config.data.crop_padding, 2);
    assert_int_equal(config.data.flip, MDL_FLIP_RANDOM);
    assert_int_equal(config.data.cutout, 0);
    assert_int_equal(mdl_config_assign(&config, "data.augment=[crop, cutout]"), MDL_OK);
    assert_int_equal(config.data.crop_padding, 2);
    assert_int_equal(config.data.flip, MDL_FLIP_NONE);
    assert_int_equal(config.data.cutout, 8);
    assert_int_equal(mdl_config_assign(&config, "data.augment=none"), MDL_OK);
    assert_int_equal(config.data.crop_padding, 0);
    assert_int_equal(config.data.cutout, 0);
    char *text;
    assert_int_equal(mdl_key_value(&config, mdl_key_find("data.augment"), &text), MDL_OK);
    assert_string_equal(text, "none");
    mdl_free(text);
    assert_int_equal(mdl_config_assign(&config, "data.augment=flip"), MDL_OK);
    assert_int_equal(mdl_key_value(&config, mdl_key_find("data.augment"), &text), MDL_OK);
    assert_string_equal(text, "[flip]");
    mdl_free(text);
}

static void set_messages(void **state)
{
    (void)state;
    static const refusal cases[] = {
        {"trm.dmi=3", {"trm.dmi: no such key; did you mean trm.dim?"}},
        {"trm.dim=x", {"trm.dim: expected an integer from 1", "got x"}},
        {"trm.dim=", {"trm.dim: expected a value"}},
        {"trm.dim", {"expected key=value"}},
        {"trm.dim=[1", {"trm.dim: value:", "not valid YAML"}},
    };
    for (size_t i = 0; i < MDL_COUNT(cases); i++) {
        assert_int_equal(mdl_config_assign(&config, cases[i].text), MDL_CONFIG);
        for (size_t j = 0; j < 3 && cases[i].expected[j] != NULL; j++) {
            if (strstr(mdl_error_detail(), cases[i].expected[j]) == NULL)
                fail_msg("\"%s\" is not in \"%s\"", cases[i].expected[j], mdl_error_detail());
        }
    }
    assert_int_equal(mdl_config_assign(&config, "trm.dim=32 "), MDL_OK);
    assert_int_equal(config.model.trm.dim, 32);
}

static void checks_across_keys(void **state)
{
    (void)state;
    assert_int_equal(mdl_config_check(&config), MDL_OK);
    assert_int_equal(parse("train:\n  batch: 64\n  accumulate: 5\n"), MDL_OK);
    assert_int_equal(mdl_config_check(&config), MDL_CONFIG);
    assert_non_null(strstr(mdl_error_detail(), "a.yaml:3: train.accumulate: expected a divisor"));
    assert_int_equal(mdl_config_assign(&config, "train.accumulate=4"), MDL_OK);
    assert_int_equal(mdl_config_check(&config), MDL_OK);
    assert_int_equal(mdl_config_assign(&config, "run.precision=float64"), MDL_OK);
    assert_int_equal(mdl_config_check(&config), MDL_CONFIG);
    assert_non_null(strstr(mdl_error_detail(), "run.precision: float64 is not offered"));
    assert_int_equal(mdl_config_assign(&config, "run.backend=reference"), MDL_OK);
    assert_int_equal(mdl_config_check(&config), MDL_OK);
}

static void size_and_classes_from_the_data(void **state)
{
    (void)state;
    assert_int_equal(config.model.classes, 0);
    mdl_data data = {.height = 28, .width = 28, .channels = 1, .classes = 10};
    assert_int_equal(mdl_config_use_data(&config, &data), MDL_OK);
    assert_int_equal(config.model.classes, 10);
    assert_int_equal(config.model.height, 28);
    data.classes = 11;
    assert_int_equal(mdl_config_use_data(&config, &data), MDL_CONFIG);
    assert_non_null(strstr(mdl_error_detail(), "model.classes: expected at least the data's 11"));
    config = mdl_config_default();
    assert_int_equal(mdl_config_assume_data(&config), MDL_OK);
    assert_int_equal(config.model.channels, 3);
    assert_int_equal(config.model.classes, 10);
    config = mdl_config_default();
    assert_int_equal(mdl_config_assign(&config, "data.source=folder:nowhere"), MDL_OK);
    assert_int_equal(mdl_config_assume_data(&config), MDL_CONFIG);
}

static void every_key_has_help(void **state)
{
    (void)state;
    for (size_t i = 0; i < mdl_key_count(); i++) {
        mdl_key key = mdl_key_at(i);
        assert_true(strlen(key.help) > 4);
        assert_true(strlen(key.type) > 3);
        assert_int_equal(mdl_key_find(key.name), i); /* no name twice */
        assert_string_equal(mdl_key_nearest(key.name), key.name);
    }
    assert_int_equal(mdl_key_find("nothing"), mdl_key_count());
    assert_null(mdl_key_nearest("xyzzy.qqqqqqqqq"));
    assert_int_equal(mdl_near("abdc", "abcd"), 1); /* a swap */
    assert_true(mdl_near("zzzz", "abcd") == SIZE_MAX);
}

static void sizes_in_bytes(void **state)
{
    (void)state;
    size_t bytes;
    assert_int_equal(mdl_parse_bytes("0", &bytes), MDL_OK);
    assert_int_equal(bytes, 0);
    assert_int_equal(mdl_parse_bytes("400MB", &bytes), MDL_OK);
    assert_int_equal(bytes, 400000000);
    assert_int_equal(mdl_parse_bytes("0.5 KiB", &bytes), MDL_OK);
    assert_int_equal(bytes, 512);
    assert_int_equal(mdl_parse_bytes("99999999 TiB", &bytes), MDL_CONFIG);
    assert_int_equal(mdl_parse_bytes("1.2.3GB", &bytes), MDL_CONFIG);
    assert_int_equal(mdl_parse_bytes("-1", &bytes), MDL_CONFIG);
    assert_int_equal(mdl_parse_bytes("010MB", &bytes), MDL_CONFIG); /* octal? */
    assert_int_equal(mdl_parse_bytes("", &bytes), MDL_CONFIG);
}

static void count_sentence(void *count, const char *sentence)
{
    assert_non_null(strstr(sentence, " is now called "));
    ++*(size_t *)count;
}

static size_t former_words(void)
{
    size_t count = 0;
    mdl_config_tell_former(&config, count_sentence, &count);
    return count;
}

/* Words of earlier versions are read everywhere, and told; ours are not. */
static void former_words_are_read(void **state)
{
    (void)state;
    static const char *const sets[][2] = {
        {"data.fitness_fraction=0.3", "data.validation_fraction=0.3"},
        {"merge.split=tensor", "merge.crossover_point=tensor"},
        {"experiment.path_points=5", "experiment.interpolation_points=5"},
        {"merge.fitness=held_out", "merge.fitness=validation"},
    };
    for (size_t i = 0; i < MDL_COUNT(sets); i++) {
        mdl_config by_former = mdl_config_default();
        fresh(NULL);
        assert_int_equal(mdl_config_assign(&by_former, sets[i][0]), MDL_OK);
        assert_int_equal(mdl_config_assign(&config, sets[i][1]), MDL_OK);
        assert_same_values(&config, &by_former);
        assert_int_equal(former_words(), 0);
        config = by_former;
        assert_int_equal(former_words(), 1);
    }
    fresh(NULL);
    assert_int_equal(
        parse("data: {fitness_fraction: 0.3}\nmerge: {split: flat, fitness: held_out}\n"), MDL_OK);
    assert_true(config.data.validation_fraction == 0.3);
    assert_int_equal(former_words(), 3);
    assert_int_equal(parse("data: {fitness_fraction: 0.3, validation_fraction: 0.3}\n"),
                     MDL_CONFIG);
    assert_non_null(strstr(mdl_error_detail(), "set twice"));
    assert_string_equal(mdl_key_nearest("data.fitness_fractoin"), "data.validation_fraction");
}

static uint64_t fnv(const char *text)
{
    uint64_t hash = 0xcbf29ce484222325U;
    for (; *text != '\0'; text++)
        hash = (hash ^ (unsigned char)*text) * 0x100000001b3U;
    return hash;
}

/* What records of finished steps are hashes of is, byte for byte, as in the first version that
 * wrote them, and so is what a checkpoint carries: renaming a key, or adding one, changes neither.
 */
static void records_keep_their_words(void **state)
{
    (void)state;
    char *text;
    assert_int_equal(
        mdl_config_depends(&config, "data, run, model, trm, train, optim, schedule, merge", &text),
        MDL_OK);
    assert_true(fnv(text) == 0x84f0ccbbdb630f9U);
    mdl_free(text);
    assert_int_equal(mdl_config_model_text(&config, &text), MDL_OK);
    assert_non_null(strstr(text, "  fitness_fraction: 0.1\n"));
    mdl_config back = mdl_config_default();
    assert_int_equal(mdl_config_parse(text, strlen(text), "checkpoint", &back), MDL_OK);
    mdl_free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(sections_and_dotted_names, fresh),
        cmocka_unit_test_setup(refused_with_the_place, fresh),
        cmocka_unit_test_setup(too_long_text_is_refused, fresh),
        cmocka_unit_test_setup(hostile_structure_ends, fresh),
        cmocka_unit_test_setup(damaged_text, fresh),
        cmocka_unit_test_setup(dump_reads_back, fresh),
        cmocka_unit_test_setup(checkpoint_text_has_no_paths, fresh),
        cmocka_unit_test_setup(augment_is_a_view, fresh),
        cmocka_unit_test_setup(set_messages, fresh),
        cmocka_unit_test_setup(checks_across_keys, fresh),
        cmocka_unit_test_setup(size_and_classes_from_the_data, fresh),
        cmocka_unit_test_setup(every_key_has_help, fresh),
        cmocka_unit_test_setup(sizes_in_bytes, fresh),
        cmocka_unit_test_setup(former_words_are_read, fresh),
        cmocka_unit_test_setup(records_keep_their_words, fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
