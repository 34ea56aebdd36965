/* cuda_fp16.h - half precision in place of CUDA's own: conversions with one exact rounding. */
#ifndef BARY_TESTS_CUEMU_SHADOW_CUDA_FP16_H
#define BARY_TESTS_CUEMU_SHADOW_CUDA_FP16_H

#include "tests/cuemu/scalar.h"

struct __half {
    unsigned short bits;
};
struct alignas(4) __half2 {
    __half x, y;
};
using half = __half;
using half2 = __half2;

namespace cuemu
{

/* q, a whole number of quanta plus a fraction, to a whole number. */
static inline double whole(int mode, double q, bool negative)
{
    if (mode == FE_TONEAREST)
        return rint(q);
    bool up = mode == (negative ? FE_DOWNWARD : FE_UPWARD);
    return up ? ceil(q) : floor(q);
}

/* The half nearest to value under a rounding: once, from the double, also to subnormals. */
static inline __half half_of(double value, int mode)
{
    uint64_t word = same_bits<uint64_t>(value);
    bool negative = word >> 63;
    unsigned sign = negative ? 0x8000u : 0u;
    int exponent = (int)(word >> 52 & 2047) - 1023;
    if (value != value)
        return {0x7fff};
    if (exponent == 1024)
        return {(unsigned short)(sign | 0x7c00u)};
    int least = exponent < -14 ? -14 : exponent > 15 ? 15 : exponent;
    /* The quantum is a power of two, so the division is exact unless it underflows, far below 1/2. */
    double q = fabs(value) * same_bits<double>((uint64_t)(1023 + 10 - least) << 52);
    if (q > 4096)
        q = 4096;
    unsigned bits = ((unsigned)(least + 14) << 10) + (unsigned)whole(mode, q, negative);
    if (bits >=
        0x7c00u) { /* beyond the largest: infinity, or the largest where rounding goes inward */
        bool inward = mode == FE_TOWARDZERO || mode == (negative ? FE_UPWARD : FE_DOWNWARD);
        bits = inward ? 0x7bffu : 0x7c00u;
    }
    return {(unsigned short)(sign | bits)};
}

static inline double double_of(__half value)
{
    unsigned exponent = value.bits >> 10 & 31, mantissa = value.bits & 1023u;
    double sign = value.bits & 0x8000u ? -1.0 : 1.0;
    if (exponent == 31)
        return mantissa ? same_bits<double>(0x7ff8000000000000ull) : sign * INFINITY;
    if (exponent == 0)
        return sign * (double)mantissa * 0x1p-24;
    return sign * (double)(1024 + mantissa) *
           same_bits<double>((uint64_t)(1023 + exponent - 25) << 52);
}

} // namespace cuemu

#define CUEMU_HALF(name, type, mode)        \
    static inline __half name(type value)   \
    {                                       \
        return cuemu::half_of(value, mode); \
    }
CUEMU_HALF(__float2half, float, FE_TONEAREST)
CUEMU_HALF(__float2half_rn, float, FE_TONEAREST)
CUEMU_HALF(__float2half_ru, float, FE_UPWARD)
CUEMU_HALF(__float2half_rd, float, FE_DOWNWARD)
CUEMU_HALF(__float2half_rz, float, FE_TOWARDZERO)
CUEMU_HALF(__double2half, double, FE_TONEAREST)
#undef CUEMU_HALF
static inline float __half2float(__half value)
{
    return (float)cuemu::double_of(value);
}
static inline unsigned short __half_as_ushort(__half value)
{
    return value.bits;
}
static inline __half __ushort_as_half(unsigned short bits)
{
    return {bits};
}
static inline __half2 __halves2half2(__half x, __half y)
{
    return {x, y};
}
static inline __half2 __floats2half2_rn(float x, float y)
{
    return {__float2half_rn(x), __float2half_rn(y)};
}
static inline __half2 __float22half2_rn(float2 value)
{
    return __floats2half2_rn(value.x, value.y);
}
static inline __half2 __float2half2_rn(float value)
{
    return __floats2half2_rn(value, value);
}
static inline __half __low2half(__half2 value)
{
    return value.x;
}
static inline __half __high2half(__half2 value)
{
    return value.y;
}
static inline float __low2float(__half2 value)
{
    return __half2float(value.x);
}
static inline float __high2float(__half2 value)
{
    return __half2float(value.y);
}
static inline float2 __half22float2(__half2 value)
{
    return {__half2float(value.x), __half2float(value.y)};
}
static inline bool __hisnan(__half value)
{
    return (value.bits & 0x7fffu) > 0x7c00u;
}
static inline int __hisinf(__half value)
{
    return (value.bits & 0x7fffu) != 0x7c00u ? 0 : value.bits & 0x8000u ? -1 : 1;
}
static inline __half __habs(__half value)
{
    return {(unsigned short)(value.bits & 0x7fffu)};
}

#endif
