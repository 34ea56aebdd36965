/* predict.c - Predict: the fast lane, one round trip. */
#include <stdio.h>

#include "rpc/computing.h"
#include "rpc/convert.h"
#include "rpc/method.h"

struct predicting {
    struct answer finished;
    struct ticket ticket;
    bool no_labels;
};

/* On the dispatcher's thread: the name alone is wanted. A refusal also reaches `finished`. */
static void named(void *context, struct job_view *view, const struct error *error)
{
    struct predicting *predicting = context;

    (void)error;
    if (view)
        ticket_named(&predicting->ticket, view->name);
    job_view_unpin(&view);
}

static void finished(void *context, struct job_view *view, const struct error *error)
{
    struct predicting *predicting = context;

    answer_take(&predicting->finished, view, error);
}

static enum status size_check(const struct job_request *request, struct error *error)
{
    int64_t bytes;

    if (__builtin_mul_overflow(request_rows(request), predict_row_bytes(request), &bytes))
        bytes = INT64_MAX;
    if (bytes <= INLINE_BYTES_MAX)
        return STATUS_OK;
    return FAIL(error, OUT_OF_RANGE, TEXT("what", "the size of the reply"), INT("value", bytes),
                TEXT("limit", "at most 3145728 bytes; PredictStream has no such limit"));
}

static void predict(struct call *call, const void *in)
{
    const Bary__V1__PredictRequest *message = in;
    struct job_request *request = computing_request(call, JOB_PREDICT);
    struct predicting *predicting = call_state(call);
    struct service *service = call_service(call);
    struct error error;
    enum status status;
    bool inline_;

    if (!request)
        return;
    TRY(predict_take(call, message, request, &error));
    TRY(source_take(service, call_principal(call), message->source, request, &inline_, &error));
    TRY(size_check(request, &error));
    request->deadline_ns = call_deadline_ns(call);
    predicting->no_labels = message->no_labels != 0;
    predicting->ticket.dispatcher = service->dispatcher;
    answer_expect(&predicting->finished, call);
    job_submit(service->dispatcher, request, named, finished, predicting);
    return;
out:
    job_request_free(&request);
    call_fail(call, &error);
}

static void wake(struct call *call)
{
    struct predicting *predicting = call_state(call);
    Bary__V1__PredictResponse reply = BARY__V1__PREDICT_RESPONSE__INIT;
    struct job_view *view;
    struct keeper *keeper;
    struct arena arena;

    if (!answer_ready(&predicting->finished))
        return;
    view = predicting->finished.view;
    ticket_done(&predicting->ticket);
    if (!view || view->state != JOB_SUCCEEDED) {
        call_fail(call, view ? &view->error : &predicting->finished.error);
        return;
    }
    arena_init(&arena, REPLY_ARENA_BYTES);
    keeper = view_keeper(view);
    if (keeper)
        predicting->finished.view = NULL; /* its pin is the keeper's */
    reply.report = report_new(&arena, &view->report);
    if (keeper && reply.report && predict_fill(&arena, view, predicting->no_labels, &reply)) {
        call_reply(call, &reply.base, keeper);
    } else {
        keeper_drop(&keeper);
        fail_memory(call, "a reply");
    }
    arena_deinit(&arena);
}

static void closed(struct call *call)
{
    struct predicting *predicting = call_state(call);

    ticket_left(&predicting->ticket);
}

static void end(struct call *call)
{
    struct predicting *predicting = call_state(call);

    answer_deinit(&predicting->finished);
}

const struct handler predict_handler = {.state_bytes = sizeof(struct predicting),
                                        .message = predict,
                                        .wake = wake,
                                        .closed = closed,
                                        .end = end};
