/* work.cu - what a shape costs, and the memory of works and blocks.
 *
 * A work's memory on the device is one region, carved by the same functions for plan (which counts) and
 * work_open (which hands out), so the two cannot differ. Memory is zeroed when it is given back. */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/work.h"

enum { LINE = 256 };

void *carve_bytes(struct carver *carver, int64_t count, int64_t each, size_t size)
{
    size_t bytes, end, at = carver->used;

    carver->overflow |= __builtin_mul_overflow((size_t)count, (size_t)each, &bytes) ||
                        __builtin_mul_overflow(bytes, size, &bytes) ||
                        __builtin_add_overflow(at, bytes, &end) || end > SIZE_MAX / 4;
    if (carver->overflow)
        return NULL;
    carver->used = (end + LINE - 1) & ~(size_t)(LINE - 1);
    return carver->base ? carver->base + at : NULL;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* One slot serves every pass. */
static int64_t slot_bytes_of(const struct shape *shape)
{
    int64_t bytes = larger(assign_slot_bytes(shape), seed_slot_bytes(shape));

    bytes = larger(bytes, facts_slot_bytes(shape));
    bytes = larger(bytes, moments_slot_bytes(shape));
    bytes = larger(bytes, labels_slot_bytes(shape));
    bytes += (int64_t)sizeof(struct slot_head);
    return (bytes + LINE - 1) & ~(int64_t)(LINE - 1);
}

static int64_t tile_rows_of(const struct device *device, const struct shape *shape, double row_ns)
{
    double by_time = TILE_MS_MOST * 1e6 / row_ns;
    int64_t rows = by_time < device->tile_rows_most ? (int64_t)by_time : device->tile_rows_most;
    int64_t row_bytes = shape->columns * (int64_t)value_bytes(shape);

    if (shape->residency == RESIDENT_SMALL)
        rows = smaller(rows, TILE_ROWS_SMALL);
    if (shape->residency == STREAMED)
        rows = smaller(rows, STAGING_BYTES / row_bytes);
    return larger(smaller(rows, shape->rows), 1);
}

/* Sets tile_rows and slot_bytes by the shape, then hands out the region on the device. */
static void carve_work(struct carver *carver, struct work *work)
{
    int64_t k = work->shape.clusters, d = work->shape.columns;

    carve(carver, &work->sums.sum, k, d);
    carve(carver, &work->sums.weight, k, 1);
    carve(carver, &work->sums.count, k, 1);
    carve(carver, &work->sums.fingerprint, 1, 1);
    carve(carver, &work->centers, k, d);
    carve(carver, &work->scale, d, 1);
    carve(carver, &work->exponent, d, 1);
    for (int i = 0; i < SLOTS; i++)
        work->slot[i].device =
            static_cast<struct slot_head *>(carve_bytes(carver, (int64_t)work->slot_bytes, 1, 1));
    for (int i = 0; work->shape.residency == STREAMED && i < 2; i++)
        work->staging[i].values =
            carve_bytes(carver, work->tile_rows, d, value_bytes(&work->shape));
    assign_carve(carver, work);
    seed_carve(carver, work);
}

static bool shape_fits(const struct shape *shape)
{
    return shape->rows >= 0 && shape->columns >= 1 && shape->columns <= INT32_MAX &&
           shape->clusters >= 1 && shape->clusters <= INT32_MAX && shape->candidates >= 0 &&
           shape->farthest >= 0 && (shape->number == NUMBER_F32 || shape->number == NUMBER_F64) &&
           shape->residency >= RESIDENT && shape->residency <= STREAMED;
}

/* What of a work hangs on device and shape alone; *out: what it costs. */
static enum status work_design(const struct device *device, const struct shape *shape,
                               struct work *work, struct plan *out)
{
    struct plan plan = {};
    struct carver carver = {};
    int64_t row_bytes;

    if (!shape_fits(shape))
        return STATUS_UNSUPPORTED;
    assign_plan(device, shape, &plan);
    row_bytes = shape->columns * (int64_t)value_bytes(shape);
    work->shape = *shape;
    work->slot_bytes = (size_t)slot_bytes_of(shape);
    work->tile_rows = tile_rows_of(device, shape, plan.row_ns);
    assign_design(device, work);
    carve_work(&carver, work);
    if (carver.overflow)
        return STATUS_UNSUPPORTED;
    work->region_bytes = carver.used;
    work->pinned_bytes = SLOTS * work->slot_bytes;
    plan.device_work_bytes = (int64_t)work->region_bytes;
    plan.device_row_bytes = (int64_t)sizeof(int32_t) +
                            (shape->residency == STREAMED ? 0 : row_bytes) +
                            (shape->candidates > 0 ? (int64_t)sizeof(double) : 0) +
                            (shape->weighted ? (int64_t)sizeof(double) : 0);
    plan.pinned_bytes = (int64_t)work->pinned_bytes;
    plan.work_bytes = plan.pinned_bytes + (int64_t)sizeof(struct work) +
                      shape->columns * (int64_t)sizeof(struct column_scale);
    plan.tile_rows = work->tile_rows;
    plan.copy_ns = (double)row_bytes * device->byte_ns;
    *out = plan;
    return STATUS_OK;
}

enum status cuda_plan(const struct device *device, const struct shape *shape, struct plan *out)
{
    struct work work = {};

    return work_design(device, shape, &work, out);
}

static enum status events_make(struct device *device, struct work *work)
{
    enum status status = STATUS_OK;

    for (int i = 0; i < SLOTS; i++)
        CUDA_TRY(device, cudaEventCreateWithFlags(&work->slot[i].done, cudaEventDisableTiming));
    for (int i = 0; i < 2; i++) {
        struct staging *staging = &work->staging[i];
        CUDA_TRY(device, cudaEventCreateWithFlags(&staging->full, cudaEventDisableTiming));
        CUDA_TRY(device, cudaEventCreateWithFlags(&staging->done, cudaEventDisableTiming));
        CUDA_TRY(device, cudaEventRecord(staging->done, device->compute));
    }
out:
    return status;
}

static enum status memory_take(struct device *device, struct work *work)
{
    struct carver carver = {};
    enum status status;

    CUDA_TRY(device, cudaMalloc((void **)&work->region, work->region_bytes));
    CUDA_TRY(device, cudaMallocHost((void **)&work->pinned, work->pinned_bytes));
    memset(work->pinned, 0, work->pinned_bytes);
    CUDA_TRY(device, cudaMemsetAsync(work->region, 0, work->region_bytes, device->compute));
    carver.base = work->region;
    carve_work(&carver, work);
    assert(carver.used == work->region_bytes);
    for (int i = 0; i < SLOTS; i++)
        work->slot[i].host =
            reinterpret_cast<struct slot_head *>(work->pinned + (size_t)i * work->slot_bytes);
out:
    return status;
}

enum status cuda_work_open(struct device *device, const struct shape *shape, struct work **out)
{
    struct work *work = (struct work *)calloc(1, sizeof *work);
    struct plan plan;
    enum status status;

    if (!work)
        return STATUS_OUT_OF_MEMORY;
    work->device = device;
    TRY(work_design(device, shape, work, &plan));
    work->host_scale =
        (struct column_scale *)calloc((size_t)shape->columns, sizeof *work->host_scale);
    if (!work->host_scale)
        TRY(STATUS_OUT_OF_MEMORY);
    TRY(device_enter(device));
    TRY(memory_take(device, work));
    TRY(events_make(device, work)); /* staging may be filled once the zeros are written */
    TRY(assign_open(work));
    *out = work;
    work = NULL;
out:
    cuda_work_close(&work);
    return status;
}

enum status region_give(struct device *device, char *region, size_t bytes)
{
    enum status status = STATUS_OK;

    if (!region)
        return STATUS_OK;
    TRY(device_leave(device));
    CUDA_TRY(device, cudaMemsetAsync(region, 0, bytes, device->compute));
    CUDA_TRY(device, cudaStreamSynchronize(device->compute));
    CUDA_TRY(device, cudaFree(region));
out:
    return status;
}

static void events_end(struct work *work)
{
    for (int i = 0; i < SLOTS; i++)
        if (work->slot[i].done)
            cudaEventDestroy(work->slot[i].done);
    for (int i = 0; i < 2; i++) {
        if (work->staging[i].full)
            cudaEventDestroy(work->staging[i].full);
        if (work->staging[i].done)
            cudaEventDestroy(work->staging[i].done);
    }
}

/* All that held the user's values, once nothing is queued that touches it. */
static enum status memory_give(struct work *work)
{
    struct device *device = work->device;
    enum status status;

    TRY(region_give(device, work->region, work->region_bytes));
    if (work->pinned) {
        memset(work->pinned, 0, work->pinned_bytes);
        CUDA_TRY(device, cudaFreeHost(work->pinned));
    }
out:
    return status;
}

static enum status work_end(struct work *work)
{
    struct device *device = work->device;
    enum status status;

    TRY(device_leave(device));
    CUDA_TRY(device, cudaStreamSynchronize(device->copy));
    CUDA_TRY(device, cudaStreamSynchronize(device->compute));
    events_end(work);
out:
    return status;
}

void cuda_work_close(struct work **work)
{
    if (!work || !*work)
        return;
    enum status ended = work_end(*work);
    assign_close(*work);
    if (ended == STATUS_OK)
        memory_give(*work); /* what cannot be given back stays with the context */
    free((*work)->host_scale);
    free(*work);
    *work = NULL;
}

static void carve_block(struct carver *carver, const struct work *work, struct block *block)
{
    int64_t rows = block->rows.count;
    bool resident = work->shape.residency != STREAMED, seeds = work->shape.candidates > 0;

    block->values =
        resident ? carve_bytes(carver, rows, work->shape.columns, value_bytes(&work->shape)) : NULL;
    carve(carver, &block->weight, block->rows.weight ? rows : 0, 1);
    carve(carver, &block->seed, seeds ? rows : 0, 1);
    carve(carver, &block->label, rows, 1);
    if (!block->rows.weight)
        block->weight = NULL;
    if (!seeds)
        block->seed = NULL;
}

static enum status block_take(struct work *work, struct block *block)
{
    struct carver count = {}, hand = {};
    enum status status;

    carve_block(&count, work, block);
    if (count.overflow)
        return STATUS_OUT_OF_MEMORY;
    block->region_bytes = count.used + LINE; /* cudaMalloc gives nothing for nothing */
    CUDA_TRY(work->device, cudaMalloc((void **)&block->region, block->region_bytes));
    hand.base = block->region;
    carve_block(&hand, work, block);
out:
    return status;
}

static enum status block_fill(struct work *work, struct block *block)
{
    struct device *device = work->device;
    size_t rows = (size_t)block->rows.count;
    enum status status = STATUS_OK;

    if (rows == 0)
        return STATUS_OK;
    if (block->values)
        TRY(upload(device, device->compute, block->values, block->rows.values,
                   rows * (size_t)work->shape.columns * value_bytes(&work->shape)));
    if (block->weight)
        TRY(upload(device, device->compute, block->weight, block->rows.weight,
                   rows * sizeof(double)));
    CUDA_TRY(device, cudaMemsetAsync(block->label, 0xff, rows * sizeof(int32_t), device->compute));
    if (block->seed)
        TRY(cuda_seed_reset(work, block, 1.0));
out:
    return status;
}

enum status cuda_load(struct work *work, const struct rows *rows, struct block **out)
{
    struct block *block = (struct block *)calloc(1, sizeof *block);
    enum status status;

    assert(!rows->weight || work->shape.weighted);
    if (!block)
        return STATUS_OUT_OF_MEMORY;
    block->rows = *rows;
    TRY(device_enter(work->device));
    TRY(block_take(work, block));
    TRY(block_fill(work, block));
    *out = block;
    block = NULL;
out:
    cuda_unload(work, &block);
    return status;
}

void cuda_unload(struct work *work, struct block **block)
{
    if (!*block)
        return;
    region_give(work->device, (*block)->region, (*block)->region_bytes);
    free(*block);
    *block = NULL;
}
