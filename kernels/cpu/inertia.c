/* inertia.c - distances to the own centroid: their exact total, and the farthest rows. */
#include <string.h>

#include "kernels/cpu/cpu.h"

struct own_settings {
    int32_t L;
    bool per_cluster;
    int64_t first; /* where work->far begins */
};

static bool counts(const struct block *block, int64_t row)
{
    return row_weight(block, row) > 0 && block->label[row] >= 0;
}

/* Distances of a strip's rows to the centers of their labels. */
static void own_strip(const struct pass *pass, struct thread *thread, int64_t first, int64_t count)
{
    const struct work *work = &pass->work->base;
    int64_t columns = work->shape.columns;
    const double *center[STRIP_ROWS];

    for (int64_t i = 0; i < count; i++)
        center[i] = counts(pass->block, first + i)
                        ? work->centers + pass->block->label[first + i] * columns
                        : NULL;
    fill_strip(pass->work, pass->block, first, count, thread->strip);
    own_distances(thread->strip, columns, count, center, thread->distance);
}

static void inertia_rows(const struct pass *pass, struct thread *thread, int64_t first,
                         int64_t count)
{
    const struct own_settings *settings = pass->settings;
    const struct block *block = pass->block;
    int64_t most = pass->work->strip_rows;

    for (int64_t end = first + count; first < end; first += most) {
        int64_t here = end - first < most ? end - first : most;
        own_strip(pass, thread, first, here);
        for (int64_t i = 0; i < here; i++) {
            if (!counts(block, first + i))
                continue;
            int128 term =
                grid_fixed(row_weight(block, first + i) * thread->distance[i], settings->L);
            thread->total += term;
            if (settings->per_cluster)
                thread->per_cluster[block->label[first + i]] += term;
        }
    }
}

enum status cpu_inertia(struct work *base, struct block *block, int64_t first, int64_t count,
                        int32_t L, int128 *total, int128 *per_cluster)
{
    struct cpu_work *work = cpu_of(base);
    const struct own_settings settings = {.L = L, .per_cluster = per_cluster != NULL};
    const struct pass pass = {work, block, &settings, inertia_rows};
    int64_t k = base->shape.clusters;

    for (int i = 0; i < work->threads && per_cluster; i++)
        memset(work->thread[i].per_cluster, 0, (size_t)k * sizeof *per_cluster);
    over_rows(&pass, first, count, 8.0 * (double)base->shape.columns);
    for (int i = 0; i < work->threads; i++) {
        *total += work->thread[i].total;
        for (int64_t j = 0; j < k && per_cluster; j++)
            per_cluster[j] += work->thread[i].per_cluster[j];
    }
    return STATUS_OK;
}

static void far_rows(const struct pass *pass, struct thread *thread, int64_t first, int64_t count)
{
    const struct own_settings *settings = pass->settings;
    int64_t most = pass->work->strip_rows;

    for (int64_t end = first + count; first < end; first += most) {
        int64_t here = end - first < most ? end - first : most;
        double *far = pass->work->far + (first - settings->first);
        own_strip(pass, thread, first, here);
        for (int64_t i = 0; i < here; i++)
            far[i] = counts(pass->block, first + i) ? thread->distance[i] : 0;
    }
}

/* Threads measure FAR_ROWS rows, then the owner looks through them: few enter the list. */
enum status cpu_farthest(struct work *base, struct block *block, int64_t first, int64_t count,
                         int most, struct far_row *list, double *values, int *held)
{
    struct cpu_work *work = cpu_of(base);

    for (int64_t end = first + count; first < end; first += FAR_ROWS) {
        const struct own_settings settings = {.first = first};
        const struct pass pass = {work, block, &settings, far_rows};
        int64_t here = end - first < FAR_ROWS ? end - first : FAR_ROWS;
        over_rows(&pass, first, here, 8.0 * (double)base->shape.columns);
        for (int64_t i = 0; i < here; i++) {
            struct far_row row = {.distance = work->far[i],
                                  .row = block->rows.first + first + i,
                                  .label = block->label[first + i],
                                  .weight = row_weight(block, first + i)};
            if (row.distance == 0 ||
                (*held > 0 && *held == most && row.distance < list[*held - 1].distance))
                continue;
            ref_gather(base, block, first + i, base->row);
            far_insert(base->shape.columns, most, &row, base->row, list, values, held);
        }
    }
    return STATUS_OK;
}
