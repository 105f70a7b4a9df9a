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

/* exp(x) with an error below 2 units in the last place (tests/cpu/test_math.c), infinity above
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

/* log((word + 1) / 2^32), relative error below 1e-11 (tests/cpu/test_math.c).
 *
 * word + 1 = 2^k m with sqrt(1/2) <= m < sqrt(2); log m = 2 artanh(s), s = (m - 1) / (m + 1), so
 * |s| < 0.1716 and the first omitted term of the series is below s^14 / 15 = 1.3e-12 of the sum.
 * Near word = 2^32 - 1 k is 0, so nothing cancels. */
static inline double cpu_log_word(uint32_t word)
{
    const uint64_t root_half = UINT64_C(0x3fe6a09e667f3bcd), one = UINT64_C(0x3ff) << 52;
    const uint64_t magic = UINT64_C(0x4330000000000000); /* 2^52: small integers as its low bits */
    /* Signed, since only signed words are converted side by side everywhere. */
    double n = (double)(int32_t)(word ^ UINT32_C(0x80000000)) + 2147483649.0, m, k;
    uint64_t bits, power;
    memcpy(&bits, &n, sizeof(bits));
    bits += one - root_half;
    power = (bits >> 52) + magic;
    bits = (bits & ((UINT64_C(1) << 52) - 1)) + root_half;
    memcpy(&m, &bits, sizeof(m));
    memcpy(&k, &power, sizeof(k));
    k -= 4503599627370496.0 + 1023.0 + 32.0;
    double s = (m - 1.0) / (m + 1.0), z = s * s;
    double q = 1.0 / 11 + z * (1.0 / 13);
    q = 1.0 / 9 + z * q;
    q = 1.0 / 7 + z * q;
    q = 1.0 / 5 + z * q;
    q = 1.0 / 3 + z * q;
    return k * 0.693147180559945309417 + 2.0 * (s + s * z * q);
}

/* Sine and cosine of 2 pi word / 2^32, error below 1e-11.  The angle is reduced to +-pi/4 in
 * integers, exactly; there the omitted terms are below 0.7854^15 / 15! = 2.1e-14 and
 * 0.7854^14 / 14! = 4e-13. */
static inline void cpu_turn(uint32_t word, double *sine, double *cosine)
{
    const double unit = 6.28318530717958647692 / 4294967296.0;
    uint32_t quarter = (word + (UINT32_C(1) << 29)) >> 30;
    double x = (double)(int32_t)(word - (quarter << 30)) * unit, z = x * x;
    double s = -1.0 / 39916800 + z * (1.0 / 6227020800.0);
    s = 1.0 / 362880 + z * s;
    s = -1.0 / 5040 + z * s;
    s = 1.0 / 120 + z * s;
    s = -1.0 / 6 + z * s;
    s = x + x * z * s;
    double c = 1.0 / 479001600;
    c = -1.0 / 3628800 + z * c;
    c = 1.0 / 40320 + z * c;
    c = -1.0 / 720 + z * c;
    c = 1.0 / 24 + z * c;
    c = -0.5 + z * c;
    c = 1.0 + z * c;
    double even = (quarter & 1) == 0 ? 1.0 : 0.0, odd = 1.0 - even;
    double of_sine = (quarter & 2) == 0 ? 1.0 : -1.0;
    double of_cosine = ((quarter + 1) & 2) == 0 ? 1.0 : -1.0;
    *sine = of_sine * (even * s + odd * c);
    *cosine = of_cosine * (even * c + odd * s);
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
