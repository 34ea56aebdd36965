/* worker.c - one thread owns one device and makes every call on it.
 *
 * Two inboxes: one seat of the job lane, and the fast lane. While a job runs, its turns (after every
 * tile of at most 15 ms) look at cancel and deadlines, tell how far it is, and serve the fast lane:
 * what tiles took is credit that fast requests spend, so they get up to half of the device's time and
 * wait for one tile and each other.
 *
 * A call to a GPU may never return. So the thread says when it goes in and when it is back (the pulse),
 * and one that was given up meanwhile finds that out on its way back: it cleans up what is its own and
 * ends, without a look at anything that others have. */
#include <math.h>
#include <string.h>
#include <time.h>

#include "host/base/clock.h"
#include "host/base/memory.h"
#include "host/jobs/live.h"

/* From here on the thread is inside a call to its device. */
static void pulse_start(struct worker *worker, int64_t quiet_ns)
{
    atomic_store(&worker->quiet_ns, quiet_ns);
    atomic_store(&worker->pulse, clock_ns());
}

/* Back with us. False: it was given up. */
static bool pulse_stop(struct worker *worker)
{
    int64_t mine = atomic_load(&worker->pulse);

    return mine != PULSE_GIVEN_UP && atomic_compare_exchange_strong(&worker->pulse, &mine, 0);
}

bool worker_give_up(struct worker *worker, int64_t pulse)
{
    return pulse > 0 && atomic_compare_exchange_strong(&worker->pulse, &pulse, PULSE_GIVEN_UP);
}

void worker_unhold(struct worker *worker)
{
    if (atomic_fetch_sub(&worker->holders, 1) > 1)
        return;
    pthread_cond_destroy(&worker->wake);
    pthread_mutex_destroy(&worker->lock);
    memory_free(worker);
}

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

struct job *worker_withdraw_slow(struct worker *worker)
{
    pthread_mutex_lock(&worker->lock);
    struct job *job = worker->slow;
    worker->slow = NULL;
    pthread_mutex_unlock(&worker->lock);
    return job;
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

static struct job *fast_take_one(struct worker *worker)
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

/* Whether the job may go on elsewhere after this: then its request is still needed. */
static bool may_move_on(const struct worker *worker, enum status status)
{
    return worker->gpu && (status == STATUS_DEVICE_LOST || status == STATUS_OUT_OF_MEMORY);
}

static void attempt_begin(struct worker *worker, struct job *job)
{
    struct attempt *attempt = job->attempt;

    attempt->started_ns = clock_ns();
    attempt->started_wall_ns = clock_wall_ns();
    if (attempt->report.stage_ns[STAGE_QUEUE] == 0) /* of the first attempt */
        attempt->report.stage_ns[STAGE_QUEUE] = attempt->started_ns - job->queued_ns;
    attempt->start = job->posted; /* read by others, written by this thread alone */
    if (job->saved && (attempt->resume = memory_new(job->saved_bytes, 1)) != NULL) {
        memcpy(attempt->resume, job->saved, job->saved_bytes);
        attempt->resume_bytes = job->saved_bytes;
    }
    worker->running[worker->nested] = attempt;
}

/* What a thread that was given up gives back. Once the dispatcher is gone, catalog and ledger are gone too, or
 * soon: then a request that reads a dataset, which is theirs, stays for the process's end. The one place
 * where others' locks are taken under a worker's: worker_stop must wait for it. */
static void attempt_abandon(struct worker *worker, struct attempt *attempt)
{
    pthread_mutex_lock(&worker->lock);
    if (worker->stop && attempt->request->dataset[0])
        attempt->given_up = false; /* no longer its request to give back */
    attempt_free(attempt);
    pthread_mutex_unlock(&worker->lock);
}

/* Runs it and hands it on: to the keeper with a model, else back to the dispatcher. False: the thread
 * was given up meanwhile, and nothing but the attempt is its own. */
static bool job_run(struct worker *worker, struct job *job)
{
    struct dispatcher *dispatcher = worker->dispatcher;
    struct attempt *attempt = job->attempt;

    attempt_begin(worker, job);
    pulse_start(worker, attempt->quiet_ns);
    run_attempt(worker, attempt);
    if (!pulse_stop(worker)) {
        attempt_abandon(worker, attempt);
        return false;
    }
    worker->running[worker->nested] = NULL;
    worker->lost |= attempt->status == STATUS_DEVICE_LOST;
    attempt->ended_ns = clock_ns();
    if (!worker->nested)
        atomic_fetch_add(&worker->busy_ns, attempt->ended_ns - attempt->started_ns);
    if (!may_move_on(worker, attempt->status))
        job_request_free(&job->request); /* the pin of its dataset goes here */
    if (attempt->model)
        keeper_store(&dispatcher->keeper, job);
    else
        message_push(&dispatcher->messages, &job->done);
    return true;
}

/* Between two tiles: as many fast requests as the last tiles have earned. False: given up. */
static bool fast_serve(struct worker *worker)
{
    int64_t begun = clock_ns();
    bool ours = true;

    worker->credit_ns += begun - worker->tile_ns;
    if (worker->credit_ns > CREDIT_MOST_NS)
        worker->credit_ns = CREDIT_MOST_NS;
    worker->nested = 1;
    while (ours && worker->credit_ns > 0 && atomic_load(&worker->fast_count) > 0) {
        struct job *job = fast_take_one(worker);
        if (job)
            ours = job_run(worker, job);
        int64_t ended = clock_ns();
        worker->credit_ns -= ended - begun;
        begun = ended;
    }
    worker->nested = 0;
    worker->tile_ns = begun;
    return ours;
}

static void progress_post(struct attempt *attempt, const struct fit_progress *progress,
                          int64_t now_ns)
{
    struct job *job = attempt->job;
    struct messages *messages = &job->dispatcher->messages;
    double elapsed = (double)(now_ns - attempt->prepared_ns) * 1e-9;

    pthread_mutex_lock(&messages->lock);
    job->posted = *progress;
    job->posted_rows_per_second = elapsed > 0 ? (double)attempt->rows_processed / elapsed : NAN;
    job->posted_seconds_left =
        progress->fraction > 0 ? elapsed * (1 - progress->fraction) / progress->fraction : NAN;
    pthread_mutex_unlock(&messages->lock);
}

/* Rows since the last turn. A turn follows each tile, so a number that did not grow is of a new pass. */
static void rows_count(struct attempt *attempt, const struct fit_progress *progress)
{
    int64_t before = progress->rows_done > attempt->rows_done ? attempt->rows_done : 0;

    attempt->rows_processed += progress->rows_done - before;
    attempt->rows_done = progress->rows_done;
}

static enum status turn_check(const struct worker *worker, struct job *job, int64_t now_ns,
                              struct error *error)
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
    if (worker->lost)
        return FAIL(error, DEVICE_LOST, TEXT("device", worker->backend->name),
                    TEXT("why", "another job met the failure"), INT("retry_ms", RETRY_MS));
    return STATUS_OK;
}

/* False: the thread was given up while it served others. */
static bool turn_serve(struct worker *worker, struct attempt *attempt,
                       const struct fit_progress *progress, int64_t now_ns)
{
    struct job *job = attempt->job;

    saved_hand_over(attempt);
    if (now_ns - attempt->progress_ns >= PROGRESS_NS || progress->stage == FIT_DONE) {
        progress_post(attempt, progress, now_ns);
        if (job->lane == LANE_JOB && progress->stage != FIT_DONE)
            message_push(&job->dispatcher->messages, &job->progress);
        attempt->progress_ns = now_ns;
    }
    return job->lane != LANE_JOB || fast_serve(worker);
}

static enum status turn_lost(const struct worker *worker, struct error *error)
{
    return FAIL(error, DEVICE_LOST, TEXT("device", worker->backend->name),
                TEXT("why", "its thread was given up"), INT("retry_ms", RETRY_MS));
}

enum status turn_take(struct worker *worker, struct attempt *attempt,
                      const struct fit_progress *progress, struct error *error)
{
    int64_t now_ns = clock_ns();

    rows_count(attempt, progress);
    if (!pulse_stop(worker))
        return turn_lost(worker, error);
    enum status status = turn_check(worker, attempt->job, now_ns, error);
    if (status == STATUS_OK && !turn_serve(worker, attempt, progress, now_ns))
        return turn_lost(worker, error);
    pulse_start(worker, attempt->quiet_ns);
    return status;
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
    *out = job ? job : fast_take_one(worker);
    return !stop;
}

static struct opening device_try(struct worker *worker)
{
    struct device_options options = {.threads = worker->threads, .isa = worker->isa};
    struct device_info info[DEVICES_MAX];
    struct opening opening = {.status = STATUS_NO_DEVICE};

    opening.found = worker->backend->devices(info, DEVICES_MAX, &opening.why);
    if (opening.found > worker->index)
        opening.status =
            worker->backend->open(worker->index, &options, &worker->device, &opening.why);
    if (opening.status == STATUS_OK)
        worker->backend->describe(worker->device, &worker->info);
    else if (opening.why.text[0] == '\0')
        opening.why = (struct refusal){.reason = REASON_NO_DEVICE, .text = "it is not there"};
    return opening;
}

/* To who waits for it, else to the dispatcher. */
static void opening_say(struct worker *worker, const struct opening *opening)
{
    pthread_mutex_lock(&worker->lock);
    bool awaited = worker->awaited;
    worker->opening = *opening;
    worker->opened = true;
    pthread_cond_broadcast(&worker->wake);
    pthread_mutex_unlock(&worker->lock);
    if (!awaited)
        message_push(&worker->dispatcher->messages, &worker->open_done);
}

struct opening worker_opening(struct worker *worker)
{
    pthread_mutex_lock(&worker->lock);
    struct opening opening = worker->opening;
    pthread_mutex_unlock(&worker->lock);
    return opening;
}

/* False: it is time to stop. */
static bool pause_for(struct worker *worker, int64_t ns)
{
    int64_t until_ns = clock_ns() + ns;
    struct timespec until = {.tv_sec = until_ns / 1000000000, .tv_nsec = until_ns % 1000000000};

    pthread_mutex_lock(&worker->lock);
    while (!worker->stop && clock_ns() < until_ns)
        pthread_cond_timedwait(&worker->wake, &worker->lock, &until);
    bool stop = worker->stop;
    pthread_mutex_unlock(&worker->lock);
    return !stop;
}

/* A device that another process holds for itself is tried again and again. */
static bool device_open(struct worker *worker)
{
    for (;;) {
        struct opening opening = device_try(worker);
        opening_say(worker, &opening);
        if (opening.status == STATUS_OK)
            return true;
        if (opening.why.reason != REASON_DEVICE_BUSY || !pause_for(worker, worker->retry_ns))
            return false;
    }
}

static void *worker_main(void *opaque)
{
    struct worker *worker = opaque;
    struct job *job;
    bool ours = device_open(worker);

    while (ours && next_job(worker, &job)) {
        if (!job)
            continue; /* it was withdrawn in between */
        worker->credit_ns = 0;
        worker->tile_ns = clock_ns();
        ours = job_run(worker, job);
    }
    worker->backend->close(&worker->other);
    worker->backend->close(&worker->device);
    pthread_mutex_lock(&worker->lock);
    worker->exited = true;
    pthread_cond_broadcast(&worker->wake);
    pthread_mutex_unlock(&worker->lock);
    worker_unhold(worker);
    return NULL;
}

static void wake_init(struct worker *worker)
{
    pthread_condattr_t monotonic;

    pthread_mutex_init(&worker->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC); /* the clock of clock_ns */
    pthread_cond_init(&worker->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

enum status worker_start(struct worker *worker, struct error *error)
{
    wake_init(worker);
    worker->fast_last = &worker->fast;
    worker->awaited = true;
    worker->open_done.handle = handle_open_done;
    atomic_store(&worker->holders, 2);
    if (pthread_create(&worker->thread, NULL, worker_main, worker) == 0)
        return STATUS_OK;
    worker_unhold(worker);
    worker_unhold(worker);
    return FAIL(error, OUT_OF_MEMORY, TEXT("what", "a worker's thread"), INT("needed", 0),
                INT("retry_ms", RETRY_MS));
}

/* Until *flag, or until then. */
static bool wait_for(struct worker *worker, const bool *flag, int64_t until_ns)
{
    struct timespec until = {.tv_sec = until_ns / 1000000000, .tv_nsec = until_ns % 1000000000};

    while (!*flag && clock_ns() < until_ns)
        pthread_cond_timedwait(&worker->wake, &worker->lock, &until);
    return *flag;
}

bool worker_await(struct worker *worker, int64_t until_ns)
{
    pthread_mutex_lock(&worker->lock);
    bool opened = wait_for(worker, &worker->opened, until_ns);
    worker->awaited = false;
    pthread_mutex_unlock(&worker->lock);
    return opened;
}

bool worker_stop(struct worker *worker, int64_t patience_ns)
{
    bool ended = false;

    pthread_mutex_lock(&worker->lock);
    worker->stop = true;
    pthread_cond_broadcast(&worker->wake);
    if (atomic_load(&worker->pulse) != PULSE_GIVEN_UP)
        ended = !worker->gpu || wait_for(worker, &worker->exited, clock_ns() + patience_ns);
    pthread_mutex_unlock(&worker->lock);
    if (ended)
        pthread_join(worker->thread, NULL);
    else
        pthread_detach(worker->thread);
    worker_unhold(worker);
    return ended;
}
