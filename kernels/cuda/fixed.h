/* fixed.h - the grid arithmetic of kernels/grid.h on a device: integers on the grid as two int64 digits.
 *
 * q = hi * 2^40 + lo. Sums of hi and of lo are plain 64-bit adds, exact and order-free for 2^22 terms;
 * any split of q recombines to the same int128. */
#ifndef BARY_KERNELS_CUDA_FIXED_H
#define BARY_KERNELS_CUDA_FIXED_H

#include <cuda_runtime.h>

#define EVERYWHERE static __host__ __device__ inline
#include "kernels/backend.h"
#include "kernels/philox.h"

/* Powers of two of a column's grid: 2^(40 - L), 2^(L - 40), 2^(80 - L), 2^-L. */
struct __align__(16) column_scale
{
    double up40, down40, up80, down;
};

struct digits {
    long long hi, lo;
};

/* Adding this leaves the nearest integer, ties to even, in the low bits. */
#define GRID_MAGIC 0x1.8p52

static __device__ __forceinline__ long long magic_integer(double with_magic)
{
    return __double_as_longlong(with_magic) - 0x4338000000000000LL;
}

/* fixed(x; L) of an |x| <= 2^L, by the scale of L. */
static __device__ __forceinline__ struct digits fixed_scaled(double x,
                                                             const struct column_scale &scale)
{
    double high = x * scale.up40 + GRID_MAGIC;
    double low = (x - (high - GRID_MAGIC) * scale.down40) * scale.up80 + GRID_MAGIC;

    return {magic_integer(high), magic_integer(low)};
}

/* fixed(x; 0), |x| <= 1. */
static __device__ __forceinline__ struct digits fixed_unit(double x)
{
    double high = x * 0x1p40 + GRID_MAGIC;
    double low = (x - (high - GRID_MAGIC) * 0x1p-40) * 0x1p80 + GRID_MAGIC;

    return {magic_integer(high), magic_integer(low)};
}

/* The weighted term of a coordinate: fixed(p; 0) + fixed(e; 0), p + e = w' x'; w' = w 2^-L_w. */
static __device__ __forceinline__ struct digits fixed_weighted(double x, double weight,
                                                               const struct column_scale &scale)
{
    double scaled = x * scale.down, p = weight * scaled, e = __fma_rn(weight, scaled, -p);
    struct digits digits = fixed_unit(p);

    digits.lo += magic_integer(e * 0x1p80 + GRID_MAGIC);
    return digits;
}

/* fixed(t; L) of a t in [0, 2^L], in integers alone, so for every L. hi, lo >= 0. */
static __device__ __forceinline__ struct digits fixed_term(double t, int32_t L)
{
    unsigned long long bits = (unsigned long long)__double_as_longlong(t);
    int exponent = (int)(bits >> 52 & 0x7ff), shift;
    unsigned long long mantissa = (bits & 0xfffffffffffffull) | (unsigned long long)(exponent > 0)
                                                                    << 52;

    shift = exponent + (exponent == 0) - 1075 + 80 - L;
    if (shift >= 0) { /* q < 2^80 + 1: mantissa << shift in two digits, shift <= 80 but for t = 0 */
        unsigned __int128 q = (unsigned __int128)mantissa << (shift & 127);
        return {(long long)(q >> 40), (long long)((unsigned long long)q & 0xffffffffffull)};
    }
    if (shift < -53)
        return {0, 0};
    unsigned long long whole = mantissa >> -shift, half = 1ull << (-shift - 1);
    unsigned long long rest = mantissa & (2 * half - 1);
    whole += rest > half || (rest == half && (whole & 1));
    return {(long long)(whole >> 40), (long long)(whole & 0xffffffffffull)};
}

static __host__ __device__ inline int128 digits_join(long long hi, long long lo)
{
    return (int128)hi * ((int128)1 << 40) + lo;
}

/* The label fingerprint's four words of (row, label). Their sums go to four u64 each, joined mod 2^128. */
static __device__ __forceinline__ void fingerprint_words(int64_t row, int32_t label,
                                                         uint32_t word[4])
{
    const uint32_t counter[4] = {(uint32_t)row, (uint32_t)((uint64_t)row >> 32), PHILOX_FINGERPRINT,
                                 (uint32_t)label};
    const uint32_t key[2] = {0, 0};

    philox(counter, key, word);
}

#endif
