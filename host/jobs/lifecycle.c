/* lifecycle.c - a job from its end to forgotten, whatever the end is. The dispatcher's thread alone.
 *
 * job_release is the one place where a job's bytes go back. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "host/base/log.h"
#include "host/base/memory.h"
#include "host/jobs/live.h"

const char *const lane_names[] = {"", "fast", "job"};
const char *const kind_names[] = {"", "fit", "predict", "evaluate", "fit_batch"};
static const char *const STATE_LABELS[] = {"",       "queued",     "running",  "succeeded",
                                           "failed", "cancelling", "cancelled"};

static void rate_ended(struct dispatcher *dispatcher, enum lane lane)
{
    struct lane_rate *rate = &dispatcher->rate[lane];
    double since = (double)(dispatcher->now_ns - rate->ended_ns);

    if (rate->ended_ns != 0)
        rate->interval_ns += (since - rate->interval_ns) / (rate->interval_ns > 0 ? 16 : 1);
    rate->ended_ns = dispatcher->now_ns;
}

/* A view whose queue position is of now. */
void job_refresh(struct job *job)
{
    if (job->state == JOB_QUEUED && job->view->queue_position != queue_position(job))
        job_publish(job);
}

void job_answer(job_callback callback, void *context, struct job *job)
{
    job_refresh(job);
    job_view_pin(job->view);
    if (job_state_final(job->state))
        job->answered = true;
    callback(context, job->view, NULL);
}

void wait_end(struct wait *wait, struct job_view *view, const struct error *error)
{
    timer_clear(&wait->job->dispatcher->timers, &wait->timer);
    if (view)
        job_view_pin(view);
    wait->callback(wait->context, view, error);
    memory_free(wait);
}

void wait_attach(struct job *job, struct wait *wait)
{
    wait->job = job;
    wait->next = job->waits;
    job->waits = wait;
    job->dispatcher->wait_count++;
}

/* What running took goes back, and its seat. */
void job_unseat(struct job *job)
{
    struct dispatcher *dispatcher = job->dispatcher;

    ledger_give_back(dispatcher->ledger, &job->taken);
    if (!job->seated)
        return;
    job->seated = false;
    job->worker->busy = false;
    dispatcher->running--;
}

/* The one place where all of a job's bytes go back. */
static void job_release(struct dispatcher *dispatcher, struct job *job)
{
    job_unseat(job);
    ledger_return(dispatcher->ledger, job->held);
    if (job->lane == LANE_FAST) {
        dispatcher->fast_live--;
        dispatcher->fast_live_bytes -= job->fast_bytes;
    }
    job->held = 0;
    memory_free(job->saved);
    job->saved = NULL;
    dispatcher->live--;
}

static void stages_count(struct dispatcher *dispatcher, const struct job *job)
{
    static const char *const STAGES[REPORT_STAGES] = {
        [STAGE_PREPARE] = "prepare", [STAGE_COMPUTE] = "compute", [STAGE_STORE] = "store"};

    for (int s = 0; s < REPORT_STAGES; s++) {
        char labels[64];
        if (!STAGES[s] || job->report.stage_ns[s] == 0)
            continue;
        snprintf(labels, sizeof labels, "%s,%s", STAGES[s], kind_names[job->kind]);
        metric_observe(dispatcher->metrics, METRIC_stage_seconds, labels,
                       (double)job->report.stage_ns[s] * 1e-9);
    }
}

static void job_count(struct dispatcher *dispatcher, const struct job *job)
{
    const struct attempt *last = job->attempt;
    char labels[64];

    snprintf(labels, sizeof labels, "%s,%s", kind_names[job->kind], STATE_LABELS[job->state]);
    metric_add(dispatcher->metrics, METRIC_jobs_total, labels, 1);
    if (!last || !last->ended_ns)
        return;
    const char *backend = job->worker->backend->name, *kind = kind_names[job->kind];
    metric_observe(dispatcher->metrics, METRIC_job_duration_seconds, kind,
                   (double)(last->ended_ns - job->started_ns) * 1e-9);
    metric_observe(dispatcher->metrics, METRIC_queue_wait_seconds, lane_names[job->lane],
                   (double)job->report.stage_ns[STAGE_QUEUE] * 1e-9);
    snprintf(labels, sizeof labels, "%s,%s", kind, backend);
    metric_add(dispatcher->metrics, METRIC_rows_processed_total, labels,
               (double)last->rows_processed);
    metric_add(dispatcher->metrics, METRIC_job_iterations_total, backend, (double)last->iterations);
    stages_count(dispatcher, job);
}

/* Bytes that an ended job's view keeps. */
static int64_t result_bytes(const struct job_view *view)
{
    const struct job_result *result = view->result;
    int64_t bytes = (int64_t)(sizeof *view + sizeof(struct job));

    if (!result)
        return bytes;
    const struct kmeans_result *fit = &result->fit;
    bytes += (int64_t)sizeof *result + (fit->labels ? fit->rows * 4 : 0) +
             fit->n_clusters * (fit->columns + 1) * 8 + (fit->history ? fit->n_iter * 8 : 0);
    const struct batch_result *batch = &result->batch;
    if (batch->problems > 0)
        bytes += (batch->labels ? batch->rows * 4 : 0) +
                 batch->center[batch->problems] * (batch->columns + 1) * 8 +
                 batch->problems * (int64_t)(sizeof(struct fits_result) + 7 * 8 + 1);
    return bytes + (result->labels ? result->rows * 4 : 0) +
           (result->distances ? result->rows * result->n_clusters * 8 : 0) +
           (result->inertia.per_cluster ? result->n_clusters * 16 : 0);
}

static void unanswered(void *context, struct timer *timer)
{
    (void)context;
    job_forget((struct job *)((char *)timer - offsetof(struct job, timer)));
}

/* Keeps an ended job in view for its time, or lets it go: what was ephemeral goes with its answer. */
static void job_retain(struct dispatcher *dispatcher, struct job *job)
{
    job->kept = !job->ephemeral && (job->lane != LANE_FAST || job_kind_fits(job->kind)) &&
                job->kind != JOB_PREDICT;
    if (!job->kept && job->answered) {
        job_forget(job);
        return;
    }
    if (!job->kept) {
        job->timer.fire = unanswered;
        timer_set(&dispatcher->timers, &job->timer, dispatcher->now_ns + UNANSWERED_NS);
    }
    job->end_ns = dispatcher->now_ns;
    job->kept_bytes = result_bytes(job->view);
    job->ended_before = dispatcher->ended_last;
    if (dispatcher->ended_last)
        dispatcher->ended_last->ended_next = job;
    else
        dispatcher->ended = job;
    dispatcher->ended_last = job;
    dispatcher->ended_count++;
    dispatcher->ended_bytes += job->kept_bytes;
    job->in_ended = true;
    jobs_expire(dispatcher);
}

static void waits_end(struct dispatcher *dispatcher, struct job *job)
{
    while (job->waits) {
        struct wait *wait = job->waits;
        job->waits = wait->next;
        dispatcher->wait_count--;
        job->answered = true;
        wait_end(wait, job->view, NULL);
    }
}

/* The end, whatever it is. The journal cannot keep a job alive: what it refuses is logged. */
void job_end(struct dispatcher *dispatcher, struct job *job, enum job_state state,
             const struct error *why)
{
    struct error error;

    if (job_enter(job, state, why, &error) != STATUS_OK) {
        LOG(LOG_ERROR, "journal_refused", TEXT("job", job->name));
        struct journal journal = dispatcher->journal;
        dispatcher->journal = journal_none();
        job_enter(job, state == JOB_SUCCEEDED ? JOB_FAILED : state, &error, NULL);
        dispatcher->journal = journal;
    }
    timer_clear(&dispatcher->timers, &job->timer);
    queue_remove(dispatcher, job);
    job_count(dispatcher, job);
    rate_ended(dispatcher, job->lane);
    keeper_free(&dispatcher->keeper, &job->request); /* where its worker has not done so */
    job_release(dispatcher, job);
    waits_end(dispatcher, job);
    watches_tell(job);
    job_retain(dispatcher, job);
}

/* A fast job was taken by its worker without a word; its state says so now. */
static void job_ran(struct job *job)
{
    if (job->state == JOB_QUEUED)
        job_enter(job, JOB_RUNNING, NULL, NULL);
}

void job_stop(struct job *job, const struct error *why)
{
    struct dispatcher *dispatcher = job->dispatcher;

    if (job_state_final(job->state) || job->state == JOB_CANCELLING)
        return;
    bool waits = job->in_queue || (job->lane == LANE_FAST && job->state == JOB_QUEUED &&
                                   worker_withdraw(job->worker, job));
    if (waits) {
        job_end(dispatcher, job, JOB_CANCELLED, why);
        return;
    }
    int going = PHASE_GOING;
    if (!atomic_compare_exchange_strong(&job->phase, &going, PHASE_STOP))
        return; /* its model may be on disk already: it will succeed */
    job_ran(job);
    job->stop_error = *why;
    if (job_enter(job, JOB_CANCELLING, NULL, NULL) == STATUS_OK)
        watches_tell(job);
}

/* What an attempt left is the job's: its result and, but for the steps that led to it, its report. */
static void attempt_take(struct job *job)
{
    struct attempt *attempt = job->attempt;
    struct report report = attempt->report;

    report.fallbacks = job->report.fallbacks;
    memcpy(report.fallback, job->report.fallback, sizeof report.fallback);
    job->report = report;
    job->result = attempt->result;
    attempt->result = NULL;
    saved_hand_over(attempt);
}

void job_done(struct dispatcher *dispatcher, struct message *message)
{
    struct job *job = (struct job *)((char *)message - offsetof(struct job, done));
    struct attempt *attempt = job->attempt;

    job_ran(job);
    attempt_take(job);
    if (attempt->status == STATUS_DEVICE_LOST && job->worker->gpu)
        device_lost(job->worker, &attempt->refusal);
    if (job->state == JOB_CANCELLING)
        job_end(dispatcher, job, JOB_CANCELLED, &job->stop_error);
    else if (attempt->status == STATUS_OK)
        job_end(dispatcher, job, JOB_SUCCEEDED, NULL);
    else if (!job_moves_on(job))
        job_end(dispatcher, job, JOB_FAILED, &attempt->error);
}

void job_progressed(struct dispatcher *dispatcher, struct message *message)
{
    struct job *job = (struct job *)((char *)message - offsetof(struct job, progress));

    (void)dispatcher;
    if (job->state != JOB_RUNNING && job->state != JOB_CANCELLING)
        return; /* a fast job's, which nobody watches */
    job_publish(job);
    watches_tell(job);
}

/* Freed after the message under work, so that whoever handles it may still look. */
void job_trash(struct job *job)
{
    job->keep_next = job->dispatcher->trash;
    job->dispatcher->trash = job;
}

/* An ephemeral fit becomes an ordinary job: its call's end no longer ends it, and it is kept. */
void job_settle(struct job *job)
{
    if (!job->ephemeral)
        return;
    job->ephemeral = false;
    atomic_store(&job->deadline_ns, 0);
    timer_clear(&job->dispatcher->timers, &job->timer);
}

void job_forget(struct job *job)
{
    struct dispatcher *dispatcher = job->dispatcher;

    timer_clear(&dispatcher->timers, &job->timer);
    if (job->in_ended) {
        if (job->ended_before)
            job->ended_before->ended_next = job->ended_next;
        else
            dispatcher->ended = job->ended_next;
        if (job->ended_next)
            job->ended_next->ended_before = job->ended_before;
        else
            dispatcher->ended_last = job->ended_before;
        dispatcher->ended_count--;
        dispatcher->ended_bytes -= job->kept_bytes;
        job->in_ended = false;
    }
    registry_remove(dispatcher, job);
    job_trash(job);
}

/* The oldest go first: by age, by count, by the bytes that their results take. */
void jobs_expire(struct dispatcher *dispatcher)
{
    const struct limits *limits = &dispatcher->limits;
    int64_t kept_ns = limits->finished_job_s * INT64_C(1000000000);

    while (dispatcher->ended && (dispatcher->ended_count > limits->finished_jobs ||
                                 (dispatcher->ended_count > 1 &&
                                  dispatcher->ended_bytes > dispatcher->ended_bytes_most) ||
                                 dispatcher->now_ns - dispatcher->ended->end_ns >= kept_ns))
        job_forget(dispatcher->ended);
    if (dispatcher->ended)
        timer_set(&dispatcher->timers, &dispatcher->expiry, dispatcher->ended->end_ns + kept_ns);
}
