/* fit_plan.c - what a fit costs: one list of its memory, for admission and for fit_open alike. */
#include "host/base/memory.h"
#include "host/cluster/state.h"
#include "kernels/draw.h"

/* Rounds that an estimate of time assumes when the loop ends by itself. */
enum { ROUNDS_EXPECTED = 30 };

/* Two rows for each empty cluster and some to spare, since donors of one row are passed over. */
int farthest_most(const struct shape *shape, int64_t empty)
{
    int64_t most = 2 * empty + FARTHEST_SPARE;

    return (int)(most < shape->rows ? most : shape->rows);
}

struct shape fit_shape(const struct shape *shape, const struct kmeans_params *params)
{
    struct shape out = *shape;

    out.clusters = params->n_clusters;
    out.candidates = params->init == INIT_KMEANS_PLUS_PLUS ? seed_candidates(out.clusters)
                     : params->init == INIT_RANDOM         ? 1
                                                           : 0;
    out.farthest =
        params->empty_clusters == EMPTY_RELOCATE ? farthest_most(shape, out.clusters - 1) : 0;
    return out;
}

int fit_wants(struct fit *fit, int64_t tiles, struct want *out)
{
    const struct kmeans_params *params = &fit->params;
    const struct shape *shape = &fit->tiles.shape;
    const int64_t k = shape->clusters, values = k * shape->columns;
    const int64_t history = params->history ? params->max_iter : 0;
    const int64_t moments = shape->columns < MOMENTS_COLUMNS ? shape->columns : MOMENTS_COLUMNS;
    const struct want wants[] = {
        {&fit->state.centers, values, sizeof(double), "centers"},
        {&fit->next, values, sizeof(double), "centers"},
        {&fit->best.centers, values, sizeof(double), "centers"},
        {&fit->best.sizes, k, sizeof(int64_t), "sizes of clusters"},
        {&fit->best.labels, shape->rows, sizeof(int32_t), "labels"},
        {&fit->best.history, history, sizeof(double), "history"},
        {&fit->state.history, history, sizeof(double), "history"},
        {&fit->state.seed_row, k, sizeof(int64_t), "seeded rows"},
        {&fit->sums.sum, values, sizeof(int128), "sums of clusters"},
        {&fit->sums.weight, k, sizeof(int128), "sums of clusters"},
        {&fit->sums.count, k, sizeof(int64_t), "sums of clusters"},
        {&fit->facts.column, shape->columns, sizeof(struct column_facts), "facts"},
        {&fit->L, shape->columns, sizeof(int32_t), "the grid"},
        {&fit->moments, params->tol > 0 ? moments : 0, sizeof(struct moments), "moments"},
        {&fit->tile_total, shape->candidates ? tiles : 0, sizeof(int128), "seeding"},
        {&fit->candidates, shape->candidates * shape->columns, sizeof(double), "seeding"},
        {&fit->keys, params->init == INIT_RANDOM ? k : 0, sizeof(struct row_key), "seeding"},
        {&fit->far, shape->farthest, sizeof(struct far_row), "far rows"},
        {&fit->far_values, shape->farthest * shape->columns, sizeof(double), "far rows"},
        {&fit->far_cluster, shape->farthest, sizeof(int64_t), "far rows"},
    };
    const int count = (int)(sizeof wants / sizeof *wants);

    _Static_assert(sizeof wants / sizeof *wants <= WANTS_MAX, "the list is longer than its room");
    for (int i = 0; i < count; i++)
        out[i] = wants[i];
    return count;
}

static double rounds_expected(const struct kmeans_params *params)
{
    if (params->fixed_rounds || params->max_iter < ROUNDS_EXPECTED)
        return (double)params->max_iter;
    return ROUNDS_EXPECTED;
}

/* In assignments of all rows: a candidate costs a distance where an assignment costs clusters. */
static double assignments_expected(const struct kmeans_params *params)
{
    double seeding = 1;

    if (params->init == INIT_KMEANS_PLUS_PLUS)
        seeding = 1 + seed_candidates(params->n_clusters);
    return 1 + (double)params->n_init * (seeding + rounds_expected(params) + 1);
}

static bool bytes_add(int64_t count, int64_t size, int64_t *bytes)
{
    int64_t more;

    return !__builtin_mul_overflow(count, size, &more) &&
           !__builtin_add_overflow(*bytes, more, bytes);
}

/* Host memory of the list, and weights where there may be some, beside what the device takes. */
static bool fit_bytes(struct fit *fit, const struct plan *plan, int64_t *bytes)
{
    struct want wants[WANTS_MAX];
    const struct shape *shape = &fit->tiles.shape;
    bool weights = shape->weighted || fit->params.non_finite == NON_FINITE_SKIP;
    int count = fit_wants(fit, shape->rows / plan->tile_rows + 1, wants);
    bool fits = bytes_add(1, (int64_t)sizeof *fit, bytes) &&
                bytes_add(weights ? shape->rows : 0, (int64_t)sizeof(double), bytes);

    for (int i = 0; fits && i < count; i++)
        fits = bytes_add(wants[i].count, (int64_t)wants[i].size, bytes);
    return fits;
}

enum status fit_plan(const struct backend *backend, const struct device *device,
                     const struct shape *shape, const struct kmeans_params *params,
                     struct cost *out, struct error *error)
{
    enum status status;
    struct plan plan;
    struct cost cost;

    TRY(kmeans_check(params, error));
    struct fit fit = {.params = kmeans_resolved(params)};
    fit.tiles.shape = fit_shape(shape, &fit.params);
    TRY(device_failed(backend, backend->plan(device, &fit.tiles.shape, &plan), "this shape", 0,
                      error));
    if (!plan_cost(&plan, &fit.tiles.shape, assignments_expected(&fit.params), &cost) ||
        !fit_bytes(&fit, &plan, &cost.host_bytes))
        return device_failed(backend, STATUS_UNSUPPORTED, "this shape", 0, error);
    *out = cost;
out:
    return status;
}
