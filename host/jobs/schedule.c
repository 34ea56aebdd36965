/* schedule.c - the job lane: who waits, and who starts. The dispatcher's thread alone. */
#include <string.h>

#include "host/jobs/live.h"

void queue_append(struct dispatcher *dispatcher, struct job *job)
{
    job->queue_before = dispatcher->queue_last;
    if (dispatcher->queue_last)
        dispatcher->queue_last->queue_next = job;
    else
        dispatcher->queue = job;
    dispatcher->queue_last = job;
    dispatcher->queued++;
    job->in_queue = true;
}

void queue_remove(struct dispatcher *dispatcher, struct job *job)
{
    if (!job->in_queue)
        return;
    if (job->queue_before)
        job->queue_before->queue_next = job->queue_next;
    else
        dispatcher->queue = job->queue_next;
    if (job->queue_next)
        job->queue_next->queue_before = job->queue_before;
    else
        dispatcher->queue_last = job->queue_before;
    job->queue_next = job->queue_before = NULL;
    job->in_queue = false;
    dispatcher->queued--;
}

int64_t queue_position(const struct job *job)
{
    int64_t position = 0;

    if (job->state != JOB_QUEUED || !job->in_queue)
        return -1;
    for (const struct job *before = job->queue_before; before; before = before->queue_before)
        position++;
    return position;
}

/* Positions moved up: those who watch hear it, the others see it when they ask. */
static void queue_tell(struct dispatcher *dispatcher)
{
    for (struct job *job = dispatcher->queue; job; job = job->queue_next)
        if (job->watches) {
            job_refresh(job);
            watches_tell(job);
        }
}

static bool any_idle(const struct dispatcher *dispatcher, bool idle[DEVICES_MAX])
{
    bool any = false;

    for (int d = 0; d < dispatcher->workers; d++) {
        idle[d] = !dispatcher->worker[d].busy;
        any |= idle[d];
    }
    return any;
}

static struct choice choose_now(struct dispatcher *dispatcher, const bool idle[DEVICES_MAX])
{
    struct choose_snapshot snapshot = {.now_ns = dispatcher->now_ns,
                                       .bytes_free = ledger_budget(dispatcher->ledger) -
                                                     ledger_reserved(dispatcher->ledger),
                                       .job = dispatcher->choosing,
                                       .devices = dispatcher->workers,
                                       .idle = idle};

    for (struct job *job = dispatcher->queue; job; job = job->queue_next) {
        dispatcher->chosen[snapshot.jobs] = job;
        dispatcher->choosing[snapshot.jobs++] = (struct choose_job){
            .queued_ns = job->queued_ns, .bytes = job->plan.run_bytes, .devices = job->devices};
    }
    return choose(&snapshot);
}

/* False: the bytes went to somebody else since the snapshot. */
static bool job_start(struct dispatcher *dispatcher, struct job *job, struct worker *worker)
{
    struct error error;

    if (ledger_reserve(dispatcher->ledger, job->name, job->plan.run_bytes, NULL) != STATUS_OK)
        return false;
    queue_remove(dispatcher, job);
    timer_clear(&dispatcher->timers, &job->timer); /* from here on its turns look at the deadline */
    job->reserved = job->plan.run_bytes;
    job->worker = worker;
    job->seated = true;
    worker->busy = true;
    dispatcher->running++;
    if (job_enter(job, JOB_RUNNING, NULL, &error) != STATUS_OK) {
        job_end(dispatcher, job, JOB_CANCELLED, &error);
        return true;
    }
    watches_tell(job);
    worker_give(worker, job);
    return true;
}

void schedule(struct dispatcher *dispatcher)
{
    bool idle[DEVICES_MAX], moved = false;

    while (dispatcher->queue && any_idle(dispatcher, idle)) {
        struct choice choice = choose_now(dispatcher, idle);
        if (choice.job < 0 || !job_start(dispatcher, dispatcher->chosen[choice.job],
                                         &dispatcher->worker[choice.device])) {
            timer_set(&dispatcher->timers, &dispatcher->recheck, dispatcher->now_ns + RECHECK_NS);
            break;
        }
        moved = true;
    }
    if (moved)
        queue_tell(dispatcher);
}
