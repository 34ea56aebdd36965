/* jobs_gpu.c - jobs and a GPU: where they run, what the device may give, how it opens and how it refuses. */
#include "tests/unit/jobs_gpu.h"

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
    gpu_close(check, &scene);

    memset(&scene, 0, sizeof scene);
    if (!gpu_open(check, &scene, "free=2000 tile_ns=1000000"))
        return;
    view = run_request(&scene, gpu_fit(1));
    check_same_fit(check, view, want);
    check_equal_text(check, view->report.backend, "cpu");
    check_fallback(check, view, 0, "cuda:0 -> cpu: EXCEEDS_CAPACITY");
    job_view_unpin(&view);
    for (int64_t rows = 60; rows <= 600; rows *= 10) { /* streamed it fits; not at all */
        view = run_request(&scene, fit_request(rows, 2, 2, 1));
        check_equal_text(check, view->report.backend, "cpu");
        check_equal_i64(check, view->report.fallbacks, 0); /* it would not have gone there anyway */
        job_view_unpin(&view);
    }
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

static void every_busy_device_is_tried_again(struct check *check)
{
    struct scene scene = {.limits = limits_default()};

    scene.limits.device_retry_s = 1;
    if (!gpu_open(check, &scene, "devices=3 open=DEVICE_BUSY*3"))
        return;
    for (int d = 0; d < 3; d++)
        check_equal_text(check, device_of(&scene, d).reason_name, "DEVICE_BUSY");
    for (int d = 0; d < 3; d++)
        check_true(check, await_device(&scene, d, "OK"));
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
       CLAIM(all_rungs_without_memory_end_on_the_cpu), CLAIM(a_busy_device_is_tried_again),
       CLAIM(every_busy_device_is_tried_again),
       CLAIM(a_device_that_hangs_in_open_does_not_keep_the_server),
       CLAIM(a_device_that_refuses_says_why))
