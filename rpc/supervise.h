/* supervise.h - what the server tells those who started it, and how it notices that they are gone. */
#ifndef BARY_RPC_SUPERVISE_H
#define BARY_RPC_SUPERVISE_H

#include <stdbool.h>
#include <sys/types.h>

#include "rpc/server.h"

/* One line of JSON: {"event":"ready","listen":[...],"http":"...","pid":...}. fd -1: standard output. */
void supervise_ready(int fd, const struct server *server, const char *http);

/* systemd's protocol: "READY=1", "STOPPING=1", "RELOADING=1" to $NOTIFY_SOCKET; nothing without it. */
void supervise_notify(const char *words);
/* How often WATCHDOG=1 is due, in ms; 0: nobody asks for it. */
int supervise_watchdog_ms(void);

/* For --private: whether the parent is still there. */
bool supervise_bind_to_parent(pid_t parent);
/* Whether standard input was closed at its other end, without waiting. */
bool supervise_input_closed(void);

#endif
