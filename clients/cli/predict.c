/* predict.c - bary predict: labels and distances of rows under a model, here or on the server. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/cli/local.h"
#include "clients/cli/remote.h"
#include "host/cluster/score.h"
#include "proto/limits.h"

/* Lives in command_predict. */
struct prediction {
    const struct arguments *arguments;
    struct array x;
    int64_t rows, clusters; /* clusters 0: not known yet */
    int64_t rows_done;
    int32_t *labels; /* malloc'ed, when they are asked for */
    double *distances;
    Bary__V1__PredictResponse *last; /* the reply that carries the report */
    struct progress_line progress;
    struct baryc_error *error;
    bool failed; /* the reader gave up; *error says why */
};

static int no_memory(struct baryc_error *error, double bytes)
{
    struct error why = {0};

    FAIL(&why, OUT_OF_MEMORY, TEXT("what", "the prediction"), REAL("needed", bytes),
         INT("retry_ms", 1000));
    return error_of_host(&why, error);
}

/* Room for what is asked for, once rows and clusters are known. */
static int make_room(struct prediction *prediction, struct baryc_error *error)
{
    size_t rows = (size_t)prediction->rows, cells;
    bool labels = flag_given(prediction->arguments, FLAG_LABELS);
    bool distances = flag_given(prediction->arguments, FLAG_DISTANCES);

    if (labels && !prediction->labels)
        prediction->labels = calloc(rows + 1, sizeof *prediction->labels);
    if (distances && !prediction->distances &&
        !__builtin_mul_overflow(rows, (size_t)prediction->clusters, &cells))
        prediction->distances = calloc(cells + 1, sizeof *prediction->distances);
    if ((labels && !prediction->labels) || (distances && !prediction->distances))
        return no_memory(error, (double)rows * (4 + 8 * (double)prediction->clusters));
    return 0;
}

static int bad_reply(struct prediction *prediction)
{
    struct error why = {0};
    char found[64], expected[64];

    snprintf(found, sizeof found, "rows out of order after row %" PRId64, prediction->rows_done);
    snprintf(expected, sizeof expected, "the labels of %" PRId64 " rows", prediction->rows);
    FAIL(&why, SHAPE_MISMATCH, TEXT("what", "the server's answer"), TEXT("found", found),
         TEXT("expected", expected));
    prediction->failed = true;
    return error_of_host(&why, prediction->error);
}

/* Copies one reply's arrays to their rows. */
static int take_reply(struct prediction *prediction, const Bary__V1__PredictResponse *reply)
{
    size_t rows = (size_t)reply->rows;

    if (reply->first_row != prediction->rows_done || reply->rows < 0 ||
        reply->rows > prediction->rows - prediction->rows_done)
        return bad_reply(prediction);
    if (prediction->clusters == 0 && reply->distances)
        prediction->clusters = reply->distances->columns;
    if (make_room(prediction, prediction->error) != 0) {
        prediction->failed = true;
        return prediction->error->code;
    }
    size_t width = (size_t)prediction->clusters;
    if (prediction->labels && rows > 0) {
        if (!reply->labels || reply->labels->data.len != rows * sizeof(int32_t))
            return bad_reply(prediction);
        memcpy(prediction->labels + reply->first_row, reply->labels->data.data,
               rows * sizeof(int32_t));
    }
    if (prediction->distances && rows > 0) {
        if (!reply->distances || reply->distances->data.len != rows * width * sizeof(double))
            return bad_reply(prediction);
        memcpy(prediction->distances + (size_t)reply->first_row * width,
               reply->distances->data.data, rows * width * sizeof(double));
    }
    prediction->rows_done += reply->rows;
    progress_rows(&prediction->progress, "predicted", prediction->rows_done, prediction->rows);
    return 0;
}

static void keep_report(struct prediction *prediction, const Bary__V1__PredictResponse *reply)
{
    Bary__V1__PredictResponse bare = BARY__V1__PREDICT_RESPONSE__INIT;
    uint8_t *packed;

    if (!reply->report)
        return;
    bare.report = reply->report;
    size_t bytes = bary__v1__predict_response__get_packed_size(&bare);
    packed = malloc(bytes + 1);
    if (!packed)
        return; /* only the summary lacks it */
    bary__v1__predict_response__pack(&bare, packed);
    baryc_free(prediction->last);
    prediction->last = bary__v1__predict_response__unpack(NULL, bytes, packed);
    free(packed);
}

static bool on_reply(void *context, const Bary__V1__PredictResponse *reply)
{
    struct prediction *prediction = context;

    keep_report(prediction, reply);
    return take_reply(prediction, reply) != 0;
}

/* The parts of a request; lives in predict_remote. */
struct query {
    Bary__V1__PredictRequest request;
    Bary__V1__ModelRef model;
    Bary__V1__Source source;
    Bary__V1__Matrix rows, centers;
    Bary__V1__DatasetRef rows_dataset, centers_dataset;
    Bary__V1__Placement placement;
    struct model *file; /* of --model FILE */
    char *centers_name; /* a dataset to delete afterwards */
};

/* A model file's centers travel in the request, or as a dataset when they are many. */
static int use_model_file(struct baryc *connection, const char *path, struct query *query,
                          struct baryc_error *error)
{
    Bary__V1__Dataset *dataset = NULL;
    int code = model_open(path, &query->file, error);

    if (code != 0)
        return code;
    size_t bytes = (size_t)query->file->n_clusters * (size_t)query->file->columns * sizeof(double);
    query->centers = (Bary__V1__Matrix)BARY__V1__MATRIX__INIT;
    query->centers.dtype = BARY__V1__DTYPE__DTYPE_F64;
    query->centers.rows = query->file->n_clusters;
    query->centers.columns = query->file->columns;
    query->centers.data.data = (uint8_t *)query->file->centers;
    query->centers.data.len = bytes;
    query->model.model_case = BARY__V1__MODEL_REF__MODEL_CENTERS;
    query->model.centers = &query->centers;
    if (bytes <= INLINE_BYTES_MAX)
        return 0;
    struct baryc_column column = {"centers", BARY__V1__DTYPE__DTYPE_F64, query->file->columns,
                                  query->file->centers};
    struct baryc_upload what = {
        .column = &column, .columns = 1, .rows = query->file->n_clusters, .ttl_s = 900};
    code = baryc_upload(connection, &what, &stoppable, &dataset, error);
    if (code != 0)
        return code;
    query->centers_name = strdup(dataset->name);
    baryc_free(dataset);
    query->centers_dataset = (Bary__V1__DatasetRef)BARY__V1__DATASET_REF__INIT;
    query->centers_dataset.name = query->centers_name;
    query->model.model_case = BARY__V1__MODEL_REF__MODEL_DATASET;
    query->model.dataset = &query->centers_dataset;
    return 0;
}

static int use_model(struct baryc *connection, const char *name, struct query *query,
                     struct baryc_error *error)
{
    query->model = (Bary__V1__ModelRef)BARY__V1__MODEL_REF__INIT;
    query->request.model = &query->model;
    if (model_is_file(name))
        return use_model_file(connection, name, query, error);
    query->model.model_case = BARY__V1__MODEL_REF__MODEL_NAME;
    query->model.name = baryc_borrow(name);
    return 0;
}

/* Rows of a dataset are counted by the server. */
static int count_rows(struct baryc *connection, const char *name, int64_t *out,
                      struct baryc_error *error)
{
    Bary__V1__GetDatasetRequest request = BARY__V1__GET_DATASET_REQUEST__INIT;
    Bary__V1__Dataset *dataset = NULL;

    request.name = baryc_borrow(name);
    int code = baryc_dataset_get(connection, &request, &stoppable, &dataset, error);
    if (code == 0)
        *out = dataset->rows;
    baryc_free(dataset);
    return code;
}

static int use_rows(struct baryc *connection, struct prediction *prediction, struct query *query,
                    struct baryc_error *error)
{
    const char *dataset = flag_text(prediction->arguments, FLAG_DATASET);

    query->source = (Bary__V1__Source)BARY__V1__SOURCE__INIT;
    query->request.source = &query->source;
    if (dataset) {
        query->rows_dataset = (Bary__V1__DatasetRef)BARY__V1__DATASET_REF__INIT;
        query->rows_dataset.name = baryc_borrow(dataset);
        query->source.source_case = BARY__V1__SOURCE__SOURCE_DATASET;
        query->source.dataset = &query->rows_dataset;
        return count_rows(connection, dataset, &prediction->rows, error);
    }
    int code = array_load(&prediction->x, error);
    if (code != 0)
        return code;
    array_message(&prediction->x, &query->rows);
    query->source.source_case = BARY__V1__SOURCE__SOURCE_MATRIX;
    query->source.matrix = &query->rows;
    prediction->rows = array_rows(&prediction->x);
    return 0;
}

static int ask(struct baryc *connection, struct prediction *prediction, struct query *query,
               struct baryc_error *error)
{
    const struct arguments *arguments = prediction->arguments;

    query->request = (Bary__V1__PredictRequest)BARY__V1__PREDICT_REQUEST__INIT;
    query->request.non_finite = (Bary__V1__NonFinite)flag_integer(arguments, FLAG_NON_FINITE, 0);
    query->request.no_labels = !flag_given(arguments, FLAG_LABELS);
    query->request.distances = flag_given(arguments, FLAG_DISTANCES);
    read_placement(arguments, &query->placement);
    query->request.placement = &query->placement;
    int code = use_model(connection, flag_text(arguments, FLAG_USE_MODEL), query, error);
    if (code == 0)
        code = use_rows(connection, prediction, query, error);
    if (code != 0)
        return code;
    prediction->error = error;
    struct baryc_error failure = {0};
    code = baryc_predict_stream(connection, &query->request, &stoppable, on_reply, prediction,
                                &failure);
    if (prediction->failed)
        return error->code;
    if (code != 0)
        *error = failure;
    else if (prediction->rows_done != prediction->rows)
        return bad_reply(prediction);
    return code;
}

static int predict_remote(struct prediction *prediction, struct baryc_error *error)
{
    struct baryc *connection = NULL;
    struct query query = {0};
    int code = open_server(prediction->arguments, &connection, error);

    if (code != 0)
        return code;
    code = ask(connection, prediction, &query, error);
    drop_dataset(connection, &query.centers_name);
    if (query.file)
        model_unpin(&query.file);
    baryc_disconnect(&connection);
    return code;
}

/* A prediction on whatever device it is done. */
struct scoring {
    struct prediction *prediction;
    const struct matrix *rows;
    const struct model *model;
    const struct turn *turn;
};

static enum status score_on(const struct embedded *device, void *context, struct error *error)
{
    const struct scoring *scoring = context;
    struct prediction *prediction = scoring->prediction;
    const struct fit_input input = {
        .name = prediction->x.path, .matrix = scoring->rows, .residency = device->residency};

    return score_predict(device->backend, device->device, &input, scoring->model,
                         (enum non_finite)flag_integer(prediction->arguments, FLAG_NON_FINITE, 0),
                         scoring->turn, prediction->labels, prediction->distances, error);
}

static int score(struct prediction *prediction, struct local *local, const struct model *model,
                 struct baryc_error *error)
{
    struct selection all = {0};
    struct matrix rows = {0};
    struct error why = {0};
    enum status status;

    TRY(matrix_select(prediction->x.table, &all, &rows, &why));
    const struct embedded_work work = {.shape = {.rows = rows.rows,
                                                 .columns = rows.columns,
                                                 .clusters = model->n_clusters,
                                                 .number = rows.number},
                                       .passes = 2};
    struct scoring scoring = {prediction, &rows, model, &local->turn};
    TRY(local_run(local, &work, score_on, &scoring, &why));
    prediction->rows_done = prediction->rows;
out:
    matrix_release(&rows);
    return status == STATUS_OK ? 0 : error_of_host(&why, error);
}

static void keep_local_report(struct prediction *prediction, struct local *local)
{
    Bary__V1__PredictResponse reply = BARY__V1__PREDICT_RESPONSE__INIT;
    Bary__V1__Report report;

    local_report(local, &report);
    reply.report = &report;
    keep_report(prediction, &reply);
}

static int predict_local(struct prediction *prediction, struct baryc_error *error)
{
    struct local local = {0};
    struct model *model = NULL;
    int code = model_open(flag_text(prediction->arguments, FLAG_USE_MODEL), &model, error);

    if (code == 0)
        code = array_load(&prediction->x, error);
    if (code == 0) {
        prediction->rows = array_rows(&prediction->x);
        prediction->clusters = model->n_clusters;
        code = make_room(prediction, error);
    }
    if (code == 0)
        local_init(prediction->arguments, &prediction->progress, &local);
    if (code == 0) {
        local.predicting = true;
        code = score(prediction, &local, model, error);
    }
    if (code == 0)
        keep_local_report(prediction, &local);
    local_close(&local);
    if (model)
        model_unpin(&model);
    return code;
}

static int write_outputs(const struct prediction *prediction, struct baryc_error *error)
{
    const char *labels = flag_text(prediction->arguments, FLAG_LABELS);
    const char *distances = flag_text(prediction->arguments, FLAG_DISTANCES);
    int code = 0;

    if (labels)
        code = output_write(labels, DTYPE_I32, prediction->rows, 0, prediction->labels, error);
    if (code == 0 && distances)
        code = output_write(distances, DTYPE_F64, prediction->rows, prediction->clusters,
                            prediction->distances, error);
    return code;
}

static void tell(const struct prediction *prediction)
{
    Bary__V1__PredictResponse answer = BARY__V1__PREDICT_RESPONSE__INIT;
    const char *labels = flag_text(prediction->arguments, FLAG_LABELS);
    const char *distances = flag_text(prediction->arguments, FLAG_DISTANCES);
    const char *files[5] = {NULL};
    int used = 0;
    char time[32];

    if (labels)
        files[used++] = "labels", files[used++] = labels;
    if (distances)
        files[used++] = "distances", files[used++] = distances;
    answer.rows = prediction->rows;
    if (prediction->last)
        answer.report = prediction->last->report;
    if (flag_given(prediction->arguments, FLAG_JSON)) {
        say_json(&answer.base, files);
        return;
    }
    printf("%-13s %" PRId64 "\n", "rows", prediction->rows);
    for (int i = 0; i < used; i += 2)
        printf("%-13s %s\n", files[i], files[i + 1]);
    if (answer.report)
        printf("%-13s %s\n%-13s %s\n", "device", answer.report->device, "time",
               say_time(answer.report->compute_ns, time));
}

static int check_flags(const struct arguments *arguments)
{
    bool local = flag_given(arguments, FLAG_LOCAL), dataset = flag_given(arguments, FLAG_DATASET);

    if (!flag_given(arguments, FLAG_USE_MODEL))
        return complain(EXIT_USAGE, "bary predict needs --model %s",
                        flags[FLAG_USE_MODEL].argument);
    if (!flag_given(arguments, FLAG_LABELS) && !flag_given(arguments, FLAG_DISTANCES))
        return complain(EXIT_USAGE, "bary predict needs --labels OUT.npy or --distances OUT.npy");
    if (arguments->count == 0 && !dataset)
        return complain(EXIT_USAGE, "bary predict needs a file: bary predict X.npy");
    if (arguments->count > 0 && dataset)
        return complain(EXIT_USAGE, "give a file or --dataset, not both");
    if (local && (dataset || flag_given(arguments, FLAG_ADDRESS)))
        return complain(EXIT_USAGE, "--local and --%s do not go together",
                        dataset ? "dataset" : "address");
    return EXIT_DONE;
}

static int predict(struct prediction *prediction, struct baryc_error *error)
{
    const struct arguments *arguments = prediction->arguments;
    int code = output_check(flag_text(arguments, FLAG_LABELS), error);

    if (code == 0)
        code = output_check(flag_text(arguments, FLAG_DISTANCES), error);
    if (code == 0 && arguments->count > 0)
        code = array_open(arguments->positional[0], &prediction->x, error);
    if (code == 0)
        code = flag_given(arguments, FLAG_LOCAL) ? predict_local(prediction, error)
                                                 : predict_remote(prediction, error);
    progress_end(&prediction->progress);
    if (code == 0)
        code = write_outputs(prediction, error);
    return code;
}

int command_predict(const struct arguments *arguments)
{
    struct prediction prediction = {.arguments = arguments};
    struct baryc_error error = {0};
    int status = check_flags(arguments);

    if (status != EXIT_DONE)
        return status;
    stop_install();
    progress_start(&prediction.progress, flag_given(arguments, FLAG_PROGRESS));
    if (predict(&prediction, &error) == 0)
        tell(&prediction);
    else
        status = complain_error(&error, flag_given(arguments, FLAG_JSON));
    baryc_free(prediction.last);
    free(prediction.labels);
    free(prediction.distances);
    array_close(&prediction.x);
    return status;
}
