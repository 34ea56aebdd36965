/* convert_batch.c - batches of small problems, as asked for and as found. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "rpc/computing.h"
#include "rpc/convert.h"

/* With arrays of 3 MiB and their numbers, errors of this many problems leave a reply under 4 MiB. */
enum { ERRORS_MAX = 512 };
/* Of a reply, at most: a problem's numbers, and a center's size. */
enum { PROBLEM_BYTES = 48, SIZE_BYTES = 5 };

static enum status no_memory(const char *what, int64_t bytes, struct error *error)
{
    return FAIL(error, OUT_OF_MEMORY, TEXT("what", what), INT("needed", bytes),
                INT("retry_ms", 1000));
}

static enum status copy_of(const char *what, const void *values, size_t count, size_t size,
                           void **out, struct error *error)
{
    if (count == 0)
        return STATUS_OK;
    *out = memory_new(count, size);
    if (!*out)
        return no_memory(what, (int64_t)(count * size), error);
    memcpy(*out, values, count * size);
    return STATUS_OK;
}

static enum status problems_refused(int64_t problems, struct error *error)
{
    return FAIL(error, OUT_OF_RANGE, TEXT("what", "the number of problems"), INT("value", problems),
                TEXT("limit", "1 to 65536"));
}

/* Equal parts of all rows, as offsets. */
static enum status offsets_make(int64_t problems, int64_t rows, int64_t **out, struct error *error)
{
    char found[64], expected[64];

    if (rows % problems != 0) {
        snprintf(found, sizeof found, "%" PRId64 " rows", rows);
        snprintf(expected, sizeof expected, "equally many for each of %" PRId64 " problems",
                 problems);
        return FAIL(error, SHAPE_MISMATCH, TEXT("what", "source"), TEXT("found", found),
                    TEXT("expected", expected));
    }
    *out = memory_new((size_t)problems + 1, sizeof **out);
    if (!*out)
        return no_memory("row_offsets", (problems + 1) * (int64_t)sizeof **out, error);
    for (int64_t p = 0; p <= problems; p++)
        (*out)[p] = p * (rows / problems);
    return STATUS_OK;
}

static enum status offsets_take(const Bary__V1__FitBatchRequest *batch, struct job_request *request,
                                struct error *error)
{
    int64_t problems = batch->n_row_offsets ? (int64_t)batch->n_row_offsets - 1 : batch->problems;
    void *copy = NULL;
    int64_t rows = request_rows(request);
    enum status status;

    if (batch->n_row_offsets && batch->problems && batch->problems != problems)
        return FAIL(error, OUT_OF_RANGE, TEXT("what", "problems"), INT("value", batch->problems),
                    TEXT("limit", "0, or one less than there are row_offsets"));
    if (problems < 1 || problems > BATCH_PROBLEMS_MAX)
        return problems_refused(problems, error);
    request->problems = problems;
    if (rows < 0 || rows > request->table->rows) /* the plan has the words for that */
        rows = request->table->rows;
    if (batch->n_row_offsets == 0)
        return offsets_make(problems, rows, &request->problem_row, error);
    TRY(copy_of("row_offsets", batch->row_offsets, batch->n_row_offsets, sizeof(int64_t), &copy,
                error));
    request->problem_row = copy;
    struct matrix matrix = {.rows = rows};
    struct batch_input input = {
        .matrix = &matrix, .problems = problems, .row = request->problem_row};
    TRY(batch_offsets_check(&input, error));
out:
    return status;
}

static enum status count_check(const char *what, size_t count, int64_t problems,
                               struct error *error)
{
    char found[64], expected[64];

    if (count == 0 || (int64_t)count == problems)
        return STATUS_OK;
    snprintf(found, sizeof found, "%zu values", count);
    snprintf(expected, sizeof expected, "%" PRId64 ", one a problem", problems);
    return FAIL(error, SHAPE_MISMATCH, TEXT("what", what), TEXT("found", found),
                TEXT("expected", expected));
}

static enum status each_take(const Bary__V1__FitBatchRequest *batch, struct job_request *request,
                             struct error *error)
{
    void *clusters = NULL, *states = NULL;
    enum status status;

    TRY(count_check("n_clusters_each", batch->n_n_clusters_each, request->problems, error));
    TRY(count_check("random_state_each", batch->n_random_state_each, request->problems, error));
    TRY(copy_of("n_clusters_each", batch->n_clusters_each, batch->n_n_clusters_each,
                sizeof(int64_t), &clusters, error));
    request->problem_clusters = clusters;
    TRY(copy_of("random_state_each", batch->random_state_each, batch->n_random_state_each,
                sizeof(uint64_t), &states, error));
    request->problem_random_state = states;
out:
    return status;
}

/* What a batch shares with a fit, as a fit. n_clusters of one's own is checked with its problem. */
static Bary__V1__FitRequest shared_of(const Bary__V1__FitBatchRequest *batch)
{
    Bary__V1__FitRequest fit = BARY__V1__FIT_REQUEST__INIT;

    fit.n_clusters = batch->n_n_clusters_each ? 1 : batch->n_clusters;
    fit.init = batch->init;
    fit.init_centers = batch->init_centers;
    fit.init_dataset = batch->init_dataset;
    fit.n_init = batch->n_init;
    fit.max_iter = batch->max_iter;
    fit.tol = batch->tol;
    fit.fixed_rounds = batch->fixed_rounds;
    fit.random_state = batch->random_state;
    fit.non_finite = batch->non_finite;
    fit.empty_clusters = batch->empty_clusters;
    return fit;
}

/* Bytes of the arrays in an answer, at most. */
static int64_t answer_bytes(const struct job_request *request)
{
    int64_t centers = 0, width = source_width(request), rows = request_rows(request);

    for (int64_t p = 0; p < request->problems; p++) {
        int64_t own = request->problem_row[p + 1] - request->problem_row[p];
        int64_t k =
            request->problem_clusters ? request->problem_clusters[p] : request->params.n_clusters;
        k = k < own ? k : own; /* more it cannot have */
        centers += k > 0 ? k : 0;
    }
    return centers * (width * (int64_t)sizeof(double) + SIZE_BYTES) +
           (request->no_labels ? 0 : rows * (int64_t)sizeof(int32_t)) +
           request->problems * PROBLEM_BYTES;
}

enum status fit_batch_take(struct service *service, const struct principal *principal,
                           const Bary__V1__FitBatchRequest *batch, struct job_request *request,
                           int64_t *wait_ns, struct error *error)
{
    const Bary__V1__FitRequest shared = shared_of(batch);
    bool inline_;
    enum status status;

    request->kind = JOB_FIT_BATCH;
    TRY(options_take(batch->options, request, wait_ns, error));
    TRY(placement_take(batch->placement, request, error));
    TRY(fit_params_take(service, principal, &shared, request, error));
    TRY(weights_take(batch->sample_weight, request, error));
    TRY(source_take(service, principal, batch->source, request, &inline_, error));
    TRY(offsets_take(batch, request, error));
    TRY(each_take(batch, request, error));
    request->non_finite = request->params.non_finite;
    request->no_labels = batch->no_labels != 0;
    request->ephemeral = inline_ && *wait_ns > 0 && answer_bytes(request) <= INLINE_BYTES_MAX;
out:
    return status;
}

/* -- Out ---------------------------------------------------------------------------------------- */

/* A number of each problem. */
static bool numbers_fill(struct arena *arena, const struct batch_result *batch,
                         Bary__V1__FitBatchResult *out)
{
    size_t n = (size_t)batch->problems;

    out->n_iter = array_new(arena, n, sizeof *out->n_iter);
    out->stop = array_new(arena, n, sizeof *out->stop);
    out->run = array_new(arena, n, sizeof *out->run);
    out->empty_clusters = array_new(arena, n, sizeof *out->empty_clusters);
    out->rows_skipped = array_new(arena, n, sizeof *out->rows_skipped);
    out->status = array_new(arena, n, sizeof *out->status);
    if (!out->n_iter || !out->stop || !out->run || !out->empty_clusters || !out->rows_skipped ||
        !out->status)
        return false;
    out->n_inertia = out->n_n_iter = out->n_stop = out->n_run = n;
    out->n_empty_clusters = out->n_rows_skipped = out->n_status = n;
    /* Bytes and doubles leave without a copy: they lie in the view, not in the arena. */
    out->inertia = batch->inertia;
    out->label_fingerprints =
        (ProtobufCBinaryData){n * sizeof *batch->fingerprint, (uint8_t *)batch->fingerprint};
    for (size_t p = 0; p < n; p++) {
        const struct fits_result *one = &batch->problem[p];
        out->n_iter[p] = one->n_iter;
        out->stop[p] = (Bary__V1__StopReason)one->stop;
        out->run[p] = one->run;
        out->empty_clusters[p] = one->empty;
        out->rows_skipped[p] = one->skipped;
        out->status[p] = (int32_t)one->status;
    }
    return true;
}

/* What fits beside the numbers into 3 MiB: centers, labels, then sizes. */
static bool arrays_fill(struct arena *arena, const struct batch_result *batch,
                        Bary__V1__FitBatchResult *out)
{
    int64_t count = batch->center[batch->problems], columns = batch->columns;
    int64_t left = INLINE_BYTES_MAX - batch->problems * PROBLEM_BYTES;
    int64_t centers = count * columns * (int64_t)sizeof(double);
    int64_t labels = batch->labels ? batch->rows * (int64_t)sizeof(int32_t) : 0;

    out->centers_omitted = centers > left;
    left -= out->centers_omitted ? 0 : centers;
    out->labels_omitted = labels > left;
    left -= out->labels_omitted ? 0 : labels;
    out->sizes_omitted = count * SIZE_BYTES > left;
    if (!out->centers_omitted)
        out->cluster_centers =
            matrix_new(arena, BARY__V1__DTYPE__DTYPE_F64, count, columns, batch->centers);
    if (batch->labels && !out->labels_omitted)
        out->labels = matrix_new(arena, BARY__V1__DTYPE__DTYPE_I32, batch->rows, 0, batch->labels);
    if (!out->sizes_omitted) {
        out->sizes = batch->sizes;
        out->n_sizes = (size_t)count;
    }
    out->center_offsets = batch->center;
    out->n_center_offsets = (size_t)batch->problems + 1;
    return (out->centers_omitted || out->cluster_centers) &&
           (!batch->labels || out->labels_omitted || out->labels);
}

static bool errors_fill(struct arena *arena, const struct batch_result *batch, const char *name,
                        Bary__V1__FitBatchResult *out)
{
    size_t most = (size_t)(batch->failed < ERRORS_MAX ? batch->failed : ERRORS_MAX);

    out->errors = array_new(arena, most, sizeof *out->errors);
    for (int64_t p = 0; out->errors && out->n_errors < most && p < batch->problems; p++) {
        struct error error = {0};
        if (batch_error(batch, name, p, &error) == STATUS_OK)
            continue;
        Bary__V1__ProblemError *one = message_new(arena, &bary__v1__problem_error__descriptor);
        if (!one || !(one->error = job_error_new(arena, &error)))
            return false;
        one->problem = p;
        out->errors[out->n_errors++] = one;
    }
    return out->errors != NULL;
}

Bary__V1__FitBatchResult *fit_batch_new(struct arena *arena, const struct job_view *view)
{
    const struct batch_result *batch = &view->result->batch;
    Bary__V1__FitBatchResult *out = message_new(arena, &bary__v1__fit_batch_result__descriptor);
    char name[128] = "X";

    if (view->dataset[0])
        snprintf(name, sizeof name, "dataset '%s'", view->dataset);
    if (!out || !numbers_fill(arena, batch, out) || !arrays_fill(arena, batch, out) ||
        !errors_fill(arena, batch, name, out))
        return NULL;
    out->problems = batch->problems;
    out->failed = batch->failed;
    out->random_state = view->params.random_state;
    out->numerics_version = NUMERICS_VERSION;
    out->dtype =
        batch->number == NUMBER_F32 ? BARY__V1__DTYPE__DTYPE_F32 : BARY__V1__DTYPE__DTYPE_F64;
    out->rows = batch->rows;
    out->columns = batch->columns;
    out->n_init = batch->n_init;
    out->init = (Bary__V1__Init)batch->init;
    out->ordinary = batch->ordinary;
    return out;
}
