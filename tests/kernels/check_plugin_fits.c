/* check_plugin_fits.c - small fits that a GPU does whole, against ref, by bytes: problems of every kind
 * side by side in one call, around what a block has threads for. */
#include "kernels/ref/fits.h"
#include "tests/kernels/claims.h"
#include "tests/kernels/sample.h"

enum { PROBLEMS = 14, LEAD = 3 };

/* One call: problems behind some rows and centers that are nobody's. */
struct batch {
    struct fits fits;
    int64_t row[PROBLEMS + 1], center[PROBLEMS + 1];
    uint64_t state[PROBLEMS];
    uint8_t refused[PROBLEMS];
    double *weight, *centers;
    void *values;
};

struct batch_kind {
    const char *name;
    int columns;
    enum fits_init init;
    enum fits_empty empty;
    bool f64, weighted, skip, fixed, hard;
    int n_init, max_iter;
    double tol;
};

/* Values of one problem: normal, few kinds of rows, one row, far from 0, of very unlike sizes. */
static double value_make(int64_t problem, int64_t row, uint64_t *state)
{
    double normal = check_normal(state);

    switch (problem % 7) {
    case 0:
        return normal;
    case 1:
        return (double)(row % 3) - 1; /* ties, twins, fewer rows than clusters */
    case 2:
        return -0.0;
    case 3:
        return 1000 + normal / 1024;
    case 4:
        return row % 5 == 1 ? normal * 0x1p60 : normal * 0x1p-64; /* wider than 112 bits */
    case 5:
        return row == 3 ? 1e5 : (double)(check_random(state) % 2);
    default:
        return ldexp(normal, (int)(check_random(state) % 30));
    }
}

static double hard_value(int64_t row, double x, uint64_t *state)
{
    uint64_t bits = check_random(state) % 512;

    return bits == 0 ? NAN : bits == 1 ? INFINITY : bits == 2 && row % 2 ? 0x1p501 : x;
}

static void values_make(struct batch *batch, const struct batch_kind *kind, uint64_t *state)
{
    int64_t columns = kind->columns, row = 0;

    for (int64_t p = 0; p < PROBLEMS; p++)
        for (; row < batch->row[p + 1]; row++)
            for (int64_t d = 0; d < columns; d++) {
                double x = value_make(p, row - batch->row[p], state);
                if (kind->hard)
                    x = hard_value(row, x, state);
                if (kind->f64)
                    ((double *)batch->values)[row * columns + d] = x;
                else
                    ((float *)batch->values)[row * columns + d] = (float)x;
            }
    for (int64_t i = 0; i < row; i++)
        batch->weight[i] = i % 9 == 2    ? 0
                           : i % 31 == 7 ? 0x1p-90
                                         : (double)(1 + i / 50 % 2) * check_uniform(state);
}

static void batch_make(struct batch *batch, const struct batch_kind *kind, uint64_t seed)
{
    static const int rows[PROBLEMS] = {0, 1, 5, 31, 40, 64, 33, 127, 129, 2, 150, 96, 260, 70};
    static const int clusters[PROBLEMS] = {1, 1, 3, 4, 7, 2, 9, 3, 5, 4, 17, 65, 12, 130};
    uint64_t state = seed;

    *batch = (struct batch){0};
    batch->row[0] = LEAD;
    batch->center[0] = LEAD - 1;
    for (int p = 0; p < PROBLEMS; p++) {
        batch->row[p + 1] = batch->row[p] + rows[p];
        batch->center[p + 1] = batch->center[p] + clusters[p];
        batch->state[p] = check_random(&state);
        batch->refused[p] = p % 6 == 5 && seed % 2;
    }
    size_t n = (size_t)batch->row[PROBLEMS], k = (size_t)batch->center[PROBLEMS];
    batch->values = calloc(n * (size_t)kind->columns, sizeof(double));
    batch->weight = calloc(n, sizeof(double));
    batch->centers = calloc(k * (size_t)kind->columns, sizeof(double));
    values_make(batch, kind, &state);
    for (size_t i = 0; i < k * (size_t)kind->columns; i++)
        batch->centers[i] = (double)(check_random(&state) % 9) - 4;
    batch->fits = (struct fits){.number = kind->f64 ? NUMBER_F64 : NUMBER_F32,
                                .columns = kind->columns,
                                .problems = PROBLEMS,
                                .row = batch->row,
                                .center = batch->center,
                                .values = batch->values,
                                .weight = kind->weighted ? batch->weight : NULL,
                                .centers = kind->init == FITS_CENTERS ? batch->centers : NULL,
                                .refused = batch->refused,
                                .init = kind->init,
                                .empty = kind->empty,
                                .skip_non_finite = kind->skip,
                                .fixed_rounds = kind->fixed,
                                .n_init = kind->n_init,
                                .max_iter = kind->max_iter,
                                .tol = kind->tol,
                                .random_state = batch->state};
}

/* What the device has no room for stays out. */
static void large_refuse(const struct backend *backend, struct device *device, struct batch *batch)
{
    struct fits_plan plan;

    for (int p = 0; p < PROBLEMS; p++)
        if (backend->fits_plan(device, &batch->fits, batch->row[p + 1] - batch->row[p],
                               batch->center[p + 1] - batch->center[p], &plan) != STATUS_OK)
            batch->refused[p] = 1;
}

static void batch_free(struct batch *batch)
{
    free(batch->values);
    free(batch->weight);
    free(batch->centers);
}

static struct fits_out out_new(const struct batch *batch)
{
    size_t n = (size_t)batch->row[PROBLEMS], k = (size_t)batch->center[PROBLEMS];
    size_t d = (size_t)batch->fits.columns;
    struct fits_out out = {.result = guarded_new(PROBLEMS * sizeof *out.result),
                           .centers = guarded_new(k * d * sizeof *out.centers),
                           .labels = guarded_new(n * sizeof *out.labels),
                           .sizes = guarded_new(k * sizeof *out.sizes)};

    memset(out.result, 0x5a, PROBLEMS * sizeof *out.result);
    memset(out.centers, 0x5a, k * d * sizeof *out.centers);
    memset(out.labels, 0x5a, n * sizeof *out.labels);
    memset(out.sizes, 0x5a, k * sizeof *out.sizes);
    return out;
}

static void out_free(struct fits_out *out)
{
    guarded_free(out->result);
    guarded_free(out->centers);
    guarded_free(out->labels);
    guarded_free(out->sizes);
}

static void result_equal(struct check *check, const struct fits_result *got,
                         const struct fits_result *want)
{
    check_equal_i64(check, got->status, want->status);
    check_equal_i64(check, got->row, want->row);
    check_equal_i64(check, got->column, want->column);
    check_equal_i64(check, got->count, want->count);
    check_true(check, memcmp(&got->value, &want->value, sizeof got->value) == 0 ||
                          (isnan(got->value) && isnan(want->value)));
    check_equal_i64(check, got->n_iter, want->n_iter);
    check_equal_i64(check, got->run, want->run);
    check_equal_i64(check, got->empty, want->empty);
    check_equal_i64(check, got->skipped, want->skipped);
    check_equal_i64(check, got->taking_part, want->taking_part);
    check_equal_i64(check, got->stop, want->stop);
    check_equal_i64(check, got->distinct_below, want->distinct_below);
    check_equal_bits(check, got->inertia, want->inertia);
    check_true(check, got->fingerprint == want->fingerprint);
}

static void batches_equal(struct check *check, const struct batch *batch,
                          const struct fits_out *got, const struct fits_out *want)
{
    size_t n = (size_t)batch->row[PROBLEMS], k = (size_t)batch->center[PROBLEMS];
    size_t d = (size_t)batch->fits.columns;
    char note[sizeof check->note];

    memcpy(note, check->note, sizeof note);
    for (int p = 0; p < PROBLEMS; p++) {
        check_note(check, "problem %d of %.200s", p, note);
        if (!batch->refused[p])
            result_equal(check, &got->result[p], &want->result[p]);
        check_true(check, memcmp(got->labels + batch->row[p], want->labels + batch->row[p],
                                 (size_t)(batch->row[p + 1] - batch->row[p]) * 4) == 0);
    }
    check_true(check, memcmp(got->labels, want->labels, n * sizeof *got->labels) == 0);
    check_true(check, memcmp(got->sizes, want->sizes, k * sizeof *got->sizes) == 0);
    check_true(check, memcmp(got->centers, want->centers, k * d * sizeof *got->centers) == 0);
    check_true(check, guarded_intact(got->labels, n * sizeof *got->labels) &&
                          guarded_intact(got->sizes, k * sizeof *got->sizes) &&
                          guarded_intact(got->centers, k * d * sizeof *got->centers));
}

static void batch_run(struct check *check, const struct batch_kind *kind, uint64_t seed)
{
    struct device *ref = device_of_ref(), *device;
    const struct backend *tested = tested_side(0, &device);
    struct batch batch;

    batch_make(&batch, kind, seed);
    large_refuse(tested, device, &batch);
    struct fits_out want = out_new(&batch), got = out_new(&batch);
    check_note(check, "%s d=%d", kind->name, kind->columns);
    check_equal_i64(check, backend_ref.fits(ref, &batch.fits, &want), STATUS_OK);
    check_equal_i64(check, tested->fits(device, &batch.fits, &got), STATUS_OK);
    batches_equal(check, &batch, &got, &want);
    out_free(&want);
    out_free(&got);
    batch_free(&batch);
    backend_ref.close(&ref);
}

static bool none_named(struct check *check)
{
    struct device *device;
    const struct backend *backend = tested_side(0, &device);

    if (!backend || !backend->fits)
        check_skip(check,
                   backend ? "this plug-in has no fits" : "BARY_TESTED_PLUGIN names no plug-in");
    return check->skipped != NULL;
}

void a_plugin_fits_small_problems_as_ref_does(struct check *check)
{
    static const struct batch_kind kinds[] = {
        {"k-means++", 3, FITS_PLUS_PLUS, FITS_RELOCATE, false, false, false, false, false, 1, 50,
         1e-4},
        {"k-means++, weights", 2, FITS_PLUS_PLUS, FITS_RELOCATE, true, true, false, false, false, 2,
         40, 0},
        {"k-means++, wide rows", 37, FITS_PLUS_PLUS, FITS_KEEP, false, false, false, false, false,
         1, 5, 1e-2},
        {"random", 1, FITS_RANDOM, FITS_RELOCATE, false, false, false, false, false, 4, 30, 1e-4},
        {"random, weights", 5, FITS_RANDOM, FITS_RELOCATE, false, true, true, false, true, 3, 20,
         1e-3},
        {"centers", 2, FITS_CENTERS, FITS_RELOCATE, true, false, false, false, false, 1, 60, 1e-4},
        {"centers, weights", 4, FITS_CENTERS, FITS_RELOCATE, false, true, false, false, false, 1,
         60, 1e-4},
        {"centers, kept", 3, FITS_CENTERS, FITS_KEEP, false, true, false, true, false, 1, 7, 0},
        {"centers, refused", 2, FITS_CENTERS, FITS_ERROR, true, false, false, false, false, 1, 9,
         0.1},
        {"hard values", 4, FITS_PLUS_PLUS, FITS_RELOCATE, true, false, false, false, true, 1, 20,
         1e-4},
        {"hard values skipped", 4, FITS_PLUS_PLUS, FITS_RELOCATE, true, false, true, false, true, 2,
         20, 1e-4},
        {"fixed rounds", 2, FITS_RANDOM, FITS_RELOCATE, true, true, true, true, false, 1, 6, 1e-4}};

    if (none_named(check))
        return;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        batch_run(check, &kinds[i], i + 1);
}

/* The limit of problems is said beforehand: rows that no block holds, rounds that last too long. */
void a_plugin_says_which_problems_are_small(struct check *check)
{
    struct fits fits = {
        .number = NUMBER_F32, .columns = 8, .problems = 1, .n_init = 1, .max_iter = 300};
    struct device *device;
    const struct backend *backend = tested_side(0, &device);
    struct fits_plan plan = {0};

    if (none_named(check))
        return;
    check_equal_i64(check, backend->fits_plan(device, &fits, 1000, 8, &plan), STATUS_OK);
    check_true(check, plan.device_bytes > 0 && plan.problem_ns > 0);
    check_equal_i64(check, backend->fits_plan(device, &fits, 1 << 15, 8, &plan),
                    STATUS_UNSUPPORTED);
    check_equal_i64(check, backend->fits_plan(device, &fits, 100, 1 << 14, &plan),
                    STATUS_UNSUPPORTED);
    check_equal_i64(check, backend->fits_plan(device, &fits, 1000, 0, &plan), STATUS_UNSUPPORTED);
    fits.max_iter = INT64_MAX / 2;
    check_equal_i64(check, backend->fits_plan(device, &fits, 1000, 8, &plan), STATUS_UNSUPPORTED);
    fits.max_iter = 300;
    fits.columns = 1LL << 40;
    check_equal_i64(check, backend->fits_plan(device, &fits, 1, 1, &plan), STATUS_UNSUPPORTED);
}
