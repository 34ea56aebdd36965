/* fit_remote.c - a fit on the server: rows inline when they are few, else as a dataset that goes
 * away with the fit. */
#include <stdlib.h>
#include <string.h>

#include "clients/cli/fit.h"
#include "clients/cli/remote.h"
#include "proto/limits.h"

/* Of a problem in an answer, at most, beside its centers and labels. */
enum { PROBLEM_BYTES = 1024 };

static void use_dataset(struct fit_order *order, const char *name)
{
    order->x_dataset = (Bary__V1__DatasetRef)BARY__V1__DATASET_REF__INIT;
    order->x_dataset.name = baryc_borrow(name);
    order->source.source_case = BARY__V1__SOURCE__SOURCE_DATASET;
    order->source.dataset = &order->x_dataset;
}

static void use_weight_values(struct fit_order *order)
{
    order->weights = (Bary__V1__Weights)BARY__V1__WEIGHTS__INIT;
    array_message(&order->weight, &order->weight_values);
    order->weight_values.columns = 0;
    order->weights.weights_case = BARY__V1__WEIGHTS__WEIGHTS_VALUES;
    order->weights.values = &order->weight_values;
    order->request.sample_weight = &order->weights;
}

static void use_weight_column(struct fit_order *order)
{
    order->weights = (Bary__V1__Weights)BARY__V1__WEIGHTS__INIT;
    order->weights.weights_case = BARY__V1__WEIGHTS__WEIGHTS_COLUMN;
    order->weights.column = baryc_borrow("sample_weight");
    order->request.sample_weight = &order->weights;
}

/* Centers that no message holds travel as a dataset. */
static int place_init(struct fit_order *order, struct baryc *connection, size_t room,
                      struct placed *placed, struct baryc_error *error)
{
    struct array none = {0};

    if (!order->init.path)
        return 0;
    if (array_bytes(&order->init) <= room) {
        array_message(&order->init, &order->init_values);
        order->request.init_centers = &order->init_values;
        return 0;
    }
    int code = upload_array(connection, &order->init, &none, NULL, 0, &order->progress,
                            &placed->init, error);
    if (code != 0)
        return code;
    order->init_dataset = (Bary__V1__DatasetRef)BARY__V1__DATASET_REF__INIT;
    order->init_dataset.name = placed->init;
    order->request.init_dataset = &order->init_dataset;
    return 0;
}

static int place_upload(struct fit_order *order, struct baryc *connection, struct placed *placed,
                        struct baryc_error *error)
{
    const char *keep = flag_text(order->arguments, FLAG_KEEP_DATASET);
    int code = upload_array(connection, &order->x, &order->weight, keep, 0, &order->progress,
                            &placed->x, error);

    if (code != 0)
        return code;
    use_dataset(order, placed->x);
    if (order->weight.path)
        use_weight_column(order);
    return place_init(order, connection, INLINE_BYTES_MAX, placed, error);
}

/* A fit of inline rows is gone when it is answered, so its answer must hold all there is to fetch. */
static bool answer_is_small(const struct fit_order *order)
{
    double labels = 4 * (double)order->x.header.rows;
    double problems = order->problems > 0 ? (double)order->problems : 1;
    double centers = 8 * (double)order->request.n_clusters * (double)order->x.header.columns;

    return labels + problems * (centers + PROBLEM_BYTES) <= INLINE_BYTES_MAX;
}

int fit_place(struct fit_order *order, struct baryc *connection, struct placed *placed,
              struct baryc_error *error)
{
    const char *dataset = flag_text(order->arguments, FLAG_DATASET);
    size_t small = array_bytes(&order->weight);

    order->source = (Bary__V1__Source)BARY__V1__SOURCE__INIT;
    order->request.source = &order->source;
    if (dataset) {
        use_dataset(order, dataset);
        if (order->weight.path)
            use_weight_values(order);
        return place_init(order, connection,
                          small < INLINE_BYTES_MAX ? INLINE_BYTES_MAX - small : 0, placed, error);
    }
    small += array_bytes(&order->x) + array_bytes(&order->init);
    if (small > INLINE_BYTES_MAX || !answer_is_small(order) ||
        flag_given(order->arguments, FLAG_KEEP_DATASET))
        return place_upload(order, connection, placed, error);
    int code = array_load(&order->x, error);
    if (code != 0)
        return code;
    array_message(&order->x, &order->x_values);
    order->source.source_case = BARY__V1__SOURCE__SOURCE_MATRIX;
    order->source.matrix = &order->x_values;
    if (order->weight.path)
        use_weight_values(order);
    return place_init(order, connection, INLINE_BYTES_MAX, placed, error);
}

bool fit_progress(void *context, const Bary__V1__Job *job)
{
    struct fit_order *order = context;

    progress_job(&order->progress, job);
    return stop_asked(NULL);
}

static int submit(struct fit_order *order, struct baryc *connection, struct fitted *out,
                  struct baryc_error *error)
{
    char id[37];

    if (!flag_given(order->arguments, FLAG_DETACH))
        return baryc_fit_wait(connection, &order->request, NULL, fit_progress, order, &out->job,
                              error);
    baryc_uuid(id);
    order->options.request_id = id;
    return baryc_fit(connection, &order->request, &stoppable, &out->job, error);
}

/* Copies an array out of the job's message, or reads it when the message left it out. */
static int fetch(struct baryc *connection, const Bary__V1__Job *job, Bary__V1__JobArray array,
                 const Bary__V1__Matrix *held, size_t bytes, void **out, struct baryc_error *error)
{
    struct error why = {0};
    void *values = malloc(bytes > 0 ? bytes : 1);
    int code = 0;

    if (!values) {
        FAIL(&why, OUT_OF_MEMORY, TEXT("what", "the result"), INT("needed", bytes),
             INT("retry_ms", 1000));
        return error_of_host(&why, error);
    }
    if (held && held->data.len == bytes)
        memcpy(values, held->data.data, bytes);
    else
        code = baryc_job_read(connection, job->name, array, values, bytes, &stoppable, error);
    if (code == 0)
        *out = values;
    else
        free(values);
    return code;
}

bool job_arrays(const Bary__V1__Job *job, struct job_arrays *out)
{
    const Bary__V1__FitResult *fit = job->fit;
    const Bary__V1__FitBatchResult *batch = job->batch;

    if (job->result_case == BARY__V1__JOB__RESULT_FIT) {
        *out = (struct job_arrays){fit->rows, fit->n_clusters, fit->columns, fit->labels,
                                   fit->cluster_centers};
        return true;
    }
    if (job->result_case != BARY__V1__JOB__RESULT_BATCH || batch->n_center_offsets == 0)
        return false;
    *out = (struct job_arrays){batch->rows, batch->center_offsets[batch->n_center_offsets - 1],
                               batch->columns, batch->labels, batch->cluster_centers};
    return true;
}

int fetch_labels(struct baryc *connection, const Bary__V1__Job *job, int32_t **out,
                 struct baryc_error *error)
{
    struct job_arrays arrays = {0};
    void *values = NULL;

    job_arrays(job, &arrays);
    int code = fetch(connection, job, BARY__V1__JOB_ARRAY__JOB_ARRAY_LABELS, arrays.labels,
                     (size_t)arrays.rows * sizeof **out, &values, error);
    *out = values;
    return code;
}

int fetch_centers(struct baryc *connection, const Bary__V1__Job *job, double **out,
                  struct baryc_error *error)
{
    struct job_arrays arrays = {0};
    void *values = NULL;

    job_arrays(job, &arrays);
    int code =
        fetch(connection, job, BARY__V1__JOB_ARRAY__JOB_ARRAY_CLUSTER_CENTERS, arrays.values,
              (size_t)arrays.centers * (size_t)arrays.columns * sizeof **out, &values, error);
    *out = values;
    return code;
}

int fit_remote(struct fit_order *order, struct fitted *out, struct baryc_error *error)
{
    struct baryc *connection = NULL;
    struct placed placed = {0};
    int code = open_server(order->arguments, &connection, error);

    if (code != 0)
        return code;
    code = fit_place(order, connection, &placed, error);
    if (code == 0)
        code = submit(order, connection, out, error);
    if (code == 0 && flag_given(order->arguments, FLAG_LABELS))
        code = fetch_labels(connection, out->job, &out->labels, error);
    if (code == 0 && flag_given(order->arguments, FLAG_CENTERS))
        code = fetch_centers(connection, out->job, &out->centers, error);
    if (flag_given(order->arguments, FLAG_KEEP_DATASET)) {
        free(placed.x);
        placed.x = NULL;
    }
    drop_dataset(connection, &placed.x);
    drop_dataset(connection, &placed.init);
    baryc_disconnect(&connection);
    return code;
}
