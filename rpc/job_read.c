/* job_read.c - Read: a finished fit's or batch's arrays in chunks that lie in the job's own memory. */
#include <stdio.h>

#include "bary/v1/job_service.pb-c.h"
#include "rpc/answer.h"
#include "rpc/convert.h"
#include "rpc/method.h"
#include "rpc/names.h"

struct reading {
    struct answer answer;
    Bary__V1__JobArray array;
    int64_t next, rows, width; /* of the array; width 0: a vector */
    Bary__V1__DType dtype;
    int64_t row_bytes;
    const char *values;
};

static void message(struct call *call, const void *in)
{
    const Bary__V1__ReadJobRequest *request = in;
    struct reading *reading = call_state(call);
    struct error error;
    enum status status;
    char id[64];

    TRY(name_parse(call_principal(call), THING_JOB, request->name, id, NULL, &error));
    TRY(enum_check("array", &bary__v1__job_array__descriptor, (int)request->array, false, &error));
    if (request->first_row < 0)
        TRY(FAIL(&error, OUT_OF_RANGE, TEXT("what", "first_row"), INT("value", request->first_row),
                 TEXT("limit", "at least 0")));
    reading->array = request->array;
    reading->next = request->first_row;
    answer_expect(&reading->answer, call);
    job_get(call_service(call)->dispatcher, id, answer_take, &reading->answer);
    return;
out:
    call_fail(call, &error);
}

/* What a fit and a batch leave: the same arrays. */
struct arrays {
    int64_t rows, centers, columns;
    const int32_t *labels;
    const double *values;
    const int64_t *sizes;
};

static struct arrays arrays_of(const struct job_view *view)
{
    const struct kmeans_result *fit = &view->result->fit;
    const struct batch_result *batch = &view->result->batch;

    if (view->kind == JOB_FIT)
        return (struct arrays){fit->rows,   fit->n_clusters, fit->columns,
                               fit->labels, fit->centers,    fit->sizes};
    return (struct arrays){batch->rows,    batch->center[batch->problems],
                           batch->columns, batch->labels,
                           batch->centers, batch->sizes};
}

static void array_choose(struct reading *reading, const struct arrays *arrays)
{
    switch (reading->array) {
    case BARY__V1__JOB_ARRAY__JOB_ARRAY_LABELS:
        reading->dtype = BARY__V1__DTYPE__DTYPE_I32;
        reading->rows = arrays->rows;
        reading->row_bytes = sizeof(int32_t);
        reading->values = (const char *)arrays->labels;
        break;
    case BARY__V1__JOB_ARRAY__JOB_ARRAY_SIZES:
        reading->dtype = BARY__V1__DTYPE__DTYPE_I64;
        reading->rows = arrays->centers;
        reading->row_bytes = sizeof(int64_t);
        reading->values = (const char *)arrays->sizes;
        break;
    default:
        reading->dtype = BARY__V1__DTYPE__DTYPE_F64;
        reading->rows = arrays->centers;
        reading->width = arrays->columns;
        reading->row_bytes = arrays->columns * (int64_t)sizeof(double);
        reading->values = (const char *)arrays->values;
    }
}

static enum status array_open(struct reading *reading, struct error *error)
{
    const struct job_view *view = reading->answer.view;
    char what[128], limit[64];

    snprintf(what, sizeof what, "reading job '%s'", view->name);
    if (view->state != JOB_SUCCEEDED || !job_kind_fits(view->kind))
        return FAIL(error, UNSUPPORTED, TEXT("what", what),
                    TEXT("why", job_kind_fits(view->kind) ? "only a job that SUCCEEDED has arrays"
                                                          : "only a fit leaves arrays"));
    const struct arrays arrays = arrays_of(view);
    array_choose(reading, &arrays);
    if (!reading->values)
        return FAIL(error, MISSING, TEXT("what", "the array of labels"),
                    TEXT("why", "the fit ran with no_labels"));
    if (reading->next > reading->rows) {
        snprintf(limit, sizeof limit, "at most %lld", (long long)reading->rows);
        return FAIL(error, OUT_OF_RANGE, TEXT("what", "first_row"), INT("value", reading->next),
                    TEXT("limit", limit));
    }
    return STATUS_OK;
}

static void send_chunk(struct call *call)
{
    struct reading *reading = call_state(call);
    int64_t rows = CHUNK_BYTES_DEFAULT / reading->row_bytes;
    Bary__V1__ReadJobResponse reply = BARY__V1__READ_JOB_RESPONSE__INIT;
    struct job_view *view = reading->answer.view;
    struct keeper *keeper;
    struct arena arena;

    rows = rows < 1 ? 1 : rows;
    if (rows > reading->rows - reading->next)
        rows = reading->rows - reading->next;
    if (rows == 0) {
        call_finish(call);
        return;
    }
    arena_init(&arena, REPLY_ARENA_BYTES);
    reply.first_row = reading->next;
    reply.values = matrix_new(&arena, reading->dtype, rows, reading->width,
                              reading->values + reading->next * reading->row_bytes);
    job_view_pin(view);
    keeper = view_keeper(view);
    reading->next += rows;
    if (keeper && reply.values) {
        call_send(call, &reply.base, keeper);
    } else {
        if (keeper)
            keeper_drop(&keeper);
        else
            job_view_unpin(&view);
        fail_memory(call, "a reply");
    }
    arena_deinit(&arena);
}

static void wake(struct call *call)
{
    struct reading *reading = call_state(call);
    struct error error;

    if (!answer_ready(&reading->answer))
        return;
    if (!reading->answer.view)
        call_fail(call, &reading->answer.error);
    else if (array_open(reading, &error) != STATUS_OK)
        call_fail(call, &error);
    else
        send_chunk(call);
}

static void end(struct call *call)
{
    struct reading *reading = call_state(call);

    answer_deinit(&reading->answer);
}

const struct handler job_read_handler = {.state_bytes = sizeof(struct reading),
                                         .message = message,
                                         .sent = send_chunk,
                                         .wake = wake,
                                         .end = end};
