/* fits_variance.c - what tol means for one small problem: exact variances on lanes.
 *
 * On its column's grid a value is an integer q of 80 bits where exponents span at most SPAN_MAX: four
 * signed digits of 20 bits. A product of two of them is below 2^40, so SMALL_ROWS of them add exactly in
 * a double, and the ten sums of products make S2 = sum of q^2. One lane is one column. */
#include "kernels/cpu/fits.h"

enum { SPAN_MAX = GRID_BITS - 53, DIGITS = 4, DIGIT_BITS = 20, PRODUCTS = 10 };

/* Sums of a quad of columns: of the two digits of q, and of products of the four. */
struct quad_moments {
    quad hi, lo;
    quad product[PRODUCTS]; /* of digits i <= j: 00 01 11 02 12 22 03 13 23 33 */
};

QUAD_INLINE void digits_split(quad x, quad *low, quad *high)
{
    *high = quad_round(x * quad_set1(0x1p-20));
    *low = x - *high * quad_set1(0x1p20);
}

QUAD_INLINE void products_add(const quad *digit, quad *product)
{
    int at = 0;

    for (int j = 0; j < DIGITS; j++)
        for (int i = 0; i <= j; i++, at++)
            product[at] += digit[i] * digit[j];
}

static void moments_quad(const struct small *small, int64_t column, struct quad_moments *out)
{
    quad up40 = quad_load(small->grid.up40 + column), up80 = quad_load(small->grid.up80 + column);
    quad down40 = quad_load(small->grid.down40 + column);
    struct quad_moments sums = {.hi = quad_set1(0), .lo = quad_set1(0)};

    for (int at = 0; at < PRODUCTS; at++)
        sums.product[at] = quad_set1(0);
    for (int64_t i = 0; i < small->rows; i++) {
        quad x = quad_load(small->values + i * small->wide + column), digit[DIGITS];
        if (small->w[i] <= 0)
            continue;
        quad hi = quad_round(x * up40), lo = quad_round((x - hi * down40) * up80);
        digits_split(lo, &digit[0], &digit[1]);
        digits_split(hi, &digit[2], &digit[3]);
        sums.hi += hi;
        sums.lo += lo;
        products_add(digit, sums.product);
    }
    *out = sums;
}

/* limb += value 2^shift, two's complement. */
static void limbs_add(uint64_t limb[4], int64_t value, int shift)
{
    uint64_t sign = value < 0 ? UINT64_MAX : 0, low = (uint64_t)value, part[4], carry = 0;
    int whole = shift / 64, bit = shift % 64;

    for (int i = 0; i < 4; i++)
        part[i] = i < whole ? 0 : i == whole ? low << bit : sign;
    if (bit && whole < 3)
        part[whole + 1] = low >> (64 - bit) | sign << bit;
    for (int i = 0; i < 4; i++) {
        uint128 sum = (uint128)limb[i] + part[i] + carry;
        limb[i] = (uint64_t)sum;
        carry = (uint64_t)(sum >> 64);
    }
}

/* S2 of one lane. */
static void squares(const struct quad_moments *m, int lane, uint64_t s2[4])
{
    int at = 0;

    memset(s2, 0, 4 * sizeof *s2);
    for (int j = 0; j < DIGITS; j++)
        for (int i = 0; i <= j; i++, at++)
            limbs_add(s2, (int64_t)m->product[at][lane] * (i < j ? 2 : 1), DIGIT_BITS * (i + j));
}

/* a^2, for a < 2^126. */
static void square(uint128 a, uint64_t out[4])
{
    uint64_t a0 = (uint64_t)a, a1 = (uint64_t)(a >> 64);
    uint128 low = (uint128)a0 * a0, middle = (uint128)a0 * a1 << 1, high = (uint128)a1 * a1;

    out[0] = (uint64_t)low;
    low = (low >> 64) + (uint64_t)middle;
    out[1] = (uint64_t)low;
    high += (low >> 64) + (middle >> 64);
    out[2] = (uint64_t)high;
    out[3] = (uint64_t)(high >> 64);
}

/* n S2 - S1^2 over n^2, rounded once. */
static double variance_of(const struct quad_moments *m, int lane, int64_t count, int32_t L)
{
    int128 s1 = small_integer(m->hi[lane], m->lo[lane]);
    uint64_t s2[4], squared[4], numerator[4], n = (uint64_t)count, borrow = 0;
    uint128 product = 0;

    squares(m, lane, s2);
    square(s1 < 0 ? -(uint128)s1 : (uint128)s1, squared);
    for (int i = 0; i < 4; i++) {
        product = (product >> 64) + (uint128)s2[i] * n;
        uint128 less = (uint128)squared[i] + borrow;
        borrow = less > (uint64_t)product;
        numerator[i] = (uint64_t)product - (uint64_t)less;
    }
    return grid_quotient(numerator, 4, n * n, 2 * (L - GRID_BITS));
}

static double variance_any(const struct small *small, int64_t column)
{
    struct moments m = {0};

    for (int64_t i = 0; i < small->rows; i++)
        if (small->w[i] > 0)
            moments_add_value(&m, small->values[i * small->wide + column]);
    return moments_variance(&m);
}

static int exponent_field(double x)
{
    uint64_t bits;

    memcpy(&bits, &x, sizeof bits);
    return (int)(bits >> 52 & 0x7ff);
}

/* Values below 2^-900 are on a grid too coarse for them, but then the variance rounds to 0 either way. */
static bool is_wide(const struct small *small, int64_t column)
{
    return exponent_field(small->largest[column]) - exponent_field(small->smallest[column]) >
           SPAN_MAX;
}

double small_variances(const struct small *small)
{
    struct quad_moments moments = {.hi = quad_set1(0)};
    double sum = 0;

    for (int64_t d = 0; d < small->columns; d++) {
        if (d % QUAD == 0)
            moments_quad(small, d, &moments);
        if (small->largest[d] == 0)
            continue;
        sum += is_wide(small, d) ? variance_any(small, d)
                                 : variance_of(&moments, (int)(d % QUAD),
                                               small->weights.taking_part, small->L[d]);
    }
    return sum;
}

double small_shift_limit(const struct small *small)
{
    double sum = small->fits->tol > 0 ? small_variances(small) : 0;

    return small->fits->tol * (sum / (double)small->columns);
}
