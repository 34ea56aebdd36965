/* convert.c - one loop per pair of types, made by one macro. */
#include "host/data/convert.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#define EXACT_MAX ((int64_t)1 << 53)

static float float_of_bits(uint32_t bits)
{
    float value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

static float float_of_f16(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16;
    uint32_t exponent = half >> 10 & 31, fraction = half & 0x3ff;

    if (exponent == 0) /* zero and subnormal: fraction * 2^-24 is a normal float or 0 */
        return float_of_bits(sign | 0x3f800000) * ((float)fraction * 0x1p-24f);
    if (exponent == 31) /* Inf and NaN */
        return float_of_bits(sign | 0x7f800000 | fraction << 13);
    return float_of_bits(sign | (exponent + 127 - 15) << 23 | fraction << 13);
}

static float float_of_bf16(uint16_t brain)
{
    return float_of_bits((uint32_t)brain << 16);
}

typedef int64_t convert_function(const void *values, int64_t rows, int64_t width, void *out,
                                 int64_t stride);

/* `fits` and `converted` are expressions of `value`. */
#define CONVERT(name, from, to, fits, converted)                                    \
    static int64_t name(const void *values, int64_t rows, int64_t width, void *out, \
                        int64_t stride)                                             \
    {                                                                               \
        const from *in = values;                                                    \
        to *row = out;                                                              \
        for (int64_t r = 0; r < rows; r++, in += width, row += stride) {            \
            for (int64_t c = 0; c < width; c++) {                                   \
                from value = in[c];                                                 \
                if (!(fits))                                                        \
                    return r * width + c;                                           \
                row[c] = (converted);                                               \
            }                                                                       \
        }                                                                           \
        return -1;                                                                  \
    }

CONVERT(f32_of_f32, float, float, true, value)
CONVERT(f32_of_f16, uint16_t, float, true, float_of_f16(value))
CONVERT(f32_of_bf16, uint16_t, float, true, float_of_bf16(value))
CONVERT(f32_of_i8, int8_t, float, true, (float)value)
CONVERT(f32_of_i16, int16_t, float, true, (float)value)
CONVERT(f32_of_u8, uint8_t, float, true, (float)value)
CONVERT(f32_of_u16, uint16_t, float, true, (float)value)
CONVERT(f32_of_bool, uint8_t, float, true, value ? 1.0f : 0.0f)
CONVERT(f64_of_f32, float, double, true, (double)value)
CONVERT(f64_of_f64, double, double, true, value)
CONVERT(f64_of_f16, uint16_t, double, true, (double)float_of_f16(value))
CONVERT(f64_of_bf16, uint16_t, double, true, (double)float_of_bf16(value))
CONVERT(f64_of_i8, int8_t, double, true, (double)value)
CONVERT(f64_of_i16, int16_t, double, true, (double)value)
CONVERT(f64_of_i32, int32_t, double, true, (double)value)
CONVERT(f64_of_i64, int64_t, double, value >= -EXACT_MAX && value <= EXACT_MAX, (double)value)
CONVERT(f64_of_u8, uint8_t, double, true, (double)value)
CONVERT(f64_of_u16, uint16_t, double, true, (double)value)
CONVERT(f64_of_u32, uint32_t, double, true, (double)value)
CONVERT(f64_of_u64, uint64_t, double, value <= (uint64_t)EXACT_MAX, (double)value)
CONVERT(f64_of_bool, uint8_t, double, true, value ? 1.0 : 0.0)

static convert_function *const functions[][NUMBER_F64 + 1] = {
    [DTYPE_F32] = {[NUMBER_F32] = f32_of_f32, [NUMBER_F64] = f64_of_f32},
    [DTYPE_F64] = {[NUMBER_F64] = f64_of_f64},
    [DTYPE_F16] = {[NUMBER_F32] = f32_of_f16, [NUMBER_F64] = f64_of_f16},
    [DTYPE_BF16] = {[NUMBER_F32] = f32_of_bf16, [NUMBER_F64] = f64_of_bf16},
    [DTYPE_I8] = {[NUMBER_F32] = f32_of_i8, [NUMBER_F64] = f64_of_i8},
    [DTYPE_I16] = {[NUMBER_F32] = f32_of_i16, [NUMBER_F64] = f64_of_i16},
    [DTYPE_I32] = {[NUMBER_F64] = f64_of_i32},
    [DTYPE_I64] = {[NUMBER_F64] = f64_of_i64},
    [DTYPE_U8] = {[NUMBER_F32] = f32_of_u8, [NUMBER_F64] = f64_of_u8},
    [DTYPE_U16] = {[NUMBER_F32] = f32_of_u16, [NUMBER_F64] = f64_of_u16},
    [DTYPE_U32] = {[NUMBER_F64] = f64_of_u32},
    [DTYPE_U64] = {[NUMBER_F64] = f64_of_u64},
    [DTYPE_BOOL] = {[NUMBER_F32] = f32_of_bool, [NUMBER_F64] = f64_of_bool},
};

int64_t convert_values(enum dtype dtype, const void *values, int64_t rows, int64_t width,
                       enum number number, void *out, int64_t stride)
{
    convert_function *function = functions[dtype][number];

    assert(function && stride >= width);
    return function(values, rows, width, out, stride);
}
