#include "host/jobs/message.h"

#include <stddef.h>
#include <time.h>

#include "host/base/clock.h"

void messages_init(struct messages *messages)
{
    pthread_condattr_t monotonic;

    *messages = (struct messages){.last = &messages->first};
    pthread_mutex_init(&messages->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC); /* the clock of clock_ns */
    pthread_cond_init(&messages->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

void messages_deinit(struct messages *messages)
{
    pthread_cond_destroy(&messages->wake);
    pthread_mutex_destroy(&messages->lock);
}

static bool push(struct messages *messages, struct message *message, int most)
{
    pthread_mutex_lock(&messages->lock);
    bool room = messages->count < most;
    if (room && !message->posted) {
        message->posted = true;
        message->next = NULL;
        *messages->last = message;
        messages->last = &message->next;
        messages->count++;
        if (messages->count == 1)
            pthread_cond_signal(&messages->wake);
    }
    pthread_mutex_unlock(&messages->lock);
    return room;
}

bool message_post(struct messages *messages, struct message *message)
{
    return push(messages, message, MESSAGES_MAX);
}

void message_push(struct messages *messages, struct message *message)
{
    push(messages, message, INT32_MAX);
}

struct message *message_take(struct messages *messages, int64_t until_ns)
{
    struct timespec until = {.tv_sec = until_ns / 1000000000, .tv_nsec = until_ns % 1000000000};
    struct message *message;

    pthread_mutex_lock(&messages->lock);
    while (!messages->first && clock_ns() < until_ns)
        pthread_cond_timedwait(&messages->wake, &messages->lock, &until);
    message = messages->first;
    if (message) {
        messages->first = message->next;
        if (!messages->first)
            messages->last = &messages->first;
        messages->count--;
        message->posted = false;
    }
    pthread_mutex_unlock(&messages->lock);
    return message;
}
