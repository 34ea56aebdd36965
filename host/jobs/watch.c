/* watch.c - who wants to hear of a job's changes. The dispatcher's thread, but for the three posts.
 *
 * A watch hears at most ten times a second, only when it is ready, and always the newest view: a
 * slow watcher costs one view, not a backlog. The final view is not held back. */
#include <string.h>

#include "host/base/memory.h"
#include "host/jobs/live.h"

static void watch_detach(struct watch *watch)
{
    if (!watch->job)
        return;
    struct watch **link = &watch->job->watches;
    while (*link != watch)
        link = &(*link)->next;
    *link = watch->next;
    watch->job = NULL;
}

/* Frees it unless one of its messages still waits; the last of those frees it then. */
static void watch_free(struct watch *watch)
{
    struct messages *messages = &watch->dispatcher->messages;

    pthread_mutex_lock(&messages->lock);
    bool waits = watch->ready_message.posted || watch->stop_message.posted;
    pthread_mutex_unlock(&messages->lock);
    if (!waits)
        memory_free(watch);
}

/* `last`: it is gone after this. */
static void watch_end(struct watch *watch, struct job_view *view, const struct error *error)
{
    struct dispatcher *dispatcher = watch->dispatcher;

    timer_clear(&dispatcher->timers, &watch->timer);
    watch_detach(watch);
    job_view_unpin(&watch->final);
    if (watch->all_before)
        watch->all_before->all_next = watch->all_next;
    else if (dispatcher->watches == watch)
        dispatcher->watches = watch->all_next;
    if (watch->all_next)
        watch->all_next->all_before = watch->all_before;
    if (watch->listed)
        dispatcher->watch_count--;
    watch->ended = true;
    watch->callback(watch->context, view, true, error);
    watch_free(watch);
}

/* Says what there is to say, if it may. */
static void watch_tell(struct watch *watch)
{
    struct dispatcher *dispatcher = watch->dispatcher;
    struct job_view *view = watch->final ? watch->final : watch->job->view;

    if (!watch->ready)
        return;
    if (watch->final) {
        job_view_pin(view);
        watch_end(watch, view, NULL);
        return;
    }
    if (view->sequence <= watch->after_sequence)
        return;
    if (watch->sent_ns != INT64_MIN && dispatcher->now_ns - watch->sent_ns < WATCH_NS) {
        if (!watch->timer.set)
            timer_set(&dispatcher->timers, &watch->timer, watch->sent_ns + WATCH_NS);
        return;
    }
    watch->ready = false;
    watch->sent_ns = dispatcher->now_ns;
    watch->after_sequence = view->sequence;
    job_view_pin(view);
    watch->callback(watch->context, view, false, NULL);
}

void watches_tell(struct job *job)
{
    bool final = job_state_final(job->state);

    for (struct watch *watch = job->watches, *next; watch; watch = next) {
        next = watch->next;
        if (final) {
            job_view_pin(job->view);
            watch->final = job->view;
            watch_detach(watch);
            job->answered = true;
        }
        watch_tell(watch);
    }
}

static void watch_timer(void *context, struct timer *timer)
{
    (void)context;
    watch_tell((struct watch *)((char *)timer - offsetof(struct watch, timer)));
}

static int watchers_of(const struct job *job)
{
    int count = 0;

    for (const struct watch *watch = job->watches; watch; watch = watch->next)
        count++;
    return count;
}

static enum status watch_admit(struct dispatcher *dispatcher, const struct watch *watch,
                               const struct job *job, struct error *error)
{
    if (!job)
        return FAIL(error, JOB_NOT_FOUND, TEXT("name", watch->name));
    if (dispatcher->watch_count >= dispatcher->limits.watchers)
        return FAIL(error, TOO_MANY, INT("count", dispatcher->watch_count),
                    TEXT("what", "watchers"), INT("retry_ms", RETRY_MS));
    if (watchers_of(job) >= dispatcher->limits.watchers_per_job)
        return FAIL(error, TOO_MANY, INT("count", watchers_of(job)),
                    TEXT("what", "watchers of this job"), INT("retry_ms", RETRY_MS));
    return STATUS_OK;
}

static void watch_added(struct dispatcher *dispatcher, struct message *message)
{
    struct watch *watch = (struct watch *)((char *)message - offsetof(struct watch, add));
    struct job *job = registry_find(dispatcher, watch->name);
    struct error error = {0};

    if (watch_admit(dispatcher, watch, job, &error) != STATUS_OK) {
        watch_end(watch, NULL, &error);
        return;
    }
    watch->listed = true;
    dispatcher->watch_count++;
    watch->all_next = dispatcher->watches;
    if (dispatcher->watches)
        dispatcher->watches->all_before = watch;
    dispatcher->watches = watch;
    watch->timer.fire = watch_timer;
    watch->ready = true;
    watch->job = job;
    watch->next = job->watches;
    job->watches = watch;
    job_refresh(job);
    if (job_state_final(job->state))
        watches_tell(job);
    else
        watch_tell(watch);
}

static void watch_readied(struct dispatcher *dispatcher, struct message *message)
{
    struct watch *watch = (struct watch *)((char *)message - offsetof(struct watch, ready_message));

    (void)dispatcher;
    if (watch->ended) {
        watch_free(watch);
        return;
    }
    watch->ready = true;
    watch_tell(watch);
}

static void watch_stopped(struct dispatcher *dispatcher, struct message *message)
{
    struct watch *watch = (struct watch *)((char *)message - offsetof(struct watch, stop_message));
    struct error error;

    (void)dispatcher;
    if (watch->ended) {
        watch_free(watch);
        return;
    }
    FAIL(&error, CANCELLED, TEXT("why", "the watch was stopped"));
    watch_end(watch, NULL, &error);
}

struct watch *job_watch(struct dispatcher *dispatcher, const char *name, uint64_t after_sequence,
                        watch_callback callback, void *context)
{
    struct watch *watch = memory_zeroed(1, sizeof *watch);
    struct error error;

    if (!watch) {
        FAIL(&error, OUT_OF_MEMORY, TEXT("what", "a watch"), INT("needed", sizeof *watch),
             INT("retry_ms", RETRY_MS));
        callback(context, NULL, true, &error);
        return NULL;
    }
    watch->add.handle = watch_added;
    watch->ready_message.handle = watch_readied;
    watch->stop_message.handle = watch_stopped;
    watch->dispatcher = dispatcher;
    watch->after_sequence = after_sequence;
    watch->callback = callback;
    watch->context = context;
    watch->sent_ns = INT64_MIN;
    strncpy(watch->name, name, sizeof watch->name - 1);
    if (message_post(&dispatcher->messages, &watch->add))
        return watch;
    messages_full(dispatcher, &error);
    callback(context, NULL, true, &error);
    memory_free(watch);
    return NULL;
}

void job_watch_ready(struct watch *watch)
{
    message_push(&watch->dispatcher->messages, &watch->ready_message);
}

void job_watch_stop(struct watch *watch)
{
    message_push(&watch->dispatcher->messages, &watch->stop_message);
}

void watches_end(struct dispatcher *dispatcher)
{
    struct error error;

    FAIL(&error, DRAINING, INT("retry_ms", RETRY_MS));
    while (dispatcher->watches)
        watch_end(dispatcher->watches, NULL, &error);
}
