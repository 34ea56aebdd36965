/* server_core.h - a server inside. For server.c and server_life.c alone. */
#ifndef BARY_RPC_SERVER_CORE_H
#define BARY_RPC_SERVER_CORE_H

#include "rpc/call_core.h"
#include "rpc/server.h"

enum { SERVER_LISTENERS_MAX = 16, QUEUE_THREADS_MAX = 16 };

struct acceptor;

struct server {
    struct server_options options;
    struct listener listener[SERVER_LISTENERS_MAX];
    int listeners;
    struct acceptor *acceptor;
    struct pool *quick, *slow;

    grpc_server *grpc;
    grpc_completion_queue *queue;
    bool started, ticking;
    int threads;
    pthread_t thread[QUEUE_THREADS_MAX], tick;
    _Atomic bool tick_stopping;
    struct event on_shutdown;

    pthread_mutex_t lock;   /* guards all below; before any call.lock */
    pthread_cond_t changed; /* a call went, or `down` was set; CLOCK_MONOTONIC */
    struct call *first;     /* every call that gRPC knows */
    int64_t live, counted;  /* all; those that count against the limit */
    int posted;             /* requests that wait for a call */
    bool shutting_down, down;

    pthread_mutex_t log_lock; /* guards what follows; held alone */
    int64_t log_second, log_lines, log_missed;
};

#endif
