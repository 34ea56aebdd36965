/* listener.h - one bound socket: loopback TCP, or a unix socket that is ours alone.
 *
 * A unix socket has mode 0600, in a folder that nobody else can write to (made 0700 where it is
 * missing), and a lock beside it: only who holds PATH.lock may remove and bind PATH. */
#ifndef BARY_RPC_LISTENER_H
#define BARY_RPC_LISTENER_H

#include <sys/stat.h>

#include "rpc/address.h"

struct listener {
    struct address address;
    char text[128];  /* "127.0.0.1:7433", with the real port */
    char key[32];    /* "external:0": how gRPC knows it */
    int fd, lock_fd; /* -1: none */
    ino_t inode;     /* of the unix socket's name */
    void *handler;   /* gRPC's, see accept.h */
};

/* Binds and listens. ADDRESS_REFUSED, ADDRESS_IN_USE. On failure nothing is left behind. */
enum status listener_open(const char *text, int index, struct listener *out, struct error *error);
void listener_close(struct listener *listener); /* twice is fine */

#endif
