#include "host/jobs/plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "host/base/memory.h"

static enum status no_memory(struct error *error, size_t bytes)
{
    return FAIL(error, OUT_OF_MEMORY, TEXT("what", "a request"), INT("needed", bytes),
                INT("retry_ms", 1000));
}

static enum status mismatch(struct error *error, const char *what, const char *found,
                            const char *expected)
{
    return FAIL(error, SHAPE_MISMATCH, TEXT("what", what), TEXT("found", found),
                TEXT("expected", expected));
}

enum status request_selection(const struct job_request *request, struct selection *out,
                              struct error *error)
{
    const struct table *table = request->table;
    bool all = request->column_count == 0;
    int most = all ? table->columns : request->column_count;
    const char **names = NULL;
    int count = 0;

    *out = (struct selection){.first = request->first_row, .rows = request->rows};
    if (all && request->weight_column[0] == '\0')
        return STATUS_OK;
    names = memory_new((size_t)most, sizeof *names);
    if (!names)
        return no_memory(error, (size_t)most * sizeof *names);
    for (int c = 0; c < most; c++) {
        const char *name = all ? table->column[c].name : request->column[c];
        if (!all || strcmp(name, request->weight_column) != 0)
            names[count++] = name;
    }
    out->names = names;
    out->count = count;
    return STATUS_OK;
}

void selection_free(struct selection *selection)
{
    union {
        const char *const *borrowed;
        void *ours;
    } names = {.borrowed = selection->names};

    memory_free(names.ours);
    *selection = (struct selection){0};
}

/* A sum that stays at the greatest number once it passed it: no server offers that many bytes. */
static int64_t bytes_add(int64_t sum, int64_t count, int64_t size)
{
    int64_t more;

    if (__builtin_mul_overflow(count, size, &more) || __builtin_add_overflow(sum, more, &sum))
        return INT64_MAX;
    return sum;
}

/* Width and number type of the selection; matrix_bytes has checked its names. */
static void selection_shape(const struct table *table, const struct selection *selection,
                            struct job_plan *plan)
{
    int count = selection->names ? selection->count : table->columns;

    plan->number = NUMBER_F32;
    for (int i = 0; i < count; i++) {
        const struct column *column =
            &table->column[selection->names ? table_column(table, selection->names[i]) : i];
        plan->columns += column->width;
        if (dtype_number(column->dtype) > plan->number)
            plan->number = dtype_number(column->dtype);
    }
    plan->rows = selection->rows ? selection->rows : table->rows - selection->first;
}

static enum status weight_check(const struct job_request *request, const struct job_plan *plan,
                                struct error *error)
{
    char found[64], expected[64], what[96], why[192];

    if (request->weight && request->weight_count != plan->rows) {
        snprintf(found, sizeof found, "%" PRId64 " values", request->weight_count);
        snprintf(expected, sizeof expected, "%" PRId64 " (one a row)", plan->rows);
        return mismatch(error, "sample_weight", found, expected);
    }
    if (request->weight_column[0] == '\0')
        return STATUS_OK;
    int c = table_column(request->table, request->weight_column);
    snprintf(what, sizeof what, "sample_weight column '%s'", request->weight_column);
    snprintf(why, sizeof why, "%s has no such column", request->source_name);
    if (c < 0)
        return FAIL(error, MISSING, TEXT("what", what), TEXT("why", why));
    if (request->table->column[c].width == 1)
        return STATUS_OK;
    snprintf(found, sizeof found, "%" PRId64 " values a row", request->table->column[c].width);
    return mismatch(error, what, found, "one");
}

static enum status init_check(const struct job_request *request, const struct job_plan *plan,
                              struct error *error)
{
    char found[64], expected[96];

    if (!request->params.init_centers || (request->init_rows == request->params.n_clusters &&
                                          request->init_columns == plan->columns))
        return STATUS_OK;
    snprintf(found, sizeof found, "%" PRId64 " x %" PRId64 " values", request->init_rows,
             request->init_columns);
    snprintf(expected, sizeof expected, "%" PRId64 " x %" PRId64 " (n_clusters x columns)",
             request->params.n_clusters, plan->columns);
    return mismatch(error, "init_centers", found, expected);
}

static enum status model_check(const struct job_request *request, const struct job_plan *plan,
                               struct error *error)
{
    char found[64], expected[96];

    if (request->model->columns == plan->columns)
        return STATUS_OK;
    snprintf(found, sizeof found, "%" PRId64 " columns", plan->columns);
    snprintf(expected, sizeof expected, "%" PRId64 ", as many as the model",
             request->model->columns);
    return mismatch(error, request->source_name, found, expected);
}

static void cost_add(struct job_plan *plan, const struct cost *cost)
{
    plan->run_bytes = bytes_add(plan->run_bytes, cost->host_bytes, 1);
    plan->device_bytes = cost->device_bytes;
    plan->device_pinned_bytes = cost->pinned_bytes;
    plan->expected_ns = cost->expected_ns;
    /* Before its first pass the host packs rows and reads weights: about a nanosecond a value. */
    plan->quiet_ns = cost->quiet_ns + (double)plan->rows * (double)plan->columns;
}

/* What fit_save writes: two sets of centers, sizes, seeded rows, two histories, a head. */
static int64_t saved_bytes(const struct kmeans_params *params, const struct job_plan *plan)
{
    int64_t bytes = bytes_add(1024, params->n_clusters, 2 * 8 * (plan->columns + 1));

    return bytes_add(bytes, params->history ? params->max_iter : 0, 2 * 8);
}

static enum status plan_fit(const struct backend *backend, const struct device *device,
                            const struct job_request *request, const struct shape *shape,
                            struct job_plan *plan, struct error *error)
{
    const struct kmeans_params *params = &request->params;
    int64_t centers = params->n_clusters * plan->columns;
    struct cost cost = {0};
    enum status status;

    TRY(kmeans_check(params, error));
    TRY(init_check(request, plan, error));
    if (plan->rows < params->n_clusters)
        return FAIL(error, TOO_FEW_ROWS, TEXT("what", request->source_name),
                    INT("rows", plan->rows), INT("n_clusters", params->n_clusters));
    TRY(fit_plan(backend, device, shape, params, &cost, error));
    cost_add(plan, &cost);
    if (cost.device_bytes) /* a device may be lost: two copies of a saved state */
        plan->run_bytes = bytes_add(plan->run_bytes, saved_bytes(params, plan), 2);
    plan->held_bytes = bytes_add(plan->held_bytes, params->init_centers ? centers : 0, 8);
    if (request->keep_model[0]) /* the model, its bytes, and their copy */
        plan->run_bytes = bytes_add(plan->run_bytes, centers, 3 * 8);
out:
    return status;
}

/* What the kernels read of the batch while it is planned: the shape of its matrix. */
struct batch_input request_batch(const struct job_request *request, const struct matrix *matrix)
{
    return (struct batch_input){.name = request->source_name,
                                .matrix = matrix,
                                .problems = request->problems,
                                .row = request->problem_row,
                                .n_clusters = request->problem_clusters,
                                .random_state = request->problem_random_state,
                                .init_rows = request->init_rows};
}

static enum status init_width_check(const struct job_request *request, const struct job_plan *plan,
                                    struct error *error)
{
    char found[64], expected[64];

    if (!request->params.init_centers || request->init_columns == plan->columns)
        return STATUS_OK;
    snprintf(found, sizeof found, "%" PRId64 " columns", request->init_columns);
    snprintf(expected, sizeof expected, "%" PRId64 ", as the data has", plan->columns);
    return mismatch(error, "init_centers", found, expected);
}

static enum status plan_batch(const struct backend *backend, const struct device *device,
                              const struct job_request *request, const struct shape *shape,
                              struct job_plan *plan, struct error *error)
{
    struct matrix matrix = {.number = plan->number, .rows = plan->rows, .columns = plan->columns};
    struct batch_input input = request_batch(request, &matrix);
    struct cost cost = {0};
    enum status status;

    input.residency = shape->residency;
    TRY(init_width_check(request, plan, error));
    TRY(batch_plan(backend, device, &input, &request->params, &cost, error));
    cost_add(plan, &cost);
    plan->held_bytes = bytes_add(plan->held_bytes, request->problems + 1, 3 * 8);
    plan->held_bytes = bytes_add(
        plan->held_bytes, request->params.init_centers ? request->init_rows * plan->columns : 0, 8);
out:
    return status;
}

static enum status plan_score(const struct backend *backend, const struct device *device,
                              const struct job_request *request, struct shape *shape,
                              struct job_plan *plan, struct error *error)
{
    const struct model *model = request->model;
    struct cost cost = {0};
    enum status status;

    TRY(model_check(request, plan, error));
    shape->clusters = model->n_clusters;
    TRY(score_plan(backend, device, shape, &cost, error));
    cost_add(plan, &cost);
    plan->held_bytes = bytes_add(plan->held_bytes, model->n_clusters * model->columns, 8);
    if (request->kind == JOB_EVALUATE)
        plan->run_bytes = bytes_add(plan->run_bytes, model->n_clusters, 2 * 8);
    if (request->want_labels)
        plan->run_bytes = bytes_add(plan->run_bytes, plan->rows, 4);
    if (request->want_distances)
        plan->run_bytes =
            bytes_add(plan->run_bytes, bytes_add(0, plan->rows, model->n_clusters), 8);
out:
    return status;
}

/* Bytes of the rows: those that came along, those that packing and weights take. */
static enum status plan_source(const struct job_request *request, struct job_plan *plan,
                               struct error *error)
{
    struct selection selection;
    int64_t packed = 0;
    enum status status = request_selection(request, &selection, error);

    if (status != STATUS_OK)
        return status;
    TRY(matrix_bytes(request->table, &selection, &packed, error));
    selection_shape(request->table, &selection, plan);
    if (request->dataset[0])
        plan->pinned_bytes = request->table->bytes;
    else
        plan->held_bytes = request->table->bytes;
    plan->run_bytes = bytes_add(packed, request->weight_column[0] ? plan->rows : 0, 8);
    plan->held_bytes = bytes_add(plan->held_bytes, request->weight ? request->weight_count : 0, 8);
    TRY(weight_check(request, plan, error));
out:
    selection_free(&selection);
    return status;
}

enum status plan_request(const struct backend *backend, const struct device *device,
                         enum residency residency, const struct job_request *request,
                         struct job_plan *out, struct error *error)
{
    struct job_plan plan = {0};
    enum status status;

    TRY(plan_source(request, &plan, error));
    struct shape shape = {.rows = plan.rows,
                          .columns = plan.columns,
                          .clusters = request->params.n_clusters,
                          .number = plan.number,
                          .weighted = request->weight || request->weight_column[0],
                          .residency = residency};
    if (request->kind == JOB_FIT)
        status = plan_fit(backend, device, request, &shape, &plan, error);
    else if (request->kind == JOB_FIT_BATCH)
        status = plan_batch(backend, device, request, &shape, &plan, error);
    else
        status = plan_score(backend, device, request, &shape, &plan, error);
    if (status == STATUS_OK)
        *out = plan;
out:
    return status;
}
