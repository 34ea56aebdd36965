/* timer.h - what happens when: a heap of timers that live inside what they belong to.
 *
 * Setting and clearing take no memory, so they cannot fail. Not locked: one thread's. */
#ifndef BARY_HOST_JOBS_TIMER_H
#define BARY_HOST_JOBS_TIMER_H

#include <stdbool.h>
#include <stdint.h>

struct timer {
    void (*fire)(void *context, struct timer *timer); /* set by the owner */
    int64_t at_ns;
    bool set;
    struct timer *child, *next, *before; /* before: left neighbor, or parent of a first child */
};

struct timers {
    struct timer *root; /* the earliest */
};

/* Set again: moved. */
void timer_set(struct timers *timers, struct timer *timer, int64_t at_ns);
void timer_clear(struct timers *timers, struct timer *timer);
/* Takes out the earliest one that is due; NULL: none. */
struct timer *timer_due(struct timers *timers, int64_t now_ns);
/* When the earliest is due; INT64_MAX: there is none. */
int64_t timers_next(const struct timers *timers);

#endif
