/* call.h - one call, as a handler sees it. No handler sees a type of gRPC.
 *
 *  1. A call's steps run one at a time, each on some thread: begin, message, sent, wake, closed.
 *  2. A call is answered once: call_reply, call_finish or call_fail. What comes after it is ignored,
 *     and so is all that is sent to a client that went away; call_over tells.
 *  3. call_read asks for the client's next message. The first is asked for by the call itself, the
 *     next only by the handler, when it has done with the one before: that is all the backpressure.
 *  4. One message is sent at a time; `sent` says when the next may go.
 *  5. Who keeps a call beyond a step (a callback) holds it: call_hold, call_drop. The state goes with
 *     the last hold, after `end`.
 *  6. `closed` comes when the client went away or the deadline passed before the answer, once. */
#ifndef BARY_RPC_CALL_H
#define BARY_RPC_CALL_H

#include <protobuf-c/protobuf-c.h>

#include "host/auth/auth.h"
#include "rpc/buffer.h"

struct call;
struct service;
struct spans;

enum kind { UNARY, CLIENT_STREAM, SERVER_STREAM, BIDI };

/* Where a call's steps run: on the completion queue's thread (tiny ones), among the quick ones, or
 * among those that may block on a disk or a long computation. */
enum track { INLINE, QUICK, SLOW };

/* What a method does. NULL steps do nothing. */
struct handler {
    size_t state_bytes;                                       /* zeroed, see call_state */
    void (*begin)(struct call *call);                         /* admitted, nothing read yet */
    void (*message)(struct call *call, const void *in);       /* NULL: the client's stream ended */
    void (*bytes)(struct call *call, const struct spans *in); /* instead: not unpacked */
    void (*sent)(struct call *call);
    void (*wake)(struct call *call); /* after call_wake */
    void (*closed)(struct call *call);
    void (*end)(struct call *call); /* gives back what the state holds */
};

struct method {
    const char *path;  /* "/bary.v1.ClusteringService/Fit" */
    const char *label; /* "ClusteringService/Fit": of metrics and logs */
    enum kind kind;
    const ProtobufCMessageDescriptor *in;
    enum permission permission;
    enum track track;
    size_t message_max;
    const struct handler *handler;
};

void *call_state(struct call *call);
struct service *call_service(struct call *call);
const struct principal *call_principal(struct call *call);
const struct method *call_method(struct call *call);
int64_t call_deadline_ns(struct call *call); /* clock_ns; INT64_MAX: none */
bool call_over(struct call *call);

void call_read(struct call *call);
/* Sends a message: of a unary call with its end, of a stream alone. Big fields are borrowed under the
 * keeper (NULL: copied), whose reference is taken. */
void call_reply(struct call *call, const ProtobufCMessage *message, struct keeper *keeper);
void call_send(struct call *call, const ProtobufCMessage *message, struct keeper *keeper);
void call_finish(struct call *call);
void call_fail(struct call *call, const struct error *error);

void call_hold(struct call *call);
void call_drop(struct call *call);
/* Asks for the step `wake`, from any thread; several may become one. */
void call_wake(struct call *call);

#endif
