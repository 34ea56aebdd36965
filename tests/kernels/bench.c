/* bench.c - a backend with a sample's rows in it, and the passes over all of them. */
#include "kernels/cpu/cpu.h"
#include "tests/kernels/sample.h"
#include "tests/tested.h"

struct device *device_of_ref(void)
{
    struct device *device = NULL;

    backend_ref.open(0, NULL, &device, NULL);
    return device;
}

struct device *device_of_cpu(const char *isa, int threads)
{
    const struct device_options options = {.threads = threads, .isa = isa};
    struct device *device = NULL;

    backend_cpu.open(0, &options, &device, NULL);
    return device;
}

const char *const *levels_here(void)
{
    static const char *const all[] = {"avx512", "avx2", "neon", "plain", "wide"};
    static const char *here[6];
    char why[128];
    int count = 0;

    for (int i = 0; i < 5; i++)
        if (lanes_choose(all[i], why))
            here[count++] = all[i];
    here[count] = NULL;
    return here;
}

int sides(void)
{
    return tested_backend() ? 3 : 2;
}

const struct backend *tested_side(int tile_rows, struct device **device)
{
    const struct backend *backend = tested_backend();

    *device = backend ? tested_device(tile_rows) : NULL;
    return backend;
}

const struct backend *side(int i, struct device **device)
{
    if (i == 2)
        return tested_side(0, device);
    *device = i == 0 ? device_of_ref() : device_of_cpu(NULL, 2);
    return i == 0 ? &backend_ref : &backend_cpu;
}

void side_close(int i, struct device **device)
{
    if (i < 2)
        (i == 0 ? &backend_ref : &backend_cpu)->close(device);
    *device = NULL;
}

void settle(struct check *check, const struct backend *backend, struct work *work)
{
    check_equal_i64(check, backend->wait(work), STATUS_OK);
}

void bench_settle(const struct bench *bench)
{
    settle(bench->check, bench->backend, bench->work);
}

bool bench_open(struct check *check, struct bench *bench, const struct backend *backend,
                struct device *device, const struct sample *sample, int64_t cut, int64_t tile)
{
    const struct shape *shape = &sample->layout.shape;
    size_t size = shape->number == NUMBER_F32 ? 4 : 8;

    *bench = (struct bench){.check = check,
                            .backend = backend,
                            .device = device,
                            .sample = sample,
                            .cut = cut,
                            .tile = tile};
    if (!check_true(check, device != NULL) ||
        !check_equal_i64(check, backend->work_open(device, shape, &bench->work), STATUS_OK))
        return false;
    bench->blocks = (int)((shape->rows + cut - 1) / cut);
    bench->block = calloc((size_t)bench->blocks + 1, sizeof *bench->block);
    bench->rows = calloc((size_t)bench->blocks + 1, sizeof *bench->rows);
    for (int i = 0; i < bench->blocks; i++) {
        int64_t first = i * cut, left = shape->rows - first;
        bench->rows[i] = (struct rows){.values = (const char *)sample->values +
                                                 (size_t)(first * shape->columns) * size,
                                       .weight = sample->weight ? sample->weight + first : NULL,
                                       .first = FIRST_ROW + first,
                                       .count = left < cut ? left : cut};
        check_equal_i64(check, backend->load(bench->work, &bench->rows[i], &bench->block[i]),
                        STATUS_OK);
    }
    check_equal_i64(check, backend->grid_set(bench->work, &sample->grid), STATUS_OK);
    return true;
}

void bench_close(struct bench *bench)
{
    for (int i = 0; i < bench->blocks; i++)
        bench->backend->unload(bench->work, &bench->block[i]);
    bench->backend->work_close(&bench->work);
    free(bench->block);
    free(bench->rows);
}

struct tile_cursor bench_tiles(const struct bench *bench)
{
    return tile_cursor(bench->block, bench->rows, bench->blocks, bench->tile);
}

void bench_assign(const struct bench *bench, const double *centers, bool sums)
{
    struct tile_cursor cursor = bench_tiles(bench);
    struct tile tile;

    bench->backend->begin(bench->work, centers);
    while (tile_next(&cursor, &tile))
        bench->backend->assign(bench->work, tile.block, tile.first, tile.count, sums);
    bench_settle(bench);
}

void bench_labels(const struct bench *bench, int32_t *out)
{
    struct tile_cursor cursor = bench_tiles(bench);
    struct tile tile;

    while (tile_next(&cursor, &tile))
        bench->backend->labels_read(bench->work, tile.block, tile.first, tile.count,
                                    out + (tile.row - FIRST_ROW));
    bench_settle(bench);
}

struct sums sums_new(const struct shape *shape)
{
    size_t k = (size_t)shape->clusters, d = (size_t)shape->columns;

    return (struct sums){.sum = guarded_new(k * d * sizeof(int128)),
                         .weight = guarded_new(k * sizeof(int128)),
                         .count = guarded_new(k * sizeof(int64_t))};
}

void sums_free(struct sums *sums)
{
    guarded_free(sums->sum);
    guarded_free(sums->weight);
    guarded_free(sums->count);
}
