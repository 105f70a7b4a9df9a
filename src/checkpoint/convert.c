/* Elements of files as float32 and back, many at once: what merging tensor by tensor reads and
 * writes.  float64 is rounded to float32. */
#include <math.h>
#include <string.h>

#include "checkpoint/checkpoint_internal.h"

static uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof(bits));
    return bits;
}

static float float_of(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof(x));
    return x;
}

/* binary16: moved to where float32 has its parts, the exponent is too small by 112, which a product
 * corrects, subnormal numbers included; what was infinite or NaN gets the largest exponent. */
static float from_half(uint16_t half)
{
    uint32_t magnitude = (uint32_t)(half & 0x7FFF) << 13, sign = (uint32_t)(half & 0x8000) << 16;
    uint32_t scaled = bits_of(float_of(magnitude) * 0x1p112F);
    uint32_t special = magnitude >= (uint32_t)0x7C00 << 13 ? (uint32_t)255 << 23 : 0;
    return float_of(scaled | special | sign);
}

/* Rounded to the nearest, to even in the middle; what is too large becomes infinite. */
static uint16_t to_half(float x)
{
    uint32_t bits = bits_of(x), magnitude = bits & UINT32_C(0x7FFFFFFF);
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    if (magnitude > (uint32_t)255 << 23)
        return sign | 0x7E00;
    if (magnitude >= (uint32_t)(127 + 16) << 23)
        return sign | 0x7C00;
    if (magnitude < (uint32_t)(127 - 14) << 23) { /* subnormal: a sum puts its last bit in place */
        float shifted = float_of(magnitude) + 0.5F;
        return (uint16_t)(sign | (bits_of(shifted) - bits_of(0.5F)));
    }
    uint32_t odd = magnitude >> 13 & 1;
    return (uint16_t)(sign | ((magnitude - ((uint32_t)112 << 23) + 0xFFF + odd) >> 13));
}

bool mdl_file_type_is_real(mdl_file_type type)
{
    return type == MDL_FILE_F32 || type == MDL_FILE_F64 || type == MDL_FILE_F16 ||
           type == MDL_FILE_BF16;
}

void mdl_file_to_float(mdl_file_type type, const void *data, size_t n, float *out)
{
    const uint16_t *small = data;
    const double *wide = data;
    if (type == MDL_FILE_F32)
        memmove(out, data, n * sizeof(*out));
    for (size_t i = 0; i < n && type == MDL_FILE_F64; i++)
        out[i] = (float)wide[i];
    for (size_t i = 0; i < n && type == MDL_FILE_F16; i++)
        out[i] = from_half(small[i]);
    for (size_t i = 0; i < n && type == MDL_FILE_BF16; i++)
        out[i] = mdl_bf16_value(small[i]);
}

void mdl_file_from_float(mdl_file_type type, const float *values, size_t n, void *out)
{
    uint16_t *small = out;
    double *wide = out;
    if (type == MDL_FILE_F32)
        memmove(out, values, n * sizeof(*values));
    for (size_t i = 0; i < n && type == MDL_FILE_F64; i++)
        wide[i] = (double)values[i];
    for (size_t i = 0; i < n && type == MDL_FILE_F16; i++)
        small[i] = to_half(values[i]);
    for (size_t i = 0; i < n && type == MDL_FILE_BF16; i++)
        small[i] = mdl_bf16_of(values[i]);
}
