/* listener.c - see listener.h. */
#include "rpc/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "host/base/file.h"

enum { BACKLOG = 512 };

static enum status in_use(struct error *error, const char *text, const char *why)
{
    return FAIL(error, ADDRESS_IN_USE, TEXT("address", text), TEXT("why", why));
}

/* The folder of a path, "." where there is none. */
static void folder_of(const char *path, char folder[128])
{
    const char *slash = strrchr(path, '/');
    size_t bytes = slash ? (size_t)(slash - path) : 0;

    snprintf(folder, 128, "%.*s", bytes ? (int)bytes : 1, bytes ? path : slash ? "/" : ".");
}

/* Others who can write to the folder could put a socket of theirs in our place. */
static enum status folder_check(const char *path, const char *text, struct error *error)
{
    char folder[128];
    struct stat stats;
    enum status status;

    folder_of(path, folder);
    if (stat(folder, &stats) != 0 && errno == ENOENT) {
        TRY(folder_make(folder, 0700, error));
        return STATUS_OK;
    }
    if (stat(folder, &stats) != 0 || !S_ISDIR(stats.st_mode))
        return in_use(error, text, "its folder is none, or cannot be read");
    if (stats.st_uid != geteuid() && stats.st_uid != 0)
        return FAIL(error, ADDRESS_REFUSED, TEXT("address", text),
                    TEXT("why", "its folder belongs to another user"));
    if ((stats.st_mode & 022) && !(stats.st_mode & S_ISVTX))
        return FAIL(error, ADDRESS_REFUSED, TEXT("address", text),
                    TEXT("why", "others can write to its folder"));
    return STATUS_OK;
out:
    return status;
}

/* PATH.lock, held. Who closes it removes it first, so the name may be another file by now. */
static enum status lock_take(const char *path, const char *text, int *out, struct error *error)
{
    char name[128];
    struct stat held, named;

    snprintf(name, sizeof name, "%s.lock", path);
    for (;;) {
        int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
            return in_use(error, text, strerror(errno));
        if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
            close(fd);
            return in_use(error, text, "another server listens there");
        }
        if (fstat(fd, &held) == 0 && stat(name, &named) == 0 && held.st_ino == named.st_ino) {
            *out = fd;
            return STATUS_OK;
        }
        close(fd);
    }
}

static enum status stale_remove(const char *path, const char *text, struct error *error)
{
    struct stat stats;

    if (lstat(path, &stats) != 0)
        return STATUS_OK;
    if (!S_ISSOCK(stats.st_mode))
        return in_use(error, text, "a file of that name exists and is no socket");
    if (unlink(path) != 0)
        return in_use(error, text, strerror(errno));
    return STATUS_OK;
}

static enum status bind_and_listen(struct listener *listener, const char *text, struct error *error)
{
    struct address *address = &listener->address;
    int one = 1;

    listener->fd =
        socket(address->socket.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener->fd < 0)
        return in_use(error, text, strerror(errno));
    if (address->is_unix)
        fchmod(listener->fd, 0600); /* the mode that bind gives the name */
    else
        setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener->fd, &address->socket.any, address->bytes) != 0 ||
        listen(listener->fd, BACKLOG) != 0)
        return in_use(error, text, strerror(errno));
    return STATUS_OK;
}

enum status listener_open(const char *text, int index, struct listener *out, struct error *error)
{
    struct listener listener = {.fd = -1, .lock_fd = -1};
    const char *path = listener.address.socket.unix_.sun_path;
    enum status status;
    struct stat stats;

    TRY(address_parse(text, &listener.address, error));
    if (listener.address.is_unix) {
        TRY(folder_check(path, text, error));
        TRY(lock_take(path, text, &listener.lock_fd, error));
        TRY(stale_remove(path, text, error));
    }
    TRY(bind_and_listen(&listener, text, error));
    if (listener.address.is_unix) {
        if (lstat(path, &stats) == 0)
            listener.inode = stats.st_ino;
    } else {
        socklen_t bytes = listener.address.bytes;
        getsockname(listener.fd, &listener.address.socket.any, &bytes);
    }
    address_print(&listener.address, listener.text, sizeof listener.text);
    snprintf(listener.key, sizeof listener.key, "external:%d", index);
    *out = listener;
out:
    if (status != STATUS_OK)
        listener_close(&listener);
    return status;
}

void listener_close(struct listener *listener)
{
    const char *path = listener->address.socket.unix_.sun_path;
    struct stat stats;
    char name[128];

    if (listener->fd >= 0)
        close(listener->fd);
    listener->fd = -1;
    if (listener->lock_fd < 0)
        return;
    if (lstat(path, &stats) == 0 && listener->inode && stats.st_ino == listener->inode)
        unlink(path);
    snprintf(name, sizeof name, "%s.lock", path);
    unlink(name);
    close(listener->lock_fd);
    listener->lock_fd = -1;
}
