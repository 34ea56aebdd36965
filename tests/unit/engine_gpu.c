/* engine_gpu.c - bary.h on a GPU that fails to order: what is asked for, what it falls back to, the bits. */
#include "host/bary.h"

#include <pthread.h>

#include "tests/check.h"
#include "tests/faults/steer.h"

enum { ROWS = 800, COLUMNS = 3, CLUSTERS = 5, STEPS_MAX = 4 };

static double rows[ROWS * COLUMNS];

/* The steps that a call told of. */
struct steps {
    int count;
    char step[STEPS_MAX][384];
};

static void on_step(void *context, const char *step)
{
    struct steps *steps = context;

    if (steps->count < STEPS_MAX)
        snprintf(steps->step[steps->count], sizeof steps->step[0], "%s", step);
    steps->count++;
}

static struct bary_data data(void)
{
    uint64_t state = 3;

    for (int i = 0; i < ROWS * COLUMNS; i++)
        rows[i] = check_normal(&state) + (double)(i / COLUMNS % CLUSTERS) * (i % COLUMNS);
    return (struct bary_data){.values = rows, .dtype = BARY_F64, .rows = ROWS, .columns = COLUMNS};
}

static struct bary_kmeans_options options(const char *backend, struct steps *steps)
{
    struct bary_kmeans_options out;

    *steps = (struct steps){.count = 0};
    bary_kmeans_options_init(&out);
    out.n_clusters = CLUSTERS;
    out.run.backend = backend;
    out.run.backend_dir = FAKE;
    out.run.fallback = on_step;
    out.run.context = steps;
    return out;
}

static void check_same(struct check *check, const struct bary_kmeans_options *asked)
{
    struct steps none;
    struct bary_data X = data();
    struct bary_kmeans_options cpu = options("cpu", &none);
    struct bary_kmeans_result want = {0}, got = {0};
    struct bary_error error = {.message = ""};

    check_equal_i64(check, bary_kmeans_fit(&X, &cpu, &want, NULL), 0);
    bary_kmeans_fit(&X, asked, &got, &error);
    check_equal_text(check, error.message, "");
    if (got.labels) {
        check_equal_bytes(check, got.labels, want.labels, ROWS * sizeof(int32_t));
        check_equal_bytes(check, got.cluster_centers, want.cluster_centers,
                          CLUSTERS * COLUMNS * sizeof(double));
        check_equal_bits(check, got.inertia, want.inertia);
    }
    bary_kmeans_result_free(&got);
    bary_kmeans_result_free(&want);
}

static void check_step(struct check *check, const struct steps *steps, int step, const char *start)
{
    check_true(check, steps->count > step);
    check_note(check, "step %d: %s", step, steps->step[step]);
    check_true(check, strncmp(steps->step[step], start, strlen(start)) == 0);
}

static void a_gpu_gives_the_bits_of_the_cpu(struct check *check)
{
    struct steps steps;
    struct bary_kmeans_options asked = options("gpu", &steps);
    struct bary_device *device = NULL;
    struct bary_device_info info;

    fake_set("devices=2");
    asked.run.gpu_index = 1;
    asked.run.forbid_fallback = 1;
    check_same(check, &asked);
    check_equal_i64(check, steps.count, 0);
    check_equal_i64(check, bary_device_open(&asked.run, &device, NULL), 0);
    bary_device_describe(device, &info);
    check_equal_text(check, info.backend, "cuda");
    check_equal_text(check, info.name, "Fake GPU 1");
    asked.run.device = device;
    check_same(check, &asked);
    bary_device_close(&device);
}

static void a_gpu_that_is_not_there_is_the_cpu_or_an_error(struct check *check)
{
    struct steps steps;
    struct bary_kmeans_options asked = options("gpu", &steps);
    struct bary_kmeans_result result;
    struct bary_data X = data();
    struct bary_error error;

    asked.run.backend_dir = "/nowhere";
    check_same(check, &asked);
    check_step(check, &steps, 0, "gpu -> cpu: PLUGIN_MISSING (cannot open '/nowhere/");
    asked.run.forbid_fallback = 1;
    bary_kmeans_fit(&X, &asked, &result, &error);
    check_equal_text(check, error.reason, "NO_DEVICE");
    check_true(check, strstr(error.message, "cannot open '/nowhere/libbary_cuda.so'") != NULL);
    fake_set("absent=NO_DRIVER");
    asked = options("gpu", &steps);
    check_same(check, &asked);
    check_step(check, &steps, 0, "gpu -> cpu: NO_DRIVER (");
}

static void a_gpu_that_fails_is_left(struct check *check)
{
    static const char *const entries[] = {"facts", "seed_try", "assign", "wait", "labels_read"};
    struct steps steps;

    for (int e = 0; e < 5; e++) {
        char words[64], start[96];
        struct bary_kmeans_options asked = options("gpu", &steps);
        snprintf(words, sizeof words, "fail=%s:2:DEVICE_LOST", entries[e]);
        snprintf(start, sizeof start, "cuda:0 -> cpu: DEVICE_LOST (fake error 700 in %s)",
                 entries[e]);
        if (strcmp(entries[e], "facts") == 0 || strcmp(entries[e], "labels_read") == 0)
            words[strlen("fail=:") + strlen(entries[e])] = '1'; /* called once */
        fake_set(words);
        check_same(check, &asked);
        check_step(check, &steps, 0, start);
        fake_set(words);
        asked.run.forbid_fallback = 1;
        struct bary_kmeans_result result;
        struct bary_data X = data();
        struct bary_error error;
        bary_kmeans_fit(&X, &asked, &result, &error);
        check_equal_text(check, error.reason, "DEVICE_LOST");
    }
    check_equal_i64(check, fake_number("fake_gpu_used"), 0);
}

static void a_gpu_without_memory_goes_down_its_ladder(struct check *check)
{
    struct steps steps;
    struct bary_kmeans_options asked = options("gpu", &steps);

    fake_set("free=20000"); /* 800 rows take 32000 bytes there, streamed 3200 */
    check_same(check, &asked);
    check_equal_i64(check, steps.count, 2);
    check_step(check, &steps, 0, "cuda:0 resident -> cuda:0 small tiles: OUT_OF_MEMORY");
    check_step(check, &steps, 1, "cuda:0 small tiles -> cuda:0 streamed: OUT_OF_MEMORY");
    fake_set("free=1000");
    asked = options("gpu", &steps);
    check_same(check, &asked);
    check_step(check, &steps, 2, "cuda:0 -> cpu: OUT_OF_MEMORY");
}

static void a_device_that_was_lost_serves_on_as_the_cpu(struct check *check)
{
    struct steps steps;
    struct bary_kmeans_options asked = options("gpu", &steps);
    struct bary_device *device = NULL;
    struct bary_device_info info;

    fake_set("fail=assign:2:DEVICE_LOST");
    check_equal_i64(check, bary_device_open(&asked.run, &device, NULL), 0);
    asked.run.device = device;
    check_same(check, &asked);
    check_same(check, &asked);
    check_equal_i64(check, steps.count, 1);
    bary_device_describe(device, &info);
    check_equal_text(check, info.backend, "cpu");
    bary_device_close(&device);
}

static void small_work_is_not_worth_opening_a_gpu(struct check *check)
{
    struct steps steps;
    struct bary_kmeans_options asked = options(NULL, &steps);

    fake_set("fail=open:1:DEVICE_LOST");
    check_same(check, &asked);
    check_equal_i64(check, fake_calls(0), 0);
    check_equal_i64(check, steps.count, 0);
}

/* A plan of the CPU that takes minutes: only the choice is made, and its first turn ends the work. */
static int stop(void *context, const struct bary_progress *progress)
{
    (void)context;
    (void)progress;
    return 1;
}

static void large_work_opens_a_gpu_if_one_is_there(struct check *check)
{
    enum { MANY = 30000, WIDE = 40 };
    static float X[MANY * WIDE];
    struct steps steps;
    struct bary_kmeans_options asked = options("auto", &steps);
    struct bary_data large = {.values = X, .dtype = BARY_F32, .rows = MANY, .columns = WIDE};
    struct bary_kmeans_result result;
    struct bary_error error;

    asked.n_clusters = 2000;
    asked.run.threads = 1;
    asked.run.progress = stop;
    fake_set("row_ns=0.001 fail=facts:1000:DEVICE_LOST");
    bary_kmeans_fit(&large, &asked, &result, &error);
    check_equal_text(check, error.reason, "CANCELLED");
    check_equal_i64(check, fake_calls(0), 1); /* on the GPU */
    asked.run.backend_dir = "/nowhere";
    bary_kmeans_fit(&large, &asked, &result, &error);
    check_equal_text(check, error.reason, "CANCELLED");
    check_equal_i64(check, fake_calls(0), 1);
}

static void *fit_elsewhere(void *context)
{
    struct bary_kmeans_options *asked = context;
    struct bary_data X = data();
    struct bary_kmeans_result result;
    struct bary_error *error = asked->run.context;

    asked->run.context = NULL;
    asked->run.fallback = NULL;
    bary_kmeans_fit(&X, asked, &result, error);
    return NULL;
}

static void a_gpu_belongs_to_the_thread_that_opened_it(struct check *check)
{
    struct steps steps;
    struct bary_kmeans_options asked = options("gpu", &steps);
    struct bary_device *device = NULL;
    struct bary_error error = {.reason = ""};
    pthread_t thread;

    fake_set("");
    check_equal_i64(check, bary_device_open(&asked.run, &device, NULL), 0);
    asked.run.device = device;
    asked.run.context = &error;
    pthread_create(&thread, NULL, fit_elsewhere, &asked);
    pthread_join(thread, NULL);
    check_equal_text(check, error.reason, "UNSUPPORTED");
    bary_device_close(&device);
}

CHECKS(CLAIM(a_gpu_gives_the_bits_of_the_cpu),
       CLAIM(a_gpu_that_is_not_there_is_the_cpu_or_an_error), CLAIM(a_gpu_that_fails_is_left),
       CLAIM(a_gpu_without_memory_goes_down_its_ladder),
       CLAIM(a_device_that_was_lost_serves_on_as_the_cpu),
       CLAIM(small_work_is_not_worth_opening_a_gpu), CLAIM(large_work_opens_a_gpu_if_one_is_there),
       CLAIM(a_gpu_belongs_to_the_thread_that_opened_it))
