/* call_core.h - a call inside: what gRPC fills and who may touch it. For call*.c and server.c alone.
 *
 *   NEW --(request)--> OPEN --(answer)--> ENDING --(RECV_CLOSE and all tags back)--> hung up --(refs 0)--> freed
 *
 * In OPEN receiving {idle, reading} and sending {idle, sending} go their ways independently. After
 * `closed` no batch is started any more, so the grpc_call can go when the last tag is back. */
#ifndef BARY_RPC_CALL_CORE_H
#define BARY_RPC_CALL_CORE_H

#include <grpc/grpc.h>

#include "rpc/call.h"
#include "rpc/strand.h"
#include "rpc/tag.h"
#include "rpc/trailer.h"

struct server;

/* A tag of gRPC's completion queue: which operation came back, found in the call without a search. */
struct event {
    void (*fn)(struct event *event, bool ok);
};

/* The steps of a strand; lower ones first. */
enum step { STEP_BEGIN = 1, STEP_CLOSED = 2, STEP_MESSAGE = 4, STEP_SENT = 8, STEP_WAKE = 16 };

/* How a call ends; slices are ours until the batch is started. */
struct ending {
    grpc_status_code code;
    grpc_slice text, details;
    int64_t pushback_ms; /* -1: none */
    grpc_byte_buffer *message;
};

struct call {
    struct server *server;
    struct call *next, *before; /* in the server's list of live calls; server.lock */
    struct strand strand;
    _Atomic int refs; /* gRPC's side is one, a running strand is one, each hold is one */

    grpc_call *grpc;
    grpc_call_details details;
    grpc_metadata_array metadata;
    struct event on_new, on_close, on_receive, on_send, on_finish;

    const struct method *method;
    struct principal principal;
    char request_id[64];
    int64_t started_ns, deadline_ns, limit_ms; /* deadline_ns INT64_MAX: none */
    bool counted;                              /* against the limit of calls */
    void *state;                               /* the handler's */

    pthread_mutex_t lock; /* guards all below; after server.lock */
    int tags;             /* operations that gRPC has not given back */
    bool initial_sent, reading, sending, ending_wanted, ending_begun, closed;
    bool client_done;  /* the client's stream has ended */
    int64_t active_ns; /* when a message last came or went */
    struct ending ending;
    int cancelled_out;
    grpc_byte_buffer *received, *leaving;
    size_t received_bytes, sent_bytes;
    int code; /* for the metrics; -1: none yet */
};

/* A call that waits for a request of gRPC's. NULL: no memory. One reference, gRPC's. */
struct call *call_new(struct server *server, void (*on_new)(struct event *event, bool ok));
struct call *call_of_new(struct event *on_new);

/* Memory for the handler's state, and the pool for its steps. OUT_OF_MEMORY. */
enum status call_prepare(struct call *call, struct pool *pool, struct error *error);
/* From here on other threads know the call: watches for its end. */
void call_open(struct call *call);
/* Admitted: the step begin, and the first read. On the completion queue's thread. */
void call_begin(struct call *call);
/* Ends it whatever it does: by the answer if nothing is on its way, else the stream is cut. */
void call_cut(struct call *call, const struct error *error);
/* What is overdue at `now_ns`; for every live call, several times a second. */
void call_tick(struct call *call, int64_t now_ns, int64_t idle_ns);

/* call_step.c: what a strand does. */
void call_step(struct strand *strand, unsigned step);

/* method.c: finds the row, asks who calls, what he may and how much there is, then begins or fails. */
void method_admit(struct call *call);

/* server.c: a call that others may wake and cut from now on; one that has hung up. */
void server_link(struct server *server, struct call *call);
void server_forget(struct server *server, struct call *call);
/* One more call, if the limit allows; calls without permission (health) are not counted. */
bool server_count(struct server *server, struct call *call, struct error *error);
struct service *server_service(struct server *server);
struct pool *server_pool(struct server *server, enum track track);
/* Whether a line about a failed call may be logged now; *missed: how many were not, since. */
bool server_may_log(struct server *server, int64_t *missed);

#endif
