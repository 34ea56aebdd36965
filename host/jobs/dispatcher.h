/* dispatcher.h - one thread owns jobs, queues and the choice of who runs next; it never blocks.
 *
 * All functions here may be called by any thread: they post a message and return. Answers come by
 * callback, on the dispatcher's thread: a callback must be short, must not block, and may post.
 *
 *  1. Every post that takes a callback calls it exactly once (a watch: once per update, then once
 *     with `last`), also when it fails and also when the dispatcher drains.
 *  2. The view a callback gets is pinned for it: it must unpin it. Either view or error is NULL, never both.
 *     A job that failed is a view with its error in it.
 *  3. A full message queue answers QUEUE_FULL through the callback, on the caller's thread. */
#ifndef BARY_HOST_JOBS_DISPATCHER_H
#define BARY_HOST_JOBS_DISPATCHER_H

#include "host/jobs/job.h"
#include "host/jobs/ledger.h"
#include "host/store/object.h"

struct dispatcher;
struct metrics;

struct dispatcher_options {
    struct metrics *metrics;     /* NULL: nothing is counted */
    const struct limits *limits; /* copied; see dispatcher_set_limits */
    struct ledger *ledger;
    struct catalog *catalog;
    const char *backend_dir; /* plug-ins; NULL: see plugin.h */
    const char *isa;         /* NULL: the best */
    int threads;             /* CPU threads; 0: machine_threads */
    void (*devices_changed)(
        void *context); /* a device came or went; must not block. NULL: nobody asks */
    void *devices_context;
};

/* Opens the devices (self-test against ref first), starts the dispatcher's and the workers' threads. A
 * GPU that is not there, does not open or hangs in it is a line in the log and a view, never a failure:
 * NO_DEVICE is when no device at all is left. */
enum status dispatcher_start(const struct dispatcher_options *options, struct dispatcher **out,
                             struct error *error);

/* New jobs are refused as DRAINING; running and queued ones get until `deadline_ns`, then end as
 * CANCELLED / DRAINING. Returns when nothing lives. */
void dispatcher_drain(struct dispatcher *dispatcher, int64_t deadline_ns);
/* After drain; joins all threads. False: one is inside a device and does not come back. It is left
 * behind with what it holds, and the process should end without its exit handlers. */
bool dispatcher_stop(struct dispatcher **dispatcher);
void dispatcher_set_limits(struct dispatcher *dispatcher, const struct limits *limits);

typedef void (*job_callback)(void *context, struct job_view *view, const struct error *error);

/* `accepted` gets the job as QUEUED (or the one that the same request_id made before, or the error).
 * `finished` (NULL: not wanted) gets its final view. A job is known by name from `accepted` on. For
 * PREDICT, EVALUATE in the fast lane and ephemeral fits `accepted` may be NULL. Takes over *request.
 * Each of the two that was given is called exactly once: a refusal goes to `accepted`, then to `finished`.
 * Predictions, fast evaluations and ephemeral fits are forgotten once their end reached somebody. */
void job_submit(struct dispatcher *dispatcher, struct job_request *request, job_callback accepted,
                job_callback finished, void *context);

/* The lane a request would take and what it needs, by its plan: fast means expected <= 20 ms and <= 64 MiB.
 * Pure but for the plan of the device; SHAPE_MISMATCH, TOO_FEW_ROWS, ... are found here too. Any thread. */
struct job_estimate {
    enum lane lane;
    int64_t bytes;
    double expected_ns;
};
enum status job_estimate(struct dispatcher *dispatcher, const struct job_request *request,
                         struct job_estimate *out, struct error *error);

void job_get(struct dispatcher *dispatcher, const char *name, job_callback callback, void *context);
/* Cancels by name, or all live ones with `tag` (name NULL): the callback gets the last one's view. Cancelling
 * a finished job is harmless. */
void job_cancel(struct dispatcher *dispatcher, const char *name, const char *tag, const char *why,
                job_callback callback, void *context);
/* The final view, or the present one at `until_ns` (clock_ns). A wait that runs out on an ephemeral fit makes it an
 * ordinary job: its deadline_ns no longer ends it, and it is kept like any other. */
void job_wait(struct dispatcher *dispatcher, const char *name, int64_t until_ns,
              job_callback callback, void *context);

/* Jobs by creation, newest first, that have the tag and state asked for (NULL, 0: any), after the job named `after`. */
/* Each view is pinned for the callback; the array is not. */
typedef void (*job_list_callback)(void *context, struct job_view **views, int count, bool more,
                                  const struct error *error);
void job_list(struct dispatcher *dispatcher, const char *after, const char *tag,
              enum job_state state, int most, job_list_callback callback, void *context);

/* The present state at once (unless its sequence <= after_sequence), then every change, at most 10 a second; a slow
 * watcher gets the newest. The next update comes only after job_watch_ready. The final view comes with last = true;
 * after `last` the watch is gone. job_watch_stop ends it early: `last` comes with view NULL and *error CANCELLED. */
typedef void (*watch_callback)(void *context, struct job_view *view, bool last,
                               const struct error *error);
struct watch;
struct watch *job_watch(struct dispatcher *dispatcher, const char *name, uint64_t after_sequence,
                        watch_callback callback, void *context);
void job_watch_ready(struct watch *watch);
void job_watch_stop(struct watch *watch); /* idempotent until `last` has come */

/* What GetServer and /metrics show of devices and queues. A copy. */
struct device_view {
    char backend[16];
    int index;
    char state[16];          /* "OK", "OPENING", "ABSENT", "SUSPECT", "QUARANTINED" */
    char reason[192];        /* why it is not offered, in a sentence, or "" */
    const char *reason_name; /* the row of device_reason.def: "NO_DRIVER", or "" */
    const char *advice;      /* and what to do about it, or "" */
    char build[128];         /* of its backend */
    struct device_info info;
    struct device_bytes bytes; /* zeros: it has none of its own */
    double busy_seconds;
};
struct dispatcher_view {
    int devices;
    struct device_view device[9]; /* the last may be the GPU that is not there */
    int64_t queued_fast, queued_fast_bytes, queued_jobs, running_jobs;
    int64_t oldest_queued_ns; /* age of the job that waits longest; 0: none does */
    int64_t tick_ns;          /* clock_ns of the dispatcher's last turn: /livez */
    bool draining;
};
void dispatcher_view(struct dispatcher *dispatcher, struct dispatcher_view *out);

#endif
