/* admit.c - a request becomes a job, or is refused in the words that help. The dispatcher's thread
 * alone.
 *
 * Bytes are reserved in two places (here what came along, in schedule.c what running takes) and given
 * back in one: job_release in lifecycle.c. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "host/base/memory.h"
#include "host/jobs/live.h"

/* How long until a seat is free: the mean time between ends, times an eighth of who waits, since
 * those who are refused come back at once. */
static int64_t retry_ms(const struct dispatcher *dispatcher, enum lane lane, int64_t waiting)
{
    double ms = dispatcher->rate[lane].interval_ns * 1e-6 * (1 + (double)waiting / 8);

    if (!(ms > 0))
        return RETRY_MS;
    return ms < 10 ? 10 : ms > 60000 ? 60000 : (int64_t)ceil(ms);
}

/* Says no: to `accepted`, then to `finished`; each once. The job was never known. */
static void job_refuse(struct job *job, const struct error *error)
{
    if (job->accepted)
        job->accepted(job->context, NULL, error);
    if (job->finish)
        job->finish->callback(job->finish->context, NULL, error);
    job_trash(job);
}

/* The same request id again: the first job answers for it. */
static void job_join(struct job *job, struct job *first)
{
    struct error error;
    struct wait *finish = job->finish;

    if (memcmp(job->body_hash, first->body_hash, sizeof job->body_hash) != 0) {
        FAIL(&error, REQUEST_ID_REUSED, TEXT("request_id", job->request_id));
        job_refuse(job, &error);
        return;
    }
    if (job->accepted)
        job_answer(job->accepted, job->context, first);
    job->finish = NULL;
    if (finish && job_state_final(first->state)) {
        job_answer(finish->callback, finish->context, first);
        memory_free(finish);
    } else if (finish) {
        wait_attach(first, finish);
    }
    job_trash(job);
}

static enum status queue_full(struct dispatcher *dispatcher, const struct job *job, int64_t count,
                              struct error *error)
{
    int64_t waiting = job->lane == LANE_FAST ? dispatcher->fast_live : dispatcher->queued;

    return FAIL(error, QUEUE_FULL, TEXT("queue", lane_names[job->lane]), INT("jobs", count),
                INT("retry_ms", retry_ms(dispatcher, job->lane, waiting)));
}

static int64_t queued_by(const struct dispatcher *dispatcher, const char *principal)
{
    int64_t count = 0;

    for (const struct job *job = dispatcher->queue; job; job = job->queue_next)
        count += strcmp(job->principal, principal) == 0;
    return count;
}

static enum status seat_check(struct dispatcher *dispatcher, const struct job *job,
                              struct error *error)
{
    const struct limits *limits = &dispatcher->limits;
    int64_t bytes = job->plan.held_bytes + job->plan.run_bytes;

    if (job->lane == LANE_FAST)
        return dispatcher->fast_live >= limits->fast_requests ||
                       dispatcher->fast_live_bytes + bytes > dispatcher->fast_bytes_most
                   ? queue_full(dispatcher, job, dispatcher->fast_live, error)
                   : STATUS_OK;
    if (dispatcher->queued >= limits->queued_jobs_total)
        return queue_full(dispatcher, job, dispatcher->queued, error);
    int64_t own = queued_by(dispatcher, job->principal);
    return own >= limits->queued_jobs ? queue_full(dispatcher, job, own, error) : STATUS_OK;
}

/* Never: more than the budget beside what the fast lane may hold and the dataset that it reads. */
static enum status capacity_check(struct dispatcher *dispatcher, const struct job *job,
                                  const char *what, struct error *error)
{
    int64_t offered =
        ledger_budget(dispatcher->ledger) - dispatcher->fast_bytes_most - job->plan.pinned_bytes;
    int64_t needed;

    if (__builtin_add_overflow(job->plan.held_bytes, job->plan.run_bytes, &needed))
        needed = INT64_MAX;
    if (job->lane == LANE_FAST || needed <= offered)
        return STATUS_OK;
    return FAIL(error, EXCEEDS_CAPACITY, TEXT("what", what), INT("needed", needed),
                INT("offered", offered > 0 ? offered : 0));
}

/* Room for one more in the snapshot that choose gets. */
static bool choosing_reserve(struct dispatcher *dispatcher)
{
    int room = dispatcher->choosing_room ? dispatcher->choosing_room * 2 : 64;

    if (dispatcher->queued < dispatcher->choosing_room)
        return true;
    struct choose_job *choosing = memory_new((size_t)room, sizeof *choosing);
    struct chosen *chosen = memory_new((size_t)room, sizeof *chosen);
    if (!choosing || !chosen) {
        memory_free(choosing);
        memory_free(chosen);
        return false;
    }
    memory_free(dispatcher->choosing);
    memory_free(dispatcher->chosen);
    dispatcher->choosing = choosing;
    dispatcher->chosen = chosen;
    dispatcher->choosing_room = room;
    return true;
}

/* Everything that may say no, in the order in which a caller would want to know. */
static enum status job_admit(struct dispatcher *dispatcher, struct job *job, struct error *error)
{
    char what[160];
    enum status status;

    snprintf(what, sizeof what, "%s of %s", kind_names[job->kind], job->request->source_name);
    if (dispatcher->draining)
        return FAIL(error, DRAINING, INT("retry_ms", RETRY_MS));
    if (job->deadline_ns && dispatcher->now_ns >= job->deadline_ns)
        return FAIL(error, DEADLINE, INT("ms", 0));
    TRY(capacity_check(dispatcher, job, what, error));
    TRY(seat_check(dispatcher, job, error));
    if (!choosing_reserve(dispatcher))
        return FAIL(error, OUT_OF_MEMORY, TEXT("what", "the queue"),
                    INT("needed", dispatcher->choosing_room), INT("retry_ms", RETRY_MS));
    TRY(ledger_reserve(dispatcher->ledger, what, job->plan.held_bytes, error));
    job->held = job->plan.held_bytes;
    if (job->lane == LANE_FAST)
        TRY(fast_take(job, error));
    job->queued_ns = dispatcher->now_ns;
    registry_add(dispatcher, job);
    status = job_enter(job, JOB_QUEUED, NULL, error);
    if (status != STATUS_OK)
        registry_remove(dispatcher, job);
out:
    if (status != STATUS_OK) {
        ledger_return(dispatcher->ledger, job->held);
        ledger_give_back(dispatcher->ledger, &job->taken);
        job->held = 0;
    }
    return status;
}

/* A deadline that passes while it waits. Once it runs, its turns look at the deadline. */
void deadline_passed(void *context, struct timer *timer)
{
    struct job *job = (struct job *)((char *)timer - offsetof(struct job, timer));
    struct error error;

    (void)context;
    FAIL(&error, DEADLINE, INT("ms", (job->deadline_ns - job->queued_ns) / 1000000));
    job_stop(job, &error);
}

/* Its device may have gone since its ladder was made. */
static bool offered_now(const struct dispatcher *dispatcher, const struct job *job)
{
    struct choose_way way[CHOOSE_DEVICES_MAX];
    int rung[CHOOSE_DEVICES_MAX];

    return ladder_ways(dispatcher, &job->ladder, way, rung) > 0;
}

void job_submitted(struct dispatcher *dispatcher, struct message *message)
{
    struct job *job = (struct job *)((char *)message - offsetof(struct job, submit));
    struct job *first =
        job->request_id[0] ? registry_request(dispatcher, job->principal, job->request_id) : NULL;
    struct error error = job->refusal;

    if (first) {
        job_join(job, first);
        return;
    }
    if (error.status == STATUS_OK)
        job_admit(dispatcher, job, &error);
    if (error.status != STATUS_OK) {
        job_refuse(job, &error);
        return;
    }
    dispatcher->live++;
    if (job->lane == LANE_JOB) {
        queue_append(dispatcher, job);
        dispatcher->device_left |= !offered_now(dispatcher, job);
    }
    if (job->finish)
        wait_attach(job, job->finish);
    job->finish = NULL;
    if (job->deadline_ns) {
        job->timer.fire = deadline_passed;
        timer_set(&dispatcher->timers, &job->timer, job->deadline_ns);
    }
    if (job->accepted)
        job_answer(job->accepted, job->context, job);
    if (job->lane != LANE_FAST)
        return;
    job->fast_bytes = job->held + job->taken.bytes;
    dispatcher->fast_live++;
    dispatcher->fast_live_bytes += job->fast_bytes;
    fast_begin(job);
}
