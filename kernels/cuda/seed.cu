/* seed.cu - distances to chosen rows and trials of candidates: the seeding passes that read rows.
 *
 * A thread owns a row and holds one canonical chain a candidate in registers; shared memory holds a
 * strip of rows and the same columns of the candidates. All candidates of a step take one read of the
 * rows. Bound by bytes up to about 8 candidates in fp32, beyond by fp64. seed_draw.cu has the passes
 * over m_i alone. */
#include <assert.h>

#include "kernels/cuda/strip.h"

struct take_arguments {
    struct view view;
    const double *center;
    double *largest;
    bool first_center;
};

template <class T>
struct take_shared {
    struct strip_chains<T, 1> chains;
    double largest[WARP];
};

template <class T>
static __global__ void __launch_bounds__(STRIP_ROWS, STRIP_BLOCKS)
    seed_take_kernel(const __grid_constant__ struct take_arguments a)
{
    auto &s = *block_shared<struct take_shared<T>>();
    double greatest = 0;

    for (int64_t first = (int64_t)blockIdx.x * STRIP_ROWS; first < a.view.count;
         first += (int64_t)gridDim.x * STRIP_ROWS) {
        int64_t row = first + threadIdx.x;
        double distance[1];
        strip_distances(s.chains, a.view, first, a.center, 1, distance);
        double w = row < a.view.count ? view_weight(a.view, row) : -1;
        if (w >= 0) { /* a skipped row may hold NaN, and its m_i is never read */
            double m = a.first_center ? distance[0] : a.view.seed[row];
            m = distance[0] < m ? distance[0] : m;
            a.view.seed[row] = m;
            greatest = largest::of(greatest, w * m);
        }
    }
    greatest = block_reduce<largest>(greatest, s.largest);
    if (threadIdx.x == 0)
        atomic_max_positive(a.largest, greatest);
}

struct try_arguments {
    struct view view;
    const double *candidates;
    struct digits *total; /* count */
    int count;
    int32_t L;
    bool first_center;
};

template <class T, int COUNT>
struct try_shared {
    struct strip_chains<T, COUNT> chains;
    struct digits part[STRIP_ROWS / WARP][COUNT];
};

/* A thread's sums of at most 2^22 terms of at most 2^40 in a digit: no word overflows. */
template <class T, int COUNT>
static __global__ void __launch_bounds__(STRIP_ROWS,
                                         COUNT > TRY_MANY ? TRY_MOST_BLOCKS : STRIP_BLOCKS)
    seed_try_kernel(const __grid_constant__ struct try_arguments a)
{
    auto &s = *block_shared<struct try_shared<T, COUNT>>();
    long long hi[COUNT] = {}, lo[COUNT] = {};

    for (int64_t first = (int64_t)blockIdx.x * STRIP_ROWS; first < a.view.count;
         first += (int64_t)gridDim.x * STRIP_ROWS) {
        int64_t row = first + threadIdx.x;
        double distance[COUNT];
        strip_distances(s.chains, a.view, first, a.candidates, a.count, distance);
        double w = row < a.view.count ? view_weight(a.view, row) : 0;
        if (w > 0) {
            double m = a.first_center ? 0 : a.view.seed[row];
            UNROLL
            for (int c = 0; c < COUNT; c++) {
                double least = a.first_center || distance[c] < m ? distance[c] : m;
                /* a column without a candidate has the zero row's distance, which L knows nothing of */
                struct digits term = fixed_term(c < a.count ? w * least : 0, a.L);
                hi[c] += term.hi;
                lo[c] += term.lo;
            }
        }
    }
    UNROLL
    for (int c = 0; c < COUNT; c++) {
        long long whole_hi = warp_reduce<add>(hi[c]), whole_lo = warp_reduce<add>(lo[c]);
        if (lane_index() == 0)
            s.part[warp_index()][c] = {whole_hi, whole_lo};
    }
    __syncthreads();
    if ((int)threadIdx.x < a.count)
        for (int w = 0; w < STRIP_ROWS / WARP; w++) {
            atomic_add_i64(&a.total[threadIdx.x].hi, s.part[w][threadIdx.x].hi);
            atomic_add_i64(&a.total[threadIdx.x].lo, s.part[w][threadIdx.x].lo);
        }
}

/* ---- launchers ---- */

static const struct kernel<struct take_arguments> take_kernels[] = {
    {"seed_take_f32", seed_take_kernel<float>, STRIP_ROWS, STRIP_BLOCKS,
     sizeof(struct take_shared<float>)},
        {"seed_take_f64", seed_take_kernel<double>, STRIP_ROWS, STRIP_BLOCKS,
         sizeof(struct take_shared<double>)},
};

#define TRY_ROW(name, T, COUNT)                                  \
    {                                                            \
        name, seed_try_kernel<T, COUNT>, STRIP_ROWS,             \
            (COUNT) > TRY_MANY ? TRY_MOST_BLOCKS : STRIP_BLOCKS, \
            sizeof(struct try_shared<T, COUNT>)                  \
    }
/* By the number of candidates, then by the number type. */
static const int try_counts[] = {TRY_FEW, TRY_MANY, TRY_MOST};
static const struct kernel<struct try_arguments> try_kernels[] = {
    TRY_ROW("seed_try_4_f32", float, TRY_FEW), TRY_ROW("seed_try_4_f64", double, TRY_FEW),
        TRY_ROW("seed_try_8_f32", float, TRY_MANY), TRY_ROW("seed_try_8_f64", double, TRY_MANY),
        TRY_ROW("seed_try_16_f32", float, TRY_MOST), TRY_ROW("seed_try_16_f64", double, TRY_MOST),
};

void seed_kernels(struct kernel_list *list)
{
    kernel_list_add(list, take_kernels);
    kernel_list_add(list, try_kernels);
    seed_draw_kernels(list);
}

static void largest_fold(struct work *, const void *result, const struct folded *to)
{
    double found = *static_cast<const double *>(result), *out = static_cast<double *>(to->out[0]);

    *out = found > *out ? found : *out;
}

static enum status centers_upload(struct work *work, const double *centers, int count)
{
    size_t bytes = (size_t)count * (size_t)work->shape.columns * sizeof(double);

    return upload(work->device, work->device->compute, work->seed.candidates, centers, bytes);
}

enum status cuda_seed_take(struct work *work, struct block *block, int64_t first, int64_t count,
                           const double *center, bool first_center, double *largest)
{
    const struct pass pass = {true, 0, sizeof(double), largest_fold, {largest}};
    enum status status;

    TRY(device_enter(work->device));
    TRY(centers_upload(work, center, 1));
    status = pass_run(work, block, first, count, pass, [=](const struct view &view, void *slot) {
        struct take_arguments arguments = {view, work->seed.candidates, static_cast<double *>(slot),
                                           first_center};
        return launch(work, take_kernels[number_index(work)], tiles_of(view.count, STRIP_ROWS),
                      arguments);
    });
out:
    return status;
}

/* out[1]: how many candidates there are, as a pointer's worth of integer. */
static void totals_fold(struct work *, const void *result, const struct folded *to)
{
    const struct digits *total = static_cast<const struct digits *>(result);
    int128 *out = static_cast<int128 *>(to->out[0]);
    int count = (int)reinterpret_cast<intptr_t>(to->out[1]);

    for (int c = 0; c < count; c++)
        out[c] += digits_join(total[c].hi, total[c].lo);
}

/* All candidates over one tile: TRY_MOST of them in a launch. */
static enum status try_queue(struct work *work, const struct try_arguments &all)
{
    enum status status = STATUS_OK;

    for (int at = 0; status == STATUS_OK && at < all.count; at += TRY_MOST) {
        struct try_arguments some = all;
        int left = all.count - at, size = 0;
        some.count = left < TRY_MOST ? left : TRY_MOST;
        some.candidates += at * work->shape.columns;
        some.total += at;
        while (try_counts[size] < some.count)
            size++;
        status = launch(work, try_kernels[2 * size + number_index(work)],
                        tiles_of(all.view.count, STRIP_ROWS), some);
    }
    return status;
}

enum status cuda_seed_try(struct work *work, struct block *block, int64_t first, int64_t count,
                          const double *candidates, int candidates_count, bool first_center,
                          int32_t L, int128 *totals)
{
    const struct pass pass = {true,
                              0,
                              (size_t)candidates_count * sizeof(struct digits),
                              totals_fold,
                              {totals, reinterpret_cast<void *>((intptr_t)candidates_count)}};
    enum status status;

    assert(candidates_count >= 0 && candidates_count <= work->shape.candidates);
    TRY(device_enter(work->device));
    TRY(centers_upload(work, candidates, candidates_count));
    status = pass_run(work, block, first, count, pass, [=](const struct view &view, void *slot) {
        return try_queue(work, {view, work->seed.candidates, static_cast<struct digits *>(slot),
                                candidates_count, L, first_center});
    });
out:
    return status;
}

void seed_carve(struct carver *carver, struct work *work)
{
    const struct shape *shape = &work->shape;
    int64_t seeds = shape->candidates > 0, far = shape->farthest > 0;

    carve(carver, &work->seed.candidates, shape->candidates, shape->columns);
    carve(carver, &work->seed.chunk, seeds * tiles_of(work->tile_rows, SEED_ROWS), 1);
    carve(carver, &work->seed.search, seeds, 1);
    carve(carver, &work->seed.key, far * work->tile_rows, 1);
    carve(carver, &work->seed.bins, far << FAR_BITS, 1);
    carve(carver, &work->seed.select, far, 1);
    carve(carver, &work->seed.batch, far, 1);
}

int64_t seed_slot_bytes(const struct shape *shape)
{
    int64_t tried = shape->candidates * (int64_t)sizeof(struct digits);
    int64_t far = farthest_slot_bytes(shape), most = (int64_t)sizeof(struct seed_search);

    most = tried > most ? tried : most;
    return far > most ? far : most;
}
