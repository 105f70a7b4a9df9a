/* Elements of the tensors in a file: their types, their values, their shapes as text. */
#include "checkpoint/checkpoint_internal.h"

#include <math.h>
#include <string.h>

static const struct {
    const char *name;
    size_t size;
} types[] = {
    [MDL_FILE_F32] = {"F32", 4},         [MDL_FILE_F64] = {"F64", 8},
    [MDL_FILE_F16] = {"F16", 2},         [MDL_FILE_BF16] = {"BF16", 2},
    [MDL_FILE_I64] = {"I64", 8},         [MDL_FILE_I32] = {"I32", 4},
    [MDL_FILE_I16] = {"I16", 2},         [MDL_FILE_I8] = {"I8", 1},
    [MDL_FILE_U64] = {"U64", 8},         [MDL_FILE_U32] = {"U32", 4},
    [MDL_FILE_U16] = {"U16", 2},         [MDL_FILE_U8] = {"U8", 1},
    [MDL_FILE_BOOL] = {"BOOL", 1},       [MDL_FILE_F8_E5M2] = {"F8_E5M2", 1},
    [MDL_FILE_F8_E4M3] = {"F8_E4M3", 1},
};

size_t mdl_file_type_size(mdl_file_type type)
{
    return types[type].size;
}

const char *mdl_file_type_name(mdl_file_type type)
{
    return types[type].name;
}

bool mdl__file_type_find(const char *name, mdl_file_type *out)
{
    for (size_t i = 0; i < MDL_COUNT(types); i++) {
        if (strcmp(name, types[i].name) == 0) {
            *out = (mdl_file_type)i;
            return true;
        }
    }
    return false;
}

const char *mdl__dims_text(int rank, const size_t *dim, char *text)
{
    size_t used = (size_t)snprintf(text, MDL__DIMS_TEXT, "[");
    for (int i = 0; i < rank; i++)
        used += (size_t)snprintf(text + used, MDL__DIMS_TEXT - used, "%s%zu", i > 0 ? ", " : "",
                                 dim[i]);
    snprintf(text + used, MDL__DIMS_TEXT - used, "]");
    return text;
}

/* ---- values --------------------------------------------------------------------------------- */

static float float_of_bits(uint32_t bits)
{
    float value = 0.0f;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

/* IEEE 754 binary16: 1 sign, 5 exponent, 10 fraction bits. */
static double half_to_double(uint16_t bits)
{
    uint32_t sign = (uint32_t)(bits >> 15) << 31, exponent = (bits >> 10) & 31,
             fraction = bits & 1023;
    if (exponent == 0) { /* zero and subnormal: fraction * 2^-24, exact in float32 */
        float magnitude = (float)fraction * 0x1p-24f;
        return (double)(sign != 0 ? -magnitude : magnitude);
    }
    uint32_t wide = exponent == 31 ? 255 : exponent - 15 + 127;
    return (double)float_of_bits(sign | wide << 23 | fraction << 13);
}

static double element(const mdl_file_tensor *tensor, size_t i)
{
    const char *at = (const char *)tensor->data + i * types[tensor->type].size;
    union {
        float f32;
        double f64;
        uint16_t u16;
        uint32_t u32;
        uint64_t u64;
        int64_t i64;
        int32_t i32;
        int16_t i16;
        int8_t i8;
        uint8_t u8;
    } value;
    memcpy(&value, at, types[tensor->type].size);
    switch (tensor->type) {
    case MDL_FILE_F32:
        return (double)value.f32;
    case MDL_FILE_F64:
        return value.f64;
    case MDL_FILE_F16:
        return half_to_double(value.u16);
    case MDL_FILE_BF16:
        return (double)float_of_bits((uint32_t)value.u16 << 16);
    case MDL_FILE_I64:
        return (double)value.i64;
    case MDL_FILE_I32:
        return (double)value.i32;
    case MDL_FILE_I16:
        return (double)value.i16;
    case MDL_FILE_I8:
        return (double)value.i8;
    case MDL_FILE_U64:
        return (double)value.u64;
    case MDL_FILE_U32:
        return (double)value.u32;
    case MDL_FILE_U16:
        return (double)value.u16;
    case MDL_FILE_U8:
    case MDL_FILE_BOOL:
        return (double)value.u8;
    case MDL_FILE_F8_E5M2:
    case MDL_FILE_F8_E4M3:
        break;
    }
    return (double)NAN;
}

void mdl_file_tensor_get(const mdl_file_tensor *tensor, double *out)
{
    for (size_t i = 0; i < tensor->count; i++)
        out[i] = element(tensor, i);
}
