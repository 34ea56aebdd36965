/* rows.c - how a tile is split among threads, and rows and centers brought into the form of lanes. */
#include <omp.h>
#include <string.h>

#include "kernels/cpu/cpu.h"

int threads_for(const struct cpu_work *work, double pairs)
{
    double worth = pairs / work->tuning.thread_pairs;

    if (pairs < work->tuning.parallel_pairs || work->threads == 1)
        return 1;
    return worth >= work->threads ? work->threads : worth >= 1 ? (int)worth : 1;
}

static void reset(struct cpu_work *work)
{
    for (int i = 0; i < work->threads; i++) {
        struct thread *thread = &work->thread[i];
        thread->moved = 0;
        thread->largest_term = 0;
        thread->fingerprint = 0;
        thread->total = 0;
    }
}

void over_rows(const struct pass *pass, int64_t first, int64_t count, double row_pairs)
{
    struct thread *thread = pass->work->thread;
    int threads = threads_for(pass->work, row_pairs * (double)count);

    tile_check(pass->block, first, count);
    reset(pass->work);
    if (threads == 1) {
        pass->rows(pass, thread, first, count);
        return;
    }
#pragma omp parallel num_threads(threads) default(none) shared(pass, thread, first, count)
    {
        int here = omp_get_thread_num(), all = omp_get_num_threads();
        int64_t from = part_start(count, here, all), to = part_start(count, here + 1, all);
        pass->rows(pass, &thread[here], first + from, to - from);
    }
}

void fill_strip(const struct cpu_work *work, const struct block *block, int64_t first,
                int64_t count, double *strip)
{
    int64_t columns = work->base.shape.columns, values = count * columns;

    if (work->base.shape.number == NUMBER_F64) {
        const double *from = (const double *)block->rows.values + first * columns;
        memcpy(strip, from, (size_t)values * sizeof *strip);
        return;
    }
    const float *from = (const float *)block->rows.values + first * columns;
    for (int64_t i = 0; i < values; i++)
        strip[i] = (double)from[i];
}

enum status cpu_load(struct work *work, const struct rows *rows, struct block **out)
{
    return block_new(work, rows, cpu_of(work)->shared_slots, out);
}

enum { OWN_ROWS = 8 }; /* chains side by side: they hide the latency of an FMA */

static void own_rows(const double *strip, int64_t columns, const double *const *center,
                     double *distance)
{
    double s[OWN_ROWS] = {0};

    for (int64_t d = 0; d < columns; d++)
        for (int r = 0; r < OWN_ROWS; r++) {
            double t = strip[r * columns + d] - center[r][d];
            s[r] = fma(t, t, s[r]);
        }
    memcpy(distance, s, sizeof s);
}

void own_distances(const double *strip, int64_t columns, int64_t count, const double *const *center,
                   double *distance)
{
    for (int64_t i = 0; i < count; i += OWN_ROWS) {
        const double *with[OWN_ROWS];
        double found[OWN_ROWS];
        const double *any = strip + i * columns; /* a row is as good a center as any */
        int64_t here = count - i < OWN_ROWS ? count - i : OWN_ROWS;

        for (int64_t r = 0; r < OWN_ROWS; r++)
            with[r] = r < here && center[i + r] ? center[i + r] : any;
        own_rows(any, columns, with, found);
        memcpy(distance + i, found, (size_t)here * sizeof *found);
    }
}

int64_t panel_columns(int64_t clusters)
{
    return (clusters + 7) / 8 * 8;
}

void pack_panels(struct panels *panels, int width, const double *centers)
{
    int64_t count = (panels->clusters + width - 1) / width;

    for (int64_t p = 0; p < count; p++)
        for (int64_t d = 0; d < panels->columns; d++)
            for (int64_t lane = 0; lane < width; lane++) {
                int64_t j = p * width + lane;
                panels->packed[(p * panels->columns + d) * width + lane] =
                    j < panels->clusters ? centers[j * panels->columns + d] : INFINITY;
            }
}
