/* supervise.c - see supervise.h. */
#include "rpc/supervise.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { LINE_BYTES = 8192 };

/* A JSON string; what would need escapes is in no address but a path, whose quotes and backslashes
 * get theirs. */
static size_t quote(char *out, size_t room, const char *text)
{
    size_t used = 0;

    out[used++] = '"';
    for (; *text && used + 8 < room; text++) {
        if (*text == '"' || *text == '\\')
            out[used++] = '\\';
        if ((unsigned char)*text < ' ')
            used += (size_t)snprintf(out + used, 7, "\\u%04x", (unsigned)(unsigned char)*text);
        else
            out[used++] = *text;
    }
    out[used++] = '"';
    out[used] = '\0';
    return used;
}

void supervise_ready(int fd, const struct server *server, const char *http)
{
    const struct listener *listener;
    int count = server_listeners(server, &listener);
    char line[LINE_BYTES];
    size_t used = (size_t)snprintf(line, sizeof line, "{\"event\":\"ready\",\"listen\":[");

    for (int i = 0; i < count; i++) {
        used += (size_t)snprintf(line + used, sizeof line - used, "%s", i ? "," : "");
        used += quote(line + used, sizeof line - used, listener[i].text);
    }
    used += (size_t)snprintf(line + used, sizeof line - used, "],\"http\":");
    used += quote(line + used, sizeof line - used, http);
    used += (size_t)snprintf(line + used, sizeof line - used, ",\"pid\":%d}\n", (int)getpid());
    for (size_t sent = 0; sent < used;) {
        ssize_t step = write(fd < 0 ? STDOUT_FILENO : fd, line + sent, used - sent);
        if (step < 0 && errno == EINTR)
            continue;
        if (step <= 0)
            return;
        sent += (size_t)step;
    }
}

void supervise_notify(const char *words)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd;

    if (!path || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof address.sun_path)
        return;
    memcpy(address.sun_path, path, strlen(path));
    if (path[0] == '@')
        address.sun_path[0] = '\0';
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    sendto(fd, words, strlen(words), MSG_NOSIGNAL, (struct sockaddr *)&address,
           (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path)));
    close(fd);
}

int supervise_watchdog_ms(void)
{
    const char *text = getenv("WATCHDOG_USEC");
    long long microseconds = text && getenv("NOTIFY_SOCKET") ? strtoll(text, NULL, 10) : 0;

    return microseconds > 0 && microseconds < 3600000000LL ? (int)(microseconds / 3000) : 0;
}

bool supervise_bind_to_parent(pid_t parent)
{
    /* Not PR_SET_PDEATHSIG: it is sent when the *thread* that started us ends, and a client's worker
     * thread may. The loop looks at the parent and at our standard input instead. The parent may be
     * process 1: in a container the program itself often is. */
    return getppid() == parent;
}

bool supervise_input_closed(void)
{
    struct pollfd ready = {.fd = STDIN_FILENO, .events = POLLIN};
    char byte[256];

    if (poll(&ready, 1, 0) <= 0)
        return false;
    if (ready.revents & POLLIN)
        return read(STDIN_FILENO, byte, sizeof byte) == 0;
    return (ready.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0;
}
