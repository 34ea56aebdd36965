/* accept.c - see accept.h. gRPC does not say when it closes a connection, so the living are a table
 * of (descriptor, inode) that is swept with fstat: a descriptor that was closed, or is another
 * file's by now, has another inode. */
#include "rpc/accept.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "host/base/memory.h"
#include "proto/limits.h"

enum { LISTENERS_MAX = 32, CONNECTIONS_MOST = 65536, SWEEP_MS = 1000, PAUSE_MS = 20 };

struct connection {
    int fd;
    ino_t inode;
};

struct acceptor {
    struct listener *listener;
    int count;
    _Atomic int64_t most;
    struct metrics *metrics;
    pthread_t thread;
    int stop_fd, spare_fd;
    /* the thread's own */
    struct connection *connection;
    int64_t connections;
};

static int64_t sweep(struct acceptor *acceptor)
{
    int64_t kept = 0;

    for (int64_t i = 0; i < acceptor->connections; i++) {
        struct stat stats;
        struct connection *connection = &acceptor->connection[i];
        if (fstat(connection->fd, &stats) == 0 && stats.st_ino == connection->inode)
            acceptor->connection[kept++] = *connection;
    }
    acceptor->connections = kept;
    metric_set(acceptor->metrics, METRIC_connections, "", (double)kept);
    return kept;
}

static void refuse(struct acceptor *acceptor, int fd, const char *reason)
{
    metric_add(acceptor->metrics, METRIC_connections_refused_total, reason, 1);
    if (fd >= 0)
        close(fd);
}

/* NULL: welcome. */
static const char *objection(struct acceptor *acceptor, const struct listener *listener, int fd)
{
    struct ucred peer;
    socklen_t bytes = sizeof peer;

    if (acceptor->connections >= atomic_load(&acceptor->most) &&
        sweep(acceptor) >= atomic_load(&acceptor->most))
        return "limit";
    if (!listener->address.is_unix)
        return NULL;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) != 0 || peer.uid != geteuid())
        return "uid";
    return NULL;
}

static void hand_over(struct acceptor *acceptor, const struct listener *listener, int fd)
{
    const char *why = objection(acceptor, listener, fd);
    struct stat stats;

    if (why || fstat(fd, &stats) != 0) {
        refuse(acceptor, fd, why ? why : "descriptors");
        return;
    }
    acceptor->connection[acceptor->connections++] = (struct connection){fd, stats.st_ino};
    accept_hand_over(listener->handler, listener->fd, fd);
}

/* No descriptor is left: the spare one accepts a client and turns it away, lest poll spins. */
static void turn_away(struct acceptor *acceptor, const struct listener *listener)
{
    if (acceptor->spare_fd >= 0)
        close(acceptor->spare_fd);
    refuse(acceptor, accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC), "descriptors");
    acceptor->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (acceptor->spare_fd < 0)
        poll(NULL, 0, PAUSE_MS);
}

static void accept_ready(struct acceptor *acceptor, const struct listener *listener)
{
    int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd >= 0)
        hand_over(acceptor, listener, fd);
    else if (errno == EMFILE || errno == ENFILE)
        turn_away(acceptor, listener);
    else if (errno == ENOBUFS || errno == ENOMEM)
        poll(NULL, 0, PAUSE_MS);
}

static void *accept_thread(void *data)
{
    struct acceptor *acceptor = data;
    struct pollfd ready[LISTENERS_MAX + 1];

    for (int i = 0; i < acceptor->count; i++)
        ready[i] = (struct pollfd){.fd = acceptor->listener[i].fd, .events = POLLIN};
    ready[acceptor->count] = (struct pollfd){.fd = acceptor->stop_fd, .events = POLLIN};
    for (;;) {
        int found = poll(ready, (nfds_t)acceptor->count + 1, SWEEP_MS);
        if (found <= 0)
            sweep(acceptor);
        if (found > 0 && ready[acceptor->count].revents)
            return NULL;
        for (int i = 0; found > 0 && i < acceptor->count; i++)
            if (ready[i].revents)
                accept_ready(acceptor, &acceptor->listener[i]);
    }
}

static void acceptor_free(struct acceptor *acceptor)
{
    if (acceptor->stop_fd >= 0)
        close(acceptor->stop_fd);
    if (acceptor->spare_fd >= 0)
        close(acceptor->spare_fd);
    memory_free(acceptor->connection);
    memory_free(acceptor);
}

enum status acceptor_start(struct listener *listener, int count, int64_t connections_max,
                           struct metrics *metrics, struct acceptor **out, struct error *error)
{
    struct acceptor *acceptor = memory_zeroed(1, sizeof *acceptor);
    int failed;

    if (!acceptor)
        return FAIL(error, OUT_OF_MEMORY, TEXT("what", "accepting connections"),
                    INT("needed", sizeof *acceptor), INT("retry_ms", 1000));
    acceptor->listener = listener;
    acceptor->count = count < LISTENERS_MAX ? count : LISTENERS_MAX;
    acceptor->metrics = metrics;
    acceptor_set_most(acceptor, connections_max);
    acceptor->stop_fd = eventfd(0, EFD_CLOEXEC);
    acceptor->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    acceptor->connection = memory_new(CONNECTIONS_MOST, sizeof *acceptor->connection);
    failed = !acceptor->connection || acceptor->stop_fd < 0
                 ? ENOMEM
                 : pthread_create(&acceptor->thread, NULL, accept_thread, acceptor);
    if (failed) {
        acceptor_free(acceptor);
        return FAIL(error, IO, TEXT("what", "start accepting connections"),
                    TEXT("why", strerror(failed)));
    }
    pthread_setname_np(acceptor->thread, "accept");
    *out = acceptor;
    return STATUS_OK;
}

void acceptor_stop(struct acceptor **acceptor)
{
    uint64_t one = 1;

    if (!*acceptor)
        return;
    while (write((*acceptor)->stop_fd, &one, sizeof one) < 0 && errno == EINTR)
        ;
    pthread_join((*acceptor)->thread, NULL);
    acceptor_free(*acceptor);
    *acceptor = NULL;
}

void acceptor_set_most(struct acceptor *acceptor, int64_t connections_max)
{
    atomic_store(&acceptor->most,
                 connections_max < CONNECTIONS_MOST ? connections_max : CONNECTIONS_MOST);
}
