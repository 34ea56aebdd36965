/* assign.c - labels by the canonical distance, and the sums that follow the rows that moved. */
#include "kernels/philox.h"
#include "kernels/ref/work.h"

double ref_canonical(const struct work *work, const struct block *block, int64_t row,
                     const double *center)
{
    double s = 0;

    for (int64_t d = 0; d < work->shape.columns; d++) {
        double t = row_value(work, block, row, d) - center[d];
        s = fma(t, t, s);
    }
    return s;
}

void ref_sums_add(struct work *work, const struct block *block, int64_t row, int32_t label,
                  int sign)
{
    int64_t columns = work->shape.columns;
    int128 *sum = work->sum + label * columns;
    double w = row_weight(block, row);
    uint128 bits = philox_fingerprint(block->rows.first + row, label);

    assert(work->grid.column != NULL);
    for (int64_t d = 0; d < columns; d++) {
        double x = row_value(work, block, row, d);
        int32_t L = work->grid.column[d];
        int128 term =
            block->rows.weight ? grid_weighted(x, L, w, work->grid.weight) : grid_fixed(x, L);
        sum[d] += sign * term;
    }
    work->weight[label] += sign * grid_fixed(ldexp(w, -work->grid.weight), 0);
    work->count[label] += sign;
    work->fingerprint += sign > 0 ? bits : -bits;
}

static int32_t nearest(const struct work *work, const struct block *block, int64_t row,
                       double *distance)
{
    int32_t label = 0;

    *distance = ref_canonical(work, block, row, work->centers);
    for (int32_t j = 1; j < work->shape.clusters; j++) {
        double s = ref_canonical(work, block, row, work->centers + j * work->shape.columns);
        if (s < *distance) { /* strictly: a tie stays with the lower index */
            *distance = s;
            label = j;
        }
    }
    return label;
}

/* A row that takes part went from `old` to `label`. */
static void moved(struct work *work, struct block *block, int64_t row, int32_t old, int32_t label,
                  bool sums)
{
    work->assigned.moved++;
    if (!sums)
        return;
    if (old >= 0)
        ref_sums_add(work, block, row, old, -1);
    ref_sums_add(work, block, row, label, 1);
}

enum status ref_assign(struct work *work, struct block *block, int64_t first, int64_t count,
                       bool sums)
{
    tile_check(block, first, count);
    for (int64_t i = first; i < first + count; i++) {
        double w = row_weight(block, i), s, term;
        int32_t old = block->label[i];

        if (w < 0) {
            block->label[i] = -1;
            continue;
        }
        block->label[i] = nearest(work, block, i, &s);
        if (w == 0)
            continue;
        term = w * s;
        if (term > work->assigned.largest_term)
            work->assigned.largest_term = term;
        if (block->label[i] != old)
            moved(work, block, i, old, block->label[i], sums);
    }
    return STATUS_OK;
}
