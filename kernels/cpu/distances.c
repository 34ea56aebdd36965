/* distances.c - the distance of every row to every centroid, on lanes. */
#include "kernels/cpu/cpu.h"

struct distance_settings {
    int64_t first; /* the tile's first row, which out begins with */
    double *out;
};

static void distance_rows(const struct pass *pass, struct thread *thread, int64_t first,
                          int64_t count)
{
    const struct distance_settings *settings = pass->settings;
    struct cpu_work *work = pass->work;
    int64_t k = work->base.shape.clusters;

    for (int64_t end = first + count; first < end; first += work->strip_rows) {
        int64_t here = end - first < work->strip_rows ? end - first : work->strip_rows;
        struct strip strip = {thread->strip, here, work->base.shape.columns};
        double *out = settings->out + (first - settings->first) * k;
        fill_strip(work, pass->block, first, here, thread->strip);
        work->lanes->table(&strip, &work->panels, &thread->scratch, out, k, true);
        for (int64_t i = 0; i < here; i++)
            for (int64_t j = 0; j < k && row_weight(pass->block, first + i) < 0; j++)
                out[i * k + j] = (double)NAN;
    }
}

enum status cpu_distances(struct work *base, struct block *block, int64_t first, int64_t count,
                          double *out)
{
    const struct distance_settings settings = {.first = first, .out = out};
    const struct pass pass = {cpu_of(base), block, &settings, distance_rows};

    over_rows(&pass, first, count, (double)base->shape.clusters * (double)base->shape.columns);
    return STATUS_OK;
}
