/* law_sklearn.c - law 8: from equal initial centers, labels, n_iter and inertia are scikit-learn's.
 *
 * A run may differ only if on its way some row is a tie between two centers, within 1e-12 relative
 * (1e-6 for float32): scikit-learn centers its data and multiplies matrices, which breaks ties its own
 * way. The golden files say how they were made: tests/golden/sklearn/make.py. */
#include <math.h>

#include "host/data/npy.h"
#include "tests/laws/law.h"

struct golden {
    struct table *x, *rows, *labels, *ends;
    struct data data;
    int64_t runs, clusters;
    bool moved; /* centers are rows off their grid */
};

static struct table *golden_open(struct check *check, const char *name, const char *part)
{
    char path[512];
    struct table *table = NULL;
    struct error error = {0};

    snprintf(path, sizeof path, "%s/tests/golden/sklearn/%s%s.npy", BARY_SOURCE_DIR, name, part);
    if (npy_open(path, &table, &error) != STATUS_OK)
        check_failed(check, __FILE__, __LINE__, "cannot open %s", path);
    return table;
}

static const void *values_of(const struct table *table)
{
    return table->chunk[0].data[0];
}

static double value_at(const struct table *table, int64_t i)
{
    if (table->column[0].dtype == DTYPE_U8)
        return ((const uint8_t *)values_of(table))[i];
    return ((const double *)values_of(table))[i];
}

static bool golden_load(struct check *check, const char *name, enum number number,
                        struct golden *golden)
{
    const char *type = number == NUMBER_F32 ? ".f32" : ".f64";
    char part[32];

    *golden = (struct golden){.x = golden_open(check, name, ""),
                              .rows = golden_open(check, name, ".rows")};
    snprintf(part, sizeof part, "%s.labels", type);
    golden->labels = golden_open(check, name, part);
    snprintf(part, sizeof part, "%s.ends", type);
    golden->ends = golden_open(check, name, part);
    if (!golden->x || !golden->rows || !golden->labels || !golden->ends)
        return false;
    golden->runs = golden->rows->rows;
    golden->clusters = golden->rows->column[0].width;
    golden->moved = strcmp(name, "digits") == 0;
    golden->data = data_new(number, golden->x->rows, golden->x->column[0].width);
    for (int64_t i = 0; i < golden->data.rows * golden->data.columns; i++)
        data_set(&golden->data, i / golden->data.columns, i % golden->data.columns,
                 value_at(golden->x, i));
    return true;
}

/* make.py's offset: multiples of 1/64. */
static double *golden_centers(const struct golden *golden, int64_t run)
{
    const int32_t *row = (const int32_t *)values_of(golden->rows) + run * golden->clusters;
    int64_t rows[16], columns = golden->data.columns;

    for (int64_t j = 0; j < golden->clusters; j++)
        rows[j] = row[j];
    double *centers = data_rows(&golden->data, rows, golden->clusters);
    for (int64_t i = 0; golden->moved && i < golden->clusters * columns; i++)
        centers[i] += (double)((7 * (i / columns) + 3 * (i % columns)) % 11 - 5) / 64;
    return centers;
}

static void golden_free(struct golden *golden)
{
    table_unpin(&golden->x);
    table_unpin(&golden->rows);
    table_unpin(&golden->labels);
    table_unpin(&golden->ends);
    data_free(&golden->data);
}

/* Some row is as far from its second center as from its first. */
static bool tie_under(const struct data *data, const double *centers, int64_t clusters,
                      double relative)
{
    double *x = data_rows(data, NULL, data->rows);
    bool tie = false;

    for (int64_t i = 0; i < data->rows && !tie; i++) {
        double first = INFINITY, second = INFINITY;
        for (int64_t j = 0; j < clusters; j++) {
            double s =
                law_canonical(x + i * data->columns, centers + j * data->columns, data->columns);
            second = fmin(second, fmax(s, first));
            first = fmin(first, s);
        }
        tie = second - first <= relative * second;
    }
    free(x);
    return tie;
}

static bool tie_on_the_way(struct check *check, const struct machine *machine,
                           const struct golden *golden, const double *centers, int64_t rounds)
{
    double relative = golden->data.number == NUMBER_F32 ? 1e-6 : 1e-12;
    bool tie = tie_under(&golden->data, centers, golden->clusters, relative);

    for (int64_t round = 1; round <= rounds && !tie; round++) {
        struct kmeans_params params = {.n_clusters = golden->clusters,
                                       .max_iter = round,
                                       .fixed_rounds = true,
                                       .init = INIT_CENTERS,
                                       .init_centers = centers};
        struct kmeans_result result;
        if (law_fit(check, machine, &golden->data, 0, &params, &result))
            tie = tie_under(&golden->data, result.centers, golden->clusters, relative);
        kmeans_result_free(&result);
    }
    return tie;
}

static bool run_equal(const struct golden *golden, int64_t run, const struct kmeans_result *result)
{
    const uint8_t *labels = (const uint8_t *)values_of(golden->labels) + run * result->rows;
    /* scikit-learn adds float32 inertias up in float32: digits stray by 1.1e-6 */
    double near = golden->data.number == NUMBER_F32 ? 2e-6 : 1e-12;
    double inertia = value_at(golden->ends, 2 * run + 1);

    for (int64_t i = 0; i < result->rows; i++)
        if (result->labels[i] != labels[i])
            return false;
    return result->n_iter == (int64_t)value_at(golden->ends, 2 * run) &&
           fabs(result->inertia - inertia) <= near * inertia;
}

/* The emulator takes of much data the run that ends first, in float32 alone, and of little data some. */
static bool run_is_taken(const struct golden *golden, int64_t run)
{
    int64_t soonest = 0;

    if (!law_emulated())
        return run % (CHECK_SANITIZED ? 5 : 1) == 0;
    if (golden->data.rows < 1000)
        return run % 17 == 0;
    for (int64_t other = 1; other < golden->runs; other++)
        if (value_at(golden->ends, 2 * other) < value_at(golden->ends, 2 * soonest))
            soonest = other;
    return run == soonest && golden->data.number == NUMBER_F32;
}

/* Returns how many runs differ, each excused by a tie. */
static int64_t runs_compare(struct check *check, const struct machine *machine,
                            const struct golden *golden)
{
    int64_t differ = 0;

    for (int64_t run = 0; run < golden->runs; run++) {
        if (!run_is_taken(golden, run))
            continue;
        double *centers = golden_centers(golden, run);
        struct kmeans_params params = {.n_clusters = golden->clusters,
                                       .max_iter = 300,
                                       .tol = run % 2 == 0 ? 1e-4 : 0,
                                       .init = INIT_CENTERS,
                                       .init_centers = centers};
        struct kmeans_result result;
        if (law_fit(check, machine, &golden->data, 0, &params, &result) &&
            !run_equal(golden, run, &result)) {
            differ++;
            if (!tie_on_the_way(check, machine, golden, centers, result.n_iter + 3))
                check_failed(check, __FILE__, __LINE__,
                             "run %" PRId64 " differs without a tie: n_iter %" PRId64
                             ", inertia %.17g; there %g and %.17g",
                             run, result.n_iter, result.inertia, value_at(golden->ends, 2 * run),
                             value_at(golden->ends, 2 * run + 1));
        }
        kmeans_result_free(&result);
        free(centers);
    }
    return differ;
}

static void compare(struct check *check, const char *name, int64_t differ_most)
{
    static const int threads[] = {2, 0};
    struct machines machines = machines_open(check, threads);

    for (int number = NUMBER_F32; number <= NUMBER_F64; number++) {
        struct golden golden;
        if (golden_load(check, name, (enum number)number, &golden))
            for (int m = 0; m < machines.count; m++) {
                check_note(check, "%s, %s, %s", name, number == NUMBER_F32 ? "f32" : "f64",
                           machines.machine[m].name);
                int64_t differ = runs_compare(check, &machines.machine[m], &golden);
                check_true(check, differ <= differ_most);
                if (m == 0)
                    printf("  %s f%d: %" PRId64 " of %" PRId64 " runs met a tie\n", name,
                           number * 32, differ, golden.runs);
            }
        golden_free(&golden);
    }
    machines_close(&machines);
}

static void blobs_are_those_of_scikit_learn(struct check *check)
{
    compare(check, "blobs", 0);
}

static void iris_is_that_of_scikit_learn(struct check *check)
{
    compare(check, "iris", 2);
}

static void digits_are_those_of_scikit_learn(struct check *check)
{
    compare(check, "digits", 0);
}

CHECKS(CLAIM(blobs_are_those_of_scikit_learn), CLAIM(iris_is_that_of_scikit_learn),
       CLAIM(digits_are_those_of_scikit_learn))
