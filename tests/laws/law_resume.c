/* law_resume.c - law 4: a fit stopped after any tile, saved, and run on anywhere gives equal bytes. */
#include "host/base/checksum.h"
#include "host/base/memory.h"
#include "tests/laws/law.h"

static const int threads[] = {1, 3, 0};

struct task {
    const char *name;
    enum number number;
    bool weighted, far_center;
    struct kmeans_params params;
};

static const struct task tasks[] = {
    {"k-means++ runs",
     NUMBER_F64,
     false,
     false,
     {.n_clusters = 4, .max_iter = 6, .n_init = 2, .tol = 1e-4, .history = true}},
    {"k-means++ weighted", NUMBER_F32, true, false, {.n_clusters = 5, .max_iter = 5}},
    {"random runs",
     NUMBER_F32,
     false,
     false,
     {.n_clusters = 3, .max_iter = 4, .init = INIT_RANDOM, .n_init = 3, .history = true}},
    {"random weighted",
     NUMBER_F64,
     true,
     false,
     {.n_clusters = 4, .max_iter = 3, .init = INIT_RANDOM, .n_init = 2}},
    {"relocation",
     NUMBER_F64,
     false,
     true,
     {.n_clusters = 6, .max_iter = 9, .init = INIT_CENTERS, .history = true}},
    {"fixed rounds",
     NUMBER_F32,
     false,
     false,
     {.n_clusters = 4, .max_iter = 3, .fixed_rounds = true, .random_state = 8}},
};
enum {
    TASKS = sizeof tasks / sizeof *tasks,
    ROWS = 120,
    ROWS_EMULATED = 50,
    COLUMNS = 3,
    CHUNK = 40
};

struct stop {
    int64_t calls, stop_at; /* 0: never */
    double fraction;        /* the last one that was told */
    bool backward;
};

static enum status stop_turn(void *context, const struct fit_progress *progress,
                             struct error *error)
{
    struct stop *stop = context;

    stop->calls++;
    stop->backward |= !(progress->fraction >= stop->fraction && progress->fraction <= 1);
    stop->fraction = progress->fraction;
    if (stop->calls == stop->stop_at)
        return FAIL(error, CANCELLED, TEXT("why", "the test says so"));
    return STATUS_OK;
}

/* What a claim works on: data seen whole and in chunks, and the undisturbed result. */
struct bench {
    const struct task *task;
    struct machines machines;
    struct data data;
    double *centers;
    struct kmeans_params params;
    struct view view[2];
    struct kmeans_result want;
};

static void bench_open(struct check *check, const struct task *task, struct bench *bench)
{
    *bench = (struct bench){.task = task, .params = task->params};
    bench->machines = machines_open(check, threads);
    bench->data = data_blobs(task->number, law_size(ROWS, ROWS_EMULATED), COLUMNS, 5, 2, 21);
    if (task->weighted)
        data_weigh(&bench->data, 4);
    if (task->far_center) {
        bench->centers = data_rows(&bench->data, NULL, task->params.n_clusters);
        for (int64_t d = 0; d < 2 * COLUMNS; d++)
            bench->centers[d] = 1e3;
        bench->params.init_centers = bench->centers;
    }
    check_note(check, "%s", task->name);
    view_open(check, &bench->data, 0, &bench->view[0]);
    view_open(check, &bench->data, CHUNK, &bench->view[1]);
    law_fit(check, &bench->machines.machine[0], &bench->data, 0, &bench->params, &bench->want);
}

static void bench_close(struct bench *bench)
{
    kmeans_result_free(&bench->want);
    view_close(&bench->view[0]);
    view_close(&bench->view[1]);
    free(bench->centers);
    data_free(&bench->data);
    machines_close(&bench->machines);
}

static struct fit *fit_begin(struct check *check, const struct bench *bench, int64_t machine,
                             int64_t view)
{
    const struct machine *on = &bench->machines.machine[machine % bench->machines.count];
    struct fit_input input = {.name = "X",
                              .matrix = &bench->view[view % 2].matrix,
                              .sample_weight = bench->data.weight,
                              .residency = on->residency};
    struct fit *fit = NULL;
    struct error error = {0};

    check_equal_i64(check, fit_open(on->backend, on->device, &input, &bench->params, &fit, &error),
                    STATUS_OK);
    return fit;
}

/* Runs to the end and compares; closes the fit. */
static void fit_end(struct check *check, const struct bench *bench, struct fit *fit)
{
    struct kmeans_result got = {0};

    if (check_equal_i64(check, fit_run(fit, NULL, NULL), STATUS_OK) &&
        check_equal_i64(check, fit_take_result(fit, &got, NULL), STATUS_OK))
        results_equal(check, &got, &bench->want);
    kmeans_result_free(&got);
    fit_close(&fit);
}

/* Stops after tile `at`, saves, goes on both there and in a fit that was loaded elsewhere. False:
 * the fit ended before. */
static bool stopped_at(struct check *check, const struct bench *bench, int64_t at)
{
    struct stop stop = {.stop_at = at};
    struct turn turn = {stop_turn, &stop};
    struct fit *fit = fit_begin(check, bench, at, 1), *other;
    enum status status = fit_run(fit, &turn, NULL);
    void *bytes = NULL;
    size_t count = 0;

    check_note(check, "%s, stopped after tile %" PRId64, bench->task->name, at);
    check_true(check, !stop.backward);
    check_equal_i64(check, fit_save(fit, &bytes, &count, NULL), STATUS_OK);
    other = fit_begin(check, bench, at / 2 + 1, at);
    check_equal_i64(check, fit_load(other, bytes, count, NULL), STATUS_OK);
    fit_end(check, bench, other);
    fit_end(check, bench, fit);
    memory_free(bytes);
    return status == STATUS_CANCELLED;
}

/* In the emulator after every 7th: no count of machines that 7 divides leaves one out. */
static void a_fit_stopped_after_any_tile_runs_on_to_equal_bytes(struct check *check)
{
    for (int i = 0; i < TASKS; i++) {
        struct bench bench;
        int64_t at = 1 + law_size(0, i);

        bench_open(check, &tasks[i], &bench);
        while (check->failures == 0 && stopped_at(check, &bench, at))
            at += law_size(1, 7);
        check_true(check, at > 20);
        bench_close(&bench);
    }
}

/* Stopped, saved and loaded again and again: each life lives only a few tiles. */
static void a_fit_of_many_short_lives_ends_equal(struct check *check)
{
    for (int i = 0; i < TASKS; i++) {
        struct bench bench;
        void *bytes = NULL;
        size_t count = 0;
        bool done = false;

        bench_open(check, &tasks[i], &bench);
        for (int64_t life = 0; !done && life < 400; life++) {
            struct stop stop = {.stop_at = 6 * 6 + life % 7};
            struct turn turn = {stop_turn, &stop};
            struct fit *fit = fit_begin(check, &bench, life, 1);
            check_note(check, "%s, life %" PRId64, bench.task->name, life);
            if (bytes)
                check_equal_i64(check, fit_load(fit, bytes, count, NULL), STATUS_OK);
            memory_free(bytes);
            bytes = NULL;
            done = fit_run(fit, &turn, NULL) == STATUS_OK;
            if (!done)
                check_equal_i64(check, fit_save(fit, &bytes, &count, NULL), STATUS_OK);
            if (done)
                fit_end(check, &bench, fit);
            else
                fit_close(&fit);
        }
        check_true(check, done);
        memory_free(bytes);
        bench_close(&bench);
    }
}

static enum status load_into(struct check *check, const struct bench *bench, int64_t machine,
                             const void *bytes, size_t count, struct error *error)
{
    struct fit *fit = fit_begin(check, bench, machine, 0);
    enum status status = fit_load(fit, bytes, count, error);

    if (status == STATUS_OK) /* other values show only once they are read */
        status = fit_run(fit, NULL, error);
    fit_close(&fit);
    return status;
}

static void a_saved_fit_is_refused_by_another_request_or_other_data(struct check *check)
{
    struct bench bench;
    struct stop stop = {.stop_at = 20};
    struct turn turn = {stop_turn, &stop};
    struct error error = {0};
    void *bytes;
    size_t count;

    bench_open(check, &tasks[0], &bench);
    struct fit *fit = fit_begin(check, &bench, 0, 1);
    check_equal_i64(check, fit_run(fit, &turn, NULL), STATUS_CANCELLED);
    check_equal_i64(check, fit_save(fit, &bytes, &count, NULL), STATUS_OK);
    fit_close(&fit);

    check_equal_i64(check, load_into(check, &bench, 0, bytes, count, &error), STATUS_OK);
    bench.params.random_state = 1;
    check_equal_i64(check, load_into(check, &bench, 0, bytes, count, &error),
                    STATUS_SHAPE_MISMATCH);
    check_equal_text(check, error_value(&error, "found"), "another value of random_state");
    bench.params = bench.task->params;
    bench.params.tol = 1e-5;
    check_equal_i64(check, load_into(check, &bench, 0, bytes, count, &error),
                    STATUS_SHAPE_MISMATCH);
    bench.params = bench.task->params;
    data_set(&bench.data, 5, 1, 1e3);
    check_equal_i64(check, load_into(check, &bench, 0, bytes, count, &error),
                    STATUS_SHAPE_MISMATCH);
    memory_free(bytes);
    bench_close(&bench);
}

/* Puts a right crc behind every block and header, so that only the ranges can tell. */
static void crcs_mend(unsigned char *bytes, size_t count)
{
    uint32_t crc = crc32c(0, bytes, 24);

    memcpy(bytes + 24, &crc, sizeof crc);
    crc = crc32c(0, bytes + 28, count - 28 - 4);
    memcpy(bytes + count - 4, &crc, sizeof crc);
}

/* A flipped bit is found; with a forged crc it may pass, but then a run must end somehow. */
static void a_damaged_saved_fit_is_refused_or_harmless(struct check *check)
{
    struct bench bench;
    struct stop stop = {.stop_at = 34};
    struct turn turn = {stop_turn, &stop};
    void *saved;
    size_t count;

    bench_open(check, &tasks[2], &bench);
    struct fit *fit = fit_begin(check, &bench, 0, 1);
    check_equal_i64(check, fit_run(fit, &turn, NULL), STATUS_CANCELLED);
    check_equal_i64(check, fit_save(fit, &saved, &count, NULL), STATUS_OK);
    fit_close(&fit);

    unsigned char *bytes = malloc(count);
    for (size_t at = 0; at < count; at++) {
        int64_t machine = at % 61 == 0 ? 2 : 0; /* where a plug-in is tested it is the second */
        check_note(check, "byte %zu of %zu", at, count);
        memcpy(bytes, saved, count);
        bytes[at] ^= (unsigned char)(1u << at % 8);
        enum status status = load_into(check, &bench, machine, bytes, count, NULL);
        check_true(check, status == STATUS_DAMAGED || status == STATUS_UNSUPPORTED);
        bytes[at] = (unsigned char)(at % 3 ? 0xff : 0x80);
        crcs_mend(bytes, count);
        load_into(check, &bench, machine, bytes, count, NULL);
        status = load_into(check, &bench, machine, bytes, at, NULL);
        check_true(check, status == STATUS_DAMAGED);
    }
    free(bytes);
    memory_free(saved);
    bench_close(&bench);
}

CHECKS(CLAIM(a_fit_stopped_after_any_tile_runs_on_to_equal_bytes),
       CLAIM(a_fit_of_many_short_lives_ends_equal),
       CLAIM(a_saved_fit_is_refused_by_another_request_or_other_data),
       CLAIM(a_damaged_saved_fit_is_refused_or_harmless))
