/* seed_draw.cu - the seeding passes over m_i alone: the largest P, their total, the row that a draw hits.
 *
 * A thread owns a row, 16 bytes with its weight, and that bounds them all. A draw takes two kernels: one
 * block per SEED_ROWS rows adds its P up, then a single block finds the chunk in which the running sum
 * exceeds the rest, and the row within it. Sums are two int64 digits, joined to 128 bits to compare. */
#include "kernels/cuda/block.h"
#include "kernels/cuda/work.h"

struct draw_arguments {
    struct view view;
    int32_t L;
    struct digits *total; /* seed_total's */
    double *largest;      /* seed_largest's */
    struct digits *chunk; /* of seed_find: one for SEED_ROWS rows */
    struct seed_search *search;
    struct seed_search *result; /* the slot's */
};

/* RN(w_i m_i), 0 for a row that does not take part or does not exist. */
static __device__ __forceinline__ double potential(const struct view &view, int64_t row)
{
    double w = row < view.count ? view_weight(view, row) : 0;

    return w > 0 ? w * view.seed[row] : 0;
}

static __global__ void __launch_bounds__(SEED_THREADS, SEED_BLOCKS)
    seed_largest_kernel(const __grid_constant__ struct draw_arguments a)
{
    auto &scratch = *block_shared<double[WARP]>();
    double greatest = 0;

    for (int64_t row = (int64_t)blockIdx.x * SEED_THREADS + threadIdx.x; row < a.view.count;
         row += (int64_t)gridDim.x * SEED_THREADS)
        greatest = largest::of(greatest, potential(a.view, row));
    greatest = block_reduce<largest>(greatest, scratch);
    if (threadIdx.x == 0)
        atomic_max_positive(a.largest, greatest);
}

static __global__ void __launch_bounds__(SEED_THREADS, SEED_BLOCKS)
    seed_total_kernel(const __grid_constant__ struct draw_arguments a)
{
    auto &scratch = *block_shared<long long[WARP]>();
    struct digits sum = {0, 0};

    for (int64_t row = (int64_t)blockIdx.x * SEED_THREADS + threadIdx.x; row < a.view.count;
         row += (int64_t)gridDim.x * SEED_THREADS) {
        struct digits term = fixed_term(potential(a.view, row), a.L);
        sum.hi += term.hi;
        sum.lo += term.lo;
    }
    sum.hi = block_reduce<add>(sum.hi, scratch);
    sum.lo = block_reduce<add>(sum.lo, scratch);
    if (threadIdx.x == 0) {
        atomic_add_i64(&a.total->hi, sum.hi);
        atomic_add_i64(&a.total->lo, sum.lo);
    }
}

static __global__ void __launch_bounds__(SEED_THREADS, SEED_BLOCKS)
    seed_chunks_kernel(const __grid_constant__ struct draw_arguments a)
{
    auto &scratch = *block_shared<long long[WARP]>();

    for (int64_t chunk = blockIdx.x; chunk * SEED_ROWS < a.view.count; chunk += gridDim.x) {
        struct digits sum = {0, 0};
        for (int64_t row = chunk * SEED_ROWS + threadIdx.x; row < (chunk + 1) * SEED_ROWS;
             row += SEED_THREADS) {
            struct digits term = fixed_term(potential(a.view, row), a.L);
            sum.hi += term.hi;
            sum.lo += term.lo;
        }
        sum.hi = block_reduce<add>(sum.hi, scratch);
        sum.lo = block_reduce<add>(sum.lo, scratch);
        if (threadIdx.x == 0)
            a.chunk[chunk] = sum;
    }
}

struct find_shared {
    long long scratch[WARP];
    int128 rest;   /* before the chunk that holds the row */
    int64_t chunk; /* -1: no chunk does */
    int64_t row;
};

/* Running sums before and after what a thread adds, and the sum of all threads. */
struct running {
    int128 before, after, whole;
};
static __device__ __forceinline__ struct running running_sums(struct digits own, long long *scratch)
{
    long long all_hi, all_lo;
    long long hi = block_scan(own.hi, scratch, &all_hi), lo = block_scan(own.lo, scratch, &all_lo);

    return {digits_join(hi, lo), digits_join(hi + own.hi, lo + own.lo),
            digits_join(all_hi, all_lo)};
}

/* Terms are not negative, so at most one thread sees its running sum pass the rest. */
static __device__ void chunk_find(const struct draw_arguments &a, struct find_shared &s,
                                  int64_t chunks)
{
    int64_t each = (chunks + SEED_THREADS - 1) / SEED_THREADS;
    int64_t from = threadIdx.x * each, to = from + each < chunks ? from + each : chunks;
    int128 rest = a.search->rest;
    struct digits own = {0, 0};

    for (int64_t i = from; i < to; i++) {
        own.hi += a.chunk[i].hi;
        own.lo += a.chunk[i].lo;
    }
    struct running sums = running_sums(own, s.scratch);
    if (threadIdx.x == 0) {
        s.chunk = s.row = -1;
        s.rest = rest - sums.whole;
    }
    __syncthreads();
    if (sums.before <= rest && rest < sums.after) {
        rest -= sums.before;
        int64_t i = from;
        for (int128 sum; rest >= (sum = digits_join(a.chunk[i].hi, a.chunk[i].lo)); i++)
            rest -= sum;
        s.chunk = i;
        s.rest = rest;
    }
    __syncthreads();
}

/* In the chunk that holds it. A thread has rows side by side, so that sums run in row order. */
static __device__ void row_find(const struct draw_arguments &a, struct find_shared &s)
{
    enum { EACH = SEED_ROWS / SEED_THREADS };
    int64_t from = s.chunk * SEED_ROWS + threadIdx.x * EACH;
    int128 rest = s.rest;
    struct digits own = {0, 0};

    for (int64_t row = from; row < from + EACH; row++) {
        struct digits term = fixed_term(potential(a.view, row), a.L);
        own.hi += term.hi;
        own.lo += term.lo;
    }
    struct running sums = running_sums(own, s.scratch); /* all have read s.rest: it has barriers */
    if (sums.before <= rest && rest < sums.after) {
        rest -= sums.before;
        int64_t row = from;
        for (;; row++) {
            struct digits term = fixed_term(potential(a.view, row), a.L);
            int128 sum = digits_join(term.hi, term.lo);
            if (sum > rest)
                break;
            rest -= sum;
        }
        s.row = row;
        s.rest = rest;
    }
    __syncthreads();
}

static __global__ void __launch_bounds__(SEED_THREADS, 1)
    seed_find_kernel(const __grid_constant__ struct draw_arguments a)
{
    auto &s = *block_shared<struct find_shared>();
    bool before = a.search->found != FOUND_NOT; /* in an earlier tile: the same for all threads */

    if (!before) {
        chunk_find(a, s, (a.view.count + SEED_ROWS - 1) / SEED_ROWS);
        if (s.chunk >= 0)
            row_find(a, s);
    }
    if (threadIdx.x != 0)
        return;
    if (before) {
        *a.result = {a.search->rest, -1, FOUND_BEFORE};
    } else {
        bool here = s.chunk >= 0;
        *a.search = *a.result = {s.rest, here ? s.row : -1, here ? FOUND_HERE : FOUND_NOT};
    }
}

/* ---- launchers ---- */

enum { LARGEST, TOTAL, CHUNKS, FIND };
static const struct kernel<struct draw_arguments> draw_kernels[] = {
    {"seed_largest", seed_largest_kernel, SEED_THREADS, SEED_BLOCKS, sizeof(double[WARP])},
        {"seed_total", seed_total_kernel, SEED_THREADS, SEED_BLOCKS, sizeof(long long[WARP])},
        {"seed_chunks", seed_chunks_kernel, SEED_THREADS, SEED_BLOCKS, sizeof(long long[WARP])},
        {"seed_find", seed_find_kernel, SEED_THREADS, 1, sizeof(struct find_shared)},
};

void seed_draw_kernels(struct kernel_list *list)
{
    kernel_list_add(list, draw_kernels);
}

static void largest_fold(struct work *, const void *result, const struct folded *to)
{
    double found = *static_cast<const double *>(result), *out = static_cast<double *>(to->out[0]);

    *out = found > *out ? found : *out;
}

enum status cuda_seed_largest(struct work *work, struct block *block, int64_t first, int64_t count,
                              double *largest)
{
    const struct pass pass = {false, 0, sizeof(double), largest_fold, {largest}};

    return pass_run(work, block, first, count, pass, [=](const struct view &view, void *slot) {
        struct draw_arguments arguments = {};
        arguments.view = view;
        arguments.largest = static_cast<double *>(slot);
        return launch(work, draw_kernels[LARGEST], tiles_of(view.count, SEED_ROWS), arguments);
    });
}

static void total_fold(struct work *, const void *result, const struct folded *to)
{
    const struct digits *total = static_cast<const struct digits *>(result);

    *static_cast<int128 *>(to->out[0]) += digits_join(total->hi, total->lo);
}

enum status cuda_seed_total(struct work *work, struct block *block, int64_t first, int64_t count,
                            int32_t L, int128 *total)
{
    const struct pass pass = {false, 0, sizeof(struct digits), total_fold, {total}};

    return pass_run(work, block, first, count, pass, [=](const struct view &view, void *slot) {
        struct draw_arguments arguments = {};
        arguments.view = view;
        arguments.L = L;
        arguments.total = static_cast<struct digits *>(slot);
        return launch(work, draw_kernels[TOTAL], tiles_of(view.count, SEED_ROWS), arguments);
    });
}

static void find_fold(struct work *work, const void *result, const struct folded *to)
{
    const struct seed_search *search = static_cast<const struct seed_search *>(result);

    if (search->found == FOUND_HERE && (search->row < 0 || search->row >= to->count)) {
        device_wrong(work->device, "a draw hit a row that its tile does not have");
        return;
    }
    *static_cast<int128 *>(to->out[0]) = search->rest;
    if (search->found == FOUND_HERE)
        *static_cast<int64_t *>(to->out[1]) = to->first + search->row;
}

/* The rest goes from tile to tile on the device; what an earlier pass has yet to fold into it must be
 * there before it leaves. */
enum status cuda_seed_find(struct work *work, struct block *block, int64_t first, int64_t count,
                           int32_t L, int128 *rest, int64_t *row)
{
    const struct pass pass = {false, 0, sizeof(struct seed_search), find_fold, {rest, row}};
    struct seed_search start;
    enum status status;

    TRY(work_settle(work));
    start = {*rest, -1, FOUND_NOT};
    TRY(upload(work->device, work->device->compute, work->seed.search, &start, sizeof start));
    *row = -1;
    status = pass_run(work, block, first, count, pass, [=](const struct view &view, void *slot) {
        struct draw_arguments arguments = {};
        arguments.view = view;
        arguments.L = L;
        arguments.chunk = work->seed.chunk;
        arguments.search = work->seed.search;
        arguments.result = static_cast<struct seed_search *>(slot);
        enum status queued =
            launch(work, draw_kernels[CHUNKS], tiles_of(view.count, SEED_ROWS), arguments);
        return queued == STATUS_OK ? launch(work, draw_kernels[FIND], 1, arguments) : queued;
    });
out:
    return status;
}
