/* prepare.c - what hangs on the data alone: facts, the grid, and what tol means for them. */
#include "host/base/checksum.h"
#include "host/cluster/state.h"
#include "kernels/grid.h"

struct moments_asked {
    int64_t column, columns;
    struct moments *out;
};

static enum status moments_tile(const struct tiles *tiles, const struct tile *tile, int64_t number,
                                void *context)
{
    struct moments_asked *asked = context;
    (void)number;
    return tiles->backend->moments(tiles->work, tile->block, tile->first, tile->count,
                                   asked->column, asked->columns, asked->out);
}

/* Sum over ascending columns of their variances. */
static enum status variances_sum(struct fit *fit, double *out, struct error *error)
{
    int64_t columns = fit->tiles.shape.columns;
    double sum = 0;

    for (int64_t first = 0; first < columns; first += MOMENTS_COLUMNS) {
        int64_t left = columns - first;
        struct moments_asked asked = {.column = first,
                                      .columns = left < MOMENTS_COLUMNS ? left : MOMENTS_COLUMNS,
                                      .out = fit->moments};
        struct pass pass = {.what = "moments",
                            .tile = moments_tile,
                            .context = &asked,
                            .share = (double)asked.columns / (double)left};
        for (int64_t d = 0; d < asked.columns; d++)
            fit->moments[d] = (struct moments){0};
        enum status status = tiles_pass(&fit->tiles, &pass, &fit->course, error);
        if (status != STATUS_OK)
            return status;
        for (int64_t d = 0; d < asked.columns; d++)
            sum += moments_variance(&fit->moments[d]);
    }
    *out = sum;
    return STATUS_OK;
}

/* tol is relative to the mean variance of the columns, as in scikit-learn. */
static enum status shift_limit_find(struct fit *fit, struct error *error)
{
    enum status status = STATUS_OK;
    double sum = 0;

    if (fit->moments)
        TRY(variances_sum(fit, &sum, error));
    fit->shift_limit = fit->params.tol * (sum / (double)fit->tiles.shape.columns);
out:
    return status;
}

uint32_t facts_digest(const struct facts *facts, int64_t columns)
{
    uint32_t crc = crc32c(0, facts->column, (size_t)columns * sizeof *facts->column);

    crc = crc32c(crc, &facts->taking_part, sizeof facts->taking_part);
    return crc32c(crc, &facts->weight_max, sizeof facts->weight_max);
}

static enum status grid_fix(struct fit *fit, struct error *error)
{
    const struct backend *backend = fit->tiles.backend;

    grid_of_facts(&fit->facts, fit->tiles.shape.columns, fit->L);
    fit->L_weight = fit->weights.weight ? grid_weight_exponent(fit->weights.largest) : 0;
    struct grid grid = {.column = fit->L, .weight = fit->L_weight};
    return device_failed(backend, backend->grid_set(fit->tiles.work, &grid), "grid_set", 0, error);
}

static enum status facts_compare(const struct fit *fit, struct error *error)
{
    if (!fit->loaded || facts_digest(&fit->facts, fit->tiles.shape.columns) == fit->facts_expected)
        return STATUS_OK;
    return FAIL(error, SHAPE_MISMATCH, TEXT("what", "the saved fit"),
                TEXT("found", "other values or weights"),
                TEXT("expected", "the data that it was saved over"));
}

enum status fit_prepare(struct fit *fit, struct error *error)
{
    enum status status;
    const struct shape *shape = &fit->tiles.shape;

    TRY(tiles_facts(&fit->tiles, &fit->facts, fit->moments ? 0.5 : 1, &fit->course, error));
    TRY(facts_check(fit->input.name, &fit->facts, error));
    TRY(weights_check_extent(&fit->weights, &fit->facts, fit->init_centers, shape->clusters,
                             shape->columns, error));
    TRY(facts_compare(fit, error));
    TRY(grid_fix(fit, error));
    TRY(shift_limit_find(fit, error));
    fit->prepared = true;
out:
    return status;
}
