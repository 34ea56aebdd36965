/* Only what a stranger has: bary.h. */
#include "host/bary.h"

#include "host/base/fault.h"
#include "tests/check.h"

enum { PROBLEMS = 30, ROWS = 50, COLUMNS = 3, CLUSTERS = 4 };

struct scene {
    double values[PROBLEMS * ROWS * COLUMNS];
    double weight[PROBLEMS * ROWS];
};

static void scene_make(struct scene *scene)
{
    uint64_t seed = 9;

    for (int i = 0; i < PROBLEMS * ROWS; i++) {
        scene->weight[i] = 1 + check_uniform(&seed);
        for (int c = 0; c < COLUMNS; c++)
            scene->values[i * COLUMNS + c] = check_normal(&seed) + 3.0 * (i % CLUSTERS);
    }
}

static struct bary_data data_of(const struct scene *scene, int64_t first, int64_t rows)
{
    return (struct bary_data){.values = scene->values + first * COLUMNS,
                              .dtype = BARY_F64,
                              .rows = rows,
                              .columns = COLUMNS,
                              .sample_weight = scene->weight + first};
}

static struct bary_kmeans_options four(void)
{
    struct bary_kmeans_options options;

    bary_kmeans_options_init(&options);
    options.n_clusters = CLUSTERS;
    options.run.threads = 2;
    return options;
}

/* Problem p of the result is the fit of its rows, byte for byte. */
static void same_as_alone(struct check *check, const struct bary_batch_result *batch, int64_t p,
                          const struct bary_data *rows, const struct bary_kmeans_options *options)
{
    struct bary_kmeans_result alone;
    const struct bary_problem *one = &batch->problem[p];
    int64_t first = batch->center_offsets[p];

    if (!check_equal_i64(check, bary_kmeans_fit(rows, options, &alone, NULL), 0))
        return;
    check_equal_i64(check, one->status, 0);
    check_equal_i64(check, batch->center_offsets[p + 1] - first, alone.n_clusters);
    check_equal_bytes(check, batch->cluster_centers + first * COLUMNS, alone.cluster_centers,
                      (size_t)(alone.n_clusters * COLUMNS) * sizeof(double));
    check_equal_bytes(check, batch->labels + batch->row_offsets[p], alone.labels,
                      (size_t)alone.rows * sizeof(int32_t));
    check_equal_bytes(check, batch->sizes + first, alone.sizes,
                      (size_t)alone.n_clusters * sizeof(int64_t));
    check_equal_bits(check, one->inertia, alone.inertia);
    check_true(check, one->n_iter == alone.n_iter && one->stop == alone.stop);
    check_equal_bytes(check, one->fingerprint, alone.fingerprint, sizeof one->fingerprint);
    bary_kmeans_result_free(&alone);
}

static void equal_parts_are_fits_of_their_own(struct check *check)
{
    struct scene *scene = malloc(sizeof *scene);
    struct bary_kmeans_options options = four();
    struct bary_batch_result batch;
    struct bary_problems problems = {.problems = PROBLEMS};

    scene_make(scene);
    struct bary_data all = data_of(scene, 0, PROBLEMS * ROWS);
    if (check_equal_i64(check, bary_kmeans_fit_batch(&all, &problems, &options, &batch, NULL), 0)) {
        check_true(check, batch.problems == PROBLEMS && batch.failed == 0 && batch.columns == 3);
        for (int64_t p = 0; p < PROBLEMS; p += 7) {
            struct bary_data rows = data_of(scene, p * ROWS, ROWS);
            same_as_alone(check, &batch, p, &rows, &options);
        }
        check_equal_i64(check, bary_batch_error(&batch, 3, NULL), 0);
        bary_batch_result_free(&batch);
        bary_batch_result_free(&batch); /* zeroed: fine */
    }
    free(scene);
}

static void problems_may_have_numbers_of_their_own(struct check *check)
{
    static const int64_t offsets[] = {0, 10, 11, 400, PROBLEMS * ROWS}, clusters[] = {2, 1, 9, 3};
    static const uint64_t states[] = {1, 2, 3, 4};
    struct scene *scene = malloc(sizeof *scene);
    struct bary_kmeans_options options = four();
    struct bary_problems problems = {
        .problems = 4, .row_offsets = offsets, .n_clusters = clusters, .random_state = states};
    struct bary_batch_result batch;

    scene_make(scene);
    struct bary_data all = data_of(scene, 0, PROBLEMS * ROWS);
    if (check_equal_i64(check, bary_kmeans_fit_batch(&all, &problems, &options, &batch, NULL), 0))
        for (int p = 0; p < 4; p++) {
            struct bary_data rows = data_of(scene, offsets[p], offsets[p + 1] - offsets[p]);
            options.n_clusters = clusters[p];
            options.random_state = states[p];
            same_as_alone(check, &batch, p, &rows, &options);
        }
    bary_batch_result_free(&batch);
    free(scene);
}

static void one_bad_problem_fails_alone_in_words(struct check *check)
{
    struct scene *scene = malloc(sizeof *scene);
    struct bary_kmeans_options options = four();
    struct bary_problems problems = {.problems = PROBLEMS};
    struct bary_batch_result batch;
    struct bary_error error;

    scene_make(scene);
    scene->values[(5 * ROWS + 7) * COLUMNS + 1] = NAN;
    struct bary_data all = data_of(scene, 0, PROBLEMS * ROWS);
    all.name = "table";
    if (check_equal_i64(check, bary_kmeans_fit_batch(&all, &problems, &options, &batch, NULL), 0)) {
        check_equal_i64(check, batch.failed, 1);
        check_equal_i64(check, bary_batch_error(&batch, 5, &error), batch.problem[5].status);
        check_equal_text(check, error.reason, "NON_FINITE");
        check_equal_text(check, error.message,
                         "table[5] has 1 non-finite values; the first is nan at row 7, column 1");
        check_equal_i64(check, batch.labels[5 * ROWS], -1);
        bary_batch_result_free(&batch);
    }
    free(scene);
}

static void what_all_share_refuses_the_whole(struct check *check)
{
    static const struct {
        int64_t problems, clusters;
        int history;
        const char *message;
    } wrongs[] = {
        {7, 4, 0, "the number of problems is 7; it must be a divisor of the number of rows"},
        {0, 4, 0, "the number of problems is 0; it must be 1 to the number of rows"},
        {30, 0, 0, "n_clusters is 0; it must be 1 to 1048576"},
        {30, 4, 1, "history of a batch is not supported: only a single fit keeps it"},
    };
    struct scene *scene = malloc(sizeof *scene);

    scene_make(scene);
    struct bary_data all = data_of(scene, 0, PROBLEMS * ROWS);
    for (size_t i = 0; i < sizeof wrongs / sizeof *wrongs; i++) {
        struct bary_kmeans_options options = four();
        struct bary_problems problems = {.problems = wrongs[i].problems};
        struct bary_batch_result batch;
        struct bary_error error = {.message = ""};
        options.n_clusters = wrongs[i].clusters;
        options.history = wrongs[i].history;
        check_true(check, bary_kmeans_fit_batch(&all, &problems, &options, &batch, &error) != 0);
        check_equal_text(check, error.message, wrongs[i].message);
    }
    free(scene);
}

static void each_allocation_may_fail_and_nothing_leaks(struct check *check)
{
#ifdef BARY_FAULTS
    struct scene *scene = malloc(sizeof *scene);
    struct bary_kmeans_options options = four();
    struct bary_problems problems = {.problems = PROBLEMS};
    struct bary_batch_result batch;
    struct bary_error error;
    int failed = 0, status;

    scene_make(scene);
    struct bary_data all = data_of(scene, 0, PROBLEMS * ROWS);
    do {
        char spec[32];
        snprintf(spec, sizeof spec, "memory:%d:fail", ++failed);
        fault_set(spec);
        status = bary_kmeans_fit_batch(&all, &problems, &options, &batch, &error);
        fault_set(NULL);
        check_note(check, "%s", spec);
        if (status != 0)
            check_equal_text(check, error.reason, "OUT_OF_MEMORY");
    } while (status != 0 && failed < 500);
    check_true(check, failed > 10 && failed < 500);
    bary_batch_result_free(&batch);
    free(scene);
#else
    check_skip(check, "built without BARY_FAULTS");
#endif
}

CHECKS(CLAIM(equal_parts_are_fits_of_their_own), CLAIM(problems_may_have_numbers_of_their_own),
       CLAIM(one_bad_problem_fails_alone_in_words), CLAIM(what_all_share_refuses_the_whole),
       CLAIM(each_allocation_may_fail_and_nothing_leaks))
