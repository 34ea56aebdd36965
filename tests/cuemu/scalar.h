/* scalar.h - intrinsics of one thread: rounding, bits, integers, cached loads. */
#ifndef BARY_TESTS_CUEMU_SCALAR_H
#define BARY_TESTS_CUEMU_SCALAR_H

#include <fenv.h>
#include <math.h>
#include <stdint.h>

#include "tests/cuemu/words.h"

namespace cuemu
{

/* Runs one operation under another rounding. Volatile keeps the compiler from computing it before. */
template <class T, class OPERATION>
static inline T rounded(int mode, T a, T b, OPERATION operation)
{
    volatile T left = a, right = b;
    int before = fegetround();
    fesetround(mode);
    volatile T result = operation(left, right);
    fesetround(before);
    return result;
}
template <class TO, class FROM>
static inline TO converted(int mode, FROM value)
{
    volatile FROM from = value;
    int before = fegetround();
    fesetround(mode);
    volatile TO result = (TO)from;
    fesetround(before);
    return result;
}
/* To an integer that holds it: out of range gives the nearest end and NaN the least, as CUDA's cvt does. */
template <class T>
static inline T to_integer(double value, T least, T most, T of_nan)
{
    if (value != value)
        return of_nan;
    if (value >= -(double)least && least < 0)
        return most;
    if (least == 0 && value >= 2.0 * (double)(most / 2 + 1))
        return most;
    return value <= (double)least ? least : (T)value;
}
template <class TO, class FROM>
static inline TO same_bits(FROM from)
{
    static_assert(sizeof(TO) == sizeof(FROM), "bits are neither made nor lost");
    TO to;
    __builtin_memcpy(&to, &from, sizeof to);
    return to;
}

} // namespace cuemu

/* An operation in each rounding: to nearest (written out, never contracted), up, down, to zero. */
#define CUEMU_BINARY(prefix, type, operator)                                                     \
    static inline type prefix##_rn(type a, type b)                                               \
    {                                                                                            \
        return a operator b;                                                                     \
    }                                                                                            \
    static inline type prefix##_ru(type a, type b)                                               \
    {                                                                                            \
        return cuemu::rounded(FE_UPWARD, a, b, [](type l, type r) { return l operator r; });     \
    }                                                                                            \
    static inline type prefix##_rd(type a, type b)                                               \
    {                                                                                            \
        return cuemu::rounded(FE_DOWNWARD, a, b, [](type l, type r) { return l operator r; });   \
    }                                                                                            \
    static inline type prefix##_rz(type a, type b)                                               \
    {                                                                                            \
        return cuemu::rounded(FE_TOWARDZERO, a, b, [](type l, type r) { return l operator r; }); \
    }
CUEMU_BINARY(__dadd, double, +)
CUEMU_BINARY(__dsub, double, -)
CUEMU_BINARY(__dmul, double, *)
CUEMU_BINARY(__ddiv, double, /)
CUEMU_BINARY(__fadd, float, +)
CUEMU_BINARY(__fsub, float, -)
CUEMU_BINARY(__fmul, float, *)
CUEMU_BINARY(__fdiv, float, /)
#undef CUEMU_BINARY

#define CUEMU_ROOT(name, type, mode, root)                                               \
    static inline type name(type a)                                                      \
    {                                                                                    \
        return cuemu::rounded(mode, a, a, [](type value, type) { return root(value); }); \
    }
CUEMU_ROOT(__dsqrt_ru, double, FE_UPWARD, sqrt)
CUEMU_ROOT(__dsqrt_rd, double, FE_DOWNWARD, sqrt)
CUEMU_ROOT(__dsqrt_rz, double, FE_TOWARDZERO, sqrt)
CUEMU_ROOT(__fsqrt_ru, float, FE_UPWARD, sqrtf)
CUEMU_ROOT(__fsqrt_rd, float, FE_DOWNWARD, sqrtf)
CUEMU_ROOT(__fsqrt_rz, float, FE_TOWARDZERO, sqrtf)
#undef CUEMU_ROOT
static inline double __dsqrt_rn(double a)
{
    return sqrt(a);
}
static inline float __fsqrt_rn(float a)
{
    return sqrtf(a);
}
static inline double __fma_rn(double a, double b, double c)
{
    return fma(a, b, c);
}
static inline float __fmaf_rn(float a, float b, float c)
{
    return fmaf(a, b, c);
}

#define CUEMU_CONVERT(name, to, from, mode)       \
    static inline to name(from value)             \
    {                                             \
        return cuemu::converted<to>(mode, value); \
    }
CUEMU_CONVERT(__double2float_ru, float, double, FE_UPWARD)
CUEMU_CONVERT(__double2float_rd, float, double, FE_DOWNWARD)
CUEMU_CONVERT(__double2float_rz, float, double, FE_TOWARDZERO)
CUEMU_CONVERT(__ll2double_ru, double, long long, FE_UPWARD)
CUEMU_CONVERT(__ll2double_rd, double, long long, FE_DOWNWARD)
CUEMU_CONVERT(__int2float_ru, float, int, FE_UPWARD)
CUEMU_CONVERT(__int2float_rd, float, int, FE_DOWNWARD)
#undef CUEMU_CONVERT
#define CUEMU_PLAIN(name, to, from)   \
    static inline to name(from value) \
    {                                 \
        return (to)value;             \
    }
CUEMU_PLAIN(__double2float_rn, float, double)
CUEMU_PLAIN(__ll2double_rn, double, long long)
CUEMU_PLAIN(__ull2double_rn, double, unsigned long long)
CUEMU_PLAIN(__int2double_rn, double, int)
CUEMU_PLAIN(__uint2double_rn, double, unsigned)
CUEMU_PLAIN(__int2float_rn, float, int)
CUEMU_PLAIN(__uint2float_rn, float, unsigned)
CUEMU_PLAIN(__ll2float_rn, float, long long)
#undef CUEMU_PLAIN
#define CUEMU_INTEGER(name, to, from, how, least, most, of_nan)                \
    static inline to name(from value)                                          \
    {                                                                          \
        return cuemu::to_integer<to>(how((double)value), least, most, of_nan); \
    }
CUEMU_INTEGER(__double2ll_rn, long long, double, rint, INT64_MIN, INT64_MAX, INT64_MIN)
CUEMU_INTEGER(__double2ll_rz, long long, double, trunc, INT64_MIN, INT64_MAX, INT64_MIN)
CUEMU_INTEGER(__double2ll_rd, long long, double, floor, INT64_MIN, INT64_MAX, INT64_MIN)
CUEMU_INTEGER(__double2ll_ru, long long, double, ceil, INT64_MIN, INT64_MAX, INT64_MIN)
CUEMU_INTEGER(__double2ull_rn, unsigned long long, double, rint, 0, UINT64_MAX, 1ull << 63)
CUEMU_INTEGER(__double2ull_rz, unsigned long long, double, trunc, 0, UINT64_MAX, 1ull << 63)
CUEMU_INTEGER(__double2int_rn, int, double, rint, INT32_MIN, INT32_MAX, INT32_MIN)
CUEMU_INTEGER(__double2int_rz, int, double, trunc, INT32_MIN, INT32_MAX, INT32_MIN)
CUEMU_INTEGER(__float2int_rn, int, float, rint, INT32_MIN, INT32_MAX, 0)
CUEMU_INTEGER(__float2int_rz, int, float, trunc, INT32_MIN, INT32_MAX, 0)
CUEMU_INTEGER(__float2ll_rn, long long, float, rint, INT64_MIN, INT64_MAX, INT64_MIN)
CUEMU_INTEGER(__float2ll_rz, long long, float, trunc, INT64_MIN, INT64_MAX, INT64_MIN)
#undef CUEMU_INTEGER

#define CUEMU_BITS(name, to, from)                \
    static inline to name(from value)             \
    {                                             \
        return cuemu::same_bits<to, from>(value); \
    }
CUEMU_BITS(__double_as_longlong, long long, double)
CUEMU_BITS(__longlong_as_double, double, long long)
CUEMU_BITS(__float_as_int, int, float)
CUEMU_BITS(__int_as_float, float, int)
CUEMU_BITS(__float_as_uint, unsigned, float)
CUEMU_BITS(__uint_as_float, float, unsigned)
#undef CUEMU_BITS
static inline int __double2hiint(double value)
{
    return (int)(__double_as_longlong(value) >> 32);
}
static inline int __double2loint(double value)
{
    return (int)__double_as_longlong(value);
}
static inline double __hiloint2double(int high, int low)
{
    return __longlong_as_double((long long)((uint64_t)(unsigned)high << 32 | (unsigned)low));
}

static inline int __popc(unsigned value)
{
    return __builtin_popcount(value);
}
static inline int __popcll(unsigned long long value)
{
    return __builtin_popcountll(value);
}
static inline int __clz(int value)
{
    return value ? __builtin_clz((unsigned)value) : 32;
}
static inline int __clzll(long long value)
{
    return value ? __builtin_clzll((unsigned long long)value) : 64;
}
static inline int __ffs(int value)
{
    return __builtin_ffs(value);
}
static inline int __ffsll(long long value)
{
    return __builtin_ffsll(value);
}
static inline unsigned __brev(unsigned value)
{
    unsigned result = 0;
    for (int i = 0; i < 32; i++)
        result |= (value >> i & 1) << (31 - i);
    return result;
}
static inline unsigned long long __brevll(unsigned long long value)
{
    return (unsigned long long)__brev((unsigned)value) << 32 | __brev((unsigned)(value >> 32));
}
static inline unsigned __byte_perm(unsigned x, unsigned y, unsigned selector)
{
    uint64_t bytes = (uint64_t)y << 32 | x;
    unsigned result = 0;
    for (int i = 0; i < 4; i++) {
        unsigned take = selector >> (4 * i) & 15,
                 byte = (unsigned)(bytes >> (8 * (take & 7))) & 255;
        result |= (take & 8 ? (byte & 128 ? 255u : 0u) : byte) << (8 * i);
    }
    return result;
}
static inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned by)
{
    return (unsigned)((((uint64_t)high << 32 | low) << (by & 31)) >> 32);
}
static inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned by)
{
    return (unsigned)(((uint64_t)high << 32 | low) >> (by & 31));
}
static inline unsigned __umulhi(unsigned a, unsigned b)
{
    return (unsigned)((uint64_t)a * b >> 32);
}
static inline int __mulhi(int a, int b)
{
    return (int)((int64_t)a * b >> 32);
}
static inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b)
{
    return (unsigned long long)((unsigned __int128)a * b >> 64);
}
static inline long long __mul64hi(long long a, long long b)
{
    return (long long)((__int128)a * b >> 64);
}

/* Cached and streaming loads and stores are loads and stores. */
template <class T>
static inline T __ldg(const T *from)
{
    return *from;
}
template <class T>
static inline T __ldcg(const T *from)
{
    return *from;
}
template <class T>
static inline T __ldcs(const T *from)
{
    return *from;
}
template <class T>
static inline void __stcg(T *to, T value)
{
    *to = value;
}
template <class T>
static inline void __stcs(T *to, T value)
{
    *to = value;
}

#define CUEMU_MIN_MAX(type)                \
    static inline type min(type a, type b) \
    {                                      \
        return b < a ? b : a;              \
    }                                      \
    static inline type max(type a, type b) \
    {                                      \
        return a < b ? b : a;              \
    }
CUEMU_MIN_MAX(int)
CUEMU_MIN_MAX(unsigned)
CUEMU_MIN_MAX(long)
CUEMU_MIN_MAX(unsigned long)
CUEMU_MIN_MAX(long long)
CUEMU_MIN_MAX(unsigned long long)
#undef CUEMU_MIN_MAX
/* Of floats they leave out a NaN, as CUDA's do. */
static inline float min(float a, float b)
{
    return fminf(a, b);
}
static inline float max(float a, float b)
{
    return fmaxf(a, b);
}
static inline double min(double a, double b)
{
    return fmin(a, b);
}
static inline double max(double a, double b)
{
    return fmax(a, b);
}
static inline float rsqrtf(float value)
{
    return 1.0f / sqrtf(value);
}
static inline double rsqrt(double value)
{
    return 1.0 / sqrt(value);
}

#endif
