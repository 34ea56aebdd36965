/* bary_batch.c - many small fits: the public structs around host/cluster/batch.h. */
#include <string.h>

#include "host/bary_call.h"
#include "host/base/memory.h"
#include "host/cluster/batch.h"

/* What a public result owns. */
struct kept {
    struct batch_result batch;
    struct bary_problem *problem;
    char *name; /* of the data, for bary_batch_error */
};

static void kept_free(struct kept *kept)
{
    if (!kept)
        return;
    batch_result_free(&kept->batch);
    memory_free(kept->problem);
    memory_free(kept->name);
    memory_free(kept);
}

static enum status no_memory(size_t bytes, struct error *error)
{
    return FAIL(error, OUT_OF_MEMORY, TEXT("what", "a batch"), INT("needed", bytes),
                INT("retry_ms", 1000));
}

/* Offsets as given, or equal parts in memory of our own. */
static enum status offsets_take(const struct bary_problems *problems, int64_t rows,
                                const int64_t **out, int64_t **own, struct error *error)
{
    int64_t count = problems->problems;

    *out = problems->row_offsets;
    if (*out)
        return STATUS_OK;
    if (count < 1 || count > rows)
        return FAIL(error, OUT_OF_RANGE, TEXT("what", "the number of problems"),
                    INT("value", count), TEXT("limit", "1 to the number of rows"));
    if (rows % count != 0)
        return FAIL(error, OUT_OF_RANGE, TEXT("what", "the number of problems"),
                    INT("value", count), TEXT("limit", "a divisor of the number of rows"));
    *own = memory_new((size_t)count + 1, sizeof **own);
    if (!*own)
        return no_memory(((size_t)count + 1) * sizeof **own, error);
    for (int64_t p = 0; p <= count; p++)
        (*own)[p] = p * (rows / count);
    *out = *own;
    return STATUS_OK;
}

static struct bary_problem problem_of(const struct fits_result *one)
{
    return (struct bary_problem){
        .status = (int)one->status,
        .stop = (enum bary_stop)one->stop,
        .inertia = one->inertia,
        .n_iter = one->n_iter,
        .empty = one->empty,
        .skipped = one->skipped,
        .fingerprint = {(uint64_t)one->fingerprint, (uint64_t)(one->fingerprint >> 64)}};
}

/* The public view of `kept`, which it owns from here on. */
static enum status result_make(struct kept *kept, const char *name,
                               struct bary_batch_result *result, struct error *error)
{
    const struct batch_result *batch = &kept->batch;
    size_t problems = (size_t)batch->problems;

    kept->name = text_copy(name);
    kept->problem = memory_new(problems, sizeof *kept->problem);
    if (!kept->name || !kept->problem)
        return no_memory(problems * sizeof *kept->problem, error);
    for (size_t p = 0; p < problems; p++)
        kept->problem[p] = problem_of(&batch->problem[p]);
    *result = (struct bary_batch_result){.rows = batch->rows,
                                         .columns = batch->columns,
                                         .problems = batch->problems,
                                         .failed = batch->failed,
                                         .problem = kept->problem,
                                         .row_offsets = batch->row,
                                         .center_offsets = batch->center,
                                         .cluster_centers = batch->centers,
                                         .labels = batch->labels,
                                         .sizes = batch->sizes,
                                         .owner = kept};
    return STATUS_OK;
}

/* Rounds that the choice of a device assumes when the loop ends by itself. */
enum { ROUNDS_EXPECTED = 30 };

/* A batch on whatever device it is done. */
struct batching {
    struct batch_input input;
    struct kmeans_params params;
    struct turn turn;
    struct kept *kept;
};

static enum status batch_on(const struct embedded *device, void *context, struct error *error)
{
    const struct batching *batching = context;
    struct batch_input input = batching->input;

    input.residency = device->residency;
    return batch_fit(device->backend, device->device, &input, &batching->params, &batching->turn,
                     &batching->kept->batch, error);
}

static enum status batch_call(const struct bary_data *data, const struct bary_problems *problems,
                              const struct bary_kmeans_options *options,
                              struct bary_batch_result *result, struct error *error)
{
    struct matrix matrix = {.table = NULL};
    struct batching batching = {.input = {.name = call_name(data),
                                          .matrix = &matrix,
                                          .sample_weight = data->sample_weight,
                                          .problems = problems->problems,
                                          .n_clusters = problems->n_clusters,
                                          .random_state = problems->random_state,
                                          .init_rows = -1},
                                .params = call_params(data, options),
                                .turn = call_turn(&options->run),
                                .kept = memory_zeroed(1, sizeof *batching.kept)};
    int64_t *own = NULL;
    enum status status;

    if (!batching.kept)
        return no_memory(sizeof *batching.kept, error);
    TRY(call_matrix(data, &matrix, error));
    TRY(offsets_take(problems, matrix.rows, &batching.input.row, &own, error));
    double runs = options->n_init > 0 ? (double)options->n_init : 1;
    const struct embedded_work work =
        call_work(&matrix, data->sample_weight, options->n_clusters, runs * ROUNDS_EXPECTED);
    TRY(call_run(&options->run, &work, batch_on, &batching, error));
    TRY(result_make(batching.kept, call_name(data), result, error));
    batching.kept = NULL;
out:
    kept_free(batching.kept);
    memory_free(own);
    matrix_release(&matrix);
    return status;
}

int bary_kmeans_fit_batch(const struct bary_data *data, const struct bary_problems *problems,
                          const struct bary_kmeans_options *options,
                          struct bary_batch_result *result, struct bary_error *error)
{
    struct bary_kmeans_options defaults;
    struct error inner;

    bary_kmeans_options_init(&defaults);
    return call_end(batch_call(data, problems, options ? options : &defaults, result, &inner),
                    &inner, error);
}

int bary_batch_error(const struct bary_batch_result *result, int64_t problem,
                     struct bary_error *error)
{
    const struct kept *kept = result->owner;
    struct error inner = {0};
    enum status status = batch_error(&kept->batch, kept->name, problem, &inner);

    return call_end(status, &inner, error);
}

void bary_batch_result_free(struct bary_batch_result *result)
{
    kept_free(result->owner);
    *result = (struct bary_batch_result){.rows = 0};
}
