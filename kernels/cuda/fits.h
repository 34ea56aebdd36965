/* fits.h - many small fits: a problem is a block's, and all of it lies in the block's shared memory.
 *
 * Rows, their weights, distances and labels, two sets of centers and the sums are carved from one piece
 * by fits_layout, which counts for plan, too. Device functions of the fits_*.h run in all threads of the
 * block at once: what they return and what a branch around a barrier asks is the same in each. */
#ifndef BARY_KERNELS_CUDA_FITS_H
#define BARY_KERNELS_CUDA_FITS_H

#include "kernels/cuda/block.h"
#include "kernels/cuda/work.h"
#include "kernels/draw.h"

constexpr int FITS_WARPS = FITS_THREADS / WARP;
constexpr int FITS_ROWS_MOST = (1 << 15) - 1; /* sums of so many rows fit their words */

/* Where the pieces of a problem lie, in bytes from the start of shared memory. */
struct fits_at {
    int values;     /* rows x stride of T; an odd stride keeps lanes in different banks */
    int weight;     /* rows doubles, if weights or skipped rows may be */
    int m;          /* rows doubles: seeding distances, random bits, distances to the own center */
    int label, old; /* rows ints; old: labels before an assign, then the rows of a far list */
    int centers, next; /* clusters x columns doubles */
    int sums;    /* clusters x columns digits. Before a run begins `next` and `sums` hold facts */
    int weights; /* clusters digits */
    int count, far; /* clusters ints; far: the row that an empty cluster takes, or -1 */
    int chain;      /* clusters or columns doubles, whichever are more */
    int scale;      /* columns column_scale */
    int exponent;   /* columns ints: L */
    int bytes;      /* of all */
};

/* One problem of a call, as the host hands it to a block. */
struct fits_task {
    int64_t row, center; /* first, from the first that was brought to the device */
    int64_t problem;     /* its number in the call */
    uint64_t random_state;
    int rows, clusters, candidates;
    bool limited; /* `limit` is known */
    double limit; /* of the centers' shift */
};

struct fits_arguments {
    const void *values;
    const double *weight, *centers; /* given ones, or NULL */
    const struct fits_task *task;
    int64_t tasks;
    unsigned long long *ticket; /* the next task */
    struct fits_result *result; /* by problem */
    double *out_centers;
    int32_t *out_labels;
    int64_t *out_sizes;
    int32_t *wide; /* by problem, 1: the host must say the limit */
    int64_t n_init, max_iter;
    double tol;
    int columns;
    enum fits_init init;
    enum fits_empty empty;
    bool skip_non_finite, fixed_rounds;
};

/* At the start of shared memory; the pieces follow. */
struct fits_shared {
    struct fits_result result;
    struct fits_at at;
    struct fits_task task;
    unsigned long long ticket;
    int n, k, d, stride;
    bool present, equal, wide, distinct_below;
    int taking_part, skipped, largest_row, weight_exponent;
    double weight_largest, limit, shared_real;
    double largest_term;         /* of the last assign */
    unsigned long long print[4]; /* words of the label fingerprint, each a sum */
    int listed, taker;           /* of far rows */
    long long scratch[WARP];
    double reals[WARP];
    int numbers[WARP];
    int128 tried[CANDIDATES_MAX];
    int pick[CANDIDATES_MAX];
};

static __host__ __device__ inline int fits_carve(int64_t *used, int64_t count, int64_t size)
{
    int64_t at = *used;

    *used = (at + count * size + 15) & ~(int64_t)15;
    return (int)at;
}

static __host__ __device__ inline int fits_stride(int64_t columns)
{
    return (int)(columns | 1);
}

/* All sizes are at most FITS_ROWS_MOST, so nothing overflows. Bytes of the whole. */
static __host__ __device__ inline int64_t
fits_layout(int64_t n, int64_t k, int64_t d, int64_t value_bytes, bool weighted, struct fits_at *at)
{
    int64_t used = ((int64_t)sizeof(struct fits_shared) + 15) & ~(int64_t)15;

    at->values = fits_carve(&used, n * fits_stride(d), value_bytes);
    at->weight = fits_carve(&used, weighted ? n : 0, 8);
    at->m = fits_carve(&used, n, 8);
    at->label = fits_carve(&used, n, 4);
    at->old = fits_carve(&used, n, 4);
    at->centers = fits_carve(&used, k * d, 8);
    at->next = fits_carve(&used, k * d, 8);
    at->sums = fits_carve(&used, k * d, (int64_t)sizeof(struct digits));
    at->weights = fits_carve(&used, k, (int64_t)sizeof(struct digits));
    at->count = fits_carve(&used, k, 4);
    at->far = fits_carve(&used, k, 4);
    at->chain = fits_carve(&used, k > d ? k : d, 8);
    at->scale = fits_carve(&used, d, (int64_t)sizeof(struct column_scale));
    at->exponent = fits_carve(&used, d, 4);
    at->bytes = used < INT32_MAX ? (int)used : INT32_MAX;
    return used;
}

template <class T>
static __device__ __forceinline__ T *fits_part(struct fits_shared &s, int at)
{
    return reinterpret_cast<T *>(reinterpret_cast<unsigned char *>(&s) + at);
}
static __device__ __forceinline__ double *fits_m(struct fits_shared &s)
{
    return fits_part<double>(s, s.at.m);
}
static __device__ __forceinline__ int *fits_label(struct fits_shared &s)
{
    return fits_part<int>(s, s.at.label);
}
static __device__ __forceinline__ int *fits_count(struct fits_shared &s)
{
    return fits_part<int>(s, s.at.count);
}
static __device__ __forceinline__ double *fits_centers(struct fits_shared &s)
{
    return fits_part<double>(s, s.at.centers);
}

/* > 0: takes part; 0: gets a label alone; -1: skipped. */
static __device__ __forceinline__ double fits_weight(struct fits_shared &s, int row)
{
    return s.present ? fits_part<double>(s, s.at.weight)[row] : 1.0;
}
template <class T>
static __device__ __forceinline__ double fits_value(struct fits_shared &s, int row, int d)
{
    return (double)fits_part<T>(s, s.at.values)[row * s.stride + d];
}

/* The canonical distance of a row to a center in shared memory, and to another row. */
template <class T>
static __device__ __forceinline__ double fits_distance(struct fits_shared &s, int row,
                                                       const double *center)
{
    const T *x = fits_part<T>(s, s.at.values) + row * s.stride;
    double sum = 0;

    for (int d = 0; d < s.d; d++) {
        double t = (double)x[d] - center[d];
        sum = __fma_rn(t, t, sum);
    }
    return sum;
}
template <class T>
static __device__ __forceinline__ double fits_distance_rows(struct fits_shared &s, int row,
                                                            int other)
{
    const T *x = fits_part<T>(s, s.at.values) + row * s.stride;
    const T *c = fits_part<T>(s, s.at.values) + other * s.stride;
    double sum = 0;

    for (int d = 0; d < s.d; d++) {
        double t = (double)x[d] - (double)c[d];
        sum = __fma_rn(t, t, sum);
    }
    return sum;
}

/* A row becomes center j. */
template <class T>
static __device__ __forceinline__ void fits_center_copy(struct fits_shared &s, int j, int row)
{
    for (int d = (int)threadIdx.x; d < s.d; d += FITS_THREADS)
        fits_centers(s)[j * s.d + d] = fits_value<T>(s, row, d);
}

/* Queues the tasks; blocks get `shared` bytes. */
enum status fits_launch(struct device *device, enum number number,
                        const struct fits_arguments &arguments, int64_t shared);

#endif
