/* seed_state.h - what the seeding passes and farthest keep in a work. */
#ifndef BARY_KERNELS_CUDA_SEED_STATE_H
#define BARY_KERNELS_CUDA_SEED_STATE_H

#include "kernels/cuda/fixed.h"

struct carver;

/* Device memory, carved by seed_carve. */
struct seed_state {
    double *candidates; /* candidates x columns: centers of seed_take and seed_try */
};

/* Device memory of the passes; work->shape and work->tile_rows are set. */
void seed_carve(struct carver *carver, struct work *work);
/* The most bytes that a tile of these passes puts into its slot. */
int64_t seed_slot_bytes(const struct shape *shape);

#endif
