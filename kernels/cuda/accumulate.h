/* accumulate.h - the sums follow the rows that moved. */
#ifndef BARY_KERNELS_CUDA_ACCUMULATE_H
#define BARY_KERNELS_CUDA_ACCUMULATE_H

#include "kernels/cuda/block.h"
#include "kernels/cuda/work.h"

/* What the kernels of this pass see. */
struct moves {
    struct view view;
    const struct moved_row *moved;
    const unsigned long long *count; /* of moved, on the device */
    const struct column_scale *scale;
    double weight_up[2]; /* w times both is w' = w 2^-L_w; one factor alone may not be a double */
    int32_t clusters;
    struct moved_sums sums;
    struct moved_order order;
};

/* A moved row as the sums take it; enters -1: it is none. */
struct move {
    int32_t row, enters, leaves; /* leaves -1: it was in no cluster */
};
static __device__ __forceinline__ struct move move_load(const struct moves &m, int64_t i)
{
    const struct moved_row moved = m.moved[i];

    if (!index_holds(m.view, moved.row, m.view.count) ||
        (moved.old >= 0 && !index_holds(m.view, moved.old, m.clusters)))
        return {0, -1, -1};
    return {moved.row, view_label(m.view, moved.row), moved.old};
}
/* How many there are. */
static __device__ __forceinline__ int64_t moves_count(const struct moves &m)
{
    int64_t count = (int64_t)*m.count;

    return index_holds(m.view, count, m.view.count + 1) ? count : 0;
}

/* Rows of a tile left and entered clusters: sums, weights, counts and fingerprint follow. *count of
 * work->assign.moved are moved; they are at most TILE_ROWS_MOST. */
enum status accumulate(struct work *work, const struct view &view, const unsigned long long *count);
/* Device memory of it. */
void accumulate_carve(struct carver *carver, struct work *work);
void accumulate_kernels(struct kernel_list *list); /* accumulate.cu */

/* The way by shared memory is taken where clusters x (columns + 1) sums fit a block, else this one. */
enum status segments_add(struct work *work, const struct moves &moves);
void segments_kernels(struct kernel_list *list); /* segments.cu */

/* One column of a moved row's term; the column behind the last is the weight's. */
template <class T>
static __device__ __forceinline__ struct digits moved_term(const struct moves &m, int64_t row,
                                                           int64_t column)
{
    double w = 1;

    if (m.view.weight)
        w = m.view.weight[row] * m.weight_up[0] * m.weight_up[1];
    if (column == m.view.columns)
        return fixed_unit(w);
    double x = view_value<T>(m.view, row, column);
    return m.view.weight ? fixed_weighted(x, w, m.scale[column]) : fixed_scaled(x, m.scale[column]);
}

#endif
