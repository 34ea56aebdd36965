/* fit_local.c - a fit in this process: the engine that the server runs, so the same bits. */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "clients/cli/fit_inputs.h"
#include "host/base/memory.h"

void inputs_params(const struct fit_order *order, const struct inputs *inputs,
                   struct kmeans_params *out)
{
    const Bary__V1__FitRequest *request = &order->request;
    uint32_t drawn = 0;

    *out = kmeans_params_default();
    out->n_clusters = request->n_clusters;
    out->init = (enum init)request->init;
    out->init_centers = inputs->init;
    out->n_init = request->n_init;
    out->max_iter = request->max_iter;
    out->tol = request->tol->value;
    out->fixed_rounds = request->fixed_rounds;
    if (!request->random_state && getrandom(&drawn, sizeof drawn, 0) == (ssize_t)sizeof drawn)
        out->random_state = drawn;
    if (request->random_state)
        out->random_state = request->random_state->value;
    out->non_finite = (enum non_finite)request->non_finite;
    out->empty_clusters = (enum empty_clusters)request->empty_clusters;
    out->history = request->history;
}

static enum status read_init(struct fit_order *order, struct inputs *out, struct error *error)
{
    struct selection all = {0};
    struct matrix centers = {0};
    enum status status;

    TRY(matrix_select(order->init.table, &all, &centers, error));
    out->init = memory_new((size_t)centers.rows, (size_t)centers.columns * sizeof *out->init);
    if (!out->init)
        TRY(FAIL(error, OUT_OF_MEMORY, TEXT("what", "the initial centers"),
                 INT("needed", array_bytes(&order->init)), INT("retry_ms", 1000)));
    for (int c = 0; c < centers.chunks; c++) {
        const struct rows *rows = &centers.chunk[c];
        double *to = out->init + rows->first * centers.columns;
        for (int64_t i = 0; i < rows->count * centers.columns; i++)
            to[i] = centers.number == NUMBER_F32 ? (double)((const float *)rows->values)[i]
                                                 : ((const double *)rows->values)[i];
    }
out:
    matrix_release(&centers);
    return status;
}

enum status inputs_read(struct fit_order *order, struct inputs *out, struct error *error)
{
    struct selection all = {0};
    enum status status;

    TRY(matrix_select(order->x.table, &all, &out->x, error));
    if (order->weight.path)
        TRY(table_doubles(order->weight.table, "", 0, 0, &out->weight, error));
    if (order->init.path)
        TRY(read_init(order, out, error));
out:
    return status;
}

void inputs_release(struct inputs *inputs)
{
    matrix_release(&inputs->x);
    memory_free(inputs->weight);
    memory_free(inputs->init);
}

/* The result in the server's own words, so that one code tells and prints both. */
static void describe_result(const struct kmeans_result *result, Bary__V1__FitResult *out,
                            Bary__V1__Matrix *centers)
{
    *out = (Bary__V1__FitResult)BARY__V1__FIT_RESULT__INIT;
    *centers = (Bary__V1__Matrix)BARY__V1__MATRIX__INIT;
    centers->dtype = BARY__V1__DTYPE__DTYPE_F64;
    centers->rows = result->n_clusters;
    centers->columns = result->columns;
    centers->data.data = (uint8_t *)result->centers;
    centers->data.len = (size_t)result->n_clusters * (size_t)result->columns * sizeof(double);
    out->cluster_centers = centers;
    out->inertia = result->inertia;
    out->n_iter = result->n_iter;
    out->n_sizes = (size_t)result->n_clusters;
    out->sizes = result->sizes;
    out->n_history = result->history ? (size_t)result->n_iter : 0;
    out->history = result->history;
    out->stop = (Bary__V1__StopReason)result->stop;
    out->random_state = result->random_state;
    out->label_fingerprint.data = (uint8_t *)(uintptr_t)&result->fingerprint;
    out->label_fingerprint.len = sizeof result->fingerprint;
    out->numerics_version = NUMERICS_VERSION;
    out->dtype = (Bary__V1__DType)result->number; /* F32 and F64 have the same numbers */
    out->rows = result->rows;
    out->columns = result->columns;
    out->n_clusters = result->n_clusters;
    out->run = result->run;
    out->n_init = result->n_init;
    out->init = (Bary__V1__Init)result->init;
    out->empty_clusters = result->empty;
    out->rows_skipped = result->skipped;
    out->labels_omitted = true;
}

Bary__V1__Job *copy_job(const Bary__V1__Job *job)
{
    size_t bytes = bary__v1__job__get_packed_size(job);
    uint8_t *packed = malloc(bytes);

    if (!packed)
        return NULL;
    bary__v1__job__pack(job, packed);
    Bary__V1__Job *copy = bary__v1__job__unpack(NULL, bytes, packed);
    free(packed);
    return copy;
}

void *copy_array(const void *values, size_t count, size_t size)
{
    void *copy = malloc(count * size + 1); /* a fit held as much */

    return copy ? memcpy(copy, values, count * size) : NULL;
}

static enum status take_result(struct local *local, const struct fit_order *order,
                               const struct kmeans_result *result, struct fitted *out,
                               struct error *error)
{
    Bary__V1__Job job = BARY__V1__JOB__INIT;
    Bary__V1__FitResult fit;
    Bary__V1__Matrix centers;
    Bary__V1__Report report;

    describe_result(result, &fit, &centers);
    local_report(local, &report);
    job.kind = BARY__V1__JOB_KIND__JOB_KIND_FIT;
    job.state = BARY__V1__JOB_STATE__JOB_STATE_SUCCEEDED;
    job.queue_position = -1;
    job.report = &report;
    job.result_case = BARY__V1__JOB__RESULT_FIT;
    job.fit = &fit;
    out->job = copy_job(&job);
    out->centers = copy_array(result->centers, (size_t)(result->n_clusters * result->columns),
                              sizeof *result->centers);
    if (flag_given(order->arguments, FLAG_LABELS))
        out->labels = copy_array(result->labels, (size_t)result->rows, sizeof *result->labels);
    if (out->job && out->centers && (out->labels || !flag_given(order->arguments, FLAG_LABELS)))
        return STATUS_OK;
    return FAIL(error, OUT_OF_MEMORY, TEXT("what", "the result"),
                INT("needed", result->rows * 4 + result->n_clusters * result->columns * 16),
                INT("retry_ms", 1000));
}

static enum status write_model(const struct kmeans_result *result,
                               const struct kmeans_params *params, const char *path,
                               struct error *error)
{
    struct model *model = NULL;
    enum status status;

    if (!path)
        return STATUS_OK;
    TRY(model_of_result(result, params, NULL, &model, error));
    TRY(model_write_file(model, path, error));
out:
    if (model)
        model_unpin(&model);
    return status;
}

/* A fit on whatever device it is done. */
struct fitting {
    struct fit_input input;
    const struct kmeans_params *params;
    const struct turn *turn;
    struct kmeans_result *result;
};

static enum status fit_on(const struct embedded *device, void *context, struct error *error)
{
    const struct fitting *fitting = context;
    struct fit_input input = fitting->input;

    input.residency = device->residency;
    return kmeans_fit(device->backend, device->device, &input, fitting->params, fitting->turn,
                      fitting->result, error);
}

struct embedded_work inputs_work(const struct inputs *inputs, const struct kmeans_params *params)
{
    double rounds = params->max_iter < 30 ? (double)params->max_iter : 30;

    return (struct embedded_work){.shape = {.rows = inputs->x.rows,
                                            .columns = inputs->x.columns,
                                            .clusters = params->n_clusters,
                                            .number = inputs->x.number,
                                            .weighted = inputs->weight != NULL},
                                  .passes =
                                      rounds * (params->n_init > 1 ? (double)params->n_init : 1)};
}

static enum status run(struct fit_order *order, struct local *local, struct fitted *out,
                       struct error *error)
{
    struct kmeans_result result = {0};
    struct kmeans_params params;
    struct inputs inputs = {0};
    enum status status;

    TRY(inputs_read(order, &inputs, error));
    inputs_params(order, &inputs, &params);
    struct fitting fitting = {
        .input = {.name = order->x.path, .matrix = &inputs.x, .sample_weight = inputs.weight},
        .params = &params,
        .turn = &local->turn,
        .result = &result};
    const struct embedded_work work = inputs_work(&inputs, &params);
    TRY(local_run(local, &work, fit_on, &fitting, error));
    TRY(write_model(&result, &params, flag_text(order->arguments, FLAG_MODEL_OUT), error));
    TRY(take_result(local, order, &result, out, error));
out:
    kmeans_result_free(&result);
    inputs_release(&inputs);
    return status;
}

int fit_local(struct fit_order *order, struct fitted *out, struct baryc_error *error)
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
