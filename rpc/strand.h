/* strand.h - threads that do the steps of calls, and the rule that one call's steps never overlap.
 *
 * A pool is a queue of strands and some threads. A strand holds which of its steps wait, as bits: a
 * step that is asked for twice before it ran runs once. So nothing is allocated per step, and the
 * queue is bounded by the number of calls. */
#ifndef BARY_RPC_STRAND_H
#define BARY_RPC_STRAND_H

#include <pthread.h>
#include <stdbool.h>

#include "host/base/error.h"

struct pool;
enum status pool_start(int threads, const char *name, struct pool **out, struct error *error);
/* Works off what is queued and joins the threads; what is posted later runs at once, on its caller. */
void pool_stop(struct pool *pool);
void pool_free(struct pool **pool); /* NULL is fine */

struct strand {
    struct pool *pool;
    void (*run)(struct strand *strand, unsigned step); /* one step, without the lock */
    pthread_mutex_t lock;                              /* guards what follows; held alone */
    unsigned waiting;
    bool running;
    struct strand *next; /* in the pool's queue */
};
void strand_init(struct strand *strand, void (*run)(struct strand *strand, unsigned step));
void strand_deinit(struct strand *strand);

/* Asks for a step (one bit; lower bits go first). `here`: on this thread, now, unless one runs
 * elsewhere. `reference` is called when the strand starts to run, and run(strand, 0) when it has come
 * to rest: in between the strand's owner must stay. */
void strand_post(struct strand *strand, unsigned step, bool here,
                 void (*reference)(struct strand *strand));

#endif
