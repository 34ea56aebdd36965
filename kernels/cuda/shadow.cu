/* shadow.cu - rows and centers as fp16 words, with what the rounding left.
 *
 * A warp owns a vector and goes over it twice: for its largest value, which gives it a power of two of
 * its own, then to round, two columns a lane. What the words are and are not is measured on the words
 * themselves, in fp64, and rounded up by far more than the sums can have lost. Bound by bytes: a vector
 * is read once from memory and once from L2. */
#include <cuda_fp16.h>

#include "kernels/cuda/gemm.h"
#include "kernels/cuda/settle.h"

/* 2^exponent; -1022 .. 1023. */
static __device__ __forceinline__ double two_to(int exponent)
{
    return __longlong_as_double((long long)(1023 + exponent) << 52);
}

/* The e of |x| < 2^e, at least -1022; x is finite. */
static __device__ __forceinline__ int exponent_above(double x)
{
    return (int)(__double_as_longlong(x) >> 52 & 0x7ff) - 1022;
}

/* Sums of squares of a vector scaled so that its largest value lies in [2^5, 2^6): of the vector, of
 * its words, of the difference. unit undoes the scale. */
struct squares {
    double whole, stored, rest, unit;
};

/* The columns of a vector less the pivot, by the lanes of a warp. */
template <class T>
struct centered {
    const T *values;
    const double *pivot;
    int64_t columns;

    __device__ __forceinline__ double at(int64_t d) const
    {
        return d < columns ? (double)values[d] - pivot[d] : 0.0;
    }
};

template <class T>
static __device__ __forceinline__ int centered_exponent(const struct centered<T> &y)
{
    double most = 0;

    for (int64_t d = lane_index(); d < y.columns; d += WARP)
        most = largest::of(most, fabs(y.at(d)));
    return exponent_above(warp_reduce<struct largest>(most));
}

/* One column: its word, and the squares. */
static __device__ __forceinline__ unsigned word_take(double value, struct squares *sum)
{
    __half word = __double2half(value);
    double stored = (double)__half2float(word), rest = value - stored;

    sum->whole = __fma_rn(value, value, sum->whole);
    sum->stored = __fma_rn(stored, stored, sum->stored);
    sum->rest = __fma_rn(rest, rest, sum->rest);
    return __half_as_ushort(word);
}

/* Writes `stored_columns` words, zeros behind the last column. All lanes call and get the same. */
template <class T>
static __device__ __forceinline__ struct squares words_write(const struct centered<T> &y,
                                                             int64_t stored_columns, uint16_t *out)
{
    int up = 6 - centered_exponent(y);
    struct squares sum = {0, 0, 0, 0};

    up = up > 1000 ? 1000 : up; /* both the factor and what undoes it are doubles */
    double scale = two_to(up);
    for (int64_t d = 2 * lane_index(); d < stored_columns; d += 2 * WARP) {
        unsigned low = word_take(y.at(d) * scale, &sum);
        unsigned high = word_take(y.at(d + 1) * scale, &sum);
        *reinterpret_cast<unsigned *>(&out[d]) = low | high << 16;
    }
    return {warp_reduce<struct add>(sum.whole), warp_reduce<struct add>(sum.stored),
            warp_reduce<struct add>(sum.rest), two_to(-up)};
}

/* Norms rounded up: sums of fewer than 2^16 squares are right to 2^-36, and the subtraction of the pivot
 * to 2^-53 of the whole. */
static __device__ __forceinline__ double norm_up(double squares, double unit)
{
    return __dsqrt_rn(squares) * (1 + 0x1p-30) * unit;
}
static __device__ __forceinline__ double rest_up(const struct squares &sum)
{
    return norm_up(sum.rest, sum.unit) + 0x1p-51 * norm_up(sum.whole, sum.unit);
}

struct shadow_arguments {
    struct view view;
    const double *pivot;
    int64_t first, count, stored_columns;
    uint16_t *shadow;
    struct row_bound *row;
};

template <class T>
static __global__ void __launch_bounds__(SHADOW_THREADS, SHADOW_BLOCKS)
    shadow_kernel(const __grid_constant__ struct shadow_arguments a)
{
    int64_t warps = (int64_t)gridDim.x * warp_count();

    for (int64_t i = (int64_t)blockIdx.x * warp_count() + warp_index(); i < a.count; i += warps) {
        int64_t row = a.first + i;
        bool skipped =
            view_weight(a.view, row) < 0; /* its values may be anything: it has no columns */
        const struct centered<T> y = {
            static_cast<const T *>(a.view.values) + row *a.view.columns, a.pivot,
                skipped ? 0 : a.view.columns
        };
        const struct squares sum =
            words_write(y, a.stored_columns, a.shadow + i * a.stored_columns);
        if (lane_index() != 0)
            continue;
        double whole = norm_up(sum.whole, sum.unit);
        a.row[i] = {norm_up(sum.stored, sum.unit), rest_up(sum), whole * whole * (1 + 0x1p-30),
                    skipped ? -1 : sum.unit};
    }
}

struct pack_arguments {
    const double *centers;
    double *pivot;
    int64_t clusters, columns, stored_columns;
    double gamma;
    uint16_t *words;
    struct center_bound *center;
};

/* The pivot may be anything; the mean of some centers lies among the rows. A thread a column. */
static __global__ void __launch_bounds__(SHADOW_THREADS, SHADOW_BLOCKS)
    pivot_kernel(const __grid_constant__ struct pack_arguments a)
{
    int64_t step = a.clusters > GEMM_PIVOT_CENTERS ? a.clusters / GEMM_PIVOT_CENTERS : 1;

    for (int64_t d = (int64_t)blockIdx.x * SHADOW_THREADS + threadIdx.x; d < a.columns;
         d += (int64_t)gridDim.x * SHADOW_THREADS) {
        double sum = 0, count = 0;
        for (int64_t j = 0; j < a.clusters; j += step) {
            sum += a.centers[j * a.columns + d];
            count += 1;
        }
        a.pivot[d] = sum / count;
    }
}

static __global__ void __launch_bounds__(SHADOW_THREADS, SHADOW_BLOCKS)
    pack_kernel(const __grid_constant__ struct pack_arguments a)
{
    int64_t warps = (int64_t)gridDim.x * warp_count();

    for (int64_t j = (int64_t)blockIdx.x * warp_count() + warp_index(); j < a.clusters;
         j += warps) {
        const struct centered<double> d = {
            a.centers + j *a.columns, a.pivot, a.columns
        };
        const struct squares sum = words_write(d, a.stored_columns, a.words + j * a.stored_columns);
        if (lane_index() != 0)
            continue;
        double stored = norm_up(sum.stored, sum.unit);
        a.center[j] = {0.5 * sum.whole * sum.unit * sum.unit,
                       (rest_up(sum) + (2 * a.gamma + 0x1p-30) * stored) * (1 + 0x1p-40),
                       norm_up(sum.whole, sum.unit) * (1 + 0x1p-40), sum.unit};
    }
}

static const struct kernel<struct shadow_arguments> shadow_table[] = {
    {"shadow_f32", shadow_kernel<float>, SHADOW_THREADS, SHADOW_BLOCKS, 0},
        {"shadow_f64", shadow_kernel<double>, SHADOW_THREADS, SHADOW_BLOCKS, 0},
};
static const struct kernel<struct pack_arguments> pack_table[] = {
    {"pivot", pivot_kernel, SHADOW_THREADS, SHADOW_BLOCKS, 0},
        {"pack", pack_kernel, SHADOW_THREADS, SHADOW_BLOCKS, 0},
};

void shadow_kernels(struct kernel_list *list)
{
    kernel_list_add(list, shadow_table);
    kernel_list_add(list, pack_table);
}

enum status shadow_rows(struct work *work, const struct settle &to, int64_t first, int64_t count)
{
    const struct gemm_state *gemm = &work->assign.gemm;
    const struct shadow_arguments arguments = {to.view,       gemm->pivot,  first,    count,
                                               gemm->columns, gemm->shadow, gemm->row};

    return launch(work, shadow_table[number_index(work)], tiles_of(count, SHADOW_THREADS / WARP),
                  arguments);
}

enum status gemm_begin(struct work *work)
{
    const struct gemm_state *gemm = &work->assign.gemm;
    const struct pack_arguments arguments = {work->centers,        gemm->pivot,
                                             work->shape.clusters, work->shape.columns,
                                             gemm->columns,        gemm_gamma(work->shape.columns),
                                             gemm->centers,        gemm->center};
    enum status status = STATUS_OK;

    if (gemm->rows == 0)
        return status;
    TRY(launch(work, pack_table[0], tiles_of(work->shape.columns, SHADOW_THREADS), arguments));
    TRY(launch(work, pack_table[1], tiles_of(work->shape.clusters, SHADOW_THREADS / WARP),
               arguments));
out:
    return status;
}
