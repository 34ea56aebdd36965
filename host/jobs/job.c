/* job.c - a job's states and views; see job.h. */
#include "host/jobs/job.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "host/base/clock.h"
#include "host/base/memory.h"
#include "host/jobs/live.h"

/* Which state may follow which: the picture of job.h, a bit for each. */
#define TO(state) (1u << (state))
static const unsigned FOLLOWS[] = {
    [0] = TO(JOB_QUEUED),
    [JOB_QUEUED] = TO(JOB_RUNNING) | TO(JOB_CANCELLED) | TO(JOB_FAILED),
    [JOB_RUNNING] = TO(JOB_SUCCEEDED) | TO(JOB_FAILED) | TO(JOB_CANCELLING) | TO(JOB_QUEUED),
    [JOB_CANCELLING] = TO(JOB_CANCELLED),
    [JOB_SUCCEEDED] = 0,
    [JOB_FAILED] = 0,
    [JOB_CANCELLED] = 0,
};

const char *job_state_name(enum job_state state)
{
    static const char *const NAMES[] = {"UNSPECIFIED", "QUEUED",     "RUNNING",  "SUCCEEDED",
                                        "FAILED",      "CANCELLING", "CANCELLED"};

    return (unsigned)state < sizeof NAMES / sizeof NAMES[0] ? NAMES[state] : NAMES[0];
}

void job_request_pin(struct job_request *request)
{
    __atomic_fetch_add(&request->more_pins, 1, __ATOMIC_RELAXED);
}

void job_request_free(struct job_request **request)
{
    struct job_request *it = *request;
    union {
        const double *borrowed;
        void *ours;
    } init;

    *request = NULL;
    if (!it || __atomic_fetch_sub(&it->more_pins, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    init.borrowed = it->params.init_centers;
    table_unpin(&it->table);
    model_unpin(&it->model);
    for (int c = 0; c < it->column_count; c++)
        memory_free(it->column[c]);
    memory_free(it->column);
    memory_free(it->weight);
    memory_free(it->problem_row);
    memory_free(it->problem_clusters);
    memory_free(it->problem_random_state);
    memory_free(init.ours);
    memory_free(it);
}

void job_result_free(struct job_result *result)
{
    if (!result)
        return;
    kmeans_result_free(&result->fit);
    batch_result_free(&result->batch);
    memory_free(result->labels);
    memory_free(result->distances);
    memory_free(result->inertia.per_cluster);
    memory_free(result->inertia.sizes);
    memory_free(result);
}

void job_view_pin(struct job_view *view)
{
    __atomic_fetch_add(&view->pins, 1, __ATOMIC_RELAXED);
}

void job_view_unpin(struct job_view **view)
{
    struct job_view *it = *view;
    union {
        const struct job_result *borrowed;
        struct job_result *ours;
    } result;

    *view = NULL;
    if (!it || __atomic_sub_fetch(&it->pins, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    result.borrowed = it->result; /* it lives as long as the view */
    job_result_free(result.ours);
    memory_free(it);
}

/* The first view, QUEUED: what never changes is written here and copied from view to view. */
static void view_init(struct job *job)
{
    const struct job_request *request = job->request;
    struct job_view *view = job->view;

    view->pins = 1;
    view->kind = request->kind;
    view->queue_position = -1;
    job->posted = (struct fit_progress){.inertia = NAN,
                                        .shift = NAN,
                                        .moved = -1,
                                        .max_iter = request->params.max_iter,
                                        .n_init = request->params.n_init};
    job->posted_rows_per_second = job->posted_seconds_left = NAN;
    view->created_wall_ns = clock_wall_ns();
    view->tag_count = request->tag_count;
    memcpy(view->tags, request->tags, sizeof view->tags);
    memcpy(view->dataset, request->dataset, sizeof view->dataset);
    view->params = request->params;
    view->params.init_centers = NULL;
}

void attempt_clear(struct attempt *attempt)
{
    if (attempt->given_up)
        job_request_free(&attempt->request);
    job_result_free(attempt->result);
    model_unpin(&attempt->model);
    memory_free(attempt->resume);
    memory_free(attempt->fresh);
    *attempt = (struct attempt){.job = NULL};
}

void attempt_free(struct attempt *attempt)
{
    if (attempt)
        attempt_clear(attempt);
    memory_free(attempt);
}

void saved_hand_over(struct attempt *attempt)
{
    struct job *job = attempt->job;

    if (!attempt->fresh)
        return;
    memory_free(job->saved);
    job->saved = attempt->fresh;
    job->saved_bytes = attempt->fresh_bytes;
    attempt->fresh = NULL;
}

struct job *job_new(struct dispatcher *dispatcher, struct job_request *request,
                    job_callback accepted, job_callback finished, void *context)
{
    struct job *job = memory_zeroed(1, sizeof *job);
    struct wait *finish = finished ? memory_zeroed(1, sizeof *finish) : NULL;
    struct job_view *view = memory_zeroed(1, sizeof *view);
    struct job_view *spare = memory_new(1, sizeof *spare);
    struct attempt *attempt = memory_zeroed(1, sizeof *attempt);

    if (!job || !view || !spare || !attempt || (finished && !finish)) {
        memory_free(job);
        memory_free(attempt);
        memory_free(finish);
        memory_free(view);
        memory_free(spare);
        job_request_free(&request);
        return NULL;
    }
    if (finish)
        *finish = (struct wait){.job = job, .callback = finished, .context = context};
    job->dispatcher = dispatcher;
    job->request = request;
    job->kind = request->kind;
    job->accepted = accepted;
    job->context = context;
    job->finish = finish;
    job->attempt = attempt;
    job->view = view;
    job->spare = spare;
    job->deadline_ns = request->deadline_ns;
    job->max_runtime_ms = request->max_runtime_ms;
    job->ephemeral = request->ephemeral;
    memcpy(job->principal, request->principal, sizeof job->principal);
    memcpy(job->request_id, request->request_id, sizeof job->request_id);
    memcpy(job->body_hash, request->body_hash, sizeof job->body_hash);
    view_init(job);
    return job;
}

void job_free(struct job *job)
{
    assert(!job->waits && !job->watches && !job->timer.set);
    job_request_free(&job->request);
    job_result_free(job->result);
    attempt_free(job->attempt);
    memory_free(job->saved);
    job_view_unpin(&job->view);
    memory_free(job->spare);
    memory_free(job->finish);
    memory_free(job);
}

/* What of the job has changed since the last view. While it runs, an attempt has a report of its own. */
static void view_fill(struct job *job, struct job_view *view)
{
    bool final = job_state_final(job->state);

    view->pins = 1;
    memcpy(view->name, job->name, sizeof view->name);
    view->state = job->state;
    pthread_mutex_lock(&job->dispatcher->messages.lock);
    view->progress = job->posted;
    view->rows_per_second = job->posted_rows_per_second;
    view->seconds_left = job->posted_seconds_left;
    pthread_mutex_unlock(&job->dispatcher->messages.lock);
    view->sequence++;
    view->queue_position = queue_position(job);
    view->report = job->report;
    view->report.bytes_reserved = job->held + job->taken.bytes + job->taken.device_bytes;
    if (job->state == JOB_RUNNING && view->started_wall_ns == 0)
        view->started_wall_ns = job->started_wall_ns ? job->started_wall_ns : clock_wall_ns();
    if (!final)
        return;
    view->ended_wall_ns = clock_wall_ns();
    if (job->state == JOB_SUCCEEDED) {
        view->progress.fraction = 1;
        view->progress.stage = FIT_DONE;
        view->seconds_left = 0;
        view->result = job->result;
        job->result = NULL;
    }
}

static void view_replace(struct job *job, struct job_view *view)
{
    *view = *job->view;
    view_fill(job, view);
    job_view_unpin(&job->view);
    job->view = view;
}

void job_publish(struct job *job)
{
    struct job_view *view = memory_new(1, sizeof *view);

    if (view)
        view_replace(job, view);
}

/* The first view (it has no sequence) is nobody else's yet, the last takes the spare: both ends of a job need no memory.
 * A state between them does without a view of its own when there is none. */
static void view_enter(struct job *job, const struct error *why)
{
    struct job_view *view = NULL;

    if (job->view->sequence == 0) {
        view_fill(job, job->view);
        return;
    }
    view = memory_new(1, sizeof *view);
    if (!view && job_state_final(job->state)) {
        view = job->spare;
        job->spare = NULL;
    }
    if (!view)
        return;
    view_replace(job, view);
    if (why)
        view->error = *why;
}

enum status job_enter(struct job *job, enum job_state state, const struct error *why,
                      struct error *error)
{
    const struct journal *journal = &job->dispatcher->journal;
    struct journal_entry entry = {.job = job->name,
                                  .kind = job->kind,
                                  .from = job->state,
                                  .to = state,
                                  .sequence = job->view->sequence + 1};
    enum status status = STATUS_OK;

    assert(FOLLOWS[job->state] & TO(state));
    if (!job->ephemeral && job->lane != LANE_FAST)
        status = journal->enter(journal->context, &entry, error);
    if (status != STATUS_OK)
        return status;
    job->state = state;
    view_enter(job, why);
    return STATUS_OK;
}
