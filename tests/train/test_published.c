/* The figures of a published set of corrupted images, by hand. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "train/assess.h"

enum { EACH = 4, PART = EACH * MDL_SEVERITIES, PARTS = 16 };

static mdl_data *data;
static json_t *json;
static float correct[PARTS * PART];

/* 16 corruptions of four images at each severity, the last of them extra. */
static int set_up(void **state)
{
    (void)state;
    static const char *const names[PARTS] = {"a", "b", "c", "d", "e", "f", "g", "h",
                                             "i", "j", "k", "l", "m", "n", "o", "extra"};
    mdl_data_config config = mdl_data_config_default();
    mdl_dataset *set;
    json = NULL;
    data = NULL;
    config.test_only = true;
    config.normalize = MDL_NORMALIZE_UNIT;
    config.image_size = 1;
    if (MDL_NEW(1, "set", &set) != MDL_OK)
        return -1;
    *set = (mdl_dataset){.count = PARTS * PART,
                         .height = 1,
                         .width = 1,
                         .channels = 1,
                         .classes = 2,
                         .value_max = 255,
                         .n_parts = PARTS};
    if (MDL_NEW(set->count, "pixels", &set->pixels) != MDL_OK ||
        MDL_NEW(set->count, "labels", &set->labels) != MDL_OK ||
        MDL_NEW(PARTS, "parts", &set->parts) != MDL_OK)
        return -1;
    for (size_t p = 0; p < PARTS; p++)
        set->parts[p] = (mdl_set_part){names[p], "noise", p == 15, p * PART, PART};
    return mdl_data_of_sets(&config, NULL, NULL, set, &data) == MDL_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    json_decref(json);
    mdl_data_close(data);
    return 0;
}

static double real_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : -1;
}

static void assert_near(double found, double wanted)
{
    if (!(fabs(found - wanted) < 1e-12))
        fail_msg("%.15g is not %.15g", found, wanted);
}

static void find(size_t images)
{
    const mdl_scores scores = {.count = images, .correct = correct};
    json_decref(json);
    assert_int_equal(mdl_published_json(&scores, data, MDL_SPLIT_TEST, &json), MDL_OK);
}

/* Of corruption a, at severity s, 4 - (s - 1) of 4 are right: 1, 3/4, 1/2, 1/4, 0, mean 1/2.  Of b
 * all are right, of the 13 others none, of the extra one all.  (1/2 + 1) / 15 = 0.1. */
static void by_hand(void **state)
{
    (void)state;
    memset(correct, 0, sizeof(correct));
    for (size_t i = 0; i < PART; i++) {
        correct[i] = i % EACH + i / EACH < EACH ? 1 : 0;
        correct[PART + i] = correct[15 * PART + i] = 1;
    }
    find(PARTS * PART);
    assert_near(real_of(json, "mean"), 0.1);
    assert_near(real_of(json, "mean_corruption_error"), 0.9);
    assert_int_equal(json_integer_value(json_object_get(json, "published_kinds")), 15);
    const json_t *kinds = json_object_get(json, "kinds"), *a = json_array_get(kinds, 0);
    assert_int_equal(json_array_size(kinds), PARTS);
    for (size_t s = 0; s < MDL_SEVERITIES; s++)
        assert_near(json_number_value(json_array_get(json_object_get(a, "top1"), s)),
                    1 - (double)s / 4);
    assert_near(real_of(a, "mean"), 0.5);
    assert_true(json_is_true(json_object_get(json_array_get(kinds, 15), "extra")));
    /* Without the last corruption the mean is over 14, and there is no published figure. */
    data->test->n_parts = 14;
    find(14 * PART);
    assert_near(real_of(json, "mean"), 1.5 / 14);
    assert_true(json_is_null(json_object_get(json, "mean_corruption_error")));
    data->test->n_parts = 0; /* not such a set */
    find(PART);
    assert_null(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(by_hand, set_up, tear_down)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
