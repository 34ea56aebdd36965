/* seed_state.h - what the seeding passes and farthest keep in a work. */
#ifndef BARY_KERNELS_CUDA_SEED_STATE_H
#define BARY_KERNELS_CUDA_SEED_STATE_H

#include "kernels/cuda/fixed.h"
#include "kernels/cuda/tuning.h"

struct carver;
struct kernel_list;

/* How far seed_find has come: it goes from tile to tile on the device. */
struct seed_search {
    int128 rest;
    int64_t row; /* in the tile; counts when found == FOUND_HERE */
    int32_t found;
};
enum { FOUND_NOT = 0, FOUND_HERE, FOUND_BEFORE };

/* A row that farthest selected from a tile. */
struct far_found {
    unsigned long long key; /* bits of the distance, which order like distances */
    int64_t row;            /* in the tile */
    double weight;
    int32_t label;
};

/* What a slot brings back of a selection: `count` rows in no order; their values lie behind them. */
struct far_batch {
    int64_t count;
    struct far_found found[FAR_ROWS_MOST];
};

/* Where a selection stands: the digits of its threshold, from the top. */
struct far_select {
    unsigned long long key; /* the digits known, zeros below */
    unsigned backward;      /* the same of the row number, counted from the last possible row */
    unsigned wanted;        /* rows still to be found among those that share the digits known */
    unsigned all;           /* 1: there are no more rows than wanted */
};

/* Device memory, carved by seed_carve. */
struct seed_state {
    double *candidates;         /* candidates x columns: centers of seed_take and seed_try */
    struct digits *chunk;       /* sum of P of each SEED_ROWS rows of a tile */
    struct seed_search *search; /* 1 */
    unsigned long long
        *key;       /* tile_rows: bits of the distance of a row that may be selected, or 0 */
    unsigned *bins; /* of one digit */
    struct far_select *select; /* 1 */
    struct far_batch *batch;   /* 1: what was selected last */
};

/* Device memory of the passes; work->shape and work->tile_rows are set. */
void seed_carve(struct carver *carver, struct work *work);
/* The most bytes that a tile of these passes puts into its slot. */
int64_t seed_slot_bytes(const struct shape *shape);
/* The same of farthest alone. */
int64_t farthest_slot_bytes(const struct shape *shape);
/* Of seed_draw.cu. */
void seed_draw_kernels(struct kernel_list *list);

#endif
