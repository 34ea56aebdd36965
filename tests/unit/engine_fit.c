/* engine_fit.c - what a fit may be asked for, what it costs, and how it reports and gives up. */
#include <math.h>

#include "host/base/fault.h"
#include "host/base/memory.h"
#include "host/cluster/state.h"
#include "proto/limits.h"
#include "tests/check.h"

static void defaults_are_those_of_scikit_learn(struct check *check)
{
    struct kmeans_params params = kmeans_params_default();

    check_equal_i64(check, params.n_clusters, 8);
    check_equal_i64(check, params.max_iter, 300);
    check_equal_bits(check, params.tol, 1e-4);
    check_equal_i64(check, kmeans_check(&params, NULL), STATUS_OK);
    params = kmeans_resolved(&params);
    check_equal_i64(check, params.init, INIT_KMEANS_PLUS_PLUS);
    check_equal_i64(check, params.n_init, 1);
    params.init = INIT_RANDOM;
    params.n_init = 0;
    check_equal_i64(check, kmeans_resolved(&params).n_init, 10);
    params.init = INIT_CENTERS;
    params.n_init = 7;
    check_equal_i64(check, kmeans_resolved(&params).n_init, 1);
}

static void refused(struct check *check, struct kmeans_params params, enum status status,
                    const char *what)
{
    struct error error;

    check_note(check, "%s", what);
    check_equal_i64(check, kmeans_check(&params, &error), status);
    check_equal_text(check, error_value(&error, "what"), what);
}

static void each_bad_parameter_is_named(struct check *check)
{
    static const double centers[1];
    struct kmeans_params good = kmeans_params_default(), bad = good;

#define BAD(field, value, status) \
    bad = good, bad.field = value, refused(check, bad, STATUS_##status, #field)
    BAD(n_clusters, 0, OUT_OF_RANGE);
    BAD(n_clusters, CLUSTERS_MAX + 1, OUT_OF_RANGE);
    BAD(max_iter, 0, OUT_OF_RANGE);
    BAD(max_iter, ITERATIONS_MAX + 1, OUT_OF_RANGE);
    BAD(n_init, -1, OUT_OF_RANGE);
    BAD(n_init, N_INIT_MAX + 1, OUT_OF_RANGE);
    BAD(tol, -1e-9, OUT_OF_RANGE);
    BAD(tol, NAN, OUT_OF_RANGE);
    BAD(tol, INFINITY, OUT_OF_RANGE);
    BAD(init, (enum init)4, UNKNOWN_VALUE);
    BAD(algorithm, (enum algorithm)2, UNKNOWN_VALUE);
    BAD(non_finite, (enum non_finite)2, UNKNOWN_VALUE);
    BAD(empty_clusters, (enum empty_clusters)3, UNKNOWN_VALUE);
#undef BAD
    bad = good;
    bad.init = INIT_CENTERS;
    refused(check, bad, STATUS_MISSING, "init_centers");
    bad.init = INIT_RANDOM;
    bad.init_centers = centers;
    refused(check, bad, STATUS_UNKNOWN_VALUE, "init");
}

/* Rows on a device, for one fit after the other. */
struct bench {
    const struct backend *backend;
    struct device *device;
    double values[900];
    struct table *table;
    struct matrix matrix;
    struct fit_input input;
    struct kmeans_params params;
};

static void bench_open(struct check *check, struct bench *bench, int64_t rows, int64_t columns)
{
    struct table *whole = NULL;
    uint64_t seed = 4;

    *bench = (struct bench){.backend = backend_named("cpu"), .params = kmeans_params_default()};
    for (int i = 0; i < 900; i++)
        bench->values[i] = check_normal(&seed);
    check_equal_i64(
        check,
        bench->backend->open(0, &(struct device_options){.threads = 2}, &bench->device, NULL),
        STATUS_OK);
    check_equal_i64(
        check, table_of_matrix(DTYPE_F64, rows, columns, bench->values, NULL, NULL, &whole, NULL),
        STATUS_OK);
    check_equal_i64(check, table_rechunk(whole, 50, &bench->table, NULL), STATUS_OK);
    table_unpin(&whole);
    check_equal_i64(check,
                    matrix_select(bench->table, &(struct selection){0}, &bench->matrix, NULL),
                    STATUS_OK);
    bench->input = (struct fit_input){.name = "X", .matrix = &bench->matrix};
}

static void bench_close(struct bench *bench)
{
    matrix_release(&bench->matrix);
    table_unpin(&bench->table);
    bench->backend->close(&bench->device);
}

static enum status bench_fit(struct bench *bench, const struct turn *turn,
                             struct kmeans_result *out, struct error *error)
{
    *out = (struct kmeans_result){0};
    return kmeans_fit(bench->backend, bench->device, &bench->input, &bench->params, turn, out,
                      error);
}

/* Every turn of a fit, in order. */
struct told {
    int64_t calls, stages[5], rounds, rows_bad;
    double fraction;
    bool backward;
};

static enum status told_turn(void *context, const struct fit_progress *progress,
                             struct error *error)
{
    struct told *told = context;

    (void)error;
    told->calls++;
    told->stages[progress->stage]++;
    told->rounds = progress->round > told->rounds ? progress->round : told->rounds;
    told->rows_bad += progress->rows_done < 1 || progress->rows_done > progress->rows;
    told->backward |= !(progress->fraction >= told->fraction && progress->fraction <= 1);
    told->fraction = progress->fraction;
    return STATUS_OK;
}

static void progress_only_grows_and_visits_every_stage(struct check *check)
{
    static const enum init inits[] = {INIT_KMEANS_PLUS_PLUS, INIT_RANDOM};
    struct bench bench;

    bench_open(check, &bench, 300, 3);
    for (int i = 0; i < 4; i++) {
        struct told told = {0};
        struct turn turn = {told_turn, &told};
        struct kmeans_result result;
        bench.params.init = inits[i % 2];
        bench.params.n_init = 3;
        bench.params.history = i >= 2;
        check_note(check, "case %d", i);
        check_equal_i64(check, bench_fit(&bench, &turn, &result, NULL), STATUS_OK);
        check_true(check, !told.backward && told.fraction > 0.01);
        check_equal_i64(check, told.rows_bad, 0);
        check_true(check, told.stages[FIT_FACTS] >= 6 && told.stages[FIT_SEEDING] >= 6 &&
                              told.stages[FIT_ROUNDS] >= 6 * result.n_iter &&
                              told.stages[FIT_FINISH] >= 6);
        check_true(check, told.rounds >= result.n_iter);
        kmeans_result_free(&result);
    }
    bench_close(&bench);
}

static void fixed_rounds_end_at_a_fraction_of_one(struct check *check)
{
    struct bench bench;
    struct told told = {0};
    struct turn turn = {told_turn, &told};
    struct kmeans_result result;

    bench_open(check, &bench, 300, 3);
    bench.params.max_iter = 7;
    bench.params.fixed_rounds = true;
    check_equal_i64(check, bench_fit(&bench, &turn, &result, NULL), STATUS_OK);
    check_near(check, told.fraction, 1, 1e-12);
    kmeans_result_free(&result);
    bench_close(&bench);
}

static enum status deadline_turn(void *context, const struct fit_progress *progress,
                                 struct error *error)
{
    int *left = context;

    (void)progress;
    return --*left > 0 ? STATUS_OK : FAIL(error, DEADLINE, INT("ms", 17));
}

static void what_a_turn_says_ends_the_fit(struct check *check)
{
    struct bench bench;
    int left = 30;
    struct turn turn = {deadline_turn, &left};
    struct kmeans_result result;
    struct error error = {0};

    bench_open(check, &bench, 300, 3);
    check_equal_i64(check, bench_fit(&bench, &turn, &result, &error), STATUS_DEADLINE);
    check_equal_text(check, error_value(&error, "ms"), "17");
    check_equal_i64(check, left, 0);
    check_true(check, result.labels == NULL);
    bench_close(&bench);
}

/* What the list promises is what is taken: each entry's memory, written to its last byte. */
static void a_plan_covers_what_a_fit_takes(struct check *check)
{
    struct bench bench;
    struct shape shape = {.rows = 300, .columns = 3, .number = NUMBER_F64};
    struct cost cost = {0}, small = {0};

    bench_open(check, &bench, 300, 3);
    bench.params.history = true;
    check_equal_i64(check,
                    fit_plan(bench.backend, bench.device, &shape, &bench.params, &cost, NULL),
                    STATUS_OK);
    check_true(check, cost.host_bytes > 300 * 4 + 2 * 300 * 8 && cost.host_bytes < 1 << 24);
    check_true(check, cost.expected_ns > 0 && cost.device_bytes == 0 && cost.pinned_bytes == 0);
    bench.params.history = false;
    fit_plan(bench.backend, bench.device, &shape, &bench.params, &small, NULL);
    check_equal_i64(check, cost.host_bytes - small.host_bytes, 2 * 300 * (int64_t)sizeof(double));
    shape.rows = ROWS_MAX;
    shape.columns = COLUMNS_MAX;
    bench.params.n_clusters = CLUSTERS_MAX;
    enum status status = fit_plan(bench.backend, bench.device, &shape, &bench.params, &cost, NULL);
    check_true(check, status == STATUS_UNSUPPORTED ||
                          (status == STATUS_OK && cost.host_bytes > 1ll << 40));
    bench_close(&bench);
}

#ifdef BARY_FAULTS
static void each_allocation_may_fail(struct check *check)
{
    static double weight[300];
    struct bench bench;
    struct kmeans_result result;
    int64_t refusals = 0;

    bench_open(check, &bench, 300, 3);
    for (int i = 0; i < 300; i++)
        weight[i] = 1 + i % 3;
    bench.input.sample_weight = weight;
    bench.params.history = true;
    for (int nth = 1; nth < 100; nth++) {
        struct error error = {0};
        char spec[32];
        snprintf(spec, sizeof spec, "memory:%d:fail", nth);
        check_note(check, "%s", spec);
        fault_set(spec);
        enum status status = bench_fit(&bench, NULL, &result, &error);
        fault_set(NULL);
        kmeans_result_free(&result);
        if (status == STATUS_OK)
            break;
        refusals++;
        check_equal_i64(check, status, STATUS_OUT_OF_MEMORY);
        check_true(check, error_value(&error, "what") && error_value(&error, "needed"));
    }
    check_true(check, refusals >= 20);
    bench_close(&bench);
}
#else
static void each_allocation_may_fail(struct check *check)
{
    check_skip(check, "built without BARY_FAULTS");
}
#endif

CHECKS(CLAIM(defaults_are_those_of_scikit_learn), CLAIM(each_bad_parameter_is_named),
       CLAIM(progress_only_grows_and_visits_every_stage),
       CLAIM(fixed_rounds_end_at_a_fraction_of_one), CLAIM(what_a_turn_says_ends_the_fit),
       CLAIM(a_plan_covers_what_a_fit_takes), CLAIM(each_allocation_may_fail))
