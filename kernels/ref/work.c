/* work.c - opening works and blocks, and what goes in and out of them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/ref/work.h"

void *carve(struct carver *carver, int64_t count, int64_t each, size_t size)
{
    size_t bytes, end, at = carver->used;

    carver->overflow |= __builtin_mul_overflow((size_t)count, (size_t)each, &bytes) ||
                        __builtin_mul_overflow(bytes, size, &bytes) ||
                        __builtin_add_overflow(at, bytes, &end) || end > SIZE_MAX / 2 - 63;
    if (carver->overflow)
        return NULL;
    carver->used = (end + 63) & ~(size_t)63;
    return carver->base ? carver->base + at : NULL;
}

void carve_work(struct carver *carver, struct work *work)
{
    int64_t k = work->shape.clusters, d = work->shape.columns;

    work->sum = carve(carver, k, d, sizeof(int128));
    work->weight = carve(carver, k, 1, sizeof(int128));
    work->count = carve(carver, k, 1, sizeof(int64_t));
    work->centers = carve(carver, k, d, sizeof(double));
    work->row = carve(carver, d, 1, sizeof(double));
    work->exponent = carve(carver, d, 1, sizeof(int32_t));
}

void *region_new(size_t bytes)
{
    size_t whole = (bytes + 63) & ~(size_t)63;
    void *region = aligned_alloc(64, whole ? whole : 64);

    if (region)
        memset(region, 0, whole);
    return region;
}

enum status shape_check(const struct shape *shape)
{
    if (shape->rows < 0 || shape->columns < 1 || shape->clusters < 1 ||
        shape->clusters > INT32_MAX || shape->candidates < 0 || shape->farthest < 0)
        return STATUS_UNSUPPORTED;
    if (shape->number != NUMBER_F32 && shape->number != NUMBER_F64)
        return STATUS_UNSUPPORTED;
    return STATUS_OK;
}

enum status refuse(struct refusal *why, enum status status, enum device_reason reason,
                   const char *text)
{
    if (why) {
        why->reason = reason;
        snprintf(why->text, sizeof why->text, "%s", text);
    }
    return status;
}

void ref_failure(const struct device *device, struct refusal *out)
{
    (void)device;
    *out = (struct refusal){.reason = REASON_NONE};
}

int64_t tile_rows_for(double row_ns)
{
    double rows = TILE_MS_MAX * 1e6 / row_ns;

    return rows >= TILE_ROWS_MAX ? TILE_ROWS_MAX : rows >= 1 ? (int64_t)rows : 1;
}

/* One allocation: the struct, then what hangs on its rows. */
static size_t block_layout(const struct work *work, bool with_old, char *base, struct block *block,
                           bool *overflow)
{
    struct carver carver = {.base = base};
    int64_t rows = block->rows.count, seeds = work->shape.candidates > 0 ? rows : 0;

    carve(&carver, 1, 1, sizeof *block);
    block->seed = carve(&carver, seeds, 1, sizeof *block->seed);
    block->label = carve(&carver, rows, 1, sizeof *block->label);
    block->old = carve(&carver, with_old ? rows : 0, 1, sizeof *block->old);
    if (seeds == 0)
        block->seed = NULL;
    if (!with_old)
        block->old = NULL;
    *overflow = carver.overflow;
    return carver.used;
}

enum status block_new(struct work *work, const struct rows *rows, bool with_old, struct block **out)
{
    struct block header = {.rows = *rows};
    bool overflow;
    size_t bytes = block_layout(work, with_old, NULL, &header, &overflow);
    char *region = overflow ? NULL : region_new(bytes);

    if (!region)
        return STATUS_OUT_OF_MEMORY;
    block_layout(work, with_old, region, &header, &overflow);
    for (int64_t i = 0; i < rows->count; i++)
        header.label[i] = -1;
    for (int64_t i = 0; header.seed && i < rows->count; i++)
        header.seed[i] = 1.0;
    *out = (struct block *)region;
    **out = header;
    return STATUS_OK;
}

enum status ref_load(struct work *work, const struct rows *rows, struct block **out)
{
    return block_new(work, rows, false, out);
}

void ref_unload(struct work *work, struct block **block)
{
    (void)work;
    if (*block)
        free(*block);
    *block = NULL;
}

enum status ref_wait(struct work *work)
{
    (void)work;
    return STATUS_OK;
}

enum status ref_grid_set(struct work *work, const struct grid *grid)
{
    memcpy(work->exponent, grid->column, (size_t)work->shape.columns * sizeof *work->exponent);
    work->grid = (struct grid){.column = work->exponent, .weight = grid->weight};
    return STATUS_OK;
}

enum status ref_begin(struct work *work, const double *centers)
{
    size_t values = (size_t)(work->shape.clusters * work->shape.columns);

    memcpy(work->centers, centers, values * sizeof *centers);
    work->assigned = (struct assigned){0};
    return STATUS_OK;
}

enum status ref_assigned(struct work *work, struct assigned *out)
{
    *out = work->assigned;
    return STATUS_OK;
}

enum status ref_labels_read(struct work *work, struct block *block, int64_t first, int64_t count,
                            int32_t *out)
{
    (void)work;
    tile_check(block, first, count);
    memcpy(out, block->label + first, (size_t)count * sizeof *out);
    return STATUS_OK;
}

enum status ref_labels_write(struct work *work, struct block *block, int64_t first, int64_t count,
                             const int32_t *labels)
{
    (void)work;
    tile_check(block, first, count);
    memcpy(block->label + first, labels, (size_t)count * sizeof *labels);
    return STATUS_OK;
}

enum status ref_sums_read(struct work *work, struct sums *out)
{
    size_t k = (size_t)work->shape.clusters, d = (size_t)work->shape.columns;

    memcpy(out->sum, work->sum, k * d * sizeof *out->sum);
    memcpy(out->weight, work->weight, k * sizeof *out->weight);
    memcpy(out->count, work->count, k * sizeof *out->count);
    out->fingerprint = work->fingerprint;
    return STATUS_OK;
}

enum status ref_sums_write(struct work *work, const struct sums *in)
{
    size_t k = (size_t)work->shape.clusters, d = (size_t)work->shape.columns;

    memcpy(work->sum, in->sum, k * d * sizeof *in->sum);
    memcpy(work->weight, in->weight, k * sizeof *in->weight);
    memcpy(work->count, in->count, k * sizeof *in->count);
    work->fingerprint = in->fingerprint;
    return STATUS_OK;
}

enum status ref_gather(struct work *work, struct block *block, int64_t row, double *out)
{
    tile_check(block, row, 1);
    for (int64_t d = 0; d < work->shape.columns; d++)
        out[d] = row_value(work, block, row, d);
    return STATUS_OK;
}
