/* Vectors of the instruction set this file is compiled for, written with the vector extensions of
 * GCC and Clang.  Intrinsics stand only where those have no word for it (minimum, masks). */
#ifndef MDL_CPU_SIMD_H
#define MDL_CPU_SIMD_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__)
#define CPU_LANES 16
#elif defined(__AVX__)
#define CPU_LANES 8
#else
#define CPU_LANES 4
#endif
#if defined(__SSE__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

typedef float cpu_vec __attribute__((vector_size(CPU_LANES * 4)));
typedef int32_t cpu_ivec __attribute__((vector_size(CPU_LANES * 4)));
/* The same at any address, for loads and stores. */
typedef float cpu_vec_any __attribute__((vector_size(CPU_LANES * 4), aligned(4), may_alias));

#define CPU_INLINE static inline __attribute__((always_inline))
/* Before a loop with a constant count whose arrays must end up in registers.  Not under a
 * sanitizer, where it would only make the compiler slow. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CPU_SANITIZED
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define CPU_SANITIZED
#endif
#if defined(CPU_SANITIZED)
#define CPU_UNROLL
#elif defined(__clang__)
#define CPU_UNROLL _Pragma("unroll")
#else
#define CPU_UNROLL _Pragma("GCC unroll 32")
#endif

CPU_INLINE cpu_vec cpu_load(const float *p)
{
    return *(const cpu_vec_any *)p;
}
CPU_INLINE void cpu_store(float *p, cpu_vec v)
{
    *(cpu_vec_any *)p = v;
}
CPU_INLINE cpu_vec cpu_splat(float x)
{
    return x - (cpu_vec){0};
}

/* The first n lanes (1 <= n <= CPU_LANES; the others are zero, and not touched in memory). */
#define CPU_ALL_LANES(n) (__builtin_constant_p(n) && (n) == CPU_LANES)
#if defined(__AVX512F__)
CPU_INLINE cpu_vec cpu_load_n(const float *p, size_t n)
{
    if (CPU_ALL_LANES(n))
        return cpu_load(p);
    return (cpu_vec)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1u), p);
}
CPU_INLINE void cpu_store_n(float *p, cpu_vec v, size_t n)
{
    if (CPU_ALL_LANES(n))
        cpu_store(p, v);
    else
        _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1u), (__m512)v);
}
#elif defined(__AVX__)
static const int32_t cpu_mask_words[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};
CPU_INLINE __m256i cpu_mask(size_t n)
{
    return _mm256_loadu_si256((const __m256i_u *)(cpu_mask_words + 8 - n));
}
CPU_INLINE cpu_vec cpu_load_n(const float *p, size_t n)
{
    if (CPU_ALL_LANES(n))
        return cpu_load(p);
    return (cpu_vec)_mm256_maskload_ps(p, cpu_mask(n));
}
CPU_INLINE void cpu_store_n(float *p, cpu_vec v, size_t n)
{
    if (CPU_ALL_LANES(n))
        cpu_store(p, v);
    else
        _mm256_maskstore_ps(p, cpu_mask(n), (__m256)v);
}
#else
CPU_INLINE cpu_vec cpu_load_n(const float *p, size_t n)
{
    if (n == CPU_LANES)
        return cpu_load(p);
    float lanes[CPU_LANES] = {0};
    for (size_t i = 0; i < n; i++)
        lanes[i] = p[i];
    return cpu_load(lanes);
}
CPU_INLINE void cpu_store_n(float *p, cpu_vec v, size_t n)
{
    if (n == CPU_LANES) {
        cpu_store(p, v);
        return;
    }
    float lanes[CPU_LANES];
    cpu_store(lanes, v);
    for (size_t i = 0; i < n; i++)
        p[i] = lanes[i];
}
#endif

/* b where a is not a number, so that a NaN in b passes. */
CPU_INLINE cpu_vec cpu_max(cpu_vec a, cpu_vec b)
{
#if defined(__AVX512F__)
    return (cpu_vec)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined(__AVX__)
    return (cpu_vec)_mm256_max_ps((__m256)a, (__m256)b);
#elif defined(__SSE__)
    return (cpu_vec)_mm_max_ps((__m128)a, (__m128)b);
#else
    cpu_ivec take_a = a > b;
    return (cpu_vec)((take_a & (cpu_ivec)a) | (~take_a & (cpu_ivec)b));
#endif
}
CPU_INLINE cpu_vec cpu_min(cpu_vec a, cpu_vec b)
{
#if defined(__AVX512F__)
    return (cpu_vec)_mm512_min_ps((__m512)a, (__m512)b);
#elif defined(__AVX__)
    return (cpu_vec)_mm256_min_ps((__m256)a, (__m256)b);
#elif defined(__SSE__)
    return (cpu_vec)_mm_min_ps((__m128)a, (__m128)b);
#else
    cpu_ivec take_a = a < b;
    return (cpu_vec)((take_a & (cpu_ivec)a) | (~take_a & (cpu_ivec)b));
#endif
}

/* v in the lanes where `mask` (a comparison) holds, else 0. */
CPU_INLINE cpu_vec cpu_where(cpu_ivec mask, cpu_vec v)
{
    return (cpu_vec)(mask & (cpu_ivec)v);
}

#endif
