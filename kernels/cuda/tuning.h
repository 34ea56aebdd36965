/* tuning.h - numbers that cost time and never bits. Estimates until a card has been measured. */
#ifndef BARY_KERNELS_CUDA_TUNING_H
#define BARY_KERNELS_CUDA_TUNING_H

#define UNROLL _Pragma("unroll")
#define UNROLL_4 _Pragma("unroll 4") /* where nvcc does so only when little surrounds the loop */

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

/* assign: up to so many clusters a tile of centers is small. Blocks of a processor, for its registers. */
constexpr int ASSIGN_TALL_CLUSTERS = 16, ASSIGN_TALL_BLOCKS = 2, ASSIGN_WIDE_BLOCKS = 2;
constexpr int DISTANCES_BLOCKS = 2, INERTIA_BLOCKS = 4;
constexpr double TILE_NS = 30e3; /* launches of a tile and the wait for it, whatever its rows */

/* Sums that a block's shared memory holds, 16 bytes each: clusters x (columns + 1). */
constexpr int TABLE_SUMS = 6144, TABLE_THREADS = 512, TABLE_BLOCKS = 2, TABLE_ROWS = 256;
constexpr int MOVED_THREADS = 256, MOVED_BLOCKS = 4;
constexpr int MOVED_BINS = 2048; /* clusters whose rows a block counts by itself */
constexpr int CARRY_THREADS = 256, CARRY_BLOCKS = 4;
/* Where the sums do not fit: entries of a block, values that a thread asks for at a time. */
constexpr int STARTS_THREADS = 1024, SEGMENT_THREADS = 128, SEGMENT_BLOCKS = 8;
constexpr int SEGMENT_ENTRIES = 512, SEGMENT_LOADS = 4;

/* The product of matrices: from so many columns and clusters on; rows of a product by its scores, which
 * should stay in L2; room for pairs by rows; its rate against fp64, and a proof's cost, in columns. */
constexpr int GEMM_COLUMNS = 512, GEMM_COLUMNS_MOST = 1 << 16, GEMM_CLUSTERS = 64;
constexpr int GEMM_CLUSTERS_MOST = 1 << 24; /* counts of pairs are 32 bits */
constexpr int GEMM_SCORE_BYTES = 24 << 20, GEMM_ROWS_LEAST = 128, GEMM_PAIRS = 4;
constexpr int GEMM_WORKSPACE_BYTES = 4 << 20, GEMM_PIVOT_CENTERS = 256;
constexpr double GEMM_RATE = 30, GEMM_PROOF_COLUMNS = 10;
constexpr int SHADOW_THREADS = 256, SHADOW_BLOCKS = 4;
constexpr int CERTIFY_THREADS = 256, CERTIFY_BLOCKS = 2, CERTIFY_ROWS = 4;
constexpr int REFINE_THREADS = 128, REFINE_BLOCKS = 4;

/* fits: a block a problem. Rows of a far list beyond two for each empty cluster: kernels/ref/fits.h. */
constexpr int FITS_THREADS = 128, FITS_BLOCKS = 4, FITS_SPARE = 64;
constexpr int FITS_RESIDENT = 8; /* blocks launched for a processor; those that fit work */
constexpr int FITS_ROUNDS = 30;  /* that an estimate assumes when a loop ends by itself */
/* Of its chains' rate in a pass a block keeps a part; a round's barriers; what nobody may wait for. */
constexpr double FITS_SLOW = 4, FITS_ROUND_NS = 5000, FITS_WORST_NS = 250e6;

#endif
