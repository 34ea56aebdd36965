/* tuning.h - numbers that cost time and never bits. Estimates until a card has been measured. */
#ifndef BARY_KERNELS_CUDA_TUNING_H
#define BARY_KERNELS_CUDA_TUNING_H

#define UNROLL _Pragma("unroll")

constexpr int WARP = 32;
constexpr int FULL_WARP = -1;               /* the mask of every collective */
constexpr int SHARED_BYTES_MOST = 99 << 10; /* a block may have so much on each card since sm_80 */

constexpr int TILE_ROWS_MOST = 1 << 22; /* int64 sums of two 40-bit digits hold so many terms */
constexpr int TILE_ROWS_SMALL =
    1 << 12; /* of RESIDENT_SMALL: still some blocks for each processor */
constexpr int TILE_MS_MOST = 15;
constexpr int STAGING_BYTES = 64 << 20; /* of one of the two tiles of a STREAMED work */
constexpr int PIECE_BYTES = 4 << 20; /* of one of the two pinned buffers that every upload takes */
constexpr int SLOT_BYTES_MOST =
    1 << 20; /* a tile's results that are rows, not sums, are cut to so much */
constexpr int MOMENT_COLUMNS = 512; /* columns whose exact sums fit one slot */

/* Threads of a block, blocks of a processor, rows of a tile of the grid. */
constexpr int FACTS_THREADS = 256, FACTS_BLOCKS = 4, FACTS_ROWS = 512;
constexpr int MOMENTS_THREADS = 256, MOMENTS_BLOCKS = 3, MOMENTS_ROWS = 512;
constexpr int FILL_THREADS = 256, FILL_BLOCKS = 4, FILL_ROWS = 4096;

/* Rows of a block that shared memory holds, one a thread; columns of them; loads under way. */
constexpr int STRIP_ROWS = 128, STRIP_COLUMNS = 32, STRIP_LOADS = 8, STRIP_BLOCKS = 4;
/* Candidates of a launch; beyond TRY_MANY a thread's sums need the registers of fewer blocks. */
constexpr int TRY_FEW = 4, TRY_MANY = 8, TRY_MOST = 16, TRY_MOST_BLOCKS = 3;
/* Passes over m_i alone; SEED_ROWS is also what one sum of seed_find's first look covers. */
constexpr int SEED_THREADS = 256, SEED_BLOCKS = 4, SEED_ROWS = 1024;
/* farthest: rows of one selection, bits of a digit of its radix select. */
constexpr int FAR_THREADS = 256, FAR_BLOCKS = 4, FAR_ROWS_MOST = 256, FAR_BITS = 11;

#endif
