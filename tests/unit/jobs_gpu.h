/* jobs_gpu.h - what tests of jobs on a failing GPU share: a scene with one, requests, the same fit on the CPU. */
#ifndef BARY_TESTS_UNIT_JOBS_GPU_H
#define BARY_TESTS_UNIT_JOBS_GPU_H

#include "tests/faults/steer.h"
#include "tests/unit/jobs_scene.h"

__attribute__((unused)) static bool gpu_open(struct check *check, struct scene *scene,
                                             const char *words)
{
    fake_set(words);
    scene->backend_dir = FAKE;
    if (scene->limits.calls == 0)
        scene->limits = limits_default();
    return scene_open(check, scene);
}

/* Threads that hang come back and clean up: nothing is left on the device. */
__attribute__((unused)) static void gpu_close(struct check *check, struct scene *scene)
{
    scene_close(check, scene);
    fake_release();
    for (int i = 0; i < 5000 && fake_number("fake_gpu_used") + fake_number("fake_gpu_hanging"); i++)
        usleep(1000);
    check_equal_i64(check, fake_number("fake_gpu_hanging"), 0);
    check_equal_i64(check, fake_number("fake_gpu_used"), 0);
}

/* The fit of all claims here: a few thousand rows, seeded, with an empty cluster now and then. */
__attribute__((unused)) static struct job_request *gpu_fit(uint64_t seed)
{
    struct job_request *request = fit_request(700, 3, 7, seed);

    request->placement.backend = PLACE_GPU;
    request->params.history = true;
    return request;
}

/* Seeded by draws among weights, so that rows are marked; or from centers of which one is far off and gets no row. */
__attribute__((unused)) static struct job_request *gpu_fit_random(uint64_t seed)
{
    struct job_request *request = gpu_fit(seed);

    request->params.init = INIT_RANDOM;
    request->weight = memory_new(700, sizeof *request->weight);
    request->weight_count = 700;
    for (int i = 0; i < 700; i++)
        request->weight[i] = 1 + i % 3;
    return request;
}

__attribute__((unused)) static struct job_request *gpu_fit_centers(uint64_t seed)
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
__attribute__((unused)) static struct job_request *gpu_fit_long(uint64_t seed)
{
    struct job_request *request = fit_request(20000, 3, 7, seed);

    request->placement.backend = PLACE_GPU;
    request->params.history = request->params.fixed_rounds = true;
    request->params.max_iter = 41;
    return request;
}

typedef struct job_request *fit_maker(uint64_t seed);

/* The same on the CPU alone. */
__attribute__((unused)) static struct job_view *cpu_fit_of(struct scene *scene, fit_maker *make,
                                                           uint64_t seed)
{
    struct job_request *request = make(seed);

    request->placement.backend = PLACE_CPU;
    return run_request(scene, request);
}

__attribute__((unused)) static struct job_view *cpu_fit(struct scene *scene, uint64_t seed)
{
    return cpu_fit_of(scene, gpu_fit, seed);
}

__attribute__((unused)) static void check_same_fit(struct check *check, const struct job_view *got,
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

__attribute__((unused)) static struct device_view device_of(struct scene *scene, int device)
{
    struct dispatcher_view view;

    dispatcher_view(scene->dispatcher, &view);
    return view.device[device];
}

__attribute__((unused)) static void check_fallback(struct check *check, const struct job_view *view,
                                                   int step, const char *start)
{
    if (!check_true(check, view && view->report.fallbacks > step))
        return;
    check_note(check, "fallback %d is: %s", step, view->report.fallback[step]);
    check_true(check, strncmp(view->report.fallback[step], start, strlen(start)) == 0);
}

__attribute__((unused)) static struct limits impatient(void)
{
    struct limits limits = limits_default();

    limits.hang_ms = 150;
    limits.hang_factor = 1;
    return limits;
}

#endif
