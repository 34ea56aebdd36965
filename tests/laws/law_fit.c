/* law_fit.c - law 6: what holds of every fit that ended, under every stop. */
#include <math.h>

#include "kernels/philox.h"
#include "tests/laws/law.h"

#if defined(__x86_64__)
#define QUAD __float128
#else
#define QUAD long double
#endif

static const int threads[] = {2, 0};

/* Fits that end in each of the ways there are. */
struct task {
    const char *name;
    enum number number;
    int64_t rows, columns, blobs;
    double width;
    bool weighted;
    struct kmeans_params params;
    enum stop_reason stop; /* STOP_NONE: any */
};

static const struct task tasks[] = {
    {"tol = 0",
     NUMBER_F64,
     800,
     4,
     6,
     2,
     false,
     {.n_clusters = 7, .max_iter = 300},
     STOP_LABELS_EQUAL},
    {"tol = 0, f32",
     NUMBER_F32,
     700,
     9,
     5,
     3,
     false,
     {.n_clusters = 9, .max_iter = 300},
     STOP_LABELS_EQUAL},
    {"tol = 0, weighted",
     NUMBER_F64,
     600,
     3,
     5,
     3,
     true,
     {.n_clusters = 8, .max_iter = 300},
     STOP_LABELS_EQUAL},
    {"a wide tol",
     NUMBER_F64,
     900,
     5,
     9,
     4,
     false,
     {.n_clusters = 9, .max_iter = 300, .tol = 0.2},
     STOP_TOLERANCE},
    {"max_iter",
     NUMBER_F32,
     900,
     6,
     12,
     5,
     false,
     {.n_clusters = 14, .max_iter = 3, .random_state = 1},
     STOP_MAX_ITER},
    {"one round",
     NUMBER_F64,
     300,
     2,
     5,
     3,
     false,
     {.n_clusters = 6, .max_iter = 1, .init = INIT_RANDOM, .n_init = 3},
     STOP_NONE},
    {"fixed rounds",
     NUMBER_F64,
     400,
     3,
     4,
     2,
     false,
     {.n_clusters = 5, .max_iter = 25, .fixed_rounds = true},
     STOP_FIXED_ROUNDS},
    {"runs",
     NUMBER_F32,
     500,
     7,
     5,
     4,
     false,
     {.n_clusters = 6, .max_iter = 100, .n_init = 5, .tol = 1e-4},
     STOP_NONE},
};
enum { TASKS = sizeof tasks / sizeof *tasks };

static struct data task_data(const struct task *task)
{
    struct data data = data_blobs(task->number, law_size(task->rows, task->rows / 8), task->columns,
                                  task->blobs, task->width, 31);
    if (task->weighted)
        data_weigh(&data, 3);
    return data;
}

/* The fits that most claims look at: run by the first of them, freed when the program ends. */
static struct {
    bool ended;
    struct kmeans_result result;
} fitted[TASKS][MACHINES_MAX];
static bool all_fitted;

static void fitted_free(void)
{
    for (int i = 0; i < TASKS; i++)
        for (int m = 0; m < MACHINES_MAX; m++)
            kmeans_result_free(&fitted[i][m].result);
}

static void fitted_run(struct check *check, const struct machines *machines)
{
    if (all_fitted)
        return;
    all_fitted = true;
    atexit(fitted_free);
    for (int i = 0; i < TASKS; i++) {
        struct data data = task_data(&tasks[i]);
        struct kmeans_params params = tasks[i].params;
        params.history = true;
        for (int m = 0; m < machines->count; m++)
            fitted[i][m].ended =
                law_fit(check, &machines->machine[m], &data, 0, &params, &fitted[i][m].result);
        data_free(&data);
    }
}

/* Runs `claim` on the fit of every task on every machine. */
static void each_fit(struct check *check,
                     void (*claim)(struct check *check, const struct machine *machine,
                                   const struct task *task, const struct data *data,
                                   const struct kmeans_result *result))
{
    struct machines machines = machines_open(check, threads);

    fitted_run(check, &machines);
    for (int i = 0; i < TASKS; i++) {
        struct data data = task_data(&tasks[i]);
        for (int m = 0; m < machines.count; m++) {
            check_note(check, "%s, %s", tasks[i].name, machines.machine[m].name);
            if (check_true(check, fitted[i][m].ended))
                claim(check, &machines.machine[m], &tasks[i], &data, &fitted[i][m].result);
        }
        data_free(&data);
    }
    machines_close(&machines);
}

static void reason_is_right(struct check *check, const struct machine *machine,
                            const struct task *task, const struct data *data,
                            const struct kmeans_result *result)
{
    (void)machine, (void)data;
    if (task->stop != STOP_NONE)
        check_equal_i64(check, result->stop, task->stop);
    if (result->stop == STOP_MAX_ITER || result->stop == STOP_FIXED_ROUNDS)
        check_equal_i64(check, result->n_iter, task->params.max_iter);
    else
        check_true(check, result->n_iter < task->params.max_iter || task->params.max_iter == 1);
}

static void every_fit_says_why_it_stopped(struct check *check)
{
    each_fit(check, reason_is_right);
}

static void labels_are_predicted(struct check *check, const struct machine *machine,
                                 const struct task *task, const struct data *data,
                                 const struct kmeans_result *result)
{
    int32_t *labels = malloc((size_t)data->rows * sizeof *labels);

    (void)task;
    law_labels(data, result->centers, result->n_clusters, labels);
    check_equal_bytes(check, result->labels, labels, (size_t)data->rows * sizeof *labels);
    law_predict(check, machine, data, 100, result->centers, result->n_clusters, labels, NULL);
    check_equal_bytes(check, result->labels, labels, (size_t)data->rows * sizeof *labels);
    free(labels);
}

static void labels_of_a_fit_are_those_of_predict(struct check *check)
{
    each_fit(check, labels_are_predicted);
}

static void distinct_centers_predict_themselves(struct check *check, const struct machine *machine,
                                                const struct task *task, const struct data *data,
                                                const struct kmeans_result *result)
{
    struct data centers = data_new(NUMBER_F64, result->n_clusters, data->columns);
    int32_t *labels = malloc((size_t)result->n_clusters * sizeof *labels);

    (void)task;
    memcpy(centers.values, result->centers,
           (size_t)(result->n_clusters * data->columns) * sizeof(double));
    law_predict(check, machine, &centers, 0, result->centers, result->n_clusters, labels, NULL);
    for (int64_t j = 0; j < result->n_clusters; j++)
        check_equal_i64(check, labels[j], j);
    free(labels);
    data_free(&centers);
}

static void predict_of_centers_counts_up(struct check *check)
{
    each_fit(check, distinct_centers_predict_themselves);
}

static QUAD quad_inertia(const struct data *data, const struct kmeans_result *result)
{
    QUAD sum = 0;

    for (int64_t i = 0; i < data->rows; i++) {
        QUAD s = 0;
        for (int64_t d = 0; d < data->columns; d++) {
            QUAD t = (QUAD)data_at(data, i, d) -
                     (QUAD)result->centers[result->labels[i] * data->columns + d];
            s += t * t;
        }
        sum += (data->weight ? (QUAD)data->weight[i] : 1) * s;
    }
    return sum;
}

/* Canonical distances err by g, terms by 2^-80 of the largest, the total by one rounding. */
static double rounding_of(const struct data *data)
{
    return (double)(data->columns + 4) * 0x1p-53 + (double)data->rows * 0x1p-80;
}

static void inertia_is_right(struct check *check, const struct machine *machine,
                             const struct task *task, const struct data *data,
                             const struct kmeans_result *result)
{
    (void)machine, (void)task;
    check_near(check, result->inertia, (double)quad_inertia(data, result), rounding_of(data));
}

static void inertia_is_that_of_the_labels_and_centers(struct check *check)
{
    each_fit(check, inertia_is_right);
}

static void sizes_and_fingerprint_are_right(struct check *check, const struct machine *machine,
                                            const struct task *task, const struct data *data,
                                            const struct kmeans_result *result)
{
    int64_t *sizes = calloc((size_t)result->n_clusters, sizeof *sizes), empty = 0;
    uint128 fingerprint = 0;

    (void)machine, (void)task;
    for (int64_t i = 0; i < data->rows; i++) {
        if (!check_true(check, result->labels[i] >= 0 && result->labels[i] < result->n_clusters))
            break;
        if (data->weight && data->weight[i] == 0)
            continue;
        sizes[result->labels[i]]++;
        fingerprint += philox_fingerprint(i, result->labels[i]);
    }
    for (int64_t j = 0; j < result->n_clusters; j++)
        empty += sizes[j] == 0;
    check_equal_bytes(check, result->sizes, sizes, (size_t)result->n_clusters * sizeof *sizes);
    check_equal_i64(check, result->empty, empty);
    check_true(check, fingerprint == result->fingerprint);
    free(sizes);
}

static void sizes_and_fingerprint_are_those_of_the_labels(struct check *check)
{
    each_fit(check, sizes_and_fingerprint_are_right);
}

static void history_falls(struct check *check, const struct machine *machine,
                          const struct task *task, const struct data *data,
                          const struct kmeans_result *result)
{
    (void)machine, (void)task;
    for (int64_t round = 1; round < result->n_iter; round++)
        check_true(check, result->history[round] <=
                              result->history[round - 1] * (1 + 2 * rounding_of(data)));
    check_true(check, result->inertia <=
                          result->history[result->n_iter - 1] * (1 + 2 * rounding_of(data)));
    if (result->stop == STOP_LABELS_EQUAL)
        check_equal_bits(check, result->inertia, result->history[result->n_iter - 1]);
}

static void history_never_rises(struct check *check)
{
    each_fit(check, history_falls);
}

/* Round by round, as separate fits: in quad precision. */
static void objective_never_rises(struct check *check)
{
    struct machines machines = machines_open(check, threads);
    struct data data = data_blobs(NUMBER_F32, law_size(600, 90), 5, 12, 5, 77);
    double *centers = data_rows(&data, NULL, 10);

    for (int m = 0; m < machines.count; m++) {
        QUAD before = 0;
        for (int64_t rounds = 1; rounds <= law_size(12, 5); rounds++) {
            struct kmeans_params params = {.n_clusters = 10,
                                           .max_iter = rounds,
                                           .fixed_rounds = true,
                                           .init = INIT_CENTERS,
                                           .init_centers = centers};
            struct kmeans_result result;
            check_note(check, "%s, %" PRId64 " rounds", machines.machine[m].name, rounds);
            if (!law_fit(check, &machines.machine[m], &data, 0, &params, &result))
                break;
            QUAD now = quad_inertia(&data, &result);
            check_true(check, rounds == 1 || now <= before * (1 + 2 * (QUAD)rounding_of(&data)));
            before = now;
            kmeans_result_free(&result);
        }
    }
    free(centers);
    data_free(&data);
    machines_close(&machines);
}

static void restart_changes_nothing(struct check *check, const struct machine *machine,
                                    const struct task *task, const struct data *data,
                                    const struct kmeans_result *result)
{
    struct kmeans_params params = {.n_clusters = result->n_clusters,
                                   .max_iter = 50,
                                   .init = INIT_CENTERS,
                                   .init_centers = result->centers};
    struct kmeans_result again;

    (void)task;
    if (result->stop != STOP_LABELS_EQUAL)
        return;
    if (law_fit(check, machine, data, 0, &params, &again)) {
        check_equal_i64(check, again.n_iter, 1);
        check_equal_bits(check, again.inertia, result->inertia);
        check_true(check, again.fingerprint == result->fingerprint);
        check_equal_bytes(check, again.centers, result->centers,
                          (size_t)(result->n_clusters * data->columns) * sizeof(double));
    }
    kmeans_result_free(&again);
}

static void a_fixed_point_is_left_in_one_round_unchanged(struct check *check)
{
    each_fit(check, restart_changes_nothing);
}

/* The best of several runs is the best of as many single ones; the same seed draws the same runs. */
static void the_lowest_inertia_wins_then_the_lowest_run(struct check *check)
{
    struct machines machines = machines_open(check, threads);
    struct data data = data_blobs(NUMBER_F64, law_size(300, 90), 2, 9, 2, 13);
    const int64_t runs = law_size(8, 4);
    struct kmeans_params params = {.n_clusters = 9, .max_iter = 100, .n_init = runs};
    struct kmeans_result all, some;

    law_fit(check, machine_tested(&machines), &data, 0, &params, &all);
    for (int64_t n_init = 1; n_init <= runs; n_init++) {
        params.n_init = n_init;
        check_note(check, "n_init=%" PRId64, n_init);
        law_fit(check, machine_tested(&machines), &data, 0, &params, &some);
        check_true(check, some.inertia >= all.inertia);
        check_true(check, (n_init > all.run) == (some.inertia == all.inertia));
        check_true(check, some.run < n_init);
        if (n_init > all.run)
            check_equal_i64(check, some.run, all.run);
        kmeans_result_free(&some);
    }
    kmeans_result_free(&all);
    data_free(&data);
    machines_close(&machines);
}

/* Blobs so far apart that every run ends with the same clusters, in an order of its own. */
static void of_equal_runs_the_first_one_wins(struct check *check)
{
    struct machines machines = machines_open(check, threads);
    struct data data = data_blobs(NUMBER_F32, law_size(200, 50), 8, 3, 0.01, 2);

    for (int m = 0; m < machines.count; m++)
        for (int64_t seed = 0; seed < law_size(4, 2); seed++) {
            struct kmeans_params params = {
                .n_clusters = 3, .max_iter = 100, .n_init = 6, .random_state = (uint64_t)seed};
            struct kmeans_result result;
            check_note(check, "%s, seed %" PRId64, machines.machine[m].name, seed);
            law_fit(check, &machines.machine[m], &data, 0, &params, &result);
            check_equal_i64(check, result.run, 0);
            kmeans_result_free(&result);
        }
    data_free(&data);
    machines_close(&machines);
}

static void the_inertia_score_is_that_of_the_fit(struct check *check)
{
    struct machines machines = machines_open(check, threads);
    struct data data = data_blobs(NUMBER_F64, law_size(500, 120), 3, 6, 2, 3);
    struct kmeans_params params = {.n_clusters = 6, .max_iter = 100};
    struct kmeans_result fit;

    data_weigh(&data, 9);
    for (int m = 0; m < machines.count; m++) {
        const struct machine *machine = &machines.machine[m];
        double per_cluster[6], sum = 0;
        int64_t sizes[6];
        struct inertia_result score = {.per_cluster = per_cluster, .sizes = sizes};
        struct model *model = NULL;
        struct view view;
        check_note(check, "%s", machine->name);
        law_fit(check, machine, &data, 0, &params, &fit);
        view_open(check, &data, 33, &view);
        const struct fit_input input = {.name = "X",
                                        .matrix = &view.matrix,
                                        .sample_weight = data.weight,
                                        .residency = machine->residency};
        model_of_result(&fit, &params, NULL, &model, NULL);
        check_equal_i64(check,
                        score_inertia(machine->backend, machine->device, &input, model,
                                      NON_FINITE_REJECT, NULL, &score, NULL),
                        STATUS_OK);
        check_equal_bits(check, score.inertia, fit.inertia);
        check_equal_bytes(check, sizes, fit.sizes, sizeof sizes);
        for (int j = 0; j < 6; j++)
            sum += per_cluster[j];
        check_near(check, sum, fit.inertia, 1e-14);
        model_unpin(&model);
        view_close(&view);
        kmeans_result_free(&fit);
    }
    data_free(&data);
    machines_close(&machines);
}

CHECKS(CLAIM(every_fit_says_why_it_stopped), CLAIM(labels_of_a_fit_are_those_of_predict),
       CLAIM(predict_of_centers_counts_up), CLAIM(inertia_is_that_of_the_labels_and_centers),
       CLAIM(sizes_and_fingerprint_are_those_of_the_labels), CLAIM(history_never_rises),
       CLAIM(objective_never_rises), CLAIM(a_fixed_point_is_left_in_one_round_unchanged),
       CLAIM(the_lowest_inertia_wins_then_the_lowest_run), CLAIM(of_equal_runs_the_first_one_wins),
       CLAIM(the_inertia_score_is_that_of_the_fit))
