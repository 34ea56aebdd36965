/* selftest.c - before a device is offered: small passes of every kind, compared with ref by bytes. */
#include "kernels/selftest.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/ref/work.h"

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

/* One backend's way through a sample; the first call that fails is kept. */
struct run {
    const struct backend *backend;
    const struct sample *sample;
    struct outcome *out;
    struct work *work;
    struct block *block;
    enum status status;
};

static void did(struct run *run, enum status status)
{
    if (run->status == STATUS_OK)
        run->status = status;
}

static void settle(struct run *run)
{
    did(run, run->backend->wait(run->work));
}

static void facts(struct run *run)
{
    const struct backend *backend = run->backend;
    struct outcome *out = run->out;
    int64_t columns = run->sample->shape.columns;

    facts_init(&out->facts, out->column, columns);
    did(run, backend->facts(run->work, run->block, 0, ROWS, &out->facts));
    did(run, backend->moments(run->work, run->block, 0, ROWS, 0, columns, out->moments));
    settle(run);
    out->facts.column = NULL; /* an address, the one thing that may differ */
}

static void seed(struct run *run)
{
    const struct backend *backend = run->backend;
    const struct sample *sample = run->sample;
    struct outcome *out = run->out;
    int count = sample->shape.clusters < CANDIDATES ? 1 : CANDIDATES;

    did(run,
        backend->seed_take(run->work, run->block, 0, ROWS, sample->centers, true, &out->largest));
    settle(run);
    int32_t L = grid_exponent(out->largest);
    did(run, backend->seed_total(run->work, run->block, 0, ROWS, L, &out->seed_total));
    settle(run);
    out->seed_rest = out->seed_total / 3;
    did(run, backend->seed_find(run->work, run->block, 0, ROWS, L, &out->seed_rest, &out->drawn));
    did(run, backend->seed_try(run->work, run->block, 0, ROWS, sample->centers, count, false, L,
                               out->tried));
    settle(run);
}

static void farthest(struct run *run)
{
    struct far_row list[FARTHEST];
    struct outcome *out = run->out;
    int held = 0;

    did(run, run->backend->farthest(run->work, run->block, 0, ROWS, FARTHEST, list, out->far_values,
                                    &held));
    settle(run);
    for (int i = 0; i < held; i++) {
        out->far_distance[i] = list[i].distance;
        out->far_weight[i] = list[i].weight;
        out->far_row[i] = list[i].row;
        out->far_label[i] = list[i].label;
    }
    out->far_held = held;
}

/* Two rounds of assignment: the second moves rows out of clusters, in two tiles. */
static void rounds(struct run *run)
{
    const struct backend *backend = run->backend;
    const struct sample *sample = run->sample;
    struct outcome *out = run->out;
    struct sums sums = {.sum = out->sum, .weight = out->weight, .count = out->count};
    double reversed[CLUSTERS_MAX * COLUMNS_MAX];
    int64_t values = sample->shape.clusters * sample->shape.columns;

    for (int64_t i = 0; i < values; i++)
        reversed[i] = sample->centers[values - 1 - i];
    did(run, backend->begin(run->work, reversed));
    did(run, backend->assign(run->work, run->block, 0, ROWS, true));
    settle(run);
    did(run, backend->begin(run->work, sample->centers));
    did(run, backend->assign(run->work, run->block, 0, 20, true));
    did(run, backend->assign(run->work, run->block, 20, ROWS - 20, true));
    settle(run);
    did(run, backend->assigned(run->work, &out->assigned));
    did(run, backend->labels_read(run->work, run->block, 0, ROWS, out->label));
    did(run, backend->sums_read(run->work, &sums));
    out->fingerprint = sums.fingerprint;
}

static void scores(struct run *run)
{
    const struct backend *backend = run->backend;
    struct outcome *out = run->out;
    int32_t L = grid_exponent(out->assigned.largest_term);

    did(run, backend->inertia(run->work, run->block, 0, ROWS, L, &out->inertia, out->per_cluster));
    did(run, backend->distances(run->work, run->block, 0, ROWS, out->distances));
    settle(run);
}

static enum status trial(const struct backend *backend, struct device *device,
                         const struct sample *sample, struct outcome *out)
{
    struct run run = {.backend = backend, .sample = sample, .out = out};
    struct rows rows = sample_rows(sample);
    const struct grid grid = {.column = sample->exponent, .weight = sample->shape.weighted ? 3 : 0};

    memset(out, 0, sizeof *out);
    run.status = backend->work_open(device, &sample->shape, &run.work);
    if (run.status != STATUS_OK)
        return run.status;
    run.status = backend->load(run.work, &rows, &run.block);
    if (run.status == STATUS_OK) {
        facts(&run);
        did(&run, backend->grid_set(run.work, &grid));
        seed(&run);
        rounds(&run);
        scores(&run);
        farthest(&run);
        backend->unload(run.work, &run.block);
    }
    backend->work_close(&run.work);
    return run.status;
}

/* The rows as two small problems, and what their fits gave. */
struct batch {
    int64_t row[3], center[3];
    uint64_t state[2];
    double weight[ROWS];
    struct fits_result result[2];
    double centers[2 * CLUSTERS_MAX * COLUMNS_MAX];
    int32_t label[ROWS];
    int64_t size[2 * CLUSTERS_MAX];
};

/* One trial's memory, both sides. */
struct bench {
    struct sample sample;
    struct outcome want, got;
    struct batch batch_want, batch_got;
};

static struct fits batch_make(const struct sample *sample, struct batch *batch)
{
    const struct shape *shape = &sample->shape;
    int64_t clusters = shape->clusters < 7 ? shape->clusters : 7;

    *batch = (struct batch){.row = {0, 20, ROWS},
                            .center = {0, clusters, 2 * clusters},
                            .state = {3, (uint64_t)shape->columns << 33}};
    for (int64_t i = 0; i < ROWS; i++)
        batch->weight[i] = sample->weight[i] > 0 ? sample->weight[i] : 0;
    return (struct fits){.number = shape->number,
                         .columns = shape->columns,
                         .problems = 2,
                         .row = batch->row,
                         .center = batch->center,
                         .values = &sample->values,
                         .weight = shape->weighted ? batch->weight : NULL,
                         .init = shape->clusters % 2 ? FITS_PLUS_PLUS : FITS_RANDOM,
                         .n_init = 2,
                         .max_iter = 6,
                         .tol = 1e-3,
                         .random_state = batch->state};
}

static bool batch_fit(const struct backend *backend, struct device *device,
                      const struct sample *sample, struct batch *batch)
{
    struct fits fits = batch_make(sample, batch);
    struct fits_out out = {batch->result, batch->centers, batch->label, batch->size};

    return backend->fits(device, &fits, &out) == STATUS_OK;
}

/* Members one by one: padding is nobody's. */
static bool batches_equal(const struct batch *a, const struct batch *b)
{
    bool equal = memcmp(a->centers, b->centers, sizeof a->centers) == 0 &&
                 memcmp(a->label, b->label, sizeof a->label) == 0 &&
                 memcmp(a->size, b->size, sizeof a->size) == 0;

    for (int p = 0; p < 2; p++) {
        const struct fits_result *x = &a->result[p], *y = &b->result[p];
        equal = equal && x->status == y->status && x->n_iter == y->n_iter && x->run == y->run &&
                x->stop == y->stop && memcmp(&x->inertia, &y->inertia, sizeof x->inertia) == 0 &&
                x->fingerprint == y->fingerprint;
    }
    return equal;
}

/* A backend without fits of its own has nothing to show. */
static bool fits_agree(struct bench *bench, struct device *ref, const struct backend *tested,
                       struct device *device)
{
    return !tested->fits || (batch_fit(&backend_ref, ref, &bench->sample, &bench->batch_want) &&
                             batch_fit(tested, device, &bench->sample, &bench->batch_got) &&
                             batches_equal(&bench->batch_want, &bench->batch_got));
}

static bool agrees(struct bench *bench, struct device *ref, const struct backend *tested,
                   struct device *device, enum residency residency)
{
    struct shape *shape = &bench->sample.shape;
    struct plan plan;

    sample_fill(&bench->sample, (uint64_t)shape->columns);
    if (trial(&backend_ref, ref, &bench->sample, &bench->want) != STATUS_OK)
        return false;
    shape->residency = residency;
    if (tested->plan(device, shape, &plan) == STATUS_UNSUPPORTED)
        shape->residency = RESIDENT; /* the one rung of a CPU */
    return trial(tested, device, &bench->sample, &bench->got) == STATUS_OK &&
           memcmp(&bench->want, &bench->got, sizeof bench->want) == 0;
}

/* Each size in each number, with and without weights, down the ladder of residencies. */
bool selftest_passes(const struct backend *tested, struct device *device)
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
        right = agrees(bench, ref, tested, device, (enum residency)((i + i / 4) % 3)) &&
                fits_agree(bench, ref, tested, device);
    }
    backend_ref.close(&ref);
    free(bench);
    return right;
}
