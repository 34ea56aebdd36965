/* timer.c - a pairing heap (Fredman, Sedgewick, Sleator, Tarjan, 1986). */
#include "host/jobs/timer.h"

#include <stddef.h>

/* The later one becomes the first child of the earlier. Either may be NULL. */
static struct timer *meld(struct timer *a, struct timer *b)
{
    if (!a || !b)
        return a ? a : b;
    if (b->at_ns < a->at_ns) {
        struct timer *swap = a;
        a = b;
        b = swap;
    }
    b->next = a->child;
    b->before = a;
    if (a->child)
        a->child->before = b;
    a->child = b;
    return a;
}

/* Pairs from left to right, then melds the pairs from right to left. */
static struct timer *meld_children(struct timer *first)
{
    struct timer *pairs = NULL, *all = NULL;

    while (first) {
        struct timer *a = first, *b = a->next;
        first = b ? b->next : NULL;
        a->next = a->before = NULL;
        if (b)
            b->next = b->before = NULL;
        a = meld(a, b);
        a->next = pairs; /* a stack of roots */
        pairs = a;
    }
    while (pairs) {
        struct timer *a = pairs;
        pairs = a->next;
        a->next = NULL;
        all = meld(all, a);
    }
    return all;
}

void timer_clear(struct timers *timers, struct timer *timer)
{
    if (!timer->set)
        return;
    struct timer *children = meld_children(timer->child);
    if (timer == timers->root) {
        timers->root = children;
    } else {
        if (timer->before->child == timer)
            timer->before->child = timer->next;
        else
            timer->before->next = timer->next;
        if (timer->next)
            timer->next->before = timer->before;
        timers->root = meld(timers->root, children);
    }
    timer->child = timer->next = timer->before = NULL;
    timer->set = false;
}

void timer_set(struct timers *timers, struct timer *timer, int64_t at_ns)
{
    timer_clear(timers, timer);
    timer->at_ns = at_ns;
    timer->set = true;
    timers->root = meld(timers->root, timer);
}

struct timer *timer_due(struct timers *timers, int64_t now_ns)
{
    struct timer *timer = timers->root;

    if (!timer || timer->at_ns > now_ns)
        return NULL;
    timer_clear(timers, timer);
    return timer;
}

int64_t timers_next(const struct timers *timers)
{
    return timers->root ? timers->root->at_ns : INT64_MAX;
}
