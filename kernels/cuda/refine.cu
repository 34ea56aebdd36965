/* refine.cu - the canonical distances of the pairs that a proof left open, and the labels they give.
 *
 * `pairs` gives a thread a pair and its one chain; the rows of a block's pairs are gathered through shared
 * memory, a strip of columns at a time, a center is read from L2. `settle` gives a thread a row: the
 * nearest of its pairs, which lie together. Both do nothing if the list of pairs ran full. Bound by bytes:
 * a row is read once for each of its pairs, mostly one. */
#include "kernels/cuda/gemm.h"
#include "kernels/cuda/settle.h"

struct refine_arguments {
    struct settle to;
    int64_t first, count; /* rows of the tile */
    const double *centers;
    const struct open_row *open;
    const struct pair *pair;
    double *distance;
    const struct gemm_count *found;
    int64_t pairs_most;
};

/* How many pairs there are; 0 if their list ran full. */
static __device__ __forceinline__ int64_t pairs_count(const struct refine_arguments &a)
{
    int64_t pairs = a.found->full ? 0 : a.found->pairs;

    return index_holds(a.to.view, pairs, a.pairs_most + 1) ? pairs : 0;
}
static __device__ __forceinline__ struct pair pair_load(const struct refine_arguments &a, int64_t i)
{
    const struct pair pair = a.pair[i];
    bool holds = index_holds(a.to.view, pair.row, a.count) &&
                 index_holds(a.to.view, pair.center, a.to.view.clusters);

    return holds ? pair : (struct pair){-1, -1};
}

template <class T>
struct pairs_shared {
    T value[REFINE_THREADS][STRIP_COLUMNS + 1];
    int64_t row[REFINE_THREADS]; /* -1: none */
};

/* Columns from `column` on of the block's rows; zeros beyond the last. */
template <class T>
static __device__ __forceinline__ void pairs_gather(struct pairs_shared<T> &s,
                                                    const struct view &view, int64_t column)
{
    const T *values = static_cast<const T *>(view.values);

    for (int at = (int)threadIdx.x; at < REFINE_THREADS * STRIP_COLUMNS; at += REFINE_THREADS) {
        int i = at / STRIP_COLUMNS, d = at % STRIP_COLUMNS;
        bool there = s.row[i] >= 0 && column + d < view.columns;
        s.value[i][d] = there ? values[s.row[i] * view.columns + column + d] : (T)0;
    }
}

template <class T>
static __device__ __forceinline__ double
pair_distance(struct pairs_shared<T> &s, const struct view &view, const double *center)
{
    double sum = 0;

    for (int64_t column = 0; column < view.columns; column += STRIP_COLUMNS) {
        int64_t left = view.columns - column;
        int here = left < STRIP_COLUMNS ? (int)left : STRIP_COLUMNS;
        __syncthreads();
        pairs_gather(s, view, column);
        __syncthreads();
        UNROLL_4
        for (int d = 0; center && d < here; d++) {
            double t = (double)s.value[threadIdx.x][d] - center[column + d];
            sum = __fma_rn(t, t, sum);
        }
    }
    return sum;
}

template <class T>
static __global__ void __launch_bounds__(REFINE_THREADS, REFINE_BLOCKS)
    pairs_kernel(const __grid_constant__ struct refine_arguments a)
{
    auto &s = *block_shared<struct pairs_shared<T>>();
    int64_t pairs = pairs_count(a);

    for (int64_t first = (int64_t)blockIdx.x * REFINE_THREADS; first < pairs;
         first += (int64_t)gridDim.x * REFINE_THREADS) {
        int64_t i = first + threadIdx.x;
        const struct pair pair = i < pairs ? pair_load(a, i) : (struct pair){-1, -1};
        const double *center = pair.row < 0 ? NULL : a.centers + pair.center * a.to.view.columns;
        /* Nobody reads the rows of the last pairs: what they gathered went through a barrier. */
        s.row[threadIdx.x] = pair.row < 0 ? -1 : a.first + pair.row;
        double distance = pair_distance(s, a.to.view, center);
        if (i < pairs)
            a.distance[i] = distance;
    }
}

/* The nearest of a row's pairs, in ascending order of centers. */
static __device__ __forceinline__ struct nearest open_nearest(const struct refine_arguments &a,
                                                              const struct open_row &open)
{
    struct nearest best = {__longlong_as_double(0x7ff0000000000000), 0};
    int64_t end = (int64_t)open.first + open.count;

    if (!index_holds(a.to.view, open.first, end + 1) ||
        !index_holds(a.to.view, end, a.pairs_most + 1))
        return best;
    for (int64_t i = open.first; i < end; i++)
        best = nearer(best, {a.distance[i], a.pair[i].center});
    return best;
}

static __global__ void __launch_bounds__(REFINE_THREADS, REFINE_BLOCKS)
    settle_kernel(const __grid_constant__ struct refine_arguments a)
{
    int64_t count = a.found->full ? 0 : a.count, step = (int64_t)gridDim.x * REFINE_THREADS;
    double largest_term = 0;

    for (int64_t first = (int64_t)blockIdx.x * REFINE_THREADS; first < count; first += step) {
        int64_t i = first + threadIdx.x;
        int64_t row[1] = {a.first + i};
        int32_t old[1] = {-1};
        bool moved[1] = {false};

        if (i < count)
            moved[0] = settle_row(a.to, row[0], open_nearest(a, a.open[i]), &old[0], &largest_term);
        settle_moved(a.to, moved, row, old);
    }
    settle_largest(a.to, largest_term);
}

static const struct kernel<struct refine_arguments> refine_table[] = {
    {"pairs_f32", pairs_kernel<float>, REFINE_THREADS, REFINE_BLOCKS,
     sizeof(struct pairs_shared<float>)},
        {"pairs_f64", pairs_kernel<double>, REFINE_THREADS, REFINE_BLOCKS,
         sizeof(struct pairs_shared<double>)},
        {"settle", settle_kernel, REFINE_THREADS, REFINE_BLOCKS, 0},
};

void refine_kernels(struct kernel_list *list)
{
    kernel_list_add(list, refine_table);
}

enum status refine(struct work *work, const struct settle &to, int64_t first, int64_t count)
{
    const struct gemm_state *gemm = &work->assign.gemm;
    const struct refine_arguments arguments = {
        to,         first,          count,       work->centers,   gemm->open,
        gemm->pair, gemm->distance, gemm->count, gemm->pairs_most};
    enum status status;

    TRY(launch(work, refine_table[number_index(work)], tiles_of(gemm->pairs_most, REFINE_THREADS),
               arguments));
    TRY(launch(work, refine_table[2], tiles_of(count, REFINE_THREADS), arguments));
out:
    return status;
}
