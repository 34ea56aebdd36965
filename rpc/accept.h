/* accept.h - the server's own accept loop: one thread for all listeners.
 *
 * gRPC's own listener stops for ever after it once ran out of descriptors, has no cap, and cannot
 * ask who is at the other end of a unix socket. So sockets are accepted here, checked, counted, and
 * handed to gRPC, which owns and closes them from then on.
 *
 * 1. acceptor_start after grpc_server_start, acceptor_stop before the server's shutdown.
 * 2. A peer of another uid on a unix socket is closed at once, as is everybody over the cap.
 * 3. Without descriptors a client is turned away and the loop goes on. */
#ifndef BARY_RPC_ACCEPT_H
#define BARY_RPC_ACCEPT_H

#include "host/metrics/metrics.h"
#include "rpc/listener.h"

/* Defined in accept_shim.cc: the one call that gRPC offers in C++ alone. */
void accept_hand_over(void *handler, int listener_fd, int fd);

struct acceptor;
/* Borrows the listeners until acceptor_stop. */
enum status acceptor_start(struct listener *listener, int count, int64_t connections_max,
                           struct metrics *metrics, struct acceptor **out, struct error *error);
void acceptor_stop(struct acceptor **acceptor); /* NULL is fine */
void acceptor_set_most(struct acceptor *acceptor, int64_t connections_max);

#endif
