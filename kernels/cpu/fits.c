/* fits.c - many small fits: a thread takes the next problem and does it whole.
 *
 * Problems are handed out a few at a time, because their rounds differ. All of a thread's memory is
 * one piece, taken at the start of a call and large enough for every problem in it. */
#include <omp.h>
#include <stdlib.h>

#include "kernels/cpu/fits.h"

enum {
    PROBLEMS_AT_ONCE = 8,
    PROBLEM_NS = 3000,   /* of any problem, beside its rows */
    ROW_NS = 25,         /* of a row, beside its pairs */
    PARALLEL_NS = 100000 /* a region costs a fifth of this */
};

static void carve_grid(struct carver *carver, int64_t wide, struct small_grid *grid)
{
    grid->up40 = carve(carver, wide, 1, sizeof(double));
    grid->down40 = carve(carver, wide, 1, sizeof(double));
    grid->up80 = carve(carver, wide, 1, sizeof(double));
    grid->down = carve(carver, wide, 1, sizeof(double));
    grid->back = carve(carver, wide, 1, sizeof(double));
}

static void carve_rows(struct carver *carver, int64_t rows, int64_t wide, struct small *small)
{
    double **const by_row[] = {&small->w,        &small->w_hi,     &small->w_lo,
                               &small->m,        &small->trial[0], &small->p,
                               &small->trial[1], &small->p_hi,     &small->p_lo,
                               &small->distance, &small->label,    &small->weights.weight};
    double **const by_value[] = {&small->values, &small->x, &small->hi, &small->lo};

    for (size_t i = 0; i < sizeof by_row / sizeof *by_row; i++)
        *by_row[i] = carve(carver, rows, 1, sizeof(double));
    for (size_t i = 0; i < sizeof by_value / sizeof *by_value; i++)
        *by_value[i] = carve(carver, rows, wide, sizeof(double));
}

static void carve_small(struct carver *carver, struct small *small, struct largest most)
{
    int64_t rows = (most.rows + SMALL_STEP - 1) / SMALL_STEP * SMALL_STEP, k = most.clusters;
    int64_t wide = (small->fits->columns + QUAD - 1) / QUAD * QUAD;
    double **const by_column[] = {&small->lowest, &small->highest, &small->largest,
                                  &small->smallest};
    double **const by_center[] = {&small->centers, &small->next, &small->sum_hi, &small->sum_lo};

    carve_rows(carver, rows, wide, small);
    carve_grid(carver, wide, &small->grid);
    for (size_t i = 0; i < sizeof by_column / sizeof *by_column; i++)
        *by_column[i] = carve(carver, wide, 1, sizeof(double));
    for (size_t i = 0; i < sizeof by_center / sizeof *by_center; i++)
        *by_center[i] = carve(carver, k, wide, sizeof(double));
    small->column = carve(carver, wide, 1, sizeof *small->column);
    small->L = carve(carver, wide, 1, sizeof *small->L);
    small->keys = carve(carver, k, 1, sizeof *small->keys);
    small->weight_hi = carve(carver, k, 1, sizeof(double));
    small->weight_lo = carve(carver, k, 1, sizeof(double));
    small->count = carve(carver, k, 1, sizeof *small->count);
    small->solver.fits = small->fits;
    carve_solver(carver, &small->solver, most);
}

/* Bytes of a thread from `base` on; 0: they overflow. */
static size_t layout(struct small *small, struct largest most, char *base)
{
    struct carver carver = {.base = base};

    carve_small(&carver, small, most);
    return carver.overflow ? 0 : carver.used;
}

enum status cpu_fits_plan(const struct device *device, const struct fits *fits, int64_t rows,
                          int64_t clusters, struct fits_plan *out)
{
    struct small small = {.fits = fits};
    struct shape shape = {
        .rows = rows, .columns = fits->columns, .clusters = clusters, .number = fits->number};
    int threads = device->info.threads;
    double ns;

    if (shape_check(&shape) != STATUS_OK || rows > SMALL_ROWS || clusters > SMALL_ROWS ||
        problem_ns(fits, rows, clusters, device->pair_ns * threads, &ns) != STATUS_OK)
        return STATUS_UNSUPPORTED;
    size_t bytes = layout(&small, (struct largest){rows, clusters}, NULL);
    if (bytes == 0 || bytes > 2 * FITS_PROBLEM_BYTES)
        return STATUS_UNSUPPORTED;
    int64_t quads = 2 + fits->columns / QUAD; /* of a row, in each of its passes */
    ns += PROBLEM_NS + (double)fits->n_init * ROW_NS * (double)(rows * quads);
    if (ns > FITS_CALL_NS)
        return STATUS_UNSUPPORTED;
    *out = (struct fits_plan){.host_bytes = (int64_t)bytes * threads, .problem_ns = ns / threads};
    return STATUS_OK;
}

/* The sums of no rows, labels of no round. */
static void run_begin(struct small *small)
{
    size_t values = (size_t)(small->clusters * small->wide) * sizeof(double);
    size_t clusters = (size_t)small->clusters;

    memset(small->sum_hi, 0, values);
    memset(small->sum_lo, 0, values);
    memset(small->weight_hi, 0, clusters * sizeof *small->weight_hi);
    memset(small->weight_lo, 0, clusters * sizeof *small->weight_lo);
    memset(small->count, 0, clusters * sizeof *small->count);
    for (int64_t i = 0; i < small->whole; i++)
        small->label[i] = -1;
}

static bool has_empty(const struct small *small)
{
    bool empty = false;

    for (int64_t j = 0; j < small->clusters; j++)
        empty |= small->count[j] == 0;
    return empty;
}

static double centers_shift(const struct small *small)
{
    double sum = 0;

    for (int64_t at = 0; at < small->clusters * small->wide; at += small->wide)
        sum += canonical_f64(small->next + at, small->centers + at, small->columns);
    return sum;
}

/* Why the loop ends after this round; 0: it goes on. */
static enum fits_stop stop_now(const struct small *small, bool labels_equal)
{
    const struct fits *fits = small->fits;
    bool last = small->round == fits->max_iter;

    if (fits->fixed_rounds)
        return last ? FITS_FIXED_ROUNDS : 0;
    if (labels_equal)
        return FITS_LABELS_EQUAL;
    if (centers_shift(small) <= small->shift_limit)
        return FITS_TOLERANCE;
    return last ? FITS_MAX_ITER : 0;
}

/* Rounds until one says why to stop, then labels that belong to the centers. False: a cluster without
 * rows that may not stay so. */
static bool rounds(struct small *small, enum fits_stop *stop)
{
    size_t bytes = (size_t)(small->clusters * small->wide) * sizeof(double);
    bool belong = false, strict = small->fits->empty != FITS_KEEP;

    *stop = 0;
    for (small->round = 0; *stop == 0;) {
        int64_t moved = small_assign(small);
        if (strict && has_empty(small))
            return false;
        small_move(small);
        small->round++;
        *stop = stop_now(small, moved == 0); /* in the first round all rows move */
        belong = memcmp(small->next, small->centers, bytes) == 0;
        double *old = small->centers;
        small->centers = small->next;
        small->next = old;
    }
    if (!belong)
        small_assign(small);
    return !(small->fits->empty == FITS_ERROR && has_empty(small));
}

static double inertia(const struct small *small)
{
    int32_t L = grid_exponent(small_potentials(small, small->distance, small->p));
    quad hi = quad_set1(0), lo = hi;

    small_digits(small->p, small->whole, L, small->p_hi, small->p_lo);
    for (int64_t i = 0; i < small->whole; i += QUAD) {
        hi += quad_load(small->p_hi + i);
        lo += quad_load(small->p_lo + i);
    }
    return grid_double(small_integer(quad_sum(hi), quad_sum(lo)), L);
}

static void labels_write(const struct small *small, int32_t *out)
{
    for (int64_t i = 0; i < small->rows; i++)
        out[i] = (int32_t)small->label[i];
    for (int64_t i = 0; small->weights.skipped > 0 && i < small->rows; i++)
        if (small->weights.weight[i] < 0)
            out[i] = -1;
}

/* The present run becomes the problem's result. */
static void keep(const struct small *small, int64_t problem, enum fits_stop stop, double inertia,
                 const struct fits_out *out)
{
    const struct fits *fits = small->fits;
    int64_t center = fits->center[problem];
    struct fits_result result = {.status = STATUS_OK,
                                 .n_iter = small->round,
                                 .run = small->run,
                                 .skipped = small->weights.skipped,
                                 .taking_part = small->weights.taking_part,
                                 .stop = stop,
                                 .distinct_below = small->distinct_below,
                                 .inertia = inertia,
                                 .fingerprint = small_fingerprint(small)};

    labels_write(small, out->labels + fits->row[problem]);
    for (int64_t j = 0; j < small->clusters; j++) {
        result.empty += small->count[j] == 0;
        out->sizes[center + j] = small->count[j];
        memcpy(out->centers + (center + j) * small->columns, small->centers + j * small->wide,
               (size_t)small->columns * sizeof(double));
    }
    out->result[problem] = result;
}

/* False: the problem is out of the ordinary, and its outputs are to be written again. */
static bool small_fit(struct small *small, int64_t problem, const struct fits_out *out)
{
    const struct fits *fits = small->fits;

    if (!small_load(small, problem))
        return false;
    if (fits->init == FITS_CENTERS)
        small->solver.given = fits->centers + fits->center[problem] * fits->columns;
    for (small->run = 0; small->run < fits->n_init; small->run++) {
        enum fits_stop stop;
        run_begin(small);
        if (!small_seed(small) || !rounds(small, &stop))
            return false;
        double found = inertia(small);
        if (small->run == 0 || found < out->result[problem].inertia)
            keep(small, problem, stop, found, out);
    }
    return true;
}

static void problem_fit(struct small *small, int64_t problem, const struct fits_out *out)
{
    const struct fits *fits = small->fits;

    if (fits->refused && fits->refused[problem])
        return;
    if (!small_fit(small, problem, out))
        solver_fit(&small->solver, problem, out);
}

static int threads_of(const struct device *device, const struct fits *fits, struct largest most)
{
    struct fits_plan plan;
    int64_t most_threads = (fits->problems + PROBLEMS_AT_ONCE - 1) / PROBLEMS_AT_ONCE;
    int threads = device->info.threads;

    if (cpu_fits_plan(device, fits, most.rows, most.clusters, &plan) == STATUS_OK &&
        plan.problem_ns * threads * (double)fits->problems < PARALLEL_NS)
        return 1;
    return threads < most_threads ? threads : (int)most_threads;
}

enum status cpu_fits(struct device *device, const struct fits *fits, struct fits_out *out)
{
    struct largest most = fits_largest(fits);
    struct small counted = {.fits = fits};
    int threads = threads_of(device, fits, most);
    size_t bytes = layout(&counted, most, NULL);
    char *region = NULL;

    if (fits->problems == 0)
        return STATUS_OK;
    if (bytes > 0 && bytes <= SIZE_MAX / (size_t)threads)
        region = aligned_alloc(64, bytes * (size_t)threads);
    if (!region)
        return STATUS_OUT_OF_MEMORY;
#pragma omp parallel num_threads(threads) default(none) shared(fits, out, most, region, bytes)
    {
        struct small small = {.fits = fits};
        layout(&small, most, region + bytes * (size_t)omp_get_thread_num());
#pragma omp for schedule(dynamic, PROBLEMS_AT_ONCE)
        for (int64_t p = 0; p < fits->problems; p++)
            problem_fit(&small, p, out);
    }
    free(region);
    return STATUS_OK;
}
