/* The table: its four formats, the tests between rows, and the verdict in words. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "experiment/experiment.h"

enum { IMAGES = 1000 };
static mdl_old_table table;
static float right[3][IMAGES]; /* 0: good, 1: as good, other images, 2: bad */

static mdl_old_row row(const char *name, mdl_old_row_kind kind, double top1)
{
    mdl_interval interval = mdl_stat_wilson((size_t)(top1 * IMAGES), IMAGES);
    mdl_old_row out = {.kind = kind,
                       .top1 = top1,
                       .low = interval.low,
                       .high = interval.high,
                       .loss = 1.25,
                       .parameters = 3383818,
                       .multiply_adds = 31.35e6,
                       .train_seconds = 192.4,
                       .latency = 0.0051,
                       .latency_p95 = 0.0063};
    snprintf(out.name, sizeof(out.name), "%s", name);
    return out;
}

static int fill(void **state)
{
    (void)state;
    mdl_old_table_free(&table);
    snprintf(table.title, sizeof(table.title), "a title");
    table.images = IMAGES;
    const mdl_old_row rows[] = {row("baseline", MDL_OLD_ROW_BASELINE, 0.7),
                                row("hybrid", MDL_OLD_ROW_HYBRID, 0.71),
                                row("hybrid: best parent", MDL_OLD_ROW_BEST_PARENT, 0.72),
                                row("hybrid: uniform average", MDL_OLD_ROW_AVERAGE, 0.1)};
    for (size_t i = 0; i < MDL_COUNT(rows); i++)
        if (mdl_old_table_add_row(&table, &rows[i]) != MDL_OK)
            return 1;
    snprintf(table.rows[3].note, sizeof(table.rows[3].note), "a \"quoted\", note");
    table.rows[3].loss = (double)NAN;
    table.rows[3].latency = table.rows[3].latency_p95 = (double)NAN;
    for (size_t i = 0; i < 2; i++) {
        table.rows[i].n_seeds = 2;
        table.rows[i].seed_top1[0] = table.rows[i].top1 - 0.01;
        table.rows[i].seed_top1[1] = table.rows[i].top1 + 0.01;
    }
    for (size_t i = 0; i < IMAGES; i++) {
        right[0][i] = i % 10 < 7;
        right[1][i] = i % 10 >= 3;
        right[2][i] = i % 10 < 6;
    }
    return 0;
}

static void assert_contains(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("\"%s\" is not in:\n%s", part, text);
}

static void models_on_the_same_images(void **state)
{
    (void)state;
    assert_int_equal(
        mdl_old_table_compare_models(&table, "good", "bad", right[0], right[2], IMAGES), MDL_OK);
    assert_int_equal(
        mdl_old_table_compare_models(&table, "good", "other", right[0], right[1], IMAGES), MDL_OK);
    assert_int_equal(
        mdl_old_table_compare_models(&table, "bad", "good", right[2], right[0], IMAGES), MDL_OK);
    assert_int_equal(
        mdl_old_table_compare_models(&table, "good", "itself", right[0], right[0], IMAGES), MDL_OK);
    const mdl_old_comparison *c = table.comparisons;
    assert_int_equal(c[0].only_first, 100);
    assert_int_equal(c[0].only_second, 0);
    assert_true(fabs(c[0].difference - 0.1) < 1e-12);
    assert_true(c[0].low > 0.07 && c[0].low < 0.1 && c[0].high > 0.1 && c[0].high < 0.13);
    assert_int_equal(c[1].only_first, 300);
    assert_int_equal(c[1].only_second, 300);
    assert_true(c[1].p == 1);
    assert_int_equal(mdl_old_table_judge(&table, NULL), MDL_OK);
    assert_contains(table.verdict,
                    "Shown on these images: good is better than bad by 10.00 points");
    assert_contains(table.verdict, "Not shown: that good and other differ (+0.00 points");
    assert_contains(table.verdict, "bad is worse than good by 10.00 points");
    assert_contains(table.verdict, "good and itself answer alike on every image");
    assert_contains(table.verdict, "not the recipes");
    assert_contains(table.verdict, "not corrected for the 4 tests");
    table.rows[1].kind = MDL_OLD_ROW_FUSED;
    assert_int_equal(mdl_old_table_compare_models(&table, table.rows[1].name, table.rows[2].name,
                                                  right[0], right[0], IMAGES),
                     MDL_OK);
    assert_int_equal(mdl_old_table_judge(&table, NULL), MDL_OK);
    assert_contains(table.verdict, "hybrid answers like hybrid: best parent on every image");
}

static void seeds_show_little(void **state)
{
    (void)state;
    assert_int_equal(mdl_old_table_compare_seeds(&table, &table.rows[1], &table.rows[0]), MDL_OK);
    assert_int_equal(mdl_old_table_judge(&table, NULL), MDL_OK);
    assert_contains(table.verdict, "Not shown: that hybrid and baseline differ (+1.00 points");
    assert_contains(table.verdict, "2 seeds show little");
    /* The collapse of the average is told, with the parent it is measured by. */
    assert_contains(table.verdict, "hybrid: uniform average fell to 10.0 % (hybrid: best parent");
    assert_contains(table.verdict, "trained from different random weights");
    mdl_old_row_kind kind = table.rows[0].kind; /* children of a trunk have other reasons */
    table.rows[0].kind = MDL_OLD_ROW_TRUNK;
    assert_int_equal(mdl_old_table_judge(&table, NULL), MDL_OK);
    assert_contains(table.verdict, "the children have gone too far apart since their trunk");
    assert_null(strstr(table.verdict, "random weights"));
    table.rows[0].kind = kind;
    table.n_comparisons = 0;
    table.rows[1].n_seeds = 1;
    assert_int_equal(mdl_old_table_compare_seeds(&table, &table.rows[1], &table.rows[0]), MDL_OK);
    assert_int_equal(mdl_old_table_judge(&table, NULL), MDL_OK);
    assert_contains(table.verdict, "one seed on a side says nothing");
    table.n_comparisons = 0;
    table.rows[1].n_seeds = 2;
    for (size_t i = 0; i < 2; i++)
        table.rows[1].seed_top1[i] += 0.2;
    assert_int_equal(mdl_old_table_compare_seeds(&table, &table.rows[1], &table.rows[0]), MDL_OK);
    assert_int_equal(mdl_old_table_judge(&table, NULL), MDL_OK);
    assert_contains(table.verdict, "Shown: hybrid is better than baseline by");
    assert_null(strstr(table.verdict, "show little"));
}

static void repeats_are_pairs(void **state)
{
    (void)state;
    static const double ahead[] = {0.001, 0.002, 0.003, 0.004, 0.005};
    mdl_old_row *first = &table.rows[1], *second = &table.rows[0];
    first->n_seeds = second->n_seeds = MDL_COUNT(ahead);
    for (size_t i = 0; i < MDL_COUNT(ahead); i++)
        first->seed_top1[i] = second->seed_top1[i] = 0.5 + 0.01 * (double)i;
    assert_int_equal(mdl_old_table_compare_repeats(&table, first, second), MDL_OK);
    for (size_t i = 0; i < MDL_COUNT(ahead); i++)
        first->seed_top1[i] += ahead[i];
    assert_int_equal(mdl_old_table_compare_repeats(&table, first, second), MDL_OK);
    assert_int_equal(mdl_old_table_judge(&table, NULL), MDL_OK);
    assert_contains(table.verdict,
                    "hybrid against baseline: +0.00 points in each of the 5 repeats");
    assert_contains(table.verdict, "Shown: hybrid is better than baseline by 0.30 points over 5");
    assert_contains(table.verdict,
                    "sign flips, p = 0.062, the least that so many repeats can give");
    table.n_comparisons = 0;
    first->seed_top1[4] -= 0.0055;
    assert_int_equal(mdl_old_table_compare_repeats(&table, first, second), MDL_OK);
    assert_int_equal(mdl_old_table_judge(&table, NULL), MDL_OK);
    assert_contains(table.verdict, "Not shown: that hybrid and baseline differ");
    assert_null(strstr(table.verdict, "the least that"));
}

/* More rows and comparisons than any configuration makes: all of them are in all formats. */
static void a_table_of_any_length(void **state)
{
    (void)state;
    enum { ROWS = 150, TESTS = 120 };
    char name[64], *text;
    for (int i = 0; i < ROWS; i++) {
        snprintf(name, sizeof(name), "hybrid: row number %d", i);
        mdl_old_row added = row(name, MDL_OLD_ROW_OTHER, 0.5);
        assert_int_equal(mdl_old_table_add_row(&table, &added), MDL_OK);
    }
    for (int i = 0; i < TESTS; i++)
        assert_int_equal(
            mdl_old_table_compare_seeds(&table, &table.rows[4 + (size_t)i], &table.rows[0]),
            MDL_OK);
    assert_int_equal(table.n_rows, 4 + ROWS);
    assert_int_equal(table.n_comparisons, TESTS);
    assert_int_equal(mdl_old_table_judge(&table, "The last sentence."), MDL_OK);
    assert_contains(table.verdict, "not corrected for the 120 tests");
    assert_contains(table.verdict, "hybrid: row number 119 against baseline");
    assert_contains(table.verdict, "\nThe last sentence.");
    for (int format = 0; format <= MDL_OLD_TABLE_JSON; format++) {
        assert_int_equal(mdl_old_table_text(&table, (mdl_old_table_format)format, &text), MDL_OK);
        for (int i = 0; i < ROWS; i++) {
            snprintf(name, sizeof(name), "hybrid: row number %d", i);
            assert_contains(text, name);
        }
        mdl_free(text);
    }
}

static char *text_of(mdl_old_table_format format)
{
    char *text;
    assert_int_equal(mdl_old_table_text(&table, format, &text), MDL_OK);
    return text;
}

static void formats_for_people(void **state)
{
    (void)state;
    static const char *const parts[] = {"hybrid: best parent",
                                        "72.00",
                                        "3,383,818",
                                        "31.35 M",
                                        "3 m 12 s",
                                        "5.10, 6.30",
                                        "not measured: the machine was busy",
                                        "seeds: 69.00, 71.00",
                                        "test split",
                                        "McNemar b = 100, c = 0",
                                        "Welch over 2 and 2",
                                        "95 % interval"};
    assert_int_equal(
        mdl_old_table_compare_models(&table, "good", "bad", right[0], right[2], IMAGES), MDL_OK);
    assert_int_equal(mdl_old_table_compare_seeds(&table, &table.rows[1], &table.rows[0]), MDL_OK);
    table.rows[2].n_seeds = 2; /* of repeats that are all alike: no test, and no "nan" */
    assert_int_equal(mdl_old_table_compare_repeats(&table, &table.rows[2], &table.rows[2]), MDL_OK);
    assert_int_equal(mdl_old_table_judge(&table, NULL), MDL_OK);
    char *terminal = text_of(MDL_OLD_TABLE_TERMINAL), *markdown = text_of(MDL_OLD_TABLE_MARKDOWN);
    markdown[strcspn(markdown, "T")] = 't'; /* "Test split" */
    for (size_t i = 0; i < MDL_COUNT(parts); i++) {
        assert_contains(terminal, parts[i]);
        assert_contains(markdown, parts[i]);
    }
    assert_null(strstr(terminal, "nan"));
    assert_contains(markdown, "| hybrid | 71.00 |");
    mdl_free(terminal);
    mdl_free(markdown);
}

static void formats_for_programs(void **state)
{
    (void)state;
    assert_int_equal(
        mdl_old_table_compare_models(&table, "good", "bad", right[0], right[2], IMAGES), MDL_OK);
    assert_int_equal(mdl_old_table_compare_seeds(&table, &table.rows[1], &table.rows[0]), MDL_OK);
    assert_int_equal(mdl_old_table_judge(&table, NULL), MDL_OK);
    char *csv = text_of(MDL_OLD_TABLE_CSV), *text = text_of(MDL_OLD_TABLE_JSON);
    assert_contains(csv, "\"hybrid: uniform average\",0.1,");
    assert_contains(csv, ",\"a \"\"quoted\"\", note\"\n");
    assert_contains(csv, ",0.0051,0.0063,");
    assert_contains(csv, ",,3383818,31350000,192.4,,,"); /* no loss, no latency */
    assert_contains(csv, ",0.69;0.71,");
    json_error_t error;
    json_t *root = json_loads(text, 0, &error);
    assert_non_null(root);
    json_t *last = json_array_get(json_object_get(root, "rows"), 3);
    assert_true(json_real_value(json_object_get(last, "top1")) == 0.1);
    assert_true(json_is_null(json_object_get(last, "loss")));
    assert_string_equal(json_string_value(json_object_get(last, "note")), "a \"quoted\", note");
    json_t *tests = json_object_get(root, "tests");
    assert_int_equal(json_array_size(tests), 2);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(tests, 0), "b")), 100);
    json_decref(root);
    mdl_free(csv);
    mdl_free(text);
}

static void intervals(void **state)
{
    (void)state;
    mdl_old_row one = row("one", MDL_OLD_ROW_OTHER, 0.9), two = row("two", MDL_OLD_ROW_OTHER, 0.5);
    table.images = IMAGES;
    one.low = one.high = 0;
    mdl_old_table_interval(&table, &one);
    mdl_interval wilson = mdl_stat_wilson(900, IMAGES);
    assert_true(one.low == wilson.low && one.high == wilson.high);
    two.n_seeds = 2;
    two.seed_top1[0] = 0.499;
    two.seed_top1[1] = 0.501;
    mdl_old_table_interval(&table, &two); /* t = 12.7062 with one degree, standard error 0.001 */
    assert_true(fabs(two.low - (0.5 - 0.0127062)) < 1e-7);
    assert_true(fabs(two.high - (0.5 + 0.0127062)) < 1e-7);
    two.seed_top1[0] = 0.1;
    two.seed_top1[1] = 0.9;
    mdl_old_table_interval(&table, &two);
    assert_true(two.low == 0 && two.high == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(models_on_the_same_images, fill),
        cmocka_unit_test_setup(seeds_show_little, fill),
        cmocka_unit_test_setup(repeats_are_pairs, fill),
        cmocka_unit_test_setup(a_table_of_any_length, fill),
        cmocka_unit_test_setup(formats_for_people, fill),
        cmocka_unit_test_setup(formats_for_programs, fill),
        cmocka_unit_test_setup(intervals, fill),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
