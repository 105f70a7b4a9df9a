/* Small functions that the compiler can inline into a loop and vectorise: exp, sigmoid, a write
 * that may accumulate.  No calls, no branches.  They rely on the rules of IEEE arithmetic, so they
 * must not be compiled with -ffast-math. */
#ifndef MDL_CPU_MATH_H
#define MDL_CPU_MATH_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static inline float cpu_power_of_two(int32_t n) /* 2^n, -126 <= n <= 127 */
{
    uint32_t bits = (uint32_t)(n + 127) << 23;
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

/* exp(x) with an error below 2 units in the last place (tests/test_cpu_math.c), infinity above
 * 88.73, NaN for NaN.
 *
 * x = n ln 2 + r with |r| <= ln 2 / 2; exp(r) is its Taylor polynomial of degree 7, whose remainder
 * is below 0.3466^8 / 8! = 5.2e-9; 2^n is made of two factors, each of them a normal number. */
static inline float cpu_expf(float x)
{
    const float log2_e = 1.44269504f;
    const float ln2_high = 0.693359375f;   /* nine bits, so that n * ln2_high is exact */
    const float ln2_low = -2.12194440e-4f; /* ln 2 - ln2_high */
    const float round = 12582912.0f;       /* 1.5 * 2^23: adding it rounds to an integer */
    x = x > 89.0f ? 89.0f : x;             /* false for NaN, which so passes */
    x = x < -104.0f ? -104.0f : x;
    float shifted = x * log2_e + round;
    float n = shifted - round;
    int32_t bits, power;
    memcpy(&bits, &shifted, sizeof(bits));
    power = bits - INT32_C(0x4b400000); /* the bits of `round` */
    float r = x - n * ln2_high - n * ln2_low;
    float q = 1.0f / 720 + r * (1.0f / 5040);
    q = 1.0f / 120 + r * q;
    q = 1.0f / 24 + r * q;
    q = 1.0f / 6 + r * q;
    q = 0.5f + r * q;
    float value = 1.0f + (r + r * r * q);
    int32_t half = power >> 1;
    return value * cpu_power_of_two(half) * cpu_power_of_two(power - half);
}

static inline float cpu_sigmoidf(float x)
{
    return 1.0f / (1.0f + cpu_expf(-x));
}

/* *out = value, or += value.  Loops vectorise where `accumulate` is a constant, so their function
 * is CPU_INLINE and called once with true and once with false. */
static inline void cpu_put(float *out, float value, bool accumulate)
{
    *out = accumulate ? *out + value : value;
}

#endif
