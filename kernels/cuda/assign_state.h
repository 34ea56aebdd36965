/* assign_state.h - what assign, accumulate, inertia and distances keep in a work. */
#ifndef BARY_KERNELS_CUDA_ASSIGN_STATE_H
#define BARY_KERNELS_CUDA_ASSIGN_STATE_H

#include "kernels/cuda/fixed.h"

struct carver;

/* Device memory, carved by assign_carve: sums on their way and packed centers. */
struct assign_state {
    long long *hi, *lo; /* clusters x columns: digits not yet carried into the canonical sums */
};

/* The cost and name of what assign would run: fills row_ns, tile_ns, method of *out. Pure. */
void assign_plan(const struct device *device, const struct shape *shape, struct plan *out);
/* Device memory of the passes; work->shape and work->tile_rows are set. */
void assign_carve(struct carver *carver, struct work *work);
/* The most bytes that a tile of these passes puts into its slot. */
int64_t assign_slot_bytes(const struct shape *shape);
/* begin: work->centers are on their way on `compute`; packs what the round needs of them. */
enum status assign_begin(struct work *work);

#endif
