/* inertia.cu - the exact total of the terms RN(w s), s canonical to the row's own center.
 *
 * A thread owns a row and its one chain. The block's rows pass through shared memory, columns side by
 * side, a strip at a time (strip.h); a thread reads its own center from L1 or L2, where the few centers
 * of a block's rows are met again. Terms become two digits; a block adds its total once, a row its
 * cluster's. Bound by bytes: a row is read once. */
#include "kernels/cuda/inertia.h"
#include "kernels/cuda/strip.h"

/* A tile's slot: the total, then a total for each cluster if they are asked for. */
struct inertia_arguments {
    struct view view;
    const double *centers;
    int32_t L;
    struct digits *total, *per_cluster; /* per_cluster: NULL if not asked */
};

template <class T>
struct inertia_shared {
    struct strip<T> rows;
    long long scratch[WARP];
};

/* The canonical distance of the thread's row to `center`; NULL: nothing. Every thread calls. */
template <class T>
static __device__ __forceinline__ double own_distance(struct inertia_shared<T> &s,
                                                      const struct view &view, int64_t first,
                                                      const double *center)
{
    double sum = 0;

    for (int64_t column = 0; column < view.columns; column += STRIP_COLUMNS) {
        struct strip_source<T> from = strip_at<T>(view, first, column);
        __syncthreads();
        strip_load(s.rows, from);
        __syncthreads();
        for (int d = 0; center && d < from.width; d++) {
            double t = (double)s.rows.value[threadIdx.x][d] - center[column + d];
            sum = __fma_rn(t, t, sum);
        }
    }
    return sum;
}

template <class T>
static __global__ void __launch_bounds__(STRIP_ROWS, INERTIA_BLOCKS)
    inertia_kernel(const __grid_constant__ struct inertia_arguments a)
{
    auto &s = *block_shared<struct inertia_shared<T>>();
    struct digits total = {0, 0};

    for (int64_t first = (int64_t)blockIdx.x * STRIP_ROWS; first < a.view.count;
         first += (int64_t)gridDim.x * STRIP_ROWS) {
        int64_t row = first + threadIdx.x;
        bool here = row < a.view.count;
        double w = here ? view_weight(a.view, row) : 0;
        int32_t label = here && w > 0 ? view_label(a.view, row) : -1;
        const double *center = label < 0 ? NULL : a.centers + label * a.view.columns;
        struct digits term = fixed_term(w * own_distance(s, a.view, first, center), a.L);
        if (label < 0)
            continue;
        total = {total.hi + term.hi, total.lo + term.lo};
        if (!a.per_cluster)
            continue;
        atomic_add_i64(&a.per_cluster[label].hi, term.hi);
        atomic_add_i64(&a.per_cluster[label].lo, term.lo);
    }
    total.hi = block_reduce<struct add>(total.hi, s.scratch);
    total.lo = block_reduce<struct add>(total.lo, s.scratch);
    if (threadIdx.x == 0) {
        atomic_add_i64(&a.total->hi, total.hi);
        atomic_add_i64(&a.total->lo, total.lo);
    }
}

static const struct kernel<struct inertia_arguments> inertia_table[] = {
    {"inertia_f32", inertia_kernel<float>, STRIP_ROWS, INERTIA_BLOCKS,
     sizeof(struct inertia_shared<float>)},
        {"inertia_f64", inertia_kernel<double>, STRIP_ROWS, INERTIA_BLOCKS,
         sizeof(struct inertia_shared<double>)},
};

void inertia_kernels(struct kernel_list *list)
{
    kernel_list_add(list, inertia_table);
    distances_kernels(list);
}

int64_t inertia_slot_bytes(const struct shape *shape)
{
    return (shape->clusters + 1) * (int64_t)sizeof(struct digits);
}

static void inertia_fold(struct work *work, const void *result, const struct folded *to)
{
    const struct digits *found = (const struct digits *)result;
    int128 *total = (int128 *)to->out[0], *per_cluster = (int128 *)to->out[1];

    *total += digits_join(found[0].hi, found[0].lo);
    for (int64_t k = 0; per_cluster && k < work->shape.clusters; k++)
        per_cluster[k] += digits_join(found[k + 1].hi, found[k + 1].lo);
}

enum status cuda_inertia(struct work *work, struct block *block, int64_t first, int64_t count,
                         int32_t L, int128 *total, int128 *per_cluster)
{
    size_t totals = per_cluster ? (size_t)work->shape.clusters + 1 : 1;
    const struct pass pass = {
        true, 0, totals * sizeof(struct digits), inertia_fold, {total, per_cluster}};

    return pass_run(work, block, first, count, pass, [&](const struct view &view, void *slot) {
        struct digits *found = (struct digits *)slot;
        const struct inertia_arguments arguments = {view, work->centers, L, found,
                                                    per_cluster ? found + 1 : NULL};
        return launch(work, inertia_table[number_index(work)], tiles_of(view.count, STRIP_ROWS),
                      arguments);
    });
}
