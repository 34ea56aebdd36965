/* dispatcher.c - the thread that owns the jobs: its loop, its start and its end; see dispatcher.h. */
#include "host/jobs/dispatcher.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "host/base/clock.h"
#include "host/base/log.h"
#include "host/base/memory.h"
#include "host/jobs/live.h"

/* Results of ended jobs may take a sixteenth of the budget; the fast lane an eighth at most. */
enum { ENDED_SHARE = 16, FAST_SHARE = 8 };
static const int64_t STOP_LOST_NS = 500000000;
static const int64_t TICK_NS = 1000000000; /* without work it still turns, for /livez */

void dispatcher_fast_bytes(struct dispatcher *dispatcher)
{
    int64_t most = ledger_budget(dispatcher->ledger) / FAST_SHARE;

    if (most > dispatcher->limits.fast_bytes)
        most = dispatcher->limits.fast_bytes;
    atomic_store(&dispatcher->fast_bytes_most, most);
}

/* What others may see, copied once a turn. */
static void view_update(struct dispatcher *dispatcher)
{
    struct dispatcher_view *view = &dispatcher->view;

    pthread_mutex_lock(&dispatcher->view_lock);
    view->queued_fast = dispatcher->fast_live;
    view->queued_fast_bytes = dispatcher->fast_live_bytes;
    view->queued_jobs = dispatcher->queued;
    view->running_jobs = dispatcher->running;
    view->tick_ns = dispatcher->now_ns;
    view->draining = dispatcher->draining;
    dispatcher->oldest_ns = dispatcher->queue ? dispatcher->queue->queued_ns : 0;
    dispatcher->is_drained = dispatcher->draining && dispatcher->live == 0;
    if (dispatcher->is_drained)
        pthread_cond_broadcast(&dispatcher->drained);
    pthread_mutex_unlock(&dispatcher->view_lock);
}

static void trash_flush(struct dispatcher *dispatcher)
{
    while (dispatcher->trash) {
        struct job *job = dispatcher->trash;
        dispatcher->trash = job->keep_next;
        keeper_trash(&dispatcher->keeper, job);
    }
}

static void timers_fire(struct dispatcher *dispatcher)
{
    struct timer *timer;

    while ((timer = timer_due(&dispatcher->timers, dispatcher->now_ns)) != NULL)
        timer->fire(dispatcher, timer);
}

static int64_t next_turn_ns(const struct dispatcher *dispatcher)
{
    int64_t tick = dispatcher->now_ns + TICK_NS, timer = timers_next(&dispatcher->timers);

    return timer < tick ? timer : tick;
}

static void *dispatcher_main(void *opaque)
{
    struct dispatcher *dispatcher = opaque;

    dispatcher->now_ns = clock_ns();
    while (!dispatcher->stopping) {
        struct message *message = message_take(&dispatcher->messages, next_turn_ns(dispatcher));
        dispatcher->now_ns = clock_ns();
        if (message)
            message->handle(dispatcher, message);
        timers_fire(dispatcher);
        schedule(dispatcher);
        view_update(dispatcher);
        trash_flush(dispatcher);
    }
    watches_end(dispatcher);
    return NULL;
}

static void handle_recheck(void *context, struct timer *timer)
{
    (void)context; /* schedule follows every turn */
    (void)timer;
}

static void handle_expiry(void *context, struct timer *timer)
{
    (void)timer;
    jobs_expire(context);
}

/* The time that draining left is over: what lives ends as CANCELLED, with DRAINING as the reason. */
static void handle_drain_end(void *context, struct timer *timer)
{
    struct dispatcher *dispatcher = context;
    struct error error;

    (void)timer;
    dispatcher->drain_over = true;
    FAIL(&error, DRAINING, INT("retry_ms", RETRY_MS));
    for (struct job *job = dispatcher->all, *next; job; job = next) {
        next = job->all_next;
        job_stop(job, &error);
    }
}

/* Lies on the stack of dispatcher_drain, which waits until it was taken. */
struct order {
    struct message message;
    int64_t deadline_ns;
    bool taken; /* view_lock */
};

static void handle_drain(struct dispatcher *dispatcher, struct message *message)
{
    struct order *order = (struct order *)message;
    int64_t deadline_ns = order->deadline_ns;

    if (!dispatcher->drain.set || deadline_ns < dispatcher->drain.at_ns)
        timer_set(&dispatcher->timers, &dispatcher->drain, deadline_ns);
    dispatcher->draining = true;
    pthread_mutex_lock(&dispatcher->view_lock);
    order->taken = true; /* view_update, in the same turn, wakes who waits */
    pthread_mutex_unlock(&dispatcher->view_lock);
}

static void handle_stop(struct dispatcher *dispatcher, struct message *message)
{
    (void)message;
    dispatcher->stopping = true;
}

void dispatcher_drain(struct dispatcher *dispatcher, int64_t deadline_ns)
{
    struct order order = {.message = {.handle = handle_drain}, .deadline_ns = deadline_ns};

    message_push(&dispatcher->messages, &order.message);
    pthread_mutex_lock(&dispatcher->view_lock);
    while (!dispatcher->is_drained || !order.taken)
        pthread_cond_wait(&dispatcher->drained, &dispatcher->view_lock);
    pthread_mutex_unlock(&dispatcher->view_lock);
}

void dispatcher_view(struct dispatcher *dispatcher, struct dispatcher_view *out)
{
    pthread_mutex_lock(&dispatcher->view_lock);
    *out = dispatcher->view;
    out->oldest_queued_ns = dispatcher->oldest_ns ? clock_ns() - dispatcher->oldest_ns : 0;
    pthread_mutex_unlock(&dispatcher->view_lock);
    for (int d = 0; d < dispatcher->workers; d++) {
        out->device[d].busy_seconds = (double)atomic_load(&dispatcher->worker[d]->busy_ns) * 1e-9;
        ledger_device(dispatcher->ledger, d, &out->device[d].bytes);
    }
}

static struct dispatcher *dispatcher_new(const struct dispatcher_options *options)
{
    struct dispatcher *dispatcher = memory_zeroed(1, sizeof *dispatcher);

    if (!dispatcher)
        return NULL;
    dispatcher->by_number = memory_zeroed(BUCKETS, sizeof *dispatcher->by_number);
    dispatcher->by_id = memory_zeroed(BUCKETS, sizeof *dispatcher->by_id);
    dispatcher->limits = *options->limits;
    dispatcher->ledger = options->ledger;
    dispatcher->catalog = options->catalog;
    dispatcher->metrics = options->metrics;
    dispatcher->journal = journal_none();
    dispatcher->recheck.fire = handle_recheck;
    dispatcher->expiry.fire = handle_expiry;
    dispatcher->drain.fire = handle_drain_end;
    dispatcher->pulse.fire = handle_pulse;
    dispatcher->devices_changed = options->devices_changed;
    dispatcher->devices_context = options->devices_context;
    dispatcher->ended_bytes_most = ledger_budget(options->ledger) / ENDED_SHARE;
    dispatcher_fast_bytes(dispatcher);
    snprintf(dispatcher->prefix, sizeof dispatcher->prefix, "%011llx",
             (unsigned long long)(clock_wall_ns() / 1000000));
    messages_init(&dispatcher->messages);
    pthread_mutex_init(&dispatcher->view_lock, NULL);
    pthread_cond_init(&dispatcher->drained, NULL);
    return dispatcher;
}

/* How long a GPU may take to close. One that has failed is not waited for: it has a moment to say so. */
static int64_t stop_patience(const struct worker *worker)
{
    bool sound = atomic_load(&worker->state) == WORKER_OK;

    return sound ? worker->dispatcher->limits.hang_ms * 1000000 : STOP_LOST_NS;
}

/* A thread that does not come back keeps what it has; the ledger, which goes too, gets its bytes back. */
static bool workers_stop(struct dispatcher *dispatcher)
{
    bool all = true;

    for (int d = 0; d < dispatcher->workers; d++) {
        ledger_give_back(dispatcher->ledger, &dispatcher->worker[d]->leaked);
        ledger_offer(dispatcher->ledger, d, 0, 0);
        all &= worker_stop(dispatcher->worker[d], stop_patience(dispatcher->worker[d]));
    }
    return all;
}

/* False: a thread was left behind. */
static bool dispatcher_free(struct dispatcher *dispatcher)
{
    bool all = workers_stop(dispatcher);

    trash_flush(dispatcher);
    while (dispatcher->all) {
        struct job *job = dispatcher->all;
        job_forget(job);
    }
    if (dispatcher->keeper.started)
        trash_flush(dispatcher);
    keeper_stop(&dispatcher->keeper);
    messages_deinit(&dispatcher->messages);
    pthread_cond_destroy(&dispatcher->drained);
    pthread_mutex_destroy(&dispatcher->view_lock);
    memory_free(dispatcher->choosing);
    memory_free(dispatcher->chosen);
    memory_free(dispatcher->by_number);
    memory_free(dispatcher->by_id);
    memory_free(dispatcher);
    return all;
}

static enum status no_start(struct error *error)
{
    return FAIL(error, OUT_OF_MEMORY, TEXT("what", "the dispatcher"),
                INT("needed", sizeof(struct dispatcher)), INT("retry_ms", RETRY_MS));
}

enum status dispatcher_start(const struct dispatcher_options *options, struct dispatcher **out,
                             struct error *error)
{
    struct dispatcher *dispatcher = dispatcher_new(options);
    enum status status;

    if (!dispatcher)
        return no_start(error);
    if (!dispatcher->by_number || !dispatcher->by_id || !keeper_start(&dispatcher->keeper))
        TRY(no_start(error));
    TRY(devices_open(dispatcher, options, error));
    dispatcher->view.tick_ns = dispatcher->now_ns = clock_ns();
    timer_set(&dispatcher->timers, &dispatcher->pulse, dispatcher->now_ns);
    if (pthread_create(&dispatcher->thread, NULL, dispatcher_main, dispatcher) != 0)
        TRY(no_start(error));
    *out = dispatcher;
    return STATUS_OK;
out:
    dispatcher_free(dispatcher);
    return status;
}

bool dispatcher_stop(struct dispatcher **dispatcher)
{
    struct dispatcher *it = *dispatcher;
    struct message stop = {.handle = handle_stop};

    if (!it)
        return true;
    dispatcher_drain(it, clock_ns()); /* harmless when it is drained */
    message_push(&it->messages, &stop);
    pthread_join(it->thread, NULL);
    *dispatcher = NULL;
    return dispatcher_free(it);
}

/* Lane by the plan: small, and not more bytes than the whole fast lane may hold. */
static enum lane lane_of(const struct dispatcher *dispatcher, const struct job_request *request,
                         const struct job_plan *plan)
{
    int64_t most = atomic_load(&dispatcher->fast_bytes_most);
    bool may = !job_kind_fits(request->kind) || request->ephemeral;

    if (most > FAST_BYTES)
        most = FAST_BYTES;
    return may && plan->expected_ns <= FAST_NS && plan->held_bytes <= most &&
                   plan->run_bytes <= most - plan->held_bytes
               ? LANE_FAST
               : LANE_JOB;
}

enum status job_estimate(struct dispatcher *dispatcher, const struct job_request *request,
                         struct job_estimate *out, struct error *error)
{
    struct job_plan plan;
    struct ladder ladder;
    enum status status = ladder_make(dispatcher, request, NULL, &ladder, &plan, error);

    if (status != STATUS_OK)
        return status;
    *out = (struct job_estimate){.lane = lane_of(dispatcher, request, &plan),
                                 .bytes = plan.held_bytes + plan.run_bytes,
                                 .expected_ns = plan.expected_ns};
    return STATUS_OK;
}

/* Plan and lane, on the caller's thread: what is wrong with the request travels with the job. */
static void job_prepare(struct dispatcher *dispatcher, struct job *job)
{
    enum status status =
        ladder_make(dispatcher, job->request, job, &job->ladder, &job->plan, &job->refusal);

    if (status != STATUS_OK)
        return;
    job->refusal.status = STATUS_OK;
    job->lane = lane_of(dispatcher, job->request, &job->plan);
    if (job->lane == LANE_JOB && !job->ephemeral && job->kind != JOB_PREDICT)
        atomic_store(&job->deadline_ns, 0);
}

void job_submit(struct dispatcher *dispatcher, struct job_request *request, job_callback accepted,
                job_callback finished, void *context)
{
    struct job *job = job_new(dispatcher, request, accepted, finished, context);
    struct error error;

    if (job) {
        job->submit.handle = job_submitted;
        job->done.handle = job_done;
        job->progress.handle = job_progressed;
        job_prepare(dispatcher, job);
        if (message_post(&dispatcher->messages, &job->submit))
            return;
        messages_full(dispatcher, &error);
        job_free(job);
    } else {
        FAIL(&error, OUT_OF_MEMORY, TEXT("what", "a job"), INT("needed", sizeof *job),
             INT("retry_ms", RETRY_MS));
    }
    if (accepted)
        accepted(context, NULL, &error);
    if (finished)
        finished(context, NULL, &error);
}
