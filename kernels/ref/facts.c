/* facts.c - what the grid and the checks of a fit need to know of the rows. */
#include "kernels/ref/work.h"

void facts_init(struct facts *facts, struct column_facts *column, int64_t columns)
{
    *facts = (struct facts){.column = column,
                            .non_finite_row = -1,
                            .non_finite_column = -1,
                            .beyond_row = -1,
                            .beyond_column = -1,
                            .weight_max = 0};
    for (int64_t d = 0; d < columns; d++)
        column[d] = (struct column_facts){.lo = INFINITY, .hi = -INFINITY, .largest = 0};
}

/* Tiles come in any order, and the first in row-major order is asked for. */
static bool before(int64_t row, int64_t column, int64_t than_row, int64_t than_column)
{
    return than_row < 0 || row < than_row || (row == than_row && column < than_column);
}

static void note_non_finite(struct facts *out, int64_t row, int64_t column, double value)
{
    out->non_finite++;
    if (!before(row, column, out->non_finite_row, out->non_finite_column))
        return;
    out->non_finite_row = row;
    out->non_finite_column = column;
    out->non_finite_value = value;
}

static void note_beyond(struct facts *out, int64_t row, int64_t column, double value)
{
    if (!before(row, column, out->beyond_row, out->beyond_column))
        return;
    out->beyond_row = row;
    out->beyond_column = column;
    out->beyond_value = value;
}

static void note_value(struct facts *out, int64_t row, int64_t column, double x, bool takes_part)
{
    struct column_facts *facts = &out->column[column];

    if (!isfinite(x)) {
        note_non_finite(out, row, column, x);
        return;
    }
    if (fabs(x) > 0x1p500) {
        note_beyond(out, row, column, x);
        return;
    }
    facts->lo = x < facts->lo ? x : facts->lo;
    facts->hi = x > facts->hi ? x : facts->hi;
    if (takes_part && fabs(x) > facts->largest)
        facts->largest = fabs(x);
}

enum status ref_facts(struct work *work, struct block *block, int64_t first, int64_t count,
                      struct facts *out)
{
    tile_check(block, first, count);
    for (int64_t i = first; i < first + count; i++) {
        double w = row_weight(block, i);
        if (w < 0)
            continue;
        for (int64_t d = 0; d < work->shape.columns; d++)
            note_value(out, block->rows.first + i, d, row_value(work, block, i, d), w > 0);
        out->taking_part += w > 0;
        out->weight_max = w > out->weight_max ? w : out->weight_max;
    }
    return STATUS_OK;
}
