/* call.h - one gRPC call as a small machine: what baryc.h's functions are made of.
 *
 *  1. A call belongs to the thread that opened it, and so does its completion queue.
 *  2. At most one message is being sent and one being received at a time (gRPC core's rule).
 *  3. Operations are posted, call_next says which one ended; call_close waits for the rest.
 */
#ifndef BARY_CLIENTS_C_CALL_H
#define BARY_CLIENTS_C_CALL_H

#include <grpc/grpc.h>

#include "clients/c/baryc.h"
#include "proto/status.h"

struct baryc {
    grpc_channel *channel;
    char address[256]; /* as the user wrote it */
};

enum baryc_repeat { BARYC_REPEAT_NEVER, BARYC_REPEAT_KEYED, BARYC_REPEAT_ALWAYS };

struct baryc_method {
    const char *path;
    const ProtobufCMessageDescriptor *request, *response;
    enum baryc_repeat repeat;
};

/* The operations of a call, also its tags in the completion queue. */
enum baryc_event {
    BARYC_NOTHING = 0, /* the time ran out first */
    BARYC_OPENED = 1,
    BARYC_SENT = 2,
    BARYC_SEND_ENDED = 4,
    BARYC_RECEIVED = 8,
    BARYC_STATUS = 16
};

/* Owned by the function that opened it, until baryc_call_close. */
struct baryc_call {
    const struct baryc *connection;
    grpc_completion_queue *queue;
    grpc_call *call;
    grpc_metadata_array initial, trailing;
    grpc_status_code code;
    grpc_slice details;
    grpc_byte_buffer *sending, *received; /* received: NULL after RECEIVED means the end */
    unsigned pending;                     /* operations posted and not yet ended */
    bool broken;                          /* an operation failed: the status says why */
    bool cancelled;                       /* by ourselves */
    int64_t timeout_ms;
    char request_id[37];
};

/* Starts a call. timeout_ms 0: no deadline. */
void baryc_call_open(const struct baryc *connection, const char *path, int64_t timeout_ms,
                     struct baryc_call *call);
/* Posts a message (taken over), the end of messages, the receipt of one. */
void baryc_call_send(struct baryc_call *call, grpc_byte_buffer *message);
void baryc_call_send_end(struct baryc_call *call);
void baryc_call_receive(struct baryc_call *call);
/* The next operation that ended, or BARYC_NOTHING after wait_ms (-1: however long it takes). */
enum baryc_event baryc_call_next(struct baryc_call *call, int64_t wait_ms);
/* Waits for `event`, noting others; asks options->stop meanwhile and then cancels. */
void baryc_call_wait(struct baryc_call *call, enum baryc_event event,
                     const struct baryc_options *options);
void baryc_call_cancel(struct baryc_call *call);
/* Waits for the status, gives everything back. Returns the code and fills the error. */
int baryc_call_close(struct baryc_call *call, const struct baryc_options *options,
                     struct baryc_error *error);

/* One request and one reply, repeated as rule 4 of baryc.h allows. */
int baryc_unary(struct baryc *connection, const struct baryc_method *method,
                const ProtobufCMessage *request, const struct baryc_options *options, void **out,
                struct baryc_error *error);

/* A message as bytes to send, and back. unpack takes the buffer over; NULL: not such a message. */
grpc_byte_buffer *baryc_pack(const ProtobufCMessage *message);
void *baryc_unpack(const ProtobufCMessageDescriptor *descriptor, grpc_byte_buffer *buffer);

/* Copies code, reason, sentence and fields out of a status with its trailing metadata. */
void baryc_error_decode(struct baryc_error *error, const struct baryc_call *call);

/* Fills an error of our own by its row of status.def; `words` are name, value, ..., NULL. Returns its code. */
int baryc_fail(struct baryc_error *error, enum status status, const char *const *words);
#define BARYC_FAIL(error, name, ...) \
    baryc_fail((error), STATUS_##name, (const char *const[]){__VA_ARGS__, NULL})

/* Whether a failed attempt may be made again, and the pause before it: bounded, growing, and over as
 * soon as a lost server is there again. */
bool baryc_worth_repeating(const struct baryc_error *error);
void baryc_pause(const struct baryc *connection, const struct baryc_error *error, int attempt,
                 const struct baryc_options *options);

/* NULL-safe readings of options. */
int64_t baryc_timeout(const struct baryc_options *options, int64_t otherwise);
int baryc_attempts(const struct baryc_options *options);
bool baryc_stopped(const struct baryc_options *options);

#endif
