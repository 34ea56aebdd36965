/* farthest.cu - the rows farthest from their own centroids, in the order of kernels/far.h.
 *
 * `distance` writes one key a row: the bits of its canonical distance, 0 if it cannot enter the list. A
 * thread owns a row, shared memory a strip of rows; bound by bytes. Then rounds: a radix select over
 * (key, lower row), 11 bits at a time, finds the threshold of the greatest FAR_ROWS_MOST; `collect`
 * takes them out of the keys and into the slot; the host puts them into the list, where twins drop
 * out. If the list may want more, `drop` first clears the keys of all twins of what was taken, so that
 * a tile full of equal rows is done in two rounds. Each round takes at least one key for good, so
 * rounds end; equal rows have one label and one distance, so a round also takes a new set of values.
 * A select reads the keys eight times: 64 bytes a row, few rounds, and only when clusters are empty. */
#include <assert.h>
#include <string.h>

#include "kernels/cuda/strip.h"
#include "kernels/far.h"

constexpr int FAR_BINS = 1 << FAR_BITS, FAR_KEY_DIGITS = 6, FAR_DIGITS = 8;
constexpr int FAR_ROW_BITS = 22;
static_assert(1 << FAR_ROW_BITS == TILE_ROWS_MOST, "two digits number the rows of a tile");

struct far_arguments {
    struct view view;
    const double *centers;
    struct seed_state state;
    struct far_batch *batch; /* the slot's */
    double *values;          /* behind it */
    double least;            /* of a distance that the list would take */
    unsigned wanted;
    int digit;
};

/* ---- the keys ---- */

template <class T>
static __device__ __forceinline__ void own_chain(const struct strip<T> &strip, const double *center,
                                                 int width, double *sum)
{
    for (int d = 0; d < width; d++) {
        double t = (double)strip.value[threadIdx.x][d] - center[d];
        *sum = __fma_rn(t, t, *sum);
    }
}

template <class T>
static __global__ void __launch_bounds__(STRIP_ROWS, STRIP_BLOCKS)
    far_distance_kernel(const __grid_constant__ struct far_arguments a)
{
    auto &rows = *block_shared<struct strip<T>>();

    for (int64_t first = (int64_t)blockIdx.x * STRIP_ROWS; first < a.view.count;
         first += (int64_t)gridDim.x * STRIP_ROWS) {
        int64_t row = first + threadIdx.x;
        bool exists = row < a.view.count;
        int32_t label = exists ? view_label(a.view, row) : -1;
        bool takes_part = label >= 0 && view_weight(a.view, row) > 0;
        double sum = 0;
        for (int64_t column = 0; column < a.view.columns; column += STRIP_COLUMNS) {
            struct strip_source<T> from = strip_at<T>(a.view, first, column);
            __syncthreads();
            strip_load(rows, from);
            __syncthreads();
            if (takes_part)
                own_chain(rows, a.centers + label * a.view.columns + column, from.width, &sum);
        }
        if (exists)
            a.state.key[row] = takes_part && sum >= a.least
                                   ? (unsigned long long)__double_as_longlong(sum)
                                   : 0; /* distance 0 is left out, too */
    }
}

/* ---- the selection ---- */

static __device__ __forceinline__ unsigned backward_row(int64_t row)
{
    return (unsigned)(TILE_ROWS_MOST - 1 - row);
}

/* A digit of (key, backward row), from the top: 5 of 11 bits, 1 of 9, 2 of 11. */
static __device__ __forceinline__ int digit_shift(int digit)
{
    return digit < FAR_KEY_DIGITS - 1 ? 64 - FAR_BITS * (digit + 1)
                                      : (digit == FAR_KEY_DIGITS ? FAR_BITS : 0);
}
static __device__ __forceinline__ unsigned digit_of(unsigned long long key, unsigned backward,
                                                    int digit)
{
    if (digit >= FAR_KEY_DIGITS)
        return backward >> digit_shift(digit) & (FAR_BINS - 1);
    unsigned mask = digit == FAR_KEY_DIGITS - 1 ? 0x1ff : FAR_BINS - 1;
    return (unsigned)(key >> digit_shift(digit)) & mask;
}

/* The digits before this one are those of the threshold. */
static __device__ __forceinline__ bool
digits_shared(const struct far_select &select, unsigned long long key, unsigned backward, int digit)
{
    if (digit == 0)
        return true;
    if (digit < FAR_KEY_DIGITS)
        return (key ^ select.key) >> digit_shift(digit - 1) == 0;
    return key == select.key &&
           (digit == FAR_KEY_DIGITS || (backward ^ select.backward) >> FAR_BITS == 0);
}

static __global__ void __launch_bounds__(FAR_THREADS, 1)
    far_start_kernel(const __grid_constant__ struct far_arguments a)
{
    for (int bin = (int)threadIdx.x; bin < FAR_BINS; bin += FAR_THREADS)
        a.state.bins[bin] = 0;
    if (threadIdx.x == 0) {
        *a.state.select = {0, 0, a.wanted, 0};
        a.state.batch->count = 0;
    }
}

struct far_bins {
    unsigned count[FAR_BINS];
};

static __global__ void __launch_bounds__(FAR_THREADS, FAR_BLOCKS)
    far_count_kernel(const __grid_constant__ struct far_arguments a)
{
    auto &bins = *block_shared<struct far_bins>();
    const struct far_select select = *a.state.select;

    for (int bin = (int)threadIdx.x; bin < FAR_BINS; bin += FAR_THREADS)
        bins.count[bin] = 0;
    __syncthreads();
    for (int64_t row = (int64_t)blockIdx.x * FAR_THREADS + threadIdx.x; row < a.view.count;
         row += (int64_t)gridDim.x * FAR_THREADS) {
        unsigned long long key = a.state.key[row];
        unsigned backward = backward_row(row);
        if (key != 0 && digits_shared(select, key, backward, a.digit))
            atomicAdd(&bins.count[digit_of(key, backward, a.digit)], 1u);
    }
    __syncthreads();
    for (int bin = (int)threadIdx.x; bin < FAR_BINS; bin += FAR_THREADS)
        if (bins.count[bin] > 0)
            atomicAdd(&a.state.bins[bin], bins.count[bin]);
}

/* Fixes one digit of the threshold: the bin in which the count from the top reaches `wanted`. */
static __global__ void __launch_bounds__(FAR_THREADS, 1)
    far_narrow_kernel(const __grid_constant__ struct far_arguments a)
{
    enum { EACH = FAR_BINS / FAR_THREADS };
    auto &scratch = *block_shared<unsigned[WARP]>();
    struct far_select select = *a.state.select;
    int top = FAR_BINS - 1 - (int)threadIdx.x * EACH; /* this thread's bins, downward */
    unsigned own = 0, whole;

    for (int bin = top; bin > top - EACH; bin--)
        own += a.state.bins[bin];
    unsigned above = block_scan(own, scratch, &whole);
    /* All have read the state: the scan has barriers. */
    if (whole <= select.wanted) {
        if (threadIdx.x == 0 && a.digit == 0)
            a.state.select->all = 1;
    }
    if (above < select.wanted && select.wanted <= above + own) {
        int bin = top;
        for (; above + a.state.bins[bin] < select.wanted; bin--)
            above += a.state.bins[bin];
        select.wanted -= above;
        if (a.digit < FAR_KEY_DIGITS)
            select.key |= (unsigned long long)bin << digit_shift(a.digit);
        else
            select.backward |= (unsigned)bin << digit_shift(a.digit);
        a.state.select->key = select.key;
        a.state.select->backward = select.backward;
        a.state.select->wanted = select.wanted;
    }
    __syncthreads();
    for (int bin = top; bin > top - EACH; bin--)
        a.state.bins[bin] = 0;
}

/* What is at or above the threshold, `wanted` rows or all there are. */
static __global__ void __launch_bounds__(FAR_THREADS, FAR_BLOCKS)
    far_collect_kernel(const __grid_constant__ struct far_arguments a)
{
    const struct far_select select = *a.state.select;
    auto *count = reinterpret_cast<unsigned long long *>(&a.state.batch->count);

    for (int64_t row = (int64_t)blockIdx.x * FAR_THREADS + threadIdx.x; row < a.view.count;
         row += (int64_t)gridDim.x * FAR_THREADS) {
        unsigned long long key = a.state.key[row];
        bool taken = select.all || key > select.key ||
                     (key == select.key && backward_row(row) >= select.backward);
        if (key == 0 || !taken)
            continue;
        int64_t at = (int64_t)atomicAdd(count, 1ull);
        if (!index_holds(a.view, at, a.wanted))
            continue;
        a.state.batch->found[at] = {key, row, view_weight(a.view, row), a.view.label[row]};
        a.state.key[row] = 0;
    }
}

/* How many rows the last selection took. */
static __device__ __forceinline__ int batch_count(const struct far_arguments &a)
{
    int64_t count = a.state.batch->count;

    return index_holds(a.view, count, (int64_t)a.wanted + 1) ? (int)count : 0;
}

/* The batch and its rows' values go to the slot: a block a row. */
template <class T>
static __global__ void __launch_bounds__(FAR_THREADS, FAR_BLOCKS)
    far_values_kernel(const __grid_constant__ struct far_arguments a)
{
    const struct far_batch &batch = *a.state.batch;
    int64_t count = batch_count(a);

    if (blockIdx.x == 0 && threadIdx.x == 0)
        a.batch->count = count;
    for (int64_t i = blockIdx.x; i < count; i += gridDim.x) {
        if (!index_holds(a.view, batch.found[i].row, a.view.count))
            continue;
        if (threadIdx.x == 0)
            a.batch->found[i] = batch.found[i];
        for (int64_t d = threadIdx.x; d < a.view.columns; d += FAR_THREADS)
            a.values[i * a.view.columns + d] = view_value<T>(a.view, batch.found[i].row, d);
    }
}

/* ---- twins ---- */

template <class T>
static __device__ bool rows_equal(const struct view &view, int64_t a, int64_t b)
{
    const T *values = static_cast<const T *>(view.values);

    for (int64_t d = 0; d < view.columns; d++)
        if (values[a * view.columns + d] != values[b * view.columns + d])
            return false;
    return true;
}

struct far_taken {
    unsigned long long key[FAR_ROWS_MOST];
};

/* Rows behind those of the last batch at the same distance and with the same values. */
template <class T>
static __global__ void __launch_bounds__(FAR_THREADS, FAR_BLOCKS)
    far_drop_kernel(const __grid_constant__ struct far_arguments a)
{
    auto &taken = *block_shared<struct far_taken>();
    const struct far_batch &batch = *a.state.batch;
    int count = batch_count(a);

    for (int i = (int)threadIdx.x; i < count; i += FAR_THREADS)
        taken.key[i] =
            index_holds(a.view, batch.found[i].row, a.view.count) ? batch.found[i].key : 0;
    __syncthreads();
    for (int64_t row = (int64_t)blockIdx.x * FAR_THREADS + threadIdx.x; row < a.view.count;
         row += (int64_t)gridDim.x * FAR_THREADS) {
        unsigned long long key = a.state.key[row];
        for (int i = 0; i < count && key != 0; i++)
            if (key == taken.key[i] && rows_equal<T>(a.view, row, batch.found[i].row))
                a.state.key[row] = key = 0;
    }
}

/* ---- launchers ---- */

enum { DISTANCE = 0, VALUES = 2, DROP = 4, START = 6, COUNT, NARROW, COLLECT };
static const struct kernel<struct far_arguments> far_table[] = {
    {"far_distance_f32", far_distance_kernel<float>, STRIP_ROWS, STRIP_BLOCKS,
     sizeof(struct strip<float>)},
        {"far_distance_f64", far_distance_kernel<double>, STRIP_ROWS, STRIP_BLOCKS,
         sizeof(struct strip<double>)},
        {"far_values_f32", far_values_kernel<float>, FAR_THREADS, FAR_BLOCKS, 0},
        {"far_values_f64", far_values_kernel<double>, FAR_THREADS, FAR_BLOCKS, 0},
        {"far_drop_f32", far_drop_kernel<float>, FAR_THREADS, FAR_BLOCKS, sizeof(struct far_taken)},
        {"far_drop_f64", far_drop_kernel<double>, FAR_THREADS, FAR_BLOCKS,
         sizeof(struct far_taken)},
        {"far_start", far_start_kernel, FAR_THREADS, 1, 0},
        {"far_count", far_count_kernel, FAR_THREADS, FAR_BLOCKS, sizeof(struct far_bins)},
        {"far_narrow", far_narrow_kernel, FAR_THREADS, 1, sizeof(unsigned[WARP])},
        {"far_collect", far_collect_kernel, FAR_THREADS, FAR_BLOCKS, 0},
};

void farthest_kernels(struct kernel_list *list)
{
    kernel_list_add(list, far_table);
}

/* Rows of one selection: as many as a slot takes with their values. */
static int batch_most(const struct shape *shape)
{
    int64_t row_bytes = shape->columns * (int64_t)sizeof(double);
    int64_t most = (SLOT_BYTES_MOST - (int64_t)sizeof(struct far_batch)) / row_bytes;

    most = most < FAR_ROWS_MOST ? most : FAR_ROWS_MOST;
    most = most < shape->farthest ? most : shape->farthest;
    return most > 1 ? (int)most : 1;
}

int64_t farthest_slot_bytes(const struct shape *shape)
{
    int64_t values = batch_most(shape) * shape->columns * (int64_t)sizeof(double);

    return shape->farthest > 0 ? (int64_t)sizeof(struct far_batch) + values : 0;
}

/* The caller's list, and what the last round left to do. */
struct far_turn {
    int most;
    struct far_row *list;
    double *values;
    int *held;
    int batch;
    bool more; /* rows that were not selected may enter the list */
};

static bool found_before(const struct far_found *a, const struct far_found *b)
{
    return a->key > b->key || (a->key == b->key && a->row < b->row);
}

/* The farthest first: it keeps out most of the others, and the last says whether more are wanted. */
static void batch_order(const struct far_batch *batch, int *order)
{
    for (int i = 0; i < batch->count; i++) {
        int at = i;
        for (; at > 0 && found_before(&batch->found[i], &batch->found[order[at - 1]]); at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
}

/* What the host goes on with: rows and clusters that exist, values and weights that the grid holds. */
static bool found_holds(const struct work *work, const struct far_found *found,
                        const double *values, int64_t rows)
{
    bool holds = found->row >= 0 && found->row < rows && found->label >= 0 &&
                 found->label < work->shape.clusters &&
                 ldexp(found->weight, -work->weight_exponent) <= 1;

    for (int64_t d = 0; d < work->shape.columns; d++)
        holds &= fabs(values[d]) * work->host_scale[d].down <= 1;
    return holds;
}

/* False: the card counted or named what cannot be. */
static bool batch_holds(const struct work *work, const struct far_batch *batch, int most,
                        int64_t rows)
{
    const double *values = reinterpret_cast<const double *>(batch + 1);
    bool holds = batch->count >= 0 && batch->count <= most;

    for (int64_t i = 0; holds && i < batch->count; i++)
        holds = found_holds(work, &batch->found[i], values + i * work->shape.columns, rows);
    return holds;
}

static void far_fold(struct work *work, const void *result, const struct folded *to)
{
    const struct far_batch *batch = static_cast<const struct far_batch *>(result);
    const double *values = reinterpret_cast<const double *>(batch + 1);
    struct far_turn *turn = static_cast<struct far_turn *>(to->out[0]);
    int64_t columns = work->shape.columns, tile = to->block->rows.first + to->first;
    struct far_row row = {};
    int order[FAR_ROWS_MOST];

    if (!batch_holds(work, batch, turn->batch, to->count)) {
        device_wrong(work->device, "a row is named as far that cannot be");
        return;
    }
    batch_order(batch, order);
    for (int i = 0; i < batch->count; i++) {
        const struct far_found *found = &batch->found[order[i]];
        memcpy(&row.distance, &found->key, sizeof row.distance);
        row.row = tile + found->row;
        row.label = found->label;
        row.weight = found->weight;
        far_insert(columns, turn->most, &row, values + order[i] * columns, turn->list, turn->values,
                   turn->held);
    }
    /* All that is left comes behind the last of a full batch. */
    turn->more = batch->count == turn->batch &&
                 (*turn->held < turn->most || far_before(&row, &turn->list[turn->most - 1]));
}

/* A select and what it brings back. */
static enum status select_queue(struct work *work, struct far_arguments arguments)
{
    int64_t tiles = tiles_of(arguments.view.count, FAR_THREADS);
    int number = number_index(work);
    enum status status;

    TRY(launch(work, far_table[START], 1, arguments));
    for (arguments.digit = 0; arguments.digit < FAR_DIGITS; arguments.digit++) {
        TRY(launch(work, far_table[COUNT], tiles, arguments));
        TRY(launch(work, far_table[NARROW], 1, arguments));
    }
    TRY(launch(work, far_table[COLLECT], tiles, arguments));
    TRY(launch(work, far_table[VALUES + number], arguments.wanted, arguments));
out:
    return status;
}

static enum status round_queue(struct work *work, const struct far_turn *turn, bool begins,
                               const struct view &view, void *slot)
{
    struct far_arguments arguments = {};
    int number = number_index(work);
    enum status status;

    arguments.view = view;
    arguments.centers = work->centers;
    arguments.state = work->seed;
    arguments.batch = static_cast<struct far_batch *>(slot);
    arguments.values = reinterpret_cast<double *>(arguments.batch + 1);
    arguments.wanted = (unsigned)turn->batch;
    arguments.least = *turn->held == turn->most ? turn->list[turn->most - 1].distance : 0;
    if (begins)
        TRY(launch(work, far_table[DISTANCE + number], tiles_of(view.count, STRIP_ROWS),
                   arguments));
    else
        TRY(launch(work, far_table[DROP + number], tiles_of(view.count, FAR_THREADS), arguments));
    TRY(select_queue(work, arguments));
out:
    return status;
}

/* Rounds over one tile. The list decides how a round begins and ends, so each is waited for. */
static enum status tile_farthest(struct work *work, struct block *block, int64_t first,
                                 int64_t count, struct far_turn *turn)
{
    const struct pass pass = {true, 0, (size_t)farthest_slot_bytes(&work->shape), far_fold, {turn}};
    bool begins = true;
    enum status status;

    do {
        turn->more = false;
        TRY(pass_run(work, block, first, count, pass, [=](const struct view &view, void *slot) {
            return round_queue(work, turn, begins, view, slot);
        }));
        TRY(work_settle(work));
        begins = false;
    } while (turn->more);
out:
    return status;
}

enum status cuda_farthest(struct work *work, struct block *block, int64_t first, int64_t count,
                          int most, struct far_row *list, double *values, int *held)
{
    struct far_turn turn = {most, list, values, held, batch_most(&work->shape), false};
    enum status status = work_settle(work);

    assert(most <= work->shape.farthest);
    for (int64_t end = first + count; status == STATUS_OK && most > 0 && first < end;
         first += work->tile_rows) {
        int64_t left = end - first;
        status = tile_farthest(work, block, first, left < work->tile_rows ? left : work->tile_rows,
                               &turn);
    }
    return status;
}
