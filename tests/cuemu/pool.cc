/* pool.cc - stacks, and contexts of the race detector, of a stream.
 *
 * clang's detector keeps 256 contexts and goes silently blind beyond them: one racing pair in a block of
 * 512 threads was found 4 times of 48. So all streams share a budget, and lanes of a warp share contexts. */
#include <stdlib.h>

#include "tests/cuemu/schedule.h"

namespace cuemu
{
namespace
{

struct pool *pools;

template <class T>
T *grown(T *list, size_t count)
{
    void *memory = realloc(list, count * sizeof(T));
    if (!memory)
        found("no memory for %zu stacks", count);
    return static_cast<T *>(memory);
}

#ifdef CUEMU_TSAN
void contexts_drop(struct pool *pool, unsigned keep)
{
    while (pool->contexts > keep)
        __tsan_destroy_fiber(pool->context[--pool->contexts]);
}

/* Contexts for sets x warps, at least one a warp, taken from other streams where the budget asks. */
unsigned contexts_fit(struct pool *pool, unsigned places)
{
    unsigned sharing = 0, others = 0, budget = (unsigned)settings.contexts;
    for (struct pool *each = pools; each; each = each->next)
        sharing += each == pool || each->contexts > 0;
    unsigned share = budget / sharing, a_warp = share / places;
    a_warp = a_warp < 1                      ? 1
             : a_warp > CONTEXTS_A_WARP_MOST ? (unsigned)CONTEXTS_A_WARP_MOST
                                             : a_warp;
    unsigned need = a_warp * places;
    if (need > budget)
        found("%u resident warps need more than %u contexts: fewer resident blocks", places,
              budget);
    for (struct pool *each = pools; each; each = each->next)
        if (each != pool) {
            contexts_drop(each, need > share ? 0 : share);
            others += each->contexts;
        }
    if (pool->contexts > need && pool->contexts + others > budget)
        contexts_drop(pool, need);
    if (pool->contexts < need)
        pool->context = grown(pool->context, need);
    while (pool->contexts < need)
        pool->context[pool->contexts++] = __tsan_create_fiber(0);
    return a_warp;
}
#else
unsigned contexts_fit(struct pool *, unsigned)
{
    return 0;
}
#endif

} // namespace

struct pool *pool_new()
{
    struct pool *pool = static_cast<struct pool *>(calloc(1, sizeof *pool));
    if (!pool)
        found("no memory for a stream");
    pool->next = pools;
    pools = pool;
    return pool;
}

void pool_free(struct pool *pool)
{
    struct pool **link = &pools;
    while (*link != pool)
        link = &(*link)->next;
    *link = pool->next;
#ifdef CUEMU_TSAN
    contexts_drop(pool, 0);
#endif
    for (unsigned set = 0; set < pool->sets; set++) {
        for (unsigned i = 0; i < pool->stacks[set]; i++)
            fiber_free(pool->stack[set][i]);
        free(pool->stack[set]);
    }
    free(pool->stack);
    free(pool->stacks);
    free(pool->context);
    free(pool);
}

unsigned pool_fit(struct pool *pool, unsigned sets, unsigned threads)
{
    if (pool->sets < sets) {
        pool->stack = grown(pool->stack, sets);
        pool->stacks = grown(pool->stacks, sets);
        for (; pool->sets < sets; pool->sets++) {
            pool->stack[pool->sets] = nullptr;
            pool->stacks[pool->sets] = 0;
        }
    }
    for (unsigned set = 0; set < sets; set++) {
        if (pool->stacks[set] < threads)
            pool->stack[set] = grown(pool->stack[set], threads);
        while (pool->stacks[set] < threads)
            pool->stack[set][pool->stacks[set]++] = fiber_new();
    }
    return contexts_fit(pool, sets * ((threads + 31) / 32));
}

} // namespace cuemu
