/* worker.c - one thread owns one device and makes every call on it.
 *
 * Two inboxes: one seat of the job lane, and the fast lane. While a job runs, its turns (after every
 * tile of at most 15 ms) look at cancel and deadlines, tell how far it is, and serve the fast lane:
 * what tiles took is credit that fast requests spend, so they get up to half of the device's time and
 * wait for one tile and each other. */
#include <math.h>

#include "host/base/clock.h"
#include "host/jobs/live.h"

/* Credit not spent is not saved up for long: a burst may not hold a job up for more than this. */
enum { CREDIT_MOST_NS = 50000000 };

bool worker_withdraw(struct worker *worker, struct job *job)
{
    bool found = false;

    pthread_mutex_lock(&worker->lock);
    for (struct job **link = &worker->fast; *link && !found; link = &(*link)->fast_next)
        if (*link == job) {
            *link = job->fast_next;
            if (!*link)
                worker->fast_last = link;
            found = true;
            break;
        }
    pthread_mutex_unlock(&worker->lock);
    if (found)
        atomic_fetch_sub(&worker->fast_count, 1);
    return found;
}

void worker_give(struct worker *worker, struct job *job)
{
    bool fast = job->lane == LANE_FAST;

    if (fast)
        atomic_fetch_add(&worker->fast_count, 1);
    pthread_mutex_lock(&worker->lock);
    if (fast) {
        job->fast_next = NULL;
        *worker->fast_last = job;
        worker->fast_last = &job->fast_next;
    } else {
        worker->slow = job;
    }
    pthread_cond_signal(&worker->wake);
    pthread_mutex_unlock(&worker->lock);
}

static struct job *fast_take(struct worker *worker)
{
    pthread_mutex_lock(&worker->lock);
    struct job *job = worker->fast;
    if (job) {
        worker->fast = job->fast_next;
        if (!worker->fast)
            worker->fast_last = &worker->fast;
    }
    pthread_mutex_unlock(&worker->lock);
    if (job)
        atomic_fetch_sub(&worker->fast_count, 1);
    return job;
}

/* Runs it and hands it on: to the keeper with a model, else back to the dispatcher. */
static void job_run(struct worker *worker, struct job *job)
{
    struct dispatcher *dispatcher = worker->dispatcher;

    job->started_ns = clock_ns();
    job->started_wall_ns = clock_wall_ns();
    job->report.stage_ns[STAGE_QUEUE] = job->started_ns - job->queued_ns;
    run_job(worker, job);
    job->ended_ns = clock_ns();
    if (!worker->nested)
        atomic_fetch_add(&worker->busy_ns, job->ended_ns - job->started_ns);
    if (job->model)
        keeper_store(&dispatcher->keeper, job);
    else
        message_push(&dispatcher->messages, &job->done);
}

/* Between two tiles: as many fast requests as the last tiles have earned. */
static void fast_serve(struct worker *worker)
{
    int64_t begun = clock_ns();

    worker->credit_ns += begun - worker->tile_ns;
    if (worker->credit_ns > CREDIT_MOST_NS)
        worker->credit_ns = CREDIT_MOST_NS;
    worker->nested = 1;
    while (worker->credit_ns > 0 && atomic_load(&worker->fast_count) > 0) {
        struct job *job = fast_take(worker);
        if (job)
            job_run(worker, job);
        int64_t ended = clock_ns();
        worker->credit_ns -= ended - begun;
        begun = ended;
    }
    worker->nested = 0;
    worker->tile_ns = begun;
}

static void progress_post(struct job *job, const struct fit_progress *progress, int64_t now_ns)
{
    struct messages *messages = &job->dispatcher->messages;
    double elapsed = (double)(now_ns - job->prepared_ns) * 1e-9;

    pthread_mutex_lock(&messages->lock);
    job->posted = *progress;
    job->posted_rows_per_second = elapsed > 0 ? (double)job->rows_processed / elapsed : NAN;
    job->posted_seconds_left =
        progress->fraction > 0 ? elapsed * (1 - progress->fraction) / progress->fraction : NAN;
    pthread_mutex_unlock(&messages->lock);
}

/* Rows since the last turn. A turn follows each tile, so a number that did not grow is of a new pass. */
static void rows_count(struct job *job, const struct fit_progress *progress)
{
    int64_t before = progress->rows_done > job->rows_done ? job->rows_done : 0;

    job->rows_processed += progress->rows_done - before;
    job->rows_done = progress->rows_done;
}

static enum status turn_check(struct job *job, int64_t now_ns, struct error *error)
{
    int64_t deadline_ns = atomic_load(&job->deadline_ns);
    int64_t runtime_ns = job->max_runtime_ms * 1000000;

    if (atomic_load(&job->phase) == PHASE_STOP)
        return FAIL(error, CANCELLED, TEXT("why", "asked for")); /* the dispatcher knows by whom */
    if (deadline_ns && now_ns >= deadline_ns)
        return FAIL(error, DEADLINE, INT("ms", (deadline_ns - job->queued_ns) / 1000000));
    if (runtime_ns && now_ns - job->started_ns >= runtime_ns)
        return FAIL(error, RUNTIME_EXCEEDED, TEXT("name", job->name),
                    INT("ms", job->max_runtime_ms));
    return STATUS_OK;
}

enum status turn_take(struct worker *worker, struct job *job, const struct fit_progress *progress,
                      struct error *error)
{
    int64_t now_ns = clock_ns();
    enum status status = turn_check(job, now_ns, error);

    rows_count(job, progress);
    if (status != STATUS_OK)
        return status;
    if (now_ns - job->progress_ns >= PROGRESS_NS || progress->stage == FIT_DONE) {
        progress_post(job, progress, now_ns);
        if (job->lane == LANE_JOB && progress->stage != FIT_DONE)
            message_push(&job->dispatcher->messages, &job->progress);
        job->progress_ns = now_ns;
    }
    if (job->lane == LANE_JOB)
        fast_serve(worker);
    return STATUS_OK;
}

/* The next job of either inbox; the job lane first, since the fast one is served within. False: stop. */
static bool next_job(struct worker *worker, struct job **out)
{
    struct job *job;

    pthread_mutex_lock(&worker->lock);
    while (!worker->stop && !worker->slow && !worker->fast)
        pthread_cond_wait(&worker->wake, &worker->lock);
    job = worker->slow;
    worker->slow = NULL;
    bool stop = !job && !worker->fast;
    pthread_mutex_unlock(&worker->lock);
    *out = job ? job : fast_take(worker);
    return !stop;
}

static void open_device(struct worker *worker)
{
    struct device_options options = {.threads = worker->threads, .isa = worker->isa};
    struct refusal why_not = {0};
    struct error error = {0};
    enum status status = worker->backend->open(worker->index, &options, &worker->device, &why_not);

    if (status == STATUS_OK) {
        worker->backend->describe(worker->device, &worker->info);
    } else {
        const struct field why[] = {TEXT("backend", worker->backend->name),
                                    TEXT("why", why_not.text)};
        error_set(&error, STATUS_NO_DEVICE, why, 2);
    }
    pthread_mutex_lock(&worker->lock);
    worker->open_status = status;
    worker->open_error = error;
    worker->opened = true;
    pthread_cond_broadcast(&worker->wake);
    pthread_mutex_unlock(&worker->lock);
}

static void *worker_main(void *opaque)
{
    struct worker *worker = opaque;
    struct job *job;

    open_device(worker);
    while (next_job(worker, &job)) {
        if (!job)
            continue; /* it was withdrawn in between */
        worker->credit_ns = 0;
        worker->tile_ns = clock_ns();
        job_run(worker, job);
    }
    worker->backend->close(&worker->other);
    worker->backend->close(&worker->device);
    return NULL;
}

enum status worker_start(struct worker *worker, struct error *error)
{
    pthread_mutex_init(&worker->lock, NULL);
    pthread_cond_init(&worker->wake, NULL);
    worker->fast_last = &worker->fast;
    if (pthread_create(&worker->thread, NULL, worker_main, worker) != 0) {
        pthread_cond_destroy(&worker->wake);
        pthread_mutex_destroy(&worker->lock);
        return FAIL(error, OUT_OF_MEMORY, TEXT("what", "a worker's thread"), INT("needed", 0),
                    INT("retry_ms", RETRY_MS));
    }
    pthread_mutex_lock(&worker->lock);
    while (!worker->opened)
        pthread_cond_wait(&worker->wake, &worker->lock);
    enum status status = worker->open_status;
    if (status != STATUS_OK && error)
        *error = worker->open_error;
    pthread_mutex_unlock(&worker->lock);
    if (status != STATUS_OK)
        worker_stop(worker);
    return status;
}

void worker_stop(struct worker *worker)
{
    pthread_mutex_lock(&worker->lock);
    worker->stop = true;
    pthread_cond_broadcast(&worker->wake);
    pthread_mutex_unlock(&worker->lock);
    pthread_join(worker->thread, NULL);
    pthread_cond_destroy(&worker->wake);
    pthread_mutex_destroy(&worker->lock);
}
