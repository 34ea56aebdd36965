/* distances.cu - the distance of every row to every center: the root of the canonical one.
 *
 * A block takes a tile of rows and a tile of centers (canonical.h) and writes its distances; few rows
 * fit the slot that they come back in, so the centers are what the blocks share out. Bound by the way
 * to the host: 8 bytes a pair. */
#include <string.h>

#include "kernels/cuda/canonical.h"
#include "kernels/cuda/inertia.h"

struct distances_arguments {
    struct view view;
    const double *centers;
    int32_t clusters;
    double *out; /* view.count x clusters */
};

template <class T>
static __global__ void __launch_bounds__(tile_size<struct wide_tile>::THREADS, DISTANCES_BLOCKS)
    distances_kernel(const __grid_constant__ struct distances_arguments a)
{
    typedef struct wide_tile tile;
    auto &slab = *block_shared<struct tile_slab<tile>>();
    const struct pair_source from = {a.view.values, a.centers, a.view.count, a.clusters,
                                     a.view.columns};
    const double skipped = __longlong_as_double(0x7ff8000000000000); /* NaN */
    int64_t across = (a.clusters + tile_size<tile>::CENTERS - 1) / tile_size<tile>::CENTERS;
    int64_t tiles = across * ((a.view.count + tile_size<tile>::ROWS - 1) / tile_size<tile>::ROWS);

    for (int64_t at = blockIdx.x; at < tiles; at += gridDim.x) {
        int64_t row = at / across * tile_size<tile>::ROWS + threadIdx.x / tile::ACROSS;
        int64_t center = at % across * tile_size<tile>::CENTERS + threadIdx.x % tile::ACROSS;
        double sum[tile::ROWS_EACH][tile::CENTERS_EACH];

        pairs_compute<T, tile>(slab, from, at / across * tile_size<tile>::ROWS,
                               at % across * tile_size<tile>::CENTERS, sum);
        UNROLL
        for (int i = 0; i < tile::ROWS_EACH; i++) {
            UNROLL
            for (int j = 0; j < tile::CENTERS_EACH; j++) {
                int64_t r = row + i * tile::DOWN, c = center + j * tile::ACROSS;
                if (r < a.view.count && c < a.clusters)
                    a.out[r * a.clusters + c] =
                        view_weight(a.view, r) < 0 ? skipped : __dsqrt_rn(sum[i][j]);
            }
        }
    }
}

static const struct kernel<struct distances_arguments> distances_table[] = {
    {"distances_f32", distances_kernel<float>, tile_size<struct wide_tile>::THREADS,
     DISTANCES_BLOCKS, sizeof(struct tile_slab<struct wide_tile>)},
        {"distances_f64", distances_kernel<double>, tile_size<struct wide_tile>::THREADS,
         DISTANCES_BLOCKS, sizeof(struct tile_slab<struct wide_tile>)},
};

void distances_kernels(struct kernel_list *list)
{
    kernel_list_add(list, distances_table);
}

/* Rows of one slot: at least one, however many clusters it has. */
static int64_t slot_rows(const struct shape *shape)
{
    int64_t rows = SLOT_BYTES_MOST / (shape->clusters * (int64_t)sizeof(double));

    return rows > 0 ? rows : 1;
}

int64_t distances_slot_bytes(const struct shape *shape)
{
    int64_t rows = slot_rows(shape);

    return (rows < shape->rows ? rows
            : shape->rows > 0  ? shape->rows
                               : 1) *
           shape->clusters * (int64_t)sizeof(double);
}

static void distances_fold(struct work *work, const void *result, const struct folded *to)
{
    size_t row = (size_t)work->shape.clusters * sizeof(double);
    int64_t from = (int64_t)(intptr_t)to->out[1]; /* the row of out[0] */

    memcpy((char *)to->out[0] + (size_t)(to->first - from) * row, result, (size_t)to->count * row);
}

enum status cuda_distances(struct work *work, struct block *block, int64_t first, int64_t count,
                           double *out)
{
    const struct pass pass = {true,
                              slot_rows(&work->shape),
                              (size_t)distances_slot_bytes(&work->shape),
                              distances_fold,
                              {out, (void *)(intptr_t)first}};

    return pass_run(work, block, first, count, pass, [&](const struct view &view, void *slot) {
        typedef tile_size<struct wide_tile> size;
        const struct distances_arguments arguments = {
            view, work->centers, (int32_t)work->shape.clusters, (double *)slot};
        int64_t tiles =
            tiles_of(view.count, size::ROWS) * tiles_of(arguments.clusters, size::CENTERS);
        return launch(work, distances_table[number_index(work)], tiles, arguments);
    });
}
