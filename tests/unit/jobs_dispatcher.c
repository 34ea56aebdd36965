/* jobs_dispatcher.c - fits, predictions and their ends through the dispatcher, in process. */
#include <pthread.h>
#include <stdatomic.h>

#include "host/base/clock.h"
#include "host/base/file.h"
#include "host/base/log.h"
#include "host/base/memory.h"
#include "host/jobs/dispatcher.h"
#include "tests/check.h"

/* A server's heart: ledger, catalog and dispatcher over a folder of its own. */
struct scene {
    char folder[64];
    struct limits limits;
    struct ledger *ledger;
    struct catalog *catalog;
    struct dispatcher *dispatcher;
};

static void folder_remove(const char *folder)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    if (system(command) != 0)
        printf("  %s was not removed\n", folder);
}

static bool scene_open(struct check *check, struct scene *scene, int64_t budget)
{
    struct error error = {0};
    char text[1024];

    log_set_level(LOG_SILENT);
    snprintf(scene->folder, sizeof scene->folder, "/tmp/bary-jobs-XXXXXX");
    if (!mkdtemp(scene->folder))
        return check_true(check, false);
    scene->ledger = ledger_new(budget);
    struct dispatcher_options options = {
        .limits = &scene->limits, .ledger = scene->ledger, .threads = 2};
    if (catalog_open(scene->folder, &scene->limits, scene->ledger, &scene->catalog, &error) !=
        STATUS_OK)
        return check_failed(check, __FILE__, __LINE__, "%s", error_message(&error, text, 1024));
    options.catalog = scene->catalog;
    if (dispatcher_start(&options, &scene->dispatcher, &error) != STATUS_OK)
        return check_failed(check, __FILE__, __LINE__, "%s", error_message(&error, text, 1024));
    return true;
}

/* Everything ends, and every byte is back. */
static void scene_close(struct check *check, struct scene *scene)
{
    dispatcher_stop(&scene->dispatcher);
    catalog_close(&scene->catalog);
    if (scene->ledger)
        check_equal_i64(check, ledger_reserved(scene->ledger), 0);
    ledger_free(&scene->ledger);
    folder_remove(scene->folder);
}

/* What callbacks brought, for a thread that waits for it. */
struct inbox {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    int accepted, finished, updates, lasts;
    struct job_view *first, *last; /* of accepted; of finished or a wait */
    struct error error;
    struct watch *watch;
};

static void inbox_init(struct inbox *inbox)
{
    memset(inbox, 0, sizeof *inbox);
    pthread_mutex_init(&inbox->lock, NULL);
    pthread_cond_init(&inbox->wake, NULL);
}

static void inbox_clear(struct inbox *inbox)
{
    job_view_unpin(&inbox->first);
    job_view_unpin(&inbox->last);
    pthread_cond_destroy(&inbox->wake);
    pthread_mutex_destroy(&inbox->lock);
}

static void on_accepted(void *context, struct job_view *view, const struct error *error)
{
    struct inbox *inbox = context;
    pthread_mutex_lock(&inbox->lock);
    inbox->accepted++;
    job_view_unpin(&inbox->first);
    inbox->first = view;
    if (error)
        inbox->error = *error;
    pthread_cond_broadcast(&inbox->wake);
    pthread_mutex_unlock(&inbox->lock);
}

static void on_finished(void *context, struct job_view *view, const struct error *error)
{
    struct inbox *inbox = context;
    pthread_mutex_lock(&inbox->lock);
    inbox->finished++;
    job_view_unpin(&inbox->last);
    inbox->last = view;
    if (error)
        inbox->error = *error;
    pthread_cond_broadcast(&inbox->wake);
    pthread_mutex_unlock(&inbox->lock);
}

static void inbox_wait(struct inbox *inbox, const int *count, int until)
{
    pthread_mutex_lock(&inbox->lock);
    while (*count < until)
        pthread_cond_wait(&inbox->wake, &inbox->lock);
    pthread_mutex_unlock(&inbox->lock);
}

static void fill(double *values, int64_t rows, int64_t columns, int64_t clusters, uint64_t seed)
{
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c++)
            values[r * columns + c] =
                (double)((r % clusters) * 7 % 11) * (double)(c + 1) + check_normal(&seed);
}

static struct job_request *fit_request(int64_t rows, int64_t columns, int64_t clusters,
                                       uint64_t seed)
{
    struct job_request *request = memory_zeroed(1, sizeof *request);
    double *values = memory_new((size_t)(rows * columns), sizeof *values);

    fill(values, rows, columns, clusters, seed);
    request->kind = JOB_FIT;
    snprintf(request->principal, sizeof request->principal, "local");
    snprintf(request->source_name, sizeof request->source_name, "inline matrix");
    table_of_matrix(DTYPE_F64, rows, columns, values, memory_free, values, &request->table, NULL);
    request->placement.device = -1;
    request->params = kmeans_params_default();
    request->params.n_clusters = clusters;
    return request;
}

/* One that takes seconds: rounds without a stop test. */
static struct job_request *long_request(void)
{
    struct job_request *request = fit_request(20000, 8, 16, 1);
    request->params.fixed_rounds = true;
    request->params.max_iter = 1000000;
    return request;
}

/* The same fit by the engine alone. */
static void solo(int64_t rows, int64_t columns, int64_t clusters, uint64_t seed,
                 struct kmeans_result *out)
{
    struct job_request *request = fit_request(rows, columns, clusters, seed);
    const struct backend *backend = backend_named("cpu");
    struct device_options options = {.threads = 1};
    struct device *device = NULL;
    struct matrix matrix = {0};
    struct fit_input input = {.name = "X", .matrix = &matrix};

    backend->open(0, &options, &device);
    matrix_select(request->table, NULL, &matrix, NULL);
    kmeans_fit(backend, device, &input, &request->params, NULL, out, NULL);
    matrix_release(&matrix);
    backend->close(&device);
    job_request_free(&request);
}

static void check_same(struct check *check, const struct kmeans_result *got,
                       const struct kmeans_result *want)
{
    check_equal_i64(check, got->n_iter, want->n_iter);
    check_equal_bits(check, got->inertia, want->inertia);
    check_equal_bytes(check, got->centers, want->centers,
                      (size_t)(want->n_clusters * want->columns) * sizeof(double));
    check_equal_bytes(check, got->labels, want->labels, (size_t)want->rows * sizeof(int32_t));
}

static void two_fits_at_once_end_with_their_solo_bits(struct check *check)
{
    struct scene scene = {.limits = limits_default()};
    struct inbox inbox[2];
    struct kmeans_result want[2] = {{0}};

    if (!scene_open(check, &scene, (int64_t)1 << 30))
        return;
    for (int i = 0; i < 2; i++) {
        inbox_init(&inbox[i]);
        solo(3000, 6, 9, 10 + (uint64_t)i, &want[i]);
    }
    for (int i = 0; i < 2; i++)
        job_submit(scene.dispatcher, fit_request(3000, 6, 9, 10 + (uint64_t)i), on_accepted,
                   on_finished, &inbox[i]);
    for (int i = 0; i < 2; i++) {
        inbox_wait(&inbox[i], &inbox[i].finished, 1);
        check_equal_i64(check, inbox[i].accepted, 1);
        check_equal_i64(check, inbox[i].first->state, JOB_QUEUED);
        check_equal_i64(check, inbox[i].last->state, JOB_SUCCEEDED);
        if (check_true(check, inbox[i].last->result != NULL))
            check_same(check, &inbox[i].last->result->fit, &want[i]);
        check_equal_text(check, inbox[i].last->report.backend, "cpu");
        check_true(check, inbox[i].last->report.bytes_reserved > 0);
        check_true(check, inbox[i].last->sequence > inbox[i].first->sequence);
        kmeans_result_free(&want[i]);
        inbox_clear(&inbox[i]);
    }
    scene_close(check, &scene);
}

static void an_ephemeral_fit_beside_a_long_one_keeps_its_bits(struct check *check)
{
    struct scene scene = {.limits = limits_default()};
    struct inbox lengthy, small;
    struct kmeans_result want = {0};
    struct job_request *request = fit_request(300, 4, 3, 77);

    if (!scene_open(check, &scene, (int64_t)1 << 30))
        return;
    inbox_init(&lengthy);
    inbox_init(&small);
    solo(300, 4, 3, 77, &want);
    job_submit(scene.dispatcher, long_request(), on_accepted, on_finished, &lengthy);
    inbox_wait(&lengthy, &lengthy.accepted, 1);
    request->ephemeral = true;
    struct job_estimate estimate = {0};
    check_equal_i64(check, job_estimate(scene.dispatcher, request, &estimate, NULL), STATUS_OK);
    check_equal_i64(check, estimate.lane, LANE_FAST);
    int64_t begun = clock_ns();
    job_submit(scene.dispatcher, request, NULL, on_finished, &small);
    inbox_wait(&small, &small.finished, 1);
    check_true(check, clock_ns() - begun < 500000000);
    check_equal_i64(check, small.last->state, JOB_SUCCEEDED);
    if (check_true(check, small.last->result != NULL))
        check_same(check, &small.last->result->fit, &want);
    check_equal_i64(check, lengthy.finished, 0);
    job_cancel(scene.dispatcher, lengthy.first->name, NULL, "enough", on_accepted, &lengthy);
    inbox_wait(&lengthy, &lengthy.finished, 1);
    check_equal_i64(check, lengthy.last->state, JOB_CANCELLED);
    check_equal_i64(check, lengthy.last->error.status, STATUS_CANCELLED);
    check_equal_text(check, error_value(&lengthy.last->error, "why"), "enough");
    kmeans_result_free(&want);
    inbox_clear(&lengthy);
    inbox_clear(&small);
    scene_close(check, &scene);
}

CHECKS(CLAIM(two_fits_at_once_end_with_their_solo_bits),
       CLAIM(an_ephemeral_fit_beside_a_long_one_keeps_its_bits))
