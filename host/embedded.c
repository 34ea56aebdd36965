#include "host/embedded.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/machine.h"
#include "host/cluster/tiles.h"
#include "kernels/plugin.h"

/* A GPU costs about this much to open, so what a CPU does in that time stays there. */
static const double GPU_WORTH_NS = 5e8;

static const char *const RESIDENCY_NAMES[] = {
    [RESIDENT] = "resident", [RESIDENT_SMALL] = "small tiles", [STREAMED] = "streamed"};

static enum status no_device(struct error *error, const char *backend, const char *why)
{
    return FAIL(error, NO_DEVICE, TEXT("backend", backend), TEXT("why", why));
}

static void step_tell(const struct embedded *device, const char *from, const char *to,
                      const char *reason, const char *why)
{
    char step[384];

    if (!device->options.fallback)
        return;
    snprintf(step, sizeof step, "%s -> %s: %s (%s)", from, to, reason, why);
    device->options.fallback(device->options.context, step);
}

static void name_of(const struct embedded *device, char out[48])
{
    snprintf(out, 48, device->gpu ? "%.16s:%d" : "%.16s", device->backend->name,
             device->options.index);
}

/* -- Opening ------------------------------------------------------------------------------------ */

static enum status open_failed(enum status status, const struct embedded *device,
                               const struct refusal *why, struct error *error)
{
    const char *isa = device->options.isa;
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
        return FAIL(error, DEVICE_LOST, TEXT("device", device->backend->name),
                    TEXT("why", why->text), INT("retry_ms", 1000));
    default:
        return no_device(error, device->backend->name,
                         why->text[0] ? why->text : "it does not open");
    }
}

static enum status device_open(struct embedded *device, struct refusal *why, struct error *error)
{
    struct device_options options = {.threads = device->options.threads,
                                     .isa = device->options.isa};

    if (options.threads == 0)
        options.threads = machine_threads(NULL);
    enum status status = device->backend->open(device->gpu ? device->options.index : 0, &options,
                                               &device->device, why);
    if (status == STATUS_OK)
        return STATUS_OK;
    device->device = NULL;
    return open_failed(status, device, why, error);
}

/* The named one, or the first that has a device. */
static enum status host_open(struct embedded *device, const char *name, struct error *error)
{
    struct refusal why = {.text = "none was compiled in"};

    device->gpu = false;
    device->residency = RESIDENT;
    device->backend = name ? backend_named(name) : NULL;
    if (name && !device->backend)
        return FAIL(error, UNKNOWN_VALUE, TEXT("what", "backend"), TEXT("value", name),
                    TEXT("known", "auto, gpu, cpu, ref"));
    if (name && device->backend->devices(NULL, 0, &why) < 1)
        return no_device(error, name, why.text);
    for (const struct backend *const *at = backend_list(); !device->backend && *at; at++)
        if ((*at)->devices(NULL, 0, &why) > 0)
            device->backend = *at;
    if (!device->backend)
        return no_device(error, "usable", why.text);
    return device_open(device, &why, error);
}

static enum status gpu_open(struct embedded *device, struct refusal *why, struct error *error)
{
    const char *folder = device->options.backend_dir;

    if (!folder)
        folder = secure_getenv("BARY_BACKEND_DIR");
    device->backend = plugin_open(folder, why);
    if (!device->backend)
        return no_device(error, "gpu", why->text);
    device->gpu = true;
    device->owner = pthread_self();
    if (device->backend->devices(NULL, 0, why) <= device->options.index) {
        if (why->text[0] == '\0')
            *why = (struct refusal){REASON_NO_DEVICE, "there is no device of that number"};
        return no_device(error, "gpu", why->text);
    }
    return device_open(device, why, error);
}

static double cost_on(const struct embedded *device, const struct embedded_work *work)
{
    struct plan plan;
    struct cost cost;

    if (device->backend->plan(device->device, &work->shape, &plan) != STATUS_OK ||
        !plan_cost(&plan, &work->shape, work->passes, &cost))
        return -1;
    return cost.expected_ns;
}

/* Whether a GPU is worth a try, or was worth it. */
static bool gpu_is_better(const struct embedded *cpu, const struct embedded *gpu,
                          const struct embedded_work *work)
{
    double here = cost_on(cpu, work), there = gpu ? cost_on(gpu, work) : 0;

    return there >= 0 && there + GPU_WORTH_NS < here;
}

static enum status auto_open(struct embedded *device, const struct embedded_work *work,
                             struct error *error)
{
    struct embedded gpu = *device;
    struct refusal why = {.reason = REASON_NONE};
    enum status status = host_open(device, NULL, error);

    if (status == STATUS_OK && work && !gpu_is_better(device, NULL, work))
        return STATUS_OK;
    if (gpu_open(&gpu, &why, NULL) != STATUS_OK)
        return status;
    if (status == STATUS_OK && work && !gpu_is_better(device, &gpu, work)) {
        embedded_close(&gpu);
        return STATUS_OK;
    }
    embedded_close(device);
    *device = gpu;
    return STATUS_OK;
}

static enum status asked_open(struct embedded *device, const struct embedded_work *work,
                              struct error *error)
{
    const char *backend = device->options.backend;
    struct refusal why = {.reason = REASON_NONE};

    if (!backend || strcmp(backend, "auto") == 0)
        return auto_open(device, work, error);
    if (strcmp(backend, "gpu") != 0)
        return host_open(device, backend, error);
    enum status status = gpu_open(device, &why, error);
    if (status == STATUS_OK || device->options.forbid_fallback)
        return status;
    step_tell(device, "gpu", "cpu", device_reason_name(why.reason), why.text);
    return host_open(device, NULL, error);
}

enum status embedded_open(const struct embedded_options *options, const struct embedded_work *work,
                          struct embedded *out, struct error *error)
{
    struct embedded device = {.options = *options};
    const char *refusal = machine_refusal();

    if (refusal)
        return no_device(error, "usable", refusal);
    if (options->threads < 0)
        return FAIL(error, OUT_OF_RANGE, TEXT("what", "threads"), INT("value", options->threads),
                    TEXT("limit", "0 (all) or more"));
    enum status status = asked_open(&device, work, error);
    if (status == STATUS_OK)
        *out = device;
    return status;
}

void embedded_close(struct embedded *device)
{
    if (device->device)
        device->backend->close(&device->device);
    device->device = NULL;
}

/* -- Going down --------------------------------------------------------------------------------- */

/* From a GPU to the CPU, which is kept from then on. */
static enum status to_the_cpu(struct embedded *device, const char *reason, const char *why,
                              struct error *error)
{
    char from[48];

    name_of(device, from);
    embedded_close(device);
    enum status status = host_open(device, NULL, error);
    if (status == STATUS_OK)
        step_tell(device, from, device->backend->name, reason, why);
    return status;
}

/* In the words of the device: which one, and what it was. */
static void lost_say(const struct embedded *device, struct error *error)
{
    struct refusal lost = {.reason = REASON_NONE};
    char name[48];

    device->backend->failure(device->device, &lost);
    if (lost.reason == REASON_NONE)
        return;
    name_of(device, name);
    FAIL(error, DEVICE_LOST, TEXT("device", name), TEXT("why", lost.text), INT("retry_ms", 1000));
}

static enum status step_down(struct embedded *device, enum status failed, const struct error *error,
                             struct error *out)
{
    static const enum residency below[] = {
        [RESIDENT] = RESIDENT_SMALL, [RESIDENT_SMALL] = STREAMED};
    char why[192], from[64], to[64], name[48];

    if (failed == STATUS_DEVICE_LOST)
        return to_the_cpu(device, "DEVICE_LOST", error_value(error, "why"), out);
    error_message(error, why, sizeof why);
    if (device->residency == STREAMED)
        return to_the_cpu(device, status_row(failed)->name, why, out);
    name_of(device, name);
    snprintf(from, sizeof from, "%s %s", name, RESIDENCY_NAMES[device->residency]);
    device->residency = below[device->residency];
    snprintf(to, sizeof to, "%s %s", name, RESIDENCY_NAMES[device->residency]);
    step_tell(device, from, to, status_row(failed)->name, why);
    return STATUS_OK;
}

static bool may_step(const struct embedded *device, enum status status)
{
    return device->gpu && !device->options.forbid_fallback &&
           (status == STATUS_DEVICE_LOST || status == STATUS_OUT_OF_MEMORY ||
            status == STATUS_UNSUPPORTED);
}

enum status embedded_run(struct embedded *device,
                         enum status (*body)(const struct embedded *device, void *context,
                                             struct error *error),
                         void *context, struct error *error)
{
    struct error failed;
    enum status status;

    if (device->gpu && !pthread_equal(device->owner, pthread_self()))
        return FAIL(error, UNSUPPORTED, TEXT("what", "a GPU in another thread"),
                    TEXT("why", "it belongs to the thread that opened it"));
    device->residency = RESIDENT;
    do {
        status = body(device, context, &failed);
        if (device->gpu && status == STATUS_DEVICE_LOST)
            lost_say(device, &failed);
        if (!may_step(device, status))
            break;
        struct error why = failed;
        status = step_down(device, status, &why, &failed);
    } while (status == STATUS_OK);
    if (status != STATUS_OK && error)
        *error = failed;
    return status;
}
