/* accumulate.cu - moved rows leave the sums of one cluster and enter those of another.
 *
 * Terms are integers of two digits, so who adds them and when cannot show. Three kernels a tile:
 * `moved` takes a thread a moved row for the fingerprint and the counts; `tables` keeps the sums of all
 * clusters in a block's shared memory, a thread a column of a row, and adds them once at its end (where
 * they do not fit, segments.cu); `carry` joins the digits into the canonical sums, a warp a cluster, so
 * that they are zeros again: a tile has at most 2^22 rows, and so many terms fit. Bound by bytes: a
 * moved row is read once. Tables in shared memory hold 64-bit integers as two words, since only 32-bit
 * additions are one instruction there. */
#include "kernels/cuda/accumulate.h"

/* A 64-bit integer. */
struct table_word {
    unsigned low, high;
};
struct tables {
    struct table_word hi[TABLE_SUMS], lo[TABLE_SUMS];
};

struct moved_shared {
    int32_t enters[MOVED_BINS], leaves[MOVED_BINS];
    long long scratch[WARP];
};

/* The fingerprint bits of (row, label), four sums of words. */
static __device__ __forceinline__ void words_add(long long word[4], int64_t row, int32_t label,
                                                 int sign)
{
    uint32_t bits[4];

    fingerprint_words(row, label, bits);
    UNROLL
    for (int i = 0; i < 4; i++)
        word[i] += sign * (long long)bits[i];
}

/* One more row of cluster `label`: in shared memory if there are few clusters. */
static __device__ __forceinline__ void bin_add(int32_t *shared, int32_t *global, int32_t label,
                                               int32_t clusters)
{
    atomicAdd(clusters <= MOVED_BINS ? &shared[label] : &global[label], 1);
}

static __device__ __forceinline__ void bins_flush(const struct moves &m,
                                                  const struct moved_shared &s)
{
    int32_t bins = m.clusters <= MOVED_BINS ? m.clusters : 0;

    for (int32_t k = (int32_t)threadIdx.x; k < bins; k += MOVED_THREADS) {
        if (s.enters[k] != 0)
            atomicAdd(&m.sums.enters[k], s.enters[k]);
        if (s.leaves[k] != 0)
            atomicAdd(&m.sums.leaves[k], s.leaves[k]);
    }
}

static __global__ void __launch_bounds__(MOVED_THREADS, MOVED_BLOCKS)
    moved_kernel(const __grid_constant__ struct moves m)
{
    auto &s = *block_shared<struct moved_shared>();
    int64_t count = moves_count(m), step = (int64_t)gridDim.x * MOVED_THREADS;
    long long word[4] = {0, 0, 0, 0};

    for (int k = (int)threadIdx.x; k < MOVED_BINS; k += MOVED_THREADS)
        s.enters[k] = s.leaves[k] = 0;
    __syncthreads();
    for (int64_t i = (int64_t)blockIdx.x * MOVED_THREADS + threadIdx.x; i < count; i += step) {
        const struct move move = move_load(m, i);
        if (move.enters < 0)
            continue;
        words_add(word, m.view.row + move.row, move.enters, 1);
        bin_add(s.enters, m.sums.enters, move.enters, m.clusters);
        if (move.leaves < 0)
            continue;
        words_add(word, m.view.row + move.row, move.leaves, -1);
        bin_add(s.leaves, m.sums.leaves, move.leaves, m.clusters);
    }
    UNROLL
    for (int i = 0; i < 4; i++) {
        long long sum = block_reduce<struct add>(word[i], s.scratch);
        if (threadIdx.x == 0 && sum != 0)
            atomic_add_i64(&m.sums.fingerprint[i], sum);
    }
    bins_flush(m, s);
}

/* The carry of the low words is what the atomic's own answer says, so it is never lost or doubled. */
static __device__ __forceinline__ void table_add(struct table_word &at, long long value)
{
    unsigned low = (unsigned)value, high = (unsigned)((unsigned long long)value >> 32);
    unsigned before = low == 0 ? 0 : atomicAdd(&at.low, low);

    high += before + low < before;
    if (high != 0)
        atomicAdd(&at.high, high);
}

static __device__ __forceinline__ long long table_value(const struct table_word &at)
{
    return (long long)((unsigned long long)at.high << 32 | at.low);
}

/* The term of one column of a moved row. */
template <class T>
static __device__ __forceinline__ void tables_take(struct tables &s, const struct moves &m,
                                                   const struct move &move, int column)
{
    int columns = (int)m.view.columns + 1;
    struct digits term = moved_term<T>(m, move.row, column);
    int enters = move.enters * columns + column;

    table_add(s.hi[enters], term.hi);
    table_add(s.lo[enters], term.lo);
    if (move.leaves < 0)
        return;
    int leaves = move.leaves * columns + column;
    table_add(s.hi[leaves], -term.hi);
    table_add(s.lo[leaves], -term.lo);
}

template <class T>
static __global__ void __launch_bounds__(TABLE_THREADS, TABLE_BLOCKS)
    tables_kernel(const __grid_constant__ struct moves m)
{
    auto &s = *block_shared<struct tables>();
    int64_t count = moves_count(m);
    int columns = (int)m.view.columns + 1, sums = m.clusters * columns;

    for (int i = (int)threadIdx.x; i < sums; i += TABLE_THREADS)
        s.hi[i] = s.lo[i] = {0, 0};
    __syncthreads();
    for (int64_t first = (int64_t)blockIdx.x * TABLE_ROWS; first < count;
         first += (int64_t)gridDim.x * TABLE_ROWS) {
        int rows = count - first < TABLE_ROWS ? (int)(count - first) : TABLE_ROWS;
        for (int i = (int)threadIdx.x; i < rows * columns; i += TABLE_THREADS) {
            const struct move move = move_load(m, first + i / columns);
            if (move.enters >= 0)
                tables_take<T>(s, m, move, i % columns);
        }
    }
    __syncthreads();
    for (int i = (int)threadIdx.x; i < sums; i += TABLE_THREADS) {
        long long hi = table_value(s.hi[i]), lo = table_value(s.lo[i]);
        if (hi != 0)
            atomic_add_i64(&m.sums.hi[i], hi);
        if (lo != 0)
            atomic_add_i64(&m.sums.lo[i], lo);
    }
}

struct carry_arguments {
    struct moved_sums from;
    struct device_sums to;
    const unsigned long long *count;
    int64_t clusters, columns;
};

static __device__ __forceinline__ void carry_fingerprint(const struct carry_arguments &a)
{
    uint128 sum = *a.to.fingerprint;

    for (int i = 0; i < 4; i++) {
        sum += (uint128)(int128)a.from.fingerprint[i] << 32 * i;
        a.from.fingerprint[i] = 0;
    }
    *a.to.fingerprint = sum;
}

/* All lanes of a warp, one cluster. */
static __device__ __forceinline__ void carry_cluster(const struct carry_arguments &a, int64_t k)
{
    int64_t at = k * (a.columns + 1);

    for (int64_t d = lane_index(); d <= a.columns; d += WARP) {
        int128 *sum = d == a.columns ? &a.to.weight[k] : &a.to.sum[k * a.columns + d];
        long long hi = a.from.hi[at + d], lo = a.from.lo[at + d];
        if (hi == 0 && lo == 0)
            continue;
        *sum += digits_join(hi, lo);
        a.from.hi[at + d] = a.from.lo[at + d] = 0;
    }
}

static __global__ void __launch_bounds__(CARRY_THREADS, CARRY_BLOCKS)
    carry_kernel(const __grid_constant__ struct carry_arguments a)
{
    int64_t warps = (int64_t)gridDim.x * warp_count();
    int64_t clusters = *a.count > 0 ? a.clusters : 0;

    for (int64_t k = (int64_t)blockIdx.x * warp_count() + warp_index(); k < clusters; k += warps) {
        int32_t enters = a.from.enters[k], leaves = a.from.leaves[k];
        __syncwarp(); /* all lanes have read what the first one clears */
        if (enters == 0 && leaves == 0)
            continue;
        carry_cluster(a, k);
        if (lane_index() == 0) {
            a.to.count[k] += (int64_t)enters - leaves;
            a.from.enters[k] = a.from.leaves[k] = 0;
        }
    }
    if (blockIdx.x == 0 && threadIdx.x == 0)
        carry_fingerprint(a);
}

static const struct kernel<struct moves> moves_table[] = {
    {"moved", moved_kernel, MOVED_THREADS, MOVED_BLOCKS, sizeof(struct moved_shared)},
        {"tables_f32", tables_kernel<float>, TABLE_THREADS, TABLE_BLOCKS, sizeof(struct tables)},
        {"tables_f64", tables_kernel<double>, TABLE_THREADS, TABLE_BLOCKS, sizeof(struct tables)},
};
static const struct kernel<struct carry_arguments> carry_table[] = {
    {"carry", carry_kernel, CARRY_THREADS, CARRY_BLOCKS, 0},
};

void accumulate_kernels(struct kernel_list *list)
{
    kernel_list_add(list, moves_table);
    kernel_list_add(list, carry_table);
}

/* 2^exponent as two factors: -L_w may lie beyond the exponents of a double. */
static void power_of_two(int exponent, double factor[2])
{
    factor[0] = ldexp(1.0, exponent / 2);
    factor[1] = ldexp(1.0, exponent - exponent / 2);
}

static bool tables_hold(const struct shape *shape)
{
    return shape->clusters <= TABLE_SUMS / (shape->columns + 1);
}

static enum status tables_add(struct work *work, const struct moves &moves)
{
    return launch(work, moves_table[1 + number_index(work)], tiles_of(moves.view.count, TABLE_ROWS),
                  moves);
}

static enum status carry(struct work *work, const unsigned long long *count)
{
    const struct carry_arguments arguments = {work->assign.sums, work->sums, count,
                                              work->shape.clusters, work->shape.columns};

    return launch(work, carry_table[0], tiles_of(work->shape.clusters, CARRY_THREADS / WARP),
                  arguments);
}

enum status accumulate(struct work *work, const struct view &view, const unsigned long long *count)
{
    struct moves moves = {view,
                          work->assign.moved,
                          count,
                          work->scale,
                          {},
                          (int32_t)work->shape.clusters,
                          work->assign.sums,
                          work->assign.order};
    enum status status;

    power_of_two(-work->weight_exponent, moves.weight_up);
    TRY(launch(work, moves_table[0], tiles_of(view.count, MOVED_THREADS), moves));
    TRY(tables_hold(&work->shape) ? tables_add(work, moves) : segments_add(work, moves));
    TRY(carry(work, count));
out:
    return status;
}

void accumulate_carve(struct carver *carver, struct work *work)
{
    struct assign_state *state = &work->assign;
    int64_t k = work->shape.clusters, sums = work->shape.columns + 1;
    int64_t entries = tables_hold(&work->shape) ? 0 : work->tile_rows;

    carve(carver, &state->sums.hi, k, sums);
    carve(carver, &state->sums.lo, k, sums);
    carve(carver, &state->sums.enters, k, 1);
    carve(carver, &state->sums.leaves, k, 1);
    carve(carver, &state->sums.fingerprint, 4, 1);
    carve(carver, &state->order.next, entries > 0 ? k : 0, 1);
    carve(carver, &state->order.entry, entries, 2);
    carve(carver, &state->order.count, entries > 0, 1);
}
