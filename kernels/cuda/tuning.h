/* tuning.h - numbers that cost time and never bits. Estimates until a card has been measured. */
#ifndef BARY_KERNELS_CUDA_TUNING_H
#define BARY_KERNELS_CUDA_TUNING_H

#define UNROLL _Pragma("unroll")

enum {
    WARP = 32,
    FULL_WARP = -1,               /* the mask of every collective */
    SHARED_BYTES_MOST = 99 << 10, /* a block may have so much on each card since sm_80 */
    TILE_ROWS_MOST = 1 << 22,     /* int64 sums of two 40-bit digits hold so many terms */
    TILE_ROWS_SMALL = 1 << 12,    /* of RESIDENT_SMALL: still some blocks for each processor */
    TILE_MS_MOST = 15,
    STAGING_BYTES = 64 << 20,  /* of one of the two tiles of a STREAMED work */
    PIECE_BYTES = 4 << 20,     /* of one of the two pinned buffers that every upload goes through */
    SLOT_BYTES_MOST = 1 << 20, /* results of a tile that are rows, not sums, are cut to so much */
    MOMENT_COLUMNS = 512,      /* columns whose exact sums fit one slot */

    FACTS_THREADS = 256,
    FACTS_BLOCKS = 4,
    FACTS_ROWS = 512, /* rows a block takes at a time */
    MOMENTS_THREADS = 256,
    MOMENTS_BLOCKS = 3,
    MOMENTS_ROWS = 512,
    FILL_THREADS = 256,
    FILL_BLOCKS = 4,
    FILL_ROWS = 4096
};

#endif
