/* baryc_peer.h - a server of gRPC core that plays a script: what a well-behaved baryd would never
 * answer on demand. It serves one call at a time, on a thread of its own. */
#ifndef BARY_TESTS_UNIT_BARYC_PEER_H
#define BARY_TESTS_UNIT_BARYC_PEER_H

#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/support/alloc.h>
#include <grpc/support/time.h>
#include <pthread.h>

#include "clients/c/call.h"
#include "google/protobuf/any.pb-c.h"
#include "google/rpc/error_details.pb-c.h"
#include "google/rpc/status.pb-c.h"
#include "tests/check.h"

struct peer {
    struct check *check;
    char folder[32], address[64];
    grpc_server *server;
    grpc_completion_queue *queue;
    pthread_t thread;
    void (*script)(struct peer *peer);
    void *state; /* the script's own */
};

/* A call being served. */
struct served {
    grpc_call *call;
    grpc_call_details details;
    grpc_metadata_array metadata;
    char method[64]; /* "Fit" */
    bool answered;   /* initial metadata is out */
};

__attribute__((unused)) static void peer_wait(struct peer *peer)
{
    grpc_completion_queue_next(peer->queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
}

__attribute__((unused)) static void peer_op(struct peer *peer, struct served *served, grpc_op *ops,
                                            size_t count)
{
    check_equal_i64(peer->check, grpc_call_start_batch(served->call, ops, count, peer, NULL), 0);
    peer_wait(peer);
}

__attribute__((unused)) static struct served peer_accept(struct peer *peer)
{
    struct served served = {0};

    grpc_call_details_init(&served.details);
    grpc_metadata_array_init(&served.metadata);
    grpc_server_request_call(peer->server, &served.call, &served.details, &served.metadata,
                             peer->queue, peer->queue, peer);
    peer_wait(peer);
    if (served.call) {
        char *path = grpc_slice_to_c_string(served.details.method);
        snprintf(served.method, sizeof served.method, "%s", strrchr(path, '/') + 1);
        gpr_free(path);
    }
    return served;
}

/* The next message, or NULL at their end. */
__attribute__((unused)) static void *peer_receive(struct peer *peer, struct served *served,
                                                  const ProtobufCMessageDescriptor *descriptor)
{
    grpc_byte_buffer *buffer = NULL;
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};

    op.data.recv_message.recv_message = &buffer;
    peer_op(peer, served, &op, 1);
    return buffer ? baryc_unpack(descriptor, buffer) : NULL;
}

__attribute__((unused)) static void peer_send(struct peer *peer, struct served *served,
                                              const ProtobufCMessage *message)
{
    grpc_byte_buffer *buffer = baryc_pack(message);
    grpc_op ops[2] = {{.op = GRPC_OP_SEND_MESSAGE}, {.op = GRPC_OP_SEND_INITIAL_METADATA}};

    ops[0].data.send_message.send_message = buffer;
    peer_op(peer, served, ops, served->answered ? 1 : 2);
    served->answered = true;
    grpc_byte_buffer_destroy(buffer);
}

/* google.rpc.Status with an ErrorInfo of one field and, with retry_ms >= 0, a RetryInfo. */
__attribute__((unused)) static grpc_slice peer_details(int code, const char *reason, int retry_ms)
{
    Google__Rpc__Status status = GOOGLE__RPC__STATUS__INIT;
    Google__Protobuf__Any any[2] = {GOOGLE__PROTOBUF__ANY__INIT, GOOGLE__PROTOBUF__ANY__INIT};
    Google__Protobuf__Any *list[2] = {&any[0], &any[1]};
    Google__Rpc__ErrorInfo info = GOOGLE__RPC__ERROR_INFO__INIT;
    Google__Rpc__ErrorInfo__MetadataEntry entry = GOOGLE__RPC__ERROR_INFO__METADATA_ENTRY__INIT;
    Google__Rpc__ErrorInfo__MetadataEntry *entries[] = {&entry};
    Google__Rpc__RetryInfo retry = GOOGLE__RPC__RETRY_INFO__INIT;
    Google__Protobuf__Duration delay = GOOGLE__PROTOBUF__DURATION__INIT;
    uint8_t bytes[2][256];

    entry.key = baryc_borrow("jobs");
    entry.value = baryc_borrow("64");
    info.reason = baryc_borrow(reason);
    info.domain = baryc_borrow("bary");
    info.n_metadata = 1;
    info.metadata = entries;
    delay.nanos = retry_ms * 1000000;
    retry.retry_delay = &delay;
    any[0].type_url = baryc_borrow("type.googleapis.com/google.rpc.ErrorInfo");
    any[0].value = (ProtobufCBinaryData){google__rpc__error_info__pack(&info, bytes[0]), bytes[0]};
    any[1].type_url = baryc_borrow("type.googleapis.com/google.rpc.RetryInfo");
    any[1].value = (ProtobufCBinaryData){google__rpc__retry_info__pack(&retry, bytes[1]), bytes[1]};
    status.code = code;
    status.n_details = retry_ms >= 0 ? 2 : 1;
    status.details = list;
    grpc_slice slice = grpc_slice_malloc(google__rpc__status__get_packed_size(&status));
    google__rpc__status__pack(&status, GRPC_SLICE_START_PTR(slice));
    return slice;
}

/* Ends a call. reason NULL: without details. */
__attribute__((unused)) static void peer_finish(struct peer *peer, struct served *served, int code,
                                                const char *reason, int retry_ms)
{
    grpc_slice text = grpc_slice_from_static_string(code == 0 ? "" : "the sentence");
    grpc_metadata entry;
    grpc_op ops[3] = {{.op = GRPC_OP_SEND_STATUS_FROM_SERVER},
                      {.op = GRPC_OP_RECV_CLOSE_ON_SERVER},
                      {.op = GRPC_OP_SEND_INITIAL_METADATA}};
    int cancelled = 0;

    memset(&entry, 0, sizeof entry);
    entry.key = grpc_slice_from_static_string("grpc-status-details-bin");
    entry.value = reason ? peer_details(code, reason, retry_ms) : grpc_empty_slice();
    ops[0].data.send_status_from_server.status = (grpc_status_code)code;
    ops[0].data.send_status_from_server.status_details = &text;
    ops[0].data.send_status_from_server.trailing_metadata = &entry;
    ops[0].data.send_status_from_server.trailing_metadata_count = reason ? 1 : 0;
    ops[1].data.recv_close_on_server.cancelled = &cancelled;
    peer_op(peer, served, ops, served->answered ? 2 : 3);
    grpc_slice_unref(entry.value);
    grpc_call_details_destroy(&served->details);
    grpc_metadata_array_destroy(&served->metadata);
    grpc_call_unref(served->call);
}

/* Accepts the method that must come next and takes its first message. */
__attribute__((unused)) static void *peer_expect(struct peer *peer, const char *method,
                                                 const ProtobufCMessageDescriptor *descriptor,
                                                 struct served *served)
{
    *served = peer_accept(peer);
    check_equal_text(peer->check, served->method, method);
    return peer_receive(peer, served, descriptor);
}

/* A unary call answered well. */
__attribute__((unused)) static void peer_answer(struct peer *peer, const char *method,
                                                const ProtobufCMessageDescriptor *descriptor,
                                                const ProtobufCMessage *reply)
{
    struct served served;

    baryc_free(peer_expect(peer, method, descriptor, &served));
    peer_send(peer, &served, reply);
    peer_finish(peer, &served, 0, NULL, -1);
}

__attribute__((unused)) static void *peer_run(void *context)
{
    struct peer *peer = context;
    Bary__V1__Server server = BARY__V1__SERVER__INIT;

    peer_answer(peer, "GetServer", &bary__v1__get_server_request__descriptor, &server.base);
    peer->script(peer);
    return NULL;
}

/* Starts the script and connects to it. NULL: it failed, and the check says so. */
__attribute__((unused)) static struct baryc *peer_start(struct peer *peer, struct check *check,
                                                        void (*script)(struct peer *), void *state)
{
    struct baryc *connection = NULL;
    struct baryc_error error = {0};

    alarm(120); /* a script that waits for a call that never comes ends here */
    *peer = (struct peer){.check = check, .script = script, .state = state};
    snprintf(peer->folder, sizeof peer->folder, "/tmp/baryc-XXXXXX");
    check_true(check, mkdtemp(peer->folder) != NULL);
    snprintf(peer->address, sizeof peer->address, "unix:%s/s", peer->folder);
    grpc_init();
    grpc_server_credentials *plain = grpc_insecure_server_credentials_create();
    peer->server = grpc_server_create(NULL, NULL);
    peer->queue = grpc_completion_queue_create_for_next(NULL);
    grpc_server_register_completion_queue(peer->server, peer->queue, NULL);
    check_true(check, grpc_server_add_http2_port(peer->server, peer->address, plain) != 0);
    grpc_server_credentials_release(plain);
    grpc_server_start(peer->server);
    pthread_create(&peer->thread, NULL, peer_run, peer);
    check_equal_i64(check, baryc_connect(peer->address, 5000, &connection, &error), 0);
    return connection;
}

__attribute__((unused)) static void peer_stop(struct peer *peer, struct baryc **connection)
{
    pthread_join(peer->thread, NULL);
    baryc_disconnect(connection);
    grpc_server_shutdown_and_notify(peer->server, peer->queue, peer);
    grpc_server_cancel_all_calls(peer->server);
    peer_wait(peer);
    grpc_completion_queue_shutdown(peer->queue);
    while (grpc_completion_queue_next(peer->queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL).type !=
           GRPC_QUEUE_SHUTDOWN)
        ;
    grpc_server_destroy(peer->server);
    grpc_completion_queue_destroy(peer->queue);
    grpc_shutdown_blocking();
    unlink(peer->address + 5);
    rmdir(peer->folder);
}

#endif
