/* assign_state.h - what assign, accumulate, inertia and distances keep in a work. */
#ifndef BARY_KERNELS_CUDA_ASSIGN_STATE_H
#define BARY_KERNELS_CUDA_ASSIGN_STATE_H

#include "kernels/cuda/fixed.h"
#include "kernels/cuda/gemm.h"

struct carver;

/* A row of a tile that changed its label, and the label it had. */
struct moved_row {
    int32_t row, old;
};

/* What moved rows add to the sums, until it is carried into the canonical ones: zeros between tiles. */
struct moved_sums {
    long long *hi, *lo;       /* clusters x (columns + 1) digits; the last column is the weight */
    int32_t *enters, *leaves; /* clusters: rows */
    long long *fingerprint;   /* 4 words, each a sum of its own */
};

/* Moved rows by cluster, where the sums of all clusters do not fit a block's shared memory. */
struct moved_order {
    int32_t *next; /* clusters: where its next entry goes; NULL: the sums fit */
    int32_t
        *entry; /* 2 x tile_rows: twice an index in the list of moved rows, + 1 where it leaves */
    int32_t *count; /* how many entries there are */
};

/* Device memory, carved by assign_carve. */
struct assign_state {
    struct moved_row *moved; /* tile_rows */
    struct moved_sums sums;
    struct moved_order order;
    struct gemm_state gemm;
};

/* The cost and name of what assign would run: fills row_ns, tile_ns, method of *out. For any thread. */
void assign_plan(const struct device *device, const struct shape *shape, struct plan *out);
/* What of the state hangs on device, shape and tile_rows alone: once, before the first assign_carve. */
void assign_design(const struct device *device, struct work *work);
/* Device memory of the passes; work->shape and work->tile_rows are set. */
void assign_carve(struct carver *carver, struct work *work);
/* The most bytes that a tile of these passes puts into its slot. */
int64_t assign_slot_bytes(const struct shape *shape);
/* What a work needs beside memory. close: whatever open came to; before the memory goes. */
enum status assign_open(struct work *work);
void assign_close(struct work *work);
/* begin: work->centers are on their way on `compute`; packs what the round needs of them. */
enum status assign_begin(struct work *work);

#endif
