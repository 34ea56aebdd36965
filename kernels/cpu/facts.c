/* facts.c - extremes of the columns: a run of rows at a time without a branch; a run that holds
 * anything not finite or too large is looked at again in the plain way. */
#include <string.h>

#include "kernels/cpu/cpu.h"

enum { RUN_ROWS = 256 };

static void run_reset(struct thread *thread, int64_t columns)
{
    for (int64_t d = 0; d < columns; d++) {
        thread->lo[d] = INFINITY;
        thread->hi[d] = -INFINITY;
        thread->largest[d] = 0;
        thread->odd[d] = 0;
    }
}

/* A row's values enter; `limit` has the bits of 2^500, above which lie all that are not plain. */
static void run_row(struct thread *thread, const double *restrict values, int64_t columns,
                    bool takes_part)
{
    double *restrict lo = thread->lo, *restrict hi = thread->hi;
    double *restrict largest = thread->largest;
    int64_t *restrict odd = thread->odd;
    const int64_t limit = INT64_C(0x5f30000000000000);

    for (int64_t d = 0; d < columns; d++) {
        double x = values[d] + 0.0; /* -0 becomes +0 */
        int64_t bits;
        memcpy(&bits, &x, sizeof bits);
        odd[d] |= (bits & INT64_MAX) > limit ? 1 : 0;
        lo[d] = x < lo[d] ? x : lo[d];
        hi[d] = x > hi[d] ? x : hi[d];
    }
    for (int64_t d = 0; d < columns && takes_part; d++)
        largest[d] = fabs(values[d]) > largest[d] ? fabs(values[d]) : largest[d];
}

static bool run_is_odd(const struct thread *thread, int64_t columns)
{
    int64_t odd = 0;

    for (int64_t d = 0; d < columns; d++)
        odd |= thread->odd[d];
    return odd != 0;
}

static void fold_column(struct column_facts *into, double lo, double hi, double largest)
{
    into->lo = lo < into->lo ? lo : into->lo;
    into->hi = hi > into->hi ? hi : into->hi;
    into->largest = largest > into->largest ? largest : into->largest;
}

static void run_rows(const struct pass *pass, struct thread *thread, int64_t first, int64_t count)
{
    struct cpu_work *work = pass->work;
    int64_t columns = work->base.shape.columns, part = 0;
    double heaviest = 0;

    run_reset(thread, columns);
    for (int64_t i = first; i < first + count; i++) {
        double w = row_weight(pass->block, i);
        if (w < 0)
            continue;
        fill_strip(work, pass->block, i, 1, thread->strip);
        run_row(thread, thread->strip, columns, w > 0);
        part += w > 0;
        heaviest = w > heaviest ? w : heaviest;
    }
    if (run_is_odd(thread, columns)) {
        ref_facts(&work->base, pass->block, first, count, &thread->facts);
        return;
    }
    for (int64_t d = 0; d < columns; d++)
        fold_column(&thread->column[d], thread->lo[d], thread->hi[d], thread->largest[d]);
    thread->facts.taking_part += part;
    if (heaviest > thread->facts.weight_max)
        thread->facts.weight_max = heaviest;
}

static void fact_rows(const struct pass *pass, struct thread *thread, int64_t first, int64_t count)
{
    for (int64_t end = first + count; first < end; first += RUN_ROWS)
        run_rows(pass, thread, first, end - first < RUN_ROWS ? end - first : RUN_ROWS);
}

static bool earlier(int64_t row, int64_t column, int64_t than_row, int64_t than_column)
{
    return row >= 0 &&
           (than_row < 0 || row < than_row || (row == than_row && column < than_column));
}

static void fold(struct facts *into, const struct facts *other, int64_t columns)
{
    for (int64_t d = 0; d < columns; d++)
        fold_column(&into->column[d], other->column[d].lo, other->column[d].hi,
                    other->column[d].largest);
    if (earlier(other->non_finite_row, other->non_finite_column, into->non_finite_row,
                into->non_finite_column)) {
        into->non_finite_row = other->non_finite_row;
        into->non_finite_column = other->non_finite_column;
        into->non_finite_value = other->non_finite_value;
    }
    if (earlier(other->beyond_row, other->beyond_column, into->beyond_row, into->beyond_column)) {
        into->beyond_row = other->beyond_row;
        into->beyond_column = other->beyond_column;
        into->beyond_value = other->beyond_value;
    }
    into->non_finite += other->non_finite;
    into->taking_part += other->taking_part;
    if (other->weight_max > into->weight_max)
        into->weight_max = other->weight_max;
}

enum status cpu_facts(struct work *base, struct block *block, int64_t first, int64_t count,
                      struct facts *out)
{
    struct cpu_work *work = cpu_of(base);
    const struct pass pass = {work, block, NULL, fact_rows};

    for (int i = 0; i < work->threads; i++)
        facts_init(&work->thread[i].facts, work->thread[i].column, base->shape.columns);
    over_rows(&pass, first, count, 16.0 * (double)base->shape.columns);
    for (int i = 0; i < work->threads; i++)
        fold(out, &work->thread[i].facts, base->shape.columns);
    return STATUS_OK;
}
