/* Counter-based random numbers: Philox 4x32-10 (J. Salmon et al., "Parallel Random Numbers: As
 * Easy as 1, 2, 3", SC 2011), and a host-side sequence on top.  Not for cryptography. */
#include <assert.h>
#include <math.h>

#include "base/base.h"

/* Multipliers of the round function and Weyl increments of the key (sections 3.3 and 4 of the
 * paper). */
#define MULTIPLIER_0 UINT32_C(0xD2511F53)
#define MULTIPLIER_1 UINT32_C(0xCD9E8D57)
#define WEYL_0       UINT32_C(0x9E3779B9)
#define WEYL_1       UINT32_C(0xBB67AE85)

void mdl_philox(uint64_t key, uint64_t stream, uint64_t index, uint32_t out[4])
{
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    uint32_t c0 = (uint32_t)index, c1 = (uint32_t)(index >> 32);
    uint32_t c2 = (uint32_t)stream, c3 = (uint32_t)(stream >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)MULTIPLIER_0 * c0;
        uint64_t p1 = (uint64_t)MULTIPLIER_1 * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += WEYL_0;
        k1 += WEYL_1;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

mdl_rng mdl_rng_init(uint64_t seed, uint64_t stream)
{
    return (mdl_rng){.key = seed, .stream = stream};
}

uint32_t mdl_rng_u32(mdl_rng *rng)
{
    if (rng->left == 0) {
        mdl_philox(rng->key, rng->stream, rng->index++, rng->words);
        rng->left = 4;
    }
    return rng->words[4 - rng->left--];
}

static uint64_t next_u64(mdl_rng *rng)
{
    uint64_t low = mdl_rng_u32(rng);
    return (uint64_t)mdl_rng_u32(rng) << 32 | low;
}

double mdl_rng_uniform(mdl_rng *rng)
{
    return (double)(next_u64(rng) >> 11) * 0x1p-53;
}

double mdl_rng_normal(mdl_rng *rng)
{
    /* Box and Muller (1958); the second value of the pair is not used, so that there is no state
     * besides the counter. */
    const double two_pi = 6.283185307179586476925;
    double radius = sqrt(-2.0 * log(1.0 - mdl_rng_uniform(rng)));
    return radius * cos(two_pi * mdl_rng_uniform(rng));
}

uint64_t mdl_rng_below(mdl_rng *rng, uint64_t n)
{
    assert(n > 0);
    /* The lowest 2^64 mod n values are drawn again, so that each remainder is equally likely. */
    uint64_t rejected = (0 - n) % n;
    uint64_t value;
    do {
        value = next_u64(rng);
    } while (value < rejected);
    return value % n;
}

void mdl_rng_shuffle(mdl_rng *rng, uint32_t *a, size_t n)
{
    for (size_t i = n; i > 1; i--) {
        size_t j = (size_t)mdl_rng_below(rng, i);
        uint32_t swap = a[i - 1];
        a[i - 1] = a[j];
        a[j] = swap;
    }
}
