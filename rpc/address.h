/* address.h - where the server may listen: loopback TCP and unix sockets, nothing else.
 *
 * Until TLS and keys exist, whoever reaches a socket is trusted. ADDRESS_REFUSED says so in one
 * sentence. Names are not looked up: "localhost" is 127.0.0.1. */
#ifndef BARY_RPC_ADDRESS_H
#define BARY_RPC_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/un.h>

#include "host/base/error.h"

struct address {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un unix_;
    } socket;
    socklen_t bytes;
    bool is_unix;
};

/* "127.0.0.1:7433", "[::1]:0", "localhost:7433", "unix:/run/bary/baryd.sock", "unix:relative". */
enum status address_parse(const char *text, struct address *out, struct error *error);

/* As it is typed, with the real port. */
void address_print(const struct address *address, char *out, size_t bytes);

#endif
