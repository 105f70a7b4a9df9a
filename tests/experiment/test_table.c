/* The table of facts: intervals, tests and their correction, findings, and what is written and read
 * back. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "experiment/experiment.h"
#include "scratch.h"

enum { IMAGES = 1000 };
static mdl_table table;
static float right[3][IMAGES]; /* 0: good, 1: as good on other images, 2: bad */
static char folder[256];

static void expect(mdl_status got, mdl_status wanted)
{
    if (got != wanted)
        fail_msg("got %s: %s", mdl_status_text(got), mdl_error_detail());
}

static void add_row(const char *id, mdl_row_kind kind, double top1, mdl_each each, size_t n)
{
    mdl_row row = {.kind = kind,
                   .top1 = top1,
                   .loss = 1.25,
                   .parameters = 3383818,
                   .multiply_adds = 31.35e6,
                   .train_seconds = 192.4,
                   .latency = 0.0051,
                   .latency_p95 = (double)NAN,
                   .each = each,
                   .n_each = n,
                   .published = (double)NAN,
                   .shares_trunk = each == MDL_EACH_CHILD};
    snprintf(row.id, sizeof(row.id), "%s", id);
    snprintf(row.from[1], sizeof(row.from[1]), "seed 1, epoch 39");
    for (size_t i = 0; i < n; i++)
        row.each_top1[i] = top1 + 0.01 * ((double)i - (double)(n - 1) / 2);
    expect(mdl_table_add_row(&table, &row), MDL_OK);
}

static int fill(void **state)
{
    (void)state;
    mdl_table_free(&table);
    table.images = IMAGES;
    snprintf(table.data, sizeof(table.data), "digits");
    add_row("baseline.mean", MDL_ROW_MEAN, 0.7, MDL_EACH_SEED, 2);
    add_row("hybrid.mean", MDL_ROW_MEAN, 0.71, MDL_EACH_SEED, 2);
    add_row("hybrid.best-parent", MDL_ROW_BEST_PARENT, 0.72, MDL_EACH_NOTHING, 0);
    add_row("hybrid.average", MDL_ROW_AVERAGE, 0.1, MDL_EACH_NOTHING, 0);
    for (size_t i = 0; i < IMAGES; i++) {
        right[0][i] = i % 10 < 7;
        right[1][i] = i % 10 >= 3;
        right[2][i] = i % 10 < 6;
    }
    return scratch_create(folder) ? 0 : -1;
}

static int empty(void **state)
{
    (void)state;
    mdl_table_free(&table);
    scratch_remove(folder);
    return 0;
}

static void intervals(void **state)
{
    (void)state;
    mdl_interval wilson = mdl_stat_wilson(720, IMAGES);
    const mdl_row *one = mdl_table_find(&table, "hybrid.best-parent");
    assert_true(one->low == wilson.low && one->high == wilson.high && isnan(one->deviation));
    /* t = 12.7062 with one degree of freedom, standard error 0.005 */
    const mdl_row *two = mdl_table_find(&table, "baseline.mean");
    assert_true(fabs(two->low - (0.7 - 0.0635310)) < 1e-6);
    assert_true(fabs(two->high - (0.7 + 0.0635310)) < 1e-6);
    assert_true(fabs(two->deviation - 0.0070711) < 1e-6);
    add_row("hybrid.spread", MDL_ROW_METHOD, 0.99, MDL_EACH_RUN, 2);
    assert_true(mdl_table_find(&table, "hybrid.spread")->high == 1);
    for (size_t n = 1; n <= 3; n++) { /* children of one trunk are no sample */
        add_row("hybrid.children", MDL_ROW_MEAN, 0.5, MDL_EACH_CHILD, n);
        const mdl_row *children = &table.rows[table.n_rows - 1];
        assert_true(isnan(children->low) && isnan(children->high));
    }
    assert_null(mdl_table_find(&table, "hybrid.nothing"));
}

static void models_on_the_same_images(void **state)
{
    (void)state;
    expect(mdl_table_compare_models(&table, "good", "bad", right[0], right[2], IMAGES), MDL_OK);
    expect(mdl_table_compare_models(&table, "good", "other", right[0], right[1], IMAGES), MDL_OK);
    expect(mdl_table_compare_models(&table, "bad", "good", right[2], right[0], IMAGES), MDL_OK);
    expect(mdl_table_compare_models(&table, "good", "itself", right[0], right[0], IMAGES), MDL_OK);
    for (size_t i = 0; i < 4; i++) /* until the table is closed */
        assert_true(isnan(table.comparisons[i].p_holm));
    expect(mdl_table_conclude(&table), MDL_OK);
    const mdl_comparison *c = table.comparisons;
    assert_int_equal(c[0].only_first, 100);
    assert_int_equal(c[0].only_second, 0);
    assert_true(fabs(c[0].difference - 0.1) < 1e-12);
    assert_true(c[0].low > 0.07 && c[0].low < 0.1 && c[0].high > 0.1 && c[0].high < 0.13);
    assert_int_equal(c[0].outcome, MDL_OUTCOME_BETTER);
    assert_int_equal(c[1].only_first, 300);
    assert_int_equal(c[1].only_second, 300);
    assert_true(c[1].p == 1 && c[1].p_holm == 1);
    assert_int_equal(c[1].outcome, MDL_OUTCOME_OPEN);
    assert_int_equal(c[2].outcome, MDL_OUTCOME_WORSE);
    assert_int_equal(c[3].outcome, MDL_OUTCOME_ALIKE);
    assert_true(c[0].p_holm == 4 * c[0].p && c[0].p_holm > 0); /* the least of four */
}

static void recipes_over_seeds(void **state)
{
    (void)state;
    expect(mdl_table_compare_seeds(&table, "hybrid.mean", "baseline.mean"), MDL_OK);
    const mdl_comparison *c = table.comparisons;
    assert_int_equal(c->test, MDL_TEST_WELCH);
    assert_int_equal(c->outcome, MDL_OUTCOME_OPEN);
    assert_true(fabs(c->difference - 0.01) < 1e-12 && c->low < 0.01 && c->high > 0.01);
    assert_true(c->n[0] == 2 && c->n[1] == 2 && fabs(c->t - sqrt(2.0)) < 1e-9);
    add_row("one", MDL_ROW_MEAN, 0.9, MDL_EACH_SEED, 1);
    expect(mdl_table_compare_seeds(&table, "one", "baseline.mean"), MDL_OK);
    expect(mdl_table_conclude(&table), MDL_OK);
    assert_int_equal(table.comparisons[1].outcome, MDL_OUTCOME_NONE);
    assert_true(isnan(table.comparisons[1].p) && isnan(table.comparisons[1].p_holm));
    add_row("far", MDL_ROW_MEAN, 0.9, MDL_EACH_SEED, 2);
    expect(mdl_table_compare_seeds(&table, "far", "baseline.mean"), MDL_OK);
    assert_int_equal(table.comparisons[2].outcome, MDL_OUTCOME_BETTER);
    expect(mdl_table_compare_seeds(&table, "far", "nowhere"), MDL_INVALID);
}

static void repeats_are_pairs(void **state)
{
    (void)state;
    add_row("a", MDL_ROW_M2N2, 0.5, MDL_EACH_REPEAT, 5);
    add_row("b", MDL_ROW_BEST_PARENT, 0.5, MDL_EACH_REPEAT, 5);
    expect(mdl_table_compare_pairs(&table, "a", "b"), MDL_OK);
    assert_int_equal(table.comparisons[0].outcome, MDL_OUTCOME_NONE); /* they do not vary */
    mdl_row *first = &table.rows[table.n_rows - 2];
    for (size_t i = 0; i < 5; i++)
        first->each_top1[i] += 0.001 * (double)(i + 1);
    expect(mdl_table_compare_pairs(&table, "a", "b"), MDL_OK);
    const mdl_comparison *c = &table.comparisons[1];
    assert_int_equal(c->outcome, MDL_OUTCOME_BETTER);
    assert_true(c->sign_flip_p == 0.0625 && fabs(c->difference - 0.003) < 1e-12);
    assert_true(c->low > 0 && c->high > c->low);
}

static void an_average_that_fell(void **state)
{
    (void)state;
    expect(mdl_table_conclude(&table), MDL_OK);
    assert_int_equal(table.n_findings, 1);
    assert_int_equal(table.findings[0].code, MDL_FINDING_AVERAGE_FELL);
    assert_string_equal(table.findings[0].row, "hybrid.average");
    assert_string_equal(table.findings[0].other, "hybrid.best-parent");
    table.rows[3].top1 = 0.68; /* four points */
    table.n_findings = 0;
    expect(mdl_table_conclude(&table), MDL_OK);
    assert_int_equal(table.n_findings, 0);
}

static void assert_same_rows(const mdl_row *a, const mdl_row *b)
{
    assert_string_equal(a->id, b->id);
    assert_string_equal(a->from[1], b->from[1]);
    assert_true(a->kind == b->kind && a->each == b->each && a->n_each == b->n_each);
    assert_true(a->top1 == b->top1 && a->low == b->low && a->parameters == b->parameters);
    assert_true(isnan(b->latency_p95) && isnan(b->published) && a->latency == b->latency);
    for (size_t i = 0; i < a->n_each; i++)
        assert_true(a->each_top1[i] == b->each_top1[i]);
}

/* More rows and tests than any configuration makes, and the same again when read. */
static void what_is_written_is_read(void **state)
{
    (void)state;
    char id[64], *csv;
    mdl_table again;
    for (int i = 0; i < 150; i++) {
        snprintf(id, sizeof(id), "hybrid.number-%d", i);
        add_row(id, MDL_ROW_METHOD, 0.5, MDL_EACH_RUN, 3);
        expect(mdl_table_compare_pairs(&table, id, "hybrid.number-0"), MDL_OK);
    }
    mdl_finding finding = {.code = MDL_FINDING_PUBLISHED_ORDER, .value = {28, 28}};
    expect(mdl_table_add_finding(&table, &finding), MDL_OK);
    table.kind = MDL_TABLE_PAPER;
    table.specialists = true;
    expect(mdl_table_write(folder, &table), MDL_OK);
    expect(mdl_table_read(folder, &again), MDL_OK);
    assert_true(again.kind == MDL_TABLE_PAPER && again.specialists && again.images == IMAGES);
    assert_int_equal(again.n_rows, table.n_rows);
    for (size_t i = 0; i < 4; i++)
        assert_same_rows(&table.rows[i], &again.rows[i]);
    assert_int_equal(again.n_comparisons, 150);
    assert_string_equal(again.comparisons[149].first, "hybrid.number-149");
    assert_int_equal(again.comparisons[149].outcome, table.comparisons[149].outcome);
    assert_int_equal(again.n_findings, 1);
    assert_true(again.findings[0].value[1] == 28);
    mdl_table_free(&again);
    expect(mdl_table_csv(&table, &csv), MDL_OK);
    assert_non_null(strstr(csv, "\"hybrid.average\",average,"));
    assert_non_null(strstr(csv, ",0.695;0.705\n"));
    assert_non_null(strstr(csv, ",0.0051,,")); /* no p95 */
    mdl_free(csv);
}

static void damaged_tables(void **state)
{
    (void)state;
    static const char *const wrong[][2] = {
        {"{\"title\": \"\", \"rows\": []}", "older version"},
        {"{\"version\": 3}", "newer version"},
        {"[1, 2", "table.json"},
        {"{\"version\": 2}", "kind"},
        {"{\"version\": 2, \"kind\": \"experiment\", \"data\": \"d\", \"images\": -1}", "images"},
        {"{\"version\": 2, \"kind\": \"experiment\", \"data\": \"d\", \"images\": 1, \"repeats\": "
         "0, \"evaluations\": 0, \"specialists\": false, \"rows\": [7]}",
         "rows, number 1: id"},
    };
    mdl_table again;
    char path[MDL_PATH_MAX];
    expect(mdl_table_read(folder, &again), MDL_NOT_FOUND);
    expect(mdl_path(path, sizeof(path), folder, "table.json"), MDL_OK);
    for (size_t i = 0; i < MDL_COUNT(wrong); i++) {
        expect(mdl_file_write(path, wrong[i][0], strlen(wrong[i][0])), MDL_OK);
        expect(mdl_table_read(folder, &again), MDL_FORMAT);
        if (strstr(mdl_error_detail(), wrong[i][1]) == NULL)
            fail_msg("\"%s\" is not in: %s", wrong[i][1], mdl_error_detail());
        mdl_table_free(&again);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(intervals, fill, empty),
        cmocka_unit_test_setup_teardown(models_on_the_same_images, fill, empty),
        cmocka_unit_test_setup_teardown(recipes_over_seeds, fill, empty),
        cmocka_unit_test_setup_teardown(repeats_are_pairs, fill, empty),
        cmocka_unit_test_setup_teardown(an_average_that_fell, fill, empty),
        cmocka_unit_test_setup_teardown(what_is_written_is_read, fill, empty),
        cmocka_unit_test_setup_teardown(damaged_tables, fill, empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
