/* jobs_batch.c - a batch as a job: planned, refused by name, run, kept; each problem is its fit alone. */
#include "tests/unit/jobs_scene.h"

enum { PROBLEMS = 20, ROWS = 30, COLUMNS = 3, CLUSTERS = 4 };

static struct job_request *batch_request(uint64_t seed)
{
    struct job_request *request = fit_request(PROBLEMS * ROWS, COLUMNS, CLUSTERS, seed);

    request->kind = JOB_FIT_BATCH;
    request->problems = PROBLEMS;
    request->problem_row = memory_new(PROBLEMS + 1, sizeof *request->problem_row);
    for (int64_t p = 0; p <= PROBLEMS; p++)
        request->problem_row[p] = p * ROWS;
    return request;
}

/* The fit of problem p of that request. */
static struct job_request *alone_request(uint64_t seed, int64_t p)
{
    struct job_request *request = fit_request(PROBLEMS * ROWS, COLUMNS, CLUSTERS, seed);

    request->first_row = p * ROWS;
    request->rows = ROWS;
    return request;
}

static void same_as_alone(struct check *check, const struct job_view *batch,
                          const struct job_view *alone, int64_t p)
{
    const struct batch_result *got = &batch->result->batch;
    const struct kmeans_result *want = &alone->result->fit;

    check_equal_bytes(check, got->labels + got->row[p], want->labels, ROWS * sizeof(int32_t));
    check_equal_bytes(check, got->centers + got->center[p] * COLUMNS, want->centers,
                      CLUSTERS * COLUMNS * sizeof(double));
    check_equal_bits(check, got->inertia[p], want->inertia);
    check_true(check, got->fingerprint[p] == want->fingerprint);
}

static void each_problem_of_a_job_is_its_fit_alone(struct check *check)
{
    struct scene scene = {.limits = limits_default()};

    if (!scene_open(check, &scene))
        return;
    struct job_view *batch = run_request(&scene, batch_request(5));
    if (check_true(check, batch && batch->state == JOB_SUCCEEDED)) {
        check_equal_i64(check, batch->result->batch.failed, 0);
        check_equal_text(check, batch->report.method, "many small fits");
        for (int64_t p = 0; p < PROBLEMS; p += 9) {
            struct job_view *alone = run_request(&scene, alone_request(5, p));
            if (check_true(check, alone && alone->state == JOB_SUCCEEDED))
                same_as_alone(check, batch, alone, p);
            job_view_unpin(&alone);
        }
    }
    job_view_unpin(&batch);
    scene_close(check, &scene);
}

static void a_batch_that_is_waited_for_takes_the_fast_lane(struct check *check)
{
    struct scene scene = {.limits = limits_default()};
    struct job_estimate estimate;

    if (!scene_open(check, &scene))
        return;
    struct job_request *request = batch_request(5);
    check_equal_i64(check, job_estimate(scene.dispatcher, request, &estimate, NULL), STATUS_OK);
    check_equal_i64(check, estimate.lane, LANE_JOB);
    check_true(check, estimate.bytes > PROBLEMS * ROWS * 4 + PROBLEMS * CLUSTERS * COLUMNS * 8);
    request->ephemeral = true;
    check_equal_i64(check, job_estimate(scene.dispatcher, request, &estimate, NULL), STATUS_OK);
    check_equal_i64(check, estimate.lane, LANE_FAST);
    struct job_view *view = run_request(&scene, request);
    check_true(check, view && view->state == JOB_SUCCEEDED);
    job_view_unpin(&view);
    scene_close(check, &scene);
}

static void what_all_problems_share_is_refused_before_it_runs(struct check *check)
{
    struct scene scene = {.limits = limits_default()};

    if (!scene_open(check, &scene))
        return;
    struct job_request *request = batch_request(5);
    request->problem_row[3] = PROBLEMS * ROWS + 1;
    check_true(check, run_request(&scene, request) == NULL);
    check_equal_i64(check, scene.error.status, STATUS_OUT_OF_RANGE);
    check_equal_text(check, error_value(&scene.error, "what"), "row_offsets[3]");
    request = batch_request(5);
    request->params.init_centers = memory_zeroed(PROBLEMS * CLUSTERS * 2, sizeof(double));
    request->init_rows = PROBLEMS * CLUSTERS;
    request->init_columns = 2;
    check_true(check, run_request(&scene, request) == NULL);
    check_equal_i64(check, scene.error.status, STATUS_SHAPE_MISMATCH);
    check_equal_text(check, error_value(&scene.error, "what"), "init_centers");
    scene_close(check, &scene);
}

static void no_labels_are_kept_where_none_are_asked_for(struct check *check)
{
    struct scene scene = {.limits = limits_default()};

    if (!scene_open(check, &scene))
        return;
    struct job_request *request = batch_request(5);
    request->no_labels = true;
    struct job_view *view = run_request(&scene, request);
    if (check_true(check, view && view->state == JOB_SUCCEEDED))
        check_true(check, view->result->batch.labels == NULL && view->result->batch.centers);
    job_view_unpin(&view);
    scene_close(check, &scene);
}

CHECKS(CLAIM(each_problem_of_a_job_is_its_fit_alone),
       CLAIM(a_batch_that_is_waited_for_takes_the_fast_lane),
       CLAIM(what_all_problems_share_is_refused_before_it_runs),
       CLAIM(no_labels_are_kept_where_none_are_asked_for))
