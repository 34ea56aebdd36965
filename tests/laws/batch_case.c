#include "tests/laws/batch_case.h"

#include <math.h>

/* What a problem's values look like. */
enum look {
    LOOK_BLOBS,
    LOOK_WHOLE, /* 0, 1, 2: ties and repeats */
    LOOK_EQUAL, /* one row again and again */
    LOOK_MIXED, /* magnitudes 2^-30 .. 2^29 by value */
    LOOK_ZEROS, /* 0 and -0 */
    LOOK_TINY,  /* subnormal */
    LOOK_SMALL, /* their squares are nearly subnormal */
    LOOK_HUGE,  /* fp64: 1e150, beyond the limit now and then */
    LOOK_OFFSET,
    LOOKS
};

static double value_of(enum look look, uint64_t *seed, int64_t row)
{
    double normal = check_normal(seed);

    switch (look) {
    case LOOK_BLOBS:
        return normal + 10 * (double)(row % 3);
    case LOOK_WHOLE:
        return (double)(check_random(seed) % 3);
    case LOOK_EQUAL:
        return 0.1;
    case LOOK_MIXED:
        return ldexp(normal, (int)(check_random(seed) % 60) - 30);
    case LOOK_ZEROS:
        return check_random(seed) % 2 ? 0.0 : -0.0;
    case LOOK_TINY:
        return ldexp(normal, -1050);
    case LOOK_SMALL:
        return ldexp(normal, -485 - (int)(check_random(seed) % 20));
    case LOOK_HUGE:
        return check_random(seed) % 300 ? normal * 1e149 : 1e151;
    default:
        return 1e4 + normal;
    }
}

static void value_put(struct batch_case *batch, int64_t at, double value)
{
    if (batch->fits.number == NUMBER_F32)
        ((float *)batch->values)[at] = (float)value;
    else
        ((double *)batch->values)[at] = value;
}

static double weight_of(uint64_t *seed, int kind)
{
    static const double odd[] = {0, 1e-30, 0x1p-80, 1, 3, 1e100};

    if (kind == 1)
        return 2.5;
    if (kind == 2)
        return odd[check_random(seed) % (sizeof odd / sizeof *odd)];
    return check_random(seed) % 5 ? 3 * (1 - check_uniform(seed)) : 0;
}

/* One problem's rows: its look, and now and then what is no number. */
static void problem_fill(struct batch_case *batch, int64_t p, uint64_t *seed)
{
    int64_t columns = batch->fits.columns, rows = batch->row[p + 1] - batch->row[p];
    int64_t from = batch->row[p] * columns;
    enum look look = (enum look)(check_random(seed) % LOOKS);
    int bad = (int)(check_random(seed) % 4), kind = (int)(check_random(seed) % 4);

    for (int64_t i = 0; i < rows * columns; i++)
        value_put(batch, from + i, value_of(look, seed, i / columns));
    for (int i = 0; bad == 0 && rows > 0 && i < 3; i++)
        value_put(batch, from + (int64_t)(check_random(seed) % (uint64_t)(rows * columns)),
                  i ? (double)NAN : -(double)INFINITY);
    for (int64_t i = batch->row[p]; batch->weight && i < batch->row[p + 1]; i++)
        batch->weight[i] = weight_of(seed, kind);
}

static double center_of(uint64_t *seed)
{
    uint64_t kind = check_random(seed) % 400;

    if (kind == 0)
        return -3e150;
    return kind % 4 ? 5 * check_normal(seed) + 0.0 : (double)(check_random(seed) % 2);
}

/* Given centers: some repeat, some lie far away. */
static void centers_fill(struct batch_case *batch, int64_t p, uint64_t *seed)
{
    int64_t columns = batch->fits.columns;

    for (int64_t j = batch->center[p]; j < batch->center[p + 1]; j++)
        for (int64_t d = 0; d < columns; d++)
            batch->centers[j * columns + d] = center_of(seed);
}

static void params_draw(struct fits *fits, uint64_t *seed)
{
    static const double tols[] = {1e-4, 0, 0.3, 1e6};
    static const int64_t rounds[] = {300, 1, 2, 7};

    fits->init = (enum fits_init)(check_random(seed) % 3);
    fits->empty = (enum fits_empty)(check_random(seed) % 6 % 4 % 3); /* relocation most often */
    fits->skip_non_finite = check_random(seed) % 2;
    fits->fixed_rounds = check_random(seed) % 8 == 0;
    fits->n_init = fits->init == FITS_CENTERS ? 1 : 1 + (int64_t)(check_random(seed) % 3);
    fits->max_iter = rounds[check_random(seed) % 4];
    if (fits->fixed_rounds && fits->max_iter > 7)
        fits->max_iter = 7;
    fits->tol = tols[check_random(seed) % 4];
}

struct batch_case case_new(uint64_t seed, int64_t most_rows, int64_t most_clusters)
{
    struct batch_case batch = {.seed = seed};
    uint64_t s = seed;

    params_draw(&batch.fits, &s);
    batch.fits.number = check_random(&s) % 2 ? NUMBER_F32 : NUMBER_F64;
    batch.fits.columns = 1 + (int64_t)(check_random(&s) % 9);
    batch.fits.problems = 1 + (int64_t)(check_random(&s) % 24);
    batch.row = calloc((size_t)batch.fits.problems + 1, sizeof *batch.row);
    batch.center = calloc((size_t)batch.fits.problems + 1, sizeof *batch.center);
    for (int64_t p = 0; p < batch.fits.problems; p++) {
        int64_t rows = (int64_t)(check_random(&s) % (uint64_t)(most_rows + 1));
        int64_t k = 1 + (int64_t)(check_random(&s) % (uint64_t)most_clusters);
        if (check_random(&s) % 5 == 0 && rows > 0 && rows <= most_clusters)
            k = rows; /* every row its own */
        batch.row[p + 1] = batch.row[p] + rows;
        batch.center[p + 1] = batch.center[p] + k;
    }
    batch.random_state = calloc((size_t)batch.fits.problems, sizeof *batch.random_state);
    for (int64_t p = 0; p < batch.fits.problems; p++)
        batch.random_state[p] = check_random(&s);
    batch.fits.random_state = batch.random_state;
    size_t n = (size_t)batch.row[batch.fits.problems], d = (size_t)batch.fits.columns;
    size_t k = (size_t)batch.center[batch.fits.problems];
    batch.values = calloc(n * d + 1, sizeof(double));
    batch.weight = check_random(&s) % 2 ? calloc(n + 1, sizeof *batch.weight) : NULL;
    batch.centers = calloc(k * d, sizeof *batch.centers);
    for (int64_t p = 0; p < batch.fits.problems; p++) {
        problem_fill(&batch, p, &s);
        centers_fill(&batch, p, &s);
    }
    batch.fits.row = batch.row;
    batch.fits.center = batch.center;
    batch.fits.values = batch.values;
    batch.fits.weight = batch.weight;
    batch.fits.centers = batch.fits.init == FITS_CENTERS ? batch.centers : NULL;
    return batch;
}

void case_free(struct batch_case *batch)
{
    free(batch->row);
    free(batch->center);
    free(batch->values);
    free(batch->weight);
    free(batch->centers);
    free(batch->random_state);
}

struct batch_case case_small(int64_t problems, int64_t rows, int64_t clusters)
{
    struct batch_case batch = {.fits = {.number = NUMBER_F64,
                                        .columns = 1,
                                        .problems = problems,
                                        .n_init = 1,
                                        .max_iter = 300}};
    size_t p = (size_t)problems;

    batch.row = calloc(p + 1, sizeof *batch.row);
    batch.center = calloc(p + 1, sizeof *batch.center);
    batch.random_state = calloc(p, sizeof *batch.random_state);
    for (int64_t i = 0; i <= problems; i++) {
        batch.row[i] = i * rows;
        batch.center[i] = i * clusters;
    }
    batch.values = calloc(p * (size_t)rows, sizeof(double));
    batch.centers = calloc(p * (size_t)clusters, sizeof(double));
    batch.fits.row = batch.row;
    batch.fits.center = batch.center;
    batch.fits.random_state = batch.random_state;
    batch.fits.values = batch.values;
    batch.fits.centers = batch.centers;
    return batch;
}

struct kmeans_params case_params(const struct batch_case *batch, int64_t p)
{
    static const enum init inits[] = {[FITS_CENTERS] = INIT_CENTERS,
                                      [FITS_PLUS_PLUS] = INIT_KMEANS_PLUS_PLUS,
                                      [FITS_RANDOM] = INIT_RANDOM};
    const struct fits *fits = &batch->fits;
    struct kmeans_params params = kmeans_params_default();

    params.n_clusters = fits->center[p + 1] - fits->center[p];
    params.init = inits[fits->init];
    params.init_centers =
        fits->init == FITS_CENTERS ? fits->centers + fits->center[p] * fits->columns : NULL;
    params.n_init = fits->n_init;
    params.max_iter = fits->max_iter;
    params.tol = fits->tol;
    params.fixed_rounds = fits->fixed_rounds;
    params.random_state = fits->random_state[p];
    params.non_finite = fits->skip_non_finite ? NON_FINITE_SKIP : NON_FINITE_REJECT;
    params.empty_clusters = (enum empty_clusters)fits->empty;
    return params;
}

enum status case_alone(const struct machine *machine, const struct batch_case *batch, int64_t p,
                       const char *name, struct kmeans_result *out, struct error *error)
{
    const struct fits *fits = &batch->fits;
    size_t size = fits->number == NUMBER_F32 ? sizeof(float) : sizeof(double);
    const char *values = (const char *)batch->values;
    struct rows rows = {.values = values + (size_t)(batch->row[p] * fits->columns) * size,
                        .count = batch->row[p + 1] - batch->row[p]};
    struct matrix matrix = {.number = fits->number,
                            .rows = rows.count,
                            .columns = fits->columns,
                            .chunks = 1,
                            .chunk = &rows};
    struct fit_input input = {.name = name,
                              .matrix = &matrix,
                              .sample_weight =
                                  batch->weight ? batch->weight + batch->row[p] : NULL};
    struct kmeans_params params = case_params(batch, p);

    return kmeans_fit(machine->backend, machine->device, &input, &params, NULL, out, error);
}
