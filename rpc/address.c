/* address.c - see address.h. */
#include "rpc/address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum status refuse(struct error *error, const char *text, const char *why)
{
    return FAIL(error, ADDRESS_REFUSED, TEXT("address", text), TEXT("why", why));
}

static enum status unix_parse(const char *text, struct address *out, struct error *error)
{
    const char *path = text + strlen("unix:");

    if (strncmp(path, "//", 2) == 0) /* gRPC's unix:///absolute */
        path += 2;
    if (path[0] == '\0')
        return refuse(error, text, "it names no path");
    if (strlen(path) >= sizeof out->socket.unix_.sun_path)
        return refuse(error, text, "a unix socket's path holds 107 bytes at most");
    *out = (struct address){.is_unix = true, .bytes = sizeof out->socket.unix_};
    out->socket.unix_.sun_family = AF_UNIX;
    memcpy(out->socket.unix_.sun_path, path, strlen(path) + 1);
    return STATUS_OK;
}

/* The port behind the last ':'; -1: there is none. */
static long port_parse(const char *text, const char **colon)
{
    char *end;
    long port;

    *colon = strrchr(text, ':');
    if (!*colon || (*colon)[1] < '0' || (*colon)[1] > '9')
        return -1;
    port = strtol(*colon + 1, &end, 10);
    return *end == '\0' && port <= 65535 ? port : -1;
}

static enum status v6_parse(const char *host, const char *text, long port, struct address *out,
                            struct error *error)
{
    *out = (struct address){.bytes = sizeof out->socket.v6};
    out->socket.v6.sin6_family = AF_INET6;
    out->socket.v6.sin6_port = htons((uint16_t)port);
    if (inet_pton(AF_INET6, host, &out->socket.v6.sin6_addr) != 1)
        return refuse(error, text,
                      "it is no address; 127.0.0.1:PORT, [::1]:PORT and unix:PATH are");
    if (!IN6_IS_ADDR_LOOPBACK(&out->socket.v6.sin6_addr))
        return refuse(error, text,
                      "until TLS and keys exist only loopback and unix sockets are served");
    return STATUS_OK;
}

enum status address_parse(const char *text, struct address *out, struct error *error)
{
    char host[64] = "";
    const char *colon;
    struct address address = {.bytes = sizeof address.socket.v4};
    enum status status;

    if (strncmp(text, "unix:", 5) == 0)
        return unix_parse(text, out, error);
    long port = port_parse(text, &colon);
    if (port < 0 || (size_t)(colon - text) >= sizeof host)
        return refuse(error, text,
                      "it is no address; 127.0.0.1:PORT, [::1]:PORT and unix:PATH are");
    memcpy(host, text, (size_t)(colon - text));
    if (host[0] == '[' && colon[-1] == ']') {
        host[colon - text - 1] = '\0';
        status = v6_parse(host + 1, text, port, &address, error);
        if (status == STATUS_OK)
            *out = address;
        return status;
    }
    address.socket.v4.sin_family = AF_INET;
    address.socket.v4.sin_port = htons((uint16_t)port);
    if (strcmp(host, "localhost") == 0)
        address.socket.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    else if (inet_pton(AF_INET, host, &address.socket.v4.sin_addr) != 1)
        return refuse(error, text,
                      "until TLS and keys exist only loopback and unix sockets are served");
    if (ntohl(address.socket.v4.sin_addr.s_addr) >> 24 != 127)
        return refuse(error, text,
                      "until TLS and keys exist only loopback and unix sockets are served");
    *out = address;
    return STATUS_OK;
}

void address_print(const struct address *address, char *out, size_t bytes)
{
    char host[INET6_ADDRSTRLEN] = "";

    if (address->is_unix) {
        snprintf(out, bytes, "unix:%s", address->socket.unix_.sun_path);
    } else if (address->socket.any.sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &address->socket.v6.sin6_addr, host, sizeof host);
        snprintf(out, bytes, "[%s]:%u", host, (unsigned)ntohs(address->socket.v6.sin6_port));
    } else {
        inet_ntop(AF_INET, &address->socket.v4.sin_addr, host, sizeof host);
        snprintf(out, bytes, "%s:%u", host, (unsigned)ntohs(address->socket.v4.sin_port));
    }
}
