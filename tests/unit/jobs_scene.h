/* jobs_scene.h - what tests of the dispatcher share: a server's heart over a folder of its own,
 * an inbox for callbacks, and requests to send. */
#ifndef BARY_TESTS_UNIT_JOBS_SCENE_H
#define BARY_TESTS_UNIT_JOBS_SCENE_H

#include <pthread.h>

#include "host/base/clock.h"
#include "host/base/fault.h"
#include "host/base/log.h"
#include "host/base/memory.h"
#include "host/jobs/dispatcher.h"
#include "host/metrics/metrics.h"
#include "tests/check.h"

#define MS INT64_C(1000000)

struct scene {
    char folder[64];
    const char *backend_dir; /* of plug-ins; NULL: one where there is none */
    struct limits limits;
    struct ledger *ledger;
    struct catalog *catalog;
    struct metrics *metrics;
    struct dispatcher *dispatcher;
    struct error error;
};

/* False: it did not start, scene->error says why; scene_close is owed all the same. */
__attribute__((unused)) static bool scene_start(struct scene *scene, int64_t budget)
{
    struct dispatcher_options options = {.limits = &scene->limits, .threads = 2};

    options.backend_dir = scene->backend_dir ? scene->backend_dir : "/nowhere";

    log_set_level(LOG_SILENT);
    if (scene->limits.calls == 0)
        scene->limits = limits_default();
    snprintf(scene->folder, sizeof scene->folder, "/tmp/bary-jobs-XXXXXX");
    scene->ledger = ledger_new(budget);
    if (!mkdtemp(scene->folder) || !scene->ledger)
        return false;
    if (catalog_open(scene->folder, &scene->limits, scene->ledger, &scene->catalog,
                     &scene->error) != STATUS_OK)
        return false;
    scene->metrics = metrics_new();
    options.ledger = scene->ledger;
    options.catalog = scene->catalog;
    options.metrics = scene->metrics;
    return dispatcher_start(&options, &scene->dispatcher, &scene->error) == STATUS_OK;
}

__attribute__((unused)) static bool scene_open(struct check *check, struct scene *scene)
{
    char text[1024];

    if (scene_start(scene, (int64_t)1 << 30))
        return true;
    return check_failed(check, __FILE__, __LINE__, "%s",
                        error_message(&scene->error, text, sizeof text));
}

/* Everything ends, and every byte is back. */
__attribute__((unused)) static void scene_close(struct check *check, struct scene *scene)
{
    char command[128];

    dispatcher_stop(&scene->dispatcher);
    catalog_close(&scene->catalog);
    metrics_free(&scene->metrics);
    if (scene->ledger)
        check_equal_i64(check, ledger_reserved(scene->ledger), 0);
    ledger_free(&scene->ledger);
    snprintf(command, sizeof command, "rm -rf '%s'", scene->folder);
    check_equal_i64(check, system(command), 0);
}

/* What callbacks brought, for a thread that waits for it. */
struct inbox {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    int accepted, finished;        /* calls of on_accepted and on_finished */
    int updates, lasts;            /* calls of on_update, and those with `last` */
    struct job_view *first, *last; /* the newest of on_accepted, of the others */
    struct error error;            /* the newest that was said */
};

__attribute__((unused)) static void inbox_init(struct inbox *inbox)
{
    memset(inbox, 0, sizeof *inbox);
    pthread_mutex_init(&inbox->lock, NULL);
    pthread_cond_init(&inbox->wake, NULL);
}

__attribute__((unused)) static void inbox_clear(struct inbox *inbox)
{
    job_view_unpin(&inbox->first);
    job_view_unpin(&inbox->last);
    pthread_cond_destroy(&inbox->wake);
    pthread_mutex_destroy(&inbox->lock);
}

__attribute__((unused)) static void inbox_put(struct inbox *inbox, int *count,
                                              struct job_view **seat, struct job_view *view,
                                              const struct error *error)
{
    pthread_mutex_lock(&inbox->lock);
    ++*count;
    job_view_unpin(seat);
    *seat = view;
    if (error)
        inbox->error = *error;
    pthread_cond_broadcast(&inbox->wake);
    pthread_mutex_unlock(&inbox->lock);
}

__attribute__((unused)) static void on_accepted(void *context, struct job_view *view,
                                                const struct error *error)
{
    struct inbox *inbox = context;

    inbox_put(inbox, &inbox->accepted, &inbox->first, view, error);
}

__attribute__((unused)) static void on_finished(void *context, struct job_view *view,
                                                const struct error *error)
{
    struct inbox *inbox = context;

    inbox_put(inbox, &inbox->finished, &inbox->last, view, error);
}

__attribute__((unused)) static void on_update(void *context, struct job_view *view, bool last,
                                              const struct error *error)
{
    struct inbox *inbox = context;

    if (last)
        inbox_put(inbox, &inbox->lasts, &inbox->last, view, error);
    else
        inbox_put(inbox, &inbox->updates, &inbox->last, view, error);
}

__attribute__((unused)) static void inbox_wait(struct inbox *inbox, const int *count, int until)
{
    pthread_mutex_lock(&inbox->lock);
    while (*count < until)
        pthread_cond_wait(&inbox->wake, &inbox->lock);
    pthread_mutex_unlock(&inbox->lock);
}

/* Says ready once for each update, of which `said` were answered before, until `last` has come. */
__attribute__((unused)) static void watch_to_the_end(struct inbox *inbox, struct watch *watch,
                                                     int said)
{
    for (;;) {
        pthread_mutex_lock(&inbox->lock);
        while (inbox->updates <= said && inbox->lasts == 0)
            pthread_cond_wait(&inbox->wake, &inbox->lock);
        bool over = inbox->lasts > 0;
        pthread_mutex_unlock(&inbox->lock);
        if (over)
            return;
        said++;
        job_watch_ready(watch);
    }
}

/* One question and its answer. */
__attribute__((unused)) static struct job_view *get_job(struct scene *scene, const char *name)
{
    struct inbox inbox;

    inbox_init(&inbox);
    job_get(scene->dispatcher, name, on_accepted, &inbox);
    inbox_wait(&inbox, &inbox.accepted, 1);
    struct job_view *view = inbox.first;
    inbox.first = NULL;
    scene->error = inbox.error;
    inbox_clear(&inbox);
    return view;
}

__attribute__((unused)) static void cancel(struct scene *scene, const char *name, const char *tag)
{
    struct inbox inbox;

    inbox_init(&inbox);
    job_cancel(scene->dispatcher, name, tag, "enough", on_accepted, &inbox);
    inbox_wait(&inbox, &inbox.accepted, 1);
    scene->error = inbox.error;
    inbox_clear(&inbox);
}

/* Until the job is in the state, by asking: at most a few seconds. */
__attribute__((unused)) static bool await_state(struct scene *scene, const char *name,
                                                enum job_state state)
{
    for (int i = 0; i < 5000; i++) {
        struct job_view *view = get_job(scene, name);
        bool there = view && view->state == state;
        job_view_unpin(&view);
        if (there)
            return true;
        usleep(1000);
    }
    return false;
}

__attribute__((unused)) static struct job_request *fit_request(int64_t rows, int64_t columns,
                                                               int64_t clusters, uint64_t seed)
{
    struct job_request *request = memory_zeroed(1, sizeof *request);
    double *values = memory_new((size_t)(rows * columns), sizeof *values);

    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c++)
            values[r * columns + c] =
                (double)((r % clusters) * 7 % 11) * (double)(c + 1) + check_normal(&seed);
    request->kind = JOB_FIT;
    snprintf(request->principal, sizeof request->principal, "local");
    snprintf(request->source_name, sizeof request->source_name, "inline matrix");
    table_of_matrix(DTYPE_F64, rows, columns, values, memory_free, values, &request->table, NULL);
    request->placement.device = -1;
    request->params = kmeans_params_default();
    request->params.n_clusters = clusters;
    return request;
}

/* One that would take minutes: rounds without a stop test. */
__attribute__((unused)) static struct job_request *long_request(void)
{
    struct job_request *request = fit_request(20000, 8, 16, 1);

    request->params.fixed_rounds = true;
    request->params.max_iter = 1000000;
    return request;
}

__attribute__((unused)) static struct job_request *predict_request(int64_t rows, int64_t columns,
                                                                   int64_t clusters, uint64_t seed)
{
    struct job_request *request = fit_request(rows, columns, clusters, seed);
    double *centers = memory_zeroed((size_t)(clusters * columns), sizeof *centers);

    for (int64_t i = 0; i < clusters * columns; i++)
        centers[i] = (double)(i % 17);
    request->kind = JOB_PREDICT;
    request->want_labels = true;
    model_of_centers(centers, clusters, columns, NUMBER_F64, &request->model, NULL);
    memory_free(centers);
    return request;
}

/* Submits and waits for the end; the view is the caller's. NULL: refused, scene->error says why. */
__attribute__((unused)) static struct job_view *run_request(struct scene *scene,
                                                            struct job_request *request)
{
    struct inbox inbox;

    inbox_init(&inbox);
    job_submit(scene->dispatcher, request, NULL, on_finished, &inbox);
    inbox_wait(&inbox, &inbox.finished, 1);
    struct job_view *view = inbox.last;
    inbox.last = NULL;
    scene->error = inbox.error;
    inbox_clear(&inbox);
    return view;
}

/* Submits and waits until it is known; its name goes to name[64]. */
__attribute__((unused)) static bool submit(struct scene *scene, struct job_request *request,
                                           struct inbox *inbox, char name[64])
{
    inbox_init(inbox);
    job_submit(scene->dispatcher, request, on_accepted, on_finished, inbox);
    inbox_wait(inbox, &inbox->accepted, 1);
    scene->error = inbox->error;
    if (!inbox->first)
        return false;
    memcpy(name, inbox->first->name, 64);
    return true;
}

#endif
