/* score.c - what given centers say about rows: labels, distances, inertia. */
#include "host/cluster/score.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "host/base/memory.h"
#include "host/cluster/tiles.h"
#include "host/cluster/weights.h"
#include "kernels/grid.h"

/* Rows under a model, on a device. */
struct scoring {
    struct weights weights;
    struct tiles tiles;
    struct course course;
    struct facts facts;
    const struct model *model;
};

static void scoring_close(struct scoring *scoring)
{
    tiles_close(&scoring->tiles);
    weights_free(&scoring->weights);
    memory_free(scoring->facts.column);
}

static enum status columns_check(const struct fit_input *input, const struct model *model,
                                 struct error *error)
{
    char found[48], expected[48];

    if (input->matrix->columns == model->columns)
        return STATUS_OK;
    snprintf(found, sizeof found, "%lld columns", (long long)input->matrix->columns);
    snprintf(expected, sizeof expected, "the model's %lld", (long long)model->columns);
    return FAIL(error, SHAPE_MISMATCH, TEXT("what", input->name), TEXT("found", found),
                TEXT("expected", expected));
}

/* Loads the rows and checks their values: the first pass. On failure scoring_close is still owed. */
static enum status scoring_open(struct scoring *scoring, const struct backend *backend,
                                struct device *device, const struct fit_input *input,
                                const struct model *model, enum non_finite non_finite,
                                const struct turn *turn, struct error *error)
{
    enum status status;
    const struct matrix *matrix = input->matrix;

    *scoring = (struct scoring){
        .model = model,
        .course = {.turn = turn,
                   .to = 1,
                   .progress = {.stage = FIT_FINISH, .inertia = NAN, .shift = NAN, .moved = -1}}};
    TRY(columns_check(input, model, error));
    TRY(weights_make(input, non_finite, &scoring->weights, error));
    struct shape shape = {.rows = matrix->rows,
                          .columns = matrix->columns,
                          .clusters = model->n_clusters,
                          .number = matrix->number,
                          .weighted = scoring->weights.weight != NULL,
                          .residency = input->residency};
    TRY(tiles_open(&scoring->tiles, backend, device, input->name, matrix, scoring->weights.weight,
                   &shape, error));
    scoring->facts.column = memory_zeroed((size_t)matrix->columns, sizeof *scoring->facts.column);
    if (!scoring->facts.column)
        TRY(device_failed(backend, STATUS_OUT_OF_MEMORY, "facts",
                          matrix->columns * (int64_t)sizeof *scoring->facts.column, error));
    TRY(tiles_facts(&scoring->tiles, &scoring->facts, 0.1, &scoring->course, error));
    TRY(facts_check(input->name, &scoring->facts, error));
out:
    return status;
}

static enum status distances_tile(const struct tiles *tiles, const struct tile *tile,
                                  int64_t number, void *context)
{
    double *distances = context;
    (void)number;
    return tiles->backend->distances(tiles->work, tile->block, tile->first, tile->count,
                                     distances + tile->row * tiles->shape.clusters);
}

static enum status distances_read(struct scoring *scoring, double *distances, struct error *error)
{
    const struct backend *backend = scoring->tiles.backend;
    struct pass pass = {
        .what = "distances", .tile = distances_tile, .context = distances, .share = 1};
    enum status status;

    TRY(device_failed(backend, backend->begin(scoring->tiles.work, scoring->model->centers),
                      "begin", 0, error));
    TRY(tiles_pass(&scoring->tiles, &pass, &scoring->course, error));
out:
    return status;
}

enum status score_predict(const struct backend *backend, struct device *device,
                          const struct fit_input *input, const struct model *model,
                          enum non_finite non_finite, const struct turn *turn, int32_t *labels,
                          double *distances, struct error *error)
{
    enum status status;
    struct scoring scoring;
    struct assigned assigned;
    struct fit_input unweighted = *input;

    unweighted.sample_weight = NULL;
    TRY(scoring_open(&scoring, backend, device, &unweighted, model, non_finite, turn, error));
    if (labels) {
        TRY(tiles_assign(&scoring.tiles, model->centers, false, &assigned, distances ? 0.5 : 1,
                         &scoring.course, error));
        TRY(tiles_labels(&scoring.tiles, labels, &scoring.course, error));
    }
    if (distances)
        TRY(distances_read(&scoring, distances, error));
out:
    scoring_close(&scoring);
    return status;
}

/* Host memory of an inertia: all of it before the first pass that needs it. */
struct inertia_memory {
    int32_t *L;
    struct sums sums;
    int128 *per_cluster;
};

static void inertia_memory_free(struct inertia_memory *memory)
{
    memory_free(memory->L);
    memory_free(memory->sums.sum);
    memory_free(memory->sums.weight);
    memory_free(memory->sums.count);
    memory_free(memory->per_cluster);
}

static int64_t inertia_bytes(int64_t clusters, int64_t columns)
{
    return columns * (int64_t)(sizeof(int32_t) + sizeof(struct column_facts)) +
           clusters * (columns + 2) * (int64_t)sizeof(int128) + clusters * (int64_t)sizeof(int64_t);
}

static enum status inertia_memory_take(const struct scoring *scoring, struct inertia_memory *memory,
                                       struct error *error)
{
    size_t k = (size_t)scoring->model->n_clusters, d = (size_t)scoring->model->columns;

    *memory = (struct inertia_memory){.L = memory_zeroed(d, sizeof *memory->L),
                                      .sums = {.sum = memory_zeroed(k * d, sizeof(int128)),
                                               .weight = memory_zeroed(k, sizeof(int128)),
                                               .count = memory_zeroed(k, sizeof(int64_t))},
                                      .per_cluster = memory_zeroed(k, sizeof *memory->per_cluster)};
    if (memory->L && memory->sums.sum && memory->sums.weight && memory->sums.count &&
        memory->per_cluster)
        return STATUS_OK;
    return device_failed(scoring->tiles.backend, STATUS_OUT_OF_MEMORY, "the sums of an inertia",
                         inertia_bytes((int64_t)k, (int64_t)d), error);
}

static enum status grid_fix(struct scoring *scoring, int32_t *L, struct error *error)
{
    const struct backend *backend = scoring->tiles.backend;

    grid_of_facts(&scoring->facts, scoring->model->columns, L);
    struct grid grid = {
        .column = L,
        .weight = scoring->weights.weight ? grid_weight_exponent(scoring->weights.largest) : 0};
    return device_failed(backend, backend->grid_set(scoring->tiles.work, &grid), "grid_set", 0,
                         error);
}

static void inertia_hand_over(const struct scoring *scoring, const struct inertia_memory *memory,
                              int32_t L, int128 total, struct inertia_result *out)
{
    out->inertia = grid_double(total, L);
    for (int64_t j = 0; out->per_cluster && j < scoring->model->n_clusters; j++)
        out->per_cluster[j] = grid_double(memory->per_cluster[j], L);
    if (out->sizes)
        memcpy(out->sizes, memory->sums.count,
               (size_t)scoring->model->n_clusters * sizeof *out->sizes);
}

static enum status inertia_passes(struct scoring *scoring, struct inertia_memory *memory,
                                  struct inertia_result *out, struct error *error)
{
    enum status status;
    const struct backend *backend = scoring->tiles.backend;
    const struct model *model = scoring->model;
    struct assigned assigned;
    int128 total;

    TRY(weights_check_extent(&scoring->weights, &scoring->facts, model->centers, model->n_clusters,
                             model->columns, error));
    TRY(grid_fix(scoring, memory->L, error));
    TRY(tiles_assign(&scoring->tiles, model->centers, true, &assigned, 0.8, &scoring->course,
                     error));
    TRY(device_failed(backend, backend->sums_read(scoring->tiles.work, &memory->sums), "sums_read",
                      0, error));
    int32_t L = grid_exponent(assigned.largest_term);
    TRY(tiles_inertia(&scoring->tiles, L, &total, memory->per_cluster, 1, &scoring->course, error));
    inertia_hand_over(scoring, memory, L, total, out);
out:
    return status;
}

enum status score_inertia(const struct backend *backend, struct device *device,
                          const struct fit_input *input, const struct model *model,
                          enum non_finite non_finite, const struct turn *turn,
                          struct inertia_result *out, struct error *error)
{
    enum status status;
    struct scoring scoring;
    struct inertia_memory memory = {0};

    TRY(scoring_open(&scoring, backend, device, input, model, non_finite, turn, error));
    TRY(inertia_memory_take(&scoring, &memory, error));
    TRY(inertia_passes(&scoring, &memory, out, error));
out:
    inertia_memory_free(&memory);
    scoring_close(&scoring);
    return status;
}

enum status score_plan(const struct backend *backend, const struct device *device,
                       const struct shape *shape, struct cost *out, struct error *error)
{
    struct plan plan;
    struct shape asked = *shape;
    struct cost cost;
    int64_t beside;

    asked.candidates = asked.farthest = 0;
    enum status status =
        device_failed(backend, backend->plan(device, &asked, &plan), "this shape", 0, error);
    if (status != STATUS_OK)
        return status;
    if (!plan_cost(&plan, shape, 2, &cost) ||
        __builtin_mul_overflow(shape->rows, (int64_t)sizeof(double), &beside) ||
        __builtin_add_overflow(beside, inertia_bytes(shape->clusters, shape->columns), &beside) ||
        __builtin_add_overflow(cost.host_bytes, beside, &cost.host_bytes))
        return device_failed(backend, STATUS_UNSUPPORTED, "this shape", 0, error);
    *out = cost;
    return STATUS_OK;
}
