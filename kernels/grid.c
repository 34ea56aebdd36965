/* grid.c - from values to grid integers, and from exact integers back to one double. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "kernels/grid.h"

int128 grid_weighted(double x, int32_t L, double w, int32_t L_w)
{
    double scaled = ldexp(x, -L), weight = ldexp(w, -L_w);
    double p = weight * scaled;
    double e = fma(weight, scaled, -p);

    return grid_fixed(p, 0) + grid_fixed(e, 0);
}

int32_t grid_exponent(double x)
{
    int e;

    if (x == 0)
        return 0;
    frexp(x, &e);
    return e;
}

int32_t grid_weight_exponent(double w_max)
{
    int e;

    return frexp(w_max, &e) == 0.5 ? e - 1 : e; /* a power of two is its own bound */
}

/* An integer as the sum of two doubles, the first its rounding. */
struct split {
    double hi, lo;
};
static struct split split(int128 S)
{
    double hi = (double)S;

    return (struct split){hi, (double)(S - (int128)hi)};
}

double grid_mean(int128 S, int64_t n, int32_t L)
{
    struct split s = split(S);
    double count = (double)n, q = s.hi / count;

    return ldexp(q + (fma(-q, count, s.hi) + s.lo) / count, L - GRID_BITS);
}

double grid_mean_weighted(int128 S, int128 W, int32_t L)
{
    struct split s = split(S), w = split(W);
    double q = s.hi / w.hi;

    return ldexp(q + (fma(-q, w.lo, fma(-q, w.hi, s.hi)) + s.lo) / w.hi, L);
}

static int bit_length(uint128 value)
{
    uint64_t high = (uint64_t)(value >> 64), low = (uint64_t)value;

    return high ? 128 - __builtin_clzll(high) : low ? 64 - __builtin_clzll(low) : 0;
}

/* RN(value * 2^exponent), where `more` says that the true value is a little larger. One rounding,
 * also into the subnormals. */
static double round_once(uint128 value, int exponent, bool more)
{
    int length = bit_length(value), last = length - 53 + exponent; /* weight of the last bit kept */
    int drop = (last > -1074 ? last : -1074) - exponent;

    if (drop > 0) {
        bool whole = drop > 127;
        uint128 rest = whole ? value : value & (((uint128)1 << drop) - 1);
        uint128 half = whole ? 0 : (uint128)1 << (drop - 1);
        value = whole ? 0 : value >> drop;
        if (!whole && (rest > half || (rest == half && (more || (value & 1)))))
            value++;
        exponent += drop;
    }
    return ldexp((double)value, exponent);
}

double grid_double(int128 S, int32_t L)
{
    uint128 size = S < 0 ? -(uint128)S : (uint128)S;
    double result = round_once(size, L - GRID_BITS, false);

    return S < 0 ? -result : result;
}

/* Long division by half limbs; more than 64 bits of the quotient are kept, the rest is a flag. */
double grid_quotient(const uint64_t *limb, int count, uint64_t divisor, int exponent)
{
    uint128 quotient = 0;
    uint64_t rest = 0;
    int at = 2 * count; /* halves that were not looked at; below 0: zeros */

    while (quotient >> 64 == 0 && (at > 0 || rest > 0)) {
        at--;
        rest = rest << 32 | (at >= 0 ? limb[at / 2] >> (at % 2 * 32) & 0xffffffffu : 0);
        quotient = quotient << 32 | rest / divisor;
        rest %= divisor;
    }
    bool more = rest != 0;
    for (int i = 0; i < at && !more; i++)
        more = (limb[i / 2] >> (i % 2 * 32) & 0xffffffffu) != 0;
    return round_once(quotient, exponent + 32 * at, more);
}

double canonical_f64(const double *x, const double *c, int64_t columns)
{
    double s = 0;

    for (int64_t d = 0; d < columns; d++) {
        double t = x[d] - c[d];
        s = fma(t, t, s);
    }
    return s;
}

/* The numerator n S2 - S1^2, and three limbs of zeros below it so that even a small one divided by
 * n^2 < 2^126 leaves more than 64 bits. */
enum { BELOW = 3, NUMERATOR_LIMBS = 2 * MOMENT_LIMBS_1 + BELOW };
struct numerator {
    uint64_t limb[NUMERATOR_LIMBS];
};

/* limb[at ..] += a * b, with the carry carried on. */
static void multiply_add(uint64_t *limb, int count, const uint64_t *a, int a_count, uint64_t b)
{
    uint64_t carry = 0;

    for (int i = 0; i < count && (i < a_count || carry); i++) {
        uint128 sum = (uint128)(i < a_count ? a[i] : 0) * b + limb[i] + carry;
        limb[i] = (uint64_t)sum;
        carry = (uint64_t)(sum >> 64);
    }
}

static void negate(uint64_t *limb, int count)
{
    uint64_t carry = 1;

    for (int i = 0; i < count; i++) {
        limb[i] = ~limb[i] + carry;
        carry = carry && limb[i] == 0;
    }
}

static void numerator_form(struct numerator *out, const struct moments *m)
{
    enum { LIMBS = NUMERATOR_LIMBS - BELOW };
    uint64_t s1[MOMENT_LIMBS_1], *limb = out->limb + BELOW;

    memset(out, 0, sizeof *out);
    memcpy(s1, m->s1, sizeof s1);
    if (s1[MOMENT_LIMBS_1 - 1] >> 63)
        negate(s1, MOMENT_LIMBS_1);
    for (int i = 0; i < MOMENT_LIMBS_1; i++)
        if (s1[i] != 0)
            multiply_add(limb + i, LIMBS - i, s1, MOMENT_LIMBS_1, s1[i]);
    negate(limb, LIMBS);
    multiply_add(limb, LIMBS, m->s2, MOMENT_LIMBS_2, (uint64_t)m->count);
}

/* limb[from .. to] /= divisor; true: a rest was left. */
static bool limbs_divide(uint64_t *limb, int from, int to, uint64_t divisor)
{
    uint64_t rest = 0;

    for (int i = to; i >= from; i--) {
        uint128 value = (uint128)rest << 64 | limb[i];
        limb[i] = (uint64_t)(value / divisor);
        rest = (uint64_t)(value % divisor);
    }
    return rest != 0;
}

/* numerator / n^2 * 2^exponent, rounded once: divided by n twice, the first WINDOW limbs alone, since
 * what lies below and every rest are but a flag. Two divisions by n < 2^63 take two limbs of them. */
static double divide(struct numerator *numerator, uint64_t n, int exponent)
{
    enum { WINDOW = 6 };
    uint64_t *limb = numerator->limb;
    int top = NUMERATOR_LIMBS - 1;
    bool more = false;

    while (top > 0 && limb[top] == 0)
        top--;
    int from = top >= WINDOW ? top - WINDOW + 1 : 0;
    for (int i = 0; i < from; i++)
        more |= limb[i] != 0;
    more |= limbs_divide(limb, from, top, n);
    more |= limbs_divide(limb, from, top, n);
    while (top > from + 1 && limb[top] == 0)
        top--;
    int second = top > from ? top - 1 : from; /* 65 bits and more, or all there are */
    uint128 value = top > from ? (uint128)limb[top] << 64 | limb[second] : limb[from];
    for (int i = from; i < second; i++)
        more |= limb[i] != 0;
    return round_once(value, exponent + 64 * second, more);
}

double moments_variance(const struct moments *column)
{
    struct numerator numerator;

    if (column->count == 0)
        return 0;
    numerator_form(&numerator, column);
    return divide(&numerator, (uint64_t)column->count, -2148 - 64 * BELOW);
}

double moments_mean_variance(const struct moments *column, int64_t columns)
{
    double sum = 0;

    for (int64_t d = 0; d < columns; d++)
        sum += moments_variance(&column[d]);
    return sum / (double)columns;
}

static void limbs_sum(uint64_t *into, const uint64_t *other, int count)
{
    uint64_t carry = 0;

    for (int i = 0; i < count; i++) {
        uint128 sum = (uint128)into[i] + other[i] + carry;
        into[i] = (uint64_t)sum;
        carry = (uint64_t)(sum >> 64);
    }
}

void moments_add(struct moments *into, const struct moments *other)
{
    limbs_sum(into->s1, other->s1, MOMENT_LIMBS_1);
    limbs_sum(into->s2, other->s2, MOMENT_LIMBS_2);
    into->count += other->count;
}
