/* farthest.c - the rows farthest from their own centroid: what empty clusters are refilled from. */
#include <string.h>

#include "kernels/ref/work.h"

static bool comes_before(const struct far_row *a, const struct far_row *b)
{
    return a->distance > b->distance || (a->distance == b->distance && a->row < b->row);
}

static bool equal_values(const double *a, const double *b, int64_t columns)
{
    for (int64_t d = 0; d < columns; d++)
        if (a[d] != b[d])
            return false;
    return true;
}

static void shift_down(struct far_row *list, double *values, int64_t columns, int to, int from,
                       int held)
{
    size_t rows = (size_t)(held - from);

    memmove(list + to, list + from, rows * sizeof *list);
    memmove(values + to * columns, values + from * columns,
            rows * (size_t)columns * sizeof *values);
}

/* A twin before the row keeps the row out; a twin behind it makes way for it. One leaves at most for
 * one that enters, so what was cut from a full list is never missed. */
void far_insert(int64_t columns, int most, const struct far_row *row, const double *row_values,
                struct far_row *list, double *values, int *held)
{
    int at = 0, end;

    for (; at < *held && comes_before(&list[at], row); at++)
        if (equal_values(values + at * columns, row_values, columns))
            return;
    if (at == most)
        return;
    for (end = at; end < *held; end++)
        if (equal_values(values + end * columns, row_values, columns))
            break;
    if (end < *held) /* the twin at `end` leaves */
        shift_down(list, values, columns, at + 1, at, end);
    else {
        if (*held == most)
            (*held)--;
        shift_down(list, values, columns, at + 1, at, *held);
        (*held)++;
    }
    list[at] = *row;
    memcpy(values + at * columns, row_values, (size_t)columns * sizeof *values);
}

enum status ref_farthest(struct work *work, struct block *block, int64_t first, int64_t count,
                         int most, struct far_row *list, double *values, int *held)
{
    tile_check(block, first, count);
    assert(most <= work->shape.farthest);
    for (int64_t i = first; i < first + count; i++) {
        struct far_row row = {
            .row = block->rows.first + i, .label = block->label[i], .weight = row_weight(block, i)};
        if (row.weight <= 0 || row.label < 0)
            continue;
        row.distance =
            ref_canonical(work, block, i, work->centers + row.label * work->shape.columns);
        if (row.distance == 0)
            continue;
        ref_gather(work, block, i, work->row);
        far_insert(work->shape.columns, most, &row, work->row, list, values, held);
    }
    return STATUS_OK;
}
