/* jobs_choose.c - thousands of generated loads under a fake clock: nobody starves, no byte too many. */
#include "host/base/memory.h"
#include "host/jobs/choose.h"
#include "tests/check.h"

#define SECOND INT64_C(1000000000)

enum { DEVICES = 3 };

/* A job by its bytes and the devices it may use, a bit each: it costs a second on any of them. */
struct wanting {
    struct choose_way way[DEVICES];
    int ways;
};

static struct choose_job wants(struct wanting *wanting, int64_t queued_ns, int64_t bytes,
                               unsigned devices)
{
    wanting->ways = 0;
    for (int d = 0; d < DEVICES; d++)
        if (devices >> d & 1)
            wanting->way[wanting->ways++] =
                (struct choose_way){.device = d, .bytes = bytes, .expected_ns = 1e9};
    return (struct choose_job){queued_ns, wanting->ways, wanting->way};
}

static void the_first_that_fits_runs_first(struct check *check)
{
    struct choose_device device[2] = {{.idle = true}, {.idle = false, .wait_ns = 1e9}};
    struct wanting w[3];
    struct choose_job job[3] = {wants(&w[0], 0, 200, 1), wants(&w[1], 1, 80, 1),
                                wants(&w[2], 2, 10, 1)};
    struct choose_snapshot snapshot = {
        .now_ns = 10, .bytes_free = 100, .jobs = 3, .job = job, .devices = 2, .device = device};

    check_equal_i64(check, choose(&snapshot).job, 1); /* 200 bytes are not free: 80 pass, for now */
    snapshot.bytes_free = 200;
    check_equal_i64(check, choose(&snapshot).job, 0);
    job[0] = wants(&w[0], 0, 200, 2); /* its device is busy */
    check_equal_i64(check, choose(&snapshot).job, 1);
    device[1].idle = true;
    check_equal_i64(check, choose(&snapshot).job, 0);
    check_equal_i64(check, w[0].way[choose(&snapshot).way].device, 1);
    device[0].idle = device[1].idle = false;
    check_equal_i64(check, choose(&snapshot).job, -1);
}

static void after_half_a_minute_nobody_passes(struct check *check)
{
    struct choose_device device[1] = {{.idle = true}};
    struct wanting w[2];
    struct choose_job job[2] = {wants(&w[0], 0, 200, 1), wants(&w[1], 1, 80, 1)};
    struct choose_snapshot snapshot = {.now_ns = 30 * SECOND - 1,
                                       .bytes_free = 100,
                                       .jobs = 2,
                                       .job = job,
                                       .devices = 1,
                                       .device = device};

    check_equal_i64(check, choose(&snapshot).job, 1);
    snapshot.now_ns++;
    check_equal_i64(check, choose(&snapshot).job, -1);
}

static void beside_one_that_waits_for_its_device_what_is_left_may_be_taken(struct check *check)
{
    struct choose_device device[2] = {{.idle = true}, {.idle = false}};
    struct wanting w[2];
    struct choose_job job[2] = {wants(&w[0], 0, 60, 2), wants(&w[1], 1, 41, 1)};
    struct choose_snapshot snapshot = {.now_ns = 40 * SECOND,
                                       .bytes_free = 100,
                                       .jobs = 2,
                                       .job = job,
                                       .devices = 2,
                                       .device = device};

    check_equal_i64(check, choose(&snapshot).job, -1); /* 41 would leave it 59 */
    job[1] = wants(&w[1], 1, 40, 1);
    check_equal_i64(check, choose(&snapshot).job, 1);
}

/* A GPU that is ten times as fast for one job, and slower for another. */
static void a_job_runs_where_it_ends_first(struct check *check)
{
    struct choose_device device[2] = {{.idle = true, .bytes_free = 100}, {.idle = true}};
    const struct choose_way large[2] = {{.device = 0, .device_bytes = 60, .expected_ns = 1e9},
                                        {.device = 1, .bytes = 10, .expected_ns = 10e9}};
    const struct choose_way small[2] = {{.device = 0, .device_bytes = 60, .expected_ns = 5e6},
                                        {.device = 1, .bytes = 10, .expected_ns = 1e6}};
    struct choose_job job[1] = {{0, 2, large}};
    struct choose_snapshot snapshot = {
        .now_ns = 10, .bytes_free = 100, .jobs = 1, .job = job, .devices = 2, .device = device};

    check_equal_i64(check, choose(&snapshot).way, 0);
    job[0].way = small;
    check_equal_i64(check, choose(&snapshot).way, 1);
    job[0].way = large;
    device[0].bytes_free = 59; /* its bytes are out with the fast lane */
    check_equal_i64(check, choose(&snapshot).way, 1);
    device[0] = (struct choose_device){.idle = false, .bytes_free = 100, .wait_ns = 8.9e9};
    check_equal_i64(check, choose(&snapshot).job,
                    -1); /* after the wait it ends first all the same */
    device[0].wait_ns = 9.1e9;
    check_equal_i64(check, choose(&snapshot).way, 1);
    device[0].wait_ns = 8.9e9;
    snapshot.now_ns = 30 * SECOND; /* but not for ever */
    check_equal_i64(check, choose(&snapshot).way, 1);
}

static void who_waits_for_a_device_is_counted_by_who_comes_after(struct check *check)
{
    struct choose_device device[2] = {{.idle = false, .wait_ns = 2e9}, {.idle = true}};
    const struct choose_way way[2] = {{.device = 0, .expected_ns = 4e9},
                                      {.device = 1, .expected_ns = 10e9}};
    struct choose_job job[3] = {{0, 2, way}, {1, 2, way}, {2, 2, way}};
    struct choose_snapshot snapshot = {
        .now_ns = 10, .bytes_free = 100, .jobs = 1, .job = job, .devices = 2, .device = device};

    check_equal_i64(check, choose(&snapshot).job, -1); /* 6 s there, 10 s here */
    snapshot.jobs = 2;
    check_equal_i64(check, choose(&snapshot).job, 1); /* 10 s each way: the one that is open */
    check_equal_i64(check, choose(&snapshot).way, 1);
}

static void pinned_bytes_are_bounded_like_the_others(struct check *check)
{
    struct choose_device device[1] = {{.idle = true, .bytes_free = 100, .pinned_free = 10}};
    struct choose_way way[1] = {{.device = 0, .device_bytes = 100, .pinned_bytes = 11}};
    struct choose_job job[1] = {{0, 1, way}};
    struct choose_snapshot snapshot = {
        .now_ns = 10, .bytes_free = 100, .jobs = 1, .job = job, .devices = 1, .device = device};

    check_equal_i64(check, choose(&snapshot).job, -1);
    way[0].pinned_bytes = 10;
    check_equal_i64(check, choose(&snapshot).job, 0);
    way[0].device_bytes = 101;
    check_equal_i64(check, choose(&snapshot).job, -1);
}

/* A machine of jobs that come, wait, run and end. */
enum { JOBS = 60 };
struct load {
    int64_t budget, used, now;
    int count; /* waiting, in order */
    struct choose_job waiting[JOBS];
    struct wanting wanting[JOBS + 400]; /* of each job that ever came */
    int came;
    int64_t lasts[JOBS];
    struct choose_device device[DEVICES];
    int64_t ends[DEVICES], bytes[DEVICES];
    int64_t longest_wait, longest_run;
    int ran;
};

static void load_start(struct check *check, struct load *load, struct choice choice)
{
    struct choose_job *job = &load->waiting[choice.job];
    const struct choose_way *way = &job->way[choice.way];
    int64_t waited = load->now - job->queued_ns;

    check_true(check, choice.way >= 0 && choice.way < job->ways);
    check_true(check, load->device[way->device].idle);
    load->used += way->bytes;
    check_true(check, load->used <= load->budget);
    load->device[way->device].idle = false;
    load->ends[way->device] = load->now + load->lasts[choice.job];
    load->bytes[way->device] = way->bytes;
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
                                           .device = load->device};
        for (int d = 0; d < DEVICES; d++)
            load->device[d].wait_ns =
                load->device[d].idle ? 0 : (double)(load->ends[d] - load->now);
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
        if (!load->device[d].idle && (first < 0 || load->ends[d] < load->ends[first]))
            first = d;
    if (first < 0 || load->ends[first] > until) {
        load->now = until;
        return false;
    }
    load->now = load->ends[first];
    load->used -= load->bytes[first];
    load->device[first].idle = true;
    return true;
}

static void one_load(struct check *check, uint64_t *state)
{
    struct load load = {.budget = 1000, .device = {{.idle = true}, {.idle = true}, {.idle = true}}};

    for (int i = 0; i < JOBS; i++) {
        int64_t gap = (int64_t)(check_uniform(state) * 3 * (double)SECOND);
        int64_t run = (int64_t)(check_uniform(state) * 20 * (double)SECOND);
        int64_t most = check_random(state) % 8 == 0 ? 1000 : 200;
        int64_t arrives = load.now + gap;
        while (load_step(&load, arrives))
            load_schedule(check, &load);
        int64_t bytes = (int64_t)(check_uniform(state) * (double)most);
        load.waiting[load.count] = wants(&load.wanting[load.came++], load.now, bytes,
                                         1 + (unsigned)(check_random(state) % 7));
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
    struct load load = {.budget = 1000, .device = {{.idle = true}, {.idle = true}, {.idle = true}}};
    uint64_t state = 3;
    bool started = false;

    for (int i = 0; i < 400 && !started; i++) {
        if (i == 3) {
            load.waiting[load.count] = wants(&load.wanting[load.came++], load.now, 1000, 7);
            load.lasts[load.count++] = SECOND;
        } else {
            load.waiting[load.count] = wants(&load.wanting[load.came++], load.now, 100, 7);
            load.lasts[load.count++] = (int64_t)(check_uniform(&state) * 5 * (double)SECOND);
        }
        load_schedule(check, &load);
        for (int d = 0; d < DEVICES; d++)
            started |= !load.device[d].idle && load.bytes[d] == 1000;
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
       CLAIM(a_job_runs_where_it_ends_first),
       CLAIM(who_waits_for_a_device_is_counted_by_who_comes_after),
       CLAIM(pinned_bytes_are_bounded_like_the_others),
       CLAIM(every_job_of_every_load_runs_within_the_budget),
       CLAIM(a_stream_of_small_jobs_does_not_starve_a_large_one))
