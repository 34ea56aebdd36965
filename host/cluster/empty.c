/* empty.c - what becomes of clusters without rows.
 *
 * They take, in ascending order, the rows farthest from their own old centers: the row becomes the
 * center and leaves its donor's sums. All this happens on a copy of the sums, because labels stay
 * until the next assignment, and the device's sums are those of its labels. */
#include <math.h>
#include <string.h>

#include "host/cluster/state.h"
#include "kernels/grid.h"

static int64_t empty_count(const struct fit *fit)
{
    int64_t empty = 0;

    for (int64_t j = 0; j < fit->tiles.shape.clusters; j++)
        empty += fit->sums.count[j] == 0;
    return empty;
}

enum status empty_check(const struct fit *fit, struct error *error)
{
    if (fit->params.empty_clusters != EMPTY_ERROR)
        return STATUS_OK;
    for (int64_t j = 0; j < fit->tiles.shape.clusters; j++)
        if (fit->sums.count[j] == 0)
            return FAIL(error, EMPTY_CLUSTER, INT("cluster", j),
                        INT("round", fit->state.round + (fit->state.stage == FIT_ROUNDS)));
    return STATUS_OK;
}

struct far_list {
    struct far_row *row;
    double *values;
    int most, held;
};

static enum status farthest_tile(const struct tiles *tiles, const struct tile *tile, int64_t number,
                                 void *context)
{
    struct far_list *list = context;
    (void)number;
    return tiles->backend->farthest(tiles->work, tile->block, tile->first, tile->count, list->most,
                                    list->row, list->values, &list->held);
}

/* The row leaves the sums of its cluster, in the copy. */
static void donor_reduce(struct fit *fit, const struct far_row *row, const double *values)
{
    int64_t columns = fit->tiles.shape.columns;
    int128 *sum = fit->sums.sum + row->label * columns;

    fit->sums.count[row->label]--;
    if (!fit->tiles.shape.weighted) {
        for (int64_t d = 0; d < columns; d++)
            sum[d] -= grid_fixed(values[d], fit->L[d]);
        fit->sums.weight[row->label] -= (int128)1 << GRID_BITS;
        return;
    }
    for (int64_t d = 0; d < columns; d++)
        sum[d] -= grid_weighted(values[d], fit->L[d], row->weight, fit->L_weight);
    fit->sums.weight[row->label] -= grid_fixed(ldexp(row->weight, -fit->L_weight), 0);
}

static int64_t empty_next(const struct fit *fit, int64_t j)
{
    while (j < fit->tiles.shape.clusters && fit->sums.count[j] != 0)
        j++;
    return j;
}

/* Gives far rows to empty clusters; returns how many. */
static int rows_give(struct fit *fit, const struct far_list *list)
{
    int64_t columns = fit->tiles.shape.columns, taker = empty_next(fit, 0);
    int given = 0;

    for (int i = 0; i < list->held; i++) {
        const struct far_row *row = &list->row[i];
        fit->far_cluster[i] = -1;
        if (taker == fit->tiles.shape.clusters || fit->sums.count[row->label] < 2)
            continue; /* a donor keeps its last row */
        donor_reduce(fit, row, list->values + i * columns);
        fit->far_cluster[i] = taker;
        taker = empty_next(fit, taker + 1);
        given++;
    }
    return given;
}

enum status empty_choose(struct fit *fit, int *listed, int *count, struct error *error)
{
    int64_t empty = empty_count(fit);
    struct far_list list = {.row = fit->far, .values = fit->far_values};
    struct pass pass = {.what = "farthest", .tile = farthest_tile, .context = &list, .share = 0};
    enum status status;

    *listed = *count = 0;
    if (empty == 0 || fit->params.empty_clusters != EMPTY_RELOCATE)
        return empty_check(fit, error);
    list.most = farthest_most(&fit->tiles.shape, empty);
    status = tiles_pass(&fit->tiles, &pass, &fit->course, error);
    if (status != STATUS_OK)
        return status;
    *listed = list.held;
    *count = rows_give(fit, &list);
    return STATUS_OK;
}

void empty_place(const struct fit *fit, int listed, double *centers)
{
    int64_t columns = fit->tiles.shape.columns;

    for (int i = 0; i < listed; i++) {
        if (fit->far_cluster[i] < 0)
            continue;
        double *center = centers + fit->far_cluster[i] * columns;
        const double *values = fit->far_values + i * columns;
        for (int64_t d = 0; d < columns; d++)
            center[d] = values[d] + 0.0; /* -0 becomes +0 */
    }
}
