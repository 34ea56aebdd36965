/* jobs_lost.c - jobs on a GPU that is lost or hangs: whatever fails, and wherever, the answer is the same
 * or the refusal is in the right words. */
#include "tests/unit/jobs_gpu.h"

/* Every entry that a fit calls and that may fail, with a fit that calls it. */
static const struct victim {
    const char *entry;
    fit_maker *make;
} VICTIMS[] = {
    {"work_open", gpu_fit},
    {"load", gpu_fit},
    {"facts", gpu_fit},
    {"moments", gpu_fit},
    {"grid_set", gpu_fit},
    {"seed_take", gpu_fit},
    {"seed_total", gpu_fit},
    {"seed_find", gpu_fit},
    {"seed_try", gpu_fit},
    {"gather", gpu_fit},
    {"begin", gpu_fit},
    {"assign", gpu_fit},
    {"assigned", gpu_fit},
    {"sums_read", gpu_fit},
    {"inertia", gpu_fit},
    {"labels_read", gpu_fit},
    {"wait", gpu_fit},
    {"seed_reset", gpu_fit_random},
    {"seed_mark", gpu_fit_random},
    {"seed_largest", gpu_fit_random},
    {"farthest", gpu_fit_centers},
};
enum { VICTIMS_COUNT = sizeof VICTIMS / sizeof *VICTIMS };

/* One fit whose device fails in the nth call of an entry: the same answer from the CPU, said so. */
static void one_failure(struct check *check, const struct victim *victim, int nth,
                        const char *action, bool forbid)
{
    const char *entry = victim->entry;
    bool hung = strcmp(action, "HANG") == 0;
    struct scene scene = {.limits = hung ? impatient() : limits_default()};
    char words[96], start[96];

    check_note(check, "%s:%d:%s%s", entry, nth, action, forbid ? ", no fallback" : "");
    snprintf(words, sizeof words, "fail=%s:%d:%s", entry, nth, action);
    if (!gpu_open(check, &scene, words))
        return;
    struct job_request *request = victim->make(5);
    request->placement.forbid_fallback = forbid;
    struct job_view *want = cpu_fit_of(&scene, victim->make, 5);
    struct job_view *view = run_request(&scene, request);
    if (fake_calls(0) < nth) {
        check_failed(check, __FILE__, __LINE__, "the fit never came to the failure");
    } else if (forbid) {
        check_equal_i64(check, view->state, JOB_FAILED);
        check_equal_i64(check, view->error.status, STATUS_DEVICE_LOST);
        check_equal_text(check, error_value(&view->error, "device"), "cuda:0");
    } else {
        check_same_fit(check, view, want);
        check_equal_text(check, view->report.backend, "cpu");
        snprintf(start, sizeof start, "cuda:0 -> cpu: DEVICE_LOST (%s%s",
                 hung ? "a call did not come back" : "fake error 700 in ", hung ? "" : entry);
        check_fallback(check, view, 0, start);
    }
    check_equal_text(check, device_of(&scene, 0).state, "SUSPECT");
    check_equal_text(check, device_of(&scene, 0).reason_name, hung ? "DEVICE_HUNG" : "DEVICE_LOST");
    job_view_unpin(&view);
    job_view_unpin(&want);
    gpu_close(check, &scene);
}

static void a_device_lost_in_any_entry_changes_no_bit(struct check *check)
{
    static const struct victim assign = {"assign", gpu_fit}, wait = {"wait", gpu_fit};

    for (int v = 0; v < VICTIMS_COUNT; v++) {
        one_failure(check, &VICTIMS[v], 1, "DEVICE_LOST", false);
        one_failure(check, &VICTIMS[v], 1, "DEVICE_LOST", true);
    }
    one_failure(check, &assign, 3, "DEVICE_LOST", false);
    one_failure(check, &wait, 11, "DEVICE_LOST", false);
}

/* A card whose results were seen to be wrong is set apart, and its job has the right bits elsewhere. */
static void a_device_that_is_seen_to_be_wrong_is_quarantined(struct check *check)
{
    struct scene scene = {.limits = limits_default()};

    if (!gpu_open(check, &scene, "fail=assign:2:NOTICED"))
        return;
    struct job_view *want = cpu_fit_of(&scene, gpu_fit, 5);
    struct job_view *view = run_request(&scene, gpu_fit(5));
    check_same_fit(check, view, want);
    check_equal_text(check, view->report.backend, "cpu");
    check_equal_text(check, device_of(&scene, 0).state, "QUARANTINED");
    check_equal_text(check, device_of(&scene, 0).reason_name, "DEVICE_WRONG");
    job_view_unpin(&view);
    job_view_unpin(&want);
    gpu_close(check, &scene);
}

/* The other GPU is as good as the first, but it is another. */
static void a_forbidden_fallback_is_none_to_another_gpu_either(struct check *check)
{
    static const char *const orders[] = {"devices=2 fail=assign@0:1:DEVICE_LOST",
                                         "devices=2 fail=assign@0:1:HANG"};

    for (int i = 0; i < 2; i++) {
        struct scene scene = {.limits = impatient()};
        check_note(check, "%s", orders[i]);
        if (!gpu_open(check, &scene, orders[i]))
            return;
        struct job_request *request = gpu_fit(5);
        request->placement.forbid_fallback = true;
        struct job_view *view = run_request(&scene, request);
        check_equal_text(check, job_state_name(view->state), "FAILED");
        check_equal_i64(check, view->error.status, STATUS_DEVICE_LOST);
        job_view_unpin(&view);
        gpu_close(check, &scene);
    }
}

/* It waits for a device that goes: it ends, and hears why. */
static void who_waits_for_a_lost_device_and_no_other_fails(struct check *check)
{
    struct scene scene = {.limits = impatient()};
    struct inbox inbox[2];
    char name[64];

    if (!gpu_open(check, &scene, "fail=assign:2:HANG"))
        return;
    for (int i = 0; i < 2; i++) {
        struct job_request *request = gpu_fit(5);
        request->placement.forbid_fallback = true;
        check_true(check, submit(&scene, request, &inbox[i], name));
    }
    for (int i = 0; i < 2; i++) {
        inbox_wait(&inbox[i], &inbox[i].finished, 1);
        check_equal_text(check, job_state_name(inbox[i].last->state), "FAILED");
        check_equal_i64(check, inbox[i].last->error.status, STATUS_DEVICE_LOST);
        check_equal_text(check, error_value(&inbox[i].last->error, "device"), "cuda:0");
        inbox_clear(&inbox[i]);
    }
    gpu_close(check, &scene);
}

static void a_device_that_hangs_in_any_entry_changes_no_bit(struct check *check)
{
    static const struct victim assign = {"assign", gpu_fit};

    for (int v = 0; v < VICTIMS_COUNT; v++)
        one_failure(check, &VICTIMS[v], 1, "HANG", false);
    one_failure(check, &assign, 3, "HANG", false);
    one_failure(check, &assign, 1, "HANG", true);
}

static void a_lost_fit_goes_on_from_its_last_whole_round(struct check *check)
{
    struct scene scene = {0};

    if (!gpu_open(check, &scene,
                  "devices=2 tile_rows=20000 fail=assign@0:40:DEVICE_LOST "
                  "fail=assign@1:1000:DEVICE_LOST"))
        return;
    struct job_view *view = run_request(&scene, gpu_fit_long(5));
    struct job_view *want = cpu_fit_of(&scene, gpu_fit_long, 5);
    check_same_fit(check, view, want);
    check_equal_text(check, view->report.device, "Fake GPU 1");
    check_fallback(check, view, 0, "cuda:0 -> cuda:1: DEVICE_LOST (fake error 700 in assign)");
    check_note(check, "%lld assignments on the second device", (long long)fake_calls(1));
    check_true(check, fake_calls(1) <= 12); /* not the 42 of a fit from its beginning */
    job_view_unpin(&view);
    job_view_unpin(&want);
    gpu_close(check, &scene);
}

static struct job_request *gpu_predict(enum job_kind kind, bool gpu)
{
    struct job_request *request = predict_request(400, 3, 5, 9);

    request->kind = kind;
    request->want_distances = kind == JOB_PREDICT;
    request->placement.backend = gpu ? PLACE_GPU : PLACE_CPU;
    return request;
}

static void predictions_and_evaluations_start_again_elsewhere(struct check *check)
{
    static const char *const orders[] = {
        "fail=assign:1:DEVICE_LOST", "fail=labels_read:1:HANG",     "fail=distances:1:DEVICE_LOST",
        "fail=load:1:HANG",          "fail=facts:1:DEVICE_LOST",    "fail=begin:1:HANG",
        "fail=inertia:1:HANG",       "fail=sums_read:1:DEVICE_LOST"};

    for (int i = 0; i < 8; i++) {
        enum job_kind kind = i < 6 ? JOB_PREDICT : JOB_EVALUATE;
        struct scene scene = {.limits = impatient()};
        check_note(check, "%s", orders[i]);
        if (!gpu_open(check, &scene, orders[i]))
            return;
        struct job_view *want = run_request(&scene, gpu_predict(kind, false));
        struct job_view *view = run_request(&scene, gpu_predict(kind, true));
        check_fallback(check, view, 0, "cuda:0 -> cpu: DEVICE_LOST");
        if (check_true(check, want && view && want->result && view->result)) {
            const struct job_result *a = view->result, *b = want->result;
            if (kind == JOB_PREDICT) {
                check_equal_bytes(check, a->labels, b->labels, 400 * sizeof(int32_t));
                check_equal_bytes(check, a->distances, b->distances, 400 * 5 * sizeof(double));
            } else {
                check_equal_bits(check, a->inertia.inertia, b->inertia.inertia);
            }
        }
        job_view_unpin(&view);
        job_view_unpin(&want);
        gpu_close(check, &scene);
    }
}

/* Ten problems of seventy rows. */
static struct job_request *gpu_batch(enum placement_backend backend)
{
    enum { PROBLEMS = 10 };
    struct job_request *request = gpu_fit(4);

    request->kind = JOB_FIT_BATCH;
    request->placement.backend = backend;
    request->params.history = false;
    request->problems = PROBLEMS;
    request->problem_row = memory_new(PROBLEMS + 1, sizeof *request->problem_row);
    for (int p = 0; p <= PROBLEMS; p++)
        request->problem_row[p] = p * 70;
    return request;
}

static void a_batch_starts_again_elsewhere(struct check *check)
{
    static const char *const orders[] = {"", "fail=fits:1:DEVICE_LOST", "fail=fits:1:HANG",
                                         "fail=fits:1:OUT_OF_MEMORY"};

    for (int i = 0; i < 4; i++) {
        struct scene scene = {.limits = impatient()};
        check_note(check, "%s", orders[i]);
        if (!gpu_open(check, &scene, orders[i]))
            return;
        struct job_view *want = run_request(&scene, gpu_batch(PLACE_CPU));
        struct job_view *view = run_request(&scene, gpu_batch(PLACE_GPU));
        if (check_true(check, want && view && want->result && view->result)) {
            const struct batch_result *a = &view->result->batch, *b = &want->result->batch;
            check_equal_i64(check, a->failed, 0);
            check_equal_bytes(check, a->labels, b->labels, 700 * sizeof(int32_t));
            check_equal_bytes(check, a->centers, b->centers, 10 * 7 * 3 * sizeof(double));
            check_equal_i64(check, view->report.fallbacks, i > 0);
            check_equal_text(check, view->report.backend, i % 3 == 0 ? "cuda" : "cpu");
        }
        job_view_unpin(&view);
        job_view_unpin(&want);
        gpu_close(check, &scene);
    }
}

/* One hangs, others wait behind it in both lanes: all end, and well. */
static void line_up(struct check *check, const char *order, bool fast_first)
{
    enum { WAITING = 6 };
    struct scene scene = {.limits = impatient()};
    struct inbox inbox[WAITING + 1];
    char name[64];

    check_note(check, "%s", order);
    if (!gpu_open(check, &scene, order))
        return;
    struct job_view *want = cpu_fit(&scene, 2);
    for (int i = 0; i <= WAITING; i++) {
        bool fast = (i % 2 == 0) == fast_first;
        struct job_request *request = fast ? gpu_predict(JOB_PREDICT, true) : gpu_fit(2);
        inbox_init(&inbox[i]);
        if (fast)
            job_submit(scene.dispatcher, request, NULL, on_finished, &inbox[i]);
        else
            check_true(check, submit(&scene, request, &inbox[i], name));
        while (i == 0 && fake_number("fake_gpu_hanging") == 0)
            usleep(1000);
    }
    for (int i = 0; i <= WAITING; i++) {
        inbox_wait(&inbox[i], &inbox[i].finished, 1);
        if (check_true(check, inbox[i].last != NULL))
            check_equal_text(check, job_state_name(inbox[i].last->state), "SUCCEEDED");
        if (inbox[i].last && inbox[i].last->kind == JOB_FIT)
            check_same_fit(check, inbox[i].last, want);
        inbox_clear(&inbox[i]);
    }
    job_view_unpin(&want);
    gpu_close(check, &scene);
}

static void whoever_waits_behind_a_hang_goes_elsewhere(struct check *check)
{
    line_up(check, "fail=seed_try:2:HANG", false); /* a fit, and all behind it */
    line_up(check, "fail=labels_read:1:HANG",
            true); /* a prediction alone on the device: a fit has its seat */
}

/* Bytes of the same fit by its plan on one kind of device. */
static int64_t bytes_on(struct scene *scene, fit_maker *make, enum placement_backend backend)
{
    struct job_estimate estimate = {.bytes = 0};
    struct job_request *request = make(1);

    request->placement.backend = backend;
    job_estimate(scene->dispatcher, request, &estimate, &scene->error);
    job_request_free(&request);
    return estimate.bytes;
}

/* Many centers: what a thread of the CPU holds of them, a GPU does not take from the host. */
static struct job_request *gpu_fit_wide(uint64_t seed)
{
    struct job_request *request = fit_request(3000, 40, 600, seed);

    request->placement.backend = PLACE_GPU;
    request->params.max_iter = 2;
    return request;
}

static void a_lost_fit_that_the_cpu_could_never_hold_fails_and_does_not_wait(struct check *check)
{
    struct scene scene = {0};

    if (!gpu_open(check, &scene, ""))
        return;
    int64_t cpu = bytes_on(&scene, gpu_fit_wide, PLACE_CPU);
    int64_t gpu = bytes_on(&scene, gpu_fit_wide, PLACE_GPU);
    gpu_close(check, &scene);
    check_note(check, "%lld bytes on the CPU, %lld on the GPU", (long long)cpu, (long long)gpu);
    if (!check_true(check, gpu < cpu * 7 / 8)) /* an eighth is the fast lane's */
        return;
    fake_set("fail=assign:1:DEVICE_LOST");
    memset(&scene, 0, sizeof scene);
    scene.backend_dir = FAKE;
    scene.limits = limits_default();
    if (!check_true(check, scene_start(&scene, cpu - 1)))
        return;
    struct job_view *view = run_request(&scene, gpu_fit_wide(1));
    if (check_true(check, view != NULL)) {
        check_equal_text(check, job_state_name(view->state), "FAILED");
        check_equal_i64(check, view->error.status, STATUS_DEVICE_LOST);
    }
    job_view_unpin(&view);
    gpu_close(check, &scene);
}

static void a_job_that_hangs_can_be_cancelled_and_drained(struct check *check)
{
    struct scene scene = {.limits = impatient()};
    struct inbox inbox;
    char name[64];

    scene.limits.hang_ms = 3600000; /* nobody gives up by himself */
    if (!gpu_open(check, &scene, "fail=assign:3:HANG"))
        return;
    check_true(check, submit(&scene, gpu_fit(2), &inbox, name));
    while (fake_number("fake_gpu_hanging") == 0)
        usleep(1000);
    int64_t begun = clock_ns();
    dispatcher_drain(scene.dispatcher, begun + 20 * MS);
    check_true(check, clock_ns() - begun < 20000 * MS);
    inbox_wait(&inbox, &inbox.finished, 1);
    check_equal_text(check, job_state_name(inbox.last->state), "CANCELLED");
    check_equal_i64(check, inbox.last->error.status, STATUS_DRAINING);
    inbox_clear(&inbox);
    gpu_close(check, &scene);
}

static void a_stop_does_not_wait_for_a_device_that_hangs_in_close(struct check *check)
{
    struct scene scene = {.limits = impatient()};

    if (!gpu_open(check, &scene, "fail=close:1:HANG"))
        return;
    check_true(check, !dispatcher_stop(&scene.dispatcher));
    gpu_close(check, &scene);
}

#ifdef BARY_FAULTS
/* A fit that loses its device while the nth allocation fails: it ends well, or says which of the two it
 * was. True: it ended well. */
static bool lost_without_memory(struct check *check, const char *order, int nth)
{
    struct scene scene = {.limits = impatient()};
    char fault[48];

    snprintf(fault, sizeof fault, "memory:%d:fail", nth);
    check_note(check, "%s, BARY_FAULT=%s", order, fault);
    if (!gpu_open(check, &scene, order))
        return true;
    struct job_view *want = cpu_fit(&scene, 5);
    struct job_request *request = gpu_fit(5);
    fault_set(fault);
    struct job_view *view = run_request(&scene, request);
    fault_set(NULL);
    enum status status = view ? view->error.status : scene.error.status;
    check_true(check, status == STATUS_OK || status == STATUS_OUT_OF_MEMORY ||
                          status == STATUS_DEVICE_LOST);
    if (status == STATUS_OK)
        check_same_fit(check, view, want);
    job_view_unpin(&view);
    job_view_unpin(&want);
    gpu_close(check, &scene);
    return status == STATUS_OK;
}

static void each_allocation_of_a_job_that_moves_may_fail(struct check *check)
{
    int good = 0;

    for (int nth = 1; nth < 300 && good < 20; nth++)
        good = lost_without_memory(check, "fail=assign:2:DEVICE_LOST", nth) ? good + 1 : 0;
    check_equal_i64(check, good, 20);
    for (int nth = 30; nth < 45; nth++) /* about where the second attempt is made */
        lost_without_memory(check, "fail=assign:2:HANG", nth);
}
#define FAULT_CLAIMS , CLAIM(each_allocation_of_a_job_that_moves_may_fail)
#else
#define FAULT_CLAIMS
#endif

CHECKS(CLAIM(a_device_lost_in_any_entry_changes_no_bit),
       CLAIM(a_device_that_is_seen_to_be_wrong_is_quarantined),
       CLAIM(a_device_that_hangs_in_any_entry_changes_no_bit),
       CLAIM(a_forbidden_fallback_is_none_to_another_gpu_either),
       CLAIM(who_waits_for_a_lost_device_and_no_other_fails),
       CLAIM(a_lost_fit_goes_on_from_its_last_whole_round),
       CLAIM(predictions_and_evaluations_start_again_elsewhere),
       CLAIM(a_batch_starts_again_elsewhere), CLAIM(whoever_waits_behind_a_hang_goes_elsewhere),
       CLAIM(a_lost_fit_that_the_cpu_could_never_hold_fails_and_does_not_wait),
       CLAIM(a_job_that_hangs_can_be_cancelled_and_drained),
       CLAIM(a_stop_does_not_wait_for_a_device_that_hangs_in_close) FAULT_CLAIMS)
