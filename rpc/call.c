/* call.c - the life of a call between gRPC and its handler; call_core.h draws it. */
#include <assert.h>
#include <grpc/support/alloc.h>
#include <stddef.h>
#include <string.h>

#include "host/base/clock.h"
#include "host/base/log.h"
#include "rpc/call_batch.h"
#include "rpc/call_core.h"
#include "rpc/service.h"

#define CALL_OF(event, member) \
    ((struct call *)(void *)((char *)(event)-offsetof(struct call, member)))

static void on_close(struct event *event, bool ok);
static void on_receive(struct event *event, bool ok);
static void on_send(struct event *event, bool ok);
static void on_finish(struct event *event, bool ok);

struct call *call_new(struct server *server, void (*on_new)(struct event *event, bool ok))
{
    struct call *call = memory_zeroed(1, sizeof *call);

    if (!call)
        return NULL;
    call->server = server;
    atomic_init(&call->refs, 1);
    pthread_mutex_init(&call->lock, NULL);
    strand_init(&call->strand, call_step);
    grpc_call_details_init(&call->details);
    grpc_metadata_array_init(&call->metadata);
    call->on_new.fn = on_new;
    call->on_close.fn = on_close;
    call->on_receive.fn = on_receive;
    call->on_send.fn = on_send;
    call->on_finish.fn = on_finish;
    call->code = -1;
    call->deadline_ns = INT64_MAX;
    return call;
}

struct call *call_of_new(struct event *on_new)
{
    return CALL_OF(on_new, on_new);
}

static void call_free(struct call *call)
{
    const struct handler *handler = call->method ? call->method->handler : NULL;

    if (call->strand.pool && handler->end)
        handler->end(call);
    memory_free(call->state);
    if (call->received)
        grpc_byte_buffer_destroy(call->received);
    ending_deinit(&call->ending);
    grpc_call_details_destroy(&call->details);
    grpc_metadata_array_destroy(&call->metadata);
    strand_deinit(&call->strand);
    pthread_mutex_destroy(&call->lock);
    memory_free(call);
}

void call_hold(struct call *call)
{
    atomic_fetch_add(&call->refs, 1);
}

void call_drop(struct call *call)
{
    if (atomic_fetch_sub(&call->refs, 1) == 1)
        call_free(call);
}

static void strand_hold(struct strand *strand)
{
    call_hold((struct call *)(void *)((char *)strand - offsetof(struct call, strand)));
}

/* On the completion queue's thread, where a tiny method does its step at once. */
static void post_here(struct call *call, unsigned step)
{
    strand_post(&call->strand, step, call->method->track == INLINE, strand_hold);
}

static void post(struct call *call, unsigned step)
{
    strand_post(&call->strand, step, false, strand_hold);
}

/* The last operation is back: nothing of gRPC's is left but the call itself. */
static void hang_up(struct call *call)
{
    server_forget(call->server, call);
    grpc_call_unref(call->grpc);
    call_drop(call);
}

static void tag_done(struct call *call)
{
    bool last;

    pthread_mutex_lock(&call->lock);
    last = --call->tags == 0;
    pthread_mutex_unlock(&call->lock);
    if (last)
        hang_up(call);
}

enum status call_prepare(struct call *call, struct pool *pool, struct error *error)
{
    size_t bytes = call->method->handler->state_bytes;

    if (bytes > 0) {
        call->state = memory_zeroed(1, bytes);
        if (!call->state)
            return FAIL(error, OUT_OF_MEMORY, TEXT("what", "a call"), INT("needed", bytes),
                        INT("retry_ms", 1000));
    }
    call->strand.pool = pool;
    return STATUS_OK;
}

void call_open(struct call *call)
{
    pthread_mutex_lock(&call->lock);
    call->active_ns = call->started_ns;
    batch_watch_close(call);
    pthread_mutex_unlock(&call->lock);
}

void call_begin(struct call *call)
{
    if (call->method->handler->begin)
        post_here(call, STEP_BEGIN);
    call_read(call);
}

void call_read(struct call *call)
{
    pthread_mutex_lock(&call->lock);
    if (!call->ending_wanted && !call->closed && !call->reading && !call->client_done)
        batch_receive(call);
    pthread_mutex_unlock(&call->lock);
}

static void on_receive(struct event *event, bool ok)
{
    struct call *call = CALL_OF(event, on_receive);

    pthread_mutex_lock(&call->lock);
    call->reading = false;
    call->active_ns = clock_ns();
    if (!ok || !call->received)
        call->client_done = true;
    if (call->received)
        call->received_bytes += grpc_byte_buffer_length(call->received);
    pthread_mutex_unlock(&call->lock);
    if (ok)
        post_here(call, STEP_MESSAGE);
    tag_done(call);
}

static void on_close(struct event *event, bool ok)
{
    struct call *call = CALL_OF(event, on_close);
    bool tell;

    (void)ok; /* always true: cancelled_out says how it went */
    pthread_mutex_lock(&call->lock);
    call->closed = true;
    tell = call->cancelled_out && !call->ending_wanted && call->strand.pool;
    pthread_mutex_unlock(&call->lock);
    if (tell)
        post_here(call, STEP_CLOSED);
    tag_done(call);
}

static void on_send(struct event *event, bool ok)
{
    struct call *call = CALL_OF(event, on_send);
    bool go_on;

    pthread_mutex_lock(&call->lock);
    call->sending = false;
    call->active_ns = clock_ns();
    grpc_byte_buffer_destroy(call->leaving);
    call->leaving = NULL;
    if (call->ending_wanted && !call->ending_begun && !call->closed)
        batch_end(call);
    go_on = ok && !call->ending_wanted && !call->closed;
    pthread_mutex_unlock(&call->lock);
    if (go_on)
        post_here(call, STEP_SENT);
    tag_done(call);
}

static void on_finish(struct event *event, bool ok)
{
    struct call *call = CALL_OF(event, on_finish);

    (void)ok; /* the client may have gone meanwhile */
    if (call->leaving)
        grpc_byte_buffer_destroy(call->leaving);
    call->leaving = NULL;
    tag_done(call);
}

/* Takes over the ending. */
static void call_end(struct call *call, struct ending *ending)
{
    pthread_mutex_lock(&call->lock);
    if (call->ending_wanted || call->closed) {
        pthread_mutex_unlock(&call->lock);
        ending_deinit(ending);
        return;
    }
    call->ending_wanted = true;
    call->ending = *ending;
    call->code = (int)ending->code;
    if (!call->sending)
        batch_end(call);
    pthread_mutex_unlock(&call->lock);
}

void call_finish(struct call *call)
{
    struct ending ending = {.code = GRPC_STATUS_OK, .pushback_ms = -1};

    call_end(call, &ending);
}

static void log_failure(struct call *call, const struct error *error, const char *text)
{
    bool ours = status_row(error->status)->code_number == GRPC_STATUS_INTERNAL;
    int64_t missed;

    if (!server_may_log(call->server, &missed))
        return;
    LOG(ours ? LOG_ERROR : LOG_INFO, "call_failed",
        TEXT("method", call->method ? call->method->label : "other"),
        TEXT("reason", status_row(error->status)->name), TEXT("message", text),
        TEXT("request_id", call->request_id), INT("not_logged", missed));
}

static struct ending ending_of(struct call *call, const struct error *error)
{
    struct trailer trailer;

    trailer_make(error, &trailer);
    log_failure(call, error, trailer.text);
    return (struct ending){
        .code = (grpc_status_code)trailer.code,
        .text = grpc_slice_from_copied_string(trailer.text),
        .details = grpc_slice_from_copied_buffer((char *)trailer.details, trailer.details_bytes),
        .pushback_ms = trailer.pushback_ms,
    };
}

void call_fail(struct call *call, const struct error *error)
{
    struct ending ending;

    if (call_over(call))
        return;
    ending = ending_of(call, error);
    call_end(call, &ending);
}

void call_cut(struct call *call, const struct error *error)
{
    bool ours;

    pthread_mutex_lock(&call->lock);
    ours = !call->ending_wanted && !call->closed;
    if (!call->closed &&
        (call->sending || call->ending_begun)) /* it does not read: no use to wait */
        grpc_call_cancel_with_status(call->grpc,
                                     (grpc_status_code)status_row(error->status)->code_number,
                                     "the client does not read", NULL);
    pthread_mutex_unlock(&call->lock);
    call_fail(call, error);
    if (ours && call->strand.pool)
        post(call, STEP_CLOSED);
}

void call_send(struct call *call, const ProtobufCMessage *message, struct keeper *keeper)
{
    grpc_byte_buffer *buffer = NULL;
    struct error error;
    enum status status = buffer_pack(message, keeper, &buffer, &error);

    keeper_drop(&keeper);
    if (status != STATUS_OK) {
        call_fail(call, &error);
        return;
    }
    pthread_mutex_lock(&call->lock);
    assert(!call->sending);
    if (!call->ending_wanted && !call->closed)
        batch_send(call, buffer);
    else
        grpc_byte_buffer_destroy(buffer);
    pthread_mutex_unlock(&call->lock);
}

void call_reply(struct call *call, const ProtobufCMessage *message, struct keeper *keeper)
{
    struct ending ending = {.code = GRPC_STATUS_OK, .pushback_ms = -1};
    struct error error;
    enum status status = buffer_pack(message, keeper, &ending.message, &error);

    keeper_drop(&keeper);
    if (status == STATUS_OK)
        call_end(call, &ending);
    else
        call_fail(call, &error);
}

void call_wake(struct call *call)
{
    post(call, STEP_WAKE);
}

bool call_over(struct call *call)
{
    bool over;

    pthread_mutex_lock(&call->lock);
    over = call->ending_wanted || call->closed;
    pthread_mutex_unlock(&call->lock);
    return over;
}

/* What is overdue: NULL, or the error to end with. */
static const struct error *overdue(struct call *call, int64_t now_ns, int64_t idle_ns,
                                   struct error *error)
{
    bool stream = call->method && call->method->kind != UNARY;
    bool waits = call->reading || call->sending || call->ending_begun;

    if (call->closed)
        return NULL;
    if (now_ns >= call->deadline_ns) {
        FAIL(error, DEADLINE, INT("ms", call->limit_ms));
        return error;
    }
    if ((stream || call->ending_begun) && waits && now_ns - call->active_ns >= idle_ns) {
        FAIL(error, CANCELLED, TEXT("why", "the stream was idle for too long"));
        return error;
    }
    return NULL;
}

void call_tick(struct call *call, int64_t now_ns, int64_t idle_ns)
{
    struct error error;
    const struct error *why;

    pthread_mutex_lock(&call->lock);
    why = overdue(call, now_ns, idle_ns, &error);
    pthread_mutex_unlock(&call->lock);
    if (why)
        call_cut(call, why);
}

void *call_state(struct call *call)
{
    return call->state;
}

struct service *call_service(struct call *call)
{
    return server_service(call->server);
}

const struct principal *call_principal(struct call *call)
{
    return &call->principal;
}

const struct method *call_method(struct call *call)
{
    return call->method;
}

int64_t call_deadline_ns(struct call *call)
{
    return call->deadline_ns;
}
