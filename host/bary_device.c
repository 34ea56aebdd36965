/* bary_device.c - opening devices, and errors and turns on their way out of bary.h. */
#include <stdio.h>
#include <string.h>

#include "host/bary_call.h"
#include "host/base/machine.h"
#include "host/base/memory.h"

const char *bary_version(void)
{
    return BARY_VERSION;
}

int call_end(enum status status, const struct error *error, struct bary_error *out)
{
    if (status == STATUS_OK || !out)
        return (int)status;
    out->status = (int)status;
    text_cut(out->reason, sizeof out->reason, status_row(status)->name);
    error_message(error, out->message, sizeof out->message);
    return (int)status;
}

static enum status no_device(struct error *error, const char *backend, const char *why)
{
    return FAIL(error, NO_DEVICE, TEXT("backend", backend), TEXT("why", why));
}

/* The named backend, or the first that has a device. */
static enum status backend_choose(const char *name, const struct backend **out, struct error *error)
{
    const struct backend *const *list = backend_list();
    const struct backend *found = NULL;
    struct refusal why = {.text = "none was compiled in"};

    if (name) {
        found = backend_named(name);
        if (!found)
            return FAIL(error, UNKNOWN_VALUE, TEXT("what", "backend"), TEXT("value", name),
                        TEXT("known", "cpu, ref"));
        if (found->devices(NULL, 0, &why) < 1)
            return no_device(error, name, why.text);
    }
    for (; !found && *list; list++)
        if ((*list)->devices(NULL, 0, &why) > 0)
            found = *list;
    if (!found)
        return no_device(error, "usable", why.text);
    *out = found;
    return STATUS_OK;
}

static enum status open_failed(enum status status, const struct backend *backend, const char *isa,
                               struct error *error)
{
    char what[128];

    switch (status) {
    case STATUS_UNSUPPORTED:
        snprintf(what, sizeof what, "isa '%.64s' on this machine", isa ? isa : "");
        return FAIL(error, UNSUPPORTED, TEXT("what", isa ? what : "arithmetic of this thread"),
                    TEXT("why", isa ? "it is unknown or the CPU lacks it"
                                    : "it must round to nearest and keep subnormal numbers"));
    case STATUS_OUT_OF_MEMORY:
        return FAIL(error, OUT_OF_MEMORY, TEXT("what", "a device"), INT("needed", 0),
                    INT("retry_ms", 1000));
    case STATUS_DEVICE_LOST:
        return FAIL(error, DEVICE_LOST, TEXT("device", backend->name),
                    TEXT("why", "its results differ from the reference's"), INT("retry_ms", 1000));
    default:
        return no_device(error, backend->name, "it does not open");
    }
}

enum status device_open(const struct bary_run *run, struct bary_device *out, struct error *error)
{
    struct device_options options = {.threads = run->threads, .isa = run->isa};
    struct bary_device opened = {.device = NULL};
    const char *refusal = machine_refusal();
    enum status status;

    if (refusal)
        return no_device(error, "usable", refusal);
    if (run->threads < 0)
        return FAIL(error, OUT_OF_RANGE, TEXT("what", "threads"), INT("value", run->threads),
                    TEXT("limit", "0 (all) or more"));
    if (options.threads == 0)
        options.threads = machine_threads(NULL);
    status = backend_choose(run->backend, &opened.backend, error);
    if (status != STATUS_OK)
        return status;
    status = opened.backend->open(0, &options, &opened.device, NULL);
    if (status != STATUS_OK)
        return open_failed(status, opened.backend, run->isa, error);
    *out = opened;
    return STATUS_OK;
}

static const struct bary_run run_default;

enum status call_device(const struct bary_run *run, struct bary_device *own,
                        const struct bary_device **out, struct error *error)
{
    enum status status;

    *own = (struct bary_device){.device = NULL};
    if (run && run->device) {
        *out = run->device;
        return STATUS_OK;
    }
    status = device_open(run ? run : &run_default, own, error);
    if (status == STATUS_OK)
        *out = own;
    return status;
}

void call_device_close(struct bary_device *own)
{
    if (own->device)
        own->backend->close(&own->device);
}

int bary_device_open(const struct bary_run *run, struct bary_device **out, struct bary_error *error)
{
    struct bary_device *device = memory_zeroed(1, sizeof *device);
    struct error inner;
    enum status status;

    if (!device)
        return call_end(FAIL(&inner, OUT_OF_MEMORY, TEXT("what", "a device"),
                             INT("needed", sizeof *device), INT("retry_ms", 1000)),
                        &inner, error);
    status = device_open(run ? run : &run_default, device, &inner);
    if (status == STATUS_OK)
        *out = device;
    else
        memory_free(device);
    return call_end(status, &inner, error);
}

void bary_device_close(struct bary_device **device)
{
    if (!*device)
        return;
    call_device_close(*device);
    memory_free(*device);
    *device = NULL;
}

void bary_device_describe(const struct bary_device *device, struct bary_device_info *out)
{
    struct device_info info = {.threads = 0};

    device->backend->describe(device->device, &info);
    text_cut(out->name, sizeof out->name, info.name);
    text_cut(out->isa, sizeof out->isa, info.isa);
    out->threads = info.threads;
}

static enum status turn_progress(void *context, const struct fit_progress *progress,
                                 struct error *error)
{
    const struct bary_run *run = context;
    const struct bary_progress seen = {
        .fraction = progress->fraction,
        .run = progress->run,
        .n_init = progress->n_init,
        .round = progress->round,
        .max_iter = progress->max_iter,
        .inertia = progress->inertia,
    };

    if (run->progress(run->context, &seen) == 0)
        return STATUS_OK;
    return FAIL(error, CANCELLED, TEXT("why", "the progress function asked for it"));
}

struct turn call_turn(const struct bary_run *run)
{
    union {
        const struct bary_run *borrowed;
        void *context; /* turn_progress only reads it */
    } passed = {.borrowed = run};

    if (!run || !run->progress)
        return (struct turn){.fn = NULL};
    return (struct turn){.fn = turn_progress, .context = passed.context};
}
