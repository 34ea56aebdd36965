/* fits_seed.c - the first centers of one small problem: host/cluster/seed.c over one block. */
#include <string.h>

#include "kernels/philox.h"
#include "kernels/ref/fits.h"

/* The present P of all rows. */
struct potential {
    int32_t L;
    int128 total;
};

static struct potential potential_of(struct solver *solver, double largest)
{
    struct potential out = {.L = grid_exponent(largest)};

    ref_seed_total(&solver->work, &solver->block, 0, solver->block.rows.count, out.L, &out.total);
    return out;
}

static uint64_t draw_bits(const struct solver *solver, int64_t index)
{
    return philox_u64(solver->random_state, (uint64_t)index, PHILOX_DRAW, (uint32_t)solver->run);
}

static int64_t draw(struct solver *solver, const struct potential *potential, int64_t index)
{
    int128 rest = seed_scaled(draw_bits(solver, index), potential->total);
    int64_t row;

    ref_seed_find(&solver->work, &solver->block, 0, solver->block.rows.count, potential->L, &rest,
                  &row);
    return row;
}

static struct potential potential_of_weights(struct solver *solver)
{
    double largest = 0;

    ref_seed_largest(&solver->work, &solver->block, 0, solver->block.rows.count, &largest);
    return potential_of(solver, largest);
}

/* In proportion to the weights; without any, row floor(U N / 2^64). */
static int64_t draw_first(struct solver *solver)
{
    if (!solver->weights.present)
        return (int64_t)seed_scaled(draw_bits(solver, 0), solver->block.rows.count);
    ref_seed_reset(&solver->work, &solver->block, 1);
    struct potential potential = potential_of_weights(solver);
    return draw(solver, &potential, 0);
}

/* Draws the candidates of this step; the one with the lowest total becomes center `chosen`. */
static void greedy_step(struct solver *solver, const struct potential *potential, int64_t chosen)
{
    int64_t columns = solver->work.shape.columns;
    int count = seed_candidates(solver->work.shape.clusters), best = 0;
    int128 totals[CANDIDATES_MAX] = {0};

    for (int c = 0; c < count; c++)
        ref_gather(&solver->work, &solver->block,
                   draw(solver, potential, 1 + (chosen - 1) * count + c),
                   solver->candidates + c * columns);
    ref_seed_try(&solver->work, &solver->block, 0, solver->block.rows.count, solver->candidates,
                 count, false, potential->L, totals);
    for (int c = 1; c < count; c++)
        if (totals[c] < totals[best])
            best = c;
    memcpy(solver->centers + chosen * columns, solver->candidates + best * columns,
           (size_t)columns * sizeof(double));
}

/* No row is away from its center any more: the other centers copy the first. They win no tie. */
static void centers_repeat(struct solver *solver, int64_t chosen)
{
    int64_t columns = solver->work.shape.columns;

    solver->distinct_below = true;
    for (; chosen < solver->work.shape.clusters; chosen++)
        memcpy(solver->centers + chosen * columns, solver->centers,
               (size_t)columns * sizeof(double));
}

static void plus_plus(struct solver *solver)
{
    int64_t columns = solver->work.shape.columns, rows = solver->block.rows.count;

    ref_gather(&solver->work, &solver->block, draw_first(solver), solver->centers);
    for (int64_t chosen = 1; chosen < solver->work.shape.clusters; chosen++) {
        double largest = 0;
        ref_seed_take(&solver->work, &solver->block, 0, rows,
                      solver->centers + (chosen - 1) * columns, chosen == 1, &largest);
        struct potential potential = potential_of(solver, largest);
        if (potential.total == 0) {
            centers_repeat(solver, chosen);
            return;
        }
        greedy_step(solver, &potential, chosen);
    }
}

/* Rows that were drawn already have no part in the next draw. */
static void random_weighted(struct solver *solver)
{
    ref_seed_reset(&solver->work, &solver->block, 1);
    for (int64_t j = 0; j < solver->work.shape.clusters; j++) {
        struct potential potential = potential_of_weights(solver);
        int64_t row = draw(solver, &potential, j);
        ref_gather(&solver->work, &solver->block, row,
                   solver->centers + j * solver->work.shape.columns);
        ref_seed_mark(&solver->work, &solver->block, row, 0);
    }
}

static bool key_less(struct row_key a, struct row_key b)
{
    return a.key < b.key || (a.key == b.key && a.row < b.row);
}

void smallest_keys(uint64_t random_state, int64_t run, const double *weight, int64_t rows,
                   int64_t clusters, struct row_key *keys)
{
    int64_t held = 0;

    for (int64_t i = 0; i < rows; i++) {
        if (weight && weight[i] <= 0)
            continue;
        struct row_key key = {philox_u64(random_state, (uint64_t)i, PHILOX_ROW_KEY, (uint32_t)run),
                              i};
        int64_t at = held < clusters ? held++ : clusters;
        for (; at > 0 && key_less(key, keys[at - 1]); at--)
            if (at < clusters)
                keys[at] = keys[at - 1];
        if (at < clusters)
            keys[at] = key;
    }
}

/* All centers in one step: the rows whose random bits are smallest. */
static void random_rows(struct solver *solver)
{
    int64_t clusters = solver->work.shape.clusters;

    smallest_keys(solver->random_state, solver->run, solver->block.rows.weight,
                  solver->block.rows.count, clusters, solver->keys);
    for (int64_t j = 0; j < clusters; j++)
        ref_gather(&solver->work, &solver->block, solver->keys[j].row,
                   solver->centers + j * solver->work.shape.columns);
}

/* Rows of equal weight are drawn like rows without: ones are no weights. */
void solver_seed(struct solver *solver)
{
    size_t values = (size_t)(solver->work.shape.clusters * solver->work.shape.columns);

    solver->distinct_below = false;
    if (solver->fits->init == FITS_CENTERS)
        memcpy(solver->centers, solver->given, values * sizeof(double));
    else if (solver->fits->init == FITS_PLUS_PLUS)
        plus_plus(solver);
    else if (solver->weights.equal)
        random_rows(solver);
    else
        random_weighted(solver);
}
