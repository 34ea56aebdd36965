/* tiles.c - one loop over tiles for all passes. */
#include "host/cluster/tiles.h"

#include <math.h>
#include <string.h>

#include "host/base/memory.h"

enum { RETRY_MS = 1000 };

enum status device_failed(const struct backend *backend, enum status status, const char *what,
                          int64_t bytes, struct error *error)
{
    switch (status) {
    case STATUS_OK:
        return STATUS_OK;
    case STATUS_OUT_OF_MEMORY:
        return FAIL(error, OUT_OF_MEMORY, TEXT("what", what), INT("needed", bytes),
                    INT("retry_ms", RETRY_MS));
    case STATUS_DEVICE_LOST:
        return FAIL(error, DEVICE_LOST, TEXT("device", backend->name), TEXT("why", what),
                    INT("retry_ms", RETRY_MS));
    case STATUS_UNSUPPORTED:
        return FAIL(error, UNSUPPORTED, TEXT("what", what),
                    TEXT("why", "the device cannot hold data of this shape"));
    default:
        return FAIL(error, BUG, TEXT("error_id", what));
    }
}

bool plan_cost(const struct plan *plan, const struct shape *shape, double passes, struct cost *out)
{
    const double rows = (double)shape->rows, tile = (double)plan->tile_rows;
    const double copies = rows * plan->copy_ns;
    int64_t host, device;

    if (__builtin_mul_overflow(shape->rows, plan->row_bytes, &host) ||
        __builtin_add_overflow(host, plan->work_bytes, &host) ||
        __builtin_mul_overflow(shape->rows, plan->device_row_bytes, &device) ||
        __builtin_add_overflow(device, plan->device_work_bytes, &device))
        return false;
    *out = (struct cost){
        .host_bytes = host,
        .device_bytes = device,
        .pinned_bytes = plan->pinned_bytes,
        .expected_ns = passes * (ceil(rows / tile) * plan->tile_ns + rows * plan->row_ns) +
                       (shape->residency == STREAMED ? passes : 1) * copies,
        .quiet_ns = fmax(plan->tile_ns + tile * (plan->row_ns + plan->copy_ns), copies),
    };
    return true;
}

static int64_t tiles_of(const struct rows *rows, int64_t tile_rows)
{
    return rows->count / tile_rows + (rows->count % tile_rows != 0);
}

static enum status blocks_load(struct tiles *tiles, const struct matrix *matrix,
                               const double *weight, struct error *error)
{
    for (int i = 0; i < matrix->chunks; i++) {
        struct rows rows = matrix->chunk[i];
        if (rows.count == 0)
            continue;
        rows.weight = weight ? weight + rows.first : NULL;
        tiles->rows[tiles->blocks] = rows;
        enum status status = tiles->backend->load(tiles->work, &rows, &tiles->block[tiles->blocks]);
        if (status != STATUS_OK)
            return device_failed(tiles->backend, status, "loading rows",
                                 rows.count * tiles->plan.row_bytes, error);
        tiles->blocks++;
        tiles->count += tiles_of(&rows, tiles->plan.tile_rows);
    }
    return STATUS_OK;
}

enum status tiles_open(struct tiles *tiles, const struct backend *backend, struct device *device,
                       const char *name, const struct matrix *matrix, const double *weight,
                       const struct shape *shape, struct error *error)
{
    enum status status;
    size_t chunks = (size_t)(matrix->chunks > 0 ? matrix->chunks : 1);

    *tiles = (struct tiles){.backend = backend, .device = device, .name = name, .shape = *shape};
    TRY(device_failed(backend, backend->plan(device, shape, &tiles->plan), "this shape", 0, error));
    tiles->rows = memory_zeroed(chunks, sizeof *tiles->rows);
    tiles->block = memory_zeroed(chunks, sizeof *tiles->block);
    if (!tiles->rows || !tiles->block)
        TRY(device_failed(backend, STATUS_OUT_OF_MEMORY, "the list of blocks",
                          (int64_t)(chunks * (sizeof *tiles->rows + sizeof *tiles->block)), error));
    TRY(device_failed(backend, backend->work_open(device, shape, &tiles->work), "a device's work",
                      tiles->plan.work_bytes, error));
    TRY(blocks_load(tiles, matrix, weight, error));
out:
    if (status != STATUS_OK)
        tiles_close(tiles);
    return status;
}

void tiles_close(struct tiles *tiles)
{
    for (int i = 0; i < tiles->blocks; i++)
        tiles->backend->unload(tiles->work, &tiles->block[i]);
    if (tiles->work)
        tiles->backend->work_close(&tiles->work);
    memory_free(tiles->block);
    memory_free(tiles->rows);
    *tiles = (struct tiles){0};
}

static enum status turn_now(struct course *course, double from, double to, struct error *error)
{
    struct fit_progress *progress = &course->progress;

    if (!course->turn || !course->turn->fn)
        return STATUS_OK;
    double done = progress->rows > 0 ? (double)progress->rows_done / (double)progress->rows : 1;
    progress->fraction = from + (to - from) * done;
    return course->turn->fn(course->turn->context, progress, error);
}

enum status tiles_pass(const struct tiles *tiles, const struct pass *pass, struct course *course,
                       struct error *error)
{
    enum status status = STATUS_OK, idle;
    double to = course->from + (course->to - course->from) * pass->share;
    struct tile_cursor cursor =
        tile_cursor(tiles->block, tiles->rows, tiles->blocks, tiles->plan.tile_rows);
    struct tile tile;

    course->progress.rows = tiles->shape.rows;
    course->progress.rows_done = 0;
    for (int64_t number = 0; status == STATUS_OK && tile_next(&cursor, &tile); number++) {
        status = device_failed(tiles->backend, pass->tile(tiles, &tile, number, pass->context),
                               pass->what, 0, error);
        if (status != STATUS_OK)
            break;
        course->progress.rows_done += tile.count;
        status = turn_now(course, course->from, to, error);
    }
    idle = tiles->backend->wait(tiles->work);
    if (status == STATUS_OK)
        status = device_failed(tiles->backend, idle, pass->what, 0, error);
    if (status == STATUS_OK)
        course->from = to;
    return status;
}

/* The block that holds `row`: rows ascend and leave no gap. */
int tiles_block(const struct tiles *tiles, int64_t row)
{
    int low = 0, high = tiles->blocks - 1;

    while (low < high) {
        int middle = low + (high - low + 1) / 2;
        if (tiles->rows[middle].first <= row)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

enum status tiles_gather(const struct tiles *tiles, int64_t row, double *out, struct error *error)
{
    const struct backend *backend = tiles->backend;
    int index = tiles_block(tiles, row);
    enum status status =
        backend->gather(tiles->work, tiles->block[index], row - tiles->rows[index].first, out);

    if (status == STATUS_OK)
        status = backend->wait(tiles->work);
    for (int64_t d = 0; status == STATUS_OK && d < tiles->shape.columns; d++)
        out[d] += 0.0; /* -0 becomes +0 */
    return device_failed(backend, status, "gather", 0, error);
}

static enum status facts_tile(const struct tiles *tiles, const struct tile *tile, int64_t number,
                              void *context)
{
    (void)number;
    return tiles->backend->facts(tiles->work, tile->block, tile->first, tile->count, context);
}

enum status tiles_facts(const struct tiles *tiles, struct facts *facts, double share,
                        struct course *course, struct error *error)
{
    struct pass pass = {.what = "facts", .tile = facts_tile, .context = facts, .share = share};

    facts_init(facts, facts->column, tiles->shape.columns);
    return tiles_pass(tiles, &pass, course, error);
}

static enum status assign_tile(const struct tiles *tiles, const struct tile *tile, int64_t number,
                               void *context)
{
    const bool *sums = context;
    (void)number;
    return tiles->backend->assign(tiles->work, tile->block, tile->first, tile->count, *sums);
}

enum status tiles_assign(const struct tiles *tiles, const double *centers, bool sums,
                         struct assigned *out, double share, struct course *course,
                         struct error *error)
{
    enum status status;
    const struct backend *backend = tiles->backend;
    struct pass pass = {.what = "assign", .tile = assign_tile, .context = &sums, .share = share};

    TRY(device_failed(backend, backend->begin(tiles->work, centers), "begin", 0, error));
    TRY(tiles_pass(tiles, &pass, course, error));
    TRY(device_failed(backend, backend->assigned(tiles->work, out), "assigned", 0, error));
out:
    return status;
}

static enum status labels_tile(const struct tiles *tiles, const struct tile *tile, int64_t number,
                               void *context)
{
    int32_t *labels = context;
    (void)number;
    return tiles->backend->labels_read(tiles->work, tile->block, tile->first, tile->count,
                                       labels + tile->row);
}

enum status tiles_labels(const struct tiles *tiles, int32_t *labels, struct course *course,
                         struct error *error)
{
    struct pass pass = {.what = "labels", .tile = labels_tile, .context = labels, .share = 1};

    return tiles_pass(tiles, &pass, course, error);
}

struct inertia_asked {
    int32_t L;
    int128 *total, *per_cluster;
};

static enum status inertia_tile(const struct tiles *tiles, const struct tile *tile, int64_t number,
                                void *context)
{
    struct inertia_asked *asked = context;
    (void)number;
    return tiles->backend->inertia(tiles->work, tile->block, tile->first, tile->count, asked->L,
                                   asked->total, asked->per_cluster);
}

enum status tiles_inertia(const struct tiles *tiles, int32_t L, int128 *total, int128 *per_cluster,
                          double share, struct course *course, struct error *error)
{
    struct inertia_asked asked = {.L = L, .total = total, .per_cluster = per_cluster};
    struct pass pass = {.what = "inertia", .tile = inertia_tile, .context = &asked, .share = share};

    *total = 0;
    if (per_cluster)
        memset(per_cluster, 0, (size_t)tiles->shape.clusters * sizeof *per_cluster);
    return tiles_pass(tiles, &pass, course, error);
}
