/* inertia.c - the exact total of the terms RN(w_i s_i). */
#include "kernels/ref/work.h"

enum status ref_inertia(struct work *work, struct block *block, int64_t first, int64_t count,
                        int32_t L, int128 *total, int128 *per_cluster)
{
    tile_check(block, first, count);
    for (int64_t i = first; i < first + count; i++) {
        int32_t label = block->label[i];
        double w = row_weight(block, i);
        if (w <= 0 || label < 0)
            continue;
        double s = ref_canonical(work, block, i, work->centers + label * work->shape.columns);
        int128 term = grid_fixed(w * s, L);
        *total += term;
        if (per_cluster)
            per_cluster[label] += term;
    }
    return STATUS_OK;
}
