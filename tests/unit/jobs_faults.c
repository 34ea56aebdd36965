/* jobs_faults.c - jobs while memory and disk fail. */
#include "tests/unit/jobs_scene.h"

#ifdef BARY_FAULTS

/* Either it went well, or it says that memory ran out: nothing else may come of a failed allocation. */
static bool outcome(struct check *check, const struct job_view *view, const struct error *error)
{
    enum status status = view ? view->error.status : error->status;

    if (status == STATUS_OK)
        return check_true(check, view && view->state == JOB_SUCCEEDED && view->result);
    check_equal_i64(check, status, STATUS_OUT_OF_MEMORY);
    return false;
}

/* A fit that keeps its model, watched, and a prediction, while the nth allocation fails. True: all went
 * well, so the fault was not reached. */
static bool scenario(struct check *check, struct scene *scene, const char *fault)
{
    struct job_request *fit = fit_request(300, 3, 4, 7), *predict = predict_request(40, 3, 4, 1);
    struct inbox job, watcher, other;
    bool good;

    snprintf(fit->keep_model, sizeof fit->keep_model, "m");
    inbox_init(&job);
    inbox_init(&watcher);
    inbox_init(&other);
    fault_set(fault);
    job_submit(scene->dispatcher, fit, on_accepted, on_finished, &job);
    inbox_wait(&job, &job.accepted, 1);
    if (job.first) {
        struct watch *watch = job_watch(scene->dispatcher, job.first->name, 0, on_update, &watcher);
        inbox_wait(&job, &job.finished, 1);
        watch_to_the_end(&watcher, watch, 0);
    }
    inbox_wait(&job, &job.finished, 1);
    job_submit(scene->dispatcher, predict, NULL, on_finished, &other);
    inbox_wait(&other, &other.finished, 1);
    fault_set(NULL);
    good = outcome(check, job.last, &job.error);
    good &= outcome(check, other.last, &other.error);
    check_equal_i64(check, ledger_reserved(scene->ledger), 0);
    inbox_clear(&job);
    inbox_clear(&watcher);
    inbox_clear(&other);
    return good;
}

static void each_failed_allocation_is_an_error_and_no_leak(struct check *check)
{
    struct scene scene = {0};
    int good = 0;

    if (!scene_open(check, &scene))
        return;
    for (int nth = 1; nth < 300 && good < 20;
         nth++) { /* some may fail without harm: a view between two */
        char fault[48];
        snprintf(fault, sizeof fault, "memory:%d:fail", nth);
        check_note(check, "BARY_FAULT=%s", fault);
        good = scenario(check, &scene, fault) ? good + 1 : 0;
    }
    check_equal_i64(check, good, 20);
    scene_close(check, &scene);
}

static void each_failed_allocation_of_a_start_is_said(struct check *check)
{
    for (int nth = 1; nth < 200; nth++) {
        struct scene scene = {0};
        char fault[48];
        snprintf(fault, sizeof fault, "memory:%d:fail", nth);
        check_note(check, "BARY_FAULT=%s", fault);
        fault_set(fault);
        bool started = scene_start(&scene, (int64_t)1 << 30);
        fault_set(NULL);
        if (!started && scene.ledger)
            check_true(check, scene.error.status == STATUS_OUT_OF_MEMORY ||
                                  scene.error.status == STATUS_STATE_UNWRITABLE ||
                                  scene.error.status == STATUS_NO_DEVICE);
        scene_close(check, &scene);
        if (started)
            return;
    }
    check_failed(check, __FILE__, __LINE__, "no start went well");
}

static void a_full_disk_fails_the_job_that_keeps_and_no_other(struct check *check)
{
    struct scene scene = {0};

    if (!scene_open(check, &scene))
        return;
    fault_set("file_write:1+:fail");
    struct job_request *request = fit_request(300, 3, 4, 7);
    snprintf(request->keep_model, sizeof request->keep_model, "m");
    struct job_view *view = run_request(&scene, request);
    check_equal_i64(check, view->state, JOB_FAILED);
    check_equal_i64(check, view->error.status, STATUS_STORAGE_FULL);
    check_true(check, view->result == NULL);
    job_view_unpin(&view);
    view = run_request(&scene, fit_request(300, 3, 4, 7));
    check_equal_i64(check, view->state, JOB_SUCCEEDED);
    job_view_unpin(&view);
    fault_set(NULL);
    scene_close(check, &scene);
}

static void a_slow_fsync_does_not_hold_up_a_prediction(struct check *check)
{
    struct scene scene = {0};
    struct inbox job;
    char name[64];

    if (!scene_open(check, &scene))
        return;
    fault_set("file_sync:1:sleep"); /* 2 s */
    struct job_request *request = fit_request(300, 3, 4, 7);
    snprintf(request->keep_model, sizeof request->keep_model, "m");
    submit(&scene, request, &job, name);
    usleep(50000);
    int64_t slowest = 0;
    for (int i = 0; i < 20; i++) {
        int64_t begun = clock_ns();
        struct job_view *view = run_request(&scene, predict_request(40, 3, 4, 1));
        int64_t took = clock_ns() - begun;
        slowest = took > slowest ? took : slowest;
        check_equal_i64(check, view->state, JOB_SUCCEEDED);
        job_view_unpin(&view);
    }
    check_true(check, slowest < 1500 * MS);
    check_equal_i64(check, job.finished, 0);
    cancel(&scene, name, NULL); /* too late: the model is being written */
    inbox_wait(&job, &job.finished, 1);
    check_equal_i64(check, job.last->state, JOB_SUCCEEDED);
    fault_set(NULL);
    inbox_clear(&job);
    scene_close(check, &scene);
}

CHECKS(CLAIM(each_failed_allocation_is_an_error_and_no_leak),
       CLAIM(each_failed_allocation_of_a_start_is_said),
       CLAIM(a_full_disk_fails_the_job_that_keeps_and_no_other),
       CLAIM(a_slow_fsync_does_not_hold_up_a_prediction))

#else

static void faults_are_compiled_in(struct check *check)
{
    check_skip(check, "built without BARY_FAULTS");
}

CHECKS(CLAIM(faults_are_compiled_in))

#endif
