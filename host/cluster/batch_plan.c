/* batch_plan.c - what all problems of a batch share, checked, and what a batch costs. */
#include <inttypes.h>
#include <stdio.h>

#include "host/cluster/batch_state.h"
#include "host/cluster/state.h"
#include "proto/limits.h"

int64_t batch_clusters(const struct batch_input *input, const struct kmeans_params *params,
                       int64_t problem)
{
    return input->n_clusters ? input->n_clusters[problem] : params->n_clusters;
}

static bool centers_given(const struct kmeans_params *params)
{
    return params->init_centers != NULL;
}

int64_t batch_centers(const struct batch_input *input, const struct kmeans_params *params,
                      int64_t problem)
{
    int64_t clusters = batch_clusters(input, params, problem);
    int64_t rows = input->row[problem + 1] - input->row[problem];

    return clusters >= 1 && (clusters <= rows || centers_given(params)) ? clusters : 0;
}

static enum status offset_refused(const struct batch_input *input, int64_t at, const char *limit,
                                  struct error *error)
{
    char what[64];

    snprintf(what, sizeof what, "row_offsets[%" PRId64 "]", at);
    return FAIL(error, OUT_OF_RANGE, TEXT("what", what), INT("value", input->row[at]),
                TEXT("limit", limit));
}

enum status batch_offsets_check(const struct batch_input *input, struct error *error)
{
    char limit[64];

    if (input->row[0] != 0)
        return offset_refused(input, 0, "0", error);
    for (int64_t p = 0; p < input->problems; p++)
        if (input->row[p + 1] < input->row[p] || input->row[p + 1] > input->matrix->rows)
            return offset_refused(input, p + 1, "ascending, up to the number of rows", error);
    snprintf(limit, sizeof limit, "%" PRId64 ", the number of rows", input->matrix->rows);
    if (input->row[input->problems] != input->matrix->rows)
        return offset_refused(input, input->problems, limit, error);
    return STATUS_OK;
}

/* Given centers are as many as all problems ask for. */
static enum status centers_check_count(const struct batch_input *input,
                                       const struct kmeans_params *params, struct error *error)
{
    char found[48], expected[80];
    int64_t all = 0;

    if (!centers_given(params) || input->init_rows < 0)
        return STATUS_OK;
    for (int64_t p = 0; p < input->problems && all <= input->init_rows; p++)
        all += batch_centers(input, params, p);
    if (all == input->init_rows)
        return STATUS_OK;
    snprintf(found, sizeof found, "%" PRId64 " rows", input->init_rows);
    snprintf(expected, sizeof expected, "n_clusters of every problem, one behind the other");
    return FAIL(error, SHAPE_MISMATCH, TEXT("what", "init_centers"), TEXT("found", found),
                TEXT("expected", expected));
}

/* n_clusters of one's own is checked with the problem it belongs to. */
static enum status params_check(const struct batch_input *input, const struct kmeans_params *params,
                                struct error *error)
{
    struct kmeans_params shared = *params;
    enum status status;

    if (input->n_clusters)
        shared.n_clusters = 1;
    TRY(kmeans_check(&shared, error));
    if (params->history)
        status = FAIL(error, UNSUPPORTED, TEXT("what", "history of a batch"),
                      TEXT("why", "only a single fit keeps it"));
out:
    return status;
}

enum status batch_check(const struct batch_input *input, const struct kmeans_params *params,
                        struct error *error)
{
    const struct matrix *matrix = input->matrix;
    enum status status;

    if (input->problems < 0 || input->problems > PROBLEMS_MAX)
        return FAIL(error, OUT_OF_RANGE, TEXT("what", "the number of problems"),
                    INT("value", input->problems), TEXT("limit", "0 to 2^31"));
    if (matrix->columns < 1 || matrix->columns > COLUMNS_MAX)
        return FAIL(error, OUT_OF_RANGE, TEXT("what", "the number of columns"),
                    INT("value", matrix->columns), TEXT("limit", "1 to 65536"));
    TRY(params_check(input, params, error));
    TRY(batch_offsets_check(input, error));
    TRY(centers_check_count(input, params, error));
out:
    return status;
}

struct fits batch_fits(const struct batch_input *input, const struct kmeans_params *resolved)
{
    static const enum fits_init inits[] = {[INIT_KMEANS_PLUS_PLUS] = FITS_PLUS_PLUS,
                                           [INIT_RANDOM] = FITS_RANDOM,
                                           [INIT_CENTERS] = FITS_CENTERS};
    static const enum fits_empty empties[] = {
        [EMPTY_RELOCATE] = FITS_RELOCATE, [EMPTY_KEEP] = FITS_KEEP, [EMPTY_ERROR] = FITS_ERROR};

    return (struct fits){.number = input->matrix->number,
                         .columns = input->matrix->columns,
                         .init = inits[resolved->init],
                         .empty = empties[resolved->empty_clusters],
                         .skip_non_finite = resolved->non_finite == NON_FINITE_SKIP,
                         .fixed_rounds = resolved->fixed_rounds,
                         .n_init = resolved->n_init,
                         .max_iter = resolved->max_iter,
                         .tol = resolved->tol};
}

const struct shape_cost *batch_shape(const struct backend *backend, const struct device *device,
                                     const struct fits *fits, int64_t rows, int64_t clusters,
                                     struct shape_cost *cost)
{
    if (cost->rows == rows && cost->clusters == clusters)
        return cost;
    *cost = (struct shape_cost){.rows = rows, .clusters = clusters};
    cost->small =
        backend->fits && backend->fits_plan(device, fits, rows, clusters, &cost->plan) == STATUS_OK;
    return cost;
}

static bool bytes_add(int64_t count, int64_t size, int64_t *bytes)
{
    int64_t more;

    return !__builtin_mul_overflow(count, size, &more) &&
           !__builtin_add_overflow(*bytes, more, bytes);
}

/* The arrays of batch_fit. */
static bool arrays_add(const struct batch_input *input, const struct kmeans_params *params,
                       int64_t centers, int64_t *bytes)
{
    int64_t values, sets = centers_given(params) ? 2 : 1;
    int64_t each =
        (int64_t)(sizeof(struct fits_result) + sizeof(uint128) + 6 * sizeof(int64_t) + 2);

    return !__builtin_mul_overflow(centers, input->matrix->columns, &values) &&
           bytes_add(values, sets * (int64_t)sizeof(double), bytes) &&
           bytes_add(centers, sizeof(int64_t), bytes) &&
           bytes_add(input->matrix->rows, sizeof(int32_t), bytes) &&
           bytes_add(input->problems + 1, each, bytes);
}

/* What a call of `fits` brings to a device of its own: its rows, weights, labels and centers. */
static void call_add(const struct batch_input *input, const struct shape_cost *cost,
                     struct cost *out)
{
    double problems = BATCH_CALL_NS / cost->plan.problem_ns + 1;
    double row = 2 * sizeof(double) + sizeof(double) * (double)input->matrix->columns;
    double bytes = problems * row * (double)(cost->rows + cost->clusters);
    int64_t device = cost->plan.device_bytes + (bytes < 1e15 ? (int64_t)bytes : INT64_MAX / 4);

    if (cost->plan.device_bytes > 0 && device > out->device_bytes)
        out->device_bytes = device;
    if (out->quiet_ns < BATCH_CALL_NS)
        out->quiet_ns = BATCH_CALL_NS;
}

/* One problem's share; the memory of one serves the next. */
static enum status problem_add(const struct backend *backend, const struct device *device,
                               const struct batch_input *input, const struct kmeans_params *params,
                               const struct shape_cost *cost, int64_t *host, struct cost *out,
                               struct error *error)
{
    struct kmeans_params alone = *params;
    struct cost one = {.host_bytes = cost->plan.host_bytes, .expected_ns = cost->plan.problem_ns};
    struct shape shape = {.rows = cost->rows,
                          .columns = input->matrix->columns,
                          .clusters = cost->clusters,
                          .number = input->matrix->number,
                          .weighted = input->sample_weight != NULL,
                          .residency = input->residency};
    enum status status = STATUS_OK;

    alone.n_clusters = cost->clusters;
    if (cost->small)
        call_add(input, cost, out);
    else
        status = fit_plan(backend, device, &shape, &alone, &one, error);
    *host = one.host_bytes > *host ? one.host_bytes : *host;
    out->device_bytes = one.device_bytes > out->device_bytes ? one.device_bytes : out->device_bytes;
    out->pinned_bytes = one.pinned_bytes > out->pinned_bytes ? one.pinned_bytes : out->pinned_bytes;
    out->quiet_ns = one.quiet_ns > out->quiet_ns ? one.quiet_ns : out->quiet_ns;
    out->expected_ns += one.expected_ns;
    return status;
}

enum status batch_plan(const struct backend *backend, const struct device *device,
                       const struct batch_input *input, const struct kmeans_params *params,
                       struct cost *out, struct error *error)
{
    enum status status;
    struct shape_cost shape = {.rows = -1};
    struct cost cost = {0};
    int64_t centers = 0, host = 0;

    TRY(batch_check(input, params, error));
    struct kmeans_params resolved = kmeans_resolved(params);
    struct fits fits = batch_fits(input, &resolved);
    for (int64_t p = 0; p < input->problems; p++) {
        int64_t clusters = batch_clusters(input, params, p),
                rows = input->row[p + 1] - input->row[p];
        centers += batch_centers(input, params, p);
        if (clusters < 1 || clusters > rows)
            continue; /* it fails before it costs anything */
        TRY(problem_add(backend, device, input, &resolved,
                        batch_shape(backend, device, &fits, rows, clusters, &shape), &host, &cost,
                        error));
    }
    if (!arrays_add(input, params, centers, &cost.host_bytes) ||
        !bytes_add(1, host, &cost.host_bytes))
        return device_failed(backend, STATUS_UNSUPPORTED, "this batch", 0, error);
    *out = cost;
out:
    return status;
}
