/* run.c - one job on its device, on the device's own thread: rows, work, result, report. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "host/base/clock.h"
#include "host/base/memory.h"
#include "host/jobs/live.h"
#include "host/jobs/source.h"

/* What a run holds until it ends. */
struct run {
    struct worker *worker;
    struct job *job;
    const struct job_request *request;
    struct device *device;
    struct source source;
    struct fit_input input; /* of the source, once it is open */
    struct turn turn;
    struct fit_progress start; /* what is said before there is progress */
};

static enum status no_memory(struct error *error, const char *what, size_t bytes)
{
    return FAIL(error, OUT_OF_MEMORY, TEXT("what", what), INT("needed", bytes),
                INT("retry_ms", RETRY_MS));
}

static enum status turn(void *context, const struct fit_progress *progress, struct error *error)
{
    struct run *run = context;

    return turn_take(run->worker, run->job, progress, error);
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
        warn(&run->job->report, "ran with %d threads instead of %d", worker->info.threads, threads);
}

static void report_device(struct run *run)
{
    struct report *report = &run->job->report;
    struct device_info info = {0};
    struct shape shape = {.rows = run->source.matrix.rows,
                          .columns = run->source.matrix.columns,
                          .clusters = run->request->kind == JOB_FIT
                                          ? run->request->params.n_clusters
                                          : run->request->model->n_clusters,
                          .number = run->source.matrix.number,
                          .weighted = run->source.weights != NULL};
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
    struct job *job = run->job;
    const char **names = NULL;
    enum status status;

    TRY(column_names(run, &names, error));
    TRY(model_of_result(&job->result->fit, &run->request->params, names, &job->model, error));
    snprintf(job->result->model, sizeof job->result->model, "%s", run->request->keep_model);
out:
    memory_free(names);
    return status;
}

static void fit_warn(struct job *job, const struct kmeans_result *fit)
{
    struct report *report = &job->report;

    if (fit->stop == STOP_MAX_ITER)
        warn(report, "did not converge in %lld rounds, max_iter", (long long)fit->n_iter);
    if (fit->distinct_below)
        warn(report, "seeding ran out of distinct rows: some centers repeat");
    if (fit->empty)
        warn(report, "%lld clusters are left without rows", (long long)fit->empty);
    if (fit->skipped)
        warn(report, "%lld rows with non-finite values were skipped", (long long)fit->skipped);
}

static enum status run_fit(struct run *run, struct error *error)
{
    struct job *job = run->job;
    struct job_result *result = job->result;
    struct fit *fit = NULL;
    enum status status;

    TRY(fit_open(run->worker->backend, run->device, &run->input, &run->request->params, &fit,
                 error));
    job->prepared_ns = clock_ns();
    TRY(fit_run(fit, &run->turn, error));
    TRY(fit_take_result(fit, &result->fit, error));
    job->iterations = result->fit.n_iter;
    result->rows = result->fit.rows;
    result->n_clusters = result->fit.n_clusters;
    result->number = result->fit.number;
    fit_warn(job, &result->fit);
    if (run->request->keep_model[0])
        TRY(model_make(run, error));
    if (run->request->no_labels) {
        memory_free(result->fit.labels);
        result->fit.labels = NULL;
    }
out:
    fit_close(&fit);
    return status;
}

static enum status run_predict(struct run *run, struct error *error)
{
    struct job_result *result = run->job->result;
    const struct job_request *request = run->request;
    size_t rows = (size_t)run->source.matrix.rows, values;

    if (!size_mul(rows, (size_t)result->n_clusters, &values))
        return no_memory(error, "distances", SIZE_MAX);
    if (request->want_labels && !(result->labels = memory_new(rows, sizeof *result->labels)))
        return no_memory(error, "labels", rows * sizeof *result->labels);
    if (request->want_distances &&
        !(result->distances = memory_new(values, sizeof *result->distances)))
        return no_memory(error, "distances", values);
    run->job->prepared_ns = clock_ns();
    return score_predict(run->worker->backend, run->device, &run->input, request->model,
                         request->non_finite, &run->turn, result->labels, result->distances, error);
}

static enum status run_evaluate(struct run *run, struct error *error)
{
    struct inertia_result *inertia = &run->job->result->inertia;
    const struct job_request *request = run->request;
    size_t clusters = (size_t)request->model->n_clusters;

    inertia->per_cluster = memory_new(clusters, sizeof *inertia->per_cluster);
    inertia->sizes = memory_new(clusters, sizeof *inertia->sizes);
    if (!inertia->per_cluster || !inertia->sizes)
        return no_memory(error, "inertia per cluster", clusters * 2 * sizeof(double));
    run->job->prepared_ns = clock_ns();
    return score_inertia(run->worker->backend, run->device, &run->input, request->model,
                         request->non_finite, &run->turn, inertia, error);
}

static enum status (*const RUN[])(struct run *, struct error *) = {
    [JOB_FIT] = run_fit, [JOB_PREDICT] = run_predict, [JOB_EVALUATE] = run_evaluate};

static enum status run_kind(struct run *run, struct error *error)
{
    struct job *job = run->job;
    enum status status;

    job->result = memory_zeroed(1, sizeof *job->result);
    if (!job->result)
        return no_memory(error, "a result", sizeof *job->result);
    TRY(source_open(&run->source, run->request, &run->turn, &run->start, error));
    run->input = (struct fit_input){.name = run->request->source_name,
                                    .matrix = &run->source.matrix,
                                    .sample_weight = run->source.weights};
    job->result->rows = run->source.matrix.rows;
    job->result->number = run->source.matrix.number;
    job->result->n_clusters = run->request->model ? run->request->model->n_clusters : 0;
    report_device(run);
    TRY(RUN[job->kind](run, error));
out:
    return status;
}

void run_job(struct worker *worker, struct job *job)
{
    struct run run = {.worker = worker,
                      .job = job,
                      .request = job->request,
                      .start = job->posted}; /* read by others, written by this thread alone */
    struct report *report = &job->report;

    run.turn = (struct turn){.fn = turn, .context = &run};
    device_take(&run);
    job->status =
        turn_take(worker, job, &run.start, &job->error); /* cancelled while it was handed over? */
    if (job->status == STATUS_OK)
        job->status = run_kind(&run, &job->error);
    source_close(&run.source);
    if (job->status != STATUS_OK) {
        job_result_free(job->result);
        job->result = NULL;
    }
    int64_t ended = clock_ns(), prepared = job->prepared_ns ? job->prepared_ns : ended;
    report->stage_ns[STAGE_PREPARE] = prepared - job->started_ns;
    report->stage_ns[STAGE_COMPUTE] = ended - prepared;
    job_request_free(&job->request); /* the pin of its dataset goes here */
}
