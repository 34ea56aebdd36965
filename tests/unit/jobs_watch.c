/* jobs_watch.c - who waits for a job, who watches it, and how a server ends. */
#include "tests/unit/jobs_scene.h"

static void a_watcher_hears_at_once_then_at_most_ten_times_a_second(struct check *check)
{
    struct scene scene = {0};
    struct inbox job, watcher;
    char name[64];

    if (!scene_open(check, &scene))
        return;
    submit(&scene, long_request(), &job, name);
    check_true(check, await_state(&scene, name, JOB_RUNNING));
    inbox_init(&watcher);
    int64_t begun = clock_ns();
    struct watch *watch = job_watch(scene.dispatcher, name, 0, on_update, &watcher);
    inbox_wait(&watcher, &watcher.updates, 1);
    check_true(check, clock_ns() - begun < 500 * MS);
    uint64_t before = watcher.last->sequence;
    for (int heard = 2; heard <= 4; heard++) {
        job_watch_ready(watch);
        inbox_wait(&watcher, &watcher.updates, heard);
        check_true(check, watcher.last->sequence > before);
        before = watcher.last->sequence;
    }
    check_true(check, clock_ns() - begun >= 300 * MS - MS); /* three pauses of 100 ms */
    /* A busy machine may still be seeding: the news of a round come, if later. */
    for (int heard = 5; watcher.last->progress.round == 0 && heard < 200; heard++) {
        job_watch_ready(watch);
        inbox_wait(&watcher, &watcher.updates, heard);
    }
    check_true(check, watcher.last->progress.round > 0);
    check_true(check, watcher.last->rows_per_second > 0);
    cancel(&scene, name, NULL);
    watch_to_the_end(&watcher, watch, 3);
    check_equal_i64(check, watcher.last->state, JOB_CANCELLED);
    inbox_wait(&job, &job.finished, 1);
    inbox_clear(&watcher);
    inbox_clear(&job);
    scene_close(check, &scene);
}

static void a_slow_watcher_gets_the_end_and_no_backlog(struct check *check)
{
    struct scene scene = {0};
    struct inbox job, watcher;
    char name[64];

    if (!scene_open(check, &scene))
        return;
    submit(&scene, long_request(), &job, name);
    check_true(check, await_state(&scene, name, JOB_RUNNING));
    inbox_init(&watcher);
    struct watch *watch = job_watch(scene.dispatcher, name, 0, on_update, &watcher);
    inbox_wait(&watcher, &watcher.updates, 1);
    cancel(&scene, name, NULL);
    inbox_wait(&job, &job.finished, 1);
    check_equal_i64(check, watcher.lasts, 0); /* it was not ready */
    job_watch_ready(watch);
    inbox_wait(&watcher, &watcher.lasts, 1);
    check_equal_i64(check, watcher.updates, 1);
    check_equal_i64(check, watcher.last->state, JOB_CANCELLED);
    inbox_clear(&watcher);
    inbox_init(&watcher); /* of an ended job: its end, at once */
    job_watch(scene.dispatcher, name, 0, on_update, &watcher);
    inbox_wait(&watcher, &watcher.lasts, 1);
    check_equal_i64(check, watcher.updates, 0);
    inbox_clear(&watcher);
    inbox_clear(&job);
    scene_close(check, &scene);
}

static void a_stopped_watch_says_last_and_the_job_goes_on(struct check *check)
{
    struct scene scene = {.limits = limits_default()};
    struct inbox job, watcher, other;
    char name[64];

    scene.limits.watchers_per_job = 1;
    if (!scene_open(check, &scene))
        return;
    submit(&scene, long_request(), &job, name);
    inbox_init(&watcher);
    struct watch *watch = job_watch(scene.dispatcher, name, 0, on_update, &watcher);
    inbox_wait(&watcher, &watcher.updates, 1);
    inbox_init(&other);
    job_watch(scene.dispatcher, name, 0, on_update, &other);
    inbox_wait(&other, &other.lasts, 1);
    check_equal_i64(check, other.error.status, STATUS_TOO_MANY);
    inbox_clear(&other);
    inbox_init(&other);
    job_watch(scene.dispatcher, "nobody", 0, on_update, &other);
    inbox_wait(&other, &other.lasts, 1);
    check_equal_i64(check, other.error.status, STATUS_JOB_NOT_FOUND);
    inbox_clear(&other);
    job_watch_stop(watch);
    inbox_wait(&watcher, &watcher.lasts, 1);
    check_true(check, watcher.last == NULL);
    check_equal_i64(check, watcher.error.status, STATUS_CANCELLED);
    check_equal_i64(check, job.finished, 0);
    cancel(&scene, name, NULL);
    inbox_wait(&job, &job.finished, 1);
    inbox_clear(&watcher);
    inbox_clear(&job);
    scene_close(check, &scene);
}

static void a_wait_brings_the_end_or_the_present_state_on_time(struct check *check)
{
    struct scene scene = {0};
    struct inbox job, wait;
    char name[64];

    if (!scene_open(check, &scene))
        return;
    submit(&scene, long_request(), &job, name);
    inbox_init(&wait);
    int64_t until = clock_ns() + 30 * MS;
    job_wait(scene.dispatcher, name, until, on_finished, &wait);
    inbox_wait(&wait, &wait.finished, 1);
    check_true(check, clock_ns() >= until && clock_ns() < until + 300 * MS);
    check_equal_i64(check, wait.last->state, JOB_RUNNING);
    job_wait(scene.dispatcher, name, clock_ns() + 60000 * MS, on_finished, &wait);
    cancel(&scene, name, NULL);
    inbox_wait(&wait, &wait.finished, 2);
    check_equal_i64(check, wait.last->state, JOB_CANCELLED);
    job_wait(scene.dispatcher, name, clock_ns() + 60000 * MS, on_finished, &wait);
    inbox_wait(&wait, &wait.finished, 3); /* of an ended job: at once */
    job_wait(scene.dispatcher, "nobody", clock_ns(), on_finished, &wait);
    inbox_wait(&wait, &wait.finished, 4);
    check_equal_i64(check, wait.error.status, STATUS_JOB_NOT_FOUND);
    inbox_wait(&job, &job.finished, 1);
    inbox_clear(&wait);
    inbox_clear(&job);
    scene_close(check, &scene);
}

static void an_ephemeral_fit_whose_wait_ran_out_goes_on_as_any_job(struct check *check)
{
    struct scene scene = {0};
    struct inbox job, wait;
    char name[64];

    if (!scene_open(check, &scene))
        return;
    struct job_request *request = long_request();
    request->ephemeral = true;
    int64_t deadline = request->deadline_ns = clock_ns() + 400 * MS;
    inbox_init(&job);
    inbox_init(&wait);
    job_submit(scene.dispatcher, request, on_accepted, NULL, &job);
    inbox_wait(&job, &job.accepted, 1);
    memcpy(name, job.first->name, sizeof name);
    job_wait(scene.dispatcher, name, clock_ns() + 20 * MS, on_finished, &wait);
    inbox_wait(&wait, &wait.finished, 1);
    check_true(check, !job_state_final(wait.last->state));
    while (clock_ns() < deadline + 20 * MS)
        usleep(5000);
    struct job_view *view = get_job(&scene, name);
    check_true(check, view && view->state == JOB_RUNNING);
    job_view_unpin(&view);
    cancel(&scene, name, NULL);
    check_true(check, await_state(&scene, name, JOB_CANCELLED)); /* and it is still known */
    inbox_clear(&wait);
    inbox_clear(&job);
    scene_close(check, &scene);
}

struct drainer {
    struct dispatcher *dispatcher;
    int64_t deadline_ns;
};

static void *drain_main(void *opaque)
{
    struct drainer *drainer = opaque;

    dispatcher_drain(drainer->dispatcher, drainer->deadline_ns);
    return NULL;
}

static void draining_refuses_new_jobs_and_ends_old_ones_in_time(struct check *check)
{
    struct scene scene = {0};
    struct inbox job[3];
    char name[3][64];
    pthread_t thread;

    if (!scene_open(check, &scene))
        return;
    submit(&scene, fit_request(2000, 4, 3, 5), &job[0], name[0]);
    submit(&scene, long_request(), &job[1], name[1]);
    submit(&scene, long_request(), &job[2], name[2]);
    struct drainer drainer = {scene.dispatcher, clock_ns() + 500 * MS};
    pthread_create(&thread, NULL, drain_main, &drainer);
    struct dispatcher_view view = {0};
    while (!view.draining)
        dispatcher_view(scene.dispatcher, &view);
    check_true(check, run_request(&scene, fit_request(100, 2, 2, 1)) == NULL);
    check_equal_i64(check, scene.error.status, STATUS_DRAINING);
    pthread_join(thread, NULL);
    int64_t late = clock_ns() - drainer.deadline_ns;
    check_true(check, late >= 0 && late < 500 * MS);
    check_equal_i64(check, job[0].last->state, JOB_SUCCEEDED); /* there was time for it */
    for (int i = 1; i < 3; i++) {
        check_equal_i64(check, job[i].finished, 1);
        check_equal_i64(check, job[i].last->state, JOB_CANCELLED);
        check_equal_i64(check, job[i].last->error.status, STATUS_DRAINING);
    }
    for (int i = 0; i < 3; i++)
        inbox_clear(&job[i]);
    scene_close(check, &scene);
}

static void what_the_dispatcher_shows_of_itself_is_true(struct check *check)
{
    struct scene scene = {0};
    struct inbox job[2];
    struct dispatcher_view view;
    char name[2][64];

    if (!scene_open(check, &scene))
        return;
    submit(&scene, long_request(), &job[0], name[0]);
    check_true(check, await_state(&scene, name[0], JOB_RUNNING));
    submit(&scene, long_request(), &job[1], name[1]);
    struct job_view *seen = get_job(&scene, name[1]); /* a turn later the counts are out */
    job_view_unpin(&seen);
    dispatcher_view(scene.dispatcher, &view);
    check_equal_i64(check, view.running_jobs, 1);
    check_equal_i64(check, view.queued_jobs, 1);
    check_true(check, view.oldest_queued_ns > 0 && view.oldest_queued_ns < 1000 * MS);
    check_true(check, clock_ns() - view.tick_ns < 1500 * MS);
    for (int i = 1; i >= 0; i--) {
        cancel(&scene, name[i], NULL);
        inbox_wait(&job[i], &job[i].finished, 1);
        inbox_clear(&job[i]);
    }
    dispatcher_view(scene.dispatcher, &view);
    check_equal_i64(check, view.queued_jobs, 0);
    check_true(check, view.device[0].busy_seconds > 0);
    size_t bytes;
    char *page = metrics_print(scene.metrics, &bytes);
    check_true(check,
               strstr(page, "bary_jobs_total{kind=\"fit\",state=\"cancelled\"} 2\n") != NULL);
    memory_free(page);
    scene_close(check, &scene);
}

static void rows_are_counted_also_in_passes_of_one_tile(struct check *check)
{
    struct scene scene = {0};
    const char *line = "bary_rows_processed_total{operation=\"fit\",backend=\"cpu\"} ";
    size_t bytes;

    if (!scene_open(check, &scene))
        return;
    struct job_request *request = fit_request(100, 2, 2, 1);
    request->params.fixed_rounds = true;
    request->params.max_iter = 50;
    struct job_view *view = run_request(&scene, request);
    check_equal_i64(check, view->state, JOB_SUCCEEDED);
    job_view_unpin(&view);
    char *page = metrics_print(scene.metrics, &bytes);
    const char *found = strstr(page, line);
    check_true(check, found && strtod(found + strlen(line), NULL) >= 50 * 100);
    memory_free(page);
    scene_close(check, &scene);
}

CHECKS(CLAIM(a_watcher_hears_at_once_then_at_most_ten_times_a_second),
       CLAIM(a_slow_watcher_gets_the_end_and_no_backlog),
       CLAIM(a_stopped_watch_says_last_and_the_job_goes_on),
       CLAIM(a_wait_brings_the_end_or_the_present_state_on_time),
       CLAIM(an_ephemeral_fit_whose_wait_ran_out_goes_on_as_any_job),
       CLAIM(draining_refuses_new_jobs_and_ends_old_ones_in_time),
       CLAIM(what_the_dispatcher_shows_of_itself_is_true),
       CLAIM(rows_are_counted_also_in_passes_of_one_tile))
