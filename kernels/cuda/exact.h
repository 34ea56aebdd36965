/* exact.h - kernels/grid.c on a device: integers and powers of two that end in one rounding.
 *
 * No libm: scaling by a power of two is one or two exact products, exponents are bits. */
#ifndef BARY_KERNELS_CUDA_EXACT_H
#define BARY_KERNELS_CUDA_EXACT_H

#include "kernels/cuda/fixed.h"
#include "kernels/cuda/tuning.h"

static __device__ __forceinline__ double infinity()
{
    return __longlong_as_double(0x7ff0000000000000LL);
}

/* 2^e, -1022 <= e <= 1023. */
static __device__ __forceinline__ double power_of_two(int e)
{
    return __longlong_as_double((long long)(e + 1023) << 52);
}

/* x 2^e where the result is exact, |e| <= 2044; half of e at a time, so that no step leaves the range. */
static __device__ __forceinline__ double scale_exact(double x, int e)
{
    int half = e / 2;

    return x * power_of_two(half) * power_of_two(e - half);
}

/* |x| = mantissa * 2^exponent of a finite x. */
struct binary {
    unsigned long long mantissa;
    int exponent;
};
static __device__ __forceinline__ struct binary binary_of(double x)
{
    unsigned long long bits = (unsigned long long)__double_as_longlong(x);
    int exponent = (int)(bits >> 52 & 0x7ff);
    unsigned long long mantissa = bits & 0xfffffffffffffull;

    return {mantissa | (unsigned long long)(exponent > 0) << 52, exponent + (exponent == 0) - 1075};
}

/* frexp's exponent: |x| < 2^e; 0 for 0. */
static __device__ __forceinline__ int exponent_of(double x)
{
    struct binary b = binary_of(x);

    return b.mantissa ? b.exponent + 64 - __clzll((long long)b.mantissa) : 0;
}

/* The smallest e with x <= 2^e, x > 0. */
static __device__ __forceinline__ int exponent_above(double x)
{
    struct binary b = binary_of(x);
    bool power = (b.mantissa & (b.mantissa - 1)) == 0;

    return exponent_of(x) - power;
}

static __device__ __forceinline__ int bit_length(uint128 value)
{
    unsigned long long high = (unsigned long long)(value >> 64), low = (unsigned long long)value;

    return high ? 128 - __clzll((long long)high) : low ? 64 - __clzll((long long)low) : 0;
}

/* RN(value * 2^exponent), where `more` says that the true value is a little larger. One rounding,
 * also into the subnormals. value < 2^127. */
static __device__ __forceinline__ double round_once(uint128 value, int exponent, bool more)
{
    int length = bit_length(value), last = length - 53 + exponent; /* weight of the last bit kept */
    int drop = (last > -1074 ? last : -1074) - exponent;

    if (drop > 127) {
        value = 0; /* below half of the smallest number */
        exponent = 0;
    } else if (drop > 0) {
        uint128 rest = value & (((uint128)1 << drop) - 1), half = (uint128)1 << (drop - 1);
        value >>= drop;
        if (rest > half || (rest == half && (more || (value & 1))))
            value++;
        exponent += drop;
    }
    return scale_exact((double)(unsigned long long)value, exponent);
}

/* RN(value). */
static __device__ __forceinline__ double double_of(int128 value)
{
    uint128 size = value < 0 ? -(uint128)value : (uint128)value;
    double result = round_once(size, 0, false);

    return value < 0 ? -result : result;
}
/* A whole number below 2^127. */
static __device__ __forceinline__ int128 int128_of(double x)
{
    struct binary b = binary_of(x);
    int128 size = b.exponent >= 0 ? (int128)b.mantissa << b.exponent
                                  : (int128)(b.exponent > -64 ? b.mantissa >> -b.exponent : 0);

    return x < 0 ? -size : size;
}

/* RN(S * 2^(L - 80)), S >= 0. */
static __device__ __forceinline__ double total_double(int128 S, int L)
{
    return round_once((uint128)S, L - 80, false);
}

/* An integer as the sum of two doubles, the first its rounding. */
struct split {
    double hi, lo;
};
static __device__ __forceinline__ struct split split_of(int128 S)
{
    double hi = double_of(S);

    return {hi, double_of(S - int128_of(hi))};
}

/* S / n * 2^(L - 80) and S / W * 2^L, one rounding; -900 <= L <= 501. */
static __device__ __forceinline__ double mean_of(int128 S, int n, int L)
{
    struct split s = split_of(S);
    double count = (double)n, q = s.hi / count;

    return (q + (__fma_rn(-q, count, s.hi) + s.lo) / count) * power_of_two(L - 80);
}
static __device__ __forceinline__ double mean_weighted_of(int128 S, int128 W, int L)
{
    struct split s = split_of(S), w = split_of(W);
    double q = s.hi / w.hi;

    return (q + (__fma_rn(-q, w.lo, __fma_rn(-q, w.hi, s.hi)) + s.lo) / w.hi) * power_of_two(L);
}

/* 256-bit integers, the low word first. */
struct limbs {
    unsigned long long word[4];
};
static __device__ __forceinline__ struct limbs limbs_add(struct limbs a, const struct limbs &b)
{
    unsigned long long carry = 0;

    UNROLL
    for (int i = 0; i < 4; i++) {
        uint128 sum = (uint128)a.word[i] + b.word[i] + carry;
        a.word[i] = (unsigned long long)sum;
        carry = (unsigned long long)(sum >> 64);
    }
    return a;
}
/* a - b, a >= b. */
static __device__ __forceinline__ struct limbs limbs_subtract(struct limbs a, const struct limbs &b)
{
    unsigned long long borrow = 0;

    UNROLL
    for (int i = 0; i < 4; i++) {
        uint128 less = (uint128)b.word[i] + borrow;
        borrow = less > a.word[i];
        a.word[i] -= (unsigned long long)less;
    }
    return a;
}
static __device__ __forceinline__ struct limbs limbs_square(uint128 x)
{
    uint128 low = (uint128)(unsigned long long)x, high = x >> 64;
    uint128 bottom = low * low, cross = low * high, top = high * high;
    struct limbs out = {{(unsigned long long)bottom, (unsigned long long)(bottom >> 64),
                         (unsigned long long)top, (unsigned long long)(top >> 64)}};
    struct limbs twice = {{0, (unsigned long long)(cross << 1), (unsigned long long)(cross >> 63),
                           (unsigned long long)(cross >> 127)}};

    return limbs_add(out, twice);
}
static __device__ __forceinline__ struct limbs limbs_times(const struct limbs &a, unsigned n)
{
    struct limbs out;
    unsigned long long carry = 0;

    UNROLL
    for (int i = 0; i < 4; i++) {
        uint128 product = (uint128)a.word[i] * n + carry;
        out.word[i] = (unsigned long long)product;
        carry = (unsigned long long)(product >> 64);
    }
    return out;
}

/* RN(numerator / divisor * 2^exponent), divisor < 2^31: long division in digits of 32 bits, three of
 * them below the point; of the quotient at most 120 bits are kept, and whether there was more. */
static __device__ __forceinline__ double quotient_once(const struct limbs &numerator,
                                                       unsigned long long divisor, int exponent)
{
    unsigned long long rest = 0;
    uint128 quotient = 0;
    bool more = false;

    exponent -= 96;
    UNROLL
    for (int i = 7; i >= -3; i--) {
        unsigned long long digit = i < 0 ? 0 : numerator.word[i < 0 ? 0 : i / 2] >> i % 2 * 32;
        rest = rest << 32 | (digit & 0xffffffffull);
        unsigned long long next = rest / divisor;
        rest %= divisor;
        if (quotient >> 88) {
            more |= next != 0;
            exponent += 32;
        } else {
            quotient = quotient << 32 | next;
        }
    }
    return round_once(quotient, exponent, more || rest != 0);
}

#endif
