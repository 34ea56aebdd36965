/* daemon.c - see daemon.h. What is opened in one order is closed in the other. */
#include "rpc/daemon.h"

#include <grpc/grpc.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "host/base/clock.h"
#include "host/base/machine.h"
#include "rpc/method.h"
#include "rpc/reflection.h"
#include "rpc/request_ids.h"
#include "rpc/server.h"
#include "rpc/side_port.h"

enum { STEP_MS = 20 };
/* Between the last job's end and the calls that hear of it. */
static const int64_t ANSWER_NS = 2000000000;
static const int64_t SOON_NS = 500000000;

static enum status service_open(struct service *service, const struct config *config,
                                struct error *error)
{
    enum status status;

    pthread_mutex_init(&service->lock, NULL);
    service->limits = config->limits;
    atomic_store(&service->unpack.most, config->limits.unpack_bytes);
    service->started_wall_ns = clock_wall_ns();
    service->memory_budget = machine_memory_budget(&service->memory_source);
    if (config->memory && config->memory < service->memory_budget) {
        service->memory_budget = config->memory;
        service->memory_source = "option memory";
    }
    service->threads = machine_threads(&service->threads_source);
    if (config->threads) {
        service->threads = config->threads;
        service->threads_source = "option threads";
    }
    service->metrics = metrics_new();
    service->ledger = ledger_new(service->memory_budget);
    service->request_ids = request_ids_new();
    if (!service->metrics || !service->ledger || !service->request_ids)
        TRY(FAIL(error, OUT_OF_MEMORY, TEXT("what", "the start"), INT("needed", 1 << 20),
                 INT("retry_ms", 1000)));
    TRY(reflection_new(&service->reflection, error));
    TRY(catalog_open(config->state, &config->limits, service->ledger, &service->catalog, error));
    catalog_set_metrics(service->catalog, service->metrics);
    metric_set(service->metrics, METRIC_config_reload_success, "", 1);
out:
    return status;
}

static void service_close(struct service *service)
{
    if (service->catalog)
        catalog_close(&service->catalog);
    reflection_free(&service->reflection);
    request_ids_free(&service->request_ids);
    ledger_free(&service->ledger);
    metrics_free(&service->metrics);
    pthread_mutex_destroy(&service->lock);
}

/* Whoever watches the health of "gpu" hears of it at once. */
static void devices_changed(void *service_)
{
    struct service *service = service_;

    server_wake(service->server, &health_watch_handler);
}

static enum status dispatcher_open(struct service *service, const struct config *config,
                                   struct error *error)
{
    const struct dispatcher_options options = {
        .metrics = service->metrics,
        .limits = &config->limits,
        .ledger = service->ledger,
        .catalog = service->catalog,
        .backend_dir = config->backend_dir[0] ? config->backend_dir : NULL,
        .isa = getenv("BARY_ISA"),
        .threads = service->threads,
        .devices_changed = devices_changed,
        .devices_context = service,
    };

    return dispatcher_start(&options, &service->dispatcher, error);
}

static enum status listen_open(struct daemon *daemon, struct error *error)
{
    const struct config *config = daemon->config;
    const char *listen[LISTEN_MAX];
    struct server_options options = {.listen = listen,
                                     .listen_count = config->listen_count,
                                     .queue_threads = config->queue_threads,
                                     .pool_threads = config->pool_threads,
                                     .service = &daemon->service};

    for (int i = 0; i < config->listen_count; i++)
        listen[i] = config->listen[i];
    return server_new(&options, &daemon->server, error);
}

enum status daemon_start(struct daemon *daemon, const struct config *config, struct error *error)
{
    enum status status;

    *daemon = (struct daemon){.config = config};
    grpc_init();
    TRY(service_open(&daemon->service, config, error));
    /* Addresses before devices: what is wrong with them shows at once. Nobody is accepted yet. */
    TRY(listen_open(daemon, error));
    daemon->service.server = daemon->server;
    TRY(dispatcher_open(&daemon->service, config, error));
    if (config->http[0])
        TRY(side_port_start(config->http, &daemon->service, &daemon->side_port, error));
    TRY(server_start(daemon->server, error));
    atomic_store(&daemon->service.ready, true);
    server_wake(daemon->server, &health_watch_handler);
out:
    if (status != STATUS_OK) {
        atomic_store(&daemon->hurry, true);
        daemon_drain(daemon);
        daemon_stop(daemon);
    }
    return status;
}

/* Until then, or until somebody is in a hurry. */
static void pause_until(struct daemon *daemon, int64_t until_ns)
{
    const struct timespec step = {.tv_nsec = STEP_MS * 1000000L};

    while (clock_ns() < until_ns && !atomic_load(&daemon->hurry))
        nanosleep(&step, NULL);
}

struct hurrying {
    struct daemon *daemon;
    pthread_t thread;
    _Atomic bool done;
};

/* dispatcher_drain blocks until its deadline; this one brings the deadline forward. */
static void *hurry_thread(void *hurrying_)
{
    struct hurrying *hurrying = hurrying_;
    const struct timespec step = {.tv_nsec = STEP_MS * 1000000L};

    while (!atomic_load(&hurrying->done) && !atomic_load(&hurrying->daemon->hurry))
        nanosleep(&step, NULL);
    if (!atomic_load(&hurrying->done))
        dispatcher_drain(hurrying->daemon->service.dispatcher, clock_ns());
    return NULL;
}

static void jobs_drain(struct daemon *daemon, int64_t deadline_ns)
{
    struct hurrying hurrying = {.daemon = daemon};
    bool watched = pthread_create(&hurrying.thread, NULL, hurry_thread, &hurrying) == 0;

    dispatcher_drain(daemon->service.dispatcher, deadline_ns);
    atomic_store(&hurrying.done, true);
    if (watched)
        pthread_join(hurrying.thread, NULL);
}

void daemon_drain(struct daemon *daemon)
{
    const struct config *config = daemon->config;
    int64_t begun_ns = clock_ns(), end_ns = begun_ns + config->drain_ms * 1000000;

    atomic_store(&daemon->service.draining, true);
    if (!daemon->server)
        return;
    if (daemon->service.dispatcher)
        server_wake(daemon->server, &health_watch_handler);
    if (server_has_tcp(daemon->server))
        pause_until(daemon, begun_ns + config->notice_ms * 1000000);
    server_quiet(daemon->server);
    /* Calls are still answered, so that who comes with a new job hears DRAINING, not a closed door. */
    if (daemon->service.dispatcher)
        jobs_drain(daemon, end_ns - ANSWER_NS);
    server_drain_begin(daemon->server);
    server_drain_end(daemon->server, atomic_load(&daemon->hurry) ? clock_ns() + SOON_NS : end_ns);
}

bool daemon_stop(struct daemon *daemon)
{
    bool all = true;

    side_port_stop(&daemon->side_port);
    if (daemon->service.dispatcher)
        all = dispatcher_stop(&daemon->service.dispatcher);
    server_free(&daemon->server);
    service_close(&daemon->service);
    grpc_shutdown_blocking();
    return all;
}

void daemon_reload(struct daemon *daemon)
{
    const struct limits *limits = &daemon->config->limits;

    log_set_level(daemon->config->level);
    service_set_limits(&daemon->service, limits);
    dispatcher_set_limits(daemon->service.dispatcher, limits);
    catalog_set_limits(daemon->service.catalog, limits);
    server_set_limits(daemon->server, limits);
}

void daemon_tick(struct daemon *daemon)
{
    catalog_tick(daemon->service.catalog, clock_ns());
}

int daemon_exit_code(enum status status)
{
    switch (status) {
    case STATUS_BAD_CONFIG:
    case STATUS_ADDRESS_IN_USE:
    case STATUS_ADDRESS_REFUSED:
    case STATUS_STATE_LOCKED:
        return 78;
    case STATUS_STATE_UNWRITABLE:
    case STATUS_STORAGE_FULL:
    case STATUS_DAMAGED:
    case STATUS_IO:
        return 74;
    case STATUS_NO_DEVICE:
    case STATUS_DEVICE_LOST:
        return 69;
    default:
        return 70;
    }
}
