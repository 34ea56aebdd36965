/* server.h - gRPC's server: its settings, its threads, its calls from the first to the last.
 *
 * Order of a life: server_new, server_start (listens), server_quiet (no new connection), server_drain
 * (GOAWAY, running calls end or are cut at the deadline), server_free. */
#ifndef BARY_RPC_SERVER_H
#define BARY_RPC_SERVER_H

#include "rpc/call.h"
#include "rpc/listener.h"

struct server;
struct limits;

struct server_options {
    const char *const *listen; /* addresses as typed */
    int listen_count;
    int queue_threads; /* of the completion queue */
    int pool_threads;  /* of each pool */
    struct service *service;
};

/* Binds the listeners. ADDRESS_REFUSED, ADDRESS_IN_USE, OUT_OF_MEMORY, IO. */
enum status server_new(const struct server_options *options, struct server **out,
                       struct error *error);
enum status server_start(struct server *server, struct error *error);

/* The addresses with their real ports. */
int server_listeners(const struct server *server, const struct listener **out);
/* Whether any of them is TCP. */
bool server_has_tcp(const struct server *server);
void server_set_limits(struct server *server, const struct limits *limits);

/* Wakes every call of this handler: what they watch has changed. */
void server_wake(struct server *server, const struct handler *handler);

void server_quiet(struct server *server);
/* Returns when every call has ended; those that live at `deadline_ns` are cut. */
void server_drain_begin(struct server *server);
void server_drain_end(struct server *server, int64_t deadline_ns);
void server_free(struct server **server);

#endif
