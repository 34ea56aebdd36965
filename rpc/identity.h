/* identity.h - who is at the other end.
 *
 * Until credentials exist there is one answer: whoever reached a socket of ours (loopback, or a unix
 * socket whose peer has our own uid) is `local`. */
#ifndef BARY_RPC_IDENTITY_H
#define BARY_RPC_IDENTITY_H

#include <stddef.h>

#include "host/auth/auth.h"

/* `peer` as gRPC prints it: "unix:", "ipv4:127.0.0.1:53122". */
struct principal identity_of_peer(const char *peer);

/* 16 random hexadecimal digits: a request's id for logs and replies. */
void identity_make_id(char *out, size_t bytes);

#endif
