/* Small functions that the compiler can inline into a loop and vectorise: exp, sigmoid, random
 * words, a write that may accumulate.  No calls, no branches.  They rely on the rules of IEEE
 * arithmetic, so they must not be compiled with -ffast-math. */
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

/* Blocks index .. index + CPU_PHILOX - 1 of mdl_philox side by side: out[w][i] is word w of block
 * index + i. */
#define CPU_PHILOX 16
static inline void cpu_philox(uint64_t key, uint64_t stream, uint64_t index,
                              uint32_t out[4][CPU_PHILOX])
{
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    uint32_t *c0 = out[0], *c1 = out[1], *c2 = out[2], *c3 = out[3];
    for (uint64_t i = 0; i < CPU_PHILOX; i++) {
        c0[i] = (uint32_t)(index + i);
        c1[i] = (uint32_t)((index + i) >> 32);
        c2[i] = (uint32_t)stream;
        c3[i] = (uint32_t)(stream >> 32);
    }
    for (int round = 0; round < 10; round++) {
#pragma omp simd
        for (int i = 0; i < CPU_PHILOX; i++) {
            uint64_t p0 = (uint64_t)UINT32_C(0xD2511F53) * c0[i];
            uint64_t p1 = (uint64_t)UINT32_C(0xCD9E8D57) * c2[i];
            c0[i] = (uint32_t)(p1 >> 32) ^ c1[i] ^ k0;
            c1[i] = (uint32_t)p1;
            c2[i] = (uint32_t)(p0 >> 32) ^ c3[i] ^ k1;
            c3[i] = (uint32_t)p0;
        }
        k0 += UINT32_C(0x9E3779B9);
        k1 += UINT32_C(0xBB67AE85);
    }
}

/* *out = value, or += value.  Loops vectorise where `accumulate` is a constant, so their function
 * is CPU_INLINE and called once with true and once with false. */
static inline void cpu_put(float *out, float value, bool accumulate)
{
    *out = accumulate ? *out + value : value;
}

#endif
