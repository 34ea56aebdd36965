/* device.c - which devices there are, which a placement allows, and the proof that they compute right. */
#include <stdio.h>
#include <string.h>

#include "host/base/log.h"
#include "host/base/memory.h"
#include "host/cluster/fit.h"
#include "host/jobs/live.h"

/* Odd sizes: a last vector, a last tile and a last cluster that are not full. */
enum { TEST_ROWS = 259, TEST_COLUMNS = 5, TEST_CLUSTERS = 7 };

/* Three lattices with many equal distances, so that ties count too. */
static void test_fill(enum number number, void *values)
{
    for (int i = 0; i < TEST_ROWS * TEST_COLUMNS; i++) {
        double value = (double)(i * 7919 % 23) / 4 + (double)(i / TEST_COLUMNS % 3) * 10;
        if (number == NUMBER_F32)
            ((float *)values)[i] = (float)value;
        else
            ((double *)values)[i] = value;
    }
}

static enum status test_fit(const struct backend *backend, struct device *device,
                            enum number number, struct kmeans_result *out, struct error *error)
{
    size_t size = number == NUMBER_F32 ? sizeof(float) : sizeof(double);
    void *values = memory_new((size_t)TEST_ROWS * TEST_COLUMNS, size);
    struct kmeans_params params = kmeans_params_default();
    struct table *table = NULL;
    struct matrix matrix = {0};
    enum status status;

    if (!values)
        return FAIL(error, OUT_OF_MEMORY, TEXT("what", "a self-test"), INT("needed", 0),
                    INT("retry_ms", RETRY_MS));
    test_fill(number, values);
    params.n_clusters = TEST_CLUSTERS;
    TRY(table_of_matrix(number == NUMBER_F32 ? DTYPE_F32 : DTYPE_F64, TEST_ROWS, TEST_COLUMNS,
                        values, NULL, NULL, &table, error));
    TRY(matrix_select(table, NULL, &matrix, error));
    struct fit_input input = {.name = "the self-test", .matrix = &matrix};
    TRY(kmeans_fit(backend, device, &input, &params, NULL, out, error));
out:
    matrix_release(&matrix);
    table_unpin(&table);
    memory_free(values);
    return status;
}

static const char *test_compare(const struct kmeans_result *a, const struct kmeans_result *b)
{
    if (memcmp(a->labels, b->labels, TEST_ROWS * sizeof *a->labels) != 0)
        return "labels differ from ref's";
    if (memcmp(a->centers, b->centers, TEST_CLUSTERS * TEST_COLUMNS * sizeof *a->centers) != 0)
        return "centers differ from ref's";
    if (memcmp(&a->inertia, &b->inertia, sizeof a->inertia) != 0 || a->n_iter != b->n_iter)
        return "inertia or rounds differ from ref's";
    return NULL;
}

static enum status test_number(const struct backend *backend, struct device *device,
                               const struct backend *ref, struct device *ref_device,
                               enum number number, struct error *error)
{
    struct kmeans_result got = {0}, want = {0};
    enum status status;

    TRY(test_fit(backend, device, number, &got, error));
    TRY(test_fit(ref, ref_device, number, &want, error));
    const char *why = test_compare(&got, &want);
    if (why)
        status = FAIL(error, NO_DEVICE, TEXT("backend", backend->name), TEXT("why", why));
out:
    kmeans_result_free(&got);
    kmeans_result_free(&want);
    return status;
}

enum status device_self_test(const struct backend *backend, struct device *device,
                             struct error *error)
{
    const struct backend *ref = backend_named("ref");
    struct device_options options = {.threads = 1};
    struct device *ref_device = NULL;
    enum status status;

    if (!ref || ref->open(0, &options, &ref_device) != STATUS_OK)
        return FAIL(error, NO_DEVICE, TEXT("backend", "ref"), TEXT("why", "it cannot be opened"));
    TRY(test_number(backend, device, ref, ref_device, NUMBER_F32, error));
    TRY(test_number(backend, device, ref, ref_device, NUMBER_F64, error));
out:
    ref->close(&ref_device);
    return status;
}

/* Opens one device in the next worker; a device that fails is left out, with its reason in the log. */
static void device_open(struct dispatcher *dispatcher, const struct backend *backend, int index,
                        const struct dispatcher_options *options, struct error *error)
{
    struct worker *worker = &dispatcher->worker[dispatcher->workers];

    if (dispatcher->workers ==
        DEVICES_MAX - 1) /* one row of the view is the GPU that is not there */
        return;
    memset(worker, 0, sizeof *worker);
    worker->dispatcher = dispatcher;
    worker->backend = backend;
    worker->index = index;
    worker->threads = options->threads;
    worker->isa = options->isa;
    if (worker_start(worker, error) == STATUS_OK) {
        LOG(LOG_INFO, "device", TEXT("backend", backend->name), TEXT("name", worker->info.name),
            TEXT("isa", worker->info.isa), INT("threads", worker->info.threads));
        dispatcher->workers++;
        return;
    }
    char text[ERROR_VALUE_BYTES];
    LOG(LOG_ERROR, "device_refused", TEXT("backend", backend->name),
        TEXT("reason", error_message(error, text, sizeof text)));
}

enum status devices_open(struct dispatcher *dispatcher, const struct dispatcher_options *options,
                         struct error *error)
{
    struct error why = {0};
    char text[128] = "";

    snprintf(dispatcher->gpu_reason, sizeof dispatcher->gpu_reason, "no GPU plug-in is installed");
    for (const struct backend *const *backend = backend_list(); *backend; backend++) {
        struct device_info info[DEVICES_MAX];
        if (strcmp((*backend)->name, "ref") == 0)
            continue; /* it is what the others are tested against */
        int count = (*backend)->devices(info, DEVICES_MAX, text);
        for (int i = 0; i < count && i < DEVICES_MAX; i++)
            device_open(dispatcher, *backend, i, options, &why);
    }
    if (dispatcher->workers > 0)
        return STATUS_OK;
    if (why.status != STATUS_OK) {
        if (error)
            *error = why;
        return why.status;
    }
    return FAIL(error, NO_DEVICE, TEXT("backend", "cpu"),
                TEXT("why", text[0] ? text : "none is built in"));
}

static bool is_gpu(const struct worker *worker)
{
    return strcmp(worker->backend->name, "cpu") != 0;
}

static enum status no_device(const struct dispatcher *dispatcher, bool gpu, int device,
                             struct error *error)
{
    char why[192];

    if (gpu)
        return FAIL(error, NO_DEVICE, TEXT("backend", "gpu"), TEXT("why", dispatcher->gpu_reason));
    snprintf(why, sizeof why, "device %d was asked for and there are %d", device,
             dispatcher->workers);
    return FAIL(error, NO_DEVICE, TEXT("backend", "cpu"), TEXT("why", why));
}

enum status devices_allowed(const struct dispatcher *dispatcher, const struct placement *placement,
                            uint64_t *out, char fallback[160], struct error *error)
{
    bool want_gpu = placement->backend == PLACE_GPU;
    uint64_t kind = 0, all = 0;

    fallback[0] = '\0';
    for (int d = 0; d < dispatcher->workers; d++) {
        const struct worker *worker = &dispatcher->worker[d];
        if (placement->backend == PLACE_AUTO || is_gpu(worker) == want_gpu)
            if (placement->device < 0 || placement->device == worker->index)
                kind |= UINT64_C(1) << d;
        all |= UINT64_C(1) << d;
    }
    if (!kind && (!want_gpu || placement->forbid_fallback))
        return no_device(dispatcher, want_gpu, placement->device, error);
    if (!kind)
        snprintf(fallback, 160, "gpu -> cpu: NO_DEVICE (%.120s)", dispatcher->gpu_reason);
    *out = kind ? kind : all;
    return STATUS_OK;
}
