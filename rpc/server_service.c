/* server_service.c - GetServer: what this server is, may and has. */
#include <grpc/grpc.h>
#include <string.h>

#include "bary/v1/server_service.pb-c.h"
#include "rpc/answer.h"
#include "rpc/convert.h"
#include "rpc/method.h"

static const struct limit_row {
    const char *name, *unit, *help;
    size_t offset;
} LIMIT_ROWS[] = {
#define LIMIT(name, preset, least, most, unit, help) \
    {#name, unit, help, offsetof(struct limits, name)},
    LIMITS(LIMIT)
#undef LIMIT
};
enum { LIMITS_COUNT = sizeof LIMIT_ROWS / sizeof *LIMIT_ROWS };

static char *borrowed(const char *text)
{
    return (char *)(uintptr_t)text;
}

static bool limits_fill(struct arena *arena, const struct limits *limits, Bary__V1__Server *out)
{
    out->limits = array_new(arena, LIMITS_COUNT, sizeof *out->limits);
    for (size_t i = 0; out->limits && i < LIMITS_COUNT; i++) {
        Bary__V1__Limit *limit = message_new(arena, &bary__v1__limit__descriptor);
        if (!limit)
            return false;
        limit->name = borrowed(LIMIT_ROWS[i].name);
        limit->unit = borrowed(LIMIT_ROWS[i].unit);
        limit->help = borrowed(LIMIT_ROWS[i].help);
        memcpy(&limit->value, (const char *)limits + LIMIT_ROWS[i].offset, sizeof limit->value);
        out->limits[out->n_limits++] = limit;
    }
    return out->limits != NULL;
}

/* Points into `view`. */
static bool devices_fill(struct arena *arena, struct dispatcher_view *view, Bary__V1__Server *out)
{
    out->devices = array_new(arena, (size_t)view->devices, sizeof *out->devices);
    for (int i = 0; out->devices && i < view->devices; i++) {
        struct device_view *from = &view->device[i];
        Bary__V1__Device *device = message_new(arena, &bary__v1__device__descriptor);
        if (!device)
            return false;
        device->backend = from->backend;
        device->index = from->index;
        device->name = from->info.name;
        device->state = from->state;
        device->reason = from->reason;
        device->threads = from->info.threads;
        device->isa = from->info.isa;
        device->memory_bytes = from->info.memory_bytes;
        device->reason_name = borrowed(from->reason_name);
        device->advice = borrowed(from->advice);
        device->build = from->build;
        device->free_bytes = from->info.free_bytes;
        device->budget_bytes = from->bytes.budget;
        device->reserved_bytes = from->bytes.reserved;
        device->pinned_budget_bytes = from->bytes.pinned_budget;
        device->pinned_reserved_bytes = from->bytes.pinned_reserved;
        out->devices[out->n_devices++] = device;
    }
    return out->devices != NULL;
}

static void get_server(struct call *call, const void *in)
{
    static const char *const algorithms[] = {"LLOYD"};
    struct service *service = call_service(call);
    struct limits limits = service_limits(service);
    Bary__V1__Server reply = BARY__V1__SERVER__INIT;
    struct dispatcher_view view;
    struct arena arena;

    (void)in;
    dispatcher_view(service->dispatcher, &view);
    arena_init(&arena, REPLY_ARENA_BYTES);
    reply.version = borrowed(BARY_VERSION);
    reply.commit = borrowed(BARY_COMMIT);
    reply.algorithms = (char **)(uintptr_t)algorithms;
    reply.n_algorithms = sizeof algorithms / sizeof *algorithms;
    reply.memory_budget_bytes = service->memory_budget;
    reply.memory_source = borrowed(service->memory_source);
    reply.memory_reserved_bytes = ledger_reserved(service->ledger);
    reply.threads = service->threads;
    reply.threads_source = borrowed(service->threads_source);
    reply.numerics_version = NUMERICS_VERSION;
    reply.volatile_datasets = 1;
    reply.started = timestamp_new(&arena, service->started_wall_ns);
    reply.draining = atomic_load(&service->draining);
    reply.grpc_version = borrowed(grpc_version_string());
    if (limits_fill(&arena, &limits, &reply) && devices_fill(&arena, &view, &reply))
        call_reply(call, &reply.base, NULL);
    else
        fail_memory(call, "a reply");
    arena_deinit(&arena);
}

const struct handler get_server_handler = {.message = get_server};
