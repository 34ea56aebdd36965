/* health_service.c - grpc.health.v1: "" is the whole server, then each service by its name, and "gpu".
 *
 * Watch tells the state at once and then its changes; server_wake(&health_watch_handler) says that
 * there may be one. */
#include <string.h>

#include "grpc/health/v1/health.pb-c.h"
#include "rpc/method.h"
#include "rpc/service.h"

typedef Grpc__Health__V1__HealthCheckResponse__ServingStatus serving;
static const serving SERVING = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING;
static const serving NOT_SERVING =
    GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING;
static const serving SERVICE_UNKNOWN =
    GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN;

static serving state_of(struct service *service, const char *name)
{
    if (strcmp(name, "gpu") == 0)
        return service_has_gpu(service) ? SERVING : NOT_SERVING;
    if (name[0] != '\0' && !method_service_exists(name))
        return SERVICE_UNKNOWN;
    return service_serving(service) ? SERVING : NOT_SERVING;
}

static void check(struct call *call, const void *in)
{
    const Grpc__Health__V1__HealthCheckRequest *request = in;
    Grpc__Health__V1__HealthCheckResponse reply = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    struct error error;

    reply.status = state_of(call_service(call), request->service);
    if (reply.status != SERVICE_UNKNOWN) {
        call_reply(call, &reply.base, NULL);
        return;
    }
    FAIL(&error, SERVICE_NOT_FOUND, TEXT("name", request->service));
    call_fail(call, &error);
}

const struct handler health_check_handler = {.message = check};

struct watching {
    char name[256];
    bool asked, sending, counted;
    int told; /* -1: nothing yet */
};

static void go_on(struct call *call)
{
    struct watching *watching = call_state(call);
    Grpc__Health__V1__HealthCheckResponse reply = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;

    if (!watching->asked || watching->sending || call_over(call))
        return;
    reply.status = state_of(call_service(call), watching->name);
    if ((int)reply.status == watching->told)
        return;
    watching->told = (int)reply.status;
    watching->sending = true;
    call_send(call, &reply.base, NULL);
}

static void sent(struct call *call)
{
    struct watching *watching = call_state(call);

    watching->sending = false;
    go_on(call);
}

static void watch(struct call *call, const void *in)
{
    const Grpc__Health__V1__HealthCheckRequest *request = in;
    struct service *service = call_service(call);
    struct watching *watching = call_state(call);
    int64_t most = service_limits(service).watchers;
    struct error error;

    watching->counted = true;
    if (atomic_fetch_add(&service->health_watchers, 1) >= most) {
        FAIL(&error, TOO_MANY, INT("count", most), TEXT("what", "watchers of health"),
             INT("retry_ms", 1000));
        call_fail(call, &error);
        return;
    }
    strncpy(watching->name, request->service, sizeof watching->name - 1);
    watching->asked = true;
    watching->told = -1;
    go_on(call);
}

static void end(struct call *call)
{
    struct watching *watching = call_state(call);

    if (watching->counted)
        atomic_fetch_sub(&call_service(call)->health_watchers, 1);
}

const struct handler health_watch_handler = {.state_bytes = sizeof(struct watching),
                                             .message = watch,
                                             .sent = sent,
                                             .wake = go_on,
                                             .end = end};
