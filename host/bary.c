/* bary.c - the public calls: public structs in, the engine's functions, public structs out. */
#include "host/bary.h"

#include <string.h>

#include "host/bary_call.h"
#include "host/base/memory.h"
#include "host/cluster/score.h"
#include "host/data/npy.h"

const char *call_name(const struct bary_data *data)
{
    return data->name ? data->name : "X";
}

enum status call_matrix(const struct bary_data *data, struct matrix *out, struct error *error)
{
    struct table *table = NULL;
    enum status status;

    if (data->non_finite != BARY_NON_FINITE_REJECT && data->non_finite != BARY_NON_FINITE_SKIP)
        return FAIL(error, UNKNOWN_VALUE, TEXT("what", "non_finite"),
                    INT("value", data->non_finite), TEXT("known", "reject (0), skip (1)"));
    TRY(table_of_matrix((enum dtype)data->dtype, data->rows, data->columns, data->values, NULL,
                        NULL, &table, error));
    TRY(matrix_select(table, NULL, out, error));
out:
    table_unpin(&table);
    return status;
}

struct bary_npy {
    struct table *table;
};

int bary_npy_open(const char *path, struct bary_npy **file, struct bary_data *data,
                  struct bary_error *error)
{
    struct bary_npy *npy = memory_zeroed(1, sizeof *npy);
    struct error inner;
    enum status status;

    if (!npy)
        return call_end(FAIL(&inner, OUT_OF_MEMORY, TEXT("what", path), INT("needed", sizeof *npy),
                             INT("retry_ms", 1000)),
                        &inner, error);
    status = npy_open(path, &npy->table, &inner);
    if (status != STATUS_OK) {
        memory_free(npy);
        return call_end(status, &inner, error);
    }
    *data = (struct bary_data){
        .values = npy->table->chunk[0].data[0],
        .dtype = (enum bary_dtype)npy->table->column[0].dtype,
        .rows = npy->table->rows,
        .columns = npy->table->column[0].width,
    };
    *file = npy;
    return 0;
}

void bary_npy_close(struct bary_npy **file)
{
    if (!*file)
        return;
    table_unpin(&(*file)->table);
    memory_free(*file);
    *file = NULL;
}

void bary_kmeans_options_init(struct bary_kmeans_options *options)
{
    const struct kmeans_params params = kmeans_params_default();

    *options = (struct bary_kmeans_options){
        .n_clusters = params.n_clusters,
        .max_iter = params.max_iter,
        .tol = params.tol,
    };
}

struct kmeans_params call_params(const struct bary_data *data,
                                 const struct bary_kmeans_options *options)
{
    return (struct kmeans_params){
        .n_clusters = options->n_clusters,
        .init = (enum init)options->init,
        .init_centers = options->init_centers,
        .n_init = options->n_init,
        .max_iter = options->max_iter,
        .tol = options->tol,
        .fixed_rounds = options->fixed_rounds != 0,
        .random_state = options->random_state,
        .non_finite = (enum non_finite)data->non_finite,
        .empty_clusters = (enum empty_clusters)options->empty_clusters,
        .history = options->history != 0,
    };
}

/* The public view of `kept`, which it owns from here on, as it does `model`. */
static struct bary_kmeans_result result_of(struct kmeans_result *kept, struct model *model)
{
    return (struct bary_kmeans_result){
        .rows = kept->rows,
        .columns = kept->columns,
        .n_clusters = kept->n_clusters,
        .labels = kept->labels,
        .cluster_centers = kept->centers,
        .sizes = kept->sizes,
        .inertia = kept->inertia,
        .n_iter = kept->n_iter,
        .stop = (enum bary_stop)kept->stop,
        .empty = kept->empty,
        .skipped = kept->skipped,
        .history = kept->history,
        .fingerprint = {(uint64_t)kept->fingerprint, (uint64_t)(kept->fingerprint >> 64)},
        .model = (struct bary_model *)(void *)model,
        .owner = kept,
    };
}

static void kept_free(struct kmeans_result *kept)
{
    if (kept)
        kmeans_result_free(kept);
    memory_free(kept);
}

/* Rounds that the choice of a device assumes when the loop ends by itself. */
enum { ROUNDS_EXPECTED = 30 };

/* A fit on whatever device it is done. */
struct fitting {
    struct fit_input input;
    struct kmeans_params params;
    struct turn turn;
    struct kmeans_result *kept;
};

static enum status fit_on(const struct embedded *device, void *context, struct error *error)
{
    const struct fitting *fitting = context;
    struct fit_input input = fitting->input;

    input.residency = device->residency;
    return kmeans_fit(device->backend, device->device, &input, &fitting->params, &fitting->turn,
                      fitting->kept, error);
}

static enum status fit_call(const struct bary_data *data, const struct bary_kmeans_options *options,
                            struct bary_kmeans_result *result, struct error *error)
{
    struct matrix matrix = {.table = NULL};
    struct fitting fitting = {
        .input = {.name = call_name(data), .matrix = &matrix, .sample_weight = data->sample_weight},
        .params = call_params(data, options),
        .turn = call_turn(&options->run),
        .kept = memory_zeroed(1, sizeof *fitting.kept)};
    struct model *model = NULL;
    enum status status;

    if (!fitting.kept)
        return FAIL(error, OUT_OF_MEMORY, TEXT("what", "a result"),
                    INT("needed", sizeof *fitting.kept), INT("retry_ms", 1000));
    TRY(call_matrix(data, &matrix, error));
    double runs = options->n_init > 0 ? (double)options->n_init : 1;
    double rounds =
        options->max_iter < ROUNDS_EXPECTED ? (double)options->max_iter : ROUNDS_EXPECTED;
    const struct embedded_work work =
        call_work(&matrix, data->sample_weight, options->n_clusters, runs * rounds);
    TRY(call_run(&options->run, &work, fit_on, &fitting, error));
    TRY(model_of_result(fitting.kept, &fitting.params, NULL, &model, error));
    *result = result_of(fitting.kept, model);
    fitting.kept = NULL;
out:
    kept_free(fitting.kept);
    matrix_release(&matrix);
    return status;
}

int bary_kmeans_fit(const struct bary_data *data, const struct bary_kmeans_options *options,
                    struct bary_kmeans_result *result, struct bary_error *error)
{
    struct bary_kmeans_options defaults;
    struct error inner;

    bary_kmeans_options_init(&defaults);
    return call_end(fit_call(data, options ? options : &defaults, result, &inner), &inner, error);
}

void bary_kmeans_result_free(struct bary_kmeans_result *result)
{
    kept_free(result->owner);
    bary_model_free(&result->model);
    *result = (struct bary_kmeans_result){.rows = 0};
}

/* A prediction (found NULL) or an inertia, on whatever device it is done. */
struct scoring {
    struct fit_input input;
    const struct model *model;
    enum non_finite non_finite;
    struct turn turn;
    int32_t *labels;
    double *distances;
    struct inertia_result *found;
};

static enum status score_on(const struct embedded *device, void *context, struct error *error)
{
    const struct scoring *scoring = context;
    struct fit_input input = scoring->input;

    input.residency = device->residency;
    if (scoring->found)
        return score_inertia(device->backend, device->device, &input, scoring->model,
                             scoring->non_finite, &scoring->turn, scoring->found, error);
    return score_predict(device->backend, device->device, &input, scoring->model,
                         scoring->non_finite, &scoring->turn, scoring->labels, scoring->distances,
                         error);
}

/* Fills the rest of *scoring. */
static enum status score_call(const struct bary_model *model, const struct bary_data *data,
                              const struct bary_run *run, struct scoring *scoring,
                              struct error *error)
{
    struct matrix matrix = {.table = NULL};
    enum status status;

    scoring->input = (struct fit_input){
        .name = call_name(data), .matrix = &matrix, .sample_weight = data->sample_weight};
    scoring->model = call_model(model);
    scoring->non_finite = (enum non_finite)data->non_finite;
    scoring->turn = call_turn(run);
    TRY(call_matrix(data, &matrix, error));
    const struct embedded_work work =
        call_work(&matrix, data->sample_weight, scoring->model->n_clusters, 2);
    TRY(call_run(run, &work, score_on, scoring, error));
out:
    matrix_release(&matrix);
    return status;
}

int bary_predict(const struct bary_model *model, const struct bary_data *data,
                 const struct bary_run *run, int32_t *labels, double *distances,
                 struct bary_error *error)
{
    struct scoring scoring = {.labels = labels, .distances = distances};
    struct error inner;

    return call_end(score_call(model, data, run, &scoring, &inner), &inner, error);
}

int bary_inertia(const struct bary_model *model, const struct bary_data *data,
                 const struct bary_run *run, double *inertia, double *per_cluster,
                 struct bary_error *error)
{
    struct inertia_result found = {.per_cluster = per_cluster};
    struct scoring scoring = {.found = &found};
    struct error inner;
    enum status status = score_call(model, data, run, &scoring, &inner);

    if (status == STATUS_OK)
        *inertia = found.inertia;
    return call_end(status, &inner, error);
}
