/* far.h - a list of the rows farthest from their own centroids: distance descending, then row; of rows
 * with equal values the first alone. */
#ifndef BARY_KERNELS_FAR_H
#define BARY_KERNELS_FAR_H

#include <string.h>

#include "kernels/backend.h"

/* Farther first; at the same distance the lower row. */
static inline bool far_before(const struct far_row *a, const struct far_row *b)
{
    return a->distance > b->distance || (a->distance == b->distance && a->row < b->row);
}

static inline bool far_equal_values(const double *a, const double *b, int64_t columns)
{
    for (int64_t d = 0; d < columns; d++)
        if (a[d] != b[d])
            return false;
    return true;
}

static inline void far_shift_down(struct far_row *list, double *values, int64_t columns, int to,
                                  int from, int held)
{
    size_t rows = (size_t)(held - from);

    memmove(list + to, list + from, rows * sizeof *list);
    memmove(values + to * columns, values + from * columns,
            rows * (size_t)columns * sizeof *values);
}

/* Puts one row into a list of at most `most`, if it belongs there; row_values: its `columns` doubles.
 * A twin before the row keeps the row out; a twin behind it makes way for it. One leaves at most for
 * one that enters, so what was cut from a full list is never missed. */
static inline void far_insert(int64_t columns, int most, const struct far_row *row,
                              const double *row_values, struct far_row *list, double *values,
                              int *held)
{
    int at = 0, end;

    for (; at < *held && far_before(&list[at], row); at++)
        if (far_equal_values(values + at * columns, row_values, columns))
            return;
    if (at == most)
        return;
    for (end = at; end < *held; end++)
        if (far_equal_values(values + end * columns, row_values, columns))
            break;
    if (end < *held) /* the twin at `end` leaves */
        far_shift_down(list, values, columns, at + 1, at, end);
    else {
        if (*held == most)
            (*held)--;
        far_shift_down(list, values, columns, at + 1, at, *held);
        (*held)++;
    }
    list[at] = *row;
    memcpy(values + at * columns, row_values, (size_t)columns * sizeof *values);
}

#endif
