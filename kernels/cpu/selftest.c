/* selftest.c - before a device is offered: small passes of every kind, compared with ref by bytes. */
#include <stdlib.h>
#include <string.h>

#include "kernels/cpu/cpu.h"

enum { ROWS = 53, COLUMNS_MAX = 40, CLUSTERS_MAX = 33, CANDIDATES = 3, FARTHEST = 4 };

/* Rows of one trial: small whole numbers, so that distances tie, beside fractions. */
struct sample {
    struct shape shape;
    union {
        double f64[ROWS * COLUMNS_MAX];
        float f32[ROWS * COLUMNS_MAX];
    } values;
    double weight[ROWS];
    double centers[CLUSTERS_MAX * COLUMNS_MAX];
    int32_t exponent[COLUMNS_MAX];
};

/* All that a trial's passes gave, without padding between. */
struct outcome {
    struct column_facts column[COLUMNS_MAX];
    struct facts facts;
    struct moments moments[COLUMNS_MAX];
    int128 tried[CANDIDATES], seed_total, seed_rest;
    int64_t drawn;
    double largest;
    int32_t label[ROWS];
    struct assigned assigned;
    int128 sum[CLUSTERS_MAX * COLUMNS_MAX], weight[CLUSTERS_MAX];
    int64_t count[CLUSTERS_MAX];
    uint128 fingerprint;
    int128 inertia, per_cluster[CLUSTERS_MAX];
    double distances[ROWS * CLUSTERS_MAX];
    double far_distance[FARTHEST], far_weight[FARTHEST];
    int64_t far_row[FARTHEST], far_label[FARTHEST];
    double far_values[FARTHEST * COLUMNS_MAX];
    int64_t far_held;
};

static double next(uint64_t *state) /* in [-8, 8), every fourth a whole number */
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    int32_t bits = (int32_t)(*state >> 32);
    return *state >> 62 == 0 ? (double)(bits >> 29) : (double)(bits >> 8) * 0x1p-20;
}

static void sample_fill(struct sample *sample, uint64_t state)
{
    const struct shape *shape = &sample->shape;

    for (int64_t i = 0; i < ROWS * shape->columns; i++)
        if (shape->number == NUMBER_F32)
            sample->values.f32[i] = (float)next(&state);
        else
            sample->values.f64[i] = next(&state) * (1 + 0x1p-40);
    for (int64_t i = 0; i < ROWS; i++)
        sample->weight[i] = i % 11 == 5 ? 0 : i % 13 == 7 ? -1 : 0.5 + (double)(i % 5);
    for (int64_t i = 0; i < shape->clusters * shape->columns; i++)
        sample->centers[i] = next(&state);
    for (int64_t d = 0; d < shape->columns; d++)
        sample->exponent[d] = 4;
}

static struct rows sample_rows(const struct sample *sample)
{
    return (struct rows){.values = &sample->values,
                         .weight = sample->shape.weighted ? sample->weight : NULL,
                         .first = 1000,
                         .count = ROWS};
}

static void seed(const struct backend *backend, struct work *work, struct block *block,
                 const struct sample *sample, struct outcome *out)
{
    int32_t L;

    backend->seed_take(work, block, 0, ROWS, sample->centers, true, &out->largest);
    L = grid_exponent(out->largest);
    backend->seed_total(work, block, 0, ROWS, L, &out->seed_total);
    out->seed_rest = out->seed_total / 3;
    backend->seed_find(work, block, 0, ROWS, L, &out->seed_rest, &out->drawn);
    int count = sample->shape.clusters < CANDIDATES ? 1 : CANDIDATES;
    backend->seed_try(work, block, 0, ROWS, sample->centers, count, false, L, out->tried);
}

static void farthest(const struct backend *backend, struct work *work, struct block *block,
                     struct outcome *out)
{
    struct far_row list[FARTHEST];
    int held = 0;

    backend->farthest(work, block, 0, ROWS, FARTHEST, list, out->far_values, &held);
    for (int i = 0; i < held; i++) {
        out->far_distance[i] = list[i].distance;
        out->far_weight[i] = list[i].weight;
        out->far_row[i] = list[i].row;
        out->far_label[i] = list[i].label;
    }
    out->far_held = held;
}

static void round_twice(const struct backend *backend, struct work *work, struct block *block,
                        const struct sample *sample, struct outcome *out)
{
    struct sums sums = {.sum = out->sum, .weight = out->weight, .count = out->count};
    double reversed[CLUSTERS_MAX * COLUMNS_MAX];
    int64_t values = sample->shape.clusters * sample->shape.columns;

    for (int64_t i = 0; i < values; i++)
        reversed[i] = sample->centers[values - 1 - i];
    backend->begin(work, reversed);
    backend->assign(work, block, 0, ROWS, true);
    backend->begin(work, sample->centers);
    backend->assign(work, block, 0, 20, true);
    backend->assign(work, block, 20, ROWS - 20, true);
    backend->assigned(work, &out->assigned);
    backend->labels_read(work, block, 0, ROWS, out->label);
    backend->sums_read(work, &sums);
    out->fingerprint = sums.fingerprint;
    backend->inertia(work, block, 0, ROWS, grid_exponent(out->assigned.largest_term), &out->inertia,
                     out->per_cluster);
    backend->distances(work, block, 0, ROWS, out->distances);
    farthest(backend, work, block, out);
}

static enum status trial(const struct backend *backend, struct device *device,
                         const struct sample *sample, struct outcome *out)
{
    struct work *work;
    struct block *block;
    struct rows rows = sample_rows(sample);
    const struct grid grid = {.column = sample->exponent, .weight = sample->shape.weighted ? 3 : 0};
    enum status status = backend->work_open(device, &sample->shape, &work);

    if (status != STATUS_OK)
        return status;
    status = backend->load(work, &rows, &block);
    if (status == STATUS_OK) {
        memset(out, 0, sizeof *out);
        facts_init(&out->facts, out->column, sample->shape.columns);
        backend->facts(work, block, 0, ROWS, &out->facts);
        out->facts.column = NULL; /* an address, the one thing that may differ */
        backend->moments(work, block, 0, ROWS, 0, sample->shape.columns, out->moments);
        backend->grid_set(work, &grid);
        seed(backend, work, block, sample, out);
        round_twice(backend, work, block, sample, out);
        backend->unload(work, &block);
    }
    backend->work_close(&work);
    return status;
}

/* One trial's memory, both sides. */
struct bench {
    struct sample sample;
    struct outcome want, got;
};

static bool agrees(struct bench *bench, struct device *ref, struct device *device)
{
    sample_fill(&bench->sample, (uint64_t)bench->sample.shape.columns);
    return trial(&backend_ref, ref, &bench->sample, &bench->want) == STATUS_OK &&
           trial(&backend_cpu, device, &bench->sample, &bench->got) == STATUS_OK &&
           memcmp(&bench->want, &bench->got, sizeof bench->want) == 0;
}

bool cpu_passes_selftest(struct device *device)
{
    static const struct {
        int64_t columns, clusters;
    } sizes[] = {{1, 1}, {3, 5}, {17, 9}, {COLUMNS_MAX, CLUSTERS_MAX}};
    struct device *ref = NULL;
    struct bench *bench = region_new(sizeof *bench);
    bool right = bench && backend_ref.open(0, NULL, &ref, NULL) == STATUS_OK;

    for (int i = 0; right && i < 4 * 4; i++) {
        bench->sample.shape = (struct shape){.rows = ROWS,
                                             .columns = sizes[i / 4].columns,
                                             .clusters = sizes[i / 4].clusters,
                                             .number = i & 1 ? NUMBER_F32 : NUMBER_F64,
                                             .weighted = (i & 2) != 0,
                                             .candidates = CANDIDATES,
                                             .farthest = FARTHEST};
        right = agrees(bench, ref, device);
    }
    backend_ref.close(&ref);
    free(bench);
    return right;
}
