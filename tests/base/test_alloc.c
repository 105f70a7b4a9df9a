/* Allocation: alignment, zeroes, overflow, growth, and the fault hook. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"

static int hook_off(void **state)
{
    (void)state;
    mdl_alloc_fail_at(0);
    return 0;
}

static void memory_is_aligned_and_zero(void **state)
{
    (void)state;
    static const size_t counts[] = {0, 1, 2, 31, 63, 64, 65, 4097, 100003};
    for (size_t i = 0; i < MDL_COUNT(counts); i++) {
        unsigned char *bytes;
        assert_int_equal(MDL_NEW(counts[i], "bytes", &bytes), MDL_OK);
        assert_non_null(bytes);
        assert_int_equal((uintptr_t)bytes % MDL_ALIGNMENT, 0);
        for (size_t j = 0; j < counts[i]; j++)
            assert_int_equal(bytes[j], 0);
        if (counts[i] > 0)
            memset(bytes, 0xA5, counts[i]); /* the next one must be zeroed again */
        mdl_free(bytes);
    }
    mdl_free(NULL);
}

static void overflow_is_refused(void **state)
{
    (void)state;
    static const size_t cases[][2] = {
        {SIZE_MAX, 1},         {1, SIZE_MAX},          {SIZE_MAX, SIZE_MAX},
        {SIZE_MAX / 2 + 1, 2}, {SIZE_MAX / 8 + 2, 8},  {(size_t)1 << 33, (size_t)1 << 33},
        {SIZE_MAX / 2, 1},     {SIZE_MAX / 2 - 63, 1},
    };
    for (size_t i = 0; i < MDL_COUNT(cases); i++) {
        void *memory = &memory;
        assert_int_equal(mdl_alloc(cases[i][0], cases[i][1], "wide", &memory), MDL_NO_MEMORY);
        assert_null(memory);
        assert_non_null(strstr(mdl_error_detail(), "wide"));
    }
}

static void growth_keeps_and_zeroes(void **state)
{
    (void)state;
    uint32_t *numbers = NULL;
    assert_int_equal(mdl_grow(0, 5, sizeof(*numbers), "numbers", (void **)&numbers), MDL_OK);
    for (uint32_t i = 0; i < 5; i++)
        numbers[i] = i + 1;
    assert_int_equal(mdl_grow(5, 1000, sizeof(*numbers), "numbers", (void **)&numbers), MDL_OK);
    for (uint32_t i = 0; i < 1000; i++)
        assert_int_equal(numbers[i], i < 5 ? i + 1 : 0);

    uint32_t *before = numbers;
    assert_int_equal(mdl_grow(1000, SIZE_MAX, sizeof(*numbers), "numbers", (void **)&numbers),
                     MDL_NO_MEMORY);
    mdl_alloc_fail_at(1);
    assert_int_equal(mdl_grow(1000, 2000, sizeof(*numbers), "numbers", (void **)&numbers),
                     MDL_NO_MEMORY);
    assert_ptr_equal(numbers, before);
    assert_int_equal(numbers[4], 5);
    mdl_free(numbers);
}

static void strings_are_copied(void **state)
{
    (void)state;
    char *copy;
    assert_int_equal(mdl_strdup("", &copy), MDL_OK);
    assert_string_equal(copy, "");
    mdl_free(copy);
    assert_int_equal(mdl_strdup("blocks.1.0", &copy), MDL_OK);
    assert_string_equal(copy, "blocks.1.0");
    mdl_free(copy);
    mdl_alloc_fail_at(1);
    assert_int_equal(mdl_strdup("x", &copy), MDL_NO_MEMORY);
    assert_null(copy);
}

static void hook_fails_the_nth_once(void **state)
{
    (void)state;
    for (unsigned long nth = 1; nth <= 5; nth++) {
        mdl_alloc_fail_at(nth);
        for (unsigned long i = 1; i <= 8; i++) {
            void *memory;
            mdl_status status = mdl_alloc(1, 8, "hooked", &memory);
            assert_int_equal(status, i == nth ? MDL_NO_MEMORY : MDL_OK);
            mdl_free(memory);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_aligned_and_zero),
        cmocka_unit_test(overflow_is_refused),
        cmocka_unit_test_teardown(growth_keeps_and_zeroes, hook_off),
        cmocka_unit_test_teardown(strings_are_copied, hook_off),
        cmocka_unit_test_teardown(hook_fails_the_nth_once, hook_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
