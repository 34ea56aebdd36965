#include "host/data/convert.h"

#include "tests/check.h"

/* By definition, with ldexp: (-1)^s * 1.f * 2^(e-15), subnormals 0.f * 2^-14. */
static double half_value(uint16_t half)
{
    int exponent = half >> 10 & 31, fraction = half & 0x3ff;
    double sign = half & 0x8000 ? -1 : 1;

    if (exponent == 31)
        return fraction ? NAN : sign * INFINITY;
    return sign * (exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24));
}

static void every_float16_converts_exactly_to_both_types(struct check *check)
{
    for (uint32_t i = 0; i < 65536; i++) {
        uint16_t half = (uint16_t)i;
        double want = half_value(half), got64 = 0;
        float got32 = 0;
        convert_values(DTYPE_F16, &half, 1, 1, NUMBER_F32, &got32, 1);
        convert_values(DTYPE_F16, &half, 1, 1, NUMBER_F64, &got64, 1);
        check_note(check, "half=0x%04x", i);
        if (isnan(want)) {
            check_true(check, isnan(got32) && isnan(got64));
        } else {
            check_equal_bits(check, got32, want); /* also the sign of 0 */
            check_equal_bits(check, got64, want);
        }
    }
}

static void every_bfloat16_is_the_upper_half_of_a_float(struct check *check)
{
    for (uint32_t i = 0; i < 65536; i++) {
        uint16_t brain = (uint16_t)i;
        uint32_t bits;
        float got;
        convert_values(DTYPE_BF16, &brain, 1, 1, NUMBER_F32, &got, 1);
        memcpy(&bits, &got, sizeof bits);
        check_equal_u64(check, bits, (uint64_t)i << 16);
    }
}

/* Extremes of each integer type, as bytes, and the double each must become. */
#define EXTREMES(dtype_, type, low, high)                                                 \
    do {                                                                                  \
        type in[3] = {low, high, 1};                                                      \
        double out[3] = {0};                                                              \
        check_equal_i64(check, convert_values(dtype_, in, 1, 3, NUMBER_F64, out, 3), -1); \
        check_equal_bits(check, out[0], (double)(low));                                   \
        check_equal_bits(check, out[1], (double)(high));                                  \
        check_equal_bits(check, out[2], 1.0);                                             \
    } while (0)

static void integers_keep_their_extremes(struct check *check)
{
    EXTREMES(DTYPE_I8, int8_t, INT8_MIN, INT8_MAX);
    EXTREMES(DTYPE_I16, int16_t, INT16_MIN, INT16_MAX);
    EXTREMES(DTYPE_I32, int32_t, INT32_MIN, INT32_MAX);
    EXTREMES(DTYPE_I64, int64_t, -((int64_t)1 << 53), (int64_t)1 << 53);
    EXTREMES(DTYPE_U8, uint8_t, 0, UINT8_MAX);
    EXTREMES(DTYPE_U16, uint16_t, 0, UINT16_MAX);
    EXTREMES(DTYPE_U32, uint32_t, 0, UINT32_MAX);
    EXTREMES(DTYPE_U64, uint64_t, 0, (uint64_t)1 << 53);
}

static void small_integers_become_floats(struct check *check)
{
    int16_t i16[2] = {INT16_MIN, INT16_MAX};
    uint16_t u16[2] = {0, UINT16_MAX};
    int8_t i8[2] = {INT8_MIN, INT8_MAX};
    uint8_t u8[2] = {0, UINT8_MAX};
    float out[2];

    convert_values(DTYPE_I16, i16, 2, 1, NUMBER_F32, out, 1);
    check_true(check, out[0] == -32768 && out[1] == 32767);
    convert_values(DTYPE_U16, u16, 2, 1, NUMBER_F32, out, 1);
    check_true(check, out[0] == 0 && out[1] == 65535);
    convert_values(DTYPE_I8, i8, 2, 1, NUMBER_F32, out, 1);
    check_true(check, out[0] == -128 && out[1] == 127);
    convert_values(DTYPE_U8, u8, 2, 1, NUMBER_F32, out, 1);
    check_true(check, out[0] == 0 && out[1] == 255);
}

static void any_byte_but_zero_is_true(struct check *check)
{
    uint8_t in[3] = {0, 1, 0x80};
    float out[3];

    convert_values(DTYPE_BOOL, in, 3, 1, NUMBER_F32, out, 1);
    check_true(check, out[0] == 0 && out[1] == 1 && out[2] == 1);
}

static void an_integer_without_an_exact_double_is_pointed_at(struct check *check)
{
    int64_t i64[6] = {0, 1, 2, 3, ((int64_t)1 << 53) + 1, INT64_MIN};
    uint64_t u64[2] = {7, UINT64_MAX};
    double out[6];

    check_equal_i64(check, convert_values(DTYPE_I64, i64, 2, 3, NUMBER_F64, out, 3), 4);
    i64[4] = -((int64_t)1 << 53) - 1;
    check_equal_i64(check, convert_values(DTYPE_I64, i64, 6, 1, NUMBER_F64, out, 1), 4);
    check_equal_i64(check, convert_values(DTYPE_U64, u64, 2, 1, NUMBER_F64, out, 1), 1);
}

static void rows_land_at_their_stride_and_nothing_between(struct check *check)
{
    int16_t in[6] = {1, 2, 3, 4, 5, 6};
    float out[10] = {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1};
    static const float want[10] = {1, 2, -1, 3, 4, -1, 5, 6, -1, -1};

    convert_values(DTYPE_I16, in, 3, 2, NUMBER_F32, out, 3);
    check_equal_bytes(check, out, want, sizeof want);
}

static void floats_cross_with_their_last_bit(struct check *check)
{
    static const uint32_t bits[] = {0x80000000, 1, 0x7f800000, 0xff800000, 0x00800000, 0x3f9d70a4};
    float in[6], same[6];
    double out[6];

    memcpy(in, bits, sizeof in);
    convert_values(DTYPE_F32, in, 6, 1, NUMBER_F32, same, 1);
    check_equal_bytes(check, same, in, sizeof in);
    convert_values(DTYPE_F32, in, 6, 1, NUMBER_F64, out, 1);
    for (int i = 0; i < 6; i++)
        check_equal_bits(check, out[i], (double)in[i]);
    convert_values(DTYPE_F64, out, 2, 3, NUMBER_F64, out, 3);
    check_equal_bits(check, out[0], -0.0);
}

static void dtypes_know_their_names_sizes_and_targets(struct check *check)
{
    check_equal_text(check, dtype_name(DTYPE_BF16), "bfloat16");
    check_equal_u64(check, dtype_bytes(DTYPE_U64), 8);
    check_equal_i64(check, dtype_number(DTYPE_U16), NUMBER_F32);
    check_equal_i64(check, dtype_number(DTYPE_I32), NUMBER_F64);
    check_true(check, dtype_name(DTYPE_NONE) == NULL && dtype_bytes(DTYPE_NONE) == 0);
    check_true(check, dtype_name((enum dtype)14) == NULL && dtype_bytes((enum dtype) - 1) == 0);
}

CHECKS(CLAIM(every_float16_converts_exactly_to_both_types),
       CLAIM(every_bfloat16_is_the_upper_half_of_a_float), CLAIM(integers_keep_their_extremes),
       CLAIM(small_integers_become_floats), CLAIM(any_byte_but_zero_is_true),
       CLAIM(an_integer_without_an_exact_double_is_pointed_at),
       CLAIM(rows_land_at_their_stride_and_nothing_between),
       CLAIM(floats_cross_with_their_last_bit), CLAIM(dtypes_know_their_names_sizes_and_targets))
