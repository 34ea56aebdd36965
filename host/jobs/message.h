/* message.h - what other threads tell the dispatcher: a bounded queue of messages that carry their handler.
 *
 * A message lies inside what it is about, so posting takes no memory. Messages of our own threads
 * (a job is done, there is progress) are bounded by the jobs there are and always fit; those of
 * callers are refused when MESSAGES_MAX wait. */
#ifndef BARY_HOST_JOBS_MESSAGE_H
#define BARY_HOST_JOBS_MESSAGE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

enum { MESSAGES_MAX = 8192 };

struct dispatcher;

struct message {
    struct message *next;
    bool posted; /* waits in the queue */
    void (*handle)(struct dispatcher *dispatcher, struct message *message);
};

struct messages {
    pthread_mutex_t lock; /* no other lock is taken under it */
    pthread_cond_t wake;
    struct message *first, **last;
    int count;
};

void messages_init(struct messages *messages);
void messages_deinit(struct messages *messages);

/* False: full. */
bool message_post(struct messages *messages, struct message *message);
/* Always taken. One that waits already stays where it is. */
void message_push(struct messages *messages, struct message *message);
/* Waits for one until `until_ns` (clock_ns); NULL: none came. */
struct message *message_take(struct messages *messages, int64_t until_ns);

#endif
