/* batch.c - a batch from its first problem to its last: cut into calls, the turn after each. */
#include "host/cluster/batch.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "host/base/memory.h"
#include "host/cluster/batch_state.h"
#include "host/cluster/state.h"
#include "host/cluster/weights.h"

/* Of a problem that fails before `fits`: what is spent on its error. */
#define REFUSED_NS 20e3

static enum status no_memory(int64_t bytes, struct error *error)
{
    return FAIL(error, OUT_OF_MEMORY, TEXT("what", "a batch"), INT("needed", bytes),
                INT("retry_ms", 1000));
}

void batch_result_free(struct batch_result *result)
{
    memory_free(result->row);
    memory_free(result->center);
    memory_free(result->n_clusters);
    memory_free(result->problem);
    memory_free(result->cause);
    memory_free(result->random_state);
    memory_free(result->inertia);
    memory_free(result->fingerprint);
    memory_free(result->centers);
    memory_free(result->labels);
    memory_free(result->sizes);
    *result = (struct batch_result){0};
}

static void batch_close(struct batch *batch)
{
    batch_result_free(&batch->result);
    memory_free(batch->init_centers);
    memory_free(batch->local);
    memory_free(batch->refused);
}

static int64_t rows_of(const struct batch *batch, int64_t problem)
{
    return batch->input->row[problem + 1] - batch->input->row[problem];
}

/* Offsets first: how much else there is hangs on them. */
static enum status offsets_make(struct batch *batch, struct error *error)
{
    struct batch_result *result = &batch->result;
    const struct batch_input *input = batch->input;
    size_t problems = (size_t)input->problems;

    result->row = memory_new(problems + 1, sizeof *result->row);
    result->center = memory_new(problems + 1, sizeof *result->center);
    result->n_clusters = memory_new(problems, sizeof *result->n_clusters);
    result->random_state = memory_new(problems, sizeof *result->random_state);
    result->problem = memory_zeroed(problems, sizeof *result->problem);
    result->cause = memory_zeroed(problems, sizeof *result->cause);
    result->inertia = memory_new(problems, sizeof *result->inertia);
    result->fingerprint = memory_new(problems, sizeof *result->fingerprint);
    batch->local = memory_new(problems + 1, sizeof *batch->local);
    batch->refused = memory_zeroed(problems, sizeof *batch->refused);
    if (!result->row || !result->center || !result->n_clusters || !result->random_state ||
        !result->problem || !result->cause || !result->inertia || !result->fingerprint ||
        !batch->local || !batch->refused)
        return no_memory(input->problems * (int64_t)sizeof *result->problem, error);
    memcpy(result->row, input->row, (problems + 1) * sizeof *result->row);
    result->center[0] = 0;
    for (int64_t p = 0; p < input->problems; p++) {
        result->n_clusters[p] = batch_clusters(input, &batch->params, p);
        result->center[p + 1] = result->center[p] + batch_centers(input, &batch->params, p);
        result->random_state[p] =
            input->random_state ? input->random_state[p] : batch->params.random_state;
    }
    return STATUS_OK;
}

static enum status arrays_make(struct batch *batch, struct error *error)
{
    struct batch_result *result = &batch->result;
    size_t centers = (size_t)result->center[result->problems], columns = (size_t)result->columns;
    size_t values = 0;

    if (!size_mul(centers, columns, &values))
        return no_memory(INT64_MAX, error);
    result->centers = memory_zeroed(values, sizeof *result->centers);
    result->sizes = memory_zeroed(centers, sizeof *result->sizes);
    result->labels = memory_new((size_t)result->rows, sizeof *result->labels);
    if (batch->params.init == INIT_CENTERS)
        batch->init_centers = memory_new(values, sizeof *batch->init_centers);
    if (!result->centers || !result->sizes || !result->labels ||
        (batch->params.init == INIT_CENTERS && !batch->init_centers))
        return no_memory((int64_t)(values * 2 * sizeof *result->centers), error);
    for (int64_t i = 0; i < result->rows; i++)
        result->labels[i] = -1;
    for (size_t i = 0; batch->init_centers && i < values; i++)
        batch->init_centers[i] = batch->params.init_centers[i] + 0.0; /* -0 becomes +0 */
    return STATUS_OK;
}

static enum status batch_open(struct batch *batch, struct error *error)
{
    const struct batch_input *input = batch->input;
    enum status status;

    TRY(batch_check(input, &batch->params, error));
    batch->params = kmeans_resolved(&batch->params);
    batch->cost = (struct shape_cost){.rows = -1};
    batch->result = (struct batch_result){.number = input->matrix->number,
                                          .rows = input->matrix->rows,
                                          .columns = input->matrix->columns,
                                          .problems = input->problems,
                                          .init = batch->params.init,
                                          .n_init = batch->params.n_init};
    TRY(offsets_make(batch, error));
    TRY(arrays_make(batch, error));
    batch->params.init_centers = batch->init_centers;
    batch->fits = batch_fits(input, &batch->params);
    batch->progress = (struct fit_progress){.stage = FIT_ROUNDS,
                                            .n_init = batch->params.n_init,
                                            .max_iter = batch->params.max_iter,
                                            .rows = input->matrix->rows,
                                            .inertia = NAN,
                                            .shift = NAN,
                                            .moved = -1};
out:
    return status;
}

/* Where the batch stands after `problems` of it, told to whoever asks. */
static enum status turn_now(struct batch *batch, int64_t problems, struct error *error)
{
    struct fit_progress *progress = &batch->progress;

    if (!batch->turn || !batch->turn->fn)
        return STATUS_OK;
    progress->rows_done = batch->input->row[problems];
    progress->fraction =
        batch->input->problems > 0 ? (double)problems / (double)batch->input->problems : 1;
    return batch->turn->fn(batch->turn->context, progress, error);
}

static bool weights_are_good(const struct batch *batch, int64_t problem)
{
    const double *weight = batch->input->sample_weight;
    bool good = true;

    for (int64_t i = batch->input->row[problem]; weight && i < batch->input->row[problem + 1]; i++)
        good &= weight[i] >= 0 && weight[i] <= WEIGHT_MAX;
    return good;
}

static bool centers_are_good(const struct batch *batch, int64_t problem)
{
    int64_t columns = batch->result.columns;
    bool good = true;

    for (int64_t at = batch->result.center[problem] * columns;
         batch->init_centers && at < batch->result.center[problem + 1] * columns; at++)
        good &= fabs(batch->init_centers[at]) <= VALUE_MAX;
    return good;
}

/* A problem that can only fail: its ordinary fit finds the words at once. */
static bool is_lost(const struct batch *batch, int64_t problem)
{
    int64_t clusters = batch->result.n_clusters[problem];

    return clusters < 1 || clusters > rows_of(batch, problem) ||
           !weights_are_good(batch, problem) || !centers_are_good(batch, problem);
}

/* The chunk that holds `row`: chunks ascend and leave no gap. */
static int chunk_of(const struct matrix *matrix, int64_t row)
{
    int low = 0, high = matrix->chunks - 1;

    while (low < high) {
        int middle = low + (high - low + 1) / 2;
        if (matrix->chunk[middle].first <= row)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

/* Chunks [*first, *last] hold the problem's rows. */
static void chunks_of(const struct batch *batch, int64_t problem, int *first, int *last)
{
    const struct matrix *matrix = batch->input->matrix;
    int64_t row = batch->input->row[problem], end = batch->input->row[problem + 1];

    *first = chunk_of(matrix, row);
    *last = end > row ? chunk_of(matrix, end - 1) : *first;
}

static size_t value_bytes(const struct batch *batch)
{
    return batch->result.number == NUMBER_F32 ? sizeof(float) : sizeof(double);
}

/* The parts of the matrix's chunks that are the problem's rows, counted from 0. */
static void rows_cut(const struct batch *batch, int64_t problem, int first, int last,
                     struct rows *out)
{
    const struct matrix *matrix = batch->input->matrix;
    int64_t begin = batch->input->row[problem], end = batch->input->row[problem + 1];

    for (int c = first; c <= last; c++) {
        const struct rows *chunk = &matrix->chunk[c];
        int64_t from = begin > chunk->first ? begin : chunk->first,
                to = chunk->first + chunk->count;
        to = to < end ? to : end;
        out[c - first] = (struct rows){.values = (const char *)chunk->values +
                                                 (size_t)((from - chunk->first) * matrix->columns) *
                                                     value_bytes(batch),
                                       .first = from - begin,
                                       .count = to - from};
    }
}

static void result_take(struct batch *batch, int64_t problem, const struct kmeans_result *fit)
{
    struct batch_result *result = &batch->result;
    int64_t center = result->center[problem];
    struct fits_result *out = &result->problem[problem];

    *out = (struct fits_result){.n_iter = fit->n_iter,
                                .run = fit->run,
                                .empty = fit->empty,
                                .skipped = fit->skipped,
                                .stop = (enum fits_stop)fit->stop,
                                .distinct_below = fit->distinct_below != 0,
                                .inertia = fit->inertia,
                                .fingerprint = fit->fingerprint};
    for (int64_t j = 0; j < fit->n_clusters; j++)
        out->taking_part += fit->sizes[j];
    memcpy(result->labels + result->row[problem], fit->labels,
           (size_t)fit->rows * sizeof *fit->labels);
    memcpy(result->sizes + center, fit->sizes, (size_t)fit->n_clusters * sizeof *fit->sizes);
    memcpy(result->centers + center * fit->columns, fit->centers,
           (size_t)(fit->n_clusters * fit->columns) * sizeof *fit->centers);
}

struct inner_turn {
    struct batch *batch;
    int64_t problem;
};

/* A turn of an ordinary fit is one of the batch. */
static enum status turn_inside(void *context, const struct fit_progress *progress,
                               struct error *error)
{
    struct inner_turn *inner = context;

    (void)progress;
    return turn_now(inner->batch, inner->problem, error);
}

/* One problem by the ordinary loop. What fails in it is its own, unless the device or a turn said so. */
static enum status ordinary_fit(struct batch *batch, int64_t problem, struct error *error)
{
    const struct batch_input *input = batch->input;
    struct inner_turn inner = {batch, problem};
    struct turn turn = {turn_inside, &inner};
    struct kmeans_params params = batch->params;
    struct kmeans_result fit = {0};
    struct error own = {0};
    char name[160];
    int first, last;

    chunks_of(batch, problem, &first, &last);
    size_t parts = (size_t)last - (size_t)first + 1;
    struct rows *rows = memory_new(parts, sizeof *rows);
    if (!rows)
        return no_memory((int64_t)(parts * sizeof *rows), error);
    if (input->matrix->chunks > 0)
        rows_cut(batch, problem, first, last, rows);
    struct matrix matrix = {.number = input->matrix->number,
                            .rows = rows_of(batch, problem),
                            .columns = input->matrix->columns,
                            .chunks = input->matrix->chunks > 0 ? (int)parts : 0,
                            .chunk = rows};
    snprintf(name, sizeof name, "%s[%" PRId64 "]", input->name, problem);
    struct fit_input alone = {
        .name = name,
        .matrix = &matrix,
        .sample_weight = input->sample_weight ? input->sample_weight + input->row[problem] : NULL,
        .residency = input->residency};
    params.n_clusters = batch->result.n_clusters[problem];
    params.random_state = batch->result.random_state[problem];
    if (batch->init_centers)
        params.init_centers = batch->init_centers + batch->result.center[problem] * matrix.columns;
    enum status status =
        kmeans_fit(batch->backend, batch->device, &alone, &params, &turn, &fit, &own);
    batch->result.ordinary++;
    if (status == STATUS_OK)
        result_take(batch, problem, &fit);
    else if (batch_note(&batch->result, problem, &own))
        status = STATUS_OK;
    else if (error)
        *error = own;
    kmeans_result_free(&fit);
    memory_free(rows);
    return status;
}

/* How far one call of `fits` may go from problem `at` on. Problems that can only fail do so here. *end =
 * `at`: the problem there is an ordinary fit. */
static enum status call_cut(struct batch *batch, int64_t at, int64_t *end, struct error *error)
{
    double ns = 0;
    int first, last, chunk = -1;

    for (*end = at; *end < batch->input->problems && ns < BATCH_CALL_NS; ++*end) {
        int64_t p = *end;
        if (is_lost(batch, p)) {
            enum status status = ordinary_fit(batch, p, error);
            if (status != STATUS_OK)
                return status;
            batch->refused[p] = 1;
            ns += REFUSED_NS;
            continue;
        }
        const struct shape_cost *cost =
            batch_shape(batch->backend, batch->device, &batch->fits, rows_of(batch, p),
                        batch->result.n_clusters[p], &batch->cost);
        chunks_of(batch, p, &first, &last);
        chunk = chunk < 0 ? first : chunk;
        if (!cost->small || first != chunk || last != chunk ||
            (*end > at && ns + cost->plan.problem_ns > BATCH_CALL_NS))
            break;
        ns += cost->plan.problem_ns;
    }
    return STATUS_OK;
}

/* Problems [at, end), whose rows lie in one chunk. */
static enum status call_fits(struct batch *batch, int64_t at, int64_t end, struct error *error)
{
    const struct batch_input *input = batch->input;
    struct batch_result *result = &batch->result;
    struct fits fits = batch->fits;
    int64_t live = at;
    int first = 0, last;

    while (live < end && batch->refused[live])
        live++;
    if (live == end)
        return STATUS_OK;
    chunks_of(batch, live, &first, &last);
    const struct rows *chunk = &input->matrix->chunk[first];
    for (int64_t p = live; p <= end; p++)
        batch->local[p] = input->row[p] - chunk->first;
    fits.problems = end - live;
    fits.row = batch->local + live;
    fits.center = result->center + live;
    fits.values = chunk->values;
    fits.weight = input->sample_weight ? input->sample_weight + chunk->first : NULL;
    fits.centers = batch->init_centers;
    fits.refused = batch->refused + live;
    fits.random_state = result->random_state + live;
    struct fits_out out = {.result = result->problem + live,
                           .centers = result->centers,
                           .labels = result->labels + chunk->first,
                           .sizes = result->sizes};
    return device_failed(batch->backend, batch->backend->fits(batch->device, &fits, &out), "fits",
                         batch->cost.plan.host_bytes, error);
}

static enum status batch_run(struct batch *batch, struct error *error)
{
    int64_t at = 0, end;
    enum status status = STATUS_OK;

    while (at < batch->input->problems) {
        TRY(call_cut(batch, at, &end, error));
        if (end > at)
            TRY(call_fits(batch, at, end, error));
        else
            TRY(ordinary_fit(batch, end++, error));
        at = end;
        TRY(turn_now(batch, at, error));
    }
    for (int64_t p = 0; p < batch->input->problems; p++) {
        batch->result.failed += batch->result.problem[p].status != STATUS_OK;
        batch->result.inertia[p] = batch->result.problem[p].inertia;
        batch->result.fingerprint[p] = batch->result.problem[p].fingerprint;
    }
out:
    return status;
}

enum status batch_fit(const struct backend *backend, struct device *device,
                      const struct batch_input *input, const struct kmeans_params *params,
                      const struct turn *turn, struct batch_result *out, struct error *error)
{
    struct batch batch = {
        .backend = backend, .device = device, .input = input, .params = *params, .turn = turn};
    enum status status;

    TRY(batch_open(&batch, error));
    TRY(batch_run(&batch, error));
    *out = batch.result;
    batch.result = (struct batch_result){0};
out:
    batch_close(&batch);
    return status;
}
