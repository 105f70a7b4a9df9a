/* Status texts and the error detail: formatting, context, truncation, one detail per thread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"

static void texts_are_distinct(void **state)
{
    (void)state;
    static const mdl_status all[] = {
#define X(name, value, text) MDL_##name,
        MDL_STATUS_LIST(X)
#undef X
    };
    for (size_t i = 0; i < MDL_COUNT(all); i++) {
        assert_true(strlen(mdl_status_text(all[i])) > 0);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(mdl_status_text(all[i]), mdl_status_text(all[j]));
    }
    assert_string_equal(mdl_status_text((mdl_status)-1000), "unknown status");
}

static void detail_is_kept(void **state)
{
    (void)state;
    assert_int_equal(mdl_fail(MDL_SHAPE, "conv: got %d, expected %d", 3, 5), MDL_SHAPE);
    assert_string_equal(mdl_error_detail(), "conv: got 3, expected 5");
    assert_int_equal(mdl_fail_context(MDL_CONFIG, "file %s", "a.yaml"), MDL_CONFIG);
    assert_string_equal(mdl_error_detail(), "file a.yaml: conv: got 3, expected 5");
    /* The old detail may be an argument of the new one. */
    assert_int_equal(mdl_fail(MDL_IO, "again (%s)", mdl_error_detail()), MDL_IO);
    assert_string_equal(mdl_error_detail(), "again (file a.yaml: conv: got 3, expected 5)");
    assert_int_equal(mdl_fail(MDL_IO, "%s", ""), MDL_IO);
    assert_int_equal(mdl_fail_context(MDL_IO, "alone"), MDL_IO);
    assert_string_equal(mdl_error_detail(), "alone");
}

static void long_detail_is_cut(void **state)
{
    (void)state;
    static char text[20000];
    memset(text, 'x', sizeof(text) - 1);
    assert_int_equal(mdl_fail(MDL_IO, "%s", text), MDL_IO);
    size_t length = strlen(mdl_error_detail());
    assert_in_range(length, 500, sizeof(text) - 2);
    assert_int_equal(mdl_fail_context(MDL_IO, "front"), MDL_IO);
    assert_int_equal(strlen(mdl_error_detail()), length);
    assert_memory_equal(mdl_error_detail(), "front: xxx", 10);
    assert_int_equal(mdl_fail_context(MDL_IO, "%s", text), MDL_IO);
    assert_int_equal(strlen(mdl_error_detail()), length);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_distinct),
        cmocka_unit_test(detail_is_kept),
        cmocka_unit_test(long_detail_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
