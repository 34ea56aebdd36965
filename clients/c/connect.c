/* connect.c - a channel to one server, and whether somebody answers on it. */
#include <grpc/grpc_security.h>
#include <grpc/support/time.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "clients/c/call.h"

enum {
    CONNECT_ONCE_MS = 10000, /* one try, when no time-out is given */
    RECONNECT_MS = 100,      /* pause between tries while a server starts */
    RECONNECT_MAX_MS = 2000,
    PAUSE_FIRST_MS = 100, /* between attempts of a call, doubled each time */
    PAUSE_MAX_MS = 5000,
    PAUSE_SLICE_MS = 100, /* a stop is noticed so soon */
    KEEPALIVE_MS = 30000, /* a silent peer is noticed after this and the time-out */
    KEEPALIVE_ANSWER_MS = 20000
};

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool valid_port(const char *text)
{
    size_t digits = strspn(text, "0123456789");
    long port = strtol(text, NULL, 10);

    return digits > 0 && digits <= 5 && text[digits] == 0 && port > 0 && port < 65536;
}

static bool valid_address(const char *address)
{
    const char *colon = strrchr(address, ':');

    if (strncmp(address, "unix:", 5) == 0)
        return address[5] != 0 && strlen(address) < 120;
    return colon && colon > address && strlen(address) < 250 && valid_port(colon + 1) &&
           !strpbrk(address, "/ ,") && strstr(address, "://") == NULL;
}

/* Our own retries obey baryc.h's rule 4, so gRPC's are off: they would also keep chunks in memory.
 * A proxy from the environment never stands between a client and its server. */
static grpc_channel *make_channel(const char *address)
{
    grpc_arg args[] = {
        {.type = GRPC_ARG_INTEGER, .key = (char *)GRPC_ARG_ENABLE_RETRIES, .value.integer = 0},
        {.type = GRPC_ARG_INTEGER, .key = (char *)GRPC_ARG_ENABLE_HTTP_PROXY, .value.integer = 0},
        {.type = GRPC_ARG_INTEGER,
         .key = (char *)GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL,
         .value.integer = 1},
        {.type = GRPC_ARG_INTEGER,
         .key = (char *)GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS,
         .value.integer = RECONNECT_MS},
        {.type = GRPC_ARG_INTEGER,
         .key = (char *)GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, /* what one connect may take */
         .value.integer = CONNECT_ONCE_MS},
        {.type = GRPC_ARG_INTEGER,
         .key = (char *)GRPC_ARG_MAX_RECONNECT_BACKOFF_MS,
         .value.integer = RECONNECT_MAX_MS},
        {.type = GRPC_ARG_INTEGER,
         .key = (char *)GRPC_ARG_KEEPALIVE_TIME_MS,
         .value.integer = KEEPALIVE_MS},
        {.type = GRPC_ARG_INTEGER,
         .key = (char *)GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
         .value.integer = KEEPALIVE_ANSWER_MS},
        {.type = GRPC_ARG_INTEGER, /* a watch may be silent for hours: keep asking */
         .key = (char *)GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA,
         .value.integer = 0},
    };
    grpc_channel_args list = {sizeof args / sizeof args[0], args};
    grpc_channel_credentials *plain = grpc_insecure_credentials_create();
    grpc_channel *channel = grpc_channel_create(address, plain, &list);

    grpc_channel_credentials_release(plain);
    return channel;
}

/* Waits for another state of the channel than *state, at most ms, and sets it. */
static void await_change(const struct baryc *connection, grpc_completion_queue *queue, int64_t ms,
                         grpc_connectivity_state *state)
{
    gpr_timespec until =
        gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(ms, GPR_TIMESPAN));

    grpc_channel_watch_connectivity_state(connection->channel, *state, until, queue, queue);
    grpc_completion_queue_next(queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
    *state = grpc_channel_check_connectivity_state(connection->channel, 1);
}

/* gRPC core connects only while somebody waits on a completion queue: a sleep here would leave a
 * server that came back unnoticed for 5 s, the pace of core's backup poller. */
void baryc_pause(const struct baryc *connection, const struct baryc_error *error, int attempt,
                 const struct baryc_options *options)
{
    grpc_completion_queue *queue = grpc_completion_queue_create_for_next(NULL);
    grpc_connectivity_state state = grpc_channel_check_connectivity_state(connection->channel, 1);
    bool lost = state != GRPC_CHANNEL_READY;
    int64_t ms = (int64_t)PAUSE_FIRST_MS << (attempt < 6 ? attempt : 6);

    if (ms < error->retry_ms)
        ms = error->retry_ms;
    int64_t until = now_ms() + (ms < PAUSE_MAX_MS ? ms : PAUSE_MAX_MS);
    while (now_ms() < until && !baryc_stopped(options)) {
        int64_t left = until - now_ms();
        await_change(connection, queue, left < PAUSE_SLICE_MS ? left : PAUSE_SLICE_MS, &state);
        if (lost && state == GRPC_CHANNEL_READY)
            break;
    }
    grpc_completion_queue_shutdown(queue);
    grpc_completion_queue_next(queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
    grpc_completion_queue_destroy(queue);
}

/* Only a call brings the reason; the channel's state alone does not. */
static int ask_once(struct baryc *connection, int64_t timeout_ms, struct baryc_error *error)
{
    Bary__V1__GetServerRequest request = BARY__V1__GET_SERVER_REQUEST__INIT;
    Bary__V1__Server *server = NULL;
    struct baryc_options options = {.timeout_ms = timeout_ms, .attempts = 1};
    int code = baryc_server_get(connection, &request, &options, &server, error);

    baryc_free(server);
    return code;
}

/* A server that answers at all is there, whatever it answers. */
static int wait_ready(struct baryc *connection, int64_t timeout_ms, struct baryc_error *error)
{
    int64_t until = now_ms() + timeout_ms;
    struct baryc_error last;

    for (int attempt = 0;; attempt++) {
        int64_t left = timeout_ms > 0 ? until - now_ms() : CONNECT_ONCE_MS;
        int code = ask_once(connection, left > 0 ? left : 1, &last);
        if (code != GRPC_STATUS_UNAVAILABLE && code != GRPC_STATUS_DEADLINE_EXCEEDED)
            return 0;
        if (code == GRPC_STATUS_UNAVAILABLE && strcmp(last.reason, "UNREACHABLE") != 0)
            return 0;
        if (timeout_ms == 0 || now_ms() >= until) {
            if (code == GRPC_STATUS_DEADLINE_EXCEEDED)
                BARYC_FAIL(&last, UNREACHABLE, "address", connection->address, "why",
                           "no answer in time");
            if (error)
                *error = last;
            return GRPC_STATUS_UNAVAILABLE;
        }
        last.retry_ms = 0;
        baryc_pause(connection, &last, 0, NULL);
    }
}

int baryc_connect(const char *address, int64_t timeout_ms, struct baryc **out,
                  struct baryc_error *error)
{
    if (!valid_address(address))
        return BARYC_FAIL(error, OUT_OF_RANGE, "what", "the server's address", "value", address,
                          "limit", "HOST:PORT or unix:PATH");

    struct baryc *connection = calloc(1, sizeof *connection);
    if (!connection)
        return BARYC_FAIL(error, OUT_OF_MEMORY, "what", "a connection", "needed", "264", "retry_ms",
                          "1000");
    grpc_init();
    snprintf(connection->address, sizeof connection->address, "%s", address);
    connection->channel = make_channel(address);
    int code = wait_ready(connection, timeout_ms, error);
    if (code == 0)
        *out = connection;
    else
        baryc_disconnect(&connection);
    return code;
}

void baryc_disconnect(struct baryc **connection)
{
    if (!*connection)
        return;
    grpc_channel_destroy((*connection)->channel);
    free(*connection);
    *connection = NULL;
    grpc_shutdown_blocking();
}
