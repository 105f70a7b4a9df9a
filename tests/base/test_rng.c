/* Philox against the known answers published with Random123, and the sequence on top of it:
 * ranges, moments, independence from how it is called, saved state.  Seeds are fixed, so the
 * statistical bounds (6 standard deviations) hold or fail for good. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"

static void known_answers(void **state)
{
    (void)state;
    static const struct {
        uint64_t key, stream, index; /* little-endian pairs of the published words */
        uint32_t words[4];
    } cases[] = {
        {0, 0, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {UINT64_MAX, UINT64_MAX, UINT64_MAX, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {0x299f31d0a4093822,
         0x0370734413198a2e,
         0x85a308d3243f6a88,
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < MDL_COUNT(cases); i++) {
        uint32_t words[4];
        mdl_philox(cases[i].key, cases[i].stream, cases[i].index, words);
        for (int j = 0; j < 4; j++)
            assert_int_equal(words[j], cases[i].words[j]);
    }
}

static void sequence_is_the_blocks(void **state)
{
    (void)state;
    mdl_rng rng = mdl_rng_init(7, MDL_STREAM_MERGE);
    mdl_rng saved = rng;
    for (uint64_t block = 0; block < 5; block++) {
        uint32_t words[4];
        mdl_philox(7, MDL_STREAM_MERGE, block, words);
        for (int i = 0; i < 4; i++) {
            if (block == 2 && i == 3)
                saved = rng; /* in the middle of a block */
            assert_int_equal(mdl_rng_u32(&rng), words[i]);
        }
    }
    for (int i = 0; i < 9; i++)
        mdl_rng_u32(&saved);
    assert_int_equal(mdl_rng_u32(&saved), mdl_rng_u32(&rng));
}

static void uniform_has_its_moments(void **state)
{
    (void)state;
    enum { N = 100000 };
    mdl_rng rng = mdl_rng_init(1, 2);
    double sum = 0, squares = 0;
    for (int i = 0; i < N; i++) {
        double u = mdl_rng_uniform(&rng);
        assert_true(u >= 0 && u < 1);
        sum += u;
        squares += u * u;
    }
    assert_true(fabs(sum / N - 0.5) < 6 * sqrt(1.0 / 12 / N));
    assert_true(fabs(squares / N - 1.0 / 3) < 6 * sqrt(4.0 / 45 / N));
}

static void normal_has_its_moments(void **state)
{
    (void)state;
    enum { N = 100000 };
    mdl_rng rng = mdl_rng_init(1, 3);
    double sum = 0, squares = 0, fourth = 0;
    for (int i = 0; i < N; i++) {
        double x = mdl_rng_normal(&rng);
        assert_true(isfinite(x));
        sum += x;
        squares += x * x;
        fourth += x * x * x * x;
    }
    /* Variances of x, x^2 and x^4: 1, 2 and 96. */
    assert_true(fabs(sum / N) < 6 * sqrt(1.0 / N));
    assert_true(fabs(squares / N - 1) < 6 * sqrt(2.0 / N));
    assert_true(fabs(fourth / N - 3) < 6 * sqrt(96.0 / N));
    /* Each takes two uniforms, that is one block. */
    assert_int_equal(rng.index, N);
    assert_int_equal(rng.left, 0);
}

static void below_is_uniform(void **state)
{
    (void)state;
    enum { N = 70000, FACES = 7 };
    mdl_rng rng = mdl_rng_init(5, 5);
    int counts[FACES] = {0};
    for (int i = 0; i < N; i++)
        counts[mdl_rng_below(&rng, FACES)]++;
    for (int i = 0; i < FACES; i++)
        assert_true(fabs(counts[i] - N / 7.0) < 6 * sqrt(N * (1.0 / 7) * (6.0 / 7)));
    for (int i = 0; i < 100; i++) {
        assert_int_equal(mdl_rng_below(&rng, 1), 0);
        /* Here almost half of all draws are rejected. */
        assert_true(mdl_rng_below(&rng, ((uint64_t)1 << 63) + 1) <= (uint64_t)1 << 63);
    }
}

static void shuffle_permutes_fairly(void **state)
{
    (void)state;
    mdl_rng rng = mdl_rng_init(11, MDL_STREAM_ORDER);
    int counts[6] = {0};
    enum { N = 60000 };
    for (int i = 0; i < N; i++) {
        uint32_t a[3] = {0, 1, 2};
        mdl_rng_shuffle(&rng, a, 3);
        assert_int_equal(1u << a[0] | 1u << a[1] | 1u << a[2], 7);
        counts[a[0] * 2 + (a[1] > a[2] ? 1 : 0)]++;
    }
    for (int i = 0; i < 6; i++)
        assert_true(fabs(counts[i] - N / 6.0) < 6 * sqrt(N * (1.0 / 6) * (5.0 / 6)));

    uint32_t many[257];
    bool seen[257] = {false};
    for (uint32_t i = 0; i < 257; i++)
        many[i] = i;
    mdl_rng_shuffle(&rng, many, 257);
    for (uint32_t i = 0; i < 257; i++) {
        assert_in_range(many[i], 0, 256);
        assert_false(seen[many[i]]);
        seen[many[i]] = true;
    }
    mdl_rng_shuffle(&rng, NULL, 0);
    mdl_rng_shuffle(&rng, many, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers),           cmocka_unit_test(sequence_is_the_blocks),
        cmocka_unit_test(uniform_has_its_moments), cmocka_unit_test(normal_has_its_moments),
        cmocka_unit_test(below_is_uniform),        cmocka_unit_test(shuffle_permutes_fairly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
