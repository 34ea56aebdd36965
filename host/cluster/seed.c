/* seed.c - the first centers of a run.
 *
 * Greedy k-means++ (Arthur and Vassilvitskii, "k-means++: the advantages of careful seeding", 2007):
 * each step draws a few rows in proportion to weight times squared distance to the nearest center,
 * and keeps the one that leaves the lowest total. Totals are integers, so no order of adding shows;
 * random bits are a function of (seed, index, run), so no earlier draw shows either. */
#include <stdlib.h>
#include <string.h>

#include "host/cluster/state.h"
#include "kernels/draw.h"
#include "kernels/grid.h"
#include "kernels/philox.h"

/* The present P of all rows: their grid, the total of each tile, the total of all. */
struct potential {
    int32_t L;
    int128 total;
};

struct potential_asked {
    int32_t L;
    int128 *tile_total;
};

static enum status largest_tile(const struct tiles *tiles, const struct tile *tile, int64_t number,
                                void *context)
{
    (void)number;
    return tiles->backend->seed_largest(tiles->work, tile->block, tile->first, tile->count,
                                        context);
}

static enum status total_tile(const struct tiles *tiles, const struct tile *tile, int64_t number,
                              void *context)
{
    struct potential_asked *asked = context;
    asked->tile_total[number] = 0;
    return tiles->backend->seed_total(tiles->work, tile->block, tile->first, tile->count, asked->L,
                                      &asked->tile_total[number]);
}

/* `largest` of P decides the grid, then the tiles are added up. */
static enum status potential_read(struct fit *fit, double largest, struct potential *out,
                                  struct error *error)
{
    struct potential_asked asked = {.L = grid_exponent(largest), .tile_total = fit->tile_total};
    struct pass pass = {.what = "seed_total", .tile = total_tile, .context = &asked, .share = 0};
    enum status status = tiles_pass(&fit->tiles, &pass, &fit->course, error);

    out->L = asked.L;
    out->total = 0;
    for (int64_t i = 0; status == STATUS_OK && i < fit->tiles.count; i++)
        out->total += fit->tile_total[i];
    return status;
}

/* The first row whose running sum of P exceeds `rest`: the tile by its total, then inside it. */
static enum status row_find(struct fit *fit, int32_t L, int128 rest, int64_t *row,
                            struct error *error)
{
    const struct tiles *tiles = &fit->tiles;
    const struct backend *backend = tiles->backend;
    struct tile_cursor cursor =
        tile_cursor(tiles->block, tiles->rows, tiles->blocks, tiles->plan.tile_rows);
    struct tile tile;
    int64_t found = -1;
    enum status status = STATUS_BUG; /* rest < total: some tile holds it */

    for (int64_t number = 0; tile_next(&cursor, &tile); number++) {
        if (rest >= fit->tile_total[number]) {
            rest -= fit->tile_total[number];
            continue;
        }
        status =
            backend->seed_find(tiles->work, tile.block, tile.first, tile.count, L, &rest, &found);
        if (status == STATUS_OK)
            status = backend->wait(tiles->work);
        if (status == STATUS_OK && found < 0)
            status = STATUS_BUG;
        *row = tiles->rows[tile.index].first + found;
        break;
    }
    return device_failed(backend, status, "seed_find", 0, error);
}

static uint64_t draw_bits(const struct fit *fit, int64_t index)
{
    return philox_u64(fit->params.random_state, (uint64_t)index, PHILOX_DRAW,
                      (uint32_t)fit->state.run);
}

static enum status draw(struct fit *fit, const struct potential *potential, int64_t index,
                        int64_t *row, struct error *error)
{
    int128 rest = seed_scaled(draw_bits(fit, index), potential->total);

    return row_find(fit, potential->L, rest, row, error);
}

static double *seeded(const struct fit *fit, int64_t j)
{
    return fit->state.centers + j * fit->tiles.shape.columns;
}

/* The step's last line: one more center is known. */
static void seed_commit(struct fit *fit, int64_t row)
{
    fit->state.seed_row[fit->state.chosen++] = row;
}

static enum status blocks_reset(struct fit *fit, struct error *error)
{
    const struct tiles *tiles = &fit->tiles;
    enum status status = STATUS_OK;

    for (int i = 0; status == STATUS_OK && i < tiles->blocks; i++)
        status = tiles->backend->seed_reset(tiles->work, tiles->block[i], 1);
    return device_failed(tiles->backend, status, "seed_reset", 0, error);
}

/* The potential when every m_i is 1, but 0 for rows that were marked. */
static enum status potential_of_weights(struct fit *fit, struct potential *out, struct error *error)
{
    enum status status;
    double largest = 0;
    struct pass pass = {
        .what = "seed_largest", .tile = largest_tile, .context = &largest, .share = 0.1};

    TRY(tiles_pass(&fit->tiles, &pass, &fit->course, error));
    TRY(potential_read(fit, largest, out, error));
out:
    return status;
}

/* In proportion to the weights. Without any, row floor(U N / 2^64): the same row in no pass. */
static enum status draw_first(struct fit *fit, int64_t *row, struct error *error)
{
    enum status status = STATUS_OK;
    struct potential potential;

    if (!fit->weights.weight) {
        *row = (int64_t)seed_scaled(draw_bits(fit, 0), fit->tiles.shape.rows);
        return STATUS_OK;
    }
    TRY(blocks_reset(fit, error));
    TRY(potential_of_weights(fit, &potential, error));
    TRY(draw(fit, &potential, 0, row, error));
out:
    return status;
}

struct take {
    const double *center;
    bool first;
    double largest;
};

static enum status take_tile(const struct tiles *tiles, const struct tile *tile, int64_t number,
                             void *context)
{
    struct take *take = context;
    (void)number;
    return tiles->backend->seed_take(tiles->work, tile->block, tile->first, tile->count,
                                     take->center, take->first, &take->largest);
}

/* Folds the seeded centers that the device has not seen into its distances: one, or after a load
 * all of them. A pass cut in two is run again whole; a minimum does not mind. */
static enum status centers_take(struct fit *fit, struct error *error)
{
    struct take take;
    struct pass pass = {.what = "seed_take",
                        .tile = take_tile,
                        .context = &take,
                        .share = 1.0 / (1 + seed_candidates(fit->tiles.shape.clusters))};

    for (; fit->marked < fit->state.chosen; fit->marked++) {
        take = (struct take){.center = seeded(fit, fit->marked), .first = fit->marked == 0};
        enum status status = tiles_pass(&fit->tiles, &pass, &fit->course, error);
        if (status != STATUS_OK)
            return status;
        fit->marked_largest = take.largest;
    }
    return STATUS_OK;
}

struct trial {
    const double *candidates;
    int count;
    int32_t L;
    int128 totals[CANDIDATES_MAX];
};

static enum status try_tile(const struct tiles *tiles, const struct tile *tile, int64_t number,
                            void *context)
{
    struct trial *trial = context;
    (void)number;
    return tiles->backend->seed_try(tiles->work, tile->block, tile->first, tile->count,
                                    trial->candidates, trial->count, false, trial->L,
                                    trial->totals);
}

static int trial_best(const struct trial *trial)
{
    int best = 0;

    for (int c = 1; c < trial->count; c++)
        if (trial->totals[c] < trial->totals[best])
            best = c;
    return best;
}

/* Draws the candidates of this step and keeps the one with the lowest total. */
static enum status greedy_step(struct fit *fit, const struct potential *potential,
                               struct error *error)
{
    enum status status;
    int64_t columns = fit->tiles.shape.columns, row[CANDIDATES_MAX];
    struct trial trial = {.candidates = fit->candidates,
                          .count = seed_candidates(fit->tiles.shape.clusters),
                          .L = potential->L};
    struct pass pass = {.what = "seed_try", .tile = try_tile, .context = &trial, .share = 1};
    int64_t index = 1 + (fit->state.chosen - 1) * trial.count;

    for (int c = 0; c < trial.count; c++) {
        TRY(draw(fit, potential, index + c, &row[c], error));
        TRY(tiles_gather(&fit->tiles, row[c], fit->candidates + c * columns, error));
    }
    TRY(tiles_pass(&fit->tiles, &pass, &fit->course, error));
    int best = trial_best(&trial);
    memcpy(seeded(fit, fit->state.chosen), fit->candidates + best * columns,
           (size_t)columns * sizeof(double));
    seed_commit(fit, row[best]);
out:
    return status;
}

/* No row is away from its center any more: the other centers copy the first. They win no tie. */
static void centers_repeat(struct fit *fit)
{
    size_t bytes = (size_t)fit->tiles.shape.columns * sizeof(double);

    fit->state.distinct_below = 1;
    while (fit->state.chosen < fit->tiles.shape.clusters) {
        memcpy(seeded(fit, fit->state.chosen), fit->state.centers, bytes);
        seed_commit(fit, -1);
    }
}

static enum status plus_plus_step(struct fit *fit, struct error *error)
{
    enum status status;
    struct potential potential;
    int64_t row;

    if (fit->state.chosen == 0) {
        TRY(draw_first(fit, &row, error));
        TRY(tiles_gather(&fit->tiles, row, fit->state.centers, error));
        seed_commit(fit, row);
        return STATUS_OK;
    }
    TRY(centers_take(fit, error));
    TRY(potential_read(fit, fit->marked_largest, &potential, error));
    if (potential.total == 0)
        centers_repeat(fit);
    else
        TRY(greedy_step(fit, &potential, error));
out:
    return status;
}

/* Rows that were drawn already have no part in the next draw. */
static enum status drawn_mark(struct fit *fit, struct error *error)
{
    enum status status = STATUS_OK;
    const struct tiles *tiles = &fit->tiles;

    if (fit->marked == 0)
        TRY(blocks_reset(fit, error));
    for (; fit->marked < fit->state.chosen; fit->marked++) {
        int64_t row = fit->state.seed_row[fit->marked];
        int index = tiles_block(tiles, row);
        TRY(device_failed(tiles->backend,
                          tiles->backend->seed_mark(tiles->work, tiles->block[index],
                                                    row - tiles->rows[index].first, 0),
                          "seed_mark", 0, error));
    }
out:
    return status;
}

static enum status random_weighted_step(struct fit *fit, struct error *error)
{
    enum status status;
    struct potential potential;
    int64_t row;

    TRY(drawn_mark(fit, error));
    TRY(potential_of_weights(fit, &potential, error));
    TRY(draw(fit, &potential, fit->state.chosen, &row, error));
    TRY(tiles_gather(&fit->tiles, row, seeded(fit, fit->state.chosen), error));
    seed_commit(fit, row);
out:
    return status;
}

/* The rows of smallest (key, row): a heap with the greatest on top. */
struct smallest {
    struct row_key *heap;
    int64_t held, most;
    uint64_t seed;
    uint32_t run;
};

static bool key_less(struct row_key a, struct row_key b)
{
    return a.key < b.key || (a.key == b.key && a.row < b.row);
}

static void heap_sink(struct row_key *heap, int64_t held, int64_t at)
{
    for (int64_t child; (child = 2 * at + 1) < held; at = child) {
        if (child + 1 < held && key_less(heap[child], heap[child + 1]))
            child++;
        if (!key_less(heap[at], heap[child]))
            return;
        struct row_key swapped = heap[at];
        heap[at] = heap[child];
        heap[child] = swapped;
    }
}

static void smallest_add(struct smallest *smallest, struct row_key key)
{
    if (smallest->held < smallest->most) {
        smallest->heap[smallest->held++] = key;
        if (smallest->held == smallest->most)
            for (int64_t i = smallest->most / 2; i-- > 0;)
                heap_sink(smallest->heap, smallest->most, i);
    } else if (key_less(key, smallest->heap[0])) {
        smallest->heap[0] = key;
        heap_sink(smallest->heap, smallest->most, 0);
    }
}

static enum status keys_tile(const struct tiles *tiles, const struct tile *tile, int64_t number,
                             void *context)
{
    struct smallest *smallest = context;
    const double *weight = tiles->rows[tile->index].weight;
    (void)number;

    for (int64_t i = 0; i < tile->count; i++) {
        int64_t row = tile->row + i;
        if (weight && weight[tile->first + i] <= 0)
            continue;
        uint64_t key = philox_u64(smallest->seed, (uint64_t)row, PHILOX_ROW_KEY, smallest->run);
        smallest_add(smallest, (struct row_key){.key = key, .row = row});
    }
    return STATUS_OK;
}

static int key_compare(const void *a, const void *b)
{
    const struct row_key *left = a, *right = b;

    return key_less(*right, *left) - key_less(*left, *right);
}

/* All centers in one step: the rows whose random bits are smallest. */
static enum status random_step(struct fit *fit, struct error *error)
{
    enum status status;
    int64_t clusters = fit->tiles.shape.clusters;
    struct smallest smallest = {.heap = fit->keys,
                                .most = clusters,
                                .seed = fit->params.random_state,
                                .run = (uint32_t)fit->state.run};
    struct pass pass = {.what = "random rows", .tile = keys_tile, .context = &smallest, .share = 1};

    TRY(tiles_pass(&fit->tiles, &pass, &fit->course, error));
    qsort(fit->keys, (size_t)clusters, sizeof *fit->keys, key_compare);
    for (int64_t j = 0; j < clusters; j++)
        TRY(tiles_gather(&fit->tiles, fit->keys[j].row, seeded(fit, j), error));
    for (int64_t j = 0; j < clusters; j++)
        seed_commit(fit, fit->keys[j].row);
out:
    return status;
}

static enum status given_step(struct fit *fit, struct error *error)
{
    (void)error;
    memcpy(fit->state.centers, fit->init_centers,
           (size_t)fit->tiles.shape.clusters * (size_t)fit->tiles.shape.columns * sizeof(double));
    while (fit->state.chosen < fit->tiles.shape.clusters)
        seed_commit(fit, -1);
    return STATUS_OK;
}

/* Rows of equal weight are drawn like rows without: ones are no weights. */
enum status seed_step(struct fit *fit, struct error *error)
{
    enum status status;

    if (fit->params.init == INIT_CENTERS)
        status = given_step(fit, error);
    else if (fit->params.init == INIT_KMEANS_PLUS_PLUS)
        status = plus_plus_step(fit, error);
    else if (fit->weights.equal)
        status = random_step(fit, error);
    else
        status = random_weighted_step(fit, error);
    if (status == STATUS_OK && fit->state.chosen == fit->tiles.shape.clusters)
        fit->state.stage = FIT_ROUNDS;
    return status;
}
