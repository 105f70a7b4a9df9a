/* Where a model errs: counts, mistakes and intervals of a small confusion by hand. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "stats/stats.h"
#include "train/train.h"

enum { IMAGES = 10, CLASSES = 7 };

static const int32_t labels[IMAGES] = {0, 0, 0, 0, 1, 1, 1, 2, 2, 2};
static const uint32_t called[IMAGES] = {0, 0, 0, 1, 1, 0, 1, 2, 2, 0};
static const uint32_t above[IMAGES] = {0, 0, 0, 4, 0, 1, 0, 0, 0, 5};
static const double probability[IMAGES] = {.9, .8, .7, .6, .5, .75, .9, .9, .9, .6};

static void find(size_t mistakes, mdl_errors *errors)
{
    mdl_answer answers[IMAGES];
    mdl_scores scores = {.count = IMAGES, .classes = CLASSES, .answers = answers};
    for (size_t i = 0; i < IMAGES; i++)
        answers[i] = (mdl_answer){called[i], above[i], probability[i], 0.1};
    assert_int_equal(mdl_errors_find(&scores, labels, mistakes, errors), MDL_OK);
}

static void test_counts(void **state)
{
    static const size_t expected[3][3] = {{4, 5, 3}, {3, 3, 2}, {3, 2, 2}};
    static const mdl_confused cells[] = {{0, 0, 3}, {0, 1, 1}, {1, 0, 1},
                                         {1, 1, 2}, {2, 0, 1}, {2, 2, 2}};
    mdl_errors e;
    (void)state;
    find(0, &e);
    assert_int_equal(e.images, IMAGES);
    assert_int_equal(e.right, 7);
    assert_int_equal(e.among, 9); /* the last is sixth */
    for (size_t c = 0; c < 3; c++) {
        assert_int_equal(e.of[c].images, expected[c][0]);
        assert_int_equal(e.of[c].called, expected[c][1]);
        assert_int_equal(e.of[c].right, expected[c][2]);
    }
    assert_int_equal(e.n_cells, MDL_COUNT(cells));
    for (size_t i = 0; i < MDL_COUNT(cells); i++) {
        assert_int_equal(e.cells[i].label, cells[i].label);
        assert_int_equal(e.cells[i].called, cells[i].called);
        assert_int_equal(e.cells[i].images, cells[i].images);
    }
    assert_int_equal(e.n_mistakes, 0);
    mdl_errors_free(&e);
}

static void test_mistakes(void **state)
{
    static const uint32_t surest[] = {5, 3, 9}; /* 3 and 9 are as sure: the first comes first */
    (void)state;
    for (size_t most = 1; most <= 5; most++) {
        mdl_errors e;
        find(most, &e);
        assert_int_equal(e.n_mistakes, mdl_min_size(most, 3));
        for (size_t i = 0; i < e.n_mistakes; i++)
            assert_int_equal(e.mistakes[i], surest[i]);
        mdl_errors_free(&e);
    }
}

/* All sizes of the heap, against what sorting gives: probabilities fall by a step that visits all
 * images. */
static void test_many_mistakes(void **state)
{
    enum { MANY = 101, STEP = 37 };
    mdl_answer answers[MANY];
    int32_t none[MANY] = {0};
    uint32_t place[MANY];
    mdl_scores scores = {.count = MANY, .classes = 2, .answers = answers};
    (void)state;
    for (uint32_t i = 0; i < MANY; i++) {
        place[i] = i * STEP % MANY;
        answers[place[i]] = (mdl_answer){.called = 1, .probability = 1 - i / 200.0};
    }
    for (size_t most = 1; most <= MANY; most++) {
        mdl_errors e;
        assert_int_equal(mdl_errors_find(&scores, none, most, &e), MDL_OK);
        assert_int_equal(e.n_mistakes, most);
        assert_memory_equal(e.mistakes, place, most * sizeof(*place));
        mdl_errors_free(&e);
    }
}

/* scipy.stats.binomtest(k, n).proportion_ci(method="wilson") gives the interval of 3 of 6 as
 * 0.18761630 to 0.81238370; F1 is 2 p / (1 + p) of it. */
static void test_f1(void **state)
{
    mdl_interval f1 = mdl_stat_f1(3, 6);
    (void)state;
    assert_true(fabs(f1.low - 2 * 0.18761630 / 1.18761630) < 1e-7);
    assert_true(fabs(f1.high - 2 * 0.81238370 / 1.81238370) < 1e-7);
    assert_true(mdl_stat_f1(4, 4).high == 1);
    assert_true(mdl_stat_f1(0, 4).low == 0);
}

static void test_base64(void **state)
{
    static const char *const texts[] = {"", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE="};
    (void)state;
    for (size_t i = 0; i < MDL_COUNT(texts); i++) { /* RFC 4648, 10 */
        char *text;
        assert_int_equal(mdl_base64("foobar", i, &text), MDL_OK);
        assert_string_equal(text, texts[i]);
        mdl_free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts),        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_many_mistakes), cmocka_unit_test(test_f1),
        cmocka_unit_test(test_base64),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
