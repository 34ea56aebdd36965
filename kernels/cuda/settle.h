/* settle.h - what a row's nearest center changes: its label, the list of moved rows, the largest term. */
#ifndef BARY_KERNELS_CUDA_SETTLE_H
#define BARY_KERNELS_CUDA_SETTLE_H

#include "kernels/cuda/block.h"
#include "kernels/cuda/work.h"

/* A tile's slot: how many rows that take part changed their label, and the largest RN(w s). */
struct assign_result {
    unsigned long long moved;
    double largest_term;
};

/* Where labels and what they change go. */
struct settle {
    struct view view;
    struct moved_row
        *moved; /* view.count of them: the rows counted above, in no order; NULL: not asked */
    struct assign_result *result;
};

/* Writes the row's label. True: the row takes part and left cluster *old. */
static __device__ __forceinline__ bool settle_row(const struct settle &to, int64_t row,
                                                  struct nearest found, int32_t *old,
                                                  double *largest_term)
{
    double w = view_weight(to.view, row);
    int32_t label = w < 0 ? -1 : found.index;

    *old = to.view.label[row];
    to.view.label[row] = label;
    if (!(w > 0))
        return false;
    *largest_term = largest::of(*largest_term, w * found.value);
    return label != *old;
}

/* Appends the warp's moved rows to the list with one addition. All lanes call. */
template <int EACH>
static __device__ __forceinline__ void
settle_moved(const struct settle &to, const bool (&moved)[EACH], const int64_t (&row)[EACH],
             const int32_t (&old)[EACH])
{
    unsigned mask[EACH], below = (1u << lane_index()) - 1;
    unsigned long long at = 0;
    int count = 0;

    UNROLL
    for (int i = 0; i < EACH; i++) {
        mask[i] = __ballot_sync((unsigned)FULL_WARP, moved[i]);
        count += __popc(mask[i]);
    }
    if (count > 0 && lane_index() == 0)
        at = atomicAdd(&to.result->moved, (unsigned long long)count);
    at = __shfl_sync((unsigned)FULL_WARP, at, 0);
    if (!to.moved)
        return;
    UNROLL
    for (int i = 0; i < EACH; i++) {
        int64_t place = (int64_t)at + __popc(mask[i] & below);
        if (moved[i] && index_holds(to.view, place, to.view.count))
            to.moved[place] = {(int32_t)row[i], old[i]};
        at += (unsigned)__popc(mask[i]);
    }
}

/* At the end of a kernel, all lanes. */
static __device__ __forceinline__ void settle_largest(const struct settle &to, double largest_term)
{
    double most = warp_reduce<struct largest>(largest_term);

    if (lane_index() == 0 && most > 0)
        atomic_max_positive(&to.result->largest_term, most);
}

/* assign.cu: rows [first, first + count) of the tile by the canonical kernel. only_if: NULL, or on the
 * device; if it is 0 then, nothing happens. */
enum status canonical_assign(struct work *work, const struct settle &to, int64_t first,
                             int64_t count, const unsigned *only_if);

#endif
