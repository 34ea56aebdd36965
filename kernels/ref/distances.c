/* distances.c - the distance of every row to every centroid. */
#include "kernels/ref/work.h"

enum status ref_distances(struct work *work, struct block *block, int64_t first, int64_t count,
                          double *out)
{
    int64_t k = work->shape.clusters, columns = work->shape.columns;

    tile_check(block, first, count);
    for (int64_t i = 0; i < count; i++) {
        bool skipped = row_weight(block, first + i) < 0;
        for (int64_t j = 0; j < k; j++) {
            const double *center = work->centers + j * columns;
            out[i * k + j] =
                skipped ? (double)NAN : sqrt(ref_canonical(work, block, first + i, center));
        }
    }
    return STATUS_OK;
}
