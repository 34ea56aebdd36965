/* moments.c - exact sums of x and x^2 without carries: a value falls into three, its square into
 * five 32-bit digits of 64-bit slots, at places that its exponent names. Carried once a tile. */
#include <string.h>

#include "kernels/cpu/cpu.h"

struct moment_settings {
    int64_t column, columns;
};

static inline void add_value(struct moment_digits *into, double x)
{
    uint64_t bits, mantissa;
    int exponent;

    memcpy(&bits, &x, sizeof bits);
    exponent = (int)(bits >> 52 & 0x7ff);
    mantissa = (bits & 0xfffffffffffffu) | (uint64_t)(exponent > 0) << 52;
    exponent -= exponent > 0; /* |x| = mantissa * 2^(exponent - 1074) */

    int64_t sign = bits >> 63 ? -1 : 1;
    int64_t *s1 = into->s1 + exponent / 32;
    uint128 value = (uint128)mantissa << exponent % 32;
    s1[0] += sign * (int64_t)(uint32_t)value;
    s1[1] += sign * (int64_t)(uint32_t)(value >> 32);
    s1[2] += sign * (int64_t)(uint32_t)(value >> 64);

    int64_t *s2 = into->s2 + 2 * exponent / 32;
    uint128 square = (uint128)mantissa * mantissa;
    int bit = 2 * exponent % 32;
    uint128 high = square >> 64 << bit, low = (uint128)(uint64_t)square << bit;
    high += low >> 64;
    s2[0] += (int64_t)(uint32_t)low;
    s2[1] += (int64_t)(uint32_t)(low >> 32);
    s2[2] += (int64_t)(uint32_t)high;
    s2[3] += (int64_t)(uint32_t)(high >> 32);
    s2[4] += (int64_t)(uint32_t)(high >> 64);
}

static void moment_rows(const struct pass *pass, struct thread *thread, int64_t first,
                        int64_t count)
{
    const struct moment_settings *settings = pass->settings;
    const struct work *work = &pass->work->base;

    for (int64_t i = first; i < first + count; i++) {
        if (row_weight(pass->block, i) <= 0)
            continue;
        for (int64_t d = 0; d < settings->columns; d++)
            add_value(&thread->digits[d], row_value(work, pass->block, i, settings->column + d));
    }
    /* every column took the same rows */
    for (int64_t i = first; i < first + count; i++)
        thread->digits[0].count += row_weight(pass->block, i) > 0;
}

/* Signed digits to limbs, two's complement; a carry goes on to the top. */
static void limbs_of(uint64_t *limbs, int limb_count, const int64_t *digits, int digit_count)
{
    int64_t carry = 0;

    for (int i = 0; i < 2 * limb_count; i++) {
        int64_t digit = (i < digit_count ? digits[i] : 0) + carry;
        uint64_t low = (uint32_t)digit;
        limbs[i / 2] = i % 2 ? limbs[i / 2] | low << 32 : low;
        carry = (digit - (int64_t)low) / ((int64_t)1 << 32);
    }
}

static void fold(const struct moment_digits *from, int64_t count, struct moments *out)
{
    struct moments part = {.count = count};

    limbs_of(part.s1, MOMENT_LIMBS_1, from->s1, MOMENT_DIGITS_1);
    limbs_of(part.s2, MOMENT_LIMBS_2, from->s2, MOMENT_DIGITS_2);
    moments_add(out, &part);
}

/* At most 2^22 rows and MOMENT_COLUMNS columns: slots stay below 2^55. */
static void moments_tile(struct cpu_work *work, struct block *block, int64_t first, int64_t count,
                         const struct moment_settings *settings, struct moments *out)
{
    const struct pass pass = {work, block, settings, moment_rows};

    for (int i = 0; i < work->threads; i++)
        memset(work->thread[i].digits, 0, MOMENT_COLUMNS * sizeof(struct moment_digits));
    over_rows(&pass, first, count, 64.0 * (double)settings->columns);
    for (int i = 0; i < work->threads; i++)
        for (int64_t d = 0; d < settings->columns; d++)
            if (work->thread[i].digits[0].count > 0)
                fold(&work->thread[i].digits[d], work->thread[i].digits[0].count, &out[d]);
}

enum status cpu_moments(struct work *base, struct block *block, int64_t first, int64_t count,
                        int64_t column, int64_t columns, struct moments *out)
{
    tile_check(block, first, count);
    assert(column >= 0 && columns >= 0 && column <= base->shape.columns - columns);
    for (int64_t end = first + count; first < end; first += GRID_CARRY_ROWS)
        for (int64_t d = 0; d < columns; d += MOMENT_COLUMNS) {
            int64_t wide = columns - d < MOMENT_COLUMNS ? columns - d : MOMENT_COLUMNS;
            const struct moment_settings settings = {column + d, wide};
            int64_t here = end - first < GRID_CARRY_ROWS ? end - first : GRID_CARRY_ROWS;
            moments_tile(cpu_of(base), block, first, here, &settings, out + d);
        }
    return STATUS_OK;
}
