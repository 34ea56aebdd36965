/* local.c - a device opened in this process, and the turns in which Ctrl-C is seen. */
#include "clients/cli/local.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "clients/cli/files.h"
#include "host/base/clock.h"

static void show(struct local *local, const struct fit_progress *progress)
{
    Bary__V1__Job job = BARY__V1__JOB__INIT;
    Bary__V1__Progress message = BARY__V1__PROGRESS__INIT;
    Google__Protobuf__DoubleValue inertia = GOOGLE__PROTOBUF__DOUBLE_VALUE__INIT;
    Google__Protobuf__Int64Value moved = GOOGLE__PROTOBUF__INT64_VALUE__INIT;

    if (local->predicting) {
        progress_rows(local->progress, "predicted", progress->rows_done, progress->rows);
        return;
    }
    job.state = BARY__V1__JOB_STATE__JOB_STATE_RUNNING;
    job.progress = &message;
    message.stage = (Bary__V1__FitStage)progress->stage;
    message.run = progress->run;
    message.n_init = progress->n_init;
    message.iteration = progress->round;
    message.max_iter = progress->max_iter;
    inertia.value = progress->inertia;
    moved.value = progress->moved;
    if (!isnan(progress->inertia))
        message.inertia = &inertia;
    if (progress->moved >= 0)
        message.labels_moved = &moved;
    progress_job(local->progress, &job);
}

static enum status on_turn(void *context, const struct fit_progress *progress, struct error *error)
{
    struct local *local = context;

    if (stop_asked(NULL))
        return FAIL(error, CANCELLED, TEXT("why", "interrupted"));
    if (local->runtime_ns > 0 && clock_ns() - local->start_ns > local->runtime_ns)
        return FAIL(error, RUNTIME_EXCEEDED, TEXT("name", "local"),
                    INT("ms", local->runtime_ns / 1000000));
    show(local, progress);
    return STATUS_OK;
}

/* Told at once, and kept for the report. */
static void on_step(void *context, const char *step)
{
    struct local *local = context;

    progress_end(local->progress);
    complain(EXIT_DONE, "falls back: %s", step);
    if (local->steps < LOCAL_STEPS_MAX)
        snprintf(local->step[local->steps++], sizeof local->step[0], "%s", step);
}

void local_init(const struct arguments *arguments, struct progress_line *progress,
                struct local *out)
{
    *out = (struct local){.arguments = arguments,
                          .progress = progress,
                          .start_ns = clock_ns(),
                          .runtime_ns = (int64_t)(flag_real(arguments, FLAG_MAX_RUNTIME, 0) * 1e9)};
    out->turn = (struct turn){on_turn, out};
}

static struct embedded_options options_of(struct local *local)
{
    static const char *const backends[] = {"auto", "gpu", "cpu"};
    const struct arguments *arguments = local->arguments;

    return (struct embedded_options){
        .backend = backends[flag_integer(arguments, FLAG_DEVICE, 0)],
        .backend_dir = flag_text(arguments, FLAG_BACKEND_DIR),
        .isa = getenv("BARY_ISA"),
        .threads = (int)flag_integer(arguments, FLAG_THREADS, 0),
        .forbid_fallback = flag_given(arguments, FLAG_FORBID_FALLBACK),
        .fallback = on_step,
        .context = local,
    };
}

/* What it ran on, asked while it is open. */
static void describe(struct local *local, const struct embedded_work *work)
{
    const struct embedded *device = &local->device;
    struct shape shape = work->shape;
    struct plan plan;

    device->backend->describe(device->device, &local->info);
    local->backend = device->backend->name;
    shape.residency = device->residency;
    if (device->backend->plan(device->device, &shape, &plan) == STATUS_OK)
        local->method = plan.method;
}

enum status local_run(struct local *local, const struct embedded_work *work,
                      enum status (*body)(const struct embedded *device, void *context,
                                          struct error *error),
                      void *context, struct error *error)
{
    const struct embedded_options options = options_of(local);
    enum status status;

    TRY(embedded_open(&options, work, &local->device, error));
    local->start_ns = clock_ns(); /* what the device does before it works is not the work's time */
    TRY(embedded_run(&local->device, body, context, error));
    describe(local, work);
    local->compute_ns = clock_ns() - local->start_ns;
out:
    return status;
}

void local_close(struct local *local)
{
    embedded_close(&local->device);
}

void local_report(struct local *local, Bary__V1__Report *out)
{
    *out = (Bary__V1__Report)BARY__V1__REPORT__INIT;
    out->backend = baryc_borrow(local->backend);
    out->device = local->info.name;
    out->isa = local->info.isa;
    if (local->method)
        out->method = baryc_borrow(local->method);
    out->threads = local->info.threads;
    out->compute_ns = local->compute_ns;
    for (int i = 0; i < local->steps; i++)
        local->step_list[i] = local->step[i];
    out->fallbacks = local->step_list;
    out->n_fallbacks = (size_t)local->steps;
}
