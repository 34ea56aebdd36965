/* sums.c - the sums of moved rows: two int64 digits a coordinate, carried into int128 in time.
 *
 * hi * 2^40 + lo = fixed(x; L) with |hi| <= 2^40 and |lo| < 2^40, so a slot that takes 2^22 rows
 * stays within 2^62. Integers add in any order: a thread's own table, or one table whose clusters
 * are divided among the threads, gives the same bits. */
#include <string.h>

#include "kernels/cpu/cpu.h"

#define MAGIC 0x1.8p52
#define MAGIC_BITS INT64_C(0x4338000000000000)

static double power(int exponent) /* -1022 .. 1023 */
{
    assert(exponent >= -1022 && exponent <= 1023);
    return ldexp(1.0, exponent);
}

enum status cpu_grid_set(struct work *base, const struct grid *grid)
{
    struct cpu_work *work = cpu_of(base);

    if (base->grid.column)
        slots_carry(work);
    ref_grid_set(base, grid);
    for (int64_t d = 0; d < base->shape.columns; d++) {
        int32_t L = grid->column[d];
        work->up40[d] = power(GRID_SPLIT - L);
        work->down40[d] = power(L - GRID_SPLIT);
        work->up80[d] = power(GRID_BITS - L);
        work->down[d] = power(-L);
    }
    return STATUS_OK;
}

/* The integer that rounding to MAGIC's grid left in the low bits. */
static inline int64_t integer(double with_magic)
{
    int64_t bits;

    memcpy(&bits, &with_magic, sizeof bits);
    return bits - MAGIC_BITS;
}

/* flip: 0 or -1, which negates. */
static inline int64_t signed_by(int64_t value, int64_t flip)
{
    return (value ^ flip) - flip;
}

static void add_values(const struct cpu_work *work, const double *x, int64_t *restrict hi,
                       int64_t *restrict lo, int64_t flip)
{
    const double *up40 = work->up40, *down40 = work->down40, *up80 = work->up80;

    for (int64_t d = 0; d < work->base.shape.columns; d++) {
        double high = x[d] * up40[d] + MAGIC;
        double low = (x[d] - (high - MAGIC) * down40[d]) * up80[d] + MAGIC;
        hi[d] += signed_by(integer(high), flip);
        lo[d] += signed_by(integer(low), flip);
    }
}

/* p + e = w' x' exactly; e is below one unit of the high digit. */
static void add_weighted(const struct cpu_work *work, const double *x, double weight,
                         int64_t *restrict hi, int64_t *restrict lo, int64_t flip)
{
    const double *down = work->down;

    for (int64_t d = 0; d < work->base.shape.columns; d++) {
        double scaled = x[d] * down[d];
        double p = weight * scaled, e = fma(weight, scaled, -p);
        double high = p * 0x1p40 + MAGIC;
        double low = (p - (high - MAGIC) * 0x1p-40) * 0x1p80 + MAGIC;
        double least = e * 0x1p80 + MAGIC;
        hi[d] += signed_by(integer(high), flip);
        lo[d] += signed_by(integer(low) + integer(least), flip);
    }
}

void slots_add(const struct cpu_work *work, const struct slots *slots, const struct block *block,
               int64_t row, const double *values, int32_t label, int sign)
{
    int64_t at = label * work->base.shape.columns, flip = sign < 0 ? -1 : 0;

    slots->touched[label]++;
    slots->count[label] += sign;
    if (!block->rows.weight) {
        slots->weight[label] += sign * ((int128)1 << GRID_BITS);
        add_values(work, values, slots->hi + at, slots->lo + at, flip);
        return;
    }
    double weight = ldexp(block->rows.weight[row], -work->base.grid.weight);
    slots->weight[label] += sign * grid_fixed(weight, 0);
    add_weighted(work, values, weight, slots->hi + at, slots->lo + at, flip);
}

static void carry_cluster(struct work *work, const struct slots *slots, int64_t label)
{
    int64_t columns = work->shape.columns, at = label * columns;

    for (int64_t d = at; d < at + columns; d++)
        work->sum[d] += (int128)slots->hi[d] * ((int64_t)1 << GRID_SPLIT) + slots->lo[d];
    work->count[label] += slots->count[label];
    work->weight[label] += slots->weight[label];
}

static void clear_cluster(struct work *work, const struct slots *slots, int64_t label)
{
    int64_t columns = work->shape.columns, at = label * columns;

    memset(slots->hi + at, 0, (size_t)columns * sizeof *slots->hi);
    memset(slots->lo + at, 0, (size_t)columns * sizeof *slots->lo);
    slots->count[label] = 0;
    slots->weight[label] = 0;
    slots->touched[label] = 0;
}

void slots_carry(struct cpu_work *work)
{
    int tables = work->shared_slots ? 1 : work->threads;

    for (int i = 0; i < tables && work->slot_rows > 0; i++)
        for (int64_t label = 0; label < work->base.shape.clusters; label++) {
            if (work->slots[i].touched[label] == 0)
                continue;
            carry_cluster(&work->base, &work->slots[i], label);
            clear_cluster(&work->base, &work->slots[i], label);
        }
    work->slot_rows = 0;
}

enum status cpu_sums_read(struct work *work, struct sums *out)
{
    slots_carry(cpu_of(work));
    return ref_sums_read(work, out);
}

enum status cpu_sums_write(struct work *work, const struct sums *in)
{
    slots_carry(cpu_of(work)); /* what was on its way belongs to the sums that go */
    return ref_sums_write(work, in);
}
