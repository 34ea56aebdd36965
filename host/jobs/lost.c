/* lost.c - devices that fail or fall silent, and what becomes of their jobs. The dispatcher's thread alone.
 *
 * A device that failed once is trusted no more until the process starts anew: its context is dead, and
 * a call may hang. So nothing is sent there, nothing waits for it, and its jobs go on where they can,
 * from their last whole round, with the same bits: an answer knows no device. */
#include <stdio.h>
#include <string.h>

#include "host/base/log.h"
#include "host/base/memory.h"
#include "host/jobs/live.h"
#include "kernels/plugin.h"

/* A device that says nothing is looked at this often for each time that it may say nothing, within bounds. */
enum { LOOKS = 8 };
static const int64_t LOOK_LEAST_NS = 10000000, LOOK_MOST_NS = 1000000000;
/* When the time that draining left is over, nobody waits longer than this. */
static const int64_t DRAIN_QUIET_NS = 1000000000;

/* Everything that waits for the device looks elsewhere; what runs there comes back by itself. */
static void waiting_leave(struct worker *worker, const char *why)
{
    struct dispatcher *dispatcher = worker->dispatcher;

    for (struct job *job = dispatcher->all, *next; job; job = next) {
        next = job->all_next;
        if (job_state_final(job->state))
            continue;
        if (job->in_queue)
            ladder_leave_device(job, worker->number, "DEVICE_LOST", why);
        else if (job->lane == LANE_FAST && job->worker == worker && worker_withdraw(worker, job))
            job_leaves(job, "DEVICE_LOST", why);
    }
}

void device_lost(struct worker *worker, const struct refusal *why)
{
    struct dispatcher *dispatcher = worker->dispatcher;
    char labels[80];

    if (atomic_load(&worker->state) != WORKER_OK)
        return;
    worker->refusal = *why;
    if (why->reason == REASON_NONE)
        worker->refusal =
            (struct refusal){.reason = REASON_DEVICE_LOST, .text = "its backend gives no reason"};
    atomic_store(&worker->state, worker->refusal.reason == REASON_DEVICE_WRONG ? WORKER_QUARANTINED
                                                                               : WORKER_SUSPECT);
    dispatcher->device_left = true;
    LOG(LOG_ERROR, "device_lost", TEXT("backend", worker->backend->name),
        INT("index", worker->index), TEXT("reason", device_reason_name(worker->refusal.reason)),
        TEXT("why", worker->refusal.text),
        TEXT("advice", device_reason_advice(worker->refusal.reason)));
    snprintf(labels, sizeof labels, "%.16s:%d,%.40s", worker->backend->name, worker->index,
             device_reason_name(worker->refusal.reason));
    metric_add(dispatcher->metrics, METRIC_device_errors_total, labels, 1);
    device_publish(dispatcher, worker);
    waiting_leave(worker, worker->refusal.text);
}

/* -- A job that leaves its device ---------------------------------------------------------------- */

/* Of the fast lane at once, else to the queue, where it stood. False: no device is left for it. */
static bool job_again(struct job *job)
{
    struct dispatcher *dispatcher = job->dispatcher;
    struct choose_way way[CHOOSE_DEVICES_MAX];
    int rung[CHOOSE_DEVICES_MAX];
    struct error error;

    if (!job->attempt || ladder_ways(dispatcher, &job->ladder, way, rung) == 0)
        return false;
    if (job->lane == LANE_FAST) {
        if (fast_take(job, &error) != STATUS_OK)
            return false;
        fast_begin(job);
        return true;
    }
    if (job_enter(job, JOB_QUEUED, NULL, &error) != STATUS_OK)
        return false;
    queue_append(dispatcher, job);
    if (atomic_load(&job->deadline_ns)) {
        job->timer.fire = deadline_passed;
        timer_set(&dispatcher->timers, &job->timer, atomic_load(&job->deadline_ns));
    }
    watches_tell(job);
    return true;
}

static void lost_error(const struct job *job, struct error *error)
{
    char name[48];

    snprintf(name, sizeof name, "%.16s:%d", job->worker->backend->name, job->worker->index);
    FAIL(error, DEVICE_LOST, TEXT("device", name), TEXT("why", job->worker->refusal.text),
         INT("retry_ms", RETRY_MS));
}

/* It was given to a device that is lost and has not run there, or the thread that ran it is gone. */
void job_leaves(struct job *job, const char *reason, const char *why)
{
    struct error error;

    if (job->state == JOB_CANCELLING) {
        job_end(job->dispatcher, job, JOB_CANCELLED, &job->stop_error);
        return;
    }
    lost_error(job, &error);
    ladder_leave_device(job, job->worker->number, reason, why);
    job_unseat(job);
    if (job->request->placement.forbid_fallback || !job_again(job))
        job_end(job->dispatcher, job, JOB_FAILED, &error);
}

bool job_moves_on(struct job *job)
{
    const struct attempt *attempt = job->attempt;
    bool lost = attempt->status == STATUS_DEVICE_LOST;
    char why[ERROR_VALUE_BYTES];

    if (!job->worker->gpu || (!lost && attempt->status != STATUS_OUT_OF_MEMORY) ||
        job->request->placement.forbid_fallback)
        return false;
    if (lost)
        ladder_leave_device(job, job->worker->number, "DEVICE_LOST", job->worker->refusal.text);
    else
        ladder_leave_rung(job, job->rung, "OUT_OF_MEMORY",
                          error_message(&attempt->error, why, sizeof why));
    job_unseat(job);
    return job_again(job);
}

void job_strand(struct job *job)
{
    struct error error;

    FAIL(&error, DEVICE_LOST,
         TEXT("device", job->step.from[0] ? job->step.from : "that it may use"),
         TEXT("why", job->step.from[0] ? job->step.why : "it is gone"), INT("retry_ms", RETRY_MS));
    job_end(job->dispatcher, job, JOB_FAILED, &error);
}

/* -- A thread that is given up ------------------------------------------------------------------- */

/* The thread keeps its attempt, a pin on the request, and the memory that the ledger knows of; the job
 * begins anew with what was saved. */
static void attempt_give_up(struct worker *worker, struct attempt *attempt)
{
    struct job *job = attempt->job;
    struct need *leaked = &worker->leaked;

    attempt->given_up = true;
    job_request_pin(attempt->request);
    *leaked = (struct need){.device = worker->number,
                            .bytes = leaked->bytes + job->taken.bytes,
                            .device_bytes = leaked->device_bytes + job->taken.device_bytes,
                            .pinned_bytes = leaked->pinned_bytes + job->taken.pinned_bytes};
    job->taken = (struct need){.bytes = 0};
    job->attempt = memory_zeroed(1, sizeof *job->attempt);
    job_leaves(job, "DEVICE_LOST", worker->refusal.text);
}

static void worker_give_up_now(struct worker *worker, int64_t quiet_ns)
{
    struct refusal why = {.reason = REASON_DEVICE_HUNG};

    snprintf(why.text, sizeof why.text, "a call did not come back for %lld ms",
             (long long)(quiet_ns / 1000000));
    device_lost(worker, &why);
    for (int i = 1; i >= 0; i--)
        if (worker->running[i])
            attempt_give_up(worker, worker->running[i]);
    struct job *seated = worker_withdraw_slow(worker);
    if (seated)
        job_leaves(seated, "DEVICE_LOST", worker->refusal.text);
}

void handle_pulse(void *context, struct timer *timer)
{
    struct dispatcher *dispatcher = context;
    int64_t look_ns = dispatcher->limits.hang_ms * 1000000 / LOOKS;
    bool any_gpu = false;

    for (int d = 0; d < dispatcher->workers; d++) {
        struct worker *worker = dispatcher->worker[d];
        int64_t pulse = atomic_load(&worker->pulse), allowed_ns = atomic_load(&worker->quiet_ns);
        any_gpu |= worker->gpu;
        if (!worker->gpu || pulse <= 0)
            continue;
        if (dispatcher->drain_over && allowed_ns > DRAIN_QUIET_NS)
            allowed_ns = DRAIN_QUIET_NS;
        if (dispatcher->now_ns - pulse > allowed_ns && worker_give_up(worker, pulse))
            worker_give_up_now(worker, dispatcher->now_ns - pulse);
    }
    if (!any_gpu)
        return;
    look_ns = look_ns < LOOK_LEAST_NS  ? LOOK_LEAST_NS
              : look_ns > LOOK_MOST_NS ? LOOK_MOST_NS
                                       : look_ns;
    timer_set(&dispatcher->timers, timer, dispatcher->now_ns + look_ns);
}
