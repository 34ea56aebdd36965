/* work.c - the memory of a work: one region for the whole, carved the same way by plan and open.
 *
 *   struct cpu_work | arrays of ref | grid, panels, slots | per thread: strip, lanes, tables */
#include <stdlib.h>

#include "kernels/cpu/cpu.h"

/* Rows of a strip: a multiple of the lanes' step, few where rows are wide. */
static int64_t strip_rows_for(const struct shape *shape, int64_t strip_bytes, int step)
{
    int64_t fit = strip_bytes / (int64_t)sizeof(double) / shape->columns;
    int64_t rows = fit < STRIP_ROWS ? fit : STRIP_ROWS;

    return rows / step > 0 ? rows / step * step : step;
}

static void carve_slots(struct carver *carver, const struct shape *shape, struct slots *slots)
{
    int64_t k = shape->clusters, d = shape->columns;

    slots->hi = carve(carver, k, d, sizeof *slots->hi);
    slots->lo = carve(carver, k, d, sizeof *slots->lo);
    slots->count = carve(carver, k, 1, sizeof *slots->count);
    slots->touched = carve(carver, k, 1, sizeof *slots->touched);
    slots->weight = carve(carver, k, 1, sizeof *slots->weight);
}

static void carve_thread(struct carver *carver, const struct cpu_work *work, struct thread *thread)
{
    const struct shape *shape = &work->base.shape;
    int64_t d = shape->columns, width = work->lanes->width;
    int64_t rows = (work->strip_rows + 15) / 16 * 16; /* also whole steps of own_distances */

    thread->strip = carve(carver, rows, d, sizeof(double));
    thread->scratch.best = carve(carver, rows, width, sizeof(double));
    thread->scratch.where = carve(carver, rows, width, sizeof(double));
    thread->scratch.partial = carve(carver, rows, width * LANE_PANELS, sizeof(double));
    thread->distance = carve(carver, rows, 1, sizeof(double));
    thread->label = carve(carver, rows, 1, sizeof(int32_t));
    thread->tried = carve(carver, rows, shape->candidates, sizeof(double));
    thread->try_hi = carve(carver, shape->candidates, 1, sizeof(int64_t));
    thread->try_lo = carve(carver, shape->candidates, 1, sizeof(int64_t));
    thread->totals = carve(carver, shape->candidates, 1, sizeof(int128));
    thread->per_cluster = carve(carver, shape->clusters, 1, sizeof(int128));
    thread->column = carve(carver, d, 1, sizeof *thread->column);
    thread->lo = carve(carver, d, 1, sizeof(double));
    thread->hi = carve(carver, d, 1, sizeof(double));
    thread->largest = carve(carver, d, 1, sizeof(double));
    thread->odd = carve(carver, d, 1, sizeof(int64_t));
    thread->digits = carve(carver, MOMENT_COLUMNS, 1, sizeof(struct moment_digits));
    if (shape->number == NUMBER_F32)
        thread->buckets = carve(carver, MOMENT_COLUMNS, 1, sizeof(struct moment_buckets));
}

static void carve_arrays(struct carver *carver, struct cpu_work *work)
{
    const struct shape *shape = &work->base.shape;
    int64_t d = shape->columns;

    carve_work(carver, &work->base);
    work->up40 = carve(carver, d, 1, sizeof(double));
    work->down40 = carve(carver, d, 1, sizeof(double));
    work->up80 = carve(carver, d, 1, sizeof(double));
    work->down = carve(carver, d, 1, sizeof(double));
    work->panels.packed = carve(carver, panel_columns(shape->clusters), d, sizeof(double));
    work->candidates.packed = carve(carver, panel_columns(shape->candidates), d, sizeof(double));
    work->far = carve(carver, shape->farthest > 0 ? FAR_ROWS : 0, 1, sizeof(double));
    work->segment = carve(carver, SEED_SEGMENTS, 1, sizeof(int128));
}

/* The struct itself comes first. Threads and slots are carved into the region when there is one, else
 * into one of each that is counted again and again. */
static size_t layout(struct cpu_work *work, char *base, bool *overflow)
{
    struct carver carver = {.base = base};
    struct thread any_thread = {0};
    struct slots any_slots = {0};
    int tables = work->shared_slots ? 1 : work->threads;

    carve(&carver, 1, 1, sizeof *work);
    work->thread = carve(&carver, work->threads, 1, sizeof *work->thread);
    work->slots = carve(&carver, tables, 1, sizeof *work->slots);
    carve_arrays(&carver, work);
    for (int i = 0; i < tables; i++)
        carve_slots(&carver, &work->base.shape, base ? &work->slots[i] : &any_slots);
    for (int i = 0; i < work->threads; i++)
        carve_thread(&carver, work, base ? &work->thread[i] : &any_thread);
    *overflow = carver.overflow;
    return carver.used;
}

static struct cpu_work header_for(const struct device *base, const struct shape *shape)
{
    const struct cpu_device *device = (const struct cpu_device *)base;
    int threads = base->info.threads;
    double slot_bytes = 16.0 * (double)shape->clusters * (double)shape->columns * threads;

    return (struct cpu_work){
        .base = {.shape = *shape},
        .lanes = device->lanes,
        .tuning = device->tuning,
        .threads = threads,
        .strip_rows = strip_rows_for(shape, device->tuning.strip_bytes, device->lanes->step),
        .shared_slots = slot_bytes > (double)device->tuning.slot_bytes_max,
        .panels = {.clusters = shape->clusters, .columns = shape->columns},
        .candidates = {.clusters = shape->candidates, .columns = shape->columns},
    };
}

enum status cpu_plan(const struct device *device, const struct shape *shape, struct plan *out)
{
    struct cpu_work work;
    bool overflow;
    size_t bytes;
    double pairs, row_ns, moved_ns;

    if (shape_check(shape) != STATUS_OK || shape->residency != RESIDENT)
        return STATUS_UNSUPPORTED;
    work = header_for(device, shape);
    bytes = layout(&work, NULL, &overflow);
    if (overflow)
        return STATUS_UNSUPPORTED;
    /* Beside its pairs a row costs what brings it in and, in the first rounds, what moves its sums.
     * The constants fit 16 to 784 columns on a Zen 3 within a third; a tile allows for both. */
    pairs = (double)panel_columns(shape->clusters) * (double)shape->columns;
    row_ns = device->pair_ns * pairs + (15 + 0.5 * (double)shape->columns) / device->info.threads;
    moved_ns = (40 + 2.0 * (double)shape->columns) / device->info.threads;
    *out = (struct plan){.work_bytes = (int64_t)bytes,
                         .row_bytes =
                             4 + (work.shared_slots ? 4 : 0) + (shape->candidates > 0 ? 8 : 0),
                         .tile_rows = tile_rows_for(row_ns + moved_ns),
                         .row_ns = row_ns,
                         .method = work.lanes->method};
    return STATUS_OK;
}

enum status cpu_work_open(struct device *device, const struct shape *shape, struct work **out)
{
    struct cpu_work header;
    bool overflow;
    size_t bytes;
    char *region;

    if (shape_check(shape) != STATUS_OK)
        return STATUS_UNSUPPORTED;
    header = header_for(device, shape);
    header.base.device = device;
    bytes = layout(&header, NULL, &overflow);
    region = overflow ? NULL : region_new(bytes);
    if (!region)
        return STATUS_OUT_OF_MEMORY;
    layout(&header, region, &overflow);
    *(struct cpu_work *)region = header;
    *out = &((struct cpu_work *)region)->base;
    return STATUS_OK;
}

void cpu_work_close(struct work **work)
{
    if (!work)
        return;
    free(*work);
    *work = NULL;
}
