/* local.c - a device opened in this process, and the turns in which Ctrl-C is seen. */
#include "clients/cli/local.h"

#include <math.h>
#include <stdlib.h>

#include "clients/cli/files.h"
#include "host/base/clock.h"
#include "host/base/machine.h"

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

static enum status open_device(int threads, struct local *local, struct error *error)
{
    struct device_options options = {.threads = threads, .isa = getenv("BARY_ISA")};
    struct device_info info;
    struct refusal why = {.text = "no backend is compiled in"};

    if (machine_refusal())
        return FAIL(error, NO_DEVICE, TEXT("backend", "CPU"), TEXT("why", machine_refusal()));
    for (const struct backend *const *backend = backend_list(); *backend; backend++) {
        if ((*backend)->devices(&info, 1, &why) < 1)
            continue;
        if ((*backend)->open(0, &options, &local->device, &why) == STATUS_OK) {
            local->backend = *backend;
            return STATUS_OK;
        }
    }
    return FAIL(error, NO_DEVICE, TEXT("backend", "local"), TEXT("why", why.text));
}

int local_open(int threads, double max_runtime_s, struct progress_line *progress, struct local *out,
               struct baryc_error *error)
{
    struct error why = {0};

    *out = (struct local){
        .progress = progress, .start_ns = clock_ns(), .runtime_ns = (int64_t)(max_runtime_s * 1e9)};
    out->turn = (struct turn){on_turn, out};
    enum status status = open_device(threads, out, &why);
    out->start_ns = clock_ns(); /* what the device does before it works is not the work's time */
    return status == STATUS_OK ? 0 : error_of_host(&why, error);
}

void local_close(struct local *local)
{
    if (local->device)
        local->backend->close(&local->device);
}

void local_plan(struct local *local, const struct shape *shape)
{
    struct plan plan;

    if (local->backend->plan(local->device, shape, &plan) == STATUS_OK)
        local->method = plan.method;
}

void local_report(const struct local *local, struct device_info *info, Bary__V1__Report *out)
{
    local->backend->describe(local->device, info);
    *out = (Bary__V1__Report)BARY__V1__REPORT__INIT;
    out->backend = baryc_borrow(local->backend->name);
    out->device = info->name;
    out->isa = info->isa;
    if (local->method)
        out->method = baryc_borrow(local->method);
    out->threads = info->threads;
    out->compute_ns = clock_ns() - local->start_ns;
}
