/* predict_stream.c - PredictStream: model and options first, then rows, which are answered in order.
 *
 * What comes (a message's rows, or a whole dataset) is cut into pieces whose reply fits a message; one
 * piece is computed at a time, and the next when the client has taken the one before. After the last
 * row a reply without rows brings the report of the whole. */
#include <stdio.h>
#include <string.h>

#include "host/base/clock.h"
#include "rpc/computing.h"
#include "rpc/convert.h"
#include "rpc/method.h"

struct streaming {
    struct job_request *model;  /* model, options; NULL before the first message */
    struct job_request *source; /* rows under work, or NULL */
    int64_t next, end;          /* rows of the source's table */
    int64_t row;                /* of the stream */
    struct answer piece;
    struct ticket ticket; /* of the piece under way */
    struct report report; /* summed */
    bool computing, sending, dataset, client_done;
};

/* A request for rows [next, next + count) of the source, with pins of its own. */
static struct job_request *piece_request(struct call *call, int64_t count)
{
    struct streaming *streaming = call_state(call);
    const struct job_request *model = streaming->model, *source = streaming->source;
    struct job_request *request = computing_request(call, JOB_PREDICT);

    if (!request)
        return NULL;
    request->placement = model->placement;
    request->non_finite = model->non_finite;
    request->want_labels = model->want_labels;
    request->want_distances = model->want_distances;
    request->deadline_ns = call_deadline_ns(call) == INT64_MAX ? 0 : call_deadline_ns(call);
    memcpy(request->source_name, source->source_name, sizeof request->source_name);
    memcpy(request->dataset, source->dataset, sizeof request->dataset);
    model_pin(model->model);
    request->model = model->model;
    table_pin(source->table);
    request->table = source->table;
    request->first_row = streaming->next;
    request->rows = count;
    if (source->column_count == 0)
        return request;
    request->column = memory_zeroed((size_t)source->column_count, sizeof *request->column);
    for (int c = 0; request->column && c < source->column_count; c++) {
        request->column[c] = text_copy(source->column[c]);
        if (!request->column[c])
            break;
        request->column_count++;
    }
    if (request->column_count == source->column_count)
        return request;
    job_request_free(&request);
    fail_memory(call, "a request");
    return NULL;
}

static int64_t piece_rows(const struct streaming *streaming)
{
    int64_t row_bytes = predict_row_bytes(streaming->model), rows = INLINE_BYTES_MAX;

    if (row_bytes > 0)
        rows = INLINE_BYTES_MAX / row_bytes;
    return rows < streaming->end - streaming->next ? rows : streaming->end - streaming->next;
}

static void named(void *context, struct job_view *view, const struct error *error)
{
    struct streaming *streaming = context;

    (void)error;
    if (view)
        ticket_named(&streaming->ticket, view->name);
    job_view_unpin(&view);
}

static void finished(void *context, struct job_view *view, const struct error *error)
{
    struct streaming *streaming = context;

    answer_take(&streaming->piece, view, error);
}

static void compute(struct call *call)
{
    struct streaming *streaming = call_state(call);
    struct job_request *request = piece_request(call, piece_rows(streaming));

    if (!request)
        return;
    streaming->computing = true;
    answer_deinit(&streaming->piece);
    streaming->piece = (struct answer){0};
    streaming->ticket = (struct ticket){.dispatcher = call_service(call)->dispatcher};
    answer_expect(&streaming->piece, call);
    job_submit(call_service(call)->dispatcher, request, named, finished, streaming);
}

static void source_end(struct streaming *streaming)
{
    job_request_free(&streaming->source);
}

/* The report of all pieces, and the end. */
static void send_report(struct call *call)
{
    struct streaming *streaming = call_state(call);
    Bary__V1__PredictResponse reply = BARY__V1__PREDICT_RESPONSE__INIT;
    struct arena arena;

    arena_init(&arena, REPLY_ARENA_BYTES);
    reply.first_row = streaming->row;
    reply.report = report_new(&arena, &streaming->report);
    if (reply.report) {
        streaming->sending = true;
        streaming->client_done = false;
        streaming->dataset = false;
        streaming->end = -1; /* nothing comes after it */
        call_send(call, &reply.base, NULL);
    } else {
        fail_memory(call, "a reply");
    }
    arena_deinit(&arena);
}

/* The next thing there is to do; called whenever one was done. */
static void go_on(struct call *call)
{
    struct streaming *streaming = call_state(call);

    if (streaming->computing || streaming->sending || call_over(call))
        return;
    if (streaming->end < 0) {
        call_finish(call);
    } else if (streaming->source && streaming->next < streaming->end) {
        compute(call);
    } else if (streaming->client_done || streaming->dataset) {
        source_end(streaming);
        send_report(call);
    } else {
        source_end(streaming);
        call_read(call);
    }
}

static enum status source_in(struct call *call, const Bary__V1__PredictRequest *message,
                             struct error *error)
{
    struct streaming *streaming = call_state(call);
    struct job_request *source = computing_request(call, JOB_PREDICT);
    bool inline_;
    enum status status;

    if (!source)
        return FAIL(error, OUT_OF_MEMORY, TEXT("what", "a request"), INT("needed", sizeof *source),
                    INT("retry_ms", 1000));
    TRY(source_take(call_service(call), call_principal(call), message->source, source, &inline_,
                    error));
    if (source->first_row > source->table->rows ||
        source->rows > source->table->rows - source->first_row)
        TRY(FAIL(error, OUT_OF_RANGE, TEXT("what", "source.dataset.rows"),
                 INT("value", source->first_row + source->rows),
                 TEXT("limit", "within the dataset's rows")));
    streaming->dataset = !inline_;
    streaming->source = source;
    streaming->next = source->first_row;
    streaming->end = source->first_row + request_rows(source);
    return STATUS_OK;
out:
    job_request_free(&source);
    return status;
}

static bool has_source(const Bary__V1__PredictRequest *message)
{
    return message->source && message->source->source_case != BARY__V1__SOURCE__SOURCE__NOT_SET;
}

static enum status first_in(struct call *call, const Bary__V1__PredictRequest *message,
                            struct error *error)
{
    struct streaming *streaming = call_state(call);
    struct job_request *model = computing_request(call, JOB_PREDICT);
    enum status status;

    if (!model)
        return FAIL(error, OUT_OF_MEMORY, TEXT("what", "a request"), INT("needed", sizeof *model),
                    INT("retry_ms", 1000));
    TRY(predict_take(call, message, model, error));
    if (predict_row_bytes(model) > INLINE_BYTES_MAX)
        TRY(FAIL(error, OUT_OF_RANGE, TEXT("what", "the size of one row's reply"),
                 INT("value", predict_row_bytes(model)), TEXT("limit", "at most 3145728 bytes")));
    streaming->model = model;
    return has_source(message) ? source_in(call, message, error) : STATUS_OK;
out:
    job_request_free(&model);
    return status;
}

static void message(struct call *call, const void *in)
{
    struct streaming *streaming = call_state(call);
    struct error error;
    enum status status;

    if (!in && !streaming->model)
        status = FAIL(&error, MISSING, TEXT("what", "model"),
                      TEXT("why", "the stream ended before its first message"));
    else if (!in)
        status = STATUS_OK;
    else
        status = streaming->model ? source_in(call, in, &error) : first_in(call, in, &error);
    if (status != STATUS_OK) {
        call_fail(call, &error);
        return;
    }
    streaming->client_done = !in;
    go_on(call);
}

static void report_add(struct report *sum, const struct report *piece)
{
    int64_t stage_ns[REPORT_STAGES];

    for (int i = 0; i < REPORT_STAGES; i++)
        stage_ns[i] = sum->stage_ns[i] + piece->stage_ns[i];
    *sum = *piece;
    memcpy(sum->stage_ns, stage_ns, sizeof stage_ns);
}

static void send_piece(struct call *call, struct job_view *view)
{
    struct streaming *streaming = call_state(call);
    Bary__V1__PredictResponse reply = BARY__V1__PREDICT_RESPONSE__INIT;
    struct keeper *keeper = view_keeper(view);
    struct arena arena;

    arena_init(&arena, REPLY_ARENA_BYTES);
    reply.first_row = streaming->row;
    if (keeper)
        streaming->piece.view = NULL; /* its pin is the keeper's */
    if (keeper && predict_fill(&arena, view, !streaming->model->want_labels, &reply)) {
        streaming->next += reply.rows;
        streaming->row += reply.rows;
        report_add(&streaming->report, &view->report);
        streaming->sending = true;
        call_send(call, &reply.base, keeper);
    } else {
        keeper_drop(&keeper);
        fail_memory(call, "a reply");
    }
    arena_deinit(&arena);
}

static void wake(struct call *call)
{
    struct streaming *streaming = call_state(call);
    struct job_view *view;

    if (!streaming->computing || !answer_ready(&streaming->piece))
        return;
    streaming->computing = false;
    ticket_done(&streaming->ticket);
    view = streaming->piece.view;
    if (!view)
        call_fail(call, &streaming->piece.error);
    else if (view->state != JOB_SUCCEEDED)
        call_fail(call, &view->error);
    else if (!call_over(call))
        send_piece(call, view);
}

static void sent(struct call *call)
{
    struct streaming *streaming = call_state(call);

    streaming->sending = false;
    go_on(call);
}

static void closed(struct call *call)
{
    struct streaming *streaming = call_state(call);

    if (streaming->computing)
        ticket_left(&streaming->ticket);
}

static void end(struct call *call)
{
    struct streaming *streaming = call_state(call);

    answer_deinit(&streaming->piece);
    job_request_free(&streaming->model);
    source_end(streaming);
}

const struct handler predict_stream_handler = {.state_bytes = sizeof(struct streaming),
                                               .message = message,
                                               .sent = sent,
                                               .wake = wake,
                                               .closed = closed,
                                               .end = end};
