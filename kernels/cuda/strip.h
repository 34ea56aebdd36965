/* strip.h - rows of a block in shared memory, columns by columns, and canonical chains over them.
 *
 * A thread owns a row. All threads bring STRIP_COLUMNS columns of all rows, side by side in memory,
 * then each reads its own row: an odd stride keeps the lanes of a warp in different banks. */
#ifndef BARY_KERNELS_CUDA_STRIP_H
#define BARY_KERNELS_CUDA_STRIP_H

#include "kernels/cuda/block.h"
#include "kernels/cuda/work.h"

template <class T>
struct strip {
    T value[STRIP_ROWS][STRIP_COLUMNS + 1];
};

/* `width` columns of a block's rows: the first value, rows, columns of a whole row. */
template <class T>
struct strip_source {
    const T *values;
    int rows, width;
    int64_t columns;
};

template <class T>
static __device__ __forceinline__ struct strip_source<T> strip_at(const struct view &view,
                                                                  int64_t first, int64_t column) {
    int64_t rows = view.count - first, width = view.columns - column;

    return {static_cast<const T *>(view.values) + first * view.columns + column,
            (int)(rows < STRIP_ROWS ? rows : STRIP_ROWS),
            (int)(width < STRIP_COLUMNS ? width : STRIP_COLUMNS), view.columns};
}

/* STRIP_LOADS values of a thread, all asked for before the first is stored. */
template <class T>
static __device__ __forceinline__ void strip_load_some(struct strip<T> &strip,
                                                       const struct strip_source<T> &from,
                                                       unsigned width, unsigned first)
{
    unsigned most = (unsigned)from.rows * width;
    T held[STRIP_LOADS];

    UNROLL
    for (int i = 0; i < STRIP_LOADS; i++) {
        unsigned at = first + (unsigned)(i * STRIP_ROWS);
        held[i] = at < most ? from.values[at / width * from.columns + at % width] : 0;
    }
    UNROLL
    for (int i = 0; i < STRIP_LOADS; i++) {
        unsigned at = first + (unsigned)(i * STRIP_ROWS);
        if (at < most)
            strip.value[at / width][at % width] = held[i];
    }
}

/* Barriers before and after are the caller's. */
template <class T>
static __device__ __forceinline__ void strip_load(struct strip<T> &strip,
                                                  const struct strip_source<T> &from)
{
    unsigned most = (unsigned)(from.rows * from.width), first = threadIdx.x;

    if (from.width == STRIP_COLUMNS) /* a constant: no division */
        for (; first < most; first += STRIP_ROWS * STRIP_LOADS)
            strip_load_some(strip, from, STRIP_COLUMNS, first);
    else
        for (; first < most; first += STRIP_ROWS * STRIP_LOADS)
            strip_load_some(strip, from, (unsigned)from.width, first);
}

/* Centers beside a strip, those of a column together. */
template <int COUNT>
struct strip_centers {
    double value[STRIP_COLUMNS][COUNT];
};

/* Columns [column, column + width) of `count` <= COUNT centers; zeros in place of the others. */
template <int COUNT>
static __device__ __forceinline__ void
strip_centers_load(struct strip_centers<COUNT> &to, const double *centers, int count,
                   int64_t columns, int64_t column, int width)
{
    for (int at = (int)threadIdx.x; at < width * COUNT; at += STRIP_ROWS) {
        int c = at / width, d = at % width;
        to.value[d][c] = c < count ? centers[c * columns + column + d] : 0;
    }
}

template <class T, int COUNT>
struct strip_chains {
    struct strip<T> rows;
    struct strip_centers<COUNT> centers;
};

/* The canonical distances of the thread's row `first + threadIdx.x` to all centers, whole after all
 * columns; of a row beyond the last they are nothing. Begins with a barrier, and every thread calls. */
template <class T, int COUNT>
static __device__ __forceinline__ void
strip_distances(struct strip_chains<T, COUNT> &s, const struct view &view, int64_t first,
                const double *centers, int count, double sum[COUNT])
{
    UNROLL
    for (int c = 0; c < COUNT; c++)
        sum[c] = 0;
    for (int64_t column = 0; column < view.columns; column += STRIP_COLUMNS) {
        struct strip_source<T> from = strip_at<T>(view, first, column);
        __syncthreads();
        strip_load(s.rows, from);
        strip_centers_load(s.centers, centers, count, view.columns, column, from.width);
        __syncthreads();
        for (int d = 0; d < from.width; d++) {
            double x = (double)s.rows.value[threadIdx.x][d];
            UNROLL
            for (int c = 0; c < COUNT; c++) {
                double t = x - s.centers.value[d][c];
                sum[c] = __fma_rn(t, t, sum[c]);
            }
        }
    }
}

#endif
