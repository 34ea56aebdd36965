/* fits_rounds.h - the rounds of one small problem: assign, relocate, move, enough?
 *
 * What they decide must be what kernels/ref/fits.c decides. Sums follow the rows that moved; a sum is two
 * int64 digits, which n < 2^15 terms cannot overflow, so nothing is ever carried. */
#ifndef BARY_KERNELS_CUDA_FITS_ROUNDS_H
#define BARY_KERNELS_CUDA_FITS_ROUNDS_H

#include "kernels/cuda/exact.h"
#include "kernels/cuda/fits.h"

static __device__ __forceinline__ struct digits *fits_sums(struct fits_shared &s)
{
    return fits_part<struct digits>(s, s.at.sums);
}

/* The term of column d of a row of weight w in its cluster's sum; of its weight. */
template <class T>
static __device__ __forceinline__ struct digits value_term(struct fits_shared &s, int row, int d,
                                                           double scaled_weight)
{
    const struct column_scale &scale = fits_part<struct column_scale>(s, s.at.scale)[d];
    double x = fits_value<T>(s, row, d);

    return s.present ? fixed_weighted(x, scaled_weight, scale) : fixed_scaled(x, scale);
}
static __device__ __forceinline__ double scaled_weight(struct fits_shared &s, int row)
{
    return scale_exact(fits_weight(s, row), -s.weight_exponent);
}

static __device__ __forceinline__ void digits_add(struct digits *to, struct digits term, int sign)
{
    atomic_add_i64(&to->hi, sign * term.hi);
    atomic_add_i64(&to->lo, sign * term.lo);
}

/* No labels, no sums. */
static __device__ __forceinline__ void run_begin(struct fits_shared &s)
{
    struct digits *weights = fits_part<struct digits>(s, s.at.weights);

    for (int row = (int)threadIdx.x; row < s.n; row += FITS_THREADS)
        fits_label(s)[row] = -1;
    for (int at = (int)threadIdx.x; at < s.k * s.d; at += FITS_THREADS)
        fits_sums(s)[at] = {0, 0};
    for (int j = (int)threadIdx.x; j < s.k; j += FITS_THREADS) {
        weights[j] = {0, 0};
        fits_count(s)[j] = 0;
        fits_part<int>(s, s.at.far)[j] = -1;
    }
    if (threadIdx.x < 4)
        s.print[threadIdx.x] = 0;
    __syncthreads();
}

/* ---- assign ---- */

constexpr int FITS_CHAINS = 4; /* independent chains of a thread under way */

/* The nearest of the centers first, first + step, ...: strictly less, so a tie stays with the lower. */
template <class T>
static __device__ __forceinline__ struct nearest centers_nearest(struct fits_shared &s, int row,
                                                                 int first, int step)
{
    const T *x = fits_part<T>(s, s.at.values) + row * s.stride;
    struct nearest found = {infinity(), INT32_MAX};

    for (int j = first; j < s.k; j += FITS_CHAINS * step) {
        const double *center[FITS_CHAINS];
        double sum[FITS_CHAINS];
        UNROLL
        for (int i = 0; i < FITS_CHAINS; i++) {
            center[i] = fits_centers(s) + least::of(j + i * step, s.k - 1) * s.d;
            sum[i] = 0;
        }
        for (int d = 0; d < s.d; d++) {
            double value = (double)x[d];
            UNROLL
            for (int i = 0; i < FITS_CHAINS; i++) {
                double t = value - center[i][d];
                sum[i] = __fma_rn(t, t, sum[i]);
            }
        }
        UNROLL
        for (int i = 0; i < FITS_CHAINS; i++)
            if (j + i * step < s.k)
                found = nearer(found, {sum[i], j + i * step});
    }
    return found;
}

/* Lanes that share a row when there are fewer rows than threads: a power of two up to 8. */
static __device__ __forceinline__ int lanes_of_row(struct fits_shared &s)
{
    int lanes = 1;

    while (lanes < 8 && 2 * lanes <= s.k && s.n * lanes < FITS_THREADS)
        lanes *= 2;
    return lanes;
}

/* Labels and distances by the present centers; `old` keeps the labels before. */
template <class T>
static __device__ __forceinline__ void rows_assign(struct fits_shared &s)
{
    int *label = fits_label(s), *old = fits_part<int>(s, s.at.old), lanes = lanes_of_row(s);
    int each = FITS_THREADS / lanes, part = (int)threadIdx.x % lanes;
    double greatest = 0;

    for (int first = 0; first < s.n; first += each) { /* all lanes stay for the shuffles */
        int row = first + (int)threadIdx.x / lanes;
        double w = row < s.n ? fits_weight(s, row) : -1;
        struct nearest found = {infinity(), INT32_MAX};
        if (w >= 0)
            found = centers_nearest<T>(s, row, part, lanes);
        for (int step = 1; step < lanes; step *= 2)
            found = nearer(found, {__shfl_xor_sync((unsigned)FULL_WARP, found.value, step),
                                   __shfl_xor_sync((unsigned)FULL_WARP, found.index, step)});
        if (row < s.n && part == 0) {
            old[row] = label[row];
            label[row] = w < 0 ? -1 : found.index;
            fits_m(s)[row] = found.value;
        }
        greatest = w > 0 ? largest::of(greatest, w * found.value) : greatest;
    }
    greatest = block_reduce<largest>(greatest, s.reals);
    if (threadIdx.x == 0)
        s.largest_term = greatest;
}

/* The four words of a row's label fingerprint, added or taken away. */
static __device__ __forceinline__ void print_add(long long word[4], int row, int label, int sign)
{
    uint32_t bits[4];

    fingerprint_words(row, label, bits);
    UNROLL
    for (int i = 0; i < 4; i++)
        word[i] += sign * (long long)bits[i];
}

/* Enters a row into the sums of a cluster, or takes it out: lanes of a row share its columns. */
template <class T>
static __device__ __forceinline__ void row_enter(struct fits_shared &s, int row, int label,
                                                 int sign, int lane, int lanes)
{
    double weight = scaled_weight(s, row);

    for (int d = lane; d < s.d; d += lanes)
        digits_add(&fits_sums(s)[label * s.d + d], value_term<T>(s, row, d, weight), sign);
    if (lane == 0) {
        digits_add(&fits_part<struct digits>(s, s.at.weights)[label], fixed_unit(weight), sign);
        atomicAdd(&fits_count(s)[label], sign);
    }
}

/* Rows that take part and whose label changed leave their old cluster's sums and enter the new one's.
 * Neighboring lanes have neighboring columns, so that they seldom meet in a sum. */
template <class T>
static __device__ __forceinline__ void sums_follow(struct fits_shared &s)
{
    int *label = fits_label(s), *old = fits_part<int>(s, s.at.old), lanes = 1;
    long long word[4] = {0, 0, 0, 0};

    while (lanes < WARP && lanes < s.d)
        lanes *= 2;
    for (int row = (int)threadIdx.x / lanes; row < s.n; row += FITS_THREADS / lanes) {
        int lane = (int)threadIdx.x % lanes;
        if (label[row] == old[row] || !(fits_weight(s, row) > 0))
            continue;
        if (old[row] >= 0)
            row_enter<T>(s, row, old[row], -1, lane, lanes);
        row_enter<T>(s, row, label[row], 1, lane, lanes);
        if (lane == 0) {
            if (old[row] >= 0)
                print_add(word, row, old[row], -1);
            print_add(word, row, label[row], 1);
        }
    }
    UNROLL
    for (int i = 0; i < 4; i++) {
        long long whole = block_reduce<add>(word[i], s.scratch);
        if (threadIdx.x == 0)
            s.print[i] += (unsigned long long)whole;
    }
    __syncthreads();
}

template <class T>
static __device__ __forceinline__ void fits_assign(struct fits_shared &s)
{
    rows_assign<T>(s);
    __syncthreads();
    sums_follow<T>(s);
}

static __device__ __forceinline__ uint128 fits_fingerprint(struct fits_shared &s)
{
    return (uint128)s.print[0] + ((uint128)s.print[1] << 32) + ((uint128)s.print[2] << 64) +
           ((uint128)s.print[3] << 96);
}

/* ---- empty clusters ---- */

/* How many there are, and the first. */
static __device__ __forceinline__ int empty_find(struct fits_shared &s, int *first)
{
    int count = 0, lowest = s.k;

    for (int j = (int)threadIdx.x; j < s.k; j += FITS_THREADS)
        if (fits_count(s)[j] == 0) {
            count++;
            lowest = least::of(lowest, j);
        }
    *first = block_reduce<least>(lowest, s.numbers);
    return block_reduce<add>(count, s.numbers);
}

/* A place in the order of far rows. */
struct far_place {
    double distance;
    int row;
};

/* The next far row behind a place; distance 0: there is none. */
static __device__ __forceinline__ struct far_place far_next(struct fits_shared &s,
                                                            struct far_place behind)
{
    const double *distance = fits_m(s);
    double greatest = 0;
    int lowest = s.n;

    for (int row = (int)threadIdx.x; row < s.n; row += FITS_THREADS) {
        bool later =
            fits_weight(s, row) > 0 && (distance[row] < behind.distance ||
                                        (distance[row] == behind.distance && row > behind.row));
        if (later && distance[row] > greatest) { /* ascending rows: a tie stays with the lower */
            greatest = distance[row];
            lowest = row;
        }
    }
    double whole = block_reduce<largest>(greatest, s.reals);
    int row = block_reduce<least>(greatest == whole ? lowest : s.n, s.numbers);
    return {whole, row};
}

/* A listed row has the same values. The list lies where `old` was. */
template <class T>
static __device__ __forceinline__ bool far_listed(struct fits_shared &s, int row)
{
    const int *list = fits_part<int>(s, s.at.old);
    bool twin = false;

    for (int i = (int)threadIdx.x; i < s.listed; i += FITS_THREADS) {
        bool equal = true;
        for (int d = 0; equal && d < s.d; d++)
            equal = fits_value<T>(s, list[i], d) == fits_value<T>(s, row, d);
        twin |= equal;
    }
    return __syncthreads_or(twin) != 0;
}

/* The row leaves its donor's sums and is the next empty cluster's, unless it is the donor's last. */
template <class T>
static __device__ __forceinline__ bool far_give(struct fits_shared &s, int row)
{
    int donor = fits_label(s)[row], taker = s.taker;
    bool gives = fits_count(s)[donor] >= 2;

    __syncthreads(); /* all have read the count */
    if (gives)
        row_enter<T>(s, row, donor, -1, (int)threadIdx.x, FITS_THREADS);
    if (threadIdx.x == 0) {
        fits_part<int>(s, s.at.old)[s.listed++] = row;
        if (gives) {
            fits_part<int>(s, s.at.far)[taker++] = row;
            while (taker < s.k && fits_count(s)[taker] != 0)
                taker++;
            s.taker = taker;
        }
    }
    __syncthreads();
    return gives;
}

/* Far rows to empty clusters, in both orders; how many were given. The sums are without them until
 * far_return: those of the labels come back. */
template <class T>
static __device__ __forceinline__ int fits_relocate(struct fits_shared &s, int empty, int first)
{
    struct far_place place = {infinity(), -1};
    int most = least::of(2 * empty + FITS_SPARE, s.n), given = 0;

    if (threadIdx.x == 0) {
        s.listed = 0;
        s.taker = first;
    }
    __syncthreads();
    while (s.taker < s.k && s.listed < most) {
        place = far_next(s, place);
        if (place.distance == 0)
            break;
        if (!far_listed<T>(s, place.row))
            given += far_give<T>(s, place.row);
    }
    __syncthreads();
    return given;
}

template <class T>
static __device__ __forceinline__ void far_return(struct fits_shared &s)
{
    int *far = fits_part<int>(s, s.at.far);

    for (int j = 0; j < s.k; j++)
        if (far[j] >= 0)
            row_enter<T>(s, far[j], fits_label(s)[far[j]], 1, (int)threadIdx.x, FITS_THREADS);
    __syncthreads();
    for (int j = (int)threadIdx.x; j < s.k; j += FITS_THREADS)
        far[j] = -1;
    __syncthreads();
}

/* ---- move ---- */

static __device__ __forceinline__ int128 sum_of(const struct digits &sum)
{
    return digits_join(sum.hi, sum.lo);
}

/* Means of the sums; a far row that was given; else the old center. True: not a bit changed. */
template <class T>
static __device__ __forceinline__ bool centers_move(struct fits_shared &s)
{
    double *next = fits_part<double>(s, s.at.next);
    const int *exponent = fits_part<int>(s, s.at.exponent);
    const struct digits *weights = fits_part<struct digits>(s, s.at.weights);
    bool same = true;

    for (int at = (int)threadIdx.x; at < s.k * s.d; at += FITS_THREADS) {
        int j = at / s.d, d = at % s.d, count = fits_count(s)[j];
        int far = fits_part<int>(s, s.at.far)[j];
        double old = fits_centers(s)[at], moved = old;
        if (far >= 0)
            moved = fits_value<T>(s, far, d);
        else if (count > 0)
            moved = s.present ? mean_weighted_of(sum_of(fits_sums(s)[at]), sum_of(weights[j]),
                                                 exponent[d])
                              : mean_of(sum_of(fits_sums(s)[at]), count, exponent[d]);
        next[at] = moved;
        same &= __double_as_longlong(moved) == __double_as_longlong(old);
    }
    return __syncthreads_and(same) != 0;
}

/* Sum over ascending clusters of canonical(next, old). */
static __device__ __forceinline__ double centers_shift(struct fits_shared &s)
{
    const double *next = fits_part<double>(s, s.at.next), *old = fits_centers(s);
    double *chain = fits_part<double>(s, s.at.chain);

    for (int j = (int)threadIdx.x; j < s.k; j += FITS_THREADS) {
        double sum = 0;
        for (int d = 0; d < s.d; d++) {
            double t = next[j * s.d + d] - old[j * s.d + d];
            sum = __fma_rn(t, t, sum);
        }
        chain[j] = sum;
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        double sum = 0;
        for (int j = 0; j < s.k; j++)
            sum += chain[j];
        s.shared_real = sum;
        int swapped = s.at.centers;
        s.at.centers = s.at.next;
        s.at.next = swapped;
    }
    __syncthreads();
    return s.shared_real;
}

/* ---- a run ---- */

/* Why the loop ends after this round; 0: it goes on. */
static __device__ __forceinline__ int stop_now(const struct fits_arguments &a,
                                               struct fits_shared &s, int64_t round,
                                               bool labels_equal, bool relocated, double shift)
{
    bool last = round == a.max_iter;

    if (a.fixed_rounds)
        return last ? FITS_FIXED_ROUNDS : 0;
    if (!relocated && labels_equal)
        return FITS_LABELS_EQUAL;
    if (!relocated && shift <= s.limit)
        return FITS_TOLERANCE;
    return last ? FITS_MAX_ITER : 0;
}

/* Under FITS_ERROR a cluster without rows is the end. */
static __device__ __forceinline__ bool empty_refused(const struct fits_arguments &a,
                                                     struct fits_shared &s, int empty, int first,
                                                     int64_t round)
{
    if (a.empty != FITS_ERROR || empty == 0)
        return false;
    if (threadIdx.x == 0) {
        s.result = {};
        s.result.row = round;
        s.result.column = first;
    }
    return true;
}

/* What a run found beside what lies in shared memory. */
struct run_found {
    int64_t n_iter;
    int stop;
    double inertia;
};

/* Rounds until one says why to stop, then labels that belong to the centers. */
template <class T>
static __device__ __forceinline__ enum status
fits_rounds(const struct fits_arguments &a, struct fits_shared &s, struct run_found *out)
{
    uint128 before = 0;
    bool belong = false;
    int stop = 0, first, empty;
    int64_t round = 0;

    while (stop == 0) {
        fits_assign<T>(s);
        empty = empty_find(s, &first);
        if (empty_refused(a, s, empty, first, round + 1))
            return STATUS_EMPTY_CLUSTER;
        int given = empty > 0 && a.empty == FITS_RELOCATE ? fits_relocate<T>(s, empty, first) : 0;
        belong = centers_move<T>(s) && given == 0;
        if (given > 0)
            far_return<T>(s);
        double shift = centers_shift(s);
        uint128 print = fits_fingerprint(s);
        bool labels_equal = round > 0 && print == before;
        before = print;
        round++;
        stop = stop_now(a, s, round, labels_equal, given > 0, shift);
    }
    if (!belong)
        fits_assign<T>(s);
    empty = empty_find(s, &first);
    if (empty_refused(a, s, empty, first, round))
        return STATUS_EMPTY_CLUSTER;
    out->n_iter = round;
    out->stop = stop;
    return STATUS_OK;
}

static __device__ __forceinline__ double fits_inertia(struct fits_shared &s)
{
    int L = exponent_of(s.largest_term);
    struct digits sum = {0, 0};

    for (int row = (int)threadIdx.x; row < s.n; row += FITS_THREADS) {
        double w = fits_weight(s, row);
        if (!(w > 0))
            continue;
        struct digits term = fixed_term(w * fits_m(s)[row], L);
        sum.hi += term.hi;
        sum.lo += term.lo;
    }
    sum.hi = block_reduce<add>(sum.hi, s.scratch);
    sum.lo = block_reduce<add>(sum.lo, s.scratch);
    return total_double(sum_of(sum), L);
}

#endif
