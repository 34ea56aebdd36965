/* service.h - what all handlers share. Lifetime: the process. */
#ifndef BARY_RPC_SERVICE_H
#define BARY_RPC_SERVICE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "host/jobs/dispatcher.h"
#include "host/metrics/metrics.h"
#include "rpc/unpack.h"

struct reflection;
struct request_ids;
struct server;

struct service {
    struct catalog *catalog;
    struct dispatcher *dispatcher;
    struct ledger *ledger;
    struct metrics *metrics;
    struct server *server;
    struct reflection *reflection;
    struct request_ids *request_ids;
    struct unpack_budget unpack;
    int64_t started_wall_ns;
    int64_t memory_budget;
    const char *memory_source, *threads_source;
    int threads;
    _Atomic bool ready, draining;
    _Atomic int64_t health_watchers;

    pthread_mutex_t lock; /* guards limits; nothing else is taken under it */
    struct limits limits;
};

struct limits service_limits(struct service *service); /* a copy */
void service_set_limits(struct service *service, const struct limits *limits);

/* Whether calls are accepted and at least one device works; whether a GPU does. */
bool service_serving(struct service *service);
bool service_has_gpu(struct service *service);

/* Fills the gauges that are kept elsewhere, then prints the page: for /metrics. */
char *service_metrics(struct service *service, size_t *bytes);
/* The dispatcher ticked in the last ten seconds. */
bool service_alive(struct service *service);

#endif
