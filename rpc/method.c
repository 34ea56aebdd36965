/* method.c - the table, and the way from a request to its first step: the row, who asks, what he may,
 * how many there are, until when. All of it before the first read. */
#include "rpc/method.h"

#include <grpc/support/alloc.h>
#include <grpc/support/time.h>
#include <stdio.h>
#include <string.h>

#include "bary/v1/clustering_service.pb-c.h"
#include "bary/v1/dataset_service.pb-c.h"
#include "bary/v1/job_service.pb-c.h"
#include "bary/v1/model_service.pb-c.h"
#include "bary/v1/server_service.pb-c.h"
#include "grpc/health/v1/health.pb-c.h"
#include "grpc/reflection/v1/reflection.pb-c.h"
#include "grpc/reflection/v1alpha/reflection.pb-c.h"
#include "host/base/clock.h"
#include "rpc/call_core.h"
#include "rpc/identity.h"
#include "rpc/service.h"

static const struct method METHODS[] = {
#define METHOD(service, name, kind_, request, permission_, track_, handler_) \
    {.path = "/" service "/" name,                                           \
     .label = service "/" name,                                              \
     .kind = (kind_),                                                        \
     .in = &request##__descriptor,                                           \
     .permission = PERMISSION_##permission_,                                 \
     .track = (track_),                                                      \
     .message_max = MESSAGE_BYTES_MAX,                                       \
     .handler = &handler_},
#include "rpc/methods.def"
#undef METHOD
};
enum { METHODS_COUNT = sizeof METHODS / sizeof *METHODS };

const struct method *method_find(const char *path, size_t bytes)
{
    for (size_t i = 0; i < METHODS_COUNT; i++)
        if (strlen(METHODS[i].path) == bytes && memcmp(METHODS[i].path, path, bytes) == 0)
            return &METHODS[i];
    return NULL;
}

bool method_service_exists(const char *service)
{
    size_t bytes = strlen(service);

    for (size_t i = 0; i < METHODS_COUNT; i++)
        if (strncmp(METHODS[i].label, service, bytes) == 0 && METHODS[i].label[bytes] == '/')
            return true;
    return false;
}

/* A client's own id if it is short and plain, else one that we make. */
static void request_id_take(struct call *call)
{
    for (size_t i = 0; i < call->metadata.count; i++) {
        const grpc_metadata *pair = &call->metadata.metadata[i];
        size_t bytes = GRPC_SLICE_LENGTH(pair->value);
        if (grpc_slice_str_cmp(pair->key, "x-request-id") != 0 || bytes == 0 || bytes >= 64)
            continue;
        memcpy(call->request_id, GRPC_SLICE_START_PTR(pair->value), bytes);
        call->request_id[bytes] = '\0';
        if (strspn(call->request_id,
                   "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                   "-_.:/+=") == bytes)
            return;
    }
    identity_make_id(call->request_id, sizeof call->request_id);
}

static int64_t nanoseconds(gpr_timespec span)
{
    if (span.tv_sec > INT64_MAX / 2000000000 || span.tv_sec < 0)
        return span.tv_sec < 0 ? 0 : INT64_MAX / 2;
    return span.tv_sec * 1000000000 + span.tv_nsec;
}

/* Until when: the client's deadline; of a unary call within the limits, of a stream as it is. */
static void deadline_take(struct call *call, const struct limits *limits)
{
    gpr_timespec deadline = call->details.deadline;
    bool given = gpr_time_cmp(deadline, gpr_inf_future(deadline.clock_type)) != 0;
    int64_t left_ns = 0;

    if (given)
        left_ns = nanoseconds(gpr_time_sub(deadline, gpr_now(deadline.clock_type)));
    if (call->method->kind == UNARY) {
        if (!given)
            left_ns = limits->call_default_ms * 1000000;
        else if (left_ns > limits->call_max_ms * 1000000)
            left_ns = limits->call_max_ms * 1000000;
        given = true;
    }
    if (!given)
        return;
    call->limit_ms = left_ns / 1000000;
    call->deadline_ns = call->started_ns + left_ns;
}

static enum status admit(struct call *call, struct error *error)
{
    const char *path = (const char *)GRPC_SLICE_START_PTR(call->details.method);
    size_t bytes = GRPC_SLICE_LENGTH(call->details.method);
    char *peer = grpc_call_get_peer(call->grpc);
    char name[128];
    enum status status;

    call->principal = identity_of_peer(peer);
    gpr_free(peer);
    request_id_take(call);
    call->method = method_find(path, bytes);
    if (!call->method) {
        snprintf(name, sizeof name, "%.*s", (int)(bytes < 120 ? bytes : 120), path);
        return FAIL(error, METHOD_NOT_FOUND, TEXT("method", name));
    }
    TRY(auth_allow_method(&call->principal, call->method->path, call->method->permission, error));
    if (!server_count(call->server, call, error))
        return error->status;
    TRY(call_prepare(call, server_pool(call->server, call->method->track), error));
out:
    return status;
}

void method_admit(struct call *call)
{
    struct service *service = server_service(call->server);
    struct limits limits = service_limits(service);
    struct error error;
    enum status status;

    call->started_ns = clock_ns();
    status = admit(call, &error);
    if (call->method)
        deadline_take(call, &limits);
    server_link(call->server, call);
    call_open(call);
    if (status == STATUS_OK) {
        call_begin(call);
        return;
    }
    metric_add(service->metrics, METRIC_rejected_total, status_row(status)->name, 1);
    call_fail(call, &error);
}
