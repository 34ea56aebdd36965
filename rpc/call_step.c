/* call_step.c - one step of a call: from the bytes that came to the handler. */
#include <stddef.h>

#include "host/base/memory.h"
#include "rpc/call_core.h"
#include "rpc/service.h"

/* The bytes in one piece: where they lie, or in *copy. */
static enum status flatten(const struct spans *spans, const uint8_t **out, void **copy,
                           struct error *error)
{
    struct cursor cursor = cursor_over(spans->span, spans->count);

    *copy = NULL;
    if (spans->count <= 1) {
        *out = spans->count ? spans->span[0].data : (const uint8_t *)"";
        return STATUS_OK;
    }
    *copy = memory_new(spans->bytes, 1);
    if (!*copy)
        return FAIL(error, OUT_OF_MEMORY, TEXT("what", "reading a message"),
                    INT("needed", spans->bytes), INT("retry_ms", 1000));
    cursor_copy(&cursor, *copy, spans->bytes);
    *out = *copy;
    return STATUS_OK;
}

/* Unpacked once, then handed over; the bytes are given back before the handler works. */
static void message_in(struct call *call, grpc_byte_buffer *buffer, struct spans *spans)
{
    struct unpack_budget *budget = &call_service(call)->unpack;
    struct request request = {0};
    const uint8_t *data = NULL;
    struct error error;
    enum status status;
    void *copy = NULL;

    status = flatten(spans, &data, &copy, &error);
    if (status == STATUS_OK)
        status = request_unpack(budget, call->method->in, data, spans->bytes, &request, &error);
    memory_free(copy);
    spans_deinit(spans);
    grpc_byte_buffer_destroy(buffer);
    if (status != STATUS_OK) {
        call_fail(call, &error);
        return;
    }
    call->method->handler->message(call, request.message);
    request_free(&request);
}

static void buffer_in(struct call *call, grpc_byte_buffer *buffer)
{
    const struct handler *handler = call->method->handler;
    size_t bytes = grpc_byte_buffer_length(buffer);
    struct spans spans;
    struct error error;
    enum status status = STATUS_OK;

    if (bytes > call->method->message_max)
        status = FAIL(&error, MESSAGE_SIZE, INT("bytes", bytes),
                      INT("limit", call->method->message_max));
    else if (buffer->data.raw.compression != GRPC_COMPRESS_NONE)
        status = FAIL(&error, UNSUPPORTED, TEXT("what", "compression of messages"),
                      TEXT("why", "only the identity encoding is enabled"));
    else
        status = spans_of(buffer, &spans, &error);
    if (status != STATUS_OK) {
        call_fail(call, &error);
        grpc_byte_buffer_destroy(buffer);
    } else if (handler->bytes) {
        handler->bytes(call, &spans);
        spans_deinit(&spans);
        grpc_byte_buffer_destroy(buffer);
    } else {
        message_in(call, buffer, &spans);
    }
}

/* The client's stream has ended. */
static void end_in(struct call *call)
{
    const struct handler *handler = call->method->handler;
    struct error error;

    if (call->method->kind == UNARY || call->method->kind == SERVER_STREAM) {
        FAIL(&error, MISSING, TEXT("what", "the request"),
             TEXT("why", "the call holds no message"));
        call_fail(call, &error);
    } else if (handler->bytes) {
        handler->bytes(call, NULL);
    } else {
        handler->message(call, NULL);
    }
}

static void step_message(struct call *call)
{
    grpc_byte_buffer *buffer;
    bool over;

    pthread_mutex_lock(&call->lock);
    buffer = call->received;
    call->received = NULL;
    over = call->ending_wanted || call->closed;
    pthread_mutex_unlock(&call->lock);
    if (over && buffer)
        grpc_byte_buffer_destroy(buffer);
    else if (buffer)
        buffer_in(call, buffer);
    else if (!over)
        end_in(call);
}

static void step_run(struct call *call, void (*step)(struct call *call))
{
    if (step)
        step(call);
}

void call_step(struct strand *strand, unsigned step)
{
    struct call *call = (struct call *)(void *)((char *)strand - offsetof(struct call, strand));
    const struct handler *handler = call->method->handler;

    if (step == STEP_BEGIN)
        step_run(call, handler->begin);
    else if (step == STEP_CLOSED)
        step_run(call, handler->closed);
    else if (step == STEP_MESSAGE)
        step_message(call);
    else if (step == STEP_SENT && !call_over(call))
        step_run(call, handler->sent);
    else if (step == STEP_WAKE)
        step_run(call, handler->wake);
    else if (step == 0)
        call_drop(call); /* the strand rests */
}
