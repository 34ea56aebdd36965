/* stream.c - answers that no single message holds: a job's arrays, predictions of many rows. */
#include <grpc/grpc.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "clients/c/call.h"

enum {
    PIECE_BYTES = 1 << 20,  /* of rows sent in one message */
    ANSWER_BYTES = 3 << 20, /* that one message may make */
    READ_ATTEMPTS = 3
};

/* Where a job's array is being put. */
struct reading {
    char *into;
    size_t bytes, done;
    int64_t rows_done;
    bool misfit;
};

static void take_piece(struct reading *reading, const Bary__V1__ReadJobResponse *piece)
{
    const Bary__V1__Matrix *values = piece->values;

    if (!values || piece->first_row != reading->rows_done ||
        values->data.len > reading->bytes - reading->done) {
        reading->misfit = true;
        return;
    }
    memcpy(reading->into + reading->done, values->data.data, values->data.len);
    reading->done += values->data.len;
    reading->rows_done += values->rows;
}

static int read_once(struct baryc *connection, const Bary__V1__ReadJobRequest *request,
                     const struct baryc_options *options, struct reading *reading,
                     struct baryc_error *error)
{
    struct baryc_call call;

    baryc_call_open(connection, "/bary.v1.JobService/Read", 0, &call);
    baryc_call_send(&call, baryc_pack(&request->base));
    baryc_call_send_end(&call);
    for (bool more = true; more;) {
        baryc_call_receive(&call);
        baryc_call_wait(&call, BARYC_RECEIVED, options);
        more = call.received != NULL;
        if (!more)
            break;
        Bary__V1__ReadJobResponse *piece =
            baryc_unpack(&bary__v1__read_job_response__descriptor, call.received);
        call.received = NULL;
        if (piece)
            take_piece(reading, piece);
        more = piece && !reading->misfit;
        baryc_free(piece);
    }
    if (reading->misfit)
        baryc_call_cancel(&call);
    return baryc_call_close(&call, options, error);
}

int baryc_job_read(struct baryc *connection, const char *name, Bary__V1__JobArray array, void *into,
                   size_t bytes, const struct baryc_options *options, struct baryc_error *error)
{
    Bary__V1__ReadJobRequest request = BARY__V1__READ_JOB_REQUEST__INIT;
    struct reading reading = {.into = into, .bytes = bytes};
    struct baryc_error last = {0};
    int code = 0;

    request.name = baryc_borrow(name);
    request.array = array;
    for (int attempt = 0; attempt < READ_ATTEMPTS; attempt++) {
        request.first_row = reading.rows_done; /* goes on where the last stream broke off */
        code = read_once(connection, &request, options, &reading, &last);
        if (code == 0 || reading.misfit || !baryc_worth_repeating(&last) || baryc_stopped(options))
            break;
        baryc_pause(connection, &last, attempt, options);
    }
    if (reading.misfit || (code == 0 && reading.done != bytes)) {
        char found[48], expected[48];
        snprintf(found, sizeof found, "%zu bytes%s", reading.done,
                 reading.misfit ? " and more" : "");
        snprintf(expected, sizeof expected, "%zu bytes", bytes);
        return BARYC_FAIL(error, SHAPE_MISMATCH, "what", "the job's array", "found", found,
                          "expected", expected);
    }
    if (code != 0 && error)
        *error = last;
    return code;
}

/* One side of a PredictStream: what is still to be sent. */
struct sending {
    const Bary__V1__PredictRequest *request;
    const Bary__V1__Matrix *matrix; /* NULL: one message is all */
    size_t row_bytes;
    int64_t piece_rows, next_row;
    bool first, done;
};

/* Distances make answers wide: rows of a piece are few enough that its answer fits a message. */
static int64_t answer_rows(struct baryc *connection, const Bary__V1__PredictRequest *request,
                           const struct baryc_options *options)
{
    Bary__V1__GetModelRequest get = BARY__V1__GET_MODEL_REQUEST__INIT;
    Bary__V1__Model *model = NULL;
    int64_t clusters = 1;

    if (!request->distances || !request->model)
        return ANSWER_BYTES / 4;
    if (request->model->model_case == BARY__V1__MODEL_REF__MODEL_CENTERS)
        clusters = request->model->centers->rows;
    get.name = request->model->name;
    if (request->model->model_case == BARY__V1__MODEL_REF__MODEL_NAME &&
        baryc_model_get(connection, &get, options, &model, NULL) == 0)
        clusters = model->n_clusters;
    baryc_free(model);
    int64_t rows = clusters > 0 ? ANSWER_BYTES / (clusters * 8 + 4) : 1;
    return rows > 0 ? rows : 1;
}

static void sending_init(struct sending *sending, struct baryc *connection,
                         const Bary__V1__PredictRequest *request,
                         const struct baryc_options *options)
{
    *sending = (struct sending){.request = request, .first = true};
    if (!request->source || request->source->source_case != BARY__V1__SOURCE__SOURCE_MATRIX)
        return;
    const Bary__V1__Matrix *matrix = request->source->matrix;
    if (matrix->rows <= 0 || matrix->data.len % (size_t)matrix->rows != 0 || matrix->data.len == 0)
        return; /* the server says what is wrong with it */
    sending->matrix = matrix;
    sending->row_bytes = matrix->data.len / (size_t)matrix->rows;
    sending->piece_rows = answer_rows(connection, request, options);
    if ((size_t)sending->piece_rows > PIECE_BYTES / sending->row_bytes)
        sending->piece_rows = (int64_t)(PIECE_BYTES / sending->row_bytes);
    if (sending->piece_rows < 1)
        sending->piece_rows = 1;
}

/* The next message. The model and the options ride in the first one alone; bare centers leave no
 * room for rows beside them. */
static grpc_byte_buffer *next_message(struct sending *sending)
{
    Bary__V1__PredictRequest message = BARY__V1__PREDICT_REQUEST__INIT;
    Bary__V1__Source source = BARY__V1__SOURCE__INIT;
    Bary__V1__Matrix piece = BARY__V1__MATRIX__INIT;

    bool first = sending->first;
    if (first)
        message = *sending->request;
    sending->first = false;
    if (!sending->matrix) {
        sending->done = true;
        return baryc_pack(&message.base);
    }
    if (first && message.model && message.model->model_case == BARY__V1__MODEL_REF__MODEL_CENTERS) {
        message.source = NULL;
        return baryc_pack(&message.base);
    }
    piece = *sending->matrix;
    int64_t left = sending->matrix->rows - sending->next_row;
    piece.rows = left < sending->piece_rows ? left : sending->piece_rows;
    piece.data.data += (size_t)sending->next_row * sending->row_bytes;
    piece.data.len = (size_t)piece.rows * sending->row_bytes;
    source.source_case = BARY__V1__SOURCE__SOURCE_MATRIX;
    source.matrix = &piece;
    message.source = &source;
    sending->next_row += piece.rows;
    sending->done = sending->next_row == sending->matrix->rows;
    return baryc_pack(&message.base);
}

/* Hands a reply to the reader. False: no more is wanted. */
static bool hand_over(struct baryc_call *call, baryc_reader *reader, void *context)
{
    Bary__V1__PredictResponse *reply =
        baryc_unpack(&bary__v1__predict_response__descriptor, call->received);

    call->received = NULL;
    bool more = reply && !reader(context, reply);
    baryc_free(reply);
    return more;
}

/* Sends and receives at once: whoever only sent would wait for a server that waits for its reader. */
static void exchange(struct baryc_call *call, struct sending *sending, baryc_reader *reader,
                     void *context, const struct baryc_options *options)
{
    bool stopped = false;

    baryc_call_send(call, next_message(sending));
    baryc_call_receive(call);
    while (call->pending & BARYC_RECEIVED) {
        enum baryc_event event = baryc_call_next(call, 100);
        if (event == BARYC_SENT && !call->broken) {
            if (sending->done)
                baryc_call_send_end(call);
            else
                baryc_call_send(call, next_message(sending));
        }
        if (event == BARYC_RECEIVED && call->received) {
            if (!hand_over(call, reader, context))
                baryc_call_cancel(call);
            baryc_call_receive(call);
        }
        if (!stopped && baryc_stopped(options)) {
            baryc_call_cancel(call);
            stopped = true;
        }
    }
}

int baryc_predict_stream(struct baryc *connection, const Bary__V1__PredictRequest *request,
                         const struct baryc_options *options, baryc_reader *reader, void *context,
                         struct baryc_error *error)
{
    struct sending sending;
    struct baryc_call call;

    sending_init(&sending, connection, request, options);
    baryc_call_open(connection, "/bary.v1.ClusteringService/PredictStream",
                    baryc_timeout(options, 0), &call);
    exchange(&call, &sending, reader, context, options);
    return baryc_call_close(&call, options, error);
}
