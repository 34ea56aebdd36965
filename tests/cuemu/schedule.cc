/* schedule.cc - runs a grid: blocks begin in an order, ready threads run in an order, until all returned. */
#include "tests/cuemu/schedule.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

namespace cuemu
{

struct grid *grid_now;

namespace
{

template <class T>
T *taken(size_t count)
{
    void *memory = calloc(count, sizeof(T));
    if (!memory)
        found("no memory for a grid");
    return static_cast<T *>(memory);
}

void ready_push(struct grid *grid, struct fiber *fiber)
{
    grid->ready[(grid->ready_first + grid->ready_count++) % grid->ready_most] = fiber;
}

/* The first in line, or any of them. */
struct fiber *ready_pop(struct grid *grid)
{
    struct fiber **first = &grid->ready[grid->ready_first];
    if (settings.order == ORDER_RANDOM) {
        struct fiber **any =
            &grid->ready[(grid->ready_first + random_below(grid->ready_count)) % grid->ready_most];
        struct fiber *kept = *first;
        *first = *any;
        *any = kept;
    }
    grid->ready_first = (grid->ready_first + 1) % grid->ready_most;
    grid->ready_count--;
    return *first;
}

void set_return(struct grid *grid, unsigned set)
{
    grid->free_set[(grid->set_first + grid->set_count++) % grid->sets] = set;
}
unsigned set_take(struct grid *grid)
{
    unsigned set = grid->free_set[grid->set_first];
    grid->set_first = (grid->set_first + 1) % grid->sets;
    grid->set_count--;
    return set;
}

uint3 split(uint64_t index, dim3 size)
{
    return {(unsigned)(index % size.x), (unsigned)(index / size.x % size.y),
            (unsigned)(index / size.x / size.y)};
}

/* The context of a thread: lanes share them by a map drawn anew at each launch. */
void *context_of(const struct grid *grid, unsigned set, unsigned thread)
{
    if (grid->contexts_a_warp == 0)
        return nullptr;
    unsigned warps = (grid->threads + 31) / 32;
    return grid->pool->context[(set * warps + thread / 32) * grid->contexts_a_warp +
                               grid->context_of_lane[thread % 32]];
}

void thread_begin(struct grid *grid, struct block *block, unsigned thread)
{
    struct fiber *fiber = grid->pool->stack[block->set][thread];
    fiber->context = context_of(grid, block->set, thread);
    fiber->block = block;
    fiber->block_index = block->index;
    fiber->index = thread;
    fiber->thread = split(thread, grid->config->blockDim);
    fiber->copies->count = fiber->copies->groups = fiber->copies->open = 0;
    fiber->fences = 0;
    fiber->fence_untold = false;
    block->fiber[thread] = fiber;
    block->warp[thread / 32].lanes |= 1u << thread % 32;
}

/* A piece of the arena: order points, shared memory, guard. */
void block_memory(struct grid *grid, struct block *block, uint64_t piece)
{
    char *at = grid->arena + piece * grid->stride;
    block->order = reinterpret_cast<struct block_order *>(at);
    block->shared = at + (sizeof(struct block_order) + 127) / 128 * 128;
    block->shared_bytes = grid->config->dynamicSmemBytes;
    CUEMU_UNPOISON(at, grid->stride);
    fill(block->shared, POISON, block->shared_bytes);
    fill(block->shared + block->shared_bytes, GUARD, SHARED_GUARD);
    CUEMU_POISON(block->shared + block->shared_bytes, SHARED_GUARD);
}

void block_begin(struct grid *grid, struct block *block)
{
    uint64_t index = grid->turn[grid->begun];
    *block = {};
    block->live = true;
    block->index = split(index, grid->config->gridDim);
    block->threads = grid->threads;
    block->set = set_take(grid);
#ifdef CUEMU_TSAN
    block_memory(grid, block, grid->begun); /* addresses of its own: order must not be inherited */
#else
    block_memory(grid, block, (uint64_t)(block - grid->block));
#endif
    grid->begun++;
    for (unsigned i = 0; i < block->threads; i++)
        thread_begin(grid, block, i);
    for (unsigned i = 0; i < block->threads; i++)
        fiber_wake(block->fiber[in_order(i, block->threads)]);
}

void shared_guard_check(const struct block *block)
{
#ifndef CUEMU_ASAN
    for (size_t i = 0; i < SHARED_GUARD; i++)
        if ((unsigned char)block->shared[block->shared_bytes + i] != GUARD)
            found("block (%u, %u, %u) wrote %zu bytes behind its %zu bytes of shared memory",
                  block->index.x, block->index.y, block->index.z, i, block->shared_bytes);
#else
    (void)block;
#endif
}

void block_end(struct grid *grid, struct block *block)
{
    shared_guard_check(block);
    set_return(grid, block->set);
    block->live = false;
    grid->ended++;
}

void fiber_end(struct grid *grid, struct fiber *fiber)
{
    thread_return(fiber);
    if (fiber->block->returned == fiber->block->threads)
        block_end(grid, fiber->block);
}

void order_draw(struct grid *grid)
{
    for (uint64_t i = 0; i < grid->blocks; i++)
        grid->turn[i] = settings.order == ORDER_DOWN ? grid->blocks - 1 - i : i;
    if (settings.order == ORDER_RANDOM)
        shuffled(grid->turn, grid->blocks);
    for (unsigned i = 0; i < 32; i++)
        grid->context_of_lane[i] = grid->contexts_a_warp ? i % grid->contexts_a_warp : 0;
    if (grid->contexts_a_warp > 0 && grid->contexts_a_warp < 32)
        shuffled(grid->context_of_lane, 32);
}

/* One mapping a launch; in it the two points that order the launch behind its stream and the stream
 * behind it. */
void arena_open(struct grid *grid)
{
    size_t order = (sizeof(struct block_order) + 127) / 128 * 128;
    size_t shared = (grid->config->dynamicSmemBytes + SHARED_GUARD + 127) / 128 * 128;
#ifdef CUEMU_TSAN
    uint64_t pieces = grid->blocks;
#else
    uint64_t pieces = grid->resident;
#endif
    grid->stride = order + shared;
    grid->arena_bytes = pieces * grid->stride + 2 * sizeof(struct order_point);
    void *mapped = mmap(nullptr, grid->arena_bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED)
        found("no memory for the shared memory of %llu blocks", (unsigned long long)pieces);
    grid->arena = static_cast<char *>(mapped);
    grid->start = reinterpret_cast<struct order_point *>(grid->arena + pieces * grid->stride);
    grid->end = grid->start + 1;
}

void grid_open(struct grid *grid)
{
    dim3 size = grid->config->gridDim, each = grid->config->blockDim;
    grid->blocks = (uint64_t)size.x * size.y * size.z;
    grid->threads = each.x * each.y * each.z;
    grid->resident =
        (unsigned)((uint64_t)settings.resident < grid->blocks ? (uint64_t)settings.resident
                                                              : grid->blocks);
#ifdef CUEMU_TSAN
    /* Two sets a resident block, reused first in first out: a block on its predecessor's contexts would
     * inherit its order. And never more warps than contexts. */
    unsigned warps = (grid->threads + 31) / 32, most = (unsigned)settings.contexts / (2 * warps);
    grid->resident = grid->resident > most && most > 0 ? most : grid->resident;
    grid->sets = 2 * grid->resident;
#else
    grid->sets = grid->resident;
#endif
    grid->contexts_a_warp = pool_fit(grid->pool, grid->sets, grid->threads);
    grid->ready_most = grid->resident * grid->threads;
    grid->ready = taken<struct fiber *>(grid->ready_most);
    grid->free_set = taken<unsigned>(grid->sets);
    grid->turn = taken<uint64_t>(grid->blocks);
    grid->block = taken<struct block>(grid->resident);
    for (unsigned set = 0; set < grid->sets; set++)
        set_return(grid, set);
    order_draw(grid);
    arena_open(grid);
}

void grid_close(struct grid *grid)
{
    CUEMU_UNPOISON(grid->arena, grid->arena_bytes);
    munmap(grid->arena, grid->arena_bytes);
    free(grid->ready);
    free(grid->free_set);
    free(grid->turn);
    free(grid->block);
}

} // namespace

void fiber_wake(struct fiber *fiber)
{
    fiber->state = FIBER_READY;
    ready_push(grid_now, fiber);
}

void fiber_wait()
{
    struct fiber *me = running;
    struct grid *grid = grid_now;
    if (me->state == FIBER_READY)
        ready_push(grid, me);
    else if (me->state == FIBER_AT_BLOCK)
        block_arrive(me);
    else
        warp_arrive(me);
    struct fiber *next = grid->ready_count > 0 ? ready_pop(grid) : &scheduler;
    if (next != me)
        fiber_switch(next);
}

void fiber_body()
{
    for (;;) {
        CUEMU_ACQUIRE(grid_now->start);
        grid_now->call->run();
        CUEMU_RELEASE(grid_now->end);
        running->state = FIBER_DONE;
        grid_now->returned = running;
        fiber_switch(&scheduler);
    }
}

void grid_run(const struct cudaLaunchConfig_t *config, const void *kernel, struct call *call,
              struct pool *pool)
{
    struct grid grid = {};
    grid.config = config;
    grid.kernel = kernel;
    grid.call = call;
    grid.pool = pool;
    grid_open(&grid);
    grid_now = &grid;
    ::gridDim = config->gridDim;
    ::blockDim = config->blockDim;
    scheduler.context = context_current();
    CUEMU_RELEASE(grid.start);
    while (grid.ended < grid.blocks) {
        for (unsigned i = 0; i < grid.resident && grid.begun < grid.blocks; i++)
            if (!grid.block[i].live)
                block_begin(&grid, &grid.block[i]);
        if (grid.ready_count == 0)
            deadlock(&grid);
        grid.returned = nullptr;
        fiber_switch(ready_pop(&grid));
        if (grid.returned)
            fiber_end(&grid, grid.returned);
    }
    CUEMU_ACQUIRE(grid.end);
    grid_now = nullptr;
    grid_close(&grid);
}

} // namespace cuemu
