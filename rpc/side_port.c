/* side_port.c - see side_port.h. */
#include "rpc/side_port.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "host/base/memory.h"
#include "rpc/address.h"

enum { CONNECTIONS_MAX = 64, IDLE_S = 10, CONNECTION_BYTES = 16 << 10 };

struct side_port {
    struct MHD_Daemon *daemon;
    struct service *service;
    char address[128];
};

static enum MHD_Result respond(struct MHD_Connection *connection, unsigned code, const char *type,
                               struct MHD_Response *response)
{
    enum MHD_Result result;

    if (!response)
        return MHD_NO;
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    result = MHD_queue_response(connection, code, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result respond_word(struct MHD_Connection *connection, unsigned code,
                                    const char *word)
{
    return respond(connection, code, "text/plain; charset=utf-8",
                   MHD_create_response_from_buffer(strlen(word), (void *)(uintptr_t)word,
                                                   MHD_RESPMEM_PERSISTENT));
}

static enum MHD_Result on_livez(struct side_port *port, struct MHD_Connection *connection)
{
    return service_alive(port->service)
               ? respond_word(connection, MHD_HTTP_OK, "ok\n")
               : respond_word(connection, MHD_HTTP_SERVICE_UNAVAILABLE, "the dispatcher stands\n");
}

static enum MHD_Result on_readyz(struct side_port *port, struct MHD_Connection *connection)
{
    return service_serving(port->service)
               ? respond_word(connection, MHD_HTTP_OK, "ok\n")
               : respond_word(connection, MHD_HTTP_SERVICE_UNAVAILABLE, "not serving\n");
}

static enum MHD_Result on_metrics(struct side_port *port, struct MHD_Connection *connection)
{
    size_t bytes;
    char *page = service_metrics(port->service, &bytes);

    if (!page)
        return respond_word(connection, MHD_HTTP_INTERNAL_SERVER_ERROR, "out of memory\n");
    return respond(connection, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8",
                   MHD_create_response_from_buffer_with_free_callback(bytes, page, memory_free));
}

static const struct page {
    const char *path;
    enum MHD_Result (*answer)(struct side_port *port, struct MHD_Connection *connection);
} PAGES[] = {{"/livez", on_livez}, {"/readyz", on_readyz}, {"/metrics", on_metrics}};

static enum MHD_Result on_request(void *port, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_bytes, void **state)
{
    (void)version;
    (void)upload;
    (void)state;
    *upload_bytes = 0; /* nothing that is sent is looked at */
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
        return respond_word(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "GET alone\n");
    for (size_t i = 0; i < sizeof PAGES / sizeof *PAGES; i++)
        if (strcmp(PAGES[i].path, path) == 0)
            return PAGES[i].answer(port, connection);
    return respond_word(connection, MHD_HTTP_NOT_FOUND, "/metrics, /livez, /readyz\n");
}

static enum status daemon_start(struct side_port *port, struct address *address, const char *text,
                                struct error *error)
{
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_AUTO;
    const union MHD_DaemonInfo *info;

    if (address->socket.any.sa_family == AF_INET6)
        flags |= MHD_USE_IPv6;
    port->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, port, MHD_OPTION_SOCK_ADDR, &address->socket.any,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES,
        MHD_OPTION_LISTENING_ADDRESS_REUSE, 0U, MHD_OPTION_END);
    if (!port->daemon)
        return FAIL(error, ADDRESS_IN_USE, TEXT("address", text),
                    TEXT("why", errno ? strerror(errno) : "it cannot be bound"));
    info = MHD_get_daemon_info(port->daemon, MHD_DAEMON_INFO_BIND_PORT);
    if (address->socket.any.sa_family == AF_INET6)
        address->socket.v6.sin6_port = htons(info->port);
    else
        address->socket.v4.sin_port = htons(info->port);
    address_print(address, port->address, sizeof port->address);
    return STATUS_OK;
}

enum status side_port_start(const char *text, struct service *service, struct side_port **out,
                            struct error *error)
{
    struct side_port *port = memory_zeroed(1, sizeof *port);
    struct address address;
    enum status status;

    if (!port)
        return FAIL(error, OUT_OF_MEMORY, TEXT("what", "the side port"),
                    INT("needed", sizeof *port), INT("retry_ms", 1000));
    port->service = service;
    TRY(address_parse(text, &address, error));
    if (address.is_unix)
        TRY(FAIL(error, ADDRESS_REFUSED, TEXT("address", text),
                 TEXT("why", "the side port speaks HTTP over loopback TCP alone")));
    TRY(daemon_start(port, &address, text, error));
    *out = port;
out:
    if (status != STATUS_OK)
        memory_free(port);
    return status;
}

void side_port_stop(struct side_port **port)
{
    if (!*port)
        return;
    MHD_stop_daemon((*port)->daemon);
    memory_free(*port);
    *port = NULL;
}

const char *side_port_address(const struct side_port *port)
{
    return port ? port->address : "";
}
