/* grid.h - exact sums: integers on one grid, and the one rounding back.
 *
 * fixed(x; L) is the integer RN(x * 2^(80 - L)) for |x| <= 2^L. Adding such integers is exact and
 * commutes, so no thread, chunk or order can show in a sum. 2^46 terms fit an int128. */
#ifndef BARY_KERNELS_GRID_H
#define BARY_KERNELS_GRID_H

#include <assert.h>
#include <string.h>

#include "kernels/backend.h"

enum { GRID_BITS = 80, GRID_SPLIT = 40, GRID_COLUMN_LEAST = -900, GRID_CARRY_ROWS = 1 << 22 };

/* fixed(x; L), ties to even. |x| <= 2^L. In integers alone, so it holds for every L and every x. */
static inline int128 grid_fixed(double x, int32_t L)
{
    uint64_t bits, mantissa;
    int exponent, shift;
    uint128 size;

    memcpy(&bits, &x, sizeof bits);
    exponent = (int)(bits >> 52 & 0x7ff);
    mantissa = (bits & 0xfffffffffffffu) | (uint64_t)(exponent > 0) << 52;
    exponent += (exponent == 0) - 1075; /* |x| = mantissa * 2^exponent */
    shift = exponent + GRID_BITS - L;
    assert(mantissa == 0 || shift + 63 - __builtin_clzll(mantissa) <= GRID_BITS);
    if (shift >= 0) {
        size = (uint128)mantissa << (shift & 127);
    } else if (shift >= -53) {
        uint64_t whole = mantissa >> -shift, half = (uint64_t)1 << (-shift - 1);
        uint64_t rest = mantissa & (2 * half - 1);
        size = whole + (rest > half || (rest == half && (whole & 1)));
    } else {
        size = 0;
    }
    return bits >> 63 ? -(int128)size : (int128)size;
}

/* The two digits of fixed(x; L) on SIMD lanes: hi * 2^40 + lo, each an exact double. */
struct digits {
    double hi, lo;
};
static inline struct digits grid_digits(double x, double up40, double down40, double up80)
{
    /* up40 = 2^(40 - L), down40 = 2^(L - 40), up80 = 2^(80 - L); magic rounds to an integer */
    const double magic = 0x1.8p52;
    double hi = (x * up40 + magic) - magic;
    double lo = ((x - hi * down40) * up80 + magic) - magic;
    return (struct digits){hi, lo};
}

/* The weighted term of a coordinate: fixed(p; 0) + fixed(e; 0), w' = w 2^-L_w, x' = x 2^-L. */
int128 grid_weighted(double x, int32_t L, double w, int32_t L_w);

/* frexp's exponent of |x|: |x| < 2^e; 0 for 0 (and for columns at least GRID_COLUMN_LEAST is used). */
int32_t grid_exponent(double x);

/* The smallest L_w with w_max <= 2^L_w. */
int32_t grid_weight_exponent(double w_max);

/* One rounding: S / n * 2^(L - 80); S / W * 2^L for weights (W = n * 2^80 gives the same bits). n, W > 0. */
double grid_mean(int128 S, int64_t n, int32_t L);
double grid_mean_weighted(int128 S, int128 W, int32_t L);

/* RN(S * 2^(L - 80)). */
double grid_double(int128 S, int32_t L);

/* RN(numerator / divisor * 2^exponent), one rounding: little-endian limbs, 0 < divisor < 2^32. */
double grid_quotient(const uint64_t *limb, int count, uint64_t divisor, int exponent);

/* Canonical squared distance of two fp64 vectors: s = fma(t, t, s), t = x - c, ascending. */
double canonical_f64(const double *x, const double *c, int64_t columns);

/* Mean over columns (ascending) of the population variance, each the exact rational rounded once. */
double moments_mean_variance(const struct moments *column, int64_t columns);
/* RN((n S2 - S1^2) / n^2) of one column. */
double moments_variance(const struct moments *column);
void moments_add(struct moments *into, const struct moments *other);

#endif
