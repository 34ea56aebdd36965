/* convert_fit.c - what a client asks to be computed: options, placement, model, and a whole fit. */
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "rpc/convert.h"
#include "rpc/names.h"

enum { THREADS_MAX = 4096 };
static const int64_t MAX_ITER_DEFAULT = 300;
static const double TOL_DEFAULT = 1e-4;

enum status placement_take(const Bary__V1__Placement *placement, struct job_request *request,
                           struct error *error)
{
    enum status status;

    request->placement = (struct placement){.device = -1};
    if (!placement)
        return STATUS_OK;
    TRY(enum_check("placement.backend", &bary__v1__backend__descriptor, (int)placement->backend,
                   true, error));
    if (placement->device && placement->device->value < 0)
        return FAIL(error, OUT_OF_RANGE, TEXT("what", "placement.device"),
                    INT("value", placement->device->value), TEXT("limit", "at least 0"));
    if (placement->threads < 0 || placement->threads > THREADS_MAX)
        return FAIL(error, OUT_OF_RANGE, TEXT("what", "placement.threads"),
                    INT("value", placement->threads), TEXT("limit", "0 to 4096 (0: all)"));
    request->placement =
        (struct placement){.backend = (enum placement_backend)placement->backend,
                           .device = placement->device ? placement->device->value : -1,
                           .forbid_fallback = placement->forbid_fallback != 0,
                           .threads = placement->threads};
out:
    return status;
}

static enum status tags_take(const Bary__V1__RunOptions *options, struct job_request *request,
                             struct error *error)
{
    enum status status = STATUS_OK;

    if (options->n_tags > TAGS_MAX)
        return FAIL(error, OUT_OF_RANGE, TEXT("what", "the number of options.tags"),
                    INT("value", options->n_tags), TEXT("limit", "at most 16"));
    for (size_t i = 0; i < options->n_tags; i++) {
        if (options->tags[i][0] == '\0')
            return FAIL(error, OUT_OF_RANGE, TEXT("what", "the length of options.tags"),
                        INT("value", 0), TEXT("limit", "1 to 63 bytes"));
        TRY(text_take("options.tags", options->tags[i], request->tags[i], sizeof request->tags[i],
                      error));
        request->tag_count++;
    }
out:
    return status;
}

enum status options_take(const Bary__V1__RunOptions *options, struct job_request *request,
                         int64_t *wait_ns, struct error *error)
{
    int64_t max_runtime_ns;
    enum status status;

    *wait_ns = 0;
    if (!options)
        return STATUS_OK;
    TRY(request_id_check(options->request_id, request->request_id, error));
    TRY(duration_ns("options.wait", options->wait, wait_ns, error));
    TRY(duration_ns("options.max_runtime", options->max_runtime, &max_runtime_ns, error));
    request->max_runtime_ms = (max_runtime_ns + 999999) / 1000000;
    TRY(tags_take(options, request, error));
out:
    return status;
}

static enum status model_of_matrix(const Bary__V1__Matrix *matrix, struct model **out,
                                   struct error *error)
{
    enum number number = matrix->dtype == BARY__V1__DTYPE__DTYPE_F32 ? NUMBER_F32 : NUMBER_F64;
    double *centers = NULL;
    enum status status;

    TRY(matrix_doubles("model.centers", matrix, &centers, error));
    TRY(model_of_centers(centers, matrix->rows, matrix->columns ? matrix->columns : 1, number, out,
                         error));
out:
    memory_free(centers);
    return status;
}

static enum status model_of_dataset(struct service *service, const struct principal *principal,
                                    const Bary__V1__DatasetRef *reference, struct model **out,
                                    struct error *error)
{
    double *centers = NULL;
    int64_t rows, columns;
    enum number number;
    enum status status;

    TRY(dataset_doubles(service, principal, "model.dataset", reference, &centers, &rows, &columns,
                        &number, error));
    if (rows > CLUSTERS_MAX)
        TRY(FAIL(error, OUT_OF_RANGE, TEXT("what", "the number of rows of model.dataset"),
                 INT("value", rows), TEXT("limit", "at most 1048576")));
    TRY(model_of_centers(centers, rows, columns, number, out, error));
out:
    memory_free(centers);
    return status;
}

static enum status model_of_name(struct service *service, const struct principal *principal,
                                 const char *given, struct model **out, struct error *error)
{
    struct model_view view = {0};
    int64_t version = 0;
    char id[64];
    enum status status;

    TRY(name_parse(principal, THING_MODEL, given, id, &version, error));
    TRY(model_get(service->catalog, id, version, &view, error));
    *out = view.model;
    view.model = NULL; /* its pin is ours now */
out:
    model_view_free(&view);
    return status;
}

enum status model_take(struct service *service, const struct principal *principal,
                       const Bary__V1__ModelRef *reference, struct model **out, struct error *error)
{
    if (reference && reference->model_case == BARY__V1__MODEL_REF__MODEL_NAME)
        return model_of_name(service, principal, reference->name, out, error);
    if (reference && reference->model_case == BARY__V1__MODEL_REF__MODEL_CENTERS)
        return model_of_matrix(reference->centers, out, error);
    if (reference && reference->model_case == BARY__V1__MODEL_REF__MODEL_DATASET)
        return model_of_dataset(service, principal, reference->dataset, out, error);
    return FAIL(error, MISSING, TEXT("what", "model"),
                TEXT("why", "it is one of name, centers and dataset"));
}

static enum status centers_take(struct service *service, const struct principal *principal,
                                const Bary__V1__FitRequest *fit, struct job_request *request,
                                struct error *error)
{
    double *centers = NULL;
    enum number number;
    enum status status = STATUS_OK;

    if (fit->init_centers && fit->init_dataset)
        return FAIL(error, OUT_OF_RANGE, TEXT("what", "init_centers"),
                    TEXT("value", "given beside init_dataset"), TEXT("limit", "one of the two"));
    if (fit->init_centers) {
        TRY(matrix_doubles("init_centers", fit->init_centers, &centers, error));
        request->init_rows = fit->init_centers->rows;
        request->init_columns = fit->init_centers->columns ? fit->init_centers->columns : 1;
    } else if (fit->init_dataset) {
        TRY(dataset_doubles(service, principal, "init_dataset", fit->init_dataset, &centers,
                            &request->init_rows, &request->init_columns, &number, error));
    }
    request->params.init_centers = centers;
out:
    return status;
}

static enum status random_take(const Google__Protobuf__UInt64Value *given, uint64_t *out,
                               struct error *error)
{
    if (given) {
        *out = given->value;
        return STATUS_OK;
    }
    if (getrandom(out, sizeof *out, 0) != sizeof *out)
        return FAIL(error, IO, TEXT("what", "draw a random_state"),
                    TEXT("why", "getrandom failed"));
    *out >>= 32; /* a number that people can type, and scikit-learn takes */
    return STATUS_OK;
}

static enum status enums_check(const Bary__V1__FitRequest *fit, struct error *error)
{
    const struct {
        const char *what;
        const ProtobufCEnumDescriptor *descriptor;
        int value;
    } rows[] = {
        {"init", &bary__v1__init__descriptor, (int)fit->init},
        {"algorithm", &bary__v1__algorithm__descriptor, (int)fit->algorithm},
        {"non_finite", &bary__v1__non_finite__descriptor, (int)fit->non_finite},
        {"empty_clusters", &bary__v1__empty_clusters__descriptor, (int)fit->empty_clusters},
    };
    enum status status = STATUS_OK;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        TRY(enum_check(rows[i].what, rows[i].descriptor, rows[i].value, true, error));
out:
    return status;
}

static enum status params_take(const Bary__V1__FitRequest *fit, struct kmeans_params *params,
                               struct error *error)
{
    enum status status;

    TRY(enums_check(fit, error));
    params->n_clusters = fit->n_clusters;
    params->init = (enum init)fit->init;
    params->n_init = fit->n_init;
    params->max_iter = fit->max_iter == 0 ? MAX_ITER_DEFAULT : fit->max_iter;
    params->tol = fit->tol ? fit->tol->value : TOL_DEFAULT;
    params->fixed_rounds = fit->fixed_rounds != 0;
    params->algorithm = (enum algorithm)fit->algorithm;
    params->non_finite = (enum non_finite)fit->non_finite;
    params->empty_clusters = (enum empty_clusters)fit->empty_clusters;
    params->history = fit->history != 0;
    TRY(random_take(fit->random_state, &params->random_state, error));
    TRY(kmeans_check(params, error));
out:
    return status;
}

static enum status keep_take(const struct principal *principal, const char *given,
                             struct job_request *request, struct error *error)
{
    char id[64] = "";
    int64_t version = 0;

    if (given[0] == '\0')
        return STATUS_OK;
    /* A name to be made: what cannot be one is out of range, not absent. */
    if (name_parse(principal, THING_MODEL, given, id, &version, error) != STATUS_OK ||
        version != 0 || strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789._-") != strlen(id) ||
        strchr("._-", id[0]))
        return FAIL(error, OUT_OF_RANGE, TEXT("what", "model"), TEXT("value", given),
                    TEXT("limit", "[a-z0-9][a-z0-9._-]{0,62}"));
    memcpy(request->keep_model, id, sizeof id);
    return STATUS_OK;
}

/* Given centers must be as many as clusters, and as wide as the data. */
static enum status centers_check(const struct job_request *request, struct error *error)
{
    int64_t width = source_width(request);
    bool wide = request->init_columns != width;
    char found[64], expected[64];

    if (!request->params.init_centers ||
        (!wide && request->init_rows == request->params.n_clusters))
        return STATUS_OK;
    snprintf(found, sizeof found, "%lld %s",
             (long long)(wide ? request->init_columns : request->init_rows),
             wide ? "columns" : "rows");
    snprintf(expected, sizeof expected, "%lld, as %s",
             (long long)(wide ? width : request->params.n_clusters),
             wide ? "the data has" : "n_clusters says");
    return FAIL(error, SHAPE_MISMATCH, TEXT("what", "init_centers"), TEXT("found", found),
                TEXT("expected", expected));
}

/* Waited for, inline, not kept, and its answer fits: nobody needs its name. */
static bool ephemeral(const struct job_request *request, bool inline_, int64_t wait_ns)
{
    int64_t width = source_width(request), rows = request->table->rows;
    int64_t centers = request->params.n_clusters * width * (int64_t)sizeof(double);

    return inline_ && wait_ns > 0 && request->keep_model[0] == '\0' &&
           centers + (request->no_labels ? 0 : rows * (int64_t)sizeof(int32_t)) <= INLINE_BYTES_MAX;
}

enum status fit_params_take(struct service *service, const struct principal *principal,
                            const Bary__V1__FitRequest *fit, struct job_request *request,
                            struct error *error)
{
    enum status status;

    TRY(centers_take(service, principal, fit, request, error));
    TRY(params_take(fit, &request->params, error));
out:
    return status;
}

enum status fit_take(struct service *service, const struct principal *principal,
                     const Bary__V1__FitRequest *fit, struct job_request *request, int64_t *wait_ns,
                     struct error *error)
{
    bool inline_;
    enum status status;

    request->kind = JOB_FIT;
    TRY(options_take(fit->options, request, wait_ns, error));
    TRY(placement_take(fit->placement, request, error));
    TRY(fit_params_take(service, principal, fit, request, error));
    TRY(keep_take(principal, fit->model, request, error));
    TRY(weights_take(fit->sample_weight, request, error));
    TRY(source_take(service, principal, fit->source, request, &inline_, error));
    TRY(centers_check(request, error));
    request->non_finite = request->params.non_finite;
    request->no_labels = fit->no_labels != 0;
    request->ephemeral = ephemeral(request, inline_, *wait_ns);
out:
    return status;
}
