/* trial.c - every pass of the seam over one sample, and all that came out. */
#include "tests/kernels/sample.h"

enum { DISTANCE_ROWS = 40 };

static void *piece_new(struct outcome *out, const char *name, size_t count)
{
    void *bytes = guarded_new(count);

    if (out->pieces == sizeof out->piece / sizeof out->piece[0])
        abort();
    out->piece[out->pieces++] = (struct piece){name, bytes, count};
    return bytes;
}

void outcome_deinit(struct outcome *outcome)
{
    for (int i = 0; i < outcome->pieces; i++)
        guarded_free(outcome->piece[i].bytes);
    outcome->pieces = 0;
}

void outcomes_equal(struct check *check, const struct outcome *got, const struct outcome *want)
{
    check_equal_i64(check, got->pieces, want->pieces);
    for (int i = 0; i < got->pieces; i++) {
        const struct piece *a = &got->piece[i], *b = &want->piece[i];
        const unsigned char *x = a->bytes, *y = b->bytes;
        size_t at = 0;

        while (at < a->count && x[at] == y[at])
            at++;
        if (at < a->count)
            check_failed(check, __FILE__, __LINE__, "%s differs at byte %zu of %zu", a->name, at,
                         a->count);
        if (!guarded_intact(a->bytes, a->count))
            check_failed(check, __FILE__, __LINE__, "%s was written beyond its end", a->name);
    }
}

#define EACH_TILE(bench, tile) \
    for (struct tile_cursor cursor = bench_tiles(bench); tile_next(&cursor, &(tile));)

static void facts_and_moments(const struct bench *bench, struct outcome *out)
{
    int64_t columns = bench->sample->layout.shape.columns, from = columns / 3;
    size_t d = (size_t)columns;
    struct column_facts *column = piece_new(out, "facts.column", d * sizeof *column);
    struct facts *facts = piece_new(out, "facts", sizeof *facts);
    struct moments *moments = piece_new(out, "moments", d * sizeof *moments);
    struct moments *some = piece_new(out, "moments of some columns", d * sizeof *some);
    struct tile tile;

    facts_init(facts, column, columns);
    EACH_TILE(bench, tile)
    {
        bench->backend->facts(bench->work, tile.block, tile.first, tile.count, facts);
        bench->backend->moments(bench->work, tile.block, tile.first, tile.count, 0, columns,
                                moments);
        bench->backend->moments(bench->work, tile.block, tile.first, tile.count, from,
                                columns - from, some);
    }
    bench_settle(bench);
    facts->column = NULL;
}

/* The index of a row from block and row within. */
static int64_t global(const struct tile *tile, int64_t row)
{
    return row < 0 ? -1 : tile->row + (row - tile->first);
}

static int64_t find(const struct bench *bench, int32_t L, int128 *rest)
{
    struct tile tile;
    int64_t row;

    EACH_TILE(bench, tile)
    {
        bench->backend->seed_find(bench->work, tile.block, tile.first, tile.count, L, rest, &row);
        bench_settle(bench);
        if (row >= 0)
            return global(&tile, row);
    }
    return -1;
}

static void finds(const struct bench *bench, int32_t L, int128 total, struct outcome *out)
{
    const int128 rests[] = {0, total / 3, total / 2, total - 1, total};
    int64_t *row = piece_new(out, "rows drawn", 5 * sizeof *row);
    int128 *rest = piece_new(out, "rests", 5 * sizeof *rest);

    for (int i = 0; i < 5; i++) {
        rest[i] = rests[i] < 0 ? 0 : rests[i];
        row[i] = find(bench, L, &rest[i]);
    }
}

static void take(const struct bench *bench, const double *center, bool first_center,
                 double *largest)
{
    struct tile tile;

    *largest = 0;
    EACH_TILE(bench, tile)
    {
        bench->backend->seed_take(bench->work, tile.block, tile.first, tile.count, center,
                                  first_center, largest);
    }
    bench_settle(bench);
}

static void tries(const struct bench *bench, int32_t L, struct outcome *out)
{
    const struct shape *shape = &bench->sample->layout.shape;
    int count = shape->candidates < shape->clusters ? shape->candidates : (int)shape->clusters;
    int128 *totals = piece_new(out, "tried", (size_t)shape->candidates * sizeof *totals);
    struct tile tile;

    EACH_TILE(bench, tile)
    {
        bench->backend->seed_try(bench->work, tile.block, tile.first, tile.count,
                                 bench->sample->centers[1], count, false, L, totals);
    }
    bench_settle(bench);
}

static void first_try(const struct bench *bench, int32_t L, struct outcome *out)
{
    int128 *totals = piece_new(out, "tried first", sizeof *totals);
    struct tile tile;

    EACH_TILE(bench, tile)
    {
        bench->backend->seed_try(bench->work, tile.block, tile.first, tile.count,
                                 bench->sample->centers[0], 1, true, L, totals);
    }
    bench_settle(bench);
}

static void seeding(const struct bench *bench, struct outcome *out)
{
    const struct shape *shape = &bench->sample->layout.shape;
    double *largest = piece_new(out, "largest potential", 4 * sizeof *largest);
    int128 *total = piece_new(out, "seed total", 3 * sizeof *total);
    const double *centers = bench->sample->centers[0];
    struct tile tile;

    for (int i = 0; i < bench->blocks; i++)
        bench->backend->seed_reset(bench->work, bench->block[i], 1.0);
    bench->backend->seed_mark(bench->work, bench->block[0], 0, 0.0);
    EACH_TILE(bench, tile)
    {
        bench->backend->seed_largest(bench->work, tile.block, tile.first, tile.count, &largest[0]);
        bench->backend->seed_total(bench->work, tile.block, tile.first, tile.count, 3, &total[0]);
    }
    bench_settle(bench);
    finds(bench, 3, total[0], out);
    take(bench, centers, true, &largest[1]);
    first_try(bench, grid_exponent(largest[1]), out);
    take(bench, centers + (shape->clusters - 1) * shape->columns, false, &largest[2]);
    int32_t L = grid_exponent(largest[2]);
    EACH_TILE(bench, tile)
    {
        bench->backend->seed_total(bench->work, tile.block, tile.first, tile.count, L, &total[1]);
    }
    bench_settle(bench);
    finds(bench, L, total[1], out);
    tries(bench, L, out);
}

static void keep_sums(const struct bench *bench, struct outcome *out)
{
    const struct shape *shape = &bench->sample->layout.shape;
    size_t k = (size_t)shape->clusters, d = (size_t)shape->columns;
    uint128 *fingerprint = piece_new(out, "fingerprint", sizeof *fingerprint);
    struct sums sums = {.sum = piece_new(out, "sums", k * d * sizeof(int128)),
                        .weight = piece_new(out, "weights", k * sizeof(int128)),
                        .count = piece_new(out, "counts", k * sizeof(int64_t))};

    bench->backend->sums_read(bench->work, &sums);
    *fingerprint = sums.fingerprint;
}

static void keep_round(const struct bench *bench, struct assigned *assigned, struct outcome *out)
{
    size_t rows = (size_t)bench->sample->layout.shape.rows;
    struct assigned *kept = piece_new(out, "assigned", sizeof *kept);

    bench_labels(bench, piece_new(out, "labels", rows * sizeof(int32_t)));
    bench->backend->assigned(bench->work, assigned);
    *kept = *assigned;
}

static void inertia(const struct bench *bench, int32_t L, struct outcome *out)
{
    size_t k = (size_t)bench->sample->layout.shape.clusters;
    int128 *total = piece_new(out, "inertia", 2 * sizeof *total);
    int128 *per_cluster = piece_new(out, "inertia per cluster", k * sizeof *per_cluster);
    struct tile tile;

    EACH_TILE(bench, tile)
    {
        bench->backend->inertia(bench->work, tile.block, tile.first, tile.count, L, &total[0],
                                per_cluster);
        bench->backend->inertia(bench->work, tile.block, tile.first, tile.count, L, &total[1],
                                NULL);
    }
    bench_settle(bench);
}

/* Padding within far_row is nobody's: its members are kept apart. */
static void farthest(const struct bench *bench, struct outcome *out)
{
    const struct shape *shape = &bench->sample->layout.shape;
    size_t most = (size_t)shape->farthest, d = (size_t)shape->columns;
    struct far_row *list = guarded_new(most * sizeof *list);
    double *values = piece_new(out, "far values", most * d * sizeof *values);
    double *members = piece_new(out, "far rows", most * 4 * sizeof *members);
    struct tile tile;
    int held = 0;

    EACH_TILE(bench, tile)
    {
        bench->backend->farthest(bench->work, tile.block, tile.first, tile.count, (int)most, list,
                                 values, &held);
    }
    bench_settle(bench);
    for (int i = 0; i < held; i++) {
        members[4 * i] = list[i].distance;
        members[4 * i + 1] = (double)list[i].row;
        members[4 * i + 2] = list[i].label;
        members[4 * i + 3] = list[i].weight;
    }
    memset(values + (size_t)held * d, 0, (most - (size_t)held) * d * sizeof *values);
    guarded_free(list);
}

/* Of the last rows of the last block, at an odd place. */
static void distances(const struct bench *bench, struct outcome *out)
{
    const struct shape *shape = &bench->sample->layout.shape;
    struct tile tile;
    int64_t kept = 0, most = shape->rows < DISTANCE_ROWS ? shape->rows : DISTANCE_ROWS;
    double *all = piece_new(out, "distances", (size_t)(most * shape->clusters) * sizeof *all);

    EACH_TILE(bench, tile)
    {
        int64_t here = most - kept < tile.count ? most - kept : tile.count;
        bench->backend->distances(bench->work, tile.block, tile.first, here,
                                  all + kept * shape->clusters);
        kept += here;
    }
    bench_settle(bench);
}

static void gather(const struct bench *bench, struct outcome *out)
{
    const struct shape *shape = &bench->sample->layout.shape;
    size_t d = (size_t)shape->columns;
    const int64_t rows[] = {0, shape->rows / 2, shape->rows - 1};
    double *values = piece_new(out, "gathered", 3 * d * sizeof *values);

    for (size_t i = 0; i < 3; i++)
        bench->backend->gather(bench->work, bench->block[rows[i] / bench->cut],
                               rows[i] % bench->cut, values + i * d);
    bench_settle(bench);
}

void trial(struct check *check, const struct backend *backend, struct device *device,
           const struct sample *sample, int64_t cut, int64_t tile, struct outcome *out)
{
    struct bench bench;
    struct assigned assigned;

    if (!bench_open(check, &bench, backend, device, sample, cut, tile))
        return;
    facts_and_moments(&bench, out);
    seeding(&bench, out);
    for (int round = 0; round < 3; round++) {
        bench_assign(&bench, sample->centers[round & 1], true);
        keep_round(&bench, &assigned, out);
        if (round != 1) /* twice the sums of two rounds are on their way together */
            keep_sums(&bench, out);
    }
    inertia(&bench, grid_exponent(assigned.largest_term), out);
    farthest(&bench, out);
    bench_assign(&bench, sample->centers[1], false);
    keep_round(&bench, &assigned, out);
    distances(&bench, out);
    gather(&bench, out);
    bench_close(&bench);
}
