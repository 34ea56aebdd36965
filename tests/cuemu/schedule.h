/* schedule.h - a grid under way: blocks, their warps, and who is ready. */
#ifndef BARY_TESTS_CUEMU_SCHEDULE_H
#define BARY_TESTS_CUEMU_SCHEDULE_H

#include "tests/cuemu/fiber.h"

namespace cuemu
{

enum { WARPS_MOST = THREADS_MOST / 32, SHARED_GUARD = 128, CONTEXTS_A_WARP_MOST = 32 };

/* What tells a race detector that a barrier orders: two objects for a block and for a warp, used in turn,
 * else a fast thread's next phase would leak order into a slow thread's last one. A collective of a part
 * of a warp has one of its own, and each thread two for its device-wide fences. Fresh ones for each block. */
struct block_order {
    struct order_point block_fence, barrier[2], warp[WARPS_MOST][2], part[WARPS_MOST];
    struct order_point fence[THREADS_MOST][2];
};

struct warp {
    unsigned lanes;   /* those the block has */
    unsigned waiting; /* at a collective */
    unsigned returned;
    unsigned phase; /* full collectives that ended */
};

/* A block that runs, in one of the grid's resident places. */
struct block {
    bool live;
    uint3 index;
    unsigned set; /* of the pool's stacks and contexts */
    struct fiber *fiber[THREADS_MOST];
    struct warp warp[WARPS_MOST];
    unsigned threads, arrived, returned, phase;
    place here; /* where the first thread of this barrier waits */
    enum fold fold;
    int count, result;
    struct block_order *order;
    char *shared;
    size_t shared_bytes;
};

/* Stacks and contexts of a stream; see pool.cc. */
struct pool {
    struct fiber ***stack; /* [set][thread] */
    unsigned *stacks;      /* of each set */
    unsigned sets;
    void **context;
    unsigned contexts;
    struct pool *next;
};
/* Makes what `sets` sets of `threads` threads need. Gives how many contexts a warp has (0: no race detector). */
unsigned pool_fit(struct pool *pool, unsigned sets, unsigned threads);

struct grid {
    const struct cudaLaunchConfig_t *config;
    const void *kernel;
    struct call *call;
    struct pool *pool;
    unsigned threads, resident;
    uint64_t blocks, begun, ended;
    uint64_t *turn;       /* the order in which blocks begin */
    struct block *block;  /* resident */
    struct fiber **ready; /* a ring */
    unsigned ready_most, ready_first, ready_count;
    unsigned *free_set; /* a ring, first in first out */
    unsigned sets, set_first, set_count;
    unsigned contexts_a_warp, context_of_lane[32];
    char *arena;
    size_t arena_bytes, stride;
    struct order_point *start, *end;
    struct fiber *returned; /* why the scheduler was switched to; NULL: nobody can run */
    size_t fences_told;
};
extern struct grid *grid_now; /* the lock is held, so there is one at most; NULL: none */

/* barrier.cc: the fiber that runs has come where it must wait, or has returned. Whoever is released by that
 * becomes ready. */
void block_arrive(struct fiber *fiber);
void warp_arrive(struct fiber *fiber);
void thread_return(struct fiber *fiber);
/* schedule.cc */
void fiber_wake(struct fiber *fiber);
/* Prints who waits where and ends the process: 98. */
[[noreturn]] void deadlock(const struct grid *grid);

} // namespace cuemu

#endif
