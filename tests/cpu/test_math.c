/* exp of the CPU kernels against the C library's in double, over its whole range; their random
 * words against those of base. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "backends/cpu/cpu_math.h"
#include "base/base.h"

#include <math.h>

/* Errors in units of the last place of the exact result. */
static void test_exp_error(void **state)
{
    (void)state;
    double worst = 0, at = 0;
    for (uint64_t bits = 0; bits <= UINT32_MAX; bits += 1009) { /* a prime: all exponents */
        uint32_t word = (uint32_t)bits;
        float x;
        memcpy(&x, &word, sizeof(x));
        if (!(x > -87.3f && x < 88.7f)) /* results are normal numbers */
            continue;
        double exact = exp((double)x);
        double error = fabs((double)cpu_expf(x) - exact) / ldexp(1, ilogb(exact) - 23);
        if (!(error <= worst)) {
            worst = error;
            at = (double)x;
        }
    }
    if (!(worst < 2))
        fail_msg("error of %g units in the last place at %.9g", worst, at);
}

static void test_exp_limits(void **state)
{
    (void)state;
    assert_true(cpu_expf(0.0f) == 1.0f);
    assert_true(cpu_expf(-0.0f) == 1.0f);
    assert_true(isinf(cpu_expf(88.73f)) && isinf(cpu_expf(1e30f)) && isinf(cpu_expf(INFINITY)));
    assert_true(cpu_expf(-104.0f) == 0.0f && cpu_expf(-1e30f) == 0.0f);
    assert_true(cpu_expf(-INFINITY) == 0.0f);
    assert_true(isnan(cpu_expf(NAN)));
    /* Below the normal numbers: within one unit of the smallest. */
    assert_true(fabs((double)cpu_expf(-95.0f) - exp(-95.0)) <= ldexp(1, -149));
}

static void test_sigmoid(void **state)
{
    (void)state;
    for (int i = -800; i <= 800; i++) {
        float x = 0.1f * (float)i;
        double exact = 1 / (1 + exp(-(double)x));
        assert_true(fabs((double)cpu_sigmoidf(x) - exact) <= 3e-7 * exact);
    }
    assert_true(cpu_sigmoidf(1e4f) == 1.0f && cpu_sigmoidf(-1e4f) == 0.0f);
    assert_true(isnan(cpu_sigmoidf(NAN)));
}

static void test_random_words(void **state)
{
    (void)state;
    const uint64_t key = 0x123456789abcdef0, stream = 0xfedcba9876543210, index = 0xfffffff8;
    uint32_t words[4][CPU_PHILOX], expected[4];
    cpu_philox(key, stream, index, words);
    for (uint64_t i = 0; i < CPU_PHILOX; i++) {
        mdl_philox(key, stream, index + i, expected);
        for (int w = 0; w < 4; w++)
            assert_int_equal(words[w][i], expected[w]);
    }
}

/* The two parts of a normal, over all words and at the ends. */
static void check_word(uint32_t word)
{
    double sine, cosine, u = ((double)word + 1) / 4294967296.0, exact = log(u);
    double angle = 2 * acos(-1.0) * (double)word / 4294967296.0;
    double got = cpu_log_word(word);
    cpu_turn(word, &sine, &cosine);
    if (!(fabs(got - exact) <= -1e-11 * exact))
        fail_msg("log of word %u: got %.17g, expected %.17g", word, got, exact);
    if (!(fabs(sine - sin(angle)) <= 1e-11 && fabs(cosine - cos(angle)) <= 1e-11))
        fail_msg("turn of word %u: got %.17g, %.17g", word, sine, cosine);
}

static void test_normal_parts(void **state)
{
    (void)state;
    for (uint64_t word = 0; word <= UINT32_MAX; word += 99991)
        check_word((uint32_t)word);
    for (int bit = 0; bit < 32; bit++)
        for (uint32_t off = 0; off < 5; off++)
            check_word((UINT32_C(1) << bit) - 2 + off);
    check_word(UINT32_MAX); /* log 1: exactly 0 */
    check_word(UINT32_MAX - 1);
    assert_true(cpu_log_word(UINT32_MAX) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exp_error),    cmocka_unit_test(test_exp_limits),
        cmocka_unit_test(test_sigmoid),      cmocka_unit_test(test_random_words),
        cmocka_unit_test(test_normal_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
