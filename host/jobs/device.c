/* device.c - which devices there are, and what is said of those that are not. */
#include <stdio.h>
#include <string.h>

#include "host/base/clock.h"
#include "host/base/log.h"
#include "host/base/memory.h"
#include "host/jobs/live.h"
#include "kernels/plugin.h"

/* Of what a device reports free, a thirty-second is left to its driver and to others, and never less
 * than this unless that were half of it. */
enum { MARGIN_SHARE = 32 };
static const int64_t MARGIN_LEAST = 64 << 20;
/* Pages pinned for copies cannot be paged out: all GPUs together get a quarter of the budget. */
enum { PINNED_SHARE = 4 };

static const char *const STATE_NAMES[] = {[WORKER_OPENING] = "OPENING",
                                          [WORKER_OK] = "OK",
                                          [WORKER_ABSENT] = "ABSENT",
                                          [WORKER_SUSPECT] = "SUSPECT",
                                          [WORKER_QUARANTINED] = "QUARANTINED"};

/* -- What is seen ------------------------------------------------------------------------------- */

static void refusal_show(struct device_view *view, const struct refusal *why)
{
    bool wrong = why->reason != REASON_NONE;

    view->reason_name = wrong ? device_reason_name(why->reason) : "";
    view->advice = wrong ? device_reason_advice(why->reason) : "";
    snprintf(view->reason, sizeof view->reason, "%s", wrong ? why->text : "");
}

void device_publish(struct dispatcher *dispatcher, const struct worker *worker)
{
    struct device_view *view = &dispatcher->view.device[worker->number];
    int state = atomic_load(&worker->state);
    char label[48];

    pthread_mutex_lock(&dispatcher->view_lock);
    snprintf(view->backend, sizeof view->backend, "%s", worker->backend->name);
    snprintf(view->state, sizeof view->state, "%s", STATE_NAMES[state]);
    snprintf(view->build, sizeof view->build, "%s", worker->backend->build);
    view->index = worker->index;
    if (state == WORKER_OK)
        view->info = worker->info;
    refusal_show(view,
                 state == WORKER_OK ? &(struct refusal){.reason = REASON_NONE} : &worker->refusal);
    pthread_mutex_unlock(&dispatcher->view_lock);
    snprintf(label, sizeof label, "%s:%d", worker->backend->name, worker->index);
    metric_set(dispatcher->metrics, METRIC_device_state, label, state);
    if (dispatcher->devices_changed)
        dispatcher->devices_changed(dispatcher->devices_context);
}

/* The row of the GPU that is not there, when no GPU has one. */
static void absence_publish(struct dispatcher *dispatcher)
{
    struct device_view *view = &dispatcher->view.device[dispatcher->workers];

    for (int d = 0; d < dispatcher->workers; d++)
        if (dispatcher->worker[d]->gpu)
            return;
    snprintf(view->backend, sizeof view->backend, "gpu");
    snprintf(view->state, sizeof view->state, "ABSENT");
    refusal_show(view, &dispatcher->plugin_refusal);
    dispatcher->view.devices++;
    LOG(LOG_INFO, "gpu_absent", TEXT("reason", view->reason_name), TEXT("why", view->reason),
        TEXT("advice", view->advice));
}

void devices_absence(struct dispatcher *dispatcher, char out[192])
{
    const struct dispatcher_view *view = &dispatcher->view;

    snprintf(out, 192, "no GPU is free");
    pthread_mutex_lock(&dispatcher->view_lock);
    for (int d = 0; d < view->devices; d++) {
        const struct device_view *device = &view->device[d];
        if (strcmp(device->backend, "cpu") != 0 && device->reason_name[0]) {
            snprintf(out, 192, "%s: %.160s", device->reason_name, device->advice);
            break;
        }
    }
    pthread_mutex_unlock(&dispatcher->view_lock);
}

/* -- What comes and goes ------------------------------------------------------------------------ */

static int64_t budget_of(const struct device_info *info)
{
    int64_t margin = info->free_bytes / MARGIN_SHARE;

    if (margin < MARGIN_LEAST)
        margin = MARGIN_LEAST < info->free_bytes / 2 ? MARGIN_LEAST : info->free_bytes / 2;
    return info->free_bytes - margin;
}

/* Its open has come back, or is late. */
static void device_judge(struct worker *worker, const struct opening *opening)
{
    struct dispatcher *dispatcher = worker->dispatcher;
    bool wrong = opening->why.reason == REASON_DEVICE_WRONG;

    worker->refusal = opening->why;
    if (opening->status == STATUS_OK) {
        if (worker->gpu)
            ledger_offer(dispatcher->ledger, worker->number, budget_of(&worker->info),
                         dispatcher->pinned_each);
        atomic_store(&worker->state, WORKER_OK);
        LOG(LOG_INFO, "device", TEXT("backend", worker->backend->name), INT("index", worker->index),
            TEXT("name", worker->info.name), TEXT("isa", worker->info.isa),
            INT("threads", worker->info.threads), INT("free_bytes", worker->info.free_bytes),
            TEXT("build", worker->backend->build));
    } else {
        atomic_store(&worker->state, wrong ? WORKER_QUARANTINED : WORKER_ABSENT);
        LOG(LOG_ERROR, "device_refused", TEXT("backend", worker->backend->name),
            INT("index", worker->index), TEXT("reason", device_reason_name(worker->refusal.reason)),
            TEXT("why", worker->refusal.text),
            TEXT("advice", device_reason_advice(worker->refusal.reason)));
    }
    device_publish(dispatcher, worker);
}

void handle_open_done(struct dispatcher *dispatcher, struct message *message)
{
    struct worker *worker = (struct worker *)((char *)message - offsetof(struct worker, open_done));
    const struct opening opening = worker_opening(worker);

    (void)dispatcher;
    device_judge(worker, &opening);
}

static void open_is_late(struct worker *worker, int64_t ms)
{
    worker->refusal = (struct refusal){.reason = REASON_DEVICE_HUNG};
    snprintf(worker->refusal.text, sizeof worker->refusal.text,
             "opening it has not come back after %lld ms", (long long)ms);
    LOG(LOG_ERROR, "device_late", TEXT("backend", worker->backend->name),
        INT("index", worker->index), TEXT("why", worker->refusal.text));
    device_publish(worker->dispatcher, worker);
}

static struct worker *worker_new(struct dispatcher *dispatcher, const struct backend *backend,
                                 int index, const struct dispatcher_options *options)
{
    struct worker *worker = memory_zeroed(1, sizeof *worker);

    if (!worker)
        return NULL;
    worker->dispatcher = dispatcher;
    worker->backend = backend;
    worker->number = dispatcher->workers;
    worker->index = index;
    worker->gpu = strcmp(backend->name, "cpu") != 0;
    worker->threads = options->threads;
    worker->isa = options->isa;
    atomic_store(&worker->state, WORKER_OPENING);
    worker->retry_ns = options->limits->device_retry_s * INT64_C(1000000000);
    return worker;
}

/* Starts a device's thread and waits for its open. How many devices there are: its backend's word. */
static int device_begin(struct dispatcher *dispatcher, const struct backend *backend, int index,
                        const struct dispatcher_options *options, struct error *error)
{
    int64_t ms = options->limits->device_open_ms;
    struct worker *worker = worker_new(dispatcher, backend, index, options);

    if (!worker || worker_start(worker, error) != STATUS_OK)
        return 0;
    dispatcher->worker[dispatcher->workers++] = worker;
    dispatcher->view.devices++;
    if (!worker_await(worker, worker->gpu ? clock_ns() + ms * 1000000 : INT64_MAX)) {
        open_is_late(worker, ms);
        return 1;
    }
    const struct opening opening = worker_opening(worker);
    bool none = worker->gpu && opening.found == 0 && opening.why.reason != REASON_DEVICE_BUSY;
    if (!none) {
        device_judge(worker, &opening);
        return opening.found;
    }
    dispatcher->plugin_refusal = opening.why; /* there is no device to give a row to */
    dispatcher->worker[--dispatcher->workers] = NULL;
    dispatcher->view.devices--;
    worker_stop(worker, ms * 1000000);
    return 0;
}

static void backend_begin(struct dispatcher *dispatcher, const struct backend *backend, int most,
                          const struct dispatcher_options *options, struct error *error)
{
    int found = 1;

    for (int i = 0; i < found && dispatcher->workers < most; i++) {
        int count = device_begin(dispatcher, backend, i, options, error);
        if (i == 0)
            found = count;
    }
}

static enum status any_open(struct dispatcher *dispatcher, struct error *error)
{
    const char *why = "none is built in";

    for (int d = 0; d < dispatcher->workers; d++) {
        if (atomic_load(&dispatcher->worker[d]->state) == WORKER_OK)
            return STATUS_OK;
        if (!dispatcher->worker[d]->gpu)
            why = dispatcher->worker[d]->refusal.text;
    }
    return FAIL(error, NO_DEVICE, TEXT("backend", "cpu"), TEXT("why", why));
}

enum status devices_open(struct dispatcher *dispatcher, const struct dispatcher_options *options,
                         struct error *error)
{
    struct error why = {.status = STATUS_OK};
    const struct backend *gpu = plugin_open(options->backend_dir, &dispatcher->plugin_refusal);

    dispatcher->pinned_each = ledger_budget(dispatcher->ledger) / PINNED_SHARE;
    if (gpu)
        backend_begin(dispatcher, gpu, DEVICES_MAX - 1, options, &why);
    for (const struct backend *const *backend = backend_list(); *backend; backend++)
        if (strcmp((*backend)->name, "ref") != 0) /* it is what the others are tested against */
            backend_begin(dispatcher, *backend, DEVICES_MAX, options, &why);
    absence_publish(dispatcher);
    if (why.status != STATUS_OK && dispatcher->workers == 0) {
        if (error)
            *error = why;
        return why.status;
    }
    return any_open(dispatcher, error);
}
