/* law_equal.c - law 4: equal fits over threads, ISA, backends, chunks and repeats. */
#include "tests/laws/law.h"

static const int threads_all[] = {1, 2, 8, 3, 0};
static const int *const threads = CHECK_SANITIZED ? threads_all + 3 : threads_all;

/* A fit that has something to do: several runs, weights, or clusters that go empty. */
struct task {
    const char *name;
    enum number number;
    int64_t rows, columns, blobs;
    double width;
    bool weighted, far_center;
    struct kmeans_params params;
};

static const struct task tasks[] = {
    {"k-means++ f64", NUMBER_F64, 701, 5, 12, 1, false, false, {.n_clusters = 9, .max_iter = 50}},
    {"k-means++ f32, runs",
     NUMBER_F32,
     640,
     17,
     6,
     3,
     false,
     false,
     {.n_clusters = 8, .max_iter = 30, .n_init = 3, .tol = 1e-4, .random_state = 7}},
    {"k-means++ weighted",
     NUMBER_F64,
     500,
     3,
     9,
     2,
     true,
     false,
     {.n_clusters = 12, .max_iter = 30, .n_init = 2, .history = true, .random_state = 3}},
    {"random f32",
     NUMBER_F32,
     555,
     2,
     5,
     1,
     false,
     false,
     {.n_clusters = 7, .max_iter = 40, .init = INIT_RANDOM, .tol = 1e-3}},
    {"random weighted f64",
     NUMBER_F64,
     333,
     33,
     5,
     1,
     true,
     false,
     {.n_clusters = 5, .max_iter = 20, .init = INIT_RANDOM, .n_init = 4, .random_state = 99}},
    {"relocation f64",
     NUMBER_F64,
     400,
     4,
     8,
     1,
     false,
     true,
     {.n_clusters = 10, .max_iter = 60, .init = INIT_CENTERS, .history = true}},
    {"relocation f32 weighted",
     NUMBER_F32,
     300,
     8,
     8,
     1,
     true,
     true,
     {.n_clusters = 10, .max_iter = 60, .init = INIT_CENTERS}},
    {"many clusters",
     NUMBER_F32,
     900,
     6,
     40,
     1,
     false,
     false,
     {.n_clusters = 130, .max_iter = 12, .fixed_rounds = true, .random_state = 5}},
    {"more sums than a block keeps",
     NUMBER_F64,
     310,
     70,
     30,
     2,
     true,
     true,
     {.n_clusters = 90, .max_iter = 9, .init = INIT_CENTERS}},
    {"equal rows, equal centers",
     NUMBER_F32,
     350,
     3,
     6,
     0,
     false,
     false,
     {.n_clusters = 11, .max_iter = 5, .init = INIT_RANDOM}},
};
enum { TASKS = sizeof tasks / sizeof *tasks };

/* Given centers of a task: rows, and the last three far from all of them. */
static double *task_centers(const struct task *task, const struct data *data)
{
    double *centers = data_rows(data, NULL, task->params.n_clusters);

    for (int64_t j = task->params.n_clusters - 3; j < task->params.n_clusters; j++)
        for (int64_t d = 0; d < data->columns; d++)
            centers[j * data->columns + d] = 1e4 * (double)(j + 1);
    return centers;
}

/* A size for the emulator: fewer rows and rounds, as many clusters and columns. */
static struct task task_sized(const struct task *task)
{
    struct task sized = *task;

    if (!law_emulated())
        return sized;
    sized.rows = task->rows > 2000 ? task->rows : 42 + task->rows / 20;
    if (task->params.n_clusters > sized.rows / 2) { /* seeding would be a pass for each of them */
        sized.rows = task->params.n_clusters * 5 / 4;
        sized.params.init = INIT_CENTERS;
        sized.far_center = true;
    }
    sized.params.max_iter = task->params.max_iter < 3 ? task->params.max_iter : 3;
    sized.params.n_init = task->params.n_init < 2 ? task->params.n_init : 2;
    return sized;
}

static struct data task_data(const struct task *task)
{
    struct data data =
        data_blobs(task->number, task->rows, task->columns, task->blobs, task->width, 11);
    if (task->weighted)
        data_weigh(&data, 5);
    return data;
}

static void equal_over(struct check *check, const struct task *full, const int64_t *chunks,
                       const int *with_threads)
{
    struct machines machines = machines_open(check, with_threads);
    const struct task sized = task_sized(full), *task = &sized;
    struct data data = task_data(task);
    double *centers = task->far_center ? task_centers(task, &data) : NULL;
    struct kmeans_params params = task->params;
    struct kmeans_result want, got;

    params.init_centers = centers;
    check_note(check, "%s: ref", task->name);
    if (law_fit(check, &machines.machine[0], &data, 0, &params, &want))
        for (int m = 0; m < machines.count; m++)
            for (const int64_t *chunk = chunks; *chunk >= 0; chunk++) {
                check_note(check, "%s: %s, chunks of %" PRId64, task->name,
                           machines.machine[m].name, *chunk);
                if (law_fit(check, &machines.machine[m], &data, *chunk, &params, &got))
                    results_equal(check, &got, &want);
                kmeans_result_free(&got);
            }
    kmeans_result_free(&want);
    free(centers);
    data_free(&data);
    machines_close(&machines);
}

static void fits_are_equal_on_every_machine(struct check *check)
{
    static const int64_t whole[] = {0, -1};

    for (int i = 0; i < TASKS; i++)
        equal_over(check, &tasks[i], whole, threads);
}

static void fits_are_equal_in_chunks_of_any_size(struct check *check)
{
    static const int64_t all[] = {1, 7, 100, 4096, -1}, few[] = {1, 100, -1}, one[] = {29, -1};
    static const int threads_two[] = {2, 0};

    for (int i = 0; i < TASKS; i++)
        equal_over(check, &tasks[i],
                   law_emulated()    ? one
                   : CHECK_SANITIZED ? few
                                     : all,
                   threads_two);
}

static void ten_repeats_are_equal(struct check *check)
{
    static const int64_t ten[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, -1};
    const int64_t *repeats = CHECK_SANITIZED ? ten + 7 : ten + law_size(0, 8);
    static const int most[] = {8, 0};

    equal_over(check, &tasks[1], repeats, most);
    equal_over(check, &tasks[6], repeats, most);
}

/* Big enough that every machine cuts it into several tiles and teams of threads do work. */
static void big_fits_are_equal_on_every_machine(struct check *check)
{
    static const struct task big = {
        "big", NUMBER_F32, CHECK_SANITIZED ? 8009 : 20011,
        24,    50,         2,
        false, false,      {.n_clusters = 64, .max_iter = 6, .tol = 1e-4, .random_state = 1}};
    static const struct task emulated = {"big for the emulator",
                                         NUMBER_F32,
                                         4096 + 777,
                                         5,
                                         50,
                                         2,
                                         false,
                                         true,
                                         {.n_clusters = 17, .max_iter = 1, .init = INIT_CENTERS}};
    static const int64_t chunks[] = {0, 4096, -1}, whole[] = {0, -1};

    if (law_emulated())
        equal_over(check, &emulated, whole, threads);
    else
        equal_over(check, &big, CHECK_SANITIZED ? chunks + 1 : chunks, threads);
}

CHECKS(CLAIM(fits_are_equal_on_every_machine), CLAIM(fits_are_equal_in_chunks_of_any_size),
       CLAIM(ten_repeats_are_equal), CLAIM(big_fits_are_equal_on_every_machine))
