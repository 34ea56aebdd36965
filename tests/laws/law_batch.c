/* law_batch.c - a problem of a batch has the bits of its fit alone: on every device and level, with
 * any number of threads, in any company. */
#include <math.h>

#include "host/base/memory.h"
#include "host/cluster/fit.h"
#include "tests/laws/law.h"

static const int threads[] = {1, 3, 0};

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

/* A batch and all its memory. */
struct batch_case {
    struct fits fits;
    int64_t *row, *center;
    void *values;
    double *weight, *centers;
    uint64_t *random_state;
    uint64_t seed;
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

static struct batch_case case_new(uint64_t seed, int64_t most_rows, int64_t most_clusters)
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

static void case_free(struct batch_case *batch)
{
    free(batch->row);
    free(batch->center);
    free(batch->values);
    free(batch->weight);
    free(batch->centers);
    free(batch->random_state);
}

static struct fits_out out_new(const struct batch_case *batch)
{
    size_t problems = (size_t)batch->fits.problems, n = (size_t)batch->row[problems];
    size_t k = (size_t)batch->center[problems];
    struct fits_out out = {.result = malloc(problems * sizeof *out.result),
                           .centers =
                               malloc((k * (size_t)batch->fits.columns + 1) * sizeof *out.centers),
                           .labels = malloc((n + 1) * sizeof *out.labels),
                           .sizes = malloc((k + 1) * sizeof *out.sizes)};

    memset(out.centers, 0x5a, (k * (size_t)batch->fits.columns + 1) * sizeof *out.centers);
    memset(out.labels, 0x5a, (n + 1) * sizeof *out.labels);
    memset(out.sizes, 0x5a, (k + 1) * sizeof *out.sizes);
    return out;
}

static void out_free(struct fits_out *out)
{
    free(out->result);
    free(out->centers);
    free(out->labels);
    free(out->sizes);
}

/* What lies behind the last output is nobody's. */
static void guards_intact(struct check *check, const struct batch_case *batch,
                          const struct fits_out *out)
{
    int64_t k = batch->center[batch->fits.problems];
    unsigned char guard[8];

    memset(guard, 0x5a, sizeof guard);
    check_equal_bytes(check, out->centers + k * batch->fits.columns, guard, sizeof(double));
    check_equal_bytes(check, out->labels + batch->row[batch->fits.problems], guard, 4);
    check_equal_bytes(check, out->sizes + k, guard, sizeof guard);
}

static struct kmeans_params params_of(const struct batch_case *batch, int64_t p)
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

/* The problem by itself, by the ordinary loop on `machine`. */
static enum status alone(const struct machine *machine, const struct batch_case *batch, int64_t p,
                         struct kmeans_result *out, struct error *error)
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
    struct fit_input input = {.name = "X",
                              .matrix = &matrix,
                              .sample_weight =
                                  batch->weight ? batch->weight + batch->row[p] : NULL};
    struct kmeans_params params = params_of(batch, p);

    return kmeans_fit(machine->backend, machine->device, &input, &params, NULL, out, error);
}

static void success_equal(struct check *check, const struct batch_case *batch, int64_t p,
                          const struct fits_out *out, const struct kmeans_result *want)
{
    const struct fits_result *result = &out->result[p];
    const struct kmeans_result got = {.rows = want->rows,
                                      .columns = want->columns,
                                      .n_clusters = want->n_clusters,
                                      .centers = out->centers + batch->center[p] * want->columns,
                                      .labels = out->labels + batch->row[p],
                                      .sizes = out->sizes + batch->center[p],
                                      .inertia = result->inertia,
                                      .n_iter = result->n_iter,
                                      .run = result->run,
                                      .stop = (enum stop_reason)result->stop,
                                      .fingerprint = result->fingerprint,
                                      .empty = result->empty,
                                      .distinct_below = result->distinct_below,
                                      .skipped = result->skipped};
    int64_t taking_part = 0;

    results_equal(check, &got, want);
    for (int64_t j = 0; j < want->n_clusters; j++)
        taking_part += want->sizes[j];
    check_equal_i64(check, result->taking_part, taking_part);
}

/* The members of a result that name the cause are the words of the error. */
static void failure_equal(struct check *check, const struct fits_result *got,
                          const struct error *want)
{
    const struct {
        const char *name;
        int64_t value;
    } whole[] = {{"count", got->count},      {"row", got->row},        {"column", got->column},
                 {"rows", got->taking_part}, {"cluster", got->column}, {"round", got->row}};
    char text[32];

    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
        if (error_value(want, whole[i].name)) {
            snprintf(text, sizeof text, "%" PRId64, whole[i].value);
            check_equal_text(check, text, error_value(want, whole[i].name));
        }
    if (error_value(want, "value"))
        check_equal_text(check, real_print(got->value, text), error_value(want, "value"));
    if (want->status == STATUS_OUT_OF_RANGE) {
        snprintf(text, sizeof text, "sample_weight of row %" PRId64, got->row);
        check_equal_text(check, text, error_value(want, "what"));
    }
}

static void problem_equal(struct check *check, const struct machine *ref,
                          const struct batch_case *batch, int64_t p, const struct fits_out *out)
{
    struct kmeans_result want = {0};
    struct error error = {0};
    enum status status = alone(ref, batch, p, &want, &error);

    if (!check_equal_i64(check, out->result[p].status, status))
        return;
    if (status == STATUS_OK) {
        success_equal(check, batch, p, out, &want);
    } else {
        failure_equal(check, &out->result[p], &error);
        for (int64_t i = batch->row[p]; i < batch->row[p + 1]; i++)
            check_equal_i64(check, out->labels[i], -1);
        for (int64_t i = batch->center[p] * batch->fits.columns;
             i < batch->center[p + 1] * batch->fits.columns; i++)
            check_equal_bits(check, out->centers[i], 0);
    }
    kmeans_result_free(&want);
}

static void batch_equals_alone(struct check *check, const struct machine *ref,
                               const struct machine *machine, const struct batch_case *batch)
{
    struct fits_out out = out_new(batch);

    if (check_equal_i64(check, machine->backend->fits(machine->device, &batch->fits, &out),
                        STATUS_OK))
        for (int64_t p = 0; p < batch->fits.problems; p++) {
            check_note(check, "%s seed=%" PRIu64 " problem=%" PRId64, machine->name, batch->seed,
                       p);
            problem_equal(check, ref, batch, p, &out);
        }
    guards_intact(check, batch, &out);
    out_free(&out);
}

static void a_problem_of_a_batch_has_the_bits_of_its_fit_alone(struct check *check)
{
    struct machines machines = machines_open(check, threads);

    for (uint64_t seed = 1; seed <= 600 && check->failures < 20; seed++) {
        struct batch_case batch = case_new(seed, seed % 40 ? 40 : 700, seed % 9 ? 6 : 33);
        for (int m = 0; m < machines.count; m++)
            if (machines.machine[m].backend->fits)
                batch_equals_alone(check, &machines.machine[0], &machines.machine[m], &batch);
        case_free(&batch);
    }
    machines_close(&machines);
}

/* A batch of one-column problems of `rows` rows and `clusters` given centers each, values to be set. */
static struct batch_case case_small(int64_t problems, int64_t rows, int64_t clusters)
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

static void on_every_machine(struct check *check, const struct batch_case *batch)
{
    struct machines machines = machines_open(check, threads);

    for (int m = 0; m < machines.count; m++)
        if (machines.machine[m].backend->fits)
            batch_equals_alone(check, &machines.machine[0], &machines.machine[m], batch);
    machines_close(&machines);
}

/* Cluster 2 is empty in both rounds: first a row 10 moves there, and its twin keeps the label, then 100. */
static void labels_equal_after_a_relocation_end_nothing(struct check *check)
{
    static const double rows[] = {10, 10, 100, 102}, centers[] = {0, 101, 1000};
    struct batch_case batch = case_small(1, 4, 3);
    struct kmeans_result result = {0};
    struct machines machines = machines_open(check, threads);

    memcpy(batch.values, rows, sizeof rows);
    memcpy(batch.centers, centers, sizeof centers);
    on_every_machine(check, &batch);
    alone(&machines.machine[0], &batch, 0, &result, NULL);
    check_true(check, result.n_iter > 2 && result.empty == 0);
    kmeans_result_free(&result);
    machines_close(&machines);
    case_free(&batch);
}

/* Whether every center of a one-column problem is the nearest of some row. */
static bool all_have_rows(const struct batch_case *batch, int64_t p)
{
    const double *x = batch->values;
    uint64_t taken = 0;

    for (int64_t i = batch->row[p]; i < batch->row[p + 1]; i++) {
        int64_t best = batch->center[p];
        for (int64_t j = best; j < batch->center[p + 1]; j++)
            if (fabs(x[i] - batch->centers[j]) < fabs(x[i] - batch->centers[best]))
                best = j;
        taken |= (uint64_t)1 << (best - batch->center[p]);
    }
    return taken == ((uint64_t)1 << (batch->center[p + 1] - batch->center[p])) - 1;
}

/* max_iter 1: the last assignment is the second, and only there a cluster loses its rows. */
static void a_cluster_that_empties_last_is_named(struct check *check)
{
    struct batch_case batch = case_small(4000, 7, 4);
    struct fits_out out = out_new(&batch);
    struct machines machines = machines_open(check, threads);
    uint64_t seed = 5;
    int64_t last = 0;

    batch.fits.empty = FITS_ERROR;
    batch.fits.max_iter = 1;
    for (int64_t i = 0; i < batch.row[batch.fits.problems]; i++)
        ((double *)batch.values)[i] = check_normal(&seed);
    for (int64_t i = 0; i < batch.center[batch.fits.problems]; i++)
        batch.centers[i] = 2 * check_normal(&seed);
    on_every_machine(check, &batch);
    machines.machine[0].backend->fits(machines.machine[0].device, &batch.fits, &out);
    for (int64_t p = 0; p < batch.fits.problems; p++)
        last += out.result[p].status == STATUS_EMPTY_CLUSTER && all_have_rows(&batch, p);
    check_true(check, last > 0);
    out_free(&out);
    machines_close(&machines);
    case_free(&batch);
}

/* What the cases of these laws come to: a law over fits that all end alike would say little. */
static void the_cases_meet_every_ending(struct check *check)
{
    struct machines machines = machines_open(check, threads);
    const struct machine *ref = &machines.machine[0];
    int64_t ended[128] = {0}, stopped[FITS_FIXED_ROUNDS + 1] = {0}, empty = 0, below = 0;

    for (uint64_t seed = 1; seed <= 600; seed++) {
        struct batch_case batch = case_new(seed, 40, 6);
        struct fits_out out = out_new(&batch);
        ref->backend->fits(ref->device, &batch.fits, &out);
        for (int64_t p = 0; p < batch.fits.problems; p++) {
            ended[out.result[p].status]++;
            stopped[out.result[p].stop]++;
            empty += out.result[p].empty > 0;
            below += out.result[p].distinct_below;
        }
        out_free(&out);
        case_free(&batch);
    }
    const enum status want[] = {STATUS_OK,           STATUS_TOO_FEW_ROWS,
                                STATUS_NON_FINITE,   STATUS_ROW_OUT_OF_RANGE,
                                STATUS_OUT_OF_RANGE, STATUS_EMPTY_CLUSTER};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        check_note(check, "status %d", (int)want[i]);
        check_true(check, ended[want[i]] >= 3);
    }
    for (int i = FITS_LABELS_EQUAL; i <= FITS_FIXED_ROUNDS; i++) {
        check_note(check, "stop %d", i);
        check_true(check, stopped[i] >= 20);
    }
    check_true(check, empty >= 20 && below >= 20);
    machines_close(&machines);
}

CHECKS(CLAIM(a_problem_of_a_batch_has_the_bits_of_its_fit_alone),
       CLAIM(labels_equal_after_a_relocation_end_nothing),
       CLAIM(a_cluster_that_empties_last_is_named), CLAIM(the_cases_meet_every_ending))
