/* seed.c - the passes of k-means++: distances to the chosen rows, draws, trials. */
#include "kernels/ref/work.h"

/* RN(w_i m_i), 0 for a row that does not take part. */
static double potential(const struct block *block, int64_t row, double m)
{
    double w = row_weight(block, row);

    return w > 0 ? w * m : 0;
}

enum status ref_seed_reset(struct work *work, struct block *block, double value)
{
    (void)work;
    assert(block->seed != NULL);
    for (int64_t i = 0; i < block->rows.count; i++)
        block->seed[i] = value;
    return STATUS_OK;
}

enum status ref_seed_mark(struct work *work, struct block *block, int64_t row, double value)
{
    (void)work;
    tile_check(block, row, 1);
    block->seed[row] = value;
    return STATUS_OK;
}

enum status ref_seed_take(struct work *work, struct block *block, int64_t first, int64_t count,
                          const double *center, bool first_center, double *largest)
{
    tile_check(block, first, count);
    for (int64_t i = first; i < first + count; i++) {
        if (row_weight(block, i) < 0) /* it may hold NaN, and its m_i is never read */
            continue;
        double s = ref_canonical(work, block, i, center);
        if (first_center || s < block->seed[i])
            block->seed[i] = s;
    }
    return ref_seed_largest(work, block, first, count, largest);
}

enum status ref_seed_largest(struct work *work, struct block *block, int64_t first, int64_t count,
                             double *largest)
{
    (void)work;
    tile_check(block, first, count);
    for (int64_t i = first; i < first + count; i++) {
        double p = potential(block, i, block->seed[i]);
        if (p > *largest)
            *largest = p;
    }
    return STATUS_OK;
}

enum status ref_seed_total(struct work *work, struct block *block, int64_t first, int64_t count,
                           int32_t L, int128 *total)
{
    (void)work;
    tile_check(block, first, count);
    for (int64_t i = first; i < first + count; i++)
        *total += grid_fixed(potential(block, i, block->seed[i]), L);
    return STATUS_OK;
}

enum status ref_seed_find(struct work *work, struct block *block, int64_t first, int64_t count,
                          int32_t L, int128 *rest, int64_t *row)
{
    (void)work;
    tile_check(block, first, count);
    *row = -1;
    for (int64_t i = first; i < first + count; i++) {
        int128 p = grid_fixed(potential(block, i, block->seed[i]), L);
        if (p > *rest) {
            *row = i;
            return STATUS_OK;
        }
        *rest -= p;
    }
    return STATUS_OK;
}

enum status ref_seed_try(struct work *work, struct block *block, int64_t first, int64_t count,
                         const double *candidates, int candidates_count, bool first_center,
                         int32_t L, int128 *totals)
{
    tile_check(block, first, count);
    assert(candidates_count <= work->shape.candidates);
    for (int64_t i = first; i < first + count; i++) {
        if (row_weight(block, i) <= 0)
            continue;
        for (int c = 0; c < candidates_count; c++) {
            double s = ref_canonical(work, block, i, candidates + c * work->shape.columns);
            double m = block->seed[i];
            totals[c] += grid_fixed(potential(block, i, first_center || s < m ? s : m), L);
        }
    }
    return STATUS_OK;
}
