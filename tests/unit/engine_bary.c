/* Only what a stranger has: bary.h. */
#include "host/bary.h"

#include <pthread.h>

#include "host/base/fault.h"
#include "tests/check.h"

enum { ROWS = 3000, COLUMNS = 5, CLUSTERS = 4 };

/* Blobs around the corners (20 j, 20 j, ...), by the generator of check.h. */
struct blobs {
    float f32[ROWS * COLUMNS];
    double f64[ROWS * COLUMNS];
};

static struct blobs made;

/* The doubles are read back from the stored floats in a loop of their own: gcc 12 folds
 * (double)(float)x to x where it packs four of them into one vector (-O3 -mavx2 -fno-math-errno). */
static void blobs_make(void)
{
    uint64_t state = 5;

    for (int i = 0; i < ROWS; i++)
        for (int c = 0; c < COLUMNS; c++)
            made.f32[i * COLUMNS + c] = (float)(check_normal(&state) + 20.0 * (i % CLUSTERS));
    for (int i = 0; i < ROWS * COLUMNS; i++)
        made.f64[i] = (double)made.f32[i];
}

static const struct blobs *blobs(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, blobs_make);
    return &made;
}

static struct bary_data data_f32(void)
{
    return (struct bary_data){
        .values = blobs()->f32, .dtype = BARY_F32, .rows = ROWS, .columns = COLUMNS};
}

static struct bary_kmeans_options four(void)
{
    struct bary_kmeans_options options;

    bary_kmeans_options_init(&options);
    options.n_clusters = CLUSTERS;
    return options;
}

static bool fit(struct check *check, const struct bary_data *data,
                const struct bary_kmeans_options *options, struct bary_kmeans_result *result)
{
    struct bary_error error = {.message = ""};
    int status = bary_kmeans_fit(data, options, result, &error);

    return status == 0 || check_failed(check, __FILE__, __LINE__, "the fit ended with %d: %s",
                                       status, error.message);
}

static void check_same(struct check *check, const struct bary_kmeans_result *got,
                       const struct bary_kmeans_result *want)
{
    check_equal_bytes(check, got->labels, want->labels, (size_t)want->rows * sizeof *want->labels);
    check_equal_bytes(check, got->cluster_centers, want->cluster_centers,
                      (size_t)(want->n_clusters * want->columns) * sizeof(double));
    check_equal_bits(check, got->inertia, want->inertia);
    check_equal_i64(check, got->n_iter, want->n_iter);
    check_equal_bytes(check, got->fingerprint, want->fingerprint, sizeof want->fingerprint);
}

static void one_call_finds_the_blobs(struct check *check)
{
    struct bary_data data = data_f32();
    struct bary_kmeans_options options = four();
    struct bary_kmeans_result result;

    if (!fit(check, &data, &options, &result))
        return;
    check_true(check,
               result.rows == ROWS && result.columns == COLUMNS && result.n_clusters == CLUSTERS);
    for (int j = 0; j < CLUSTERS; j++)
        check_equal_i64(check, result.sizes[j], ROWS / CLUSTERS);
    for (int i = CLUSTERS; i < ROWS; i++)
        check_equal_i64(check, result.labels[i], result.labels[i % CLUSTERS]);
    check_near(check, result.inertia, ROWS * COLUMNS, 0.05); /* unit variance in each column */
    check_true(check, result.stop == BARY_STOP_LABELS_EQUAL || result.stop == BARY_STOP_TOLERANCE);
    check_true(check, result.empty == 0 && result.skipped == 0 && result.history == NULL);
    bary_kmeans_result_free(&result);
    bary_kmeans_result_free(&result); /* zeroed: fine */
}

static void threads_backends_and_isas_give_the_same_bits(struct check *check)
{
    static const struct bary_run runs[] = {
        {.threads = 1}, {.threads = 3}, {.backend = "ref"}, {.isa = "plain"}, {.backend = "cpu"}};
    struct bary_data data = data_f32();
    struct bary_kmeans_options options = four();
    struct bary_kmeans_result first, other;

    if (!fit(check, &data, &options, &first))
        return;
    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++) {
        options.run = runs[i];
        check_note(check, "run=%zu", i);
        if (fit(check, &data, &options, &other)) {
            check_same(check, &other, &first);
            bary_kmeans_result_free(&other);
        }
    }
    bary_kmeans_result_free(&first);
}

static void float64_of_the_same_numbers_gives_the_same_labels(struct check *check)
{
    struct bary_data data = data_f32();
    struct bary_kmeans_options options = four();
    struct bary_kmeans_result narrow, wide;

    if (!fit(check, &data, &options, &narrow))
        return;
    data.values = blobs()->f64;
    data.dtype = BARY_F64;
    if (fit(check, &data, &options, &wide)) {
        check_same(check, &wide, &narrow);
        bary_kmeans_result_free(&wide);
    }
    bary_kmeans_result_free(&narrow);
}

static void predict_and_inertia_repeat_what_the_fit_said(struct check *check)
{
    static int32_t labels[ROWS];
    static double distances[ROWS * CLUSTERS];
    double inertia = 0, per_cluster[CLUSTERS], sum = 0;
    struct bary_data data = data_f32();
    struct bary_kmeans_options options = four();
    struct bary_kmeans_result result;

    if (!fit(check, &data, &options, &result))
        return;
    check_equal_i64(check, bary_predict(result.model, &data, NULL, labels, distances, NULL), 0);
    check_equal_bytes(check, labels, result.labels, sizeof labels);
    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < CLUSTERS; j++)
            check_true(check, distances[i * CLUSTERS + j] >= distances[i * CLUSTERS + labels[i]]);
    check_equal_i64(check, bary_inertia(result.model, &data, NULL, &inertia, per_cluster, NULL), 0);
    check_equal_bits(check, inertia, result.inertia);
    for (int j = 0; j < CLUSTERS; j++)
        sum += per_cluster[j];
    check_near(check, sum, inertia, 1e-12);
    bary_kmeans_result_free(&result);
}

static void a_weight_is_a_repetition(struct check *check)
{
    static float twice[2 * ROWS * COLUMNS];
    static double weight[ROWS];
    struct bary_data data = data_f32(), repeated = data_f32();
    struct bary_kmeans_options options = four();
    struct bary_kmeans_result result, other;
    double centers[CLUSTERS * COLUMNS];

    for (int i = 0; i < ROWS; i++)
        weight[i] = 2;
    memcpy(twice, blobs()->f32, sizeof twice / 2);
    memcpy(twice + ROWS * COLUMNS, blobs()->f32, sizeof twice / 2);
    memcpy(centers, blobs()->f64, sizeof centers);
    options.init_centers = centers;
    data.sample_weight = weight;
    repeated.values = twice;
    repeated.rows = 2 * ROWS;
    if (!fit(check, &data, &options, &result))
        return;
    if (fit(check, &repeated, &options, &other)) {
        check_equal_bytes(check, result.cluster_centers, other.cluster_centers, sizeof centers);
        check_equal_bytes(check, result.labels, other.labels, ROWS * sizeof(int32_t));
        bary_kmeans_result_free(&other);
    }
    bary_kmeans_result_free(&result);
}

static void what_is_wrong_is_said_in_a_sentence_and_nothing_else_is_written(struct check *check)
{
    static const struct {
        const char *reason, *words;
    } cases[] = {
        {"TOO_FEW_ROWS", "X has 3000 rows"},
        {"OUT_OF_RANGE", "n_clusters is 0"},
        {"OUT_OF_RANGE", "the number of rows is -1"},
        {"UNKNOWN_VALUE", "dtype is 77"},
        {"UNKNOWN_VALUE", "backend is abacus; known are auto, gpu, cpu, ref"},
        {"UNSUPPORTED", "isa 'mmx' on this machine is not supported"},
        {"OUT_OF_RANGE", "threads is -1"},
        {"UNKNOWN_VALUE", "non_finite is 9"},
        {"MISSING", "the address of the values is missing"},
        {"UNKNOWN_VALUE", "init is 8"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bary_data data = data_f32();
        struct bary_kmeans_options options = four();
        struct bary_kmeans_result result, before;
        struct bary_error error;
        memset(&result, 0x5a, sizeof result);
        memcpy(&before, &result, sizeof result);
        options.n_clusters = i == 0 ? ROWS + 1 : i == 1 ? 0 : CLUSTERS;
        data.rows = i == 2 ? -1 : ROWS;
        data.dtype = i == 3 ? (enum bary_dtype)77 : BARY_F32;
        options.run.backend = i == 4 ? "abacus" : NULL;
        options.run.isa = i == 5 ? "mmx" : NULL;
        options.run.threads = i == 6 ? -1 : 1;
        data.non_finite = i == 7 ? (enum bary_non_finite)9 : BARY_NON_FINITE_REJECT;
        data.values = i == 8 ? NULL : data.values;
        options.init = i == 9 ? (enum bary_init)8 : BARY_INIT_AUTO;
        check_note(check, "case=%zu", i);
        check_true(check, bary_kmeans_fit(&data, &options, &result, &error) == error.status &&
                              error.status != 0);
        check_equal_text(check, error.reason, cases[i].reason);
        if (!strstr(error.message, cases[i].words))
            check_equal_text(check, error.message, cases[i].words);
        check_equal_bytes(check, &result, &before, sizeof result);
        check_equal_i64(check, bary_kmeans_fit(&data, &options, &result, NULL), error.status);
    }
}

static void a_nan_is_refused_by_row_or_skipped_as_asked(struct check *check)
{
    static float values[ROWS * COLUMNS];
    struct bary_data data = data_f32();
    struct bary_kmeans_options options = four();
    struct bary_kmeans_result result;
    struct bary_error error;

    memcpy(values, data.values, sizeof values);
    values[17 * COLUMNS + 2] = NAN;
    data.values = values;
    data.name = "rows.npy";
    check_true(check, bary_kmeans_fit(&data, &options, &result, &error) != 0);
    check_equal_text(check, error.reason, "NON_FINITE");
    check_true(check,
               strstr(error.message, "rows.npy") && strstr(error.message, "row 17, column 2"));
    data.non_finite = BARY_NON_FINITE_SKIP;
    if (fit(check, &data, &options, &result)) {
        check_true(check, result.skipped == 1 && result.labels[17] == -1 && result.labels[18] >= 0);
        bary_kmeans_result_free(&result);
    }
}

struct seen {
    int calls, stop_at;
    double fraction;
    bool backwards;
};

static int look(void *context, const struct bary_progress *progress)
{
    struct seen *seen = context;

    seen->backwards = seen->backwards || progress->fraction < seen->fraction ||
                      progress->fraction > 1 || progress->fraction < 0;
    seen->fraction = progress->fraction;
    return ++seen->calls == seen->stop_at;
}

static void progress_rises_to_one_and_may_cancel(struct check *check)
{
    struct bary_data data = data_f32();
    struct bary_kmeans_options options = four();
    struct bary_kmeans_result result;
    struct bary_error error;
    struct seen seen = {.calls = 0};
    int calls;

    options.run.progress = look;
    options.run.context = &seen;
    if (!fit(check, &data, &options, &result))
        return;
    bary_kmeans_result_free(&result);
    check_true(check, seen.calls > 3 && !seen.backwards && seen.fraction <= 1);
    calls = seen.calls;
    for (int at = 1; at <= calls; at++) {
        seen = (struct seen){.stop_at = at};
        check_note(check, "cancelled at call %d of %d", at, calls);
        check_true(check, bary_kmeans_fit(&data, &options, &result, &error) != 0);
        check_equal_text(check, error.reason, "CANCELLED");
        check_equal_i64(check, seen.calls, at);
    }
}

static void a_device_serves_many_calls(struct check *check)
{
    struct bary_device *device = NULL;
    struct bary_device_info info;
    struct bary_data data = data_f32();
    struct bary_kmeans_options options = four();
    struct bary_kmeans_result result, again;

    check_equal_i64(check, bary_device_open(&(struct bary_run){.threads = 2}, &device, NULL), 0);
    bary_device_describe(device, &info);
    check_true(check, info.threads == 2 && info.name[0] && info.isa[0]);
    options.run.device = device;
    if (fit(check, &data, &options, &result)) {
        if (fit(check, &data, &options, &again)) {
            check_same(check, &again, &result);
            bary_kmeans_result_free(&again);
        }
        bary_kmeans_result_free(&result);
    }
    bary_device_close(&device);
    check_true(check, device == NULL);
    bary_device_close(&device);
}

static void *fit_quietly(void *argument)
{
    struct bary_data data = data_f32();
    struct bary_kmeans_options options = four();

    options.run.threads = 1;
    return (void *)(intptr_t)bary_kmeans_fit(&data, &options, argument, NULL);
}

static void two_fits_at_once_do_not_meet(struct check *check)
{
    struct bary_kmeans_result results[3];
    pthread_t threads[2];
    void *status;

    blobs();
    check_true(check, fit_quietly(&results[2]) == NULL);
    for (int i = 0; i < 2; i++)
        if (pthread_create(&threads[i], NULL, fit_quietly, &results[i]) != 0)
            abort();
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], &status);
        if (check_true(check, status == NULL)) {
            check_same(check, &results[i], &results[2]);
            bary_kmeans_result_free(&results[i]);
        }
    }
    bary_kmeans_result_free(&results[2]);
}

static void check_model(struct check *check, const struct bary_model *got,
                        const struct bary_model *want)
{
    struct bary_model_info a, b;

    bary_model_describe(got, &a);
    bary_model_describe(want, &b);
    check_true(check, a.n_clusters == b.n_clusters && a.columns == b.columns && a.rows == b.rows &&
                          a.n_iter == b.n_iter);
    check_equal_bits(check, a.inertia, b.inertia);
    check_equal_bytes(check, a.cluster_centers, b.cluster_centers,
                      (size_t)(b.n_clusters * b.columns) * sizeof(double));
    check_equal_bytes(check, a.sizes, b.sizes, (size_t)b.n_clusters * sizeof(int64_t));
}

static void a_model_survives_file_and_memory_and_its_result(struct check *check)
{
    char path[] = "/tmp/bary-model-XXXXXX";
    struct bary_data data = data_f32();
    struct bary_kmeans_options options = four();
    struct bary_kmeans_result result;
    struct bary_model *kept, *copy = NULL;
    void *bytes = NULL;
    size_t count = 0;

    close(mkstemp(path));
    if (!fit(check, &data, &options, &result))
        return;
    kept = bary_model_share(result.model);
    bary_kmeans_result_free(&result);
    check_equal_i64(check, bary_model_save(kept, path, NULL), 0);
    if (check_equal_i64(check, bary_model_load(path, &copy, NULL), 0))
        check_model(check, copy, kept);
    bary_model_free(&copy);
    check_equal_i64(check, bary_model_encode(kept, &bytes, &count, NULL), 0);
    if (check_equal_i64(check, bary_model_decode(bytes, count, &copy, NULL), 0))
        check_model(check, copy, kept);
    bary_model_free(&copy);
    ((unsigned char *)bytes)[count / 2] ^= 1;
    check_true(check, bary_model_decode(bytes, count, &copy, NULL) != 0 && copy == NULL);
    bary_bytes_free(bytes);
    bary_model_free(&kept);
    bary_model_free(&kept); /* NULL is fine */
    unlink(path);
}

static void bare_centers_predict(struct check *check)
{
    static const double centers[2][2] = {{0, 0}, {10, 10}};
    static const float values[3][2] = {{1, 1}, {9, 9}, {5, 5}}; /* the last is a tie */
    static const int32_t want[3] = {0, 1, 0};
    struct bary_data data = {.values = values, .dtype = BARY_F32, .rows = 3, .columns = 2};
    struct bary_model *model = NULL;
    struct bary_error error;
    int32_t labels[3] = {7, 7, 7};

    check_true(check, bary_model_of_centers(centers[0], 2, 2, BARY_I8, &model, &error) != 0);
    check_equal_i64(check, bary_model_of_centers(centers[0], 2, 2, BARY_F32, &model, &error), 0);
    check_equal_i64(check, bary_predict(model, &data, NULL, labels, NULL, &error), 0);
    check_equal_bytes(check, labels, want, sizeof want);
    data.columns = 1;
    check_true(check, bary_predict(model, &data, NULL, labels, NULL, &error) != 0);
    check_equal_text(check, error.reason, "SHAPE_MISMATCH");
    bary_model_free(&model);
}

static void a_npy_file_is_data(struct check *check)
{
    struct bary_npy *file = NULL;
    struct bary_data data;
    struct bary_error error;

    check_equal_i64(
        check, bary_npy_open(BARY_SOURCE_DIR "/tests/golden/npy/grid_i4.npy", &file, &data, &error),
        0);
    check_true(check, data.rows == 2 && data.columns == 3 && data.dtype == BARY_I32);
    check_equal_i64(check, ((const int32_t *)data.values)[5], 5);
    bary_npy_close(&file);
    bary_npy_close(&file);
    check_true(check, bary_npy_open("/no/such.npy", &file, &data, &error) != 0);
    check_equal_text(check, error.message, "cannot open '/no/such.npy': No such file or directory");
}

static void each_allocation_may_fail_and_nothing_leaks(struct check *check)
{
#ifdef BARY_FAULTS
    struct bary_data data = data_f32();
    struct bary_kmeans_options options = four();
    struct bary_kmeans_result result;
    struct bary_error error;
    int failed = 0, status;

    options.run.threads = 1;
    do {
        char spec[32];
        snprintf(spec, sizeof spec, "memory:%d:fail", ++failed);
        fault_set(spec);
        status = bary_kmeans_fit(&data, &options, &result, &error);
        fault_set(NULL);
        check_note(check, "%s", spec);
        if (status != 0)
            check_equal_text(check, error.reason, "OUT_OF_MEMORY");
    } while (status != 0 && failed < 500);
    check_true(check, failed > 5 && failed < 500);
    bary_kmeans_result_free(&result);
#else
    check_skip(check, "built without BARY_FAULTS");
#endif
}

static void the_version_is_known(struct check *check)
{
    check_true(check, strlen(bary_version()) >= 5 && strchr(bary_version(), '.'));
}

CHECKS(CLAIM(one_call_finds_the_blobs), CLAIM(threads_backends_and_isas_give_the_same_bits),
       CLAIM(float64_of_the_same_numbers_gives_the_same_labels),
       CLAIM(predict_and_inertia_repeat_what_the_fit_said), CLAIM(a_weight_is_a_repetition),
       CLAIM(what_is_wrong_is_said_in_a_sentence_and_nothing_else_is_written),
       CLAIM(a_nan_is_refused_by_row_or_skipped_as_asked),
       CLAIM(progress_rises_to_one_and_may_cancel), CLAIM(a_device_serves_many_calls),
       CLAIM(two_fits_at_once_do_not_meet), CLAIM(a_model_survives_file_and_memory_and_its_result),
       CLAIM(bare_centers_predict), CLAIM(a_npy_file_is_data),
       CLAIM(each_allocation_may_fail_and_nothing_leaks), CLAIM(the_version_is_known))
