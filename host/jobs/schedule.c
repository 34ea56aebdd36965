/* schedule.c - the job lane: who waits, and who starts. The dispatcher's thread alone. */
#include <string.h>

#include "host/jobs/live.h"

static const double TILE_NS = 15e6; /* a device works in tiles of at most this */

/* In order of creation: one that comes back stands where it stood. */
void queue_append(struct dispatcher *dispatcher, struct job *job)
{
    struct job *before = dispatcher->queue_last;

    while (before && before->number > job->number)
        before = before->queue_before;
    job->queue_before = before;
    job->queue_next = before ? before->queue_next : dispatcher->queue;
    if (job->queue_next)
        job->queue_next->queue_before = job;
    else
        dispatcher->queue_last = job;
    if (before)
        before->queue_next = job;
    else
        dispatcher->queue = job;
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

/* What a device that works on something is expected to take until it is done; one that takes longer
 * than it was thought to is given a quarter of that again and again. */
static double wait_of(const struct worker *worker, int64_t now_ns)
{
    double left = (double)(worker->busy_until_ns - now_ns);
    double least = (double)(worker->busy_until_ns - worker->busy_since_ns) / 4;

    return left > least ? left : least;
}

static bool any_idle(struct dispatcher *dispatcher, struct choose_device device[DEVICES_MAX])
{
    bool any = false;

    for (int d = 0; d < dispatcher->workers; d++) {
        const struct worker *worker = dispatcher->worker[d];
        struct device_bytes bytes;
        ledger_device(dispatcher->ledger, d, &bytes);
        device[d] = (struct choose_device){
            .idle = !worker->busy,
            .wait_ns = worker->busy ? wait_of(worker, dispatcher->now_ns) : 0,
            .bytes_free = bytes.budget - bytes.reserved,
            .pinned_free = bytes.pinned_budget - bytes.pinned_reserved};
        any |= device[d].idle;
    }
    return any;
}

/* The next of the queue that no device is left for; NULL: there is none. */
static struct job *stranded(struct dispatcher *dispatcher)
{
    struct choose_way way[CHOOSE_DEVICES_MAX];
    int rung[CHOOSE_DEVICES_MAX];

    for (struct job *job = dispatcher->queue; job; job = job->queue_next)
        if (ladder_ways(dispatcher, &job->ladder, way, rung) == 0)
            return job;
    return NULL;
}

/* *rung: of the choice. */
static struct job *choose_now(struct dispatcher *dispatcher, const struct choose_device *device,
                              int *rung)
{
    struct choose_snapshot snapshot = {.now_ns = dispatcher->now_ns,
                                       .bytes_free = ledger_budget(dispatcher->ledger) -
                                                     ledger_reserved(dispatcher->ledger),
                                       .job = dispatcher->choosing,
                                       .devices = dispatcher->workers,
                                       .device = device};

    for (struct job *job = dispatcher->queue; job; job = job->queue_next) {
        struct chosen *chosen = &dispatcher->chosen[snapshot.jobs];
        chosen->job = job;
        dispatcher->choosing[snapshot.jobs++] = (struct choose_job){
            .queued_ns = job->queued_ns,
            .ways = ladder_ways(dispatcher, &job->ladder, chosen->way, chosen->rung),
            .way = chosen->way};
    }
    struct choice choice = choose(&snapshot);
    if (choice.job < 0)
        return NULL;
    *rung = dispatcher->chosen[choice.job].rung[choice.way];
    return dispatcher->chosen[choice.job].job;
}

/* The attempt that begins: the first one's memory came with the job, a later one uses it again. */
static void attempt_prepare(struct job *job, int rung)
{
    const struct limits *limits = &job->dispatcher->limits;
    const struct rung *on = &job->ladder.rung[rung];
    double quiet_ns = (double)limits->hang_factor * on->quiet_ns;

    attempt_clear(job->attempt);
    ladder_arrive(job, rung);
    job->rung = rung;
    job->worker = job->dispatcher->worker[on->way.device];
    *job->attempt = (struct attempt){.job = job,
                                     .request = job->request,
                                     .residency = on->residency,
                                     .quiet_ns = limits->hang_ms * 1000000,
                                     .report = job->report};
    if (quiet_ns > (double)job->attempt->quiet_ns)
        job->attempt->quiet_ns = quiet_ns < 1e18 ? (int64_t)quiet_ns : (int64_t)1e18;
    if (job->started_ns == 0)
        job->started_ns = job->dispatcher->now_ns;
}

static struct need need_of(const struct rung *rung)
{
    return (struct need){.bytes = rung->way.bytes,
                         .device = rung->way.device,
                         .device_bytes = rung->way.device_bytes,
                         .pinned_bytes = rung->way.pinned_bytes};
}

/* False: the bytes went to somebody else since the snapshot. */
static bool job_start(struct dispatcher *dispatcher, struct job *job, int rung)
{
    struct need need = need_of(&job->ladder.rung[rung]);
    double expected_ns = job->ladder.rung[rung].way.expected_ns;
    struct error error;

    if (ledger_take(dispatcher->ledger, job->name, &need, NULL) != STATUS_OK)
        return false;
    queue_remove(dispatcher, job);
    timer_clear(&dispatcher->timers, &job->timer); /* from here on its turns look at the deadline */
    job->taken = need;
    attempt_prepare(job, rung);
    job->seated = true;
    job->worker->busy = true;
    job->worker->busy_since_ns = dispatcher->now_ns;
    job->worker->busy_until_ns =
        dispatcher->now_ns + (int64_t)(expected_ns < 1e15 ? expected_ns : 1e15);
    dispatcher->running++;
    if (job_enter(job, JOB_RUNNING, NULL, &error) != STATUS_OK) {
        job_end(dispatcher, job, JOB_CANCELLED, &error);
        return true;
    }
    watches_tell(job);
    worker_give(job->worker, job);
    return true;
}

/* Those whose last device has gone while they waited. */
static void strand(struct dispatcher *dispatcher)
{
    struct job *job;

    if (!dispatcher->device_left)
        return;
    while ((job = stranded(dispatcher)) != NULL)
        job_strand(job);
    dispatcher->device_left = false;
}

void schedule(struct dispatcher *dispatcher)
{
    struct choose_device device[DEVICES_MAX];
    bool moved = false;
    int rung;

    strand(dispatcher);
    while (dispatcher->queue && any_idle(dispatcher, device)) {
        struct job *job = choose_now(dispatcher, device, &rung);
        if (!job || !job_start(dispatcher, job, rung)) {
            timer_set(&dispatcher->timers, &dispatcher->recheck, dispatcher->now_ns + RECHECK_NS);
            break;
        }
        moved = true;
    }
    if (moved)
        queue_tell(dispatcher);
}

/* Beside a job that runs it waits for a tile, and then gets half of the time. */
static double fast_ns(const struct dispatcher *dispatcher, const struct choose_way *way)
{
    return dispatcher->worker[way->device]->busy ? TILE_NS + 2 * way->expected_ns
                                                 : way->expected_ns;
}

/* The way that ends first, first. */
enum status fast_take(struct job *job, struct error *error)
{
    struct dispatcher *dispatcher = job->dispatcher;
    struct choose_way way[CHOOSE_DEVICES_MAX];
    int rung[CHOOSE_DEVICES_MAX];
    enum status status = STATUS_NO_DEVICE;

    for (int ways = ladder_ways(dispatcher, &job->ladder, way, rung); ways > 0; ways--) {
        int best = 0;
        for (int w = 1; w < ways; w++)
            if (fast_ns(dispatcher, &way[w]) < fast_ns(dispatcher, &way[best]))
                best = w;
        struct need need = need_of(&job->ladder.rung[rung[best]]);
        status = ledger_take(dispatcher->ledger, job->request->source_name, &need, error);
        if (status == STATUS_OK) {
            job->taken = need;
            job->rung = rung[best];
            if (error)
                error->status = STATUS_OK; /* of a dearer way that had no bytes */
            return STATUS_OK;
        }
        way[best] = way[ways - 1];
        rung[best] = rung[ways - 1];
    }
    if (status != STATUS_NO_DEVICE)
        return status;
    return FAIL(error, NO_DEVICE, TEXT("backend", "usable"), TEXT("why", "the last one was lost"));
}

/* The fast lane goes to its device at once: it is served between tiles. */
void fast_begin(struct job *job)
{
    attempt_prepare(job, job->rung);
    worker_give(job->worker, job);
}
