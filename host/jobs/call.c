/* call.c - what other threads ask of the dispatcher: get, cancel, wait, list, limits, drain.
 *
 * Each question is a message with its words copied in; the answer is a callback on the dispatcher's
 * thread, or on the caller's when the question could not even be put. */
#include <stdio.h>
#include <string.h>

#include "host/base/clock.h"
#include "host/base/memory.h"
#include "host/jobs/live.h"

enum { WAITS_MAX = 65536 };

struct call {
    struct message message;
    char name[64], tag[64], why[ERROR_VALUE_BYTES];
    bool by_tag;
    int64_t until_ns;
    enum job_state state;
    int most;
    job_callback callback;
    job_list_callback list_callback;
    void *context;
    struct limits limits;
    struct wait *wait;
};

void messages_full(struct dispatcher *dispatcher, struct error *error)
{
    (void)dispatcher;
    FAIL(error, QUEUE_FULL, TEXT("queue", "message"), INT("jobs", MESSAGES_MAX),
         INT("retry_ms", RETRY_MS));
}

static struct call *call_new(const char *name,
                             void (*handle)(struct dispatcher *, struct message *))
{
    struct call *call = memory_zeroed(1, sizeof *call);

    if (!call)
        return NULL;
    call->message.handle = handle;
    if (name)
        snprintf(call->name, sizeof call->name, "%s", name);
    return call;
}

/* Posts it; a call that could not be made (NULL) or posted leaves the reason in *error. */
static bool call_post(struct dispatcher *dispatcher, struct call *call, struct error *error)
{
    if (!call) {
        FAIL(error, OUT_OF_MEMORY, TEXT("what", "a call"), INT("needed", sizeof *call),
             INT("retry_ms", RETRY_MS));
        return false;
    }
    if (message_post(&dispatcher->messages, &call->message))
        return true;
    messages_full(dispatcher, error);
    memory_free(call->wait);
    memory_free(call);
    return false;
}

/* The job of a call, or its callback hears that there is none. */
static struct job *call_job(struct dispatcher *dispatcher, struct call *call)
{
    struct job *job = registry_find(dispatcher, call->name);
    struct error error;

    if (job)
        return job;
    FAIL(&error, JOB_NOT_FOUND, TEXT("name", call->name));
    call->callback(call->context, NULL, &error);
    return NULL;
}

static void handle_get(struct dispatcher *dispatcher, struct message *message)
{
    struct call *call = (struct call *)message;
    struct job *job = call_job(dispatcher, call);

    if (job)
        job_answer(call->callback, call->context, job);
    memory_free(call);
}

void job_get(struct dispatcher *dispatcher, const char *name, job_callback callback, void *context)
{
    struct call *call = call_new(name, handle_get);
    struct error error;

    if (call) {
        call->callback = callback;
        call->context = context;
    }
    if (!call_post(dispatcher, call, &error))
        callback(context, NULL, &error);
}

static bool has_tag(const struct job *job, const char *tag)
{
    for (int t = 0; t < job->view->tag_count; t++)
        if (strcmp(job->view->tags[t], tag) == 0)
            return true;
    return false;
}

/* Stops all live jobs with the tag; the newest one's view is the answer. */
static void cancel_tag(struct dispatcher *dispatcher, struct call *call, const struct error *why)
{
    struct job *newest = NULL;
    struct error error;

    for (struct job *job = dispatcher->all, *next; job; job = next) {
        next = job->all_next;
        if (job_state_final(job->state) || !has_tag(job, call->tag))
            continue;
        job_stop(job, why);
        newest = newest ? newest : job;
    }
    if (newest) {
        job_answer(call->callback, call->context, newest);
        return;
    }
    FAIL(&error, JOB_NOT_FOUND, TEXT("name", call->tag));
    call->callback(call->context, NULL, &error);
}

static void handle_cancel(struct dispatcher *dispatcher, struct message *message)
{
    struct call *call = (struct call *)message;
    struct error why;

    FAIL(&why, CANCELLED, TEXT("why", call->why));
    if (call->by_tag) {
        cancel_tag(dispatcher, call, &why);
        memory_free(call);
        return;
    }
    struct job *job = call_job(dispatcher, call);
    if (job) {
        job_stop(job, &why);
        job_answer(call->callback, call->context, job);
    }
    memory_free(call);
}

void job_cancel(struct dispatcher *dispatcher, const char *name, const char *tag, const char *why,
                job_callback callback, void *context)
{
    struct call *call = call_new(name, handle_cancel);
    struct error error;

    if (call) {
        call->by_tag = !name;
        if (tag)
            snprintf(call->tag, sizeof call->tag, "%s", tag);
        snprintf(call->why, sizeof call->why, "%s", why ? why : "asked for");
        call->callback = callback;
        call->context = context;
    }
    if (!call_post(dispatcher, call, &error))
        callback(context, NULL, &error);
}

/* The wait ran out. An ephemeral fit is an ordinary job from here on: its call will be answered with
 * it unfinished, and must be able to find it again. */
static void wait_passed(void *context, struct timer *timer)
{
    struct wait *wait = (struct wait *)((char *)timer - offsetof(struct wait, timer));
    struct job *job = wait->job;
    struct wait **link = &job->waits;

    (void)context;
    while (*link != wait)
        link = &(*link)->next;
    *link = wait->next;
    job->dispatcher->wait_count--;
    job_settle(job);
    job_refresh(job);
    wait_end(wait, job->view, NULL);
}

static void handle_wait(struct dispatcher *dispatcher, struct message *message)
{
    struct call *call = (struct call *)message;
    struct wait *wait = call->wait;
    struct job *job = call_job(dispatcher, call);
    struct error error;

    if (job && job_state_final(job->state)) {
        job_answer(call->callback, call->context, job);
        if (!job->kept)
            job_forget(job);
    } else if (job && dispatcher->wait_count >= WAITS_MAX) {
        FAIL(&error, TOO_MANY, INT("count", dispatcher->wait_count), TEXT("what", "waiting calls"),
             INT("retry_ms", RETRY_MS));
        call->callback(call->context, NULL, &error);
    } else if (job) {
        *wait = (struct wait){.callback = call->callback, .context = call->context};
        wait->timer.fire = wait_passed;
        wait_attach(job, wait);
        timer_set(&dispatcher->timers, &wait->timer, call->until_ns);
        call->wait = NULL;
    }
    memory_free(call->wait);
    memory_free(call);
}

void job_wait(struct dispatcher *dispatcher, const char *name, int64_t until_ns,
              job_callback callback, void *context)
{
    struct call *call = call_new(name, handle_wait);
    struct error error;

    if (call) {
        call->callback = callback;
        call->context = context;
        call->until_ns = until_ns;
        call->wait = memory_zeroed(1, sizeof *call->wait);
    }
    if (call && !call->wait) {
        memory_free(call);
        call = NULL;
    }
    if (!call_post(dispatcher, call, &error))
        callback(context, NULL, &error);
}

static bool list_wants(const struct call *call, const struct job *job)
{
    return (!call->by_tag || has_tag(job, call->tag)) &&
           (call->state == 0 || call->state == job->state);
}

static void handle_list(struct dispatcher *dispatcher, struct message *message)
{
    struct call *call = (struct call *)message;
    uint64_t below = call->name[0] ? registry_number(dispatcher, call->name) : UINT64_MAX;
    struct job_view **views = memory_new((size_t)call->most, sizeof *views);
    struct error error;
    int count = 0;
    bool more = false;

    if (!views) {
        FAIL(&error, OUT_OF_MEMORY, TEXT("what", "a list of jobs"),
             INT("needed", (size_t)call->most * sizeof *views), INT("retry_ms", RETRY_MS));
        call->list_callback(call->context, NULL, 0, false, &error);
        memory_free(call);
        return;
    }
    for (struct job *job = dispatcher->all; job && !more; job = job->all_next) {
        if (job->number >= below || !list_wants(call, job))
            continue;
        more = count == call->most;
        if (more)
            break;
        job_refresh(job);
        job_view_pin(job->view);
        views[count++] = job->view;
    }
    call->list_callback(call->context, views, count, more, NULL);
    memory_free(views);
    memory_free(call);
}

void job_list(struct dispatcher *dispatcher, const char *after, const char *tag,
              enum job_state state, int most, job_list_callback callback, void *context)
{
    struct call *call = call_new(after, handle_list);
    struct error error;

    if (call) {
        call->by_tag = tag && tag[0];
        snprintf(call->tag, sizeof call->tag, "%s", tag ? tag : "");
        call->state = state;
        call->most = most < 1 ? 1 : most > PAGE_SIZE_MAX ? PAGE_SIZE_MAX : most;
        call->list_callback = callback;
        call->context = context;
    }
    if (!call_post(dispatcher, call, &error))
        callback(context, NULL, 0, false, &error);
}

static void handle_limits(struct dispatcher *dispatcher, struct message *message)
{
    struct call *call = (struct call *)message;

    dispatcher->limits = call->limits;
    dispatcher_fast_bytes(dispatcher);
    jobs_expire(dispatcher);
    memory_free(call);
}

void dispatcher_set_limits(struct dispatcher *dispatcher, const struct limits *limits)
{
    struct call *call = call_new(NULL, handle_limits);

    if (!call)
        return; /* the old ones hold; the next reload tries again */
    call->limits = *limits;
    message_push(&dispatcher->messages, &call->message);
}
