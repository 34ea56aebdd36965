/* fits.c - many small fits, each whole and by itself: the definition of right.
 *
 * The loop of host/cluster/kmeans.c over one block and the passes of ref, without turns: assign,
 * move, enough? What it decides must be what that loop decides. */
#include <stdlib.h>
#include <string.h>

#include "kernels/ref/fits.h"

struct largest fits_largest(const struct fits *fits)
{
    struct largest out = {0};

    for (int64_t p = 0; p < fits->problems; p++) {
        int64_t rows = fits->row[p + 1] - fits->row[p];
        int64_t clusters = fits->center[p + 1] - fits->center[p];
        if (fits->refused && fits->refused[p])
            continue;
        out.rows = rows > out.rows ? rows : out.rows;
        out.clusters = clusters > out.clusters ? clusters : out.clusters;
    }
    return out;
}

void carve_solver(struct carver *carver, struct solver *solver, struct largest most)
{
    int64_t n = most.rows, k = most.clusters, d = solver->fits->columns, far = far_rows_most(n, k);

    solver->work.shape = (struct shape){.clusters = k, .columns = d};
    carve_work(carver, &solver->work);
    solver->block.seed = carve(carver, n, 1, sizeof *solver->block.seed);
    solver->block.label = carve(carver, n, 1, sizeof *solver->block.label);
    solver->weights.weight = carve(carver, n, 1, sizeof *solver->weights.weight);
    solver->facts.column = carve(carver, d, 1, sizeof *solver->facts.column);
    solver->L = carve(carver, d, 1, sizeof *solver->L);
    solver->moments = carve(carver, 1, 1, sizeof *solver->moments);
    solver->centers = carve(carver, k, d, sizeof *solver->centers);
    solver->next = carve(carver, k, d, sizeof *solver->next);
    solver->candidates = carve(carver, CANDIDATES_MAX, d, sizeof *solver->candidates);
    solver->keys = carve(carver, k, 1, sizeof *solver->keys);
    solver->sums.sum = carve(carver, k, d, sizeof *solver->sums.sum);
    solver->sums.weight = carve(carver, k, 1, sizeof *solver->sums.weight);
    solver->sums.count = carve(carver, k, 1, sizeof *solver->sums.count);
    solver->far = carve(carver, far, 1, sizeof *solver->far);
    solver->far_values = carve(carver, far, d, sizeof *solver->far_values);
    solver->far_cluster = carve(carver, far, 1, sizeof *solver->far_cluster);
}

/* Bytes from `base` on; 0: they overflow. */
static size_t layout(struct solver *solver, struct largest most, char *base)
{
    struct carver carver = {.base = base};

    carve_solver(&carver, solver, most);
    return carver.overflow ? 0 : carver.used;
}

enum status ref_fits_plan(const struct device *device, const struct fits *fits, int64_t rows,
                          int64_t clusters, struct fits_plan *out)
{
    struct solver solver = {.fits = fits};
    struct largest most = {rows, clusters};
    struct shape shape = {
        .rows = rows, .columns = fits->columns, .clusters = clusters, .number = fits->number};
    double ns;

    if (shape_check(&shape) != STATUS_OK ||
        problem_ns(fits, rows, clusters, device->pair_ns, &ns) != STATUS_OK)
        return STATUS_UNSUPPORTED;
    size_t bytes = layout(&solver, most, NULL);
    if (bytes == 0 || bytes > FITS_PROBLEM_BYTES || ns > FITS_CALL_NS ||
        rows > FITS_PROBLEM_BYTES / (int64_t)sizeof(double) / fits->columns)
        return STATUS_UNSUPPORTED;
    *out = (struct fits_plan){.host_bytes = (int64_t)bytes, .problem_ns = ns};
    return STATUS_OK;
}

static void problem_set(struct solver *solver, int64_t problem)
{
    const struct fits *fits = solver->fits;
    int64_t row = fits->row[problem], center = fits->center[problem];
    size_t bytes = fits->number == NUMBER_F32 ? sizeof(float) : sizeof(double);

    solver->block.rows =
        (struct rows){.values = (const char *)fits->values + (size_t)(row * fits->columns) * bytes,
                      .count = fits->row[problem + 1] - row};
    solver->random_state = fits->random_state[problem];
    solver->given = fits->init == FITS_CENTERS ? fits->centers + center * fits->columns : NULL;
    solver->work.shape = (struct shape){.rows = solver->block.rows.count,
                                        .columns = fits->columns,
                                        .clusters = fits->center[problem + 1] - center,
                                        .number = fits->number,
                                        .candidates = CANDIDATES_MAX};
    solver->work.shape.farthest =
        (int)far_rows_most(solver->block.rows.count, solver->work.shape.clusters);
    problem_weights_make(fits, solver->block.rows.values, fits->weight ? fits->weight + row : NULL,
                         solver->block.rows.count, &solver->weights);
    solver->block.rows.weight = solver->weights.present ? solver->weights.weight : NULL;
    solver->work.shape.weighted = solver->weights.present;
}

/* tol is relative to the mean variance of the columns; tol = 0 needs no variance. */
static double shift_limit(struct solver *solver)
{
    int64_t columns = solver->work.shape.columns;
    double sum = 0;

    for (int64_t d = 0; solver->fits->tol > 0 && d < columns; d++) {
        *solver->moments = (struct moments){0};
        ref_moments(&solver->work, &solver->block, 0, solver->block.rows.count, d, 1,
                    solver->moments);
        sum += moments_variance(solver->moments);
    }
    return solver->fits->tol * (sum / (double)columns);
}

static enum status prepare(struct solver *solver, struct fits_result *result)
{
    const struct shape *shape = &solver->work.shape;
    enum status status;

    if (solver->weights.taking_part < shape->clusters) {
        result->taking_part = solver->weights.taking_part;
        return STATUS_TOO_FEW_ROWS;
    }
    facts_init(&solver->facts, solver->facts.column, shape->columns);
    ref_facts(&solver->work, &solver->block, 0, solver->block.rows.count, &solver->facts);
    status = problem_check(solver->fits, &solver->facts, &solver->weights, solver->given,
                           shape->clusters, result);
    if (status != STATUS_OK)
        return status;
    for (int64_t d = 0; d < shape->columns; d++) {
        int32_t exponent = grid_exponent(solver->facts.column[d].largest);
        solver->L[d] = exponent > GRID_COLUMN_LEAST ? exponent : GRID_COLUMN_LEAST;
    }
    struct grid grid = {.column = solver->L};
    if (solver->weights.present)
        grid.weight = grid_weight_exponent(solver->weights.largest);
    ref_grid_set(&solver->work, &grid);
    solver->shift_limit = shift_limit(solver);
    return STATUS_OK;
}

/* Labels and sums of the present centers; the sums into the copy. */
static void assign(struct solver *solver)
{
    ref_begin(&solver->work, solver->centers);
    ref_assign(&solver->work, &solver->block, 0, solver->block.rows.count, true);
    ref_sums_read(&solver->work, &solver->sums);
}

static int64_t empty_next(const struct solver *solver, int64_t j)
{
    while (j < solver->work.shape.clusters && solver->sums.count[j] != 0)
        j++;
    return j;
}

static enum status empty_check(const struct solver *solver, int64_t round,
                               struct fits_result *result)
{
    int64_t empty = empty_next(solver, 0);

    if (solver->fits->empty != FITS_ERROR || empty == solver->work.shape.clusters)
        return STATUS_OK;
    result->row = round;
    result->column = empty;
    return STATUS_EMPTY_CLUSTER;
}

/* The row leaves the sums of its cluster, in the copy: the device's are those of its labels. */
static void donor_reduce(struct solver *solver, const struct far_row *row, const double *values)
{
    int64_t columns = solver->work.shape.columns;
    const struct grid *grid = &solver->work.grid;
    int128 *sum = solver->sums.sum + row->label * columns;

    solver->sums.count[row->label]--;
    for (int64_t d = 0; d < columns; d++)
        sum[d] -= solver->weights.present
                      ? grid_weighted(values[d], grid->column[d], row->weight, grid->weight)
                      : grid_fixed(values[d], grid->column[d]);
    solver->sums.weight[row->label] -= grid_fixed(ldexp(row->weight, -grid->weight), 0);
}

/* Gives far rows to empty clusters; returns how many. A donor keeps its last row. */
static int rows_give(struct solver *solver, int listed)
{
    int64_t columns = solver->work.shape.columns, taker = empty_next(solver, 0);
    int given = 0;

    for (int i = 0; i < listed; i++) {
        const struct far_row *row = &solver->far[i];
        solver->far_cluster[i] = -1;
        if (taker == solver->work.shape.clusters || solver->sums.count[row->label] < 2)
            continue;
        donor_reduce(solver, row, solver->far_values + i * columns);
        solver->far_cluster[i] = taker;
        taker = empty_next(solver, taker + 1);
        given++;
    }
    return given;
}

/* Chooses far rows for the empty clusters. *listed of them, *given found a cluster. */
static void empty_choose(struct solver *solver, int *listed, int *given)
{
    int64_t empty = 0, most, rows = solver->block.rows.count;

    for (int64_t j = 0; j < solver->work.shape.clusters; j++)
        empty += solver->sums.count[j] == 0;
    *listed = *given = 0;
    if (empty == 0 || solver->fits->empty != FITS_RELOCATE)
        return;
    most = far_rows_most(rows, empty + 1);
    ref_farthest(&solver->work, &solver->block, 0, rows, (int)most, solver->far, solver->far_values,
                 listed);
    *given = rows_give(solver, *listed);
}

/* The new centers: means of the sums; without rows the old one; far rows where they were given. */
static void centers_move(struct solver *solver, int listed)
{
    int64_t columns = solver->work.shape.columns;
    const struct sums *sums = &solver->sums;

    for (int64_t at = 0; at < solver->work.shape.clusters * columns; at++) {
        int64_t j = at / columns;
        int32_t L = solver->L[at % columns];
        if (sums->count[j] == 0)
            solver->next[at] = solver->centers[at];
        else if (solver->weights.present)
            solver->next[at] = grid_mean_weighted(sums->sum[at], sums->weight[j], L);
        else
            solver->next[at] = grid_mean(sums->sum[at], sums->count[j], L);
    }
    for (int i = 0; i < listed; i++)
        if (solver->far_cluster[i] >= 0)
            memcpy(solver->next + solver->far_cluster[i] * columns,
                   solver->far_values + i * columns, (size_t)columns * sizeof(double));
}

static double centers_shift(const struct solver *solver)
{
    int64_t columns = solver->work.shape.columns;
    double sum = 0;

    for (int64_t j = 0; j < solver->work.shape.clusters; j++)
        sum += canonical_f64(solver->next + j * columns, solver->centers + j * columns, columns);
    return sum;
}

/* Why the loop ends after this round; 0: it goes on. */
static enum fits_stop stop_now(const struct solver *solver, bool labels_equal, bool relocated,
                               double shift)
{
    const struct fits *fits = solver->fits;
    bool last = solver->round == fits->max_iter;

    if (fits->fixed_rounds)
        return last ? FITS_FIXED_ROUNDS : 0;
    if (!relocated && labels_equal)
        return FITS_LABELS_EQUAL;
    if (!relocated && shift <= solver->shift_limit)
        return FITS_TOLERANCE;
    return last ? FITS_MAX_ITER : 0;
}

/* Rounds until one says why to stop. *belong: labels and sums are those of the centers it left. */
static enum status rounds(struct solver *solver, enum fits_stop *stop, bool *belong,
                          struct fits_result *result)
{
    size_t bytes =
        (size_t)(solver->work.shape.clusters * solver->work.shape.columns) * sizeof(double);
    uint128 fingerprint = 0;

    *stop = 0;
    for (solver->round = 0; *stop == 0;) {
        int listed, given;
        assign(solver);
        if (empty_check(solver, solver->round + 1, result) != STATUS_OK)
            return STATUS_EMPTY_CLUSTER;
        empty_choose(solver, &listed, &given);
        centers_move(solver, listed);
        double shift = centers_shift(solver), *old = solver->centers;
        bool labels_equal = solver->round > 0 && solver->sums.fingerprint == fingerprint;
        fingerprint = solver->sums.fingerprint;
        solver->round++;
        *belong = given == 0 && memcmp(solver->next, old, bytes) == 0;
        *stop = stop_now(solver, labels_equal, given > 0, shift);
        solver->centers = solver->next;
        solver->next = old;
    }
    return STATUS_OK;
}

static double inertia(struct solver *solver)
{
    int32_t L = grid_exponent(solver->work.assigned.largest_term);
    int128 total = 0;

    ref_inertia(&solver->work, &solver->block, 0, solver->block.rows.count, L, &total, NULL);
    return grid_double(total, L);
}

/* The present run becomes the problem's result. */
static void keep(const struct solver *solver, int64_t problem, enum fits_stop stop, double inertia,
                 const struct fits_out *out)
{
    const struct fits *fits = solver->fits;
    int64_t row = fits->row[problem], center = fits->center[problem];
    size_t clusters = (size_t)solver->work.shape.clusters;
    struct fits_result result = {.status = STATUS_OK,
                                 .n_iter = solver->round,
                                 .run = solver->run,
                                 .skipped = solver->weights.skipped,
                                 .taking_part = solver->weights.taking_part,
                                 .stop = stop,
                                 .distinct_below = solver->distinct_below,
                                 .inertia = inertia,
                                 .fingerprint = solver->sums.fingerprint};

    for (size_t j = 0; j < clusters; j++)
        result.empty += solver->sums.count[j] == 0;
    out->result[problem] = result;
    memcpy(out->labels + row, solver->block.label,
           (size_t)solver->block.rows.count * sizeof *out->labels);
    memcpy(out->sizes + center, solver->sums.count, clusters * sizeof *out->sizes);
    memcpy(out->centers + center * fits->columns, solver->centers,
           clusters * (size_t)fits->columns * sizeof *out->centers);
}

/* Every run begins without labels and with empty sums; the lowest inertia wins, then the lowest run. */
static enum status run_once(struct solver *solver, int64_t problem, struct fits_result *failure,
                            const struct fits_out *out)
{
    size_t clusters = (size_t)solver->work.shape.clusters;
    enum fits_stop stop;
    bool belong;

    memset(solver->work.sum, 0, clusters * (size_t)solver->fits->columns * sizeof(int128));
    memset(solver->work.weight, 0, clusters * sizeof(int128));
    memset(solver->work.count, 0, clusters * sizeof(int64_t));
    solver->work.fingerprint = 0;
    for (int64_t i = 0; i < solver->block.rows.count; i++)
        solver->block.label[i] = -1;
    solver_seed(solver);
    enum status status = rounds(solver, &stop, &belong, failure);
    if (status != STATUS_OK)
        return status;
    if (!belong)
        assign(solver);
    if (empty_check(solver, solver->round, failure) != STATUS_OK)
        return STATUS_EMPTY_CLUSTER;
    double found = inertia(solver);
    if (solver->run == 0 || found < out->result[problem].inertia)
        keep(solver, problem, stop, found, out);
    return STATUS_OK;
}

void solver_fit(struct solver *solver, int64_t problem, const struct fits_out *out)
{
    struct fits_result failure = {.status = STATUS_OK};

    problem_set(solver, problem);
    failure.status = prepare(solver, &failure);
    for (solver->run = 0; failure.status == STATUS_OK && solver->run < solver->fits->n_init;
         solver->run++)
        failure.status = run_once(solver, problem, &failure, out);
    if (failure.status != STATUS_OK)
        problem_failed(solver->fits, problem, &failure, out);
}

enum status ref_fits(struct device *device, const struct fits *fits, struct fits_out *out)
{
    struct solver solver = {.fits = fits};
    struct largest most = fits_largest(fits);
    size_t bytes = layout(&solver, most, NULL);
    char *region = bytes > 0 ? region_new(bytes) : NULL;

    (void)device;
    if (!region)
        return STATUS_OUT_OF_MEMORY;
    layout(&solver, most, region);
    for (int64_t p = 0; p < fits->problems; p++)
        if (!fits->refused || !fits->refused[p])
            solver_fit(&solver, p, out);
    free(region);
    return STATUS_OK;
}
