/* assign.cu - labels by the canonical distance.
 *
 * A block takes a tile of rows over all centers, tile by tile (canonical.h). A thread keeps the nearest
 * center of each of its rows; its centers come in ascending order, so strictly nearer is enough, and
 * the lanes that share a row are merged by value, then index. Rows are read again for each tile of
 * centers, from L2. Bound by FP64: two instructions a column of a pair, against which a tile's loads
 * are few. */
#include "kernels/cuda/accumulate.h"
#include "kernels/cuda/canonical.h"
#include "kernels/cuda/gemm.h"
#include "kernels/cuda/inertia.h"
#include "kernels/cuda/settle.h"

struct assign_arguments {
    struct settle to;
    const double *centers;
    int32_t clusters;
    int64_t first, end;      /* rows of the tile */
    const unsigned *only_if; /* NULL, or on the device: 0 leaves it all to somebody else */
};

template <class Tile>
struct row_nearest {
    struct nearest of[Tile::ROWS_EACH];
};

/* Takes in the pairs with the centers from `center` on. */
template <class Tile>
static __device__ __forceinline__ void
nearest_take(struct row_nearest<Tile> &best, int64_t center, int32_t clusters,
             const double (&sum)[Tile::ROWS_EACH][Tile::CENTERS_EACH])
{
    UNROLL
    for (int j = 0; j < Tile::CENTERS_EACH; j++) {
        int64_t index = center + (int)threadIdx.x % Tile::ACROSS + j * Tile::ACROSS;
        UNROLL
        for (int i = 0; i < Tile::ROWS_EACH; i++)
            if (index < clusters && sum[i][j] < best.of[i].value)
                best.of[i] = {sum[i][j], (int)index};
    }
}

template <class Tile>
static __device__ __forceinline__ void nearest_merge(struct row_nearest<Tile> &best)
{
    UNROLL
    for (int i = 0; i < Tile::ROWS_EACH; i++) {
        UNROLL
        for (int step = 1; step < Tile::ACROSS; step *= 2)
            best.of[i] =
                nearer(best.of[i], {__shfl_xor_sync((unsigned)FULL_WARP, best.of[i].value, step),
                                    __shfl_xor_sync((unsigned)FULL_WARP, best.of[i].index, step)});
    }
}

template <class Tile>
static __device__ __forceinline__ void nearest_settle(const struct assign_arguments &a,
                                                      const struct row_nearest<Tile> &best,
                                                      int64_t first, double *largest_term)
{
    bool moved[Tile::ROWS_EACH];
    int64_t row[Tile::ROWS_EACH];
    int32_t old[Tile::ROWS_EACH];

    UNROLL
    for (int i = 0; i < Tile::ROWS_EACH; i++) {
        row[i] = first + (int)threadIdx.x / Tile::ACROSS + i * Tile::DOWN;
        old[i] = -1;
        moved[i] = threadIdx.x % Tile::ACROSS == 0 && row[i] < a.end &&
                   settle_row(a.to, row[i], best.of[i], &old[i], largest_term);
    }
    settle_moved(a.to, moved, row, old);
}

template <class T, class Tile, int BLOCKS>
static __global__ void __launch_bounds__(tile_size<Tile>::THREADS, BLOCKS)
    assign_kernel(const __grid_constant__ struct assign_arguments a)
{
    enum { ROWS = tile_size<Tile>::ROWS, CENTERS = tile_size<Tile>::CENTERS };
    auto &slab = *block_shared<struct tile_slab<Tile>>();
    int64_t end = a.only_if && *a.only_if == 0 ? a.first : a.end;
    const struct pair_source from = {a.to.view.values, a.centers, end, a.clusters,
                                     a.to.view.columns};
    double largest_term = 0;

    for (int64_t row = a.first + (int64_t)blockIdx.x * ROWS; row < end;
         row += (int64_t)gridDim.x * ROWS) {
        struct row_nearest<Tile> best;
        UNROLL
        for (int i = 0; i < Tile::ROWS_EACH; i++)
            best.of[i] = {__longlong_as_double(0x7ff0000000000000), 0};
        for (int64_t center = 0; center < a.clusters; center += CENTERS) {
            double sum[Tile::ROWS_EACH][Tile::CENTERS_EACH];
            pairs_compute<T, Tile>(slab, from, row, center, sum);
            nearest_take<Tile>(best, center, a.clusters, sum);
        }
        nearest_merge<Tile>(best);
        nearest_settle<Tile>(a, best, row, &largest_term);
    }
    settle_largest(a.to, largest_term);
}

#define ASSIGN_KERNEL(name, T, Tile, blocks)                                                  \
    {                                                                                         \
        name, assign_kernel<T, struct Tile, blocks>, tile_size<struct Tile>::THREADS, blocks, \
            sizeof(struct tile_slab<struct Tile>)                                             \
    }
/* By number type, then by few or many centers. */
static const struct kernel<struct assign_arguments> assign_table[] = {
    ASSIGN_KERNEL("assign_tall_f32", float, tall_tile, ASSIGN_TALL_BLOCKS),
        ASSIGN_KERNEL("assign_wide_f32", float, wide_tile, ASSIGN_WIDE_BLOCKS),
        ASSIGN_KERNEL("assign_tall_f64", double, tall_tile, ASSIGN_TALL_BLOCKS),
        ASSIGN_KERNEL("assign_wide_f64", double, wide_tile, ASSIGN_WIDE_BLOCKS),
};

void assign_kernels(struct kernel_list *list)
{
    kernel_list_add(list, assign_table);
    accumulate_kernels(list);
    segments_kernels(list);
    shadow_kernels(list);
    certify_kernels(list);
    refine_kernels(list);
}

enum status canonical_assign(struct work *work, const struct settle &to, int64_t first,
                             int64_t count, const unsigned *only_if)
{
    bool wide = work->shape.clusters > ASSIGN_TALL_CLUSTERS;
    int64_t rows = wide ? (int64_t)tile_size<struct wide_tile>::ROWS
                        : (int64_t)tile_size<struct tall_tile>::ROWS;
    const struct assign_arguments arguments = {to,    work->centers, (int32_t)work->shape.clusters,
                                               first, first + count, only_if};

    return launch(work, assign_table[2 * number_index(work) + wide], tiles_of(count, rows),
                  arguments);
}

static void assign_fold(struct work *work, const void *result, const struct folded *to)
{
    const struct assign_result *found = (const struct assign_result *)result;

    (void)to;
    work->assigned.moved += (int64_t)found->moved;
    if (found->largest_term > work->assigned.largest_term)
        work->assigned.largest_term = found->largest_term;
}

enum status cuda_assign(struct work *work, struct block *block, int64_t first, int64_t count,
                        bool sums)
{
    const struct pass pass = {true, 0, sizeof(struct assign_result), assign_fold, {}};

    return pass_run(work, block, first, count, pass, [&](const struct view &view, void *slot) {
        struct assign_result *result = (struct assign_result *)slot;
        const struct settle to = {view, sums ? work->assign.moved : NULL, result};
        enum status status = work->assign.gemm.rows > 0
                                 ? gemm_assign(work, to)
                                 : canonical_assign(work, to, 0, view.count, NULL);

        if (status == STATUS_OK && sums)
            status = accumulate(work, view, &result->moved);
        return status;
    });
}

void assign_plan(const struct device *device, const struct shape *shape, struct plan *out)
{
    bool gemm = gemm_ready(device, shape);

    out->row_ns = gemm ? gemm_row_ns(device, shape)
                       : device->pair_ns * (double)shape->clusters * (double)shape->columns;
    out->tile_ns = TILE_NS;
    out->method = gemm ? "cublaslt+refine" : "canonical";
}

void assign_design(const struct device *device, struct work *work)
{
    gemm_design(device, work);
}

void assign_carve(struct carver *carver, struct work *work)
{
    carve(carver, &work->assign.moved, work->tile_rows, 1);
    accumulate_carve(carver, work);
    gemm_carve(carver, work);
}

int64_t assign_slot_bytes(const struct shape *shape)
{
    int64_t inertia = inertia_slot_bytes(shape), distances = distances_slot_bytes(shape);

    return inertia > distances ? inertia : distances;
}

enum status assign_open(struct work *work)
{
    return gemm_open(work);
}

void assign_close(struct work *work)
{
    gemm_close(work);
}

enum status assign_begin(struct work *work)
{
    return gemm_begin(work);
}
