/* call.c - a gRPC call on a completion queue of its own.
 *
 * gRPC core does all its input and output inside completion_queue_next, so a call makes progress
 * only while its thread waits in baryc_call_next. */
#include "clients/c/call.h"

#include <assert.h>
#include <errno.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc_security.h>
#include <grpc/support/time.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* How often a stop is asked for: what a person feels as at once. */
enum { STOP_POLL_MS = 100 };

static gpr_timespec in_ms(int64_t ms)
{
    if (ms < 0)
        return gpr_inf_future(GPR_CLOCK_MONOTONIC);
    return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(ms, GPR_TIMESPAN));
}

/* A batch of one operation: nothing but its own tag hangs on it. */
static void post(struct baryc_call *call, const grpc_op *ops, size_t count, enum baryc_event event)
{
    grpc_call_error failed =
        grpc_call_start_batch(call->call, ops, count, (void *)(uintptr_t)event, NULL);

    assert(failed == GRPC_CALL_OK); /* only misuse of the machine makes it fail */
    if (failed == GRPC_CALL_OK)
        call->pending |= event;
    else
        call->broken = true;
}

void baryc_uuid(char out[37])
{
    uint8_t bytes[16] = {0};
    size_t held = 0;

    while (held < sizeof bytes) {
        ssize_t got = getrandom(bytes + held, sizeof bytes - held, 0);
        if (got > 0)
            held += (size_t)got;
        else if (errno != EINTR)
            break; /* cannot happen for 16 bytes; zeros would only make ids that collide */
    }
    bytes[6] = (uint8_t)((bytes[6] & 0x0f) | 0x40);
    bytes[8] = (uint8_t)((bytes[8] & 0x3f) | 0x80);
    for (int i = 0, at = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            out[at++] = '-';
        at += snprintf(out + at, 3, "%02x", bytes[i]);
    }
}

void baryc_call_open(const struct baryc *connection, const char *path, int64_t timeout_ms,
                     struct baryc_call *call)
{
    grpc_metadata entry;

    *call = (struct baryc_call){.connection = connection, .timeout_ms = timeout_ms};
    baryc_uuid(call->request_id);
    grpc_metadata_array_init(&call->initial);
    grpc_metadata_array_init(&call->trailing);
    call->details = grpc_empty_slice();
    call->queue = grpc_completion_queue_create_for_next(NULL);
    call->call = grpc_channel_create_call(connection->channel, NULL, GRPC_PROPAGATE_DEFAULTS,
                                          call->queue, grpc_slice_from_static_string(path), NULL,
                                          in_ms(timeout_ms > 0 ? timeout_ms : -1), NULL);

    grpc_op status = {.op = GRPC_OP_RECV_STATUS_ON_CLIENT};
    status.data.recv_status_on_client.trailing_metadata = &call->trailing;
    status.data.recv_status_on_client.status = &call->code;
    status.data.recv_status_on_client.status_details = &call->details;
    post(call, &status, 1, BARYC_STATUS);

    memset(&entry, 0, sizeof entry);
    entry.key = grpc_slice_from_static_string("x-request-id");
    entry.value = grpc_slice_from_static_buffer(call->request_id, 36);
    grpc_op open[2] = {{.op = GRPC_OP_SEND_INITIAL_METADATA},
                       {.op = GRPC_OP_RECV_INITIAL_METADATA}};
    open[0].data.send_initial_metadata.count = 1;
    open[0].data.send_initial_metadata.metadata = &entry;
    open[1].data.recv_initial_metadata.recv_initial_metadata = &call->initial;
    post(call, open, 2, BARYC_OPENED);
}

void baryc_call_send(struct baryc_call *call, grpc_byte_buffer *message)
{
    grpc_op send = {.op = GRPC_OP_SEND_MESSAGE};

    assert(!(call->pending & BARYC_SENT) && !call->sending);
    call->sending = message;
    send.data.send_message.send_message = message;
    post(call, &send, 1, BARYC_SENT);
}

void baryc_call_send_end(struct baryc_call *call)
{
    post(call, &(grpc_op){.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT}, 1, BARYC_SEND_ENDED);
}

void baryc_call_receive(struct baryc_call *call)
{
    grpc_op receive = {.op = GRPC_OP_RECV_MESSAGE};

    assert(!(call->pending & BARYC_RECEIVED) && !call->received);
    receive.data.recv_message.recv_message = &call->received;
    post(call, &receive, 1, BARYC_RECEIVED);
}

enum baryc_event baryc_call_next(struct baryc_call *call, int64_t wait_ms)
{
    grpc_event got = grpc_completion_queue_next(call->queue, in_ms(wait_ms), NULL);

    if (got.type != GRPC_OP_COMPLETE)
        return BARYC_NOTHING;
    enum baryc_event event = (enum baryc_event)(uintptr_t)got.tag;
    call->pending &= ~(unsigned)event;
    if (!got.success)
        call->broken = true;
    if (event == BARYC_SENT) {
        grpc_byte_buffer_destroy(call->sending);
        call->sending = NULL;
    }
    return event;
}

void baryc_call_wait(struct baryc_call *call, enum baryc_event event,
                     const struct baryc_options *options)
{
    bool asking = options && options->stop;

    while (call->pending & event) {
        if (baryc_call_next(call, asking ? STOP_POLL_MS : -1) != BARYC_NOTHING)
            continue;
        if (asking && options->stop(options->stop_context)) {
            baryc_call_cancel(call);
            asking = false;
        }
    }
}

void baryc_call_cancel(struct baryc_call *call)
{
    call->cancelled = true;
    grpc_call_cancel(call->call, NULL); /* the status, CANCELLED, still comes */
}

int baryc_call_close(struct baryc_call *call, const struct baryc_options *options,
                     struct baryc_error *error)
{
    baryc_call_wait(call, (enum baryc_event) ~0u, options);
    int code = (int)call->code;
    if (code != 0 && error)
        baryc_error_decode(error, call);
    if (call->received)
        grpc_byte_buffer_destroy(call->received);
    grpc_slice_unref(call->details);
    grpc_metadata_array_destroy(&call->initial);
    grpc_metadata_array_destroy(&call->trailing);
    grpc_call_unref(call->call);
    grpc_completion_queue_shutdown(call->queue);
    while (grpc_completion_queue_next(call->queue, in_ms(-1), NULL).type != GRPC_QUEUE_SHUTDOWN)
        ;
    grpc_completion_queue_destroy(call->queue);
    return code;
}

grpc_byte_buffer *baryc_pack(const ProtobufCMessage *message)
{
    size_t bytes = protobuf_c_message_get_packed_size(message);
    grpc_slice slice = grpc_slice_malloc(bytes);

    protobuf_c_message_pack(message, GRPC_SLICE_START_PTR(slice));
    grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    return buffer;
}

/* What a message may unpack to: small ones grow up to 120-fold, and a server is not trusted with
 * this process's memory. */
struct budget {
    size_t left;
};

static void *budget_take(void *context, size_t bytes)
{
    struct budget *budget = context;

    if (bytes > budget->left)
        return NULL;
    budget->left -= bytes;
    return malloc(bytes > 0 ? bytes : 1);
}

static void budget_return(void *context, void *block)
{
    (void)context;
    free(block);
}

void *baryc_unpack(const ProtobufCMessageDescriptor *descriptor, grpc_byte_buffer *buffer)
{
    grpc_byte_buffer_reader reader;
    void *message = NULL;

    if (grpc_byte_buffer_reader_init(&reader, buffer)) {
        grpc_slice bytes = grpc_byte_buffer_reader_readall(&reader);
        struct budget budget = {.left = 32 * GRPC_SLICE_LENGTH(bytes) + (64 << 10)};
        ProtobufCAllocator allocator = {budget_take, budget_return, &budget};
        message = protobuf_c_message_unpack(descriptor, &allocator, GRPC_SLICE_LENGTH(bytes),
                                            GRPC_SLICE_START_PTR(bytes));
        grpc_slice_unref(bytes);
        grpc_byte_buffer_reader_destroy(&reader);
    }
    grpc_byte_buffer_destroy(buffer);
    return message;
}

void baryc_free(void *message)
{
    if (message)
        protobuf_c_message_free_unpacked(message, NULL);
}

/* Whether a message, or its `options`, carries a request id. */
static bool has_request_id(const ProtobufCMessage *message)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(message->descriptor, "request_id");

    if (field) {
        const char *id = *(const char *const *)((const char *)message + field->offset);
        return id && id[0];
    }
    field = protobuf_c_message_descriptor_get_field_by_name(message->descriptor, "options");
    if (!field || field->type != PROTOBUF_C_TYPE_MESSAGE)
        return false;
    const ProtobufCMessage *options =
        *(const ProtobufCMessage *const *)((const char *)message + field->offset);
    return options && has_request_id(options);
}

static int unary_once(struct baryc *connection, const struct baryc_method *method,
                      const ProtobufCMessage *request, const struct baryc_options *options,
                      void **out, struct baryc_error *error)
{
    struct baryc_call call;
    grpc_byte_buffer *reply;

    baryc_call_open(connection, method->path, baryc_timeout(options, 30000), &call);
    baryc_call_send(&call, baryc_pack(request));
    baryc_call_send_end(&call);
    baryc_call_receive(&call);
    baryc_call_wait(&call, BARYC_RECEIVED, options);
    reply = call.received;
    call.received = NULL;
    int code = baryc_call_close(&call, options, error);
    void *message = reply ? baryc_unpack(method->response, reply) : NULL;
    if (code == 0 && !message)
        return BARYC_FAIL(error, MALFORMED, "what", "the server's answer", "byte", "0", "why",
                          "it is not the message that this method returns");
    if (code == 0)
        *out = message;
    else
        baryc_free(message);
    return code;
}

bool baryc_worth_repeating(const struct baryc_error *error)
{
    return error->retry_ms >= 0 && (error->code == GRPC_STATUS_UNAVAILABLE ||
                                    error->code == GRPC_STATUS_RESOURCE_EXHAUSTED);
}

int baryc_unary(struct baryc *connection, const struct baryc_method *method,
                const ProtobufCMessage *request, const struct baryc_options *options, void **out,
                struct baryc_error *error)
{
    bool repeat = method->repeat == BARYC_REPEAT_ALWAYS ||
                  (method->repeat == BARYC_REPEAT_KEYED && has_request_id(request));
    struct baryc_error last;
    int code = 0;

    for (int attempt = 0; attempt < baryc_attempts(options); attempt++) {
        code = unary_once(connection, method, request, options, out, &last);
        if (code == 0)
            return 0;
        if (!repeat || !baryc_worth_repeating(&last) || baryc_stopped(options))
            break;
        if (attempt + 1 < baryc_attempts(options))
            baryc_pause(connection, &last, attempt, options);
    }
    if (error)
        *error = last;
    return code;
}

int64_t baryc_timeout(const struct baryc_options *options, int64_t otherwise)
{
    return options && options->timeout_ms > 0 ? options->timeout_ms : otherwise;
}

int baryc_attempts(const struct baryc_options *options)
{
    return options && options->attempts > 0 ? options->attempts : 3;
}

bool baryc_stopped(const struct baryc_options *options)
{
    return options && options->stop && options->stop(options->stop_context);
}

#define BARYC_METHOD(name, path_, request_, request_c, response_, response_c, repeat_)         \
    int baryc_##name(struct baryc *connection, const Bary__V1__##request_ *request,            \
                     const struct baryc_options *options, Bary__V1__##response_ **out,         \
                     struct baryc_error *error)                                                \
    {                                                                                          \
        static const struct baryc_method method = {                                            \
            .path = (path_),                                                                   \
            .request = &bary__v1__##request_c##__descriptor,                                   \
            .response = &bary__v1__##response_c##__descriptor,                                 \
            .repeat = BARYC_REPEAT_##repeat_};                                                 \
        void *message = NULL;                                                                  \
        int code = baryc_unary(connection, &method, &request->base, options, &message, error); \
        if (code == 0)                                                                         \
            *out = message;                                                                    \
        return code;                                                                           \
    }
#include "clients/c/methods.def"
#undef BARYC_METHOD
