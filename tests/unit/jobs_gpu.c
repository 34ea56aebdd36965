/* jobs_gpu.c - jobs on a GPU that fails to order: where they run, what they fall back to, and that
 * whatever fails, and wherever, the answer is the same or the refusal is in the right words. */
#include "tests/faults/steer.h"
#include "tests/unit/jobs_scene.h"

static bool gpu_open(struct check *check, struct scene *scene, const char *words)
{
    fake_set(words);
    scene->backend_dir = FAKE;
    if (scene->limits.calls == 0)
        scene->limits = limits_default();
    return scene_open(check, scene);
}

/* Threads that hang come back and clean up: nothing is left on the device. */
static void gpu_close(struct check *check, struct scene *scene)
{
    scene_close(check, scene);
    fake_release();
    for (int i = 0; i < 5000 && fake_number("fake_gpu_used") + fake_number("fake_gpu_hanging"); i++)
        usleep(1000);
    check_equal_i64(check, fake_number("fake_gpu_hanging"), 0);
    check_equal_i64(check, fake_number("fake_gpu_used"), 0);
}

/* The fit of all claims here: a few thousand rows, seeded, with an empty cluster now and then. */
static struct job_request *gpu_fit(uint64_t seed)
{
    struct job_request *request = fit_request(700, 3, 7, seed);

    request->placement.backend = PLACE_GPU;
    request->params.history = true;
    return request;
}

/* Seeded by draws among weights, so that rows are marked; or from centers of which one is far off and gets no row. */
static struct job_request *gpu_fit_random(uint64_t seed)
{
    struct job_request *request = gpu_fit(seed);

    request->params.init = INIT_RANDOM;
    request->weight = memory_new(700, sizeof *request->weight);
    request->weight_count = 700;
    for (int i = 0; i < 700; i++)
        request->weight[i] = 1 + i % 3;
    return request;
}

static struct job_request *gpu_fit_centers(uint64_t seed)
{
    struct job_request *request = gpu_fit(seed);
    double *centers = memory_zeroed(7 * 3, sizeof *centers);

    for (int i = 0; i < 7 * 3; i++)
        centers[i] = i < 3 ? 1e6 : i;
    request->params.init = INIT_CENTERS;
    request->params.init_centers = centers;
    request->init_rows = 7;
    request->init_columns = 3;
    return request;
}

/* Rounds that take far longer than to save one. */
static struct job_request *gpu_fit_long(uint64_t seed)
{
    struct job_request *request = fit_request(20000, 3, 7, seed);

    request->placement.backend = PLACE_GPU;
    request->params.history = request->params.fixed_rounds = true;
    request->params.max_iter = 41;
    return request;
}

typedef struct job_request *fit_maker(uint64_t seed);

/* The same on the CPU alone. */
static struct job_view *cpu_fit_of(struct scene *scene, fit_maker *make, uint64_t seed)
{
    struct job_request *request = make(seed);

    request->placement.backend = PLACE_CPU;
    return run_request(scene, request);
}

static struct job_view *cpu_fit(struct scene *scene, uint64_t seed)
{
    return cpu_fit_of(scene, gpu_fit, seed);
}

static void check_same_fit(struct check *check, const struct job_view *got,
                           const struct job_view *want)
{
    if (!check_true(check, got && want && got->result && want->result)) {
        char text[1024];
        if (got)
            check_failed(check, __FILE__, __LINE__, "%s",
                         error_message(&got->error, text, sizeof text));
        return;
    }
    const struct kmeans_result *a = &got->result->fit, *b = &want->result->fit;
    check_equal_i64(check, a->n_iter, b->n_iter);
    check_equal_bits(check, a->inertia, b->inertia);
    check_equal_bytes(check, a->centers, b->centers,
                      (size_t)(b->n_clusters * b->columns) * sizeof(double));
    check_equal_bytes(check, a->labels, b->labels, (size_t)b->rows * sizeof(int32_t));
    check_equal_bytes(check, a->history, b->history, (size_t)b->n_iter * sizeof(double));
}

static struct device_view device_of(struct scene *scene, int device)
{
    struct dispatcher_view view;

    dispatcher_view(scene->dispatcher, &view);
    return view.device[device];
}

static void check_fallback(struct check *check, const struct job_view *view, int step,
                           const char *start)
{
    if (!check_true(check, view && view->report.fallbacks > step))
        return;
    check_note(check, "fallback %d is: %s", step, view->report.fallback[step]);
    check_true(check, strncmp(view->report.fallback[step], start, strlen(start)) == 0);
}

static void jobs_run_where_they_end_first(struct check *check)
{
    struct scene scene = {0};

    if (!gpu_open(check, &scene, "row_ns=0.001 tile_ns=50000 copy_ns=0.001"))
        return;
    struct job_view *small = run_request(&scene, fit_request(60, 2, 2, 1));
    check_equal_text(check, small->report.backend, "cpu");
    check_equal_i64(check, small->report.fallbacks, 0);
    struct job_view *large = run_request(&scene, fit_request(30000, 8, 16, 1));
    check_equal_text(check, large->report.backend, "cuda");
    check_equal_text(check, large->report.device, "Fake GPU 0");
    check_equal_text(check, large->report.method, "canonical-fake");
    check_equal_i64(check, large->report.fallbacks, 0);
    job_view_unpin(&small);
    job_view_unpin(&large);
    gpu_close(check, &scene);
}

static void a_placement_is_honored(struct check *check)
{
    struct scene scene = {0};

    if (!gpu_open(check, &scene, "devices=2"))
        return;
    struct job_view *want = cpu_fit(&scene, 1);
    check_equal_text(check, want->report.backend, "cpu");
    for (int device = -1; device < 2; device++) {
        struct job_request *request = gpu_fit(1);
        request->placement.device = device;
        request->placement.forbid_fallback = true;
        struct job_view *view = run_request(&scene, request);
        check_same_fit(check, view, want);
        check_equal_text(check, view->report.device, device == 1 ? "Fake GPU 1" : "Fake GPU 0");
        job_view_unpin(&view);
    }
    struct job_request *request = gpu_fit(1);
    request->placement.device = 7;
    struct job_view *view = run_request(&scene, request);
    check_same_fit(check, view, want);
    check_fallback(check, view, 0, "gpu:7 -> cuda:0: NO_DEVICE");
    job_view_unpin(&view);
    request = gpu_fit(1);
    request->placement.device = 7;
    request->placement.forbid_fallback = true;
    check_true(check, run_request(&scene, request) == NULL);
    check_equal_i64(check, scene.error.status, STATUS_NO_DEVICE);
    job_view_unpin(&want);
    gpu_close(check, &scene);
}

static void what_jobs_may_take_of_a_device_is_what_it_reports_less_a_margin(struct check *check)
{
    struct scene scene = {0};

    if (!gpu_open(check, &scene, "free=64000000000 memory=80000000000"))
        return;
    struct device_view gpu = device_of(&scene, 0);
    check_equal_text(check, gpu.state, "OK");
    check_equal_text(check, gpu.build, "fake; kernels/ref");
    check_equal_i64(check, gpu.bytes.budget, INT64_C(62000000000));
    check_equal_i64(check, gpu.bytes.pinned_budget, (1 << 30) / 4);
    check_equal_i64(check, gpu.info.memory_bytes, INT64_C(80000000000));
    check_equal_i64(check, device_of(&scene, 1).bytes.budget, 0);
    gpu_close(check, &scene);
}

/* Rows of 3 columns: 700 x (16 + 24) bytes on the device, 700 x 4 streamed. */
static void what_a_device_cannot_hold_steps_down_its_ladder(struct check *check)
{
    struct scene scene = {0};

    if (!gpu_open(check, &scene, "free=30000"))
        return;
    struct job_view *want = cpu_fit(&scene, 1);
    struct job_view *view = run_request(&scene, gpu_fit(1));
    check_same_fit(check, view, want);
    check_equal_text(check, view->report.backend, "cuda");
    check_fallback(check, view, 0, "cuda:0 resident -> cuda:0 streamed: EXCEEDS_CAPACITY");
    job_view_unpin(&view);
    struct job_request *request = gpu_fit(1);
    request->placement.forbid_fallback = true;
    check_true(check, run_request(&scene, request) == NULL);
    check_equal_i64(check, scene.error.status, STATUS_EXCEEDS_CAPACITY);
    check_equal_text(check, error_value(&scene.error, "offered"), "15000");
    view = run_request(&scene, fit_request(60, 2, 2, 1)); /* nobody asked for a GPU */
    check_equal_i64(check, view->report.fallbacks, 0);
    job_view_unpin(&view);
    gpu_close(check, &scene);

    memset(&scene, 0, sizeof scene);
    if (!gpu_open(check, &scene, "free=2000"))
        return;
    view = run_request(&scene, gpu_fit(1));
    check_same_fit(check, view, want);
    check_equal_text(check, view->report.backend, "cpu");
    check_fallback(check, view, 0, "cuda:0 -> cpu: EXCEEDS_CAPACITY");
    job_view_unpin(&view);
    job_view_unpin(&want);
    gpu_close(check, &scene);
}

static void a_device_without_memory_after_all_is_stepped_down_too(struct check *check)
{
    static const char *const orders[] = {"fail=work_open:1:OUT_OF_MEMORY",
                                         "fail=load:1:OUT_OF_MEMORY"};

    for (int i = 0; i < 2; i++) {
        struct scene scene = {0};
        if (!gpu_open(check, &scene, orders[i]))
            return;
        struct job_view *want = cpu_fit(&scene, 1), *view = run_request(&scene, gpu_fit(1));
        check_same_fit(check, view, want);
        check_equal_text(check, view->report.backend, "cuda");
        check_fallback(check, view, 0, "cuda:0 resident -> cuda:0 small tiles: OUT_OF_MEMORY");
        check_equal_text(check, device_of(&scene, 0).state, "OK");
        job_view_unpin(&view);
        fake_set(orders[i]);
        struct job_request *request = gpu_fit(1);
        request->placement.forbid_fallback = true;
        view = run_request(&scene, request);
        check_equal_i64(check, view->state, JOB_FAILED);
        check_equal_i64(check, view->error.status, STATUS_OUT_OF_MEMORY);
        job_view_unpin(&view);
        job_view_unpin(&want);
        gpu_close(check, &scene);
    }
}

static void all_rungs_without_memory_end_on_the_cpu(struct check *check)
{
    struct scene scene = {0};

    if (!gpu_open(check, &scene,
                  "fail=work_open:1:OUT_OF_MEMORY fail=work_open:2:OUT_OF_MEMORY "
                  "fail=work_open:3:OUT_OF_MEMORY"))
        return;
    struct job_view *want = cpu_fit(&scene, 1), *view = run_request(&scene, gpu_fit(1));
    check_same_fit(check, view, want);
    check_equal_i64(check, view->report.fallbacks, 3);
    check_fallback(check, view, 1, "cuda:0 small tiles -> cuda:0 streamed: OUT_OF_MEMORY");
    check_fallback(check, view, 2, "cuda:0 -> cpu: OUT_OF_MEMORY");
    job_view_unpin(&view);
    job_view_unpin(&want);
    gpu_close(check, &scene);
}

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

static struct limits impatient(void)
{
    struct limits limits = limits_default();

    limits.hang_ms = 150;
    limits.hang_factor = 1;
    return limits;
}

/* One fit whose device fails in the nth call of an entry: the same answer from the CPU, said so. */
static void one_failure(struct check *check, const struct victim *victim, int nth,
                        const char *action, bool forbid)
{
    const char *entry = victim->entry;
    struct scene scene = {.limits = impatient()};
    char words[96], start[96];

    check_note(check, "%s:%d:%s%s", entry, nth, action, forbid ? ", no fallback" : "");
    snprintf(words, sizeof words, "fail=%s:%d:%s", entry, nth, action);
    if (!gpu_open(check, &scene, words))
        return;
    struct job_request *request = victim->make(5);
    request->placement.forbid_fallback = forbid;
    struct job_view *want = cpu_fit_of(&scene, victim->make, 5);
    struct job_view *view = run_request(&scene, request);
    bool hung = strcmp(action, "HANG") == 0;
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
static void whoever_waits_behind_a_hang_goes_elsewhere(struct check *check)
{
    enum { WAITING = 6 };
    struct scene scene = {.limits = impatient()};
    struct inbox inbox[WAITING + 1];
    char name[64];

    if (!gpu_open(check, &scene, "fail=assign:3:HANG"))
        return;
    struct job_view *want = cpu_fit(&scene, 2);
    for (int i = 0; i <= WAITING; i++) {
        struct job_request *request = i % 2 == 1 ? gpu_predict(JOB_PREDICT, true) : gpu_fit(2);
        if (i % 2 == 1) {
            inbox_init(&inbox[i]);
            job_submit(scene.dispatcher, request, NULL, on_finished, &inbox[i]);
        } else {
            check_true(check, submit(&scene, request, &inbox[i], name));
        }
    }
    for (int i = 0; i <= WAITING; i++) {
        inbox_wait(&inbox[i], &inbox[i].finished, 1);
        if (check_true(check, inbox[i].last != NULL))
            check_equal_text(check, job_state_name(inbox[i].last->state), "SUCCEEDED");
        if (i % 2 == 0)
            check_same_fit(check, inbox[i].last, want);
        inbox_clear(&inbox[i]);
    }
    job_view_unpin(&want);
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

static bool await_device(struct scene *scene, int device, const char *state)
{
    for (int i = 0; i < 5000; i++) {
        if (strcmp(device_of(scene, device).state, state) == 0)
            return true;
        usleep(1000);
    }
    return false;
}

static void a_busy_device_is_tried_again(struct check *check)
{
    struct scene scene = {.limits = limits_default()};

    scene.limits.device_retry_s = 1;
    if (!gpu_open(check, &scene, "open=DEVICE_BUSY*1"))
        return;
    check_equal_text(check, device_of(&scene, 0).state, "ABSENT");
    check_equal_text(check, device_of(&scene, 0).reason_name, "DEVICE_BUSY");
    check_true(check, await_device(&scene, 0, "OK"));
    struct job_view *view = run_request(&scene, gpu_fit(1));
    check_equal_text(check, view->report.backend, "cuda");
    job_view_unpin(&view);
    gpu_close(check, &scene);
}

static void a_device_that_hangs_in_open_does_not_keep_the_server(struct check *check)
{
    struct scene scene = {.limits = limits_default()};

    scene.limits.device_open_ms = 100;
    if (!gpu_open(check, &scene, "fail=open:1:HANG"))
        return;
    check_equal_text(check, device_of(&scene, 0).state, "OPENING");
    check_equal_text(check, device_of(&scene, 0).reason_name, "DEVICE_HUNG");
    struct job_view *view = run_request(&scene, gpu_fit(1));
    check_equal_text(check, view->report.backend, "cpu");
    job_view_unpin(&view);
    fake_release();
    check_true(check, await_device(&scene, 0, "ABSENT"));
    check_equal_text(check, device_of(&scene, 0).reason_name, "DEVICE_LOST");
    gpu_close(check, &scene);
}

static void a_device_that_refuses_says_why(struct check *check)
{
    static const struct {
        const char *words, *reason, *state;
    } cases[] = {{"open=DEVICE_WRONG", "DEVICE_WRONG", "QUARANTINED"},
                 {"open=WRONG_ARCH", "WRONG_ARCH", "ABSENT"},
                 {"absent=NO_DRIVER", "NO_DRIVER", "ABSENT"},
                 {"absent=DRIVER_BROKEN", "DRIVER_BROKEN", "ABSENT"}};

    for (int i = 0; i < 4; i++) {
        struct scene scene = {0};
        struct dispatcher_view view;
        if (!gpu_open(check, &scene, cases[i].words))
            return;
        dispatcher_view(scene.dispatcher, &view);
        check_equal_i64(check, view.devices, 2);
        int gpu = strcmp(view.device[0].backend, "cpu") == 0;
        check_equal_text(check, view.device[gpu].reason_name, cases[i].reason);
        check_equal_text(check, view.device[gpu].state, cases[i].state);
        struct job_view *fit = run_request(&scene, gpu_fit(1));
        check_equal_text(check, fit->report.backend, "cpu");
        job_view_unpin(&fit);
        gpu_close(check, &scene);
    }
}

CHECKS(CLAIM(jobs_run_where_they_end_first), CLAIM(a_placement_is_honored),
       CLAIM(what_jobs_may_take_of_a_device_is_what_it_reports_less_a_margin),
       CLAIM(what_a_device_cannot_hold_steps_down_its_ladder),
       CLAIM(a_device_without_memory_after_all_is_stepped_down_too),
       CLAIM(all_rungs_without_memory_end_on_the_cpu),
       CLAIM(a_device_lost_in_any_entry_changes_no_bit),
       CLAIM(a_device_that_hangs_in_any_entry_changes_no_bit),
       CLAIM(a_lost_fit_goes_on_from_its_last_whole_round),
       CLAIM(predictions_and_evaluations_start_again_elsewhere),
       CLAIM(a_batch_starts_again_elsewhere), CLAIM(whoever_waits_behind_a_hang_goes_elsewhere),
       CLAIM(a_job_that_hangs_can_be_cancelled_and_drained),
       CLAIM(a_stop_does_not_wait_for_a_device_that_hangs_in_close),
       CLAIM(a_busy_device_is_tried_again),
       CLAIM(a_device_that_hangs_in_open_does_not_keep_the_server),
       CLAIM(a_device_that_refuses_says_why))
