/* bary_device.c - opening devices, and errors and turns on their way out of bary.h. */
#include <string.h>

#include "host/bary_call.h"
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

static struct embedded_options options_of(const struct bary_run *run)
{
    return (struct embedded_options){
        .backend = run->backend,
        .backend_dir = run->backend_dir,
        .index = run->gpu_index,
        .isa = run->isa,
        .threads = run->threads,
        .forbid_fallback = run->forbid_fallback != 0,
        .fallback = run->fallback,
        .context = run->context,
    };
}

static const struct bary_run run_default;

struct embedded_work call_work(const struct matrix *matrix, const double *weight,
                               int64_t n_clusters, double passes)
{
    return (struct embedded_work){.shape = {.rows = matrix->rows,
                                            .columns = matrix->columns,
                                            .clusters = n_clusters,
                                            .number = matrix->number,
                                            .weighted = weight != NULL},
                                  .passes = passes};
}

enum status call_run(const struct bary_run *run, const struct embedded_work *work,
                     enum status (*body)(const struct embedded *device, void *context,
                                         struct error *error),
                     void *context, struct error *error)
{
    struct embedded own = {.device = NULL};

    if (run && run->device)
        return embedded_run(&run->device->embedded, body, context, error);
    const struct embedded_options options = options_of(run ? run : &run_default);
    enum status status = embedded_open(&options, work, &own, error);
    if (status == STATUS_OK)
        status = embedded_run(&own, body, context, error);
    embedded_close(&own);
    return status;
}

int bary_device_open(const struct bary_run *run, struct bary_device **out, struct bary_error *error)
{
    const struct embedded_options options = options_of(run ? run : &run_default);
    struct bary_device *device = memory_zeroed(1, sizeof *device);
    struct error inner;
    enum status status;

    if (!device)
        return call_end(FAIL(&inner, OUT_OF_MEMORY, TEXT("what", "a device"),
                             INT("needed", sizeof *device), INT("retry_ms", 1000)),
                        &inner, error);
    status = embedded_open(&options, NULL, &device->embedded, &inner);
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
    embedded_close(&(*device)->embedded);
    memory_free(*device);
    *device = NULL;
}

void bary_device_describe(const struct bary_device *device, struct bary_device_info *out)
{
    struct device_info info = {.threads = 0};

    device->embedded.backend->describe(device->embedded.device, &info);
    text_cut(out->backend, sizeof out->backend, device->embedded.backend->name);
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
