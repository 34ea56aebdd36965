/* call_batch.c - see call_batch.h. */
#include "rpc/call_batch.h"

#include <stdio.h>
#include <string.h>

#include "host/base/clock.h"
#include "host/base/log.h"

enum { OPS_MAX = 3, TRAILERS_MAX = 2 };

struct batch {
    grpc_op op[OPS_MAX];
    size_t count;
    grpc_metadata initial;
};

static grpc_op *batch_add(struct batch *batch, grpc_op_type type)
{
    grpc_op *op = &batch->op[batch->count++];

    memset(op, 0, sizeof *op);
    op->op = type;
    return op;
}

/* A refused batch is a bug of ours: the call is cancelled, so that it ends all the same. */
static void batch_start(struct call *call, const struct batch *batch, struct event *tag)
{
    grpc_call_error refused;

    call->tags++;
    tag_release(tag);
    refused = grpc_call_start_batch(call->grpc, batch->op, batch->count, tag, NULL);
    if (refused == GRPC_CALL_OK)
        return;
    call->tags--;
    LOG(LOG_ERROR, "batch_refused", TEXT("why", grpc_call_error_to_string(refused)));
    grpc_call_cancel(call->grpc, NULL);
}

void batch_watch_close(struct call *call)
{
    struct batch batch = {0};

    batch_add(&batch, GRPC_OP_RECV_CLOSE_ON_SERVER)->data.recv_close_on_server.cancelled =
        &call->cancelled_out;
    batch_start(call, &batch, &call->on_close);
}

void batch_receive(struct call *call)
{
    struct batch batch = {0};

    call->reading = true;
    call->active_ns = clock_ns();
    batch_add(&batch, GRPC_OP_RECV_MESSAGE)->data.recv_message.recv_message = &call->received;
    batch_start(call, &batch, &call->on_receive);
}

/* The request's id goes back with the first operation that sends. */
static void add_initial(struct call *call, struct batch *batch)
{
    grpc_op *op;

    if (call->initial_sent)
        return;
    call->initial_sent = true;
    op = batch_add(batch, GRPC_OP_SEND_INITIAL_METADATA);
    if (call->request_id[0] == '\0')
        return;
    batch->initial.key = grpc_slice_from_static_string("x-request-id");
    batch->initial.value = grpc_slice_from_copied_string(call->request_id);
    op->data.send_initial_metadata.count = 1;
    op->data.send_initial_metadata.metadata = &batch->initial;
}

static void batch_deinit(struct batch *batch)
{
    if (batch->op[0].op == GRPC_OP_SEND_INITIAL_METADATA &&
        batch->op[0].data.send_initial_metadata.count)
        grpc_slice_unref(batch->initial.value);
}

static void add_message(struct call *call, struct batch *batch, grpc_byte_buffer *message)
{
    call->leaving = message;
    call->sent_bytes += grpc_byte_buffer_length(message);
    batch_add(batch, GRPC_OP_SEND_MESSAGE)->data.send_message.send_message = message;
}

void batch_send(struct call *call, grpc_byte_buffer *message)
{
    struct batch batch = {0};

    call->sending = true;
    call->active_ns = clock_ns();
    add_initial(call, &batch);
    add_message(call, &batch, message);
    batch_start(call, &batch, &call->on_send);
    batch_deinit(&batch);
}

static size_t trailers_of(const struct ending *ending, grpc_metadata trailers[TRAILERS_MAX])
{
    char text[24];
    size_t count = 0;

    if (GRPC_SLICE_LENGTH(ending->details) > 0)
        trailers[count++] =
            (grpc_metadata){.key = grpc_slice_from_static_string("grpc-status-details-bin"),
                            .value = grpc_slice_ref(ending->details)};
    if (ending->pushback_ms >= 0) {
        snprintf(text, sizeof text, "%lld", (long long)ending->pushback_ms);
        trailers[count++] =
            (grpc_metadata){.key = grpc_slice_from_static_string("grpc-retry-pushback-ms"),
                            .value = grpc_slice_from_copied_string(text)};
    }
    return count;
}

void batch_end(struct call *call)
{
    struct ending *ending = &call->ending;
    grpc_metadata trailers[TRAILERS_MAX] = {0};
    size_t count = trailers_of(ending, trailers);
    struct batch batch = {0};
    grpc_op *op;

    call->ending_begun = true;
    call->active_ns = clock_ns();
    add_initial(call, &batch);
    if (ending->message)
        add_message(call, &batch, ending->message);
    ending->message = NULL;
    op = batch_add(&batch, GRPC_OP_SEND_STATUS_FROM_SERVER);
    op->data.send_status_from_server.status = ending->code;
    op->data.send_status_from_server.status_details =
        ending->code == GRPC_STATUS_OK ? NULL : &ending->text;
    op->data.send_status_from_server.trailing_metadata = trailers;
    op->data.send_status_from_server.trailing_metadata_count = count;
    batch_start(call, &batch, &call->on_finish);
    for (size_t i = 0; i < count; i++)
        grpc_slice_unref(trailers[i].value);
    batch_deinit(&batch);
}

void ending_deinit(struct ending *ending)
{
    if (ending->message)
        grpc_byte_buffer_destroy(ending->message);
    grpc_slice_unref(ending->text);
    grpc_slice_unref(ending->details);
    *ending = (struct ending){0};
}
