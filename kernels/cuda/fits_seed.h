/* fits_seed.h - the first centers of one small problem: the passes of seeding over rows in shared memory.
 *
 * A thread owns every 128th row, or, where sums run in row order, some rows side by side. */
#ifndef BARY_KERNELS_CUDA_FITS_SEED_H
#define BARY_KERNELS_CUDA_FITS_SEED_H

#include "kernels/cuda/exact.h"
#include "kernels/cuda/fits.h"

static __device__ __forceinline__ double potential_of(struct fits_shared &s, int row)
{
    double w = fits_weight(s, row);

    return w > 0 ? w * fits_m(s)[row] : 0;
}

static __device__ __forceinline__ double largest_potential(struct fits_shared &s)
{
    double greatest = 0;

    for (int row = (int)threadIdx.x; row < s.n; row += FITS_THREADS)
        greatest = largest::of(greatest, potential_of(s, row));
    return block_reduce<largest>(greatest, s.reals);
}

/* P of all rows in row order: sums before and after this thread's rows, and of all. */
struct potential {
    int L;
    int from, to; /* its rows */
    int128 before, after, whole;
};
static __device__ __forceinline__ struct potential potential_sums(struct fits_shared &s,
                                                                  double greatest)
{
    int each = (s.n + FITS_THREADS - 1) / FITS_THREADS, L = exponent_of(greatest);
    int from = least::of((int)threadIdx.x * each, s.n), to = least::of(from + each, s.n);
    struct digits own = {0, 0};
    long long all_hi, all_lo;

    for (int row = from; row < to; row++) {
        struct digits term = fixed_term(potential_of(s, row), L);
        own.hi += term.hi;
        own.lo += term.lo;
    }
    long long hi = block_scan(own.hi, s.scratch, &all_hi);
    long long lo = block_scan(own.lo, s.scratch, &all_lo);
    return {L,
            from,
            to,
            digits_join(hi, lo),
            digits_join(hi + own.hi, lo + own.lo),
            digits_join(all_hi, all_lo)};
}

/* Draw number `index` hits a row: pick[at]. The thread that owns it writes; a barrier is the caller's. */
static __device__ __forceinline__ void draw_pick(struct fits_shared &s, int64_t run, int64_t index,
                                                 const struct potential &p, int at)
{
    uint64_t U = philox_u64(s.task.random_state, (uint64_t)index, PHILOX_DRAW, (uint32_t)run);
    int128 rest = seed_scaled(U, p.whole);

    if (!(p.before <= rest && rest < p.after))
        return;
    rest -= p.before;
    int row = p.from;
    for (; row < p.to - 1; row++) {
        struct digits term = fixed_term(potential_of(s, row), p.L);
        int128 sum = digits_join(term.hi, term.lo);
        if (sum > rest)
            break;
        rest -= sum;
    }
    s.pick[at] = row;
}

static __device__ __forceinline__ void seed_reset(struct fits_shared &s)
{
    for (int row = (int)threadIdx.x; row < s.n; row += FITS_THREADS)
        fits_m(s)[row] = 1;
    __syncthreads();
}

/* In proportion to the weights; without any, row floor(U N / 2^64). */
static __device__ __forceinline__ int draw_first(struct fits_shared &s, int64_t run)
{
    if (!s.present)
        return (int)seed_scaled(philox_u64(s.task.random_state, 0, PHILOX_DRAW, (uint32_t)run),
                                s.n);
    seed_reset(s);
    struct potential p = potential_sums(s, largest_potential(s));
    draw_pick(s, run, 0, p, 0);
    __syncthreads();
    return s.pick[0];
}

/* m becomes the distance to the nearest center so far; `chosen - 1` is the new one. The largest w m. */
template <class T>
static __device__ __forceinline__ double center_take(struct fits_shared &s, int chosen)
{
    const double *center = fits_centers(s) + (chosen - 1) * s.d;
    double greatest = 0;

    for (int row = (int)threadIdx.x; row < s.n; row += FITS_THREADS) {
        double w = fits_weight(s, row);
        if (w < 0) /* it may hold NaN */
            continue;
        double distance = fits_distance<T>(s, row, center), *m = &fits_m(s)[row];
        *m = chosen == 1 || distance < *m ? distance : *m;
        greatest = largest::of(greatest, w * *m);
    }
    return block_reduce<largest>(greatest, s.reals);
}

/* Totals after each candidate: a warp takes every fourth of them. */
template <class T>
static __device__ __forceinline__ void candidates_try(struct fits_shared &s, int L)
{
    for (int c = warp_index(); c < s.task.candidates; c += FITS_WARPS) {
        struct digits sum = {0, 0};
        for (int row = lane_index(); row < s.n; row += WARP) {
            double w = fits_weight(s, row), m = fits_m(s)[row];
            if (!(w > 0))
                continue;
            double distance = fits_distance_rows<T>(s, row, s.pick[c]);
            struct digits term = fixed_term(w * (distance < m ? distance : m), L);
            sum.hi += term.hi;
            sum.lo += term.lo;
        }
        sum.hi = warp_reduce<add>(sum.hi);
        sum.lo = warp_reduce<add>(sum.lo);
        if (lane_index() == 0)
            s.tried[c] = digits_join(sum.hi, sum.lo);
    }
    __syncthreads();
}

/* Draws the candidates of this step; the one with the lowest total becomes center `chosen`. */
template <class T>
static __device__ __forceinline__ void greedy_step(struct fits_shared &s, int64_t run, int chosen,
                                                   const struct potential &p)
{
    int count = s.task.candidates, best = 0;

    for (int c = 0; c < count; c++)
        draw_pick(s, run, 1 + (int64_t)(chosen - 1) * count + c, p, c);
    __syncthreads();
    candidates_try<T>(s, p.L);
    for (int c = 1; c < count; c++)
        if (s.tried[c] < s.tried[best])
            best = c;
    fits_center_copy<T>(s, chosen, s.pick[best]);
    __syncthreads();
}

/* No row is away from its center any more: the other centers copy the first. They win no tie. */
static __device__ __forceinline__ void centers_repeat(struct fits_shared &s, int chosen)
{
    double *centers = fits_centers(s);

    for (int at = chosen * s.d + (int)threadIdx.x; at < s.k * s.d; at += FITS_THREADS)
        centers[at] = centers[at % s.d];
    if (threadIdx.x == 0)
        s.distinct_below = true;
    __syncthreads();
}

template <class T>
static __device__ __forceinline__ void plus_plus(struct fits_shared &s, int64_t run)
{
    fits_center_copy<T>(s, 0, draw_first(s, run));
    __syncthreads();
    for (int chosen = 1; chosen < s.k; chosen++) {
        double greatest = center_take<T>(s, chosen);
        struct potential p = potential_sums(s, greatest);
        if (p.whole == 0) {
            centers_repeat(s, chosen);
            break;
        }
        greedy_step<T>(s, run, chosen, p);
    }
}

/* Rows that were drawn already have no part in the next draw. */
template <class T>
static __device__ __forceinline__ void random_weighted(struct fits_shared &s, int64_t run)
{
    seed_reset(s);
    for (int j = 0; j < s.k; j++) {
        struct potential p = potential_sums(s, largest_potential(s));
        draw_pick(s, run, j, p, 0);
        __syncthreads();
        fits_center_copy<T>(s, j, s.pick[0]);
        if (threadIdx.x == 0)
            fits_m(s)[s.pick[0]] = 0;
        __syncthreads();
    }
}

/* No random bits come behind these; a row that has them is told by its number. */
constexpr unsigned long long KEY_LAST = ~0ull;

/* The rows of smallest random bits, then of lowest number, one after the other. */
template <class T>
static __device__ __forceinline__ void random_rows(struct fits_shared &s, int64_t run)
{
    auto *keys = fits_part<unsigned long long>(s, s.at.m);
    auto *scratch = reinterpret_cast<unsigned long long *>(s.scratch);
    unsigned long long last = 0;
    int last_row = -1;

    for (int row = (int)threadIdx.x; row < s.n; row += FITS_THREADS)
        keys[row] = philox_u64(s.task.random_state, (uint64_t)row, PHILOX_ROW_KEY, (uint32_t)run);
    for (int j = 0; j < s.k; j++) {
        unsigned long long lowest = KEY_LAST;
        int lowest_row = s.n;
        for (int row = (int)threadIdx.x; row < s.n; row += FITS_THREADS) {
            bool behind = keys[row] > last || (keys[row] == last && row > last_row);
            bool before = keys[row] < lowest || (keys[row] == lowest && row < lowest_row);
            if (fits_weight(s, row) > 0 && behind && before) {
                lowest = keys[row];
                lowest_row = row;
            }
        }
        last = block_reduce<least>(lowest, scratch);
        last_row = block_reduce<least>(lowest == last ? lowest_row : s.n, s.numbers);
        fits_center_copy<T>(s, j, last_row);
    }
    __syncthreads();
}

/* Rows of equal weight are drawn like rows without: ones are no weights. */
template <class T>
static __device__ __forceinline__ void fits_seed(const struct fits_arguments &a,
                                                 struct fits_shared &s, int64_t run)
{
    if (threadIdx.x == 0)
        s.distinct_below = false;
    __syncthreads();
    if (a.init == FITS_CENTERS) {
        for (int at = (int)threadIdx.x; at < s.k * s.d; at += FITS_THREADS)
            fits_centers(s)[at] = a.centers[s.task.center * s.d + at];
        __syncthreads();
    } else if (a.init == FITS_PLUS_PLUS) {
        plus_plus<T>(s, run);
    } else if (s.equal) {
        random_rows<T>(s, run);
    } else {
        random_weighted<T>(s, run);
    }
}

#endif
