/* server.c - bary server and bary serve: the server asked, the server run. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clients/cli/remote.h"

static void show_device(const Bary__V1__Device *device)
{
    char text[32], budget[32];

    printf("%-13s %s %d: %s%s%s", "device", device->backend, device->index, device->name,
           device->name[0] ? ", " : "", device->state);
    if (device->isa[0])
        printf(", %s", device->isa);
    if (device->threads > 0)
        printf(", %d threads", device->threads);
    if (device->memory_bytes > 0)
        printf(", %s", say_bytes(device->memory_bytes, text));
    if (device->budget_bytes > 0)
        printf(", %s of %s reserved", say_bytes(device->reserved_bytes, text),
               say_bytes(device->budget_bytes, budget));
    printf("\n");
    if (device->reason_name[0])
        printf("%-13s   %s: %s; %s\n", "", device->reason_name, device->reason, device->advice);
}

static void show_server(const Bary__V1__Server *server)
{
    char text[32], budget[32];

    printf("%-13s %s%s%s\n", "version", server->version, server->commit[0] ? " " : "",
           server->commit);
    printf("%-13s %s%s\n", "started", say_stamp(server->started, text),
           server->draining ? ", shutting down" : "");
    printf("%-13s %s of %s reserved (%s)\n", "memory",
           say_bytes(server->memory_reserved_bytes, text),
           say_bytes(server->memory_budget_bytes, budget), server->memory_source);
    printf("%-13s %d (%s)\n", "threads", server->threads, server->threads_source);
    for (size_t i = 0; i < server->n_devices; i++)
        show_device(server->devices[i]);
    for (size_t i = 0; i < server->n_limits; i++)
        printf("%-13s %s = %" PRId64 " %s\n", i == 0 ? "limits" : "", server->limits[i]->name,
               server->limits[i]->value, server->limits[i]->unit);
}

int command_server(const struct arguments *arguments)
{
    Bary__V1__GetServerRequest request = BARY__V1__GET_SERVER_REQUEST__INIT;
    Bary__V1__Server *server = NULL;
    struct baryc *connection = NULL;
    struct baryc_error error;
    int status = connect_or_complain(arguments, &connection);

    if (status != EXIT_DONE)
        return status;
    if (baryc_server_get(connection, &request, NULL, &server, &error) != 0)
        status = complain_error(&error, flag_given(arguments, FLAG_JSON));
    else if (flag_given(arguments, FLAG_JSON))
        say_json(&server->base, NULL);
    else
        show_server(server);
    baryc_free(server);
    baryc_disconnect(&connection);
    return status;
}

/* The baryd in this program's own folder; "" when its path cannot be read. */
static void path_beside(char *out, size_t bytes)
{
    ssize_t length = readlink("/proc/self/exe", out, bytes - sizeof "/baryd");

    out[length > 0 ? length : 0] = 0;
    char *slash = strrchr(out, '/');
    if (slash)
        snprintf(slash, bytes - (size_t)(slash - out), "/baryd");
}

int command_serve(const struct arguments *arguments)
{
    char path[4096];
    size_t count = 0;

    while (arguments->rest[count])
        count++;
    char **words = calloc(count + 2, sizeof *words);
    if (!words)
        return complain(EXIT_BUG, "out of memory");
    words[0] = baryc_borrow("baryd");
    memcpy(words + 1, arguments->rest, count * sizeof *words);
    path_beside(path, sizeof path);
    if (path[0])
        execv(path, words);
    if (path[0] && errno != ENOENT)
        return complain(EXIT_CONFIG, "cannot run '%s': %s", path, strerror(errno));
    execvp("baryd", words);
    int why = errno;
    free(words);
    return complain(EXIT_CONFIG,
                    "cannot run baryd: %s; it lies neither in the folder of this "
                    "program nor on PATH",
                    strerror(why));
}
