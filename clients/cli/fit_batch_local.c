/* fit_batch_local.c - a batch in this process: the engine that the server runs, so the same bits. */
#include <stdlib.h>
#include <string.h>

#include "clients/cli/fit_inputs.h"
#include "host/base/memory.h"
#include "host/cluster/batch.h"

enum { ERRORS_MAX = 512 };

/* A batch on whatever device it is done. */
struct batching {
    struct batch_input input;
    const struct kmeans_params *params;
    const struct turn *turn;
    struct batch_result *result;
};

static enum status batch_on(const struct embedded *device, void *context, struct error *error)
{
    const struct batching *batching = context;
    struct batch_input input = batching->input;

    input.residency = device->residency;
    return batch_fit(device->backend, device->device, &input, batching->params, batching->turn,
                     batching->result, error);
}

/* A number of each problem, side by side; and the errors of those that failed. */
struct described {
    int64_t *n_iter, *run, *empty, *skipped;
    Bary__V1__StopReason *stop;
    int32_t *status;
    size_t errors;
    Bary__V1__ProblemError *problem, **problems;
    Bary__V1__JobError *error;
    char (*text)[1024];
};

static void described_free(struct described *described)
{
    void *const arrays[] = {described->n_iter,  described->run,      described->empty,
                            described->skipped, described->stop,     described->status,
                            described->problem, described->problems, described->error,
                            described->text};

    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++)
        memory_free(arrays[i]);
}

static bool described_take(size_t n, size_t errors, struct described *out)
{
    *out = (struct described){.n_iter = memory_new(n, sizeof *out->n_iter),
                              .run = memory_new(n, sizeof *out->run),
                              .empty = memory_new(n, sizeof *out->empty),
                              .skipped = memory_new(n, sizeof *out->skipped),
                              .stop = memory_new(n, sizeof *out->stop),
                              .status = memory_new(n, sizeof *out->status),
                              .problem = memory_new(errors, sizeof *out->problem),
                              .problems = memory_new(errors, sizeof *out->problems),
                              .error = memory_new(errors, sizeof *out->error),
                              .text = memory_new(errors, sizeof *out->text)};
    return out->n_iter && out->run && out->empty && out->skipped && out->stop && out->status &&
           out->problem && out->problems && out->error && out->text;
}

static void describe_error(const struct batch_result *batch, const char *name, int64_t problem,
                           struct described *out)
{
    size_t at = out->errors++;
    struct error why = {0};
    const struct status_row *row = status_row(batch_error(batch, name, problem, &why));

    out->error[at] = (Bary__V1__JobError)BARY__V1__JOB_ERROR__INIT;
    out->error[at].code = baryc_borrow(row->code);
    out->error[at].reason = baryc_borrow(row->name);
    out->error[at].message = error_message(&why, out->text[at], sizeof out->text[at]);
    out->problem[at] = (Bary__V1__ProblemError)BARY__V1__PROBLEM_ERROR__INIT;
    out->problem[at].problem = problem;
    out->problem[at].error = &out->error[at];
    out->problems[at] = &out->problem[at];
}

static void describe(const struct batch_result *batch, const char *name, struct described *out)
{
    for (int64_t p = 0; p < batch->problems; p++) {
        const struct fits_result *one = &batch->problem[p];
        out->n_iter[p] = one->n_iter;
        out->run[p] = one->run;
        out->empty[p] = one->empty;
        out->skipped[p] = one->skipped;
        out->stop[p] = (Bary__V1__StopReason)one->stop;
        out->status[p] = (int32_t)one->status;
        if (one->status != STATUS_OK && out->errors < ERRORS_MAX)
            describe_error(batch, name, p, out);
    }
}

/* The result in the server's own words, so that one code tells and prints both. Borrows. */
static void message_fill(const struct batch_result *batch, const struct described *described,
                         uint64_t random_state, Bary__V1__Matrix *centers,
                         Bary__V1__FitBatchResult *out)
{
    size_t n = (size_t)batch->problems;
    int64_t count = batch->center[batch->problems];

    *centers = (Bary__V1__Matrix)BARY__V1__MATRIX__INIT;
    centers->dtype = BARY__V1__DTYPE__DTYPE_F64;
    centers->rows = count;
    centers->columns = batch->columns;
    centers->data.data = (uint8_t *)batch->centers;
    centers->data.len = (size_t)(count * batch->columns) * sizeof(double);
    *out = (Bary__V1__FitBatchResult)BARY__V1__FIT_BATCH_RESULT__INIT;
    out->problems = batch->problems;
    out->failed = batch->failed;
    out->cluster_centers = centers;
    out->center_offsets = batch->center;
    out->n_center_offsets = n + 1;
    out->sizes = batch->sizes;
    out->n_sizes = (size_t)count;
    out->n_inertia = out->n_n_iter = out->n_run = out->n_stop = out->n_status = n;
    out->n_empty_clusters = out->n_rows_skipped = n;
    out->inertia = batch->inertia;
    out->n_iter = described->n_iter;
    out->run = described->run;
    out->stop = described->stop;
    out->status = described->status;
    out->empty_clusters = described->empty;
    out->rows_skipped = described->skipped;
    out->label_fingerprints =
        (ProtobufCBinaryData){n * sizeof *batch->fingerprint, (uint8_t *)batch->fingerprint};
    out->errors = described->problems;
    out->n_errors = described->errors;
    out->random_state = random_state;
    out->numerics_version = NUMERICS_VERSION;
    out->dtype = (Bary__V1__DType)batch->number; /* F32 and F64 have the same numbers */
    out->rows = batch->rows;
    out->columns = batch->columns;
    out->n_init = batch->n_init;
    out->init = (Bary__V1__Init)batch->init;
    out->labels_omitted = true;
    out->ordinary = batch->ordinary;
}

static enum status no_memory(const struct batch_result *batch, struct error *error)
{
    return FAIL(error, OUT_OF_MEMORY, TEXT("what", "the result"),
                INT("needed", batch->rows * 4 + batch->problems * 1024), INT("retry_ms", 1000));
}

static enum status take_result(struct local *local, const struct fit_order *order,
                               const struct batch_result *batch, uint64_t random_state,
                               struct fitted *out, struct error *error)
{
    Bary__V1__Job job = BARY__V1__JOB__INIT;
    Bary__V1__FitBatchResult message;
    Bary__V1__Matrix centers;
    Bary__V1__Report report;
    struct described described;
    size_t errors = (size_t)(batch->failed < ERRORS_MAX ? batch->failed : ERRORS_MAX);
    bool labels = flag_given(order->arguments, FLAG_LABELS);

    if (described_take((size_t)batch->problems, errors, &described)) {
        describe(batch, order->x.path, &described);
        message_fill(batch, &described, random_state, &centers, &message);
        local_report(local, &report);
        job.kind = BARY__V1__JOB_KIND__JOB_KIND_FIT_BATCH;
        job.state = BARY__V1__JOB_STATE__JOB_STATE_SUCCEEDED;
        job.queue_position = -1;
        job.report = &report;
        job.result_case = BARY__V1__JOB__RESULT_BATCH;
        job.batch = &message;
        out->job = copy_job(&job);
    }
    described_free(&described);
    out->centers =
        copy_array(batch->centers, (size_t)(batch->center[batch->problems] * batch->columns),
                   sizeof *batch->centers);
    if (labels)
        out->labels = copy_array(batch->labels, (size_t)batch->rows, sizeof *batch->labels);
    return out->job && out->centers && (out->labels || !labels) ? STATUS_OK
                                                                : no_memory(batch, error);
}

/* Offsets of equal parts, where the order names none. */
static enum status offsets_make(struct fit_order *order, int64_t rows, struct error *error)
{
    int64_t problems = order->problems;

    if (order->row)
        return STATUS_OK;
    if (rows % problems != 0)
        return FAIL(error, OUT_OF_RANGE, TEXT("what", "--problems"), INT("value", problems),
                    TEXT("limit", "a divisor of the number of rows"));
    order->row = malloc(((size_t)problems + 1) * sizeof *order->row);
    if (!order->row)
        return FAIL(error, OUT_OF_MEMORY, TEXT("what", "the row offsets"),
                    INT("needed", (problems + 1) * 8), INT("retry_ms", 1000));
    for (int64_t p = 0; p <= problems; p++)
        order->row[p] = p * (rows / problems);
    return STATUS_OK;
}

static enum status run(struct fit_order *order, struct local *local, struct fitted *out,
                       struct error *error)
{
    struct batch_result result = {0};
    struct kmeans_params params;
    struct inputs inputs = {0};
    enum status status;

    TRY(inputs_read(order, &inputs, error));
    TRY(offsets_make(order, inputs.x.rows, error));
    inputs_params(order, &inputs, &params);
    struct batching batching = {
        .input = {.name = order->x.path,
                  .matrix = &inputs.x,
                  .sample_weight = inputs.weight,
                  .problems = order->problems,
                  .row = order->row,
                  .init_rows = order->init.path ? order->init.header.rows : 0},
        .params = &params,
        .turn = &local->turn,
        .result = &result};
    const struct embedded_work work = inputs_work(&inputs, &params);
    TRY(local_run(local, &work, batch_on, &batching, error));
    local->method = "many small fits";
    TRY(take_result(local, order, &result, params.random_state, out, error));
out:
    batch_result_free(&result);
    inputs_release(&inputs);
    return status;
}

int fit_batch_local(struct fit_order *order, struct fitted *out, struct baryc_error *error)
{
    struct local local = {0};
    struct error why = {0};
    int code = array_load(&order->x, error);

    local_init(order->arguments, &order->progress, &local);
    if (code == 0 && run(order, &local, out, &why) != STATUS_OK)
        code = error_of_host(&why, error);
    local_close(&local);
    return code;
}
