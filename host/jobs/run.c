/* run.c - one job on its device, on the device's own thread: rows, work, result, report. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "host/base/clock.h"
#include "host/base/log.h"
#include "host/base/memory.h"
#include "host/jobs/live.h"
#include "host/jobs/source.h"

/* What a run holds until it ends. */
struct run {
    struct worker *worker;
    struct attempt *attempt;
    const struct job_request *request;
    struct device *device;
    struct fit *fit; /* open: its turns save it */
    struct source source;
    struct fit_input input; /* of the source, once it is open */
    struct turn turn;
};

static enum status no_memory(struct error *error, const char *what, size_t bytes)
{
    return FAIL(error, OUT_OF_MEMORY, TEXT("what", what), INT("needed", bytes),
                INT("retry_ms", RETRY_MS));
}

/* Saving may take a twentieth of the time, and outside of rounds comes once a second. */
enum { SAVE_SHARE = 20 };
static const int64_t SAVE_NS = 1000000000;

/* Of a device that may be lost: the fit after its last whole round. Without memory it does without. */
static void turn_save(struct run *run, const struct fit_progress *progress)
{
    struct attempt *attempt = run->attempt;
    int64_t round = progress->run * (progress->max_iter + 1) + progress->round;
    int64_t now_ns = clock_ns(), since_ns = now_ns - attempt->saved_ns;
    bool due = round != attempt->saved_round ? since_ns >= SAVE_SHARE * attempt->save_took_ns
                                             : since_ns >= SAVE_NS;

    if (!run->fit || !run->worker->gpu || attempt->fresh || !due)
        return;
    if (fit_save(run->fit, &attempt->fresh, &attempt->fresh_bytes, NULL) != STATUS_OK)
        attempt->fresh = NULL;
    attempt->saved_round = round;
    attempt->saved_ns = clock_ns();
    attempt->save_took_ns = attempt->saved_ns - now_ns;
}

static enum status turn(void *context, const struct fit_progress *progress, struct error *error)
{
    struct run *run = context;

    turn_save(run, progress);
    return turn_take(run->worker, run->attempt, progress, error);
}

__attribute__((format(printf, 2, 3))) static void warn(struct report *report, const char *format,
                                                       ...)
{
    va_list list;

    if (report->warnings >= REPORT_WARNINGS_MAX)
        return;
    va_start(list, format);
    vsnprintf(report->warning[report->warnings++], sizeof report->warning[0], format, list);
    va_end(list);
}

/* The device with as many threads as the request wants: a second handle, opened when first needed.
 * The job around a nested one may be using it, so then it stays as it is. */
static void device_take(struct run *run)
{
    struct worker *worker = run->worker;
    int threads = run->request->placement.threads;

    run->device = worker->device;
    if (threads <= 0 || threads >= worker->info.threads)
        return;
    if (worker->other_threads != threads && !worker->nested) {
        struct device_options options = {.threads = threads, .isa = worker->isa};
        worker->backend->close(&worker->other);
        worker->other_threads = 0;
        if (worker->backend->open(worker->index, &options, &worker->other, NULL) == STATUS_OK)
            worker->other_threads = threads;
    }
    if (worker->other_threads == threads)
        run->device = worker->other;
    else
        warn(&run->attempt->report, "ran with %d threads instead of %d", worker->info.threads,
             threads);
}

static void report_device(struct run *run)
{
    struct report *report = &run->attempt->report;
    struct device_info info = {0};
    struct shape shape = {.rows = run->source.matrix.rows,
                          .columns = run->source.matrix.columns,
                          .clusters = run->request->model ? run->request->model->n_clusters
                                                          : run->request->params.n_clusters,
                          .number = run->source.matrix.number,
                          .weighted = run->source.weights != NULL,
                          .residency = run->attempt->residency};
    struct plan plan = {0};

    run->worker->backend->describe(run->device, &info);
    snprintf(report->backend, sizeof report->backend, "%s", run->worker->backend->name);
    snprintf(report->device, sizeof report->device, "%s", info.name);
    snprintf(report->isa, sizeof report->isa, "%s", info.isa);
    report->threads = info.threads;
    if (run->worker->backend->plan(run->device, &shape, &plan) == STATUS_OK && plan.method)
        snprintf(report->method, sizeof report->method, "%s", plan.method);
}

/* Names for the model: of scalar columns, all of them named; else none. */
static enum status column_names(const struct run *run, const char ***out, struct error *error)
{
    const struct table *table = run->request->table;
    int count = run->source.selection.names ? run->source.selection.count : table->columns;
    const char **names;

    *out = NULL;
    if (count != run->source.matrix.columns)
        return STATUS_OK;
    names = memory_new((size_t)count, sizeof *names);
    if (!names)
        return no_memory(error, "column names", (size_t)count * sizeof *names);
    for (int i = 0; i < count; i++) {
        names[i] =
            run->source.selection.names ? run->source.selection.names[i] : table->column[i].name;
        if (names[i][0] == '\0') {
            memory_free(names);
            return STATUS_OK;
        }
    }
    *out = names;
    return STATUS_OK;
}

static enum status model_make(struct run *run, struct error *error)
{
    struct attempt *attempt = run->attempt;
    const char **names = NULL;
    enum status status;

    TRY(column_names(run, &names, error));
    TRY(model_of_result(&attempt->result->fit, &run->request->params, names, &attempt->model,
                        error));
    snprintf(attempt->result->model, sizeof attempt->result->model, "%s", run->request->keep_model);
out:
    memory_free(names);
    return status;
}

static void fit_warn(struct report *report, const struct kmeans_result *fit)
{
    if (fit->stop == STOP_MAX_ITER)
        warn(report, "did not converge in %lld rounds, max_iter", (long long)fit->n_iter);
    if (fit->distinct_below)
        warn(report, "seeding ran out of distinct rows: some centers repeat");
    if (fit->empty)
        warn(report, "%lld clusters are left without rows", (long long)fit->empty);
    if (fit->skipped)
        warn(report, "%lld rows with non-finite values were skipped", (long long)fit->skipped);
}

/* What was saved on another device. Unreadable bytes cost time alone: the fit then begins anew. */
static void fit_resume(struct run *run)
{
    struct attempt *attempt = run->attempt;
    struct error error;
    char text[ERROR_VALUE_BYTES];

    if (!attempt->resume ||
        fit_load(run->fit, attempt->resume, attempt->resume_bytes, &error) == STATUS_OK)
        return;
    LOG(LOG_ERROR, "resume_refused", TEXT("reason", error_message(&error, text, sizeof text)));
}

static enum status run_fit(struct run *run, struct error *error)
{
    struct attempt *attempt = run->attempt;
    struct job_result *result = attempt->result;
    enum status status;

    TRY(fit_open(run->worker->backend, run->device, &run->input, &run->request->params, &run->fit,
                 error));
    fit_resume(run);
    attempt->prepared_ns = clock_ns();
    TRY(fit_run(run->fit, &run->turn, error));
    TRY(fit_take_result(run->fit, &result->fit, error));
    attempt->iterations = result->fit.n_iter;
    result->rows = result->fit.rows;
    result->n_clusters = result->fit.n_clusters;
    result->number = result->fit.number;
    fit_warn(&attempt->report, &result->fit);
    if (run->request->keep_model[0])
        TRY(model_make(run, error));
    if (run->request->no_labels) {
        memory_free(result->fit.labels);
        result->fit.labels = NULL;
    }
out:
    fit_close(&run->fit);
    return status;
}

static void batch_warn(struct report *report, const struct batch_result *batch)
{
    int64_t unfinished = 0, empty = 0, skipped = 0;

    for (int64_t p = 0; p < batch->problems; p++) {
        unfinished += batch->problem[p].stop == FITS_MAX_ITER;
        empty += batch->problem[p].empty > 0;
        skipped += batch->problem[p].skipped;
    }
    if (batch->failed)
        warn(report, "%lld of %lld problems failed", (long long)batch->failed,
             (long long)batch->problems);
    if (unfinished)
        warn(report, "%lld problems did not converge in max_iter rounds", (long long)unfinished);
    if (empty)
        warn(report, "%lld problems have clusters without rows", (long long)empty);
    if (skipped)
        warn(report, "%lld rows with non-finite values were skipped", (long long)skipped);
}

/* One that lost its device begins anew: it is over in seconds. */
static enum status run_batch(struct run *run, struct error *error)
{
    struct attempt *attempt = run->attempt;
    struct batch_result *batch = &attempt->result->batch;
    struct batch_input input = request_batch(run->request, &run->source.matrix);
    enum status status;

    input.sample_weight = run->source.weights;
    input.residency = attempt->residency;
    snprintf(attempt->report.method, sizeof attempt->report.method, "many small fits");
    attempt->prepared_ns = clock_ns();
    TRY(batch_fit(run->worker->backend, run->device, &input, &run->request->params, &run->turn,
                  batch, error));
    for (int64_t p = 0; p < batch->problems; p++)
        attempt->iterations += batch->problem[p].n_iter;
    batch_warn(&attempt->report, batch);
    if (run->request->no_labels) {
        memory_free(batch->labels);
        batch->labels = NULL;
    }
out:
    return status;
}

static enum status run_predict(struct run *run, struct error *error)
{
    struct job_result *result = run->attempt->result;
    const struct job_request *request = run->request;
    size_t rows = (size_t)run->source.matrix.rows, values;

    if (!size_mul(rows, (size_t)result->n_clusters, &values))
        return no_memory(error, "distances", SIZE_MAX);
    if (request->want_labels && !(result->labels = memory_new(rows, sizeof *result->labels)))
        return no_memory(error, "labels", rows * sizeof *result->labels);
    if (request->want_distances &&
        !(result->distances = memory_new(values, sizeof *result->distances)))
        return no_memory(error, "distances", values);
    run->attempt->prepared_ns = clock_ns();
    return score_predict(run->worker->backend, run->device, &run->input, request->model,
                         request->non_finite, &run->turn, result->labels, result->distances, error);
}

static enum status run_evaluate(struct run *run, struct error *error)
{
    struct inertia_result *inertia = &run->attempt->result->inertia;
    const struct job_request *request = run->request;
    size_t clusters = (size_t)request->model->n_clusters;

    inertia->per_cluster = memory_new(clusters, sizeof *inertia->per_cluster);
    inertia->sizes = memory_new(clusters, sizeof *inertia->sizes);
    if (!inertia->per_cluster || !inertia->sizes)
        return no_memory(error, "inertia per cluster", clusters * 2 * sizeof(double));
    run->attempt->prepared_ns = clock_ns();
    return score_inertia(run->worker->backend, run->device, &run->input, request->model,
                         request->non_finite, &run->turn, inertia, error);
}

static enum status (*const RUN[])(struct run *, struct error *) = {[JOB_FIT] = run_fit,
                                                                   [JOB_PREDICT] = run_predict,
                                                                   [JOB_EVALUATE] = run_evaluate,
                                                                   [JOB_FIT_BATCH] = run_batch};

static enum status run_kind(struct run *run, struct error *error)
{
    struct job_result *result = memory_zeroed(1, sizeof *result);
    enum status status;

    run->attempt->result = result;
    if (!result)
        return no_memory(error, "a result", sizeof *result);
    TRY(source_open(&run->source, run->request, &run->turn, &run->attempt->start, error));
    run->input = (struct fit_input){.name = run->request->source_name,
                                    .matrix = &run->source.matrix,
                                    .sample_weight = run->source.weights,
                                    .residency = run->attempt->residency};
    result->rows = run->source.matrix.rows;
    result->number = run->source.matrix.number;
    result->n_clusters = run->request->model ? run->request->model->n_clusters : 0;
    report_device(run);
    TRY(RUN[run->request->kind](run, error));
out:
    return status;
}

/* In the words of the device: which one, and what it was. */
static void lost_say(struct run *run)
{
    struct attempt *attempt = run->attempt;
    const struct worker *worker = run->worker;
    char name[48];

    worker->backend->failure(run->device, &attempt->refusal);
    if (attempt->refusal.reason == REASON_NONE)
        return;
    snprintf(name, sizeof name, "%.16s:%d", worker->backend->name, worker->index);
    FAIL(&attempt->error, DEVICE_LOST, TEXT("device", name), TEXT("why", attempt->refusal.text),
         INT("retry_ms", RETRY_MS));
}

void run_attempt(struct worker *worker, struct attempt *attempt)
{
    struct run run = {.worker = worker, .attempt = attempt, .request = attempt->request};
    struct report *report = &attempt->report;

    run.turn = (struct turn){.fn = turn, .context = &run};
    device_take(&run);
    attempt->status = turn_take(worker, attempt, &attempt->start,
                                &attempt->error); /* cancelled while it was handed over? */
    if (attempt->status == STATUS_OK)
        attempt->status = run_kind(&run, &attempt->error);
    source_close(&run.source);
    if (attempt->status == STATUS_DEVICE_LOST)
        lost_say(&run);
    if (attempt->status != STATUS_OK) {
        job_result_free(attempt->result);
        attempt->result = NULL;
    }
    int64_t ended = clock_ns(), prepared = attempt->prepared_ns ? attempt->prepared_ns : ended;
    report->stage_ns[STAGE_PREPARE] += prepared - attempt->started_ns;
    report->stage_ns[STAGE_COMPUTE] += ended - prepared;
}
