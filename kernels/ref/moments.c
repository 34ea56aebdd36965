/* moments.c - exact sums of x and x^2: integers as wide as any column may need. */
#include <string.h>

#include "kernels/ref/work.h"

/* limbs += value * 2^shift; two's complement, so a carry out of the top is right. */
static void limbs_add(uint64_t *limbs, int count, uint128 value, int shift)
{
    int at = shift / 64, bit = shift % 64;
    uint64_t part[3] = {(uint64_t)(value << bit), (uint64_t)(value << bit >> 64),
                        bit ? (uint64_t)(value >> (128 - bit)) : 0};
    uint64_t carry = 0;

    for (int i = 0; at + i < count && (i < 3 || carry); i++) {
        uint128 sum = (uint128)limbs[at + i] + (i < 3 ? part[i] : 0) + carry;
        limbs[at + i] = (uint64_t)sum;
        carry = (uint64_t)(sum >> 64);
    }
}

static void limbs_subtract(uint64_t *limbs, int count, uint64_t value, int shift)
{
    int at = shift / 64, bit = shift % 64;
    uint64_t part[2] = {value << bit, bit ? value >> (64 - bit) : 0};
    uint64_t borrow = 0;

    for (int i = 0; at + i < count && (i < 2 || borrow); i++) {
        uint128 less = (uint128)(i < 2 ? part[i] : 0) + borrow;
        borrow = less > limbs[at + i];
        limbs[at + i] -= (uint64_t)less;
    }
}

/* |x| = mantissa * 2^(exponent - 1074). */
void moments_add_value(struct moments *into, double x)
{
    uint64_t bits, mantissa;
    int exponent;

    memcpy(&bits, &x, sizeof bits);
    exponent = (int)(bits >> 52 & 0x7ff);
    mantissa = bits & 0xfffffffffffffu;
    if (exponent > 0) {
        mantissa |= (uint64_t)1 << 52;
        exponent--;
    }
    if (bits >> 63)
        limbs_subtract(into->s1, MOMENT_LIMBS_1, mantissa, exponent);
    else
        limbs_add(into->s1, MOMENT_LIMBS_1, mantissa, exponent);
    limbs_add(into->s2, MOMENT_LIMBS_2, (uint128)mantissa * mantissa, 2 * exponent);
    into->count++;
}

enum status ref_moments(struct work *work, struct block *block, int64_t first, int64_t count,
                        int64_t column, int64_t columns, struct moments *out)
{
    tile_check(block, first, count);
    assert(column >= 0 && columns >= 0 && column <= work->shape.columns - columns);
    for (int64_t i = first; i < first + count; i++) {
        if (row_weight(block, i) <= 0)
            continue;
        for (int64_t d = 0; d < columns; d++)
            moments_add_value(&out[d], row_value(work, block, i, column + d));
    }
    return STATUS_OK;
}
