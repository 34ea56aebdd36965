/* moments.c - exact sums of x and x^2 without carries.
 *
 * fp64: a mantissa falls into three, its square into five 32-bit digits of 64-bit slots, at places
 * that the exponent names. fp32: mantissas and their squares add up by exponent, two additions a
 * value, and go to the digits every 2^16 rows. Carried once a tile. */
#include <string.h>

#include "kernels/cpu/cpu.h"

struct moment_settings {
    int64_t column, columns;
};

/* digits += sign * value * 2^shift, value < 2^96. */
static inline void add_digits(int64_t *digits, uint128 value, int shift, int64_t sign)
{
    int bit = shift % 32;
    uint128 low = (uint128)(uint64_t)value << bit, high = (value >> 64 << bit) + (low >> 64);

    digits += shift / 32;
    digits[0] += sign * (int64_t)(uint32_t)low;
    digits[1] += sign * (int64_t)(uint32_t)(low >> 32);
    digits[2] += sign * (int64_t)(uint32_t)high;
    digits[3] += sign * (int64_t)(uint32_t)(high >> 32);
    digits[4] += sign * (int64_t)(uint32_t)(high >> 64);
}

static inline void add_f64(struct moment_digits *into, double x)
{
    uint64_t bits, mantissa;
    int exponent;

    memcpy(&bits, &x, sizeof bits);
    exponent = (int)(bits >> 52 & 0x7ff);
    mantissa = (bits & 0xfffffffffffffu) | (uint64_t)(exponent > 0) << 52;
    exponent -= exponent > 0; /* |x| = mantissa * 2^(exponent - 1074) */
    add_digits(into->s1, mantissa, exponent, bits >> 63 ? -1 : 1);
    add_digits(into->s2, (uint128)mantissa * mantissa, 2 * exponent, 1);
}

static inline void add_f32(struct moment_buckets *into, float x)
{
    uint32_t bits;
    int64_t mantissa;

    memcpy(&bits, &x, sizeof bits);
    int exponent = (int)(bits >> 23 & 0xff);
    mantissa = (bits & 0x7fffffu) | (uint32_t)(exponent > 0) << 23;
    into->at[exponent].s1 += bits >> 31 ? -mantissa : mantissa;
    into->at[exponent].s2 += (uint64_t)(mantissa * mantissa);
}

/* |x| = mantissa * 2^(exponent - 150), of a subnormal 2^-149. */
static void empty_buckets(struct moment_buckets *from, struct moment_digits *into)
{
    for (int e = 0; e < MOMENT_BUCKETS; e++) {
        int64_t s1 = from->at[e].s1;
        int shift = (e > 0 ? e : 1) - 150 + 1074;
        if (from->at[e].s2 == 0)
            continue;
        add_digits(into->s1, (uint128)(s1 < 0 ? -s1 : s1), shift, s1 < 0 ? -1 : 1);
        add_digits(into->s2, from->at[e].s2, 2 * shift, 1);
    }
    memset(from, 0, sizeof *from);
}

static int64_t run_f64(const struct pass *pass, struct thread *thread, int64_t first, int64_t count)
{
    const struct moment_settings *settings = pass->settings;
    const double *values = pass->block->rows.values;
    int64_t stride = pass->work->base.shape.columns, taken = 0;

    for (int64_t i = first; i < first + count; i++) {
        if (row_weight(pass->block, i) <= 0)
            continue;
        for (int64_t d = 0; d < settings->columns; d++)
            add_f64(&thread->digits[d], values[i * stride + settings->column + d]);
        taken++;
    }
    return taken;
}

static int64_t run_f32(const struct pass *pass, struct thread *thread, int64_t first, int64_t count)
{
    const struct moment_settings *settings = pass->settings;
    const float *values = pass->block->rows.values;
    int64_t stride = pass->work->base.shape.columns, taken = 0;

    for (int64_t i = first; i < first + count; i++) {
        if (row_weight(pass->block, i) <= 0)
            continue;
        for (int64_t d = 0; d < settings->columns; d++)
            add_f32(&thread->buckets[d], values[i * stride + settings->column + d]);
        taken++;
    }
    for (int64_t d = 0; d < settings->columns; d++)
        empty_buckets(&thread->buckets[d], &thread->digits[d]);
    return taken;
}

/* Every column takes the same rows: the first counts them. */
static void moment_rows(const struct pass *pass, struct thread *thread, int64_t first,
                        int64_t count)
{
    bool f32 = pass->work->base.shape.number == NUMBER_F32;

    for (int64_t end = first + count; first < end; first += MOMENT_BUCKET_ROWS) {
        int64_t here = end - first < MOMENT_BUCKET_ROWS ? end - first : MOMENT_BUCKET_ROWS;
        thread->digits[0].count +=
            f32 ? run_f32(pass, thread, first, here) : run_f64(pass, thread, first, here);
    }
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
    over_rows(&pass, first, count, 32.0 * (double)settings->columns);
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
