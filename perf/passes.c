/* passes.c - every pass of a backend by itself, over tiles, as a fit calls it.
 *
 * perf_passes BACKEND SECONDS SEED [SHAPE...]: a line of JSON for each pass of each shape: median, 10th
 * and 90th percentile of the time from the first tile's call to the end of `wait`, what it reads and
 * writes at least, and its (row, centroid, column) products. A pass is warmed up, then run until it
 * has had SECONDS or 30 runs. Rows are resident before the clock starts. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/clock.h"
#include "host/base/machine.h"
#include "host/base/memory.h"
#include "kernels/grid.h"
#include "perf/place.h"
#include "perf/rows.h"

enum { WARM = 3, RUNS = 30, CANDIDATES = 8, FARTHEST = 64, DISTANCE_ROWS = 4096 };

static const struct shape_row {
    const char *name;
    int64_t rows, columns, clusters;
    enum number number;
    enum rows_kind kind;
} shapes[] = {
    {"tiny", 1500, 7, 5, NUMBER_F32, ROWS_NORMAL},
    {"tiny-f64", 700, 33, 40, NUMBER_F64, ROWS_TWINS},
    {"small", 1000000, 16, 10, NUMBER_F32, ROWS_BLOBS},
    {"plain", 1000000, 64, 64, NUMBER_F32, ROWS_NORMAL},
    {"wide", 100000, 784, 100, NUMBER_F32, ROWS_NORMAL},
    {"many", 1048576, 128, 1024, NUMBER_F32, ROWS_NORMAL},
    {"offset", 1000000, 64, 64, NUMBER_F32, ROWS_OFFSET},
    {"twins-f64", 1000000, 32, 64, NUMBER_F64, ROWS_TWINS},
};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

/* One shape on one device. */
struct bench {
    struct place place;
    const struct shape_row *row;
    struct shape shape;
    struct plan plan;
    struct work *work;
    struct block *block;
    struct rows rows;
    void *values;
    double *centers, *far_values, *distances;
    int32_t *labels, *exponent;
    struct column_facts *column;
    struct moments *moments;
    struct sums sums;
    struct far_row far[FARTHEST];
    int32_t L; /* of the seeding distances, then of the inertia */
};

static enum status each_tile(struct bench *bench,
                             enum status (*call)(struct bench *, int64_t first, int64_t count))
{
    enum status status = STATUS_OK, idle;
    struct tile_cursor cursor = tile_cursor(&bench->block, &bench->rows, 1, bench->plan.tile_rows);
    struct tile tile;

    while (status == STATUS_OK && tile_next(&cursor, &tile))
        status = call(bench, tile.first, tile.count);
    idle = bench->place.backend->wait(bench->work);
    return status != STATUS_OK ? status : idle;
}

static enum status facts_tile(struct bench *bench, int64_t first, int64_t count)
{
    struct facts *facts =
        (struct facts *)bench->distances; /* room that facts may fill until wait */

    if (first == 0)
        facts_init(facts, bench->column, bench->shape.columns);
    return bench->place.backend->facts(bench->work, bench->block, first, count, facts);
}

static enum status moments_tile(struct bench *bench, int64_t first, int64_t count)
{
    int64_t columns = bench->shape.columns;

    if (first == 0)
        memset(bench->moments, 0, (size_t)columns * sizeof *bench->moments);
    return bench->place.backend->moments(bench->work, bench->block, first, count, 0, columns,
                                         bench->moments);
}

static enum status take_tile(struct bench *bench, int64_t first, int64_t count)
{
    return bench->place.backend->seed_take(bench->work, bench->block, first, count, bench->centers,
                                           true, bench->distances);
}

static enum status total_tile(struct bench *bench, int64_t first, int64_t count)
{
    return bench->place.backend->seed_total(bench->work, bench->block, first, count, bench->L,
                                            bench->sums.sum);
}

static enum status try_tile(struct bench *bench, int64_t first, int64_t count)
{
    return bench->place.backend->seed_try(bench->work, bench->block, first, count, bench->centers,
                                          bench->shape.candidates, false, bench->L,
                                          bench->sums.sum);
}

static enum status assign_tile(struct bench *bench, int64_t first, int64_t count)
{
    return bench->place.backend->assign(bench->work, bench->block, first, count, true);
}

static enum status inertia_tile(struct bench *bench, int64_t first, int64_t count)
{
    return bench->place.backend->inertia(bench->work, bench->block, first, count, bench->L,
                                         bench->sums.sum, NULL);
}

static enum status farthest_tile(struct bench *bench, int64_t first, int64_t count)
{
    static const int none = 0;
    int *held = (int *)bench->distances;

    if (first == 0)
        *held = none;
    return bench->place.backend->farthest(bench->work, bench->block, first, count, FARTHEST,
                                          bench->far, bench->far_values, held);
}

static enum status distances_tile(struct bench *bench, int64_t first, int64_t count)
{
    if (first != 0)
        return STATUS_OK;
    return bench->place.backend->distances(bench->work, bench->block, 0,
                                           count < DISTANCE_ROWS ? count : DISTANCE_ROWS,
                                           bench->distances);
}

/* Before each run of a pass. */
static enum status nothing(struct bench *bench)
{
    (void)bench;
    return STATUS_OK;
}

static enum status largest_reset(struct bench *bench)
{
    bench->distances[0] = 0;
    return STATUS_OK;
}

static enum status begin(struct bench *bench)
{
    return bench->place.backend->begin(bench->work, bench->centers);
}

/* As before the first round: no labels, empty sums. */
static enum status forget(struct bench *bench)
{
    const struct backend *backend = bench->place.backend;
    size_t k = (size_t)bench->shape.clusters, d = (size_t)bench->shape.columns;
    enum status status;

    memset(bench->labels, 0xff, (size_t)bench->shape.rows * sizeof *bench->labels);
    memset(bench->sums.sum, 0, k * d * sizeof *bench->sums.sum);
    memset(bench->sums.weight, 0, k * sizeof *bench->sums.weight);
    memset(bench->sums.count, 0, k * sizeof *bench->sums.count);
    bench->sums.fingerprint = 0;
    status = backend->labels_write(bench->work, bench->block, 0, bench->shape.rows, bench->labels);
    if (status == STATUS_OK)
        status = backend->sums_write(bench->work, &bench->sums);
    if (status == STATUS_OK)
        status = backend->wait(bench->work);
    return status == STATUS_OK ? begin(bench) : status;
}

static enum status inertia_grid(struct bench *bench)
{
    struct assigned assigned;
    enum status status = bench->place.backend->assigned(bench->work, &assigned);

    if (status == STATUS_OK)
        bench->L = grid_exponent(assigned.largest_term);
    return status;
}

/* In the order of a fit. values: reads of all values; bytes, products: of a row beside and with them. */
static const struct pass {
    const char *name;
    enum status (*before)(struct bench *bench);
    enum status (*tile)(struct bench *bench, int64_t first, int64_t count);
    double bytes;   /* of a row beside its values */
    int per_center; /* products: 0 none, 1 one center, 2 all, 3 the candidates */
    bool values, few_rows;
} passes[] = {
    {"facts", nothing, facts_tile, 0, 0, true, false},
    {"moments", nothing, moments_tile, 0, 0, true, false},
    {"seed_take", largest_reset, take_tile, 16, 1, true, false},
    {"seed_total", nothing, total_tile, 8, 0, false, false},
    {"seed_try", nothing, try_tile, 8, 3, true, false},
    {"assign_first", forget, assign_tile, 8, 2, true, false},
    {"assign_again", begin, assign_tile, 4, 2, true, false},
    {"inertia", inertia_grid, inertia_tile, 4, 1, true, false},
    {"farthest", nothing, farthest_tile, 4, 1, true, false},
    {"distances", nothing, distances_tile, 0, 2, true, true},
};

static double products(const struct bench *bench, const struct pass *pass)
{
    const double centers[] = {0, 1, (double)bench->shape.clusters, bench->shape.candidates};

    return centers[pass->per_center] * (double)bench->shape.columns;
}

static int compare(const void *a, const void *b)
{
    const double *left = a, *right = b;
    return (*left > *right) - (*left < *right);
}

static void say(const struct bench *bench, const struct pass *pass, double *ns, int runs)
{
    double rows = (double)bench->shape.rows;
    double size = bench->shape.number == NUMBER_F32 ? 4 : 8;

    if (pass->few_rows && rows > DISTANCE_ROWS)
        rows = DISTANCE_ROWS;
    qsort(ns, (size_t)runs, sizeof *ns, compare);
    double bytes = rows * (pass->bytes + (pass->values ? size * (double)bench->shape.columns : 0));
    printf("{\"shape\": \"%s\", \"data\": \"%s\", \"pass\": \"%s\", \"backend\": \"%s\", "
           "\"method\": \"%s\", \"rows\": %.0f, \"columns\": %" PRId64 ", \"clusters\": %" PRId64
           ", \"number\": \"%s\", \"runs\": %d, \"median_ns\": %.0f, \"p10_ns\": %.0f, "
           "\"p90_ns\": %.0f, \"bytes\": %.0f, \"gb_s\": %.3f, \"products\": %.0f, "
           "\"gproducts_s\": %.3f}\n",
           bench->row->name, rows_names[bench->row->kind], pass->name, bench->place.backend->name,
           bench->plan.method, rows, bench->shape.columns, bench->shape.clusters,
           size == 4 ? "float32" : "float64", runs, ns[runs / 2], ns[runs / 10],
           ns[runs - 1 - runs / 10], bytes, bytes / ns[runs / 2], rows * products(bench, pass),
           rows * products(bench, pass) / ns[runs / 2]);
    fflush(stdout);
}

static enum status measure(struct bench *bench, const struct pass *pass, double seconds)
{
    double ns[RUNS];
    int64_t until = clock_ns() + (int64_t)(seconds * 1e9);
    int runs = 0;

    for (int run = 0; run < WARM + RUNS && (run <= WARM || clock_ns() < until); run++) {
        enum status status = pass->before(bench);
        int64_t begun = clock_ns();
        if (status == STATUS_OK)
            status = each_tile(bench, pass->tile);
        if (status != STATUS_OK)
            return status;
        if (run >= WARM)
            ns[runs++] = (double)(clock_ns() - begun);
    }
    say(bench, pass, ns, runs);
    return STATUS_OK;
}

/* All memory of a shape. */
static bool memory_take(struct bench *bench)
{
    size_t n = (size_t)bench->shape.rows, d = (size_t)bench->shape.columns;
    size_t k = (size_t)bench->shape.clusters, size = bench->shape.number == NUMBER_F32 ? 4 : 8;

    bench->values = memory_new(n * d, size);
    bench->centers = memory_new(k * d, sizeof(double));
    bench->far_values = memory_new(FARTHEST * d, sizeof(double));
    bench->distances = memory_zeroed(DISTANCE_ROWS * k + sizeof(struct facts), sizeof(double));
    bench->labels = memory_new(n, sizeof *bench->labels);
    bench->exponent = memory_new(d, sizeof *bench->exponent);
    bench->column = memory_new(d, sizeof *bench->column);
    bench->moments = memory_new(d, sizeof *bench->moments);
    bench->sums.sum = memory_zeroed(k * d + CANDIDATES, sizeof *bench->sums.sum);
    bench->sums.weight = memory_zeroed(k, sizeof *bench->sums.weight);
    bench->sums.count = memory_zeroed(k, sizeof *bench->sums.count);
    return bench->values && bench->centers && bench->far_values && bench->distances &&
           bench->labels && bench->exponent && bench->column && bench->moments && bench->sums.sum &&
           bench->sums.weight && bench->sums.count;
}

static void memory_return(struct bench *bench)
{
    void *all[] = {bench->values,   bench->centers,     bench->far_values, bench->distances,
                   bench->labels,   bench->exponent,    bench->column,     bench->moments,
                   bench->sums.sum, bench->sums.weight, bench->sums.count};

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        memory_free(all[i]);
}

/* Rows on the device, the grid set, seeding distances known: what the passes stand on. */
static enum status ready(struct bench *bench, uint64_t seed)
{
    const struct backend *backend = bench->place.backend;
    const struct grid grid = {.column = bench->exponent, .weight = 0};
    enum status status = backend->plan(bench->place.device, &bench->shape, &bench->plan);

    rows_fill(bench->row->kind, seed, bench->shape.number, bench->shape.rows, bench->shape.columns,
              bench->values);
    for (int64_t j = 0; j < bench->shape.clusters; j++)
        rows_one(bench->shape.number, bench->values,
                 j * (bench->shape.rows / bench->shape.clusters), bench->shape.columns,
                 bench->centers + j * bench->shape.columns);
    for (int64_t d = 0; d < bench->shape.columns; d++)
        bench->exponent[d] = 14; /* 2^14 is above the greatest offset */
    bench->rows = (struct rows){.values = bench->values, .count = bench->shape.rows};
    if (status == STATUS_OK)
        status = backend->work_open(bench->place.device, &bench->shape, &bench->work);
    if (status == STATUS_OK)
        status = backend->load(bench->work, &bench->rows, &bench->block);
    if (status == STATUS_OK)
        status = backend->grid_set(bench->work, &grid);
    if (status == STATUS_OK)
        status = each_tile(bench, take_tile);
    if (status == STATUS_OK)
        bench->L = grid_exponent(bench->distances[0]);
    return status;
}

static bool shape_run(const struct place *place, const struct shape_row *row, double seconds,
                      uint64_t seed)
{
    struct bench bench = {.place = *place, .row = row};
    enum status status = STATUS_OUT_OF_MEMORY;

    bench.shape =
        (struct shape){.rows = row->rows,
                       .columns = row->columns,
                       .clusters = row->clusters,
                       .number = row->number,
                       .candidates = (int)(row->clusters < CANDIDATES ? row->clusters : CANDIDATES),
                       .farthest = FARTHEST};
    if (memory_take(&bench))
        status = ready(&bench, seed);
    for (size_t p = 0; status == STATUS_OK && p < sizeof passes / sizeof passes[0]; p++)
        status = measure(&bench, &passes[p], seconds);
    if (bench.block)
        place->backend->unload(bench.work, &bench.block);
    place->backend->work_close(&bench.work);
    memory_return(&bench);
    if (status != STATUS_OK)
        fprintf(stderr, "perf_passes: %s ended with status %d\n", row->name, (int)status);
    return status == STATUS_OK;
}

int main(int argc, char **argv)
{
    struct place place;
    bool right = true;

    machine_wait_quietly(argv);
    if (argc < 4) {
        fprintf(stderr, "usage: perf_passes BACKEND SECONDS SEED [SHAPE...]; shapes:");
        for (int i = 0; i < SHAPES; i++)
            fprintf(stderr, " %s", shapes[i].name);
        fprintf(stderr, "\n");
        return 2;
    }
    if (!place_open(argv[1], 0, &place))
        return 2;
    for (int i = 0; i < SHAPES; i++)
        if (name_wanted(shapes[i].name, argc - 4, argv + 4))
            right &=
                shape_run(&place, &shapes[i], strtod(argv[2], NULL), strtoull(argv[3], NULL, 0));
    place_close(&place);
    return right ? 0 : 1;
}
