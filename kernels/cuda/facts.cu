/* facts.cu - extremes of the columns, and the first values that are not finite or too large.
 *
 * A thread owns a group of neighboring columns, 16 bytes where rows allow it, and walks down the rows of
 * its block's tiles with lo, hi and largest in registers; threads of other rows of the same columns meet
 * in shared memory once, at the end, and the block adds what it found to the slot by maxima of ordered
 * bits. Neighboring threads read neighboring bytes whatever the number of columns. Shared memory holds
 * one extreme of every thread. Bound by bytes: the rows are read once. A second kernel of one thread
 * fetches the two values that were only located. Not yet run on a GPU. */
#include <math.h>
#include <string.h>

#include "kernels/cuda/block.h"
#include "kernels/cuda/work.h"

/* The slot: this, then three words a column. Zeros are the facts of no rows. */
struct facts_head {
    unsigned long long non_finite, taking_part;
    unsigned long long non_finite_at, beyond_at; /* inverted: row in the tile * columns + column */
    double non_finite_value, beyond_value, weight_max;
};
struct facts_column {
    unsigned long long lo_inverted, hi; /* ordered bits */
    double largest;
};

struct facts_arguments {
    struct view view;
    struct facts_head *head;
    struct facts_column *column;
};

enum { VECTOR_MOST = 4 };
struct facts_shared {
    double extreme[FACTS_THREADS][VECTOR_MOST];
    unsigned long long scratch[WARP];
};

/* Doubles in the order of their numbers; NaN does not come here. */
static __host__ __device__ inline unsigned long long ordered_bits(unsigned long long bits)
{
    return bits >> 63 ? ~bits : bits | 1ull << 63;
}
static inline unsigned long long plain_bits(unsigned long long ordered)
{
    return ordered >> 63 ? ordered & ~(1ull << 63) : ~ordered;
}

/* What one thread found in its columns. */
template <int V>
struct extremes {
    double lo[V], hi[V], largest[V];
    unsigned long long non_finite, non_finite_at, beyond_at;
};

/* V values of a row, 16 bytes in one load where V > 1. */
template <class T, int V>
struct __align__(V > 1 ? 16 : sizeof(T)) values
{
    T at[V];
};

template <int V>
static __device__ __forceinline__ void note(struct extremes<V> &found, int v, double x, bool part,
                                            unsigned long long at)
{
    double size = fabs(x);

    if (!(size <= 0x1p500)) {
        bool finite = size < INFINITY;
        found.non_finite += !finite;
        if (!finite && at < found.non_finite_at)
            found.non_finite_at = at;
        if (finite && at < found.beyond_at)
            found.beyond_at = at;
        return;
    }
    found.lo[v] = x < found.lo[v] ? x : found.lo[v];
    found.hi[v] = x > found.hi[v] ? x : found.hi[v];
    found.largest[v] = part && size > found.largest[v] ? size : found.largest[v];
}

template <class T, int V>
static __device__ __forceinline__ void walk(const struct view &view, int64_t group, int64_t row,
                                            int64_t step, int64_t end, struct extremes<V> &found)
{
    for (; row < end; row += step) {
        double w = view_weight(view, row);
        int64_t at = row * view.columns + group * V;
        if (w < 0)
            continue;
        auto x = *reinterpret_cast<const struct values<T, V> *>(
            static_cast<const T *>(view.values) + at);
        UNROLL
        for (int v = 0; v < V; v++)
            note(found, v, (double)x.at[v] + 0.0, w > 0, (unsigned long long)(at + v));
    }
}

/* The extreme over the threads of the same columns, in the thread of the first row; others get theirs. */
template <class Op, int V>
static __device__ __forceinline__ void meet(struct facts_shared &s, double (&extreme)[V], int lanes)
{
    __syncthreads();
    UNROLL
    for (int v = 0; v < V; v++)
        s.extreme[threadIdx.x][v] = extreme[v];
    __syncthreads();
    int end = (int)threadIdx.x < lanes ? FACTS_THREADS / lanes * lanes : 0;
    for (int t = (int)threadIdx.x + lanes; t < end; t += lanes) {
        UNROLL
        for (int v = 0; v < V; v++)
            extreme[v] = Op::of(extreme[v], s.extreme[t][v]);
    }
}

template <int V>
static __device__ __forceinline__ void enter_columns(const struct facts_arguments &a, int64_t group,
                                                     struct extremes<V> &found)
{
    UNROLL
    for (int v = 0; v < V; v++) {
        struct facts_column *column = &a.column[group * V + v];
        if (found.lo[v] > found.hi[v]) /* it met no value */
            continue;
        atomicMax(&column->lo_inverted,
                  ~ordered_bits((unsigned long long)__double_as_longlong(found.lo[v])));
        atomicMax(&column->hi, ordered_bits((unsigned long long)__double_as_longlong(found.hi[v])));
        atomic_max_positive(&column->largest, found.largest[v]);
    }
}

template <int V>
static __device__ __forceinline__ void
enter_odd(const struct facts_arguments &a, struct facts_shared &s, const struct extremes<V> &found)
{
    unsigned long long count = block_reduce<add>(found.non_finite, s.scratch);
    unsigned long long first = block_reduce<least>(found.non_finite_at, s.scratch);
    unsigned long long beyond = block_reduce<least>(found.beyond_at, s.scratch);

    if (threadIdx.x == 0 && count > 0) {
        atomicAdd(&a.head->non_finite, count);
        atomicMax(&a.head->non_finite_at, ~first);
    }
    if (threadIdx.x == 0 && ~beyond != 0)
        atomicMax(&a.head->beyond_at, ~beyond);
}

/* Rows that take part, and the heaviest. */
static __device__ __forceinline__ void enter_weights(const struct facts_arguments &a,
                                                     struct facts_shared &s)
{
    unsigned long long part = 0;
    double heaviest = 0;

    for (int64_t row = (int64_t)blockIdx.x * FACTS_THREADS + threadIdx.x; row < a.view.count;
         row += (int64_t)gridDim.x * FACTS_THREADS) {
        double w = view_weight(a.view, row);
        part += w > 0;
        heaviest = w > heaviest ? w : heaviest;
    }
    part = block_reduce<add>(part, s.scratch);
    heaviest = __longlong_as_double((long long)block_reduce<largest>(
        (unsigned long long)__double_as_longlong(heaviest), s.scratch));
    if (threadIdx.x == 0 && part > 0) {
        atomicAdd(&a.head->taking_part, part);
        atomic_max_positive(&a.head->weight_max, heaviest);
    }
}

template <class T, int V>
static __global__ void __launch_bounds__(FACTS_THREADS, FACTS_BLOCKS)
    facts_kernel(const __grid_constant__ struct facts_arguments a)
{
    auto &s = *block_shared<struct facts_shared>();
    int64_t groups = a.view.columns / V;
    int lanes = groups < FACTS_THREADS ? (int)groups : FACTS_THREADS;
    int above = FACTS_THREADS / lanes; /* rows that a block reads side by side */
    int row = (int)threadIdx.x / lanes;

    for (int64_t g = 0; g < groups; g += lanes) {
        int64_t group = g + (int)threadIdx.x % lanes;
        bool works = row < above && group < groups;
        struct extremes<V> found = {
            {}, {}, {}, 0, ~0ull, ~0ull
        };
        UNROLL
        for (int v = 0; v < V; v++) {
            found.lo[v] = INFINITY;
            found.hi[v] = -INFINITY;
        }
        if (works)
            walk<T, V>(a.view, group, (int64_t)blockIdx.x * above + row, (int64_t)gridDim.x * above,
                       a.view.count, found);
        meet<least, V>(s, found.lo, lanes);
        meet<largest, V>(s, found.hi, lanes);
        meet<largest, V>(s, found.largest, lanes);
        if (works && row == 0)
            enter_columns<V>(a, group, found);
        enter_odd<V>(a, s, found);
    }
    enter_weights(a, s);
}

/* The values at the places that were found. One thread. */
template <class T>
static __global__ void __launch_bounds__(WARP, 1)
    located_kernel(const __grid_constant__ struct facts_arguments a)
{
    const T *values = static_cast<const T *>(a.view.values);

    if (blockIdx.x == 0 && threadIdx.x == 0 && a.head->non_finite_at != 0)
        a.head->non_finite_value = (double)values[~a.head->non_finite_at];
    if (blockIdx.x == 0 && threadIdx.x == 0 && a.head->beyond_at != 0)
        a.head->beyond_value = (double)values[~a.head->beyond_at];
}

#define FACTS_KERNEL(name, T, V)                                                           \
    {                                                                                      \
        name, facts_kernel<T, V>, FACTS_THREADS, FACTS_BLOCKS, sizeof(struct facts_shared) \
    }
static const struct kernel<struct facts_arguments> facts[] = {
    FACTS_KERNEL("facts_f32", float, 1), FACTS_KERNEL("facts_f64", double, 1),
        FACTS_KERNEL("facts_by_4_f32", float, 4), FACTS_KERNEL("facts_by_2_f64", double, 2)
};
static const struct kernel<struct facts_arguments> located[] = {
    {"located_f32", located_kernel<float>, WARP, 1, 0},
    {
        "located_f64", located_kernel<double>, WARP, 1, 0
    }
};

void facts_kernels(struct kernel_list *list)
{
    kernel_list_add(list, facts);
    kernel_list_add(list, located);
}

int64_t facts_slot_bytes(const struct shape *shape)
{
    return (int64_t)sizeof(struct facts_head) +
           shape->columns * (int64_t)sizeof(struct facts_column);
}

static double double_of(unsigned long long bits)
{
    double value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

static void fold_columns(const struct facts_column *found, int64_t columns, struct facts *out)
{
    for (int64_t d = 0; d < columns; d++) {
        struct column_facts *into = &out->column[d];
        if (found[d].hi == 0)
            continue;
        double lo = double_of(plain_bits(~found[d].lo_inverted));
        double hi = double_of(plain_bits(found[d].hi));
        into->lo = lo < into->lo ? lo : into->lo;
        into->hi = hi > into->hi ? hi : into->hi;
        into->largest = found[d].largest > into->largest ? found[d].largest : into->largest;
    }
}

/* A place found in a tile, if it comes before the one that is known. */
static void fold_place(unsigned long long inverted, double found, int64_t first_row,
                       int64_t columns, int64_t *row, int64_t *column, double *value)
{
    int64_t at = (int64_t)~inverted, here = first_row + at / columns;

    if (inverted == 0 || (*row >= 0 && here > *row)) /* no row is in two tiles */
        return;
    *row = here;
    *column = at % columns;
    *value = found;
}

static void facts_fold(struct work *work, const void *result, const struct folded *to)
{
    const struct facts_head *head = (const struct facts_head *)result;
    struct facts *out = (struct facts *)to->out[0];
    int64_t columns = work->shape.columns, row = to->block->rows.first + to->first;

    fold_columns((const struct facts_column *)(head + 1), columns, out);
    fold_place(head->non_finite_at, head->non_finite_value, row, columns, &out->non_finite_row,
               &out->non_finite_column, &out->non_finite_value);
    fold_place(head->beyond_at, head->beyond_value, row, columns, &out->beyond_row,
               &out->beyond_column, &out->beyond_value);
    out->non_finite += (int64_t)head->non_finite;
    out->taking_part += (int64_t)head->taking_part;
    out->weight_max = head->weight_max > out->weight_max ? head->weight_max : out->weight_max;
}

enum status cuda_facts(struct work *work, struct block *block, int64_t first, int64_t count,
                       struct facts *out)
{
    size_t bytes = (size_t)facts_slot_bytes(&work->shape);
    bool wide = work->shape.columns * (int64_t)value_bytes(&work->shape) % 16 == 0;
    const struct kernel<struct facts_arguments> &kernel = facts[number_index(work) + 2 * wide];

    return pass_run(
        work, block, first, count, {true, 0, bytes, facts_fold, {out}},
        [&](const struct view &view, void *slot) {
            struct facts_head *head = (struct facts_head *)slot;
            struct facts_arguments a = {view, head, (struct facts_column *)(head + 1)};
            enum status status = launch(work, kernel, tiles_of(view.count, FACTS_ROWS), a);
            return status == STATUS_OK ? launch(work, located[number_index(work)], 1, a) : status;
        });
}
