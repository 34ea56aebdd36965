/* segments.cu - sums of moved rows where the clusters' sums do not fit a block's shared memory.
 *
 * The moved rows are sorted by cluster: `starts` makes places out of the counts of `moved`, `scatter`
 * takes a thread a row and puts its entry (or two: it leaves and enters) into the next place. A warp
 * asks once for each of its clusters. Order within a cluster is whatever it is: sums are integers. Then
 * `segments` gives a group of threads a run of entries and each thread a column; a sum stays in
 * registers while the cluster stays the same, and is added to memory once a run. Bound by bytes: moved
 * rows are read once. */
#include "kernels/cuda/accumulate.h"

struct starts_shared {
    int32_t scratch[WARP];
};

/* One block walks over the clusters. */
static __global__ void __launch_bounds__(STARTS_THREADS, 1)
    starts_kernel(const __grid_constant__ struct moves m)
{
    auto &s = *block_shared<struct starts_shared>();
    int32_t before = 0;

    for (int64_t first = 0; first < m.clusters; first += STARTS_THREADS) {
        int64_t k = first + threadIdx.x;
        int32_t here = k < m.clusters ? m.sums.enters[k] + m.sums.leaves[k] : 0, whole;
        int32_t lower = block_scan(here, s.scratch, &whole);
        if (k < m.clusters)
            m.order.next[k] = before + lower;
        before += whole;
    }
    if (threadIdx.x == 0)
        *m.order.count = before;
}

/* The next place of each lane's cluster; -1: the lane has none. All lanes call. */
static __device__ __forceinline__ int32_t place_next(int32_t *next, int32_t label)
{
    unsigned same = __match_any_sync((unsigned)FULL_WARP, label);
    int first = __ffs((int)same) - 1;
    int32_t place = 0;

    if (label >= 0 && lane_index() == first)
        place = atomicAdd(&next[label], (int32_t)__popc(same));
    place = __shfl_sync((unsigned)FULL_WARP, place, first);
    return place + __popc(same & ((1u << lane_index()) - 1));
}

static __global__ void __launch_bounds__(MOVED_THREADS, MOVED_BLOCKS)
    scatter_kernel(const __grid_constant__ struct moves m)
{
    int64_t count = moves_count(m), step = (int64_t)gridDim.x * MOVED_THREADS;

    for (int64_t first = (int64_t)blockIdx.x * MOVED_THREADS; first < count; first += step) {
        int64_t i = first + threadIdx.x;
        bool here = i < count;
        const struct move move = here ? move_load(m, i) : (struct move){0, -1, -1};
        int32_t place = place_next(m.order.next, move.enters);
        if (move.enters >= 0 && index_holds(m.view, place, 2 * m.view.count))
            m.order.entry[place] = (int32_t)(2 * i);
        place = place_next(m.order.next, move.leaves);
        if (move.leaves >= 0 && index_holds(m.view, place, 2 * m.view.count))
            m.order.entry[place] = (int32_t)(2 * i + 1);
    }
}

/* A run of entries, worked out once for all columns. */
struct segments_shared {
    int32_t row[SEGMENT_ENTRIES], label[SEGMENT_ENTRIES], sign[SEGMENT_ENTRIES];
};

static __device__ __forceinline__ void
segments_load(struct segments_shared &s, const struct moves &m, int64_t first, int count)
{
    for (int i = (int)threadIdx.x; i < count; i += SEGMENT_THREADS) {
        int32_t entry = m.order.entry[first + i];
        bool holds = index_holds(m.view, entry >> 1, m.view.count);
        const struct move move = holds ? move_load(m, entry >> 1) : (struct move){0, -1, -1};
        int32_t label = entry & 1 ? move.leaves : move.enters;
        s.row[i] = move.row;
        s.label[i] = label < 0 ? 0 : label;
        s.sign[i] = label < 0 ? 0 : entry & 1 ? -1 : 1;
    }
}

static __device__ __forceinline__ void segment_flush(const struct moves &m, int32_t label,
                                                     int64_t column, struct digits *sum)
{
    int64_t at = label * (m.view.columns + 1) + column;

    if (sum->hi != 0)
        atomic_add_i64(&m.sums.hi[at], sum->hi);
    if (sum->lo != 0)
        atomic_add_i64(&m.sums.lo[at], sum->lo);
    *sum = {0, 0};
}

/* One column of entries [first, end). SEGMENT_LOADS values are asked for before the first is needed. */
template <class T>
static __device__ __forceinline__ void segment_add(const struct segments_shared &s,
                                                   const struct moves &m, int first, int end,
                                                   int64_t column)
{
    struct digits sum = {0, 0}, term[SEGMENT_LOADS];
    int32_t label = first < end ? s.label[first] : 0;

    for (; first < end; first += SEGMENT_LOADS) {
        UNROLL
        for (int i = 0; i < SEGMENT_LOADS; i++)
            term[i] = moved_term<T>(m, s.row[first + i < end ? first + i : end - 1], column);
        UNROLL
        for (int i = 0; i < SEGMENT_LOADS; i++) {
            if (first + i >= end)
                continue;
            if (s.label[first + i] != label)
                segment_flush(m, label, column, &sum);
            label = s.label[first + i];
            sum.hi += s.sign[first + i] * term[i].hi;
            sum.lo += s.sign[first + i] * term[i].lo;
        }
    }
    segment_flush(m, label, column, &sum);
}

/* How a block is cut: `across` threads side by side in columns, a power of two, the rest in entries. */
struct segments_cut {
    int across, groups, each;
};
static __device__ __forceinline__ struct segments_cut segments_cut(int64_t columns)
{
    int across = 1;

    while (across < SEGMENT_THREADS && across < columns)
        across *= 2;
    return {across, SEGMENT_THREADS / across, SEGMENT_ENTRIES / (SEGMENT_THREADS / across)};
}

template <class T>
static __global__ void __launch_bounds__(SEGMENT_THREADS, SEGMENT_BLOCKS)
    segments_kernel(const __grid_constant__ struct moves m)
{
    auto &s = *block_shared<struct segments_shared>();
    int64_t entries = *m.order.count, columns = m.view.columns + 1;
    int64_t count = index_holds(m.view, entries, 2 * m.view.count + 1) ? entries : 0;
    const struct segments_cut cut = segments_cut(columns);
    int group = (int)threadIdx.x / cut.across;

    for (int64_t first = (int64_t)blockIdx.x * SEGMENT_ENTRIES; first < count;
         first += (int64_t)gridDim.x * SEGMENT_ENTRIES) {
        int here = count - first < SEGMENT_ENTRIES ? (int)(count - first) : SEGMENT_ENTRIES;
        int from = group * cut.each, end = from + cut.each < here ? from + cut.each : here;
        __syncthreads();
        segments_load(s, m, first, here);
        __syncthreads();
        for (int64_t column = threadIdx.x % (unsigned)cut.across; column < columns && from < end;
             column += cut.across)
            segment_add<T>(s, m, from, end, column);
    }
}

static const struct kernel<struct moves> segments_table[] = {
    {"starts", starts_kernel, STARTS_THREADS, 1, sizeof(struct starts_shared)},
        {"scatter", scatter_kernel, MOVED_THREADS, MOVED_BLOCKS, 0},
        {"segments_f32", segments_kernel<float>, SEGMENT_THREADS, SEGMENT_BLOCKS,
         sizeof(struct segments_shared)},
        {"segments_f64", segments_kernel<double>, SEGMENT_THREADS, SEGMENT_BLOCKS,
         sizeof(struct segments_shared)},
};

void segments_kernels(struct kernel_list *list)
{
    kernel_list_add(list, segments_table);
}

enum status segments_add(struct work *work, const struct moves &moves)
{
    int64_t rows = moves.view.count;
    enum status status;

    TRY(launch(work, segments_table[0], 1, moves));
    TRY(launch(work, segments_table[1], tiles_of(rows, MOVED_THREADS), moves));
    TRY(launch(work, segments_table[2 + number_index(work)], tiles_of(2 * rows, SEGMENT_ENTRIES),
               moves));
out:
    return status;
}
