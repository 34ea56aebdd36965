/* live.h - what job.h and dispatcher.h keep to themselves: jobs, devices and the dispatcher's own state.
 *
 * Who may touch what:
 *  1. The dispatcher's thread alone: everything not marked otherwise. No lock guards it.
 *  2. A worker's lock: its inbox. What runs is an attempt, and it belongs to the worker's thread until
 *     the job's `done` message.
 *  3. A worker's thread that is inside a call to its device may be given up: from then on it owns its
 *     attempt, its device and its worker alone, and looks at nothing else. `pulse` decides who was first.
 *  4. No lock here is held while another is taken, and none while anything blocks. */
#ifndef BARY_HOST_JOBS_LIVE_H
#define BARY_HOST_JOBS_LIVE_H

#include <pthread.h>
#include <stdatomic.h>

#include "host/jobs/choose.h"
#include "host/jobs/dispatcher.h"
#include "host/jobs/journal.h"
#include "host/jobs/message.h"
#include "host/jobs/place.h"
#include "host/jobs/plan.h"
#include "host/jobs/timer.h"
#include "host/metrics/metrics.h"

enum {
    DEVICES_MAX = CHOOSE_DEVICES_MAX,
    BUCKETS = 16384,         /* of the two tables of jobs: by number, by request id */
    PROGRESS_NS = 100000000, /* a running job reports ten times a second */
    WATCH_NS = 100000000,    /* and a watcher hears as often at most */
    RECHECK_NS = 50000000,   /* a job that waits for bytes that datasets hold looks again */
    FAST_NS = 20000000,      /* the fast lane: no more than this by its plan */
    FAST_BYTES = 64 << 20,   /* and no more bytes */
    RETRY_MS = 1000
};
#define UNANSWERED_NS INT64_C(60000000000) /* how long an ephemeral fit nobody asked for is kept */

/* Going becomes stop (end at the next tile) or storing (too late to cancel), whichever comes first. */
enum phase { PHASE_GOING, PHASE_STOP, PHASE_STORING };

/* One who wants a job's end: from job_submit's `finished` or from job_wait. */
struct wait {
    struct wait *next;
    struct job *job;
    struct timer timer;
    job_callback callback;
    void *context;
};

/* One try of a job on one device: what its thread needs and what it leaves. */
struct attempt {
    struct job *job;
    struct job_request *request; /* the job's; of a thread that was given up a pin of its own */
    enum residency residency;
    bool given_up;
    int64_t quiet_ns; /* the longest that nothing need be heard of it */
    struct fit_progress start;
    void *resume; /* a saved fit to go on from, or NULL */
    size_t resume_bytes;
    void *fresh; /* saved since the last turn; the next one hands it to the job */
    size_t fresh_bytes;
    int64_t saved_round, saved_ns, save_took_ns;

    int64_t started_ns, started_wall_ns, prepared_ns, progress_ns, ended_ns;
    int64_t rows_processed, rows_done, iterations;
    enum status status;
    struct error error;
    struct refusal refusal; /* DEVICE_LOST: what the backend calls it */
    struct job_result *result;
    struct report report;
    struct model *model; /* to be kept */
};

/* Life: from job_submit until it ended and is forgotten. */
struct job {
    struct message submit, done, progress;
    struct dispatcher *dispatcher;
    uint64_t number; /* of creation, from 1 */
    char name[64];
    enum job_kind kind;
    enum lane lane;
    struct job_request *request; /* given back by whoever has the job when it ends */
    char principal[64], request_id[64];
    uint8_t body_hash[32];
    _Atomic int64_t deadline_ns; /* 0: its call's end does not end it */
    int64_t max_runtime_ms;
    bool ephemeral, kept; /* kept: known by name after its end */
    bool answered;        /* its final view reached somebody */
    struct job_plan plan; /* on the cheapest way of the ladder, as it came */
    struct ladder ladder;
    struct step step;
    int rung; /* the one it runs on */

    enum job_state state;
    struct job_view *view;  /* the newest */
    struct job_view *spare; /* for the last one: an end needs no memory */
    int64_t queued_ns, end_ns;
    bool seated;             /* has its worker's seat of the job lane */
    int64_t held;            /* bytes in the ledger while it lives */
    struct need taken;       /* and while it runs */
    int64_t fast_bytes;      /* that count against the fast lane's */
    int64_t kept_bytes;      /* of its result, once ended */
    struct error stop_error; /* why it is being cancelled */
    struct worker *worker;   /* that has it */
    job_callback accepted;
    void *context;
    struct error refusal; /* found before it was posted */
    struct timer timer;   /* deadline while queued; then how long it is kept */

    struct job *queue_next, *queue_before; /* the job lane */
    struct job *all_next, *all_before;     /* newest first */
    struct job *number_next, *id_next;     /* chains of the tables */
    struct job *ended_next, *ended_before; /* in order of their ends */
    bool in_queue, in_ended, registered, has_id;
    struct wait *waits;
    struct wait *finish; /* `finished`, until the job is accepted */
    struct watch *watches;

    /* Worker, keeper and dispatcher. */
    _Atomic int phase; /* PHASE_GOING, then one of the others for good */

    /* messages.lock: the newest progress. */
    struct fit_progress posted;
    double posted_rows_per_second, posted_seconds_left;

    struct job *fast_next; /* worker.lock: its inbox */
    struct job *keep_next; /* keeper.lock */

    struct attempt *attempt; /* the worker's until `done`, then what the last one left */
    void *saved;             /* a turn's: the fit after its last whole round, or NULL */
    size_t saved_bytes;
    int64_t started_ns, started_wall_ns; /* of the first attempt; 0: nobody has run it */
    struct job_result *result;
    struct report report; /* fallbacks are written here, the rest comes from the attempts */
};

/* One watcher. Freed by the dispatcher once `last` was said and none of its messages waits. */
struct watch {
    struct message add, ready_message, stop_message;
    struct dispatcher *dispatcher;
    struct job *job; /* NULL: gone */
    struct watch *next, *all_next, *all_before;
    struct timer timer;
    char name[64];
    uint64_t after_sequence;
    watch_callback callback;
    void *context;
    bool ready, listed, ended;
    struct job_view *final; /* pinned: the job ended, this is still to be said */
    int64_t sent_ns;        /* INT64_MIN: nothing yet */
};

/* What a device is to the dispatcher, who alone changes it. */
enum worker_state {
    WORKER_OK,
    WORKER_SUSPECT,     /* it failed while running: nothing is sent there any more */
    WORKER_QUARANTINED, /* it computes wrong results */
    WORKER_ABSENT,      /* it could not be opened; one that was busy tries again */
    WORKER_OPENING      /* its open has not come back */
};

/* How a try to open a device ended. */
struct opening {
    enum status status;
    int found; /* devices of this backend */
    struct refusal why;
};

/* One device and its thread. Its two holders are the dispatcher and the thread. */
struct worker {
    struct dispatcher *dispatcher;
    pthread_t thread;
    const struct backend *backend;
    struct device *device; /* opened, used and closed by its thread; planned on by any while OK */
    struct device_info info;
    int number; /* of the dispatcher's */
    int index, threads;
    bool gpu;
    const char *isa;
    int64_t retry_ns; /* between two tries to open a busy device */
    _Atomic int state, holders;
    bool busy;                            /* the dispatcher's: the job lane's seat is taken */
    int64_t busy_since_ns, busy_until_ns; /* and for how long, as far as one knows */
    struct refusal refusal;               /* the dispatcher's: why it is not OK */
    struct need leaked;                   /* of jobs that a thread that was given up still has */
    _Atomic int64_t busy_ns;              /* time it worked */
    /* 0: the thread is with us; above: inside a call to the device since then; PULSE_GIVEN_UP. */
    _Atomic int64_t pulse, quiet_ns;
    struct attempt *running[2]; /* the thread's, at each turn: what runs, and within it */
    struct message open_done;   /* that nobody waited for */

    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool opened, awaited, stop, exited;
    struct opening opening;
    struct job *slow;
    struct job *fast, **fast_last;
    _Atomic int fast_count;

    /* Its thread's alone. */
    struct device *other; /* opened with another count of threads, on demand */
    int other_threads;
    int64_t credit_ns; /* what the fast lane may still take; see worker.c */
    int64_t tile_ns;   /* when the present tile began */
    int nested;        /* 1: a fast job runs between two tiles of another */
    bool lost;         /* a call said so */
};
#define PULSE_GIVEN_UP INT64_C(-1)

/* Writes models and takes away what is done with: whatever may block and is no device's work. */
struct keeper {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool started, stop;
    struct job *first, **last;  /* models to keep */
    struct job *trash;          /* jobs to free */
    struct job_request *unused; /* requests to free: of jobs that ended in the queue */
};

/* What stands behind a choose_job. */
struct chosen {
    struct job *job;
    struct choose_way way[CHOOSE_DEVICES_MAX];
    int rung[CHOOSE_DEVICES_MAX];
};

struct lane_rate {
    int64_t ended_ns;   /* the last end */
    double interval_ns; /* moving mean between ends */
};

struct dispatcher {
    struct limits limits;
    struct ledger *ledger;
    struct catalog *catalog;
    struct metrics *metrics;
    struct journal journal;
    struct refusal plugin_refusal; /* why there is no GPU backend */
    int64_t pinned_each;           /* bytes that may be pinned for a device */
    int workers;
    struct worker *worker[DEVICES_MAX];
    void (*devices_changed)(void *context);
    void *devices_context;
    struct keeper keeper;
    struct messages messages;
    pthread_t thread;
    bool started;

    struct timers timers;
    int64_t now_ns;
    char prefix[16]; /* of job names: the time of the start */
    uint64_t numbers;
    struct job *all; /* newest first */
    struct job *queue, *queue_last;
    int queued;
    struct job *ended, *ended_last; /* oldest first */
    int64_t ended_count, ended_bytes, ended_bytes_most;
    int64_t fast_live, fast_live_bytes, live, running;
    _Atomic int64_t fast_bytes_most; /* of the limit and an eighth of the budget, the less */
    struct lane_rate rate[3];        /* by lane */
    struct timer recheck, expiry, drain, pulse;
    bool device_left; /* since the queue was last looked through for jobs without a device */
    bool drain_over;  /* the time that draining left has passed */
    struct choose_job *choosing; /* room for a snapshot */
    struct chosen *chosen;
    int choosing_room;
    struct job *trash; /* to be freed after the message under work */
    struct watch *watches;
    int watch_count, wait_count;
    bool draining, stopping;
    struct job **by_number, **by_id;

    pthread_mutex_t view_lock; /* the rest */
    pthread_cond_t drained;
    bool is_drained;
    struct dispatcher_view view;
    int64_t oldest_ns;
};

/* job.c */
void attempt_clear(struct attempt *attempt); /* of all that it holds */
void attempt_free(struct attempt *attempt);  /* NULL is fine */
/* What was saved since the last turn is the job's now. */
void saved_hand_over(struct attempt *attempt);
struct job *job_new(struct dispatcher *dispatcher, struct job_request *request,
                    job_callback accepted, job_callback finished,
                    void *context); /* NULL: no memory; request is freed */
void job_free(struct job *job);
/* The one function that changes a state; the journal is told first. On failure nothing changed. */
enum status job_enter(struct job *job, enum job_state state, const struct error *why,
                      struct error *error);
/* A new view of the same state: progress, queue position. Without memory the old one stays. */
void job_publish(struct job *job);
void job_result_free(struct job_result *result);

/* dispatcher.c, call.c */
void messages_full(struct dispatcher *dispatcher, struct error *error);
void dispatcher_fast_bytes(struct dispatcher *dispatcher); /* from limits and budget */

/* registry.c: jobs by number, by request id, by age. */
void registry_add(struct dispatcher *dispatcher, struct job *job);
void registry_remove(struct dispatcher *dispatcher, struct job *job);
struct job *registry_find(struct dispatcher *dispatcher, const char *name);
uint64_t registry_number(const struct dispatcher *dispatcher,
                         const char *name); /* 0: not one of ours */
struct job *registry_request(struct dispatcher *dispatcher, const char *principal,
                             const char *request_id);

/* admit.c */
void deadline_passed(void *context, struct timer *timer);
void job_submitted(struct dispatcher *dispatcher, struct message *message);

/* schedule.c */
void queue_append(struct dispatcher *dispatcher, struct job *job);
void queue_remove(struct dispatcher *dispatcher, struct job *job); /* harmless if it is not in it */
int64_t queue_position(const struct job *job); /* jobs before it; -1: it does not wait */
void schedule(struct dispatcher *dispatcher);
/* Takes bytes for a job of the fast lane on the first of its ways that has them. */
enum status fast_take(struct job *job, struct error *error);
void fast_begin(struct job *job);

/* lifecycle.c: from the end to forgotten. */
extern const char *const lane_names[], *const kind_names[];
void job_done(struct dispatcher *dispatcher, struct message *message);
void job_progressed(struct dispatcher *dispatcher, struct message *message);
void job_stop(struct job *job, const struct error *why); /* cancels what lives */
void job_end(struct dispatcher *dispatcher, struct job *job, enum job_state state,
             const struct error *why);
void job_unseat(struct job *job);
void job_settle(struct job *job);
void job_forget(struct job *job);
void job_trash(struct job *job);
void jobs_expire(struct dispatcher *dispatcher);
void job_refresh(struct job *job);
void job_answer(job_callback callback, void *context, struct job *job);
void wait_attach(struct job *job, struct wait *wait);
void wait_end(struct wait *wait, struct job_view *view, const struct error *error); /* frees it */

/* lost.c: devices that fail, and what becomes of their jobs. */
/* True: the attempt's failure is not the job's, which goes on elsewhere. */
bool job_moves_on(struct job *job);
void job_leaves(struct job *job, const char *reason, const char *why);
void job_strand(struct job *job); /* ends one that waits and has no device left */
void device_lost(struct worker *worker, const struct refusal *why);
void handle_pulse(void *context, struct timer *timer);

/* watch.c */
void watches_tell(struct job *job);
void watches_end(struct dispatcher *dispatcher); /* all of them, at the very end */

/* worker.c, run.c, keeper.c */
/* The thread begins to open its device. */
enum status worker_start(struct worker *worker, struct error *error);
struct opening worker_opening(struct worker *worker); /* the last one */
/* Waits for that; false: it has not come back by then. */
bool worker_await(struct worker *worker, int64_t until_ns);
/* False: its thread does not come back, and is left behind. */
bool worker_stop(struct worker *worker, int64_t patience_ns);
void worker_unhold(struct worker *worker);
/* True: it was inside the call that it was in at `pulse`, and is no more one of us. */
bool worker_give_up(struct worker *worker, int64_t pulse);
void worker_give(struct worker *worker, struct job *job);
bool worker_withdraw(struct worker *worker, struct job *job); /* false: it runs already */
struct job *worker_withdraw_slow(struct worker *worker);      /* NULL: it runs, or there is none */
void run_attempt(struct worker *worker, struct attempt *attempt);
enum status turn_take(struct worker *worker, struct attempt *attempt,
                      const struct fit_progress *progress, struct error *error);
bool keeper_start(struct keeper *keeper);
void keeper_stop(struct keeper *keeper);
void keeper_store(struct keeper *keeper, struct job *job);
void keeper_trash(struct keeper *keeper, struct job *job);
void keeper_free(struct keeper *keeper, struct job_request **request); /* NULL is fine */

/* device.c */
enum status devices_open(struct dispatcher *dispatcher, const struct dispatcher_options *options,
                         struct error *error);
void handle_open_done(struct dispatcher *dispatcher, struct message *message);
/* What the world sees of a device, after any change of it. */
void device_publish(struct dispatcher *dispatcher, const struct worker *worker);
/* Why there is no GPU, for clients: "NO_DRIVER: what to do", without a path of ours. Any thread. */
void devices_absence(struct dispatcher *dispatcher, char out[192]);

#endif
