/* farthest.c - the rows farthest from their own centroid: what empty clusters are refilled from. */
#include "kernels/ref/work.h"

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
