/* The sentences about an experiment: facts of a table in, words out.  The facts are made here, and
 * do not have to be possible. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "report/say.h"

enum { ROWS = 4 };
static mdl_row rows[ROWS];
static mdl_comparison tests[ROWS];
static mdl_table table;
static mdl__verdict verdict;

static void says(const char *text, const char *expected)
{
    if (strstr(text, expected) == NULL)
        fail_msg("\"%s\" is not in: %s", expected, text);
}

static void is_silent(const char *text, const char *of)
{
    if (strstr(text, of) != NULL)
        fail_msg("\"%s\" is in: %s", of, text);
}

static mdl_row *add_row(const char *id, const char *arm, mdl_row_kind kind, double top1)
{
    mdl_row *row = &rows[table.n_rows++];
    *row = (mdl_row){.kind = kind,
                     .top1 = top1,
                     .models = 2,
                     .low = (double)NAN,
                     .high = (double)NAN,
                     .deviation = (double)NAN,
                     .published = (double)NAN};
    snprintf(row->id, sizeof(row->id), "%s", id);
    snprintf(row->arm, sizeof(row->arm), "%s", arm);
    snprintf(row->from[0], sizeof(row->from[0]), "seed 1, epoch 39");
    snprintf(row->from[1], sizeof(row->from[1]), "seed 2, final");
    return row;
}

static mdl_comparison *add_test(const char *first, const char *second, mdl_test_kind test,
                                mdl_outcome outcome, double p)
{
    mdl_comparison *c = &tests[table.n_comparisons++];
    *c = (mdl_comparison){.test = test,
                          .outcome = outcome,
                          .difference = 0.0125,
                          .low = (double)NAN,
                          .high = (double)NAN,
                          .p = p,
                          .p_holm = p,
                          .t = 2.5,
                          .df = 4,
                          .sign_flip_p = (double)NAN,
                          .n = {5, 5}};
    snprintf(c->first, sizeof(c->first), "%s", first);
    snprintf(c->second, sizeof(c->second), "%s", second);
    return c;
}

/* A merged model and its best parent, compared so. */
static mdl_comparison *compare(mdl_test_kind test, mdl_outcome outcome, double p)
{
    table = (mdl_table){.images = 10000, .rows = rows, .comparisons = tests};
    snprintf(table.data, sizeof(table.data), "cifar10");
    add_row("hybrid.m2n2", "hybrid", MDL_ROW_M2N2, 0.9125);
    add_row("hybrid.best-parent", "hybrid", MDL_ROW_BEST_PARENT, 0.9);
    return add_test("hybrid.m2n2", "hybrid.best-parent", test, outcome, p);
}

static void judge(mdl_outcome outcome, const char *word)
{
    mdl__say_verdict(&table, &verdict);
    assert_int_equal(verdict.outcome, outcome);
    assert_string_equal(verdict.word, word);
}

static void a_difference_that_is_shown(void **state)
{
    (void)state;
    mdl_comparison *c = compare(MDL_TEST_MCNEMAR, MDL_OUTCOME_BETTER, 0.0123);
    c->low = 0.002;
    c->high = 0.023;
    judge(MDL_OUTCOME_BETTER, "Yes");
    assert_string_equal(verdict.answer,
                        "Hybrid + M2N2 is right on 91.25 % of the 10000 test images, its best "
                        "parent (by the validation split) on 90.00 %: +1.25 points (95 % interval "
                        "+0.20 to +2.30; exact McNemar test, p = 0.012).");
    says(verdict.lines, "compare these very models, not the recipes that made them.");
}

static void a_difference_that_is_not_shown(void **state)
{
    (void)state;
    compare(MDL_TEST_MCNEMAR, MDL_OUTCOME_OPEN, 0.4);
    judge(MDL_OUTCOME_OPEN, "Not shown");
    says(verdict.answer, "p = 0.4), a difference that chance explains as well.");
    compare(MDL_TEST_MCNEMAR, MDL_OUTCOME_WORSE, 0.001)->difference = -0.0125;
    judge(MDL_OUTCOME_WORSE, "No");
    says(verdict.answer, "-1.25 points");
    is_silent(verdict.answer, "chance");
}

static void models_that_are_alike(void **state)
{
    (void)state;
    compare(MDL_TEST_MCNEMAR, MDL_OUTCOME_ALIKE, 1);
    judge(MDL_OUTCOME_ALIKE, "No");
    says(verdict.answer, "gives the answers of its best parent on every one of the 10000");
    table.kind = MDL_TABLE_REPEATS;
    judge(MDL_OUTCOME_ALIKE, "No");
    says(verdict.answer, "is right as often as its best parent");
}

static void no_test_is_possible(void **state)
{
    (void)state;
    char text[MDL__NOTE];
    mdl_comparison *c = compare(MDL_TEST_PAIRED, MDL_OUTCOME_NONE, (double)NAN);
    c->t = (double)NAN;
    judge(MDL_OUTCOME_NONE, "No test is possible");
    says(verdict.answer, "+1.25 points (no test is possible).");
    is_silent(verdict.answer, "p = ");
    mdl__say_test(c, text);
    assert_string_equal(text, "none: no spread");
    c->n[1] = 1;
    mdl__say_test(c, text);
    assert_string_equal(text, "none: too few");
}

/* Who is shown to beat the best parent only has half an answer. */
static void the_other_parents(void **state)
{
    (void)state;
    compare(MDL_TEST_MCNEMAR, MDL_OUTCOME_BETTER, 0.01);
    snprintf(add_row("hybrid.child-2", "hybrid", MDL_ROW_PARENT, 0.9)->what, MDL_ROW_NAME,
             "child 2");
    mdl_comparison *other =
        add_test("hybrid.m2n2", "hybrid.child-2", MDL_TEST_MCNEMAR, MDL_OUTCOME_BETTER, 0.02);
    judge(MDL_OUTCOME_BETTER, "Yes");
    says(verdict.answer, "It is shown to be better than each of the others, too.");
    other->outcome = MDL_OUTCOME_OPEN;
    other->p = 0.2;
    judge(MDL_OUTCOME_OPEN, "In part");
    says(verdict.answer, "better than every parent is not shown: hybrid: child 2 (recalibrated) "
                         "(+1.25 points, p = 0.2).");
    says(verdict.lines, "Hybrid + M2N2 is not shown to differ from hybrid: child 2 (recalibrated) "
                        "(+1.25 points, p = 0.2).\n");
}

/* What counts is each test's own p; how many stay after the correction is said beside it. */
static void p_values_are_corrected(void **state)
{
    (void)state;
    compare(MDL_TEST_MCNEMAR, MDL_OUTCOME_BETTER, 0.01)->p_holm = 0.06;
    add_row("hybrid.average", "hybrid", MDL_ROW_AVERAGE, 0.9);
    add_test("hybrid.m2n2", "hybrid.average", MDL_TEST_MCNEMAR, MDL_OUTCOME_BETTER, 0.03)->p_holm =
        0.04;
    judge(MDL_OUTCOME_BETTER, "Yes");
    says(verdict.lines, "of 2 tests 2 have p below 0.05, and 1 where Holm's correction counts all");
    says(verdict.lines, "is better than hybrid: uniform average (+1.25 points, p = 0.03).");
}

static void repeats_are_paired(void **state)
{
    (void)state;
    char text[MDL__NOTE];
    mdl_comparison *c = compare(MDL_TEST_PAIRED, MDL_OUTCOME_BETTER, 0.0318);
    c->sign_flip_p = 0.0625; /* 2 of 2^5 */
    table.kind = MDL_TABLE_REPEATS;
    table.repeats = 5;
    judge(MDL_OUTCOME_BETTER, "Yes");
    says(verdict.answer, ", on the mean over 5 repeats");
    says(verdict.answer, "paired t-test, p = 0.032; exact sign flips, p = 0.062, the least that so "
                         "many can give).");
    c->sign_flip_p = 0.125;
    judge(MDL_OUTCOME_BETTER, "Yes");
    says(verdict.answer, "exact sign flips, p = 0.12).");
    mdl__say_test(c, text);
    assert_string_equal(text, "paired t(4) = 2.50; sign flips p = 0.12");
}

static void few_seeds_prove_little(void **state)
{
    (void)state;
    mdl_comparison *c = compare(MDL_TEST_WELCH, MDL_OUTCOME_OPEN, 0.4);
    c->n[0] = 2;
    judge(MDL_OUTCOME_OPEN, "Not shown");
    says(verdict.lines, "2 seeds show little: with two, Welch's test finds a true gain of 0.3");
    c->n[1] = 1;
    judge(MDL_OUTCOME_OPEN, "Not shown");
    says(verdict.lines, "One seed on a side says nothing about the recipes; raise");
    c->outcome = MDL_OUTCOME_BETTER;
    judge(MDL_OUTCOME_BETTER, "Yes");
    is_silent(verdict.lines, "seed");
}

static void the_average_was_kept(void **state)
{
    (void)state;
    char text[MDL__NOTE];
    compare(MDL_TEST_MCNEMAR, MDL_OUTCOME_OPEN, 0.4);
    rows[0].is_average = true;
    rows[0].evaluations = 1000;
    judge(MDL_OUTCOME_OPEN, "Not shown");
    says(verdict.answer, "It is the plain uniform average of its parents: the search found nothing "
                         "better and kept it.");
    mdl__say_note(&table, &rows[0], text);
    assert_string_equal(text,
                        "2 parents, 1000 evaluated children; none was better than the uniform "
                        "average, which stays");
}

static void nothing_was_merged(void **state)
{
    (void)state;
    table = (mdl_table){.images = 100, .rows = rows, .comparisons = tests};
    add_row("baseline.mean", "baseline", MDL_ROW_MEAN, 0.9);
    judge(MDL_OUTCOME_NONE, "Nothing was merged");
    assert_string_equal(verdict.answer,
                        "Baseline is right on 90.00 % of the 100 test images; there "
                        "is no merged model to compare with its parents.");
    assert_string_equal(verdict.lines, "");
}

static void methods_of_the_paper(void **state)
{
    (void)state;
    table = (mdl_table){.kind = MDL_TABLE_PAPER, .images = 100, .rows = rows, .comparisons = tests};
    add_row("m2n2", "", MDL_ROW_METHOD, 0.8)->n_each = 5;
    add_row("ga", "", MDL_ROW_METHOD, 0.7);
    add_row("random", "", MDL_ROW_METHOD, 0.7);
    add_test("m2n2", "ga", MDL_TEST_PAIRED, MDL_OUTCOME_BETTER, 0.001);
    mdl_comparison *c = add_test("m2n2", "random", MDL_TEST_PAIRED, MDL_OUTCOME_BETTER, 0.04);
    judge(MDL_OUTCOME_BETTER, "Yes");
    c->p_holm = 0.08;
    c->outcome = MDL_OUTCOME_OPEN;
    judge(MDL_OUTCOME_BETTER, "For the most part");
    says(verdict.answer,
         "of 2 other methods it is ahead of 2, which is shown for 1 (1 after Holm's "
         "correction).");
    c->outcome = MDL_OUTCOME_WORSE;
    judge(MDL_OUTCOME_OPEN, "For the most part");
    says(verdict.answer, ", and shown to be behind others.");
    table.n_comparisons = 0;
    judge(MDL_OUTCOME_OPEN, "Nothing to compare");
}

static void findings(void **state)
{
    (void)state;
    mdl_finding found[] = {
        {.code = MDL_FINDING_AVERAGE_FELL, .row = "hybrid.average", .other = "hybrid.best-parent"},
        {.code = MDL_FINDING_SHARED_TRUNK, .value = {30, 0}},
        {.code = MDL_FINDING_PUBLISHED_ORDER, .value = {4, 5}},
        {.code = MDL_FINDING_AVERAGE_FELL, .row = "hybrid.average", .other = "gone"}};
    compare(MDL_TEST_MCNEMAR, MDL_OUTCOME_OPEN, 0.4);
    mdl_row *average = add_row("hybrid.average", "hybrid", MDL_ROW_AVERAGE, 0.1);
    table.findings = found;
    table.n_findings = MDL_COUNT(found);
    judge(MDL_OUTCOME_OPEN, "Not shown");
    says(verdict.lines, "Hybrid: uniform average fell to 10.0 % (hybrid: best parent: 90.0 %): "
                        "networks trained from different random weights");
    says(verdict.lines, "The parents of M2N2 share a trunk of 30 epochs");
    says(verdict.lines,
         "Of 5 pairs of methods that are more than 3 points apart in print, 4 stand");
    is_silent(verdict.lines, "gone");
    /* Of one reason, in one sentence. */
    snprintf(found[3].row, MDL_ROW_ID, "baseline.average");
    snprintf(found[3].other, MDL_ROW_ID, "hybrid.best-parent");
    add_row("baseline.average", "baseline", MDL_ROW_AVERAGE, 0.2);
    judge(MDL_OUTCOME_OPEN, "Not shown");
    says(verdict.lines, "fell to 10.0 % (hybrid: best parent: 90.0 %), baseline: uniform average "
                        "fell to 20.0 % (hybrid: best parent: 90.0 %): networks trained");
    average->shares_trunk = true;
    judge(MDL_OUTCOME_OPEN, "Not shown");
    says(verdict.lines, "the children have gone too far apart since their trunk");
}

static void numbers(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *count, *latency;
    } cases[] = {{(double)NAN, "", "busy"},       {0, "", ""},
                 {31.44, "31.44", "31440.00"},    {192.4, "192.4", "192400.00"},
                 {3599.7, "3.6 k", "3599700.00"}, {4049564, "4.05 M", "4049564000.00"}};
    char text[64];
    for (size_t i = 0; i < MDL_COUNT(cases); i++) {
        assert_string_equal(mdl__say_count(cases[i].value, text), cases[i].count);
        assert_string_equal(mdl__say_latency(cases[i].value, 2, text), cases[i].latency);
    }
}

static void names_and_notes(void **state)
{
    (void)state;
    static const struct {
        mdl_row_kind kind;
        const char *what, *name, *note;
    } cases[] = {
        {MDL_ROW_MEAN, "", "hybrid", "mean over 2 models"},
        {MDL_ROW_SEED, "seed 1", "hybrid: seed 1", "seed 1, epoch 39, as it was trained"},
        {MDL_ROW_BEST_PARENT, "", "hybrid: best parent",
         "seed 1, epoch 39: the best of 2 on the validation split"},
        {MDL_ROW_SLERP, "", "hybrid: SLERP midpoint",
         "half-way between seed 1, epoch 39 and seed 2, final"},
        {MDL_ROW_ENSEMBLE, "", "hybrid: logit ensemble",
         "no merge: 2 seeds answer each image, and the mean of their logits counts"},
        {MDL_ROW_TRUNK, "", "hybrid: trunk", "1 epoch, its learning rate not yet down"},
        {MDL_ROW_CONTROL, "mlp-head", "hybrid: MLP head",
         "a plain MLP of the recursive head's size in its place; one training of 1 epochs"},
        {MDL_ROW_CONTROL, "{from}", "hybrid: {from}", "one training of 1 epochs"},
        {MDL_ROW_METHOD, "unheard-of", "hybrid: unheard-of", "another way to merge; 9 evaluations"},
    };
    for (size_t i = 0; i < MDL_COUNT(cases); i++) {
        char name[MDL__NAME], note[MDL__NOTE];
        table = (mdl_table){.rows = rows};
        mdl_row *row = add_row("row", "hybrid", cases[i].kind, 0.5);
        row->epochs = 1;
        row->evaluations = 9;
        snprintf(row->what, sizeof(row->what), "%s", cases[i].what);
        assert_string_equal(mdl__say_name(row, true, name), cases[i].name);
        mdl__say_note(&table, row, note);
        assert_string_equal(note, cases[i].note);
    }
}

int main(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(a_difference_that_is_shown),
        cmocka_unit_test(a_difference_that_is_not_shown),
        cmocka_unit_test(models_that_are_alike),
        cmocka_unit_test(no_test_is_possible),
        cmocka_unit_test(the_other_parents),
        cmocka_unit_test(p_values_are_corrected),
        cmocka_unit_test(repeats_are_paired),
        cmocka_unit_test(few_seeds_prove_little),
        cmocka_unit_test(the_average_was_kept),
        cmocka_unit_test(nothing_was_merged),
        cmocka_unit_test(methods_of_the_paper),
        cmocka_unit_test(findings),
        cmocka_unit_test(numbers),
        cmocka_unit_test(names_and_notes),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}
