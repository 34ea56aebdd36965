/* server_life.c - how a server comes and goes: its settings, and the one right order of ending.
 *
 * gRPC's defaults are not safe: it buffers whole messages and inflates before it looks, opens its
 * windows as far as a client likes, and lets a second server bind the same port. Each argument below
 * closes one of these. */
#include <assert.h>
#include <grpc/grpc_security.h>
#include <stddef.h>
#include <string.h>

#include "host/base/clock.h"
#include "host/base/log.h"
#include "rpc/accept.h"
#include "rpc/server_core.h"
#include "rpc/service.h"

enum {
    QUOTA_BYTES =
        96 << 20, /* a fuse: 24 messages of 4 MiB under way; 64 cut streams of 64 clients */
    LOOKAHEAD_BYTES =
        1 << 20, /* what a stream may send ahead; 64 KiB halved the speed of uploads */
    RECEIVE_BYTES_MAX = 64 << 20, /* over MESSAGE_BYTES_MAX: our own error is the better one */
    HANDSHAKE_MS = 5000,
    KEEPALIVE_MS = 40000,
    KEEPALIVE_TIMEOUT_MS = 20000,
    PING_INTERVAL_MIN_MS = 10000,
    CONNECTION_IDLE_MS = 900000,
    IDENTITY_ONLY = 1, /* bit of the encoding "identity" */
    ARGS_MAX = 16 + SERVER_LISTENERS_MAX,
    SETTLE_NS_MAX = 1000000000
};

static void *pointer_copy(void *pointer)
{
    return pointer;
}
static void pointer_destroy(void *pointer)
{
    (void)pointer;
}
static int pointer_compare(void *a, void *b)
{
    return a < b ? -1 : a > b;
}
static const grpc_arg_pointer_vtable BORROWED = {pointer_copy, pointer_destroy, pointer_compare};

struct settings {
    grpc_arg arg[ARGS_MAX];
    grpc_channel_args args;
};

static void settings_number(struct settings *settings, const char *key, int value)
{
    assert(settings->args.num_args < ARGS_MAX);
    settings->arg[settings->args.num_args++] =
        (grpc_arg){.type = GRPC_ARG_INTEGER, .key = (char *)(uintptr_t)key, .value.integer = value};
}

static void settings_pointer(struct settings *settings, const char *key, void *pointer,
                             const grpc_arg_pointer_vtable *vtable)
{
    assert(settings->args.num_args < ARGS_MAX);
    settings->arg[settings->args.num_args++] =
        (grpc_arg){.type = GRPC_ARG_POINTER,
                   .key = (char *)(uintptr_t)key,
                   .value.pointer = {.p = pointer, .vtable = vtable}};
}

static void settings_fill(struct settings *settings, struct server *server,
                          const struct limits *limits, grpc_resource_quota *quota)
{
    const struct {
        const char *key;
        int value;
    } numbers[] = {
        {GRPC_ARG_HTTP2_BDP_PROBE, 0},
        {GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, LOOKAHEAD_BYTES},
        {GRPC_ARG_MAX_CONCURRENT_STREAMS, (int)limits->streams_per_connection},
        {GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, RECEIVE_BYTES_MAX},
        {GRPC_ARG_MAX_METADATA_SIZE, METADATA_BYTES_MAX},
        {GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, IDENTITY_ONLY},
        {GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, HANDSHAKE_MS},
        {GRPC_ARG_KEEPALIVE_TIME_MS, KEEPALIVE_MS},
        {GRPC_ARG_KEEPALIVE_TIMEOUT_MS, KEEPALIVE_TIMEOUT_MS},
        {GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1},
        {GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, PING_INTERVAL_MIN_MS},
        {GRPC_ARG_MAX_CONNECTION_IDLE_MS, CONNECTION_IDLE_MS},
        {GRPC_ARG_ALLOW_REUSEPORT, 0},
    };

    settings->args = (grpc_channel_args){.args = settings->arg};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        settings_number(settings, numbers[i].key, numbers[i].value);
    settings_pointer(settings, GRPC_ARG_RESOURCE_QUOTA, quota, grpc_resource_quota_arg_vtable());
    for (int i = 0; i < server->listeners; i++)
        settings_pointer(settings, server->listener[i].key, &server->listener[i].handler,
                         &BORROWED);
}

static enum status grpc_open(struct server *server, struct error *error)
{
    struct limits limits = service_limits(server->options.service);
    grpc_resource_quota *quota = grpc_resource_quota_create("bary");
    grpc_server_credentials *credentials = grpc_insecure_server_credentials_create();
    struct settings settings;
    enum status status = STATUS_OK;

    grpc_resource_quota_resize(quota, QUOTA_BYTES);
    settings_fill(&settings, server, &limits, quota);
    server->grpc = grpc_server_create(&settings.args, NULL);
    grpc_resource_quota_unref(quota);
    server->queue = grpc_completion_queue_create_for_next(NULL);
    grpc_server_register_completion_queue(server->grpc, server->queue, NULL);
    for (int i = 0; i < server->listeners; i++) {
        /* 0 is success here; what counts is the handler that it leaves */
        grpc_server_add_http2_port(server->grpc, server->listener[i].key, credentials);
        if (!server->listener[i].handler)
            status = FAIL(error, IO, TEXT("what", "accept connections for gRPC"),
                          TEXT("why", "this libgrpc has no external listeners"));
    }
    grpc_server_credentials_release(credentials);
    return status;
}

static void lock_init(struct server *server)
{
    pthread_condattr_t monotonic;

    pthread_mutex_init(&server->lock, NULL);
    pthread_mutex_init(&server->log_lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&server->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

enum status server_new(const struct server_options *options, struct server **out,
                       struct error *error)
{
    struct server *server = memory_zeroed(1, sizeof *server);
    enum status status;

    if (!server)
        return FAIL(error, OUT_OF_MEMORY, TEXT("what", "the server"), INT("needed", sizeof *server),
                    INT("retry_ms", 1000));
    server->options = *options;
    if (server->options.queue_threads > QUEUE_THREADS_MAX)
        server->options.queue_threads = QUEUE_THREADS_MAX;
    lock_init(server);
    if (options->listen_count > SERVER_LISTENERS_MAX)
        TRY(FAIL(error, BAD_CONFIG, TEXT("where", "listen"), TEXT("why", "16 addresses at most")));
    for (int i = 0; i < options->listen_count; i++) {
        TRY(listener_open(options->listen[i], i, &server->listener[i], error));
        server->listeners++;
    }
    TRY(pool_start(options->pool_threads, "quick", &server->quick, error));
    TRY(pool_start(options->pool_threads, "slow", &server->slow, error));
    TRY(grpc_open(server, error));
    *out = server;
out:
    if (status != STATUS_OK)
        server_free(&server);
    return status;
}

void server_quiet(struct server *server)
{
    acceptor_stop(&server->acceptor);
    for (int i = 0; i < server->listeners; i++)
        listener_close(&server->listener[i]);
}

static void on_shutdown(struct event *event, bool ok)
{
    struct server *server =
        (struct server *)(void *)((char *)event - offsetof(struct server, on_shutdown));

    (void)ok;
    pthread_mutex_lock(&server->lock);
    server->down = true;
    pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->lock);
}

/* Streams that end only when somebody ends them. */
static bool endless(const struct call *call)
{
    return call->method && call->method->permission == PERMISSION_NONE &&
           call->method->kind != UNARY;
}

void server_drain_begin(struct server *server)
{
    struct error error;

    FAIL(&error, DRAINING, INT("retry_ms", 1000));
    pthread_mutex_lock(&server->lock);
    server->shutting_down = true;
    for (struct call *call = server->first; call; call = call->next)
        if (endless(call))
            call_fail(call, &error);
    pthread_mutex_unlock(&server->lock);
    server->on_shutdown.fn = on_shutdown;
    tag_release(&server->on_shutdown);
    grpc_server_shutdown_and_notify(server->grpc, server->queue, &server->on_shutdown);
}

/* Under the lock: until nothing lives, or until then. False: something lives. */
static bool wait_down(struct server *server, int64_t until_ns)
{
    const struct timespec until = {.tv_sec = until_ns / 1000000000,
                                   .tv_nsec = until_ns % 1000000000};
    int late = 0;

    while (!(server->down && server->live == 0) && late == 0)
        late = pthread_cond_timedwait(&server->changed, &server->lock, &until);
    return server->down && server->live == 0;
}

void server_drain_end(struct server *server, int64_t deadline_ns)
{
    bool ended = true;

    if (server->threads > 0) {
        pthread_mutex_lock(&server->lock);
        ended = wait_down(server, deadline_ns);
        if (!ended) {
            LOG(LOG_WARNING, "drain_cut", INT("calls", server->live));
            pthread_mutex_unlock(&server->lock);
            grpc_server_cancel_all_calls(server->grpc);
            pthread_mutex_lock(&server->lock);
            while (!wait_down(server, clock_ns() + SETTLE_NS_MAX))
                LOG(LOG_WARNING, "drain_waits", INT("calls", server->live));
        }
        pthread_mutex_unlock(&server->lock);
    }
    if (server->ticking) {
        atomic_store(&server->tick_stopping, true);
        pthread_join(server->tick, NULL);
        server->ticking = false;
    }
    pool_stop(server->quick);
    pool_stop(server->slow);
}

static void grpc_close(struct server *server)
{
    if (!server->shutting_down)
        server_drain_begin(server);
    grpc_completion_queue_shutdown(server->queue);
    for (int i = 0; i < server->threads; i++)
        pthread_join(server->thread[i], NULL);
    while (
        server->threads == 0 &&
        grpc_completion_queue_next(server->queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL).type !=
            GRPC_QUEUE_SHUTDOWN)
        ;
    grpc_server_destroy(server->grpc);
    grpc_completion_queue_destroy(server->queue);
}

void server_free(struct server **server_)
{
    struct server *server = *server_;

    if (!server)
        return;
    server_quiet(server);
    if (server->grpc)
        grpc_close(server);
    pool_free(&server->quick);
    pool_free(&server->slow);
    pthread_cond_destroy(&server->changed);
    pthread_mutex_destroy(&server->lock);
    pthread_mutex_destroy(&server->log_lock);
    memory_free(server);
    *server_ = NULL;
}
