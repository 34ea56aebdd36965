/* jobs_choose.c - thousands of generated loads under a fake clock: nobody starves, no byte too many. */
#include "host/base/memory.h"
#include "host/jobs/choose.h"
#include "tests/check.h"

#define SECOND INT64_C(1000000000)

static void the_first_that_fits_runs_first(struct check *check)
{
    bool idle[2] = {true, false};
    struct choose_job job[3] = {{0, 200, 1}, {1, 80, 1}, {2, 10, 1}};
    struct choose_snapshot snapshot = {
        .now_ns = 10, .bytes_free = 100, .jobs = 3, .job = job, .devices = 2, .idle = idle};

    check_equal_i64(check, choose(&snapshot).job, 1); /* 200 bytes are not free: 80 pass, for now */
    snapshot.bytes_free = 200;
    check_equal_i64(check, choose(&snapshot).job, 0);
    job[0].devices = 2; /* its device is busy */
    check_equal_i64(check, choose(&snapshot).job, 1);
    idle[1] = true;
    check_equal_i64(check, choose(&snapshot).job, 0);
    check_equal_i64(check, choose(&snapshot).device, 1);
    idle[0] = idle[1] = false;
    check_equal_i64(check, choose(&snapshot).job, -1);
}

static void after_half_a_minute_nobody_passes(struct check *check)
{
    bool idle[1] = {true};
    struct choose_job job[2] = {{0, 200, 1}, {1, 80, 1}};
    struct choose_snapshot snapshot = {.now_ns = 30 * SECOND - 1,
                                       .bytes_free = 100,
                                       .jobs = 2,
                                       .job = job,
                                       .devices = 1,
                                       .idle = idle};

    check_equal_i64(check, choose(&snapshot).job, 1);
    snapshot.now_ns++;
    check_equal_i64(check, choose(&snapshot).job, -1);
}

static void beside_one_that_waits_for_its_device_what_is_left_may_be_taken(struct check *check)
{
    bool idle[2] = {true, false};
    struct choose_job job[2] = {{0, 60, 2}, {1, 41, 1}};
    struct choose_snapshot snapshot = {.now_ns = 40 * SECOND,
                                       .bytes_free = 100,
                                       .jobs = 2,
                                       .job = job,
                                       .devices = 2,
                                       .idle = idle};

    check_equal_i64(check, choose(&snapshot).job, -1); /* 41 would leave it 59 */
    job[1].bytes = 40;
    check_equal_i64(check, choose(&snapshot).job, 1);
}

/* A machine of jobs that come, wait, run and end. */
enum { JOBS = 60, DEVICES = 3 };
struct load {
    int64_t budget, used, now;
    int count; /* waiting, in order */
    struct choose_job waiting[JOBS];
    int64_t lasts[JOBS];
    bool idle[DEVICES];
    int64_t ends[DEVICES], bytes[DEVICES];
    int64_t longest_wait, longest_run;
    int ran;
};

static void load_start(struct check *check, struct load *load, struct choice choice)
{
    struct choose_job *job = &load->waiting[choice.job];
    int64_t waited = load->now - job->queued_ns;

    check_true(check, load->idle[choice.device]);
    check_true(check, job->devices >> choice.device & 1);
    load->used += job->bytes;
    check_true(check, load->used <= load->budget);
    load->idle[choice.device] = false;
    load->ends[choice.device] = load->now + load->lasts[choice.job];
    load->bytes[choice.device] = job->bytes;
    if (waited > load->longest_wait)
        load->longest_wait = waited;
    load->ran++;
    load->count--;
    memmove(job, job + 1, (size_t)(load->count - choice.job) * sizeof *job);
    memmove(&load->lasts[choice.job], &load->lasts[choice.job + 1],
            (size_t)(load->count - choice.job) * sizeof *load->lasts);
}

static void load_schedule(struct check *check, struct load *load)
{
    for (;;) {
        struct choose_snapshot snapshot = {.now_ns = load->now,
                                           .bytes_free = load->budget - load->used,
                                           .jobs = load->count,
                                           .job = load->waiting,
                                           .devices = DEVICES,
                                           .idle = load->idle};
        struct choice choice = choose(&snapshot);
        if (choice.job < 0)
            return;
        load_start(check, load, choice);
    }
}

/* To the next end of a job or to `until`, whichever comes first. False: nothing runs any more. */
static bool load_step(struct load *load, int64_t until)
{
    int first = -1;

    for (int d = 0; d < DEVICES; d++)
        if (!load->idle[d] && (first < 0 || load->ends[d] < load->ends[first]))
            first = d;
    if (first < 0 || load->ends[first] > until) {
        load->now = until;
        return false;
    }
    load->now = load->ends[first];
    load->used -= load->bytes[first];
    load->idle[first] = true;
    return true;
}

static void one_load(struct check *check, uint64_t *state)
{
    struct load load = {.budget = 1000, .idle = {true, true, true}};

    for (int i = 0; i < JOBS; i++) {
        int64_t gap = (int64_t)(check_uniform(state) * 3 * (double)SECOND);
        int64_t run = (int64_t)(check_uniform(state) * 20 * (double)SECOND);
        int64_t most = check_random(state) % 8 == 0 ? 1000 : 200;
        int64_t arrives = load.now + gap;
        while (load_step(&load, arrives))
            load_schedule(check, &load);
        load.waiting[load.count] =
            (struct choose_job){.queued_ns = load.now,
                                .bytes = (int64_t)(check_uniform(state) * (double)most),
                                .devices = 1 + check_random(state) % 7};
        load.lasts[load.count++] = run;
        load.longest_run = run > load.longest_run ? run : load.longest_run;
        load_schedule(check, &load);
    }
    while (load_step(&load, INT64_MAX))
        load_schedule(check, &load);
    check_equal_i64(check, load.ran, JOBS);
    check_equal_i64(check, load.count, 0);
    check_equal_i64(check, load.used, 0);
}

static void every_job_of_every_load_runs_within_the_budget(struct check *check)
{
    for (uint64_t seed = 1; seed <= 5000 && check->failures == 0; seed++) {
        uint64_t state = seed;
        check_note(check, "seed %llu", (unsigned long long)seed);
        one_load(check, &state);
    }
}

/* One large job, then a stream of small ones without end: it starts once those that ran when its half
 * minute was over have ended. */
static void a_stream_of_small_jobs_does_not_starve_a_large_one(struct check *check)
{
    struct load load = {.budget = 1000, .idle = {true, true, true}};
    uint64_t state = 3;
    bool started = false;

    for (int i = 0; i < 400 && !started; i++) {
        if (i == 3) {
            load.waiting[load.count] =
                (struct choose_job){.queued_ns = load.now, .bytes = 1000, .devices = 7};
            load.lasts[load.count++] = SECOND;
        } else {
            load.waiting[load.count] =
                (struct choose_job){.queued_ns = load.now, .bytes = 100, .devices = 7};
            load.lasts[load.count++] = (int64_t)(check_uniform(&state) * 5 * (double)SECOND);
        }
        load_schedule(check, &load);
        for (int d = 0; d < DEVICES; d++)
            started |= !load.idle[d] && load.bytes[d] == 1000;
        int64_t next = load.now + SECOND / 2;
        while (load_step(&load, next))
            load_schedule(check, &load);
        while (load.count > JOBS - 2) { /* the caller's queue is bounded: the newest are refused */
            load.count--;
        }
    }
    check_true(check, started);
    check_true(check, load.longest_wait <=
                          37 * SECOND); /* 30 s, and what then ran: at most 5 s, in steps */
}

CHECKS(CLAIM(the_first_that_fits_runs_first), CLAIM(after_half_a_minute_nobody_passes),
       CLAIM(beside_one_that_waits_for_its_device_what_is_left_may_be_taken),
       CLAIM(every_job_of_every_load_runs_within_the_budget),
       CLAIM(a_stream_of_small_jobs_does_not_starve_a_large_one))
