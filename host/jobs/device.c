/* device.c - which devices there are, and which a placement allows. */
#include <stdio.h>
#include <string.h>

#include "host/base/log.h"
#include "host/jobs/live.h"

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
    struct refusal refusal = {0};

    snprintf(dispatcher->gpu_reason, sizeof dispatcher->gpu_reason, "no GPU plug-in is installed");
    for (const struct backend *const *backend = backend_list(); *backend; backend++) {
        struct device_info info[DEVICES_MAX];
        if (strcmp((*backend)->name, "ref") == 0)
            continue; /* it is what the others are tested against */
        int count = (*backend)->devices(info, DEVICES_MAX, &refusal);
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
                TEXT("why", refusal.text[0] ? refusal.text : "none is built in"));
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
