/* daemon.h - everything of a server in the order of its life. */
#ifndef BARY_RPC_DAEMON_H
#define BARY_RPC_DAEMON_H

#include "rpc/config.h"
#include "rpc/service.h"

struct side_port;

struct daemon {
    const struct config *config;
    struct service service;
    struct server *server;
    struct side_port *side_port;
    _Atomic bool hurry; /* a second SIGTERM */
};

/* Opens state, devices, listeners, side port; serves when it returns. On failure all is closed. */
enum status daemon_start(struct daemon *daemon, const struct config *config, struct error *error);

/* Not ready, notice, drain, end: within the configuration's times, at once when `hurry` is set. */
void daemon_drain(struct daemon *daemon);
/* False: a thread hangs inside a device; see dispatcher_stop. */
bool daemon_stop(struct daemon *daemon);

/* Limits and level of the configuration, which was read anew. */
void daemon_reload(struct daemon *daemon);
/* Once a second. */
void daemon_tick(struct daemon *daemon);

/* What the process ends with after such an error. */
int daemon_exit_code(enum status status);

#endif
