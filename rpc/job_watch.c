/* job_watch.c - Watch: the newest state whenever the client has taken the one before.
 *
 * The dispatcher owns the watch and frees it after its last word; `lock` makes sure that nobody asks
 * it for more from then on. */
#include <pthread.h>
#include <string.h>

#include "bary/v1/job_service.pb-c.h"
#include "rpc/answer.h"
#include "rpc/convert.h"
#include "rpc/method.h"
#include "rpc/names.h"

struct watching {
    struct call *call;
    pthread_mutex_t lock; /* guards what follows */
    struct watch *watch;
    struct job_view *view; /* to be sent */
    bool last, failed;
    struct error error;
    bool sending; /* the call's own steps */
};

static void watch_take(void *watching_, struct job_view *view, bool last, const struct error *error)
{
    struct watching *watching = watching_;
    struct call *call = watching->call;

    pthread_mutex_lock(&watching->lock);
    job_view_unpin(&watching->view);
    watching->view = view;
    watching->last |= last;
    if (error) {
        watching->failed = true;
        watching->error = *error;
    }
    pthread_mutex_unlock(&watching->lock);
    call_wake(call);
    if (last)
        call_drop(call);
}

static void begin(struct call *call)
{
    struct watching *watching = call_state(call);

    watching->call = call;
    pthread_mutex_init(&watching->lock, NULL);
}

static void message(struct call *call, const void *in)
{
    const Bary__V1__WatchJobRequest *request = in;
    struct watching *watching = call_state(call);
    struct watch *watch;
    struct error error;
    char id[64];

    if (name_parse(call_principal(call), THING_JOB, request->name, id, NULL, &error) != STATUS_OK) {
        call_fail(call, &error);
        return;
    }
    call_hold(call);
    watch = job_watch(call_service(call)->dispatcher, id, request->after_sequence, watch_take,
                      watching);
    pthread_mutex_lock(&watching->lock);
    if (!watching->last)
        watching->watch = watch;
    pthread_mutex_unlock(&watching->lock);
}

static void send_view(struct call *call, struct job_view *view)
{
    struct watching *watching = call_state(call);
    struct keeper *keeper = view_keeper(view);
    struct arena arena;
    Bary__V1__Job *job;

    arena_init(&arena, REPLY_ARENA_BYTES);
    job = keeper ? job_new_message(&arena, call_principal(call), view, true) : NULL;
    watching->sending = job != NULL;
    if (job) {
        call_send(call, &job->base, keeper);
    } else {
        if (keeper)
            keeper_drop(&keeper);
        else
            job_view_unpin(&view);
        fail_memory(call, "a reply");
    }
    arena_deinit(&arena);
}

/* One thing at a time: a view to send, else the end. */
static void go_on(struct call *call)
{
    struct watching *watching = call_state(call);
    struct job_view *view;
    bool last, failed;

    if (watching->sending || call_over(call))
        return;
    pthread_mutex_lock(&watching->lock);
    view = watching->view;
    watching->view = NULL;
    last = watching->last;
    failed = watching->failed;
    pthread_mutex_unlock(&watching->lock);
    if (view)
        send_view(call, view);
    else if (failed)
        call_fail(call, &watching->error);
    else if (last)
        call_finish(call);
}

static void sent(struct call *call)
{
    struct watching *watching = call_state(call);

    watching->sending = false;
    pthread_mutex_lock(&watching->lock);
    if (!watching->last && watching->watch && !watching->view)
        job_watch_ready(watching->watch);
    pthread_mutex_unlock(&watching->lock);
    go_on(call);
}

static void closed(struct call *call)
{
    struct watching *watching = call_state(call);

    pthread_mutex_lock(&watching->lock);
    if (!watching->last && watching->watch)
        job_watch_stop(watching->watch);
    pthread_mutex_unlock(&watching->lock);
}

static void end(struct call *call)
{
    struct watching *watching = call_state(call);

    job_view_unpin(&watching->view);
    pthread_mutex_destroy(&watching->lock);
}

const struct handler job_watch_handler = {.state_bytes = sizeof(struct watching),
                                          .begin = begin,
                                          .message = message,
                                          .sent = sent,
                                          .wake = go_on,
                                          .closed = closed,
                                          .end = end};
