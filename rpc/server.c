/* server.c - see server.h. */
#include "rpc/server.h"

#include <grpc/grpc_security.h>
#include <grpc/support/time.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "host/base/clock.h"
#include "host/base/log.h"
#include "rpc/accept.h"
#include "rpc/server_core.h"
#include "rpc/service.h"

enum { POSTED = 64, TICK_MS = 100, LOG_LINES_A_SECOND = 20, RETRY_MS = 500 };

static void post_request(struct server *server);

static void on_new(struct event *event, bool ok)
{
    struct call *call = call_of_new(event);
    struct server *server = call->server;

    pthread_mutex_lock(&server->lock);
    server->posted--;
    server->live += ok;
    pthread_mutex_unlock(&server->lock);
    if (!ok) { /* the server shuts down */
        call_drop(call);
        return;
    }
    post_request(server); /* first of all: what nobody requested piles up in gRPC without limit */
    method_admit(call);
}

static void post_request(struct server *server)
{
    struct call *call = call_new(server, on_new);

    if (!call) /* server_tick tries again */
        return;
    pthread_mutex_lock(&server->lock);
    server->posted++;
    pthread_mutex_unlock(&server->lock);
    tag_release(&call->on_new);
    if (grpc_server_request_call(server->grpc, &call->grpc, &call->details, &call->metadata,
                                 server->queue, server->queue, &call->on_new) == GRPC_CALL_OK)
        return;
    pthread_mutex_lock(&server->lock);
    server->posted--;
    pthread_mutex_unlock(&server->lock);
    call_drop(call);
}

/* What gRPC calls the code of a finished call. */
static const char *code_name(int code)
{
    static const char *const NAMES[] = {"OK",
                                        "CANCELLED",
                                        "UNKNOWN",
                                        "INVALID_ARGUMENT",
                                        "DEADLINE_EXCEEDED",
                                        "NOT_FOUND",
                                        "ALREADY_EXISTS",
                                        "PERMISSION_DENIED",
                                        "RESOURCE_EXHAUSTED",
                                        "FAILED_PRECONDITION",
                                        "ABORTED",
                                        "OUT_OF_RANGE",
                                        "UNIMPLEMENTED",
                                        "INTERNAL",
                                        "UNAVAILABLE",
                                        "DATA_LOSS",
                                        "UNAUTHENTICATED"};

    return code >= 0 && code < (int)(sizeof NAMES / sizeof *NAMES) ? NAMES[code] : "CANCELLED";
}

static void count_call(struct metrics *metrics, const struct call *call)
{
    const char *label = call->method ? call->method->label : "other";
    char both[128];

    snprintf(both, sizeof both, "%s,%s", label, code_name(call->code));
    metric_add(metrics, METRIC_rpc_requests_total, both, 1);
    metric_observe(metrics, METRIC_rpc_duration_seconds, label,
                   (double)(clock_ns() - call->started_ns) * 1e-9);
    metric_add(metrics, METRIC_rpc_received_bytes_total, label, (double)call->received_bytes);
    metric_add(metrics, METRIC_rpc_sent_bytes_total, label, (double)call->sent_bytes);
}

void server_link(struct server *server, struct call *call)
{
    pthread_mutex_lock(&server->lock);
    call->next = server->first;
    if (server->first)
        server->first->before = call;
    server->first = call;
    pthread_mutex_unlock(&server->lock);
}

void server_forget(struct server *server, struct call *call)
{
    count_call(server->options.service->metrics, call);
    pthread_mutex_lock(&server->lock);
    if (call->next)
        call->next->before = call->before;
    if (call->before)
        call->before->next = call->next;
    else
        server->first = call->next;
    server->live--;
    if (call->counted)
        server->counted--;
    pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->lock);
}

bool server_count(struct server *server, struct call *call, struct error *error)
{
    int64_t most = service_limits(server->options.service).calls;
    bool good;

    if (call->method->permission == PERMISSION_NONE)
        return true;
    pthread_mutex_lock(&server->lock);
    good = server->counted < most;
    if (good)
        server->counted++;
    call->counted = good;
    pthread_mutex_unlock(&server->lock);
    if (!good)
        FAIL(error, TOO_MANY, INT("count", most), TEXT("what", "calls in progress"),
             INT("retry_ms", RETRY_MS));
    return good;
}

struct service *server_service(struct server *server)
{
    return server->options.service;
}

struct pool *server_pool(struct server *server, enum track track)
{
    return track == SLOW ? server->slow : server->quick;
}

bool server_may_log(struct server *server, int64_t *missed)
{
    int64_t second = clock_ns() / 1000000000;
    bool good;

    pthread_mutex_lock(&server->log_lock);
    if (second != server->log_second) {
        server->log_second = second;
        server->log_lines = 0;
    }
    good = server->log_lines < LOG_LINES_A_SECOND;
    *missed = server->log_missed;
    server->log_lines += good;
    server->log_missed = good ? 0 : server->log_missed + 1;
    pthread_mutex_unlock(&server->log_lock);
    return good;
}

void server_wake(struct server *server, const struct handler *handler)
{
    pthread_mutex_lock(&server->lock);
    for (struct call *call = server->first; call; call = call->next)
        if (call->method && call->method->handler == handler)
            call_wake(call);
    pthread_mutex_unlock(&server->lock);
}

/* Deadlines that gRPC does not watch, idle streams, and requests that could not be posted. */
static void server_tick(struct server *server)
{
    int64_t idle_ns = service_limits(server->options.service).stream_idle_s * 1000000000;
    int64_t now_ns = clock_ns();
    int missing;

    pthread_mutex_lock(&server->lock);
    for (struct call *call = server->first; call; call = call->next)
        call_tick(call, now_ns, idle_ns);
    missing = server->shutting_down ? 0 : POSTED - server->posted;
    pthread_mutex_unlock(&server->lock);
    for (int i = 0; i < missing; i++)
        post_request(server);
}

static void *tick_thread(void *data)
{
    struct server *server = data;

    while (!atomic_load(&server->tick_stopping)) {
        const struct timespec pause = {.tv_nsec = TICK_MS * 1000000L};
        nanosleep(&pause, NULL);
        server_tick(server);
    }
    return NULL;
}

static void *queue_thread(void *data)
{
    struct server *server = data;

    for (;;) {
        grpc_event event =
            grpc_completion_queue_next(server->queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
        if (event.type == GRPC_QUEUE_SHUTDOWN)
            return NULL;
        tag_acquire(event.tag);
        ((struct event *)event.tag)->fn(event.tag, event.success != 0);
    }
}

static enum status thread_start(pthread_t *thread, void *(*run)(void *data), const char *name,
                                struct server *server, struct error *error)
{
    int failed = pthread_create(thread, NULL, run, server);

    if (failed)
        return FAIL(error, IO, TEXT("what", "start a thread"), TEXT("why", strerror(failed)));
    pthread_setname_np(*thread, name);
    return STATUS_OK;
}

enum status server_start(struct server *server, struct error *error)
{
    struct limits limits = service_limits(server->options.service);
    enum status status;

    grpc_server_start(server->grpc);
    server->started = true;
    for (int i = 0; i < server->options.queue_threads; i++) {
        TRY(thread_start(&server->thread[i], queue_thread, "queue", server, error));
        server->threads++;
    }
    TRY(thread_start(&server->tick, tick_thread, "tick", server, error));
    server->ticking = true;
    for (int i = 0; i < POSTED; i++)
        post_request(server);
    TRY(acceptor_start(server->listener, server->listeners, limits.connections,
                       server->options.service->metrics, &server->acceptor, error));
out:
    return status;
}

int server_listeners(const struct server *server, const struct listener **out)
{
    *out = server->listener;
    return server->listeners;
}

bool server_has_tcp(const struct server *server)
{
    for (int i = 0; i < server->listeners; i++)
        if (!server->listener[i].address.is_unix)
            return true;
    return false;
}

void server_set_limits(struct server *server, const struct limits *limits)
{
    atomic_store(&server->options.service->unpack.most, limits->unpack_bytes);
    if (server->acceptor)
        acceptor_set_most(server->acceptor, limits->connections);
}
