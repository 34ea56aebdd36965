/* canonical.h - canonical distances of a tile of rows and centers, in registers.
 *
 * A thread owns ROWS_EACH x CENTERS_EACH pairs, each with one accumulator that runs over the columns in
 * ascending order: t = x - c, s = fma(t, t, s), and nothing else. ACROSS neighboring lanes share their
 * rows, so a row is merged within a warp. Rows and centers pass through shared memory as doubles, SLAB
 * columns at a time; columns beyond the last are zeros on both sides and leave s as it is. */
#ifndef BARY_KERNELS_CUDA_CANONICAL_H
#define BARY_KERNELS_CUDA_CANONICAL_H

#include "kernels/cuda/block.h"
#include "kernels/cuda/work.h"

/* Many centers. Per column 8 loads of 16 bytes bring 32 pairs of FP64 instructions to a thread. */
struct wide_tile {
    enum { ROWS_EACH = 4, CENTERS_EACH = 4, ACROSS = 8, DOWN = 32, SLAB = 32 };
};
/* Few centers: a tile of 8, so that little is computed for nobody. */
struct tall_tile {
    enum { ROWS_EACH = 2, CENTERS_EACH = 4, ACROSS = 2, DOWN = 128, SLAB = 16 };
};

template <class Tile>
struct tile_size {
    enum {
        THREADS = Tile::ACROSS * Tile::DOWN,
        ROWS = Tile::ROWS_EACH * Tile::DOWN,
        CENTERS = Tile::CENTERS_EACH * Tile::ACROSS
    };
};

/* Two doubles behind each line keep 16-byte loads of neighboring rows in different banks. */
template <class Tile>
struct tile_slab {
    __align__(16) double row[tile_size<Tile>::ROWS][Tile::SLAB + 2];
    __align__(16) double center[tile_size<Tile>::CENTERS][Tile::SLAB + 2];
};

/* What a tile reads. */
struct pair_source {
    const void *values;
    const double *centers;
    int64_t rows, clusters, columns;
};

/* 16 bytes of T as doubles. */
static __device__ __forceinline__ void line_load(const float *from, double to[4])
{
    float4 line = *reinterpret_cast<const float4 *>(from);

    to[0] = (double)line.x;
    to[1] = (double)line.y;
    to[2] = (double)line.z;
    to[3] = (double)line.w;
}
static __device__ __forceinline__ void line_load(const double *from, double to[2])
{
    double2 line = *reinterpret_cast<const double2 *>(from);

    to[0] = line.x;
    to[1] = line.y;
}

/* Columns [column, column + SLAB) of LINES lines of `from`, the first of them number `first`. Beyond the
 * last line or column: zeros. With `aligned` a line is whole in units of 16 bytes. */
template <int LINES, int SLAB, int THREADS, class T>
static __device__ __forceinline__ void slab_load(double (&to)[LINES][SLAB + 2], const T *from,
                                                 int64_t lines, int64_t first, int64_t columns,
                                                 int64_t column, bool aligned)
{
    enum { UNIT = 16 / (int)sizeof(T), UNITS = SLAB / UNIT };

    for (int at = (int)threadIdx.x; at < LINES * UNITS; at += THREADS) {
        int line = at / UNITS, d = at % UNITS * UNIT;
        const T *source = from + (first + line) * columns + column + d;
        bool there = first + line < lines;
        double value[UNIT];

        if (aligned && there && column + d < columns) {
            line_load(source, value);
        } else {
            UNROLL
            for (int i = 0; i < UNIT; i++)
                value[i] = !aligned && there && column + d + i < columns ? (double)source[i] : 0.0;
        }
        UNROLL
        for (int i = 0; i < UNIT; i += 2)
            *reinterpret_cast<double2 *>(&to[line][d + i]) = make_double2(value[i], value[i + 1]);
    }
}

/* Two more columns of every pair of the thread. */
template <class Tile>
static __device__ __forceinline__ void
pairs_advance(const struct tile_slab<Tile> &slab, int d, int down, int across,
              double (&sum)[Tile::ROWS_EACH][Tile::CENTERS_EACH])
{
    double2 x[Tile::ROWS_EACH], c[Tile::CENTERS_EACH];

    UNROLL
    for (int i = 0; i < Tile::ROWS_EACH; i++)
        x[i] = *reinterpret_cast<const double2 *>(&slab.row[down + i * Tile::DOWN][d]);
    UNROLL
    for (int j = 0; j < Tile::CENTERS_EACH; j++)
        c[j] = *reinterpret_cast<const double2 *>(&slab.center[across + j * Tile::ACROSS][d]);
    UNROLL
    for (int i = 0; i < Tile::ROWS_EACH; i++) {
        UNROLL
        for (int j = 0; j < Tile::CENTERS_EACH; j++) {
            double t = x[i].x - c[j].x;
            sum[i][j] = __fma_rn(t, t, sum[i][j]);
            t = x[i].y - c[j].y;
            sum[i][j] = __fma_rn(t, t, sum[i][j]);
        }
    }
}

/* The pairs of rows from `row` and centers from `center` on: of this thread sum[i][j] is that of row
 * down + i * DOWN and center across + j * ACROSS. Pairs beyond the last row or center are nothing.
 * Every thread calls; begins with a barrier. */
template <class T, class Tile>
static __device__ __forceinline__ void
pairs_compute(struct tile_slab<Tile> &slab, const struct pair_source &from, int64_t row,
              int64_t center, double (&sum)[Tile::ROWS_EACH][Tile::CENTERS_EACH])
{
    enum { THREADS = tile_size<Tile>::THREADS };
    int down = (int)threadIdx.x / Tile::ACROSS, across = (int)threadIdx.x % Tile::ACROSS;
    bool aligned = from.columns * sizeof(T) % 16 == 0;

    UNROLL
    for (int i = 0; i < Tile::ROWS_EACH; i++) {
        UNROLL
        for (int j = 0; j < Tile::CENTERS_EACH; j++)
            sum[i][j] = 0;
    }
    for (int64_t column = 0; column < from.columns; column += Tile::SLAB) {
        int64_t left = from.columns - column;
        int here = left < Tile::SLAB ? (int)left : Tile::SLAB;

        __syncthreads();
        slab_load<tile_size<Tile>::ROWS, Tile::SLAB, THREADS>(
            slab.row, static_cast<const T *>(from.values), from.rows, row, from.columns, column,
            aligned);
        slab_load<tile_size<Tile>::CENTERS, Tile::SLAB, THREADS>(
            slab.center, from.centers, from.clusters, center, from.columns, column, aligned);
        __syncthreads();
        for (int d = 0; d < here; d += 2) /* SLAB is even: one column more is zeros */
            pairs_advance<Tile>(slab, d, down, across, sum);
    }
}

#endif
