/* fits_rows.h - what a small fit needs to know of its rows before its first run: weights, facts, the grid,
 * and what tol means. Loaded once; -0 becomes +0. */
#ifndef BARY_KERNELS_CUDA_FITS_ROWS_H
#define BARY_KERNELS_CUDA_FITS_ROWS_H

#include "kernels/cuda/exact.h"
#include "kernels/cuda/fits.h"

template <class T>
static __device__ __forceinline__ void rows_load(const struct fits_arguments &a,
                                                 struct fits_shared &s)
{
    const T *from = static_cast<const T *>(a.values) + s.task.row * s.d;
    T *to = fits_part<T>(s, s.at.values);

    for (int at = (int)threadIdx.x; at < s.n * s.d; at += FITS_THREADS)
        to[at / s.d * s.stride + at % s.d] = from[at] + (T)0;
    __syncthreads();
}

static __device__ __forceinline__ bool is_finite(double x)
{
    return fabs(x) <= 0x1.fffffffffffffp1023;
}

template <class T>
static __device__ __forceinline__ bool row_finite(struct fits_shared &s, int row)
{
    bool finite = true;

    for (int d = 0; d < s.d; d++)
        finite &= is_finite(fits_value<T>(s, row, d));
    return finite;
}

/* Weights as given and skipped rows; how many are skipped, and the largest weight. */
template <class T>
static __device__ __forceinline__ double weights_take(const struct fits_arguments &a,
                                                      struct fits_shared &s, int *skipped)
{
    double *weight = fits_part<double>(s, s.at.weight), greatest = 0;
    int count = 0;

    for (int row = (int)threadIdx.x; row < s.n; row += FITS_THREADS) {
        double w = a.weight ? a.weight[s.task.row + row] + 0.0 : 1;
        if (a.skip_non_finite && !row_finite<T>(s, row)) {
            w = -1;
            count++;
        }
        weight[row] = w;
        greatest = largest::of(greatest, w);
    }
    *skipped = block_reduce<add>(count, s.numbers);
    return block_reduce<largest>(greatest, s.reals);
}

/* Weights below 2^-80 of the largest become 0, then what is left is counted. */
static __device__ __forceinline__ void weights_settle(struct fits_shared &s, double greatest)
{
    double *weight = fits_part<double>(s, s.at.weight), lowest = infinity();
    int taking_part = 0, first = s.n;

    for (int row = (int)threadIdx.x; row < s.n; row += FITS_THREADS) {
        double w = weight[row];
        if (w == greatest)
            first = least::of(first, row);
        if (w >= 0 && w * 0x1p80 < greatest)
            weight[row] = w = 0;
        if (w > 0) {
            taking_part++;
            lowest = least::of(lowest, w);
        }
    }
    taking_part = block_reduce<add>(taking_part, s.numbers);
    first = block_reduce<least>(first, s.numbers);
    lowest = block_reduce<least>(lowest, s.reals);
    if (threadIdx.x == 0) {
        s.present = true;
        s.taking_part = taking_part;
        s.equal = taking_part == 0 || lowest == greatest;
        s.weight_largest = taking_part == 0 ? 1 : greatest;
        s.largest_row = greatest > 0 ? first : 0;
        s.weight_exponent = exponent_above(s.weight_largest);
    }
    __syncthreads();
}

template <class T>
static __device__ __forceinline__ void weights_make(const struct fits_arguments &a,
                                                    struct fits_shared &s)
{
    bool may_be = a.weight || a.skip_non_finite;
    int skipped = 0;
    double greatest = may_be ? weights_take<T>(a, s, &skipped) : 1;

    if (threadIdx.x == 0) {
        s.present = false;
        s.equal = true;
        s.skipped = skipped;
        s.taking_part = s.n;
        s.weight_largest = 1;
        s.largest_row = s.weight_exponent = 0;
    }
    __syncthreads();
    if (a.weight || skipped > 0)
        weights_settle(s, greatest);
}

/* Facts of a column: least, greatest, largest size of the rows that take part. */
struct fact_columns {
    double *lo, *hi, *size;
};
static __device__ __forceinline__ struct fact_columns fact_columns(struct fits_shared &s)
{
    double *at = fits_part<double>(s, s.at.next);

    return {at, at + s.d, at + 2 * s.d};
}

/* Of this thread, then of the block: values that are not finite, the first of them and the first beyond
 * 2^500 in row-major order. */
struct bad_values {
    int count, first, beyond;
};

template <class T>
static __device__ __forceinline__ void column_facts(struct fits_shared &s, int d,
                                                    struct bad_values *bad)
{
    struct fact_columns facts = fact_columns(s);
    double lo = infinity(), hi = -lo, size = 0;

    for (int row = lane_index(); row < s.n; row += WARP) {
        double w = fits_weight(s, row), x = fits_value<T>(s, row, d);
        if (w < 0)
            continue;
        if (!is_finite(x)) {
            bad->count++;
            bad->first = least::of(bad->first, row * s.d + d);
        } else if (fabs(x) > 0x1p500) {
            bad->beyond = least::of(bad->beyond, row * s.d + d);
        } else {
            lo = least::of(lo, x);
            hi = largest::of(hi, x);
            size = w > 0 ? largest::of(size, fabs(x)) : size;
        }
    }
    lo = warp_reduce<least>(lo);
    hi = warp_reduce<largest>(hi);
    size = warp_reduce<largest>(size);
    if (lane_index() == 0) {
        facts.lo[d] = lo;
        facts.hi[d] = hi;
        facts.size[d] = size;
    }
}

/* What the values say against the problem. */
template <class T>
static __device__ __forceinline__ enum status facts_check(struct fits_shared &s)
{
    struct bad_values bad = {0, INT32_MAX, INT32_MAX};

    for (int d = warp_index(); d < s.d; d += FITS_WARPS)
        column_facts<T>(s, d, &bad);
    int count = block_reduce<add>(bad.count, s.numbers);
    int first = block_reduce<least>(bad.first, s.numbers);
    int beyond = block_reduce<least>(bad.beyond, s.numbers);
    int at = count > 0 ? first : beyond;
    if (at == INT32_MAX)
        return STATUS_OK;
    if (threadIdx.x == 0) {
        s.result.row = at / s.d;
        s.result.column = at % s.d;
        s.result.count = count;
        s.result.value = fits_value<T>(s, at / s.d, at % s.d);
    }
    return count > 0 ? STATUS_NON_FINITE : STATUS_ROW_OUT_OF_RANGE;
}

/* w_max * sum over columns of (hi - lo)^2, [lo, hi] covering rows and given centers. */
static __device__ __forceinline__ enum status extent_check(const struct fits_arguments &a,
                                                           struct fits_shared &s)
{
    struct fact_columns facts = fact_columns(s);

    for (int d = (int)threadIdx.x; d < s.d; d += FITS_THREADS) {
        double lo = facts.lo[d], hi = facts.hi[d];
        for (int j = 0; a.centers && j < s.k; j++) {
            double c = a.centers[(s.task.center + j) * s.d + d];
            lo = least::of(lo, c);
            hi = largest::of(hi, c);
        }
        facts.lo[d] = lo < hi ? (hi - lo) * (hi - lo) : 0;
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        double sum = 0;
        for (int d = 0; d < s.d; d++)
            sum += facts.lo[d];
        s.shared_real = s.weight_largest * sum;
        if (!(s.shared_real <= 0x1p1020)) {
            s.result.row = s.largest_row;
            s.result.value = s.weight_largest;
        }
    }
    __syncthreads();
    return s.shared_real <= 0x1p1020 ? STATUS_OK : STATUS_OUT_OF_RANGE;
}

static __device__ __forceinline__ void grid_make(struct fits_shared &s)
{
    auto *scale = fits_part<struct column_scale>(s, s.at.scale);
    int *exponent = fits_part<int>(s, s.at.exponent);
    struct fact_columns facts = fact_columns(s);

    for (int d = (int)threadIdx.x; d < s.d; d += FITS_THREADS) {
        int L = largest::of(exponent_of(facts.size[d]), -900);
        exponent[d] = L;
        scale[d] = {power_of_two(40 - L), power_of_two(L - 40), power_of_two(80 - L),
                    power_of_two(-L)};
    }
    __syncthreads();
}

/* ---- variance: exact, then one rounding ---- */

/* Lowest and highest bit of a column's values lie so close that sums of squares fit 256 bits. */
constexpr int NARROW_BITS = 112;

/* Exponents of the lowest and above the highest bit of the values of a column that take part. */
struct bit_span {
    int low, high;
};
template <class T>
static __device__ __forceinline__ struct bit_span column_span(struct fits_shared &s, int d)
{
    struct bit_span span = {INT32_MAX, INT32_MIN};

    for (int row = lane_index(); row < s.n; row += WARP) {
        struct binary b = binary_of(fits_value<T>(s, row, d));
        if (!(fits_weight(s, row) > 0) || b.mantissa == 0)
            continue;
        span.low = least::of(span.low, b.exponent + __ffsll((long long)b.mantissa) - 1);
        span.high = largest::of(span.high, b.exponent + 64 - __clzll((long long)b.mantissa));
    }
    return {warp_reduce<least>(span.low), warp_reduce<largest>(span.high)};
}

static __device__ __forceinline__ struct limbs warp_sum_limbs(struct limbs value)
{
    UNROLL
    for (int step = WARP / 2; step > 0; step /= 2) {
        struct limbs other;
        UNROLL
        for (int i = 0; i < 4; i++)
            other.word[i] = __shfl_xor_sync((unsigned)FULL_WARP, value.word[i], step);
        value = limbs_add(value, other);
    }
    return value;
}

/* The population variance of a column in units of 2^low: RN((n S2 - S1^2) / n^2 * 2^(2 low)). */
template <class T>
static __device__ __forceinline__ double column_variance(struct fits_shared &s, int d, int low)
{
    struct limbs squares = {{0, 0, 0, 0}};
    int128 sum = 0;

    for (int row = lane_index(); row < s.n; row += WARP) {
        double x = fits_value<T>(s, row, d);
        struct binary b = binary_of(x);
        int shift = b.exponent - low;
        if (!(fits_weight(s, row) > 0) || b.mantissa == 0)
            continue;
        uint128 size = shift >= 0 ? (uint128)b.mantissa << shift : (uint128)(b.mantissa >> -shift);
        sum += x < 0 ? -(int128)size : (int128)size;
        squares = limbs_add(squares, limbs_square(size));
    }
    struct wide whole = {(unsigned long long)(uint128)sum,
                         (unsigned long long)((uint128)sum >> 64)};
    whole = warp_sum_wide(whole);
    squares = warp_sum_limbs(squares);
    sum = (int128)((uint128)whole.high << 64 | whole.low);
    struct limbs square = limbs_square(sum < 0 ? -(uint128)sum : (uint128)sum);
    unsigned n = (unsigned)s.taking_part;
    return quotient_once(limbs_subtract(limbs_times(squares, n), square), (unsigned long long)n * n,
                         2 * low);
}

/* tol times the mean of the columns' variances. Columns of very unlike values are the host's. */
template <class T>
static __device__ __forceinline__ void limit_find(const struct fits_arguments &a,
                                                  struct fits_shared &s)
{
    double *variance = fits_part<double>(s, s.at.chain);
    bool wide = false;

    for (int d = warp_index(); a.tol > 0 && !s.task.limited && d < s.d; d += FITS_WARPS) {
        struct bit_span span = column_span<T>(s, d);
        bool any = span.low <= span.high, narrow = any && span.high - span.low <= NARROW_BITS;
        double found = narrow ? column_variance<T>(s, d, span.low) : 0;
        wide |= any && !narrow;
        if (lane_index() == 0)
            variance[d] = found;
    }
    wide = __syncthreads_or(wide);
    if (threadIdx.x == 0) {
        double sum = 0;
        for (int d = 0; a.tol > 0 && !s.task.limited && d < s.d; d++)
            sum += variance[d];
        s.limit = s.task.limited ? s.task.limit : a.tol * (sum / (double)s.d);
        s.wide = wide;
    }
    __syncthreads();
}

/* All of the above, in the order of its refusals. */
template <class T>
static __device__ __forceinline__ enum status fits_prepare(const struct fits_arguments &a,
                                                           struct fits_shared &s)
{
    enum status status;

    rows_load<T>(a, s);
    weights_make<T>(a, s);
    if (s.taking_part < s.k) {
        if (threadIdx.x == 0)
            s.result.taking_part = s.taking_part;
        return STATUS_TOO_FEW_ROWS;
    }
    status = facts_check<T>(s);
    if (status == STATUS_OK)
        status = extent_check(a, s);
    if (status != STATUS_OK)
        return status;
    grid_make(s);
    limit_find<T>(a, s);
    return STATUS_OK;
}

#endif
