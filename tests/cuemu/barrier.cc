/* barrier.cc - who waits for whom: barriers, warp collectives, fences, and the table of a deadlock.
. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/cuemu/schedule.h"

namespace cuemu
{

/* ---- what a kernel calls ---- */

int block_barrier(int predicate, enum fold fold, place here)
{
    struct fiber *me = running;
    struct order_point *order = &me->block->order->barrier[me->block->phase & 1];
    CUEMU_RELEASE(order);
    me->state = FIBER_AT_BLOCK;
    me->here = here;
    me->predicate = predicate;
    me->fold = fold;
    fiber_wait();
    CUEMU_ACQUIRE(order);
    return me->block->result;
}

static struct order_point *warp_order(struct fiber *me, unsigned mask)
{
    unsigned w = me->index / 32;
    struct warp *warp = &me->block->warp[w];
    return mask == warp->lanes ? &me->block->order->warp[w][warp->phase & 1]
                               : &me->block->order->part[w];
}

void warp_collective(unsigned mask, void *operand, exchange run, bool orders_memory, place here)
{
    struct fiber *me = running;
    struct order_point *order = orders_memory ? warp_order(me, mask) : nullptr;
    if (order)
        CUEMU_RELEASE(order);
    me->state = FIBER_AT_WARP;
    me->here = here;
    me->mask = mask;
    me->operand = operand;
    me->run = run;
    fiber_wait();
    if (order)
        CUEMU_ACQUIRE(order);
}

enum { FENCES_MOST = 1 << 16 };
static struct order_point *fences_told[FENCES_MOST]; /* of the grid under way */

/* A fence orders nothing by itself: it takes an atomic behind it that tells, and an atomic before a fence
 * of another thread that hears. So a fence remembers the thread's past, the next atomic makes it known,
 * and a fence is ordered behind all that are known. */
void fence_device()
{
    struct fiber *me = running;
    for (size_t i = 0; i < grid_now->fences_told; i++)
        CUEMU_ACQUIRE(fences_told[i]);
    CUEMU_RELEASE(&me->block->order->fence[me->index][me->fences & 1]);
    me->fence_untold = true;
}

static void fence_tell(struct fiber *me)
{
    if (grid_now->fences_told == FENCES_MOST)
        found("%d fences with an atomic behind them, as many as the emulator holds", FENCES_MOST);
    fences_told[grid_now->fences_told++] = &me->block->order->fence[me->index][me->fences++ & 1];
    me->fence_untold = false;
}

void atomic_point()
{
    struct fiber *me = running;
    if (me->fence_untold)
        fence_tell(me);
    if (settings.yield && me->block)
        fiber_wait(); /* still ready: it goes to the end of the line */
}

void fence_block()
{
    CUEMU_RELEASE(&running->block->order->block_fence);
    CUEMU_ACQUIRE(&running->block->order->block_fence);
}

int lane_of_thread()
{
    return (int)(running->index % 32);
}

void *dynamic_shared(size_t bytes, size_t alignment, const char *type)
{
    const struct block *block = running->block;
    if (bytes > block->shared_bytes)
        found("%s is %zu bytes of shared memory, the launch gave %zu", type, bytes,
              block->shared_bytes);
    if (reinterpret_cast<uintptr_t>(block->shared) % alignment != 0)
        found("%s wants shared memory on a line of %zu bytes; 128 is what there is", type,
              alignment);
    return block->shared;
}

void copy_queue(struct copy copy, place here)
{
    struct copies *all = running->copies;
    if (all->count == COPIES_MOST)
        found("%s:%d: %d copies of one thread under way, as many as the emulator holds", here.file,
              here.line, COPIES_MOST);
    all->copy[(all->first + all->count++) % COPIES_MOST] = copy;
    all->open++;
}

void copy_commit()
{
    struct copies *all = running->copies;
    if (all->groups == GROUPS_MOST)
        found("%d groups of copies of one thread under way, as many as the emulator holds",
              GROUPS_MOST);
    all->group[(all->group_first + all->groups++) % GROUPS_MOST] = all->open;
    all->open = 0;
}

bool copy_take(int keep, struct copy *out)
{
    struct copies *all = running->copies;
    while (all->groups > keep && all->group[all->group_first] == 0) {
        all->group_first = (all->group_first + 1) % GROUPS_MOST;
        all->groups--;
    }
    if (all->groups <= keep)
        return false;
    all->group[all->group_first]--;
    *out = all->copy[all->first];
    all->first = (all->first + 1) % COPIES_MOST;
    all->count--;
    return true;
}

/* ---- who is released ---- */

static bool same_place(place a, place b)
{
    return a.line == b.line && (a.file == b.file || strcmp(a.file, b.file) == 0);
}

static void block_check(struct fiber *fiber)
{
    const struct block *block = fiber->block;
    if (same_place(block->here, fiber->here) && block->fold == fiber->fold)
        return;
    found("__syncthreads in a branch: this thread waits at %s:%d, others of its block at %s:%d",
          fiber->here.file, fiber->here.line, block->here.file, block->here.line);
}

void block_arrive(struct fiber *fiber)
{
    struct block *block = fiber->block;
    if (block->arrived == 0) {
        block->here = fiber->here;
        block->fold = fiber->fold;
        block->count = 0;
    }
    block_check(fiber);
    block->count += fiber->predicate != 0;
    if (++block->arrived < block->threads)
        return;
    block->result = block->fold == FOLD_COUNT ? block->count
                    : block->fold == FOLD_AND ? block->count == (int)block->threads
                                              : block->count > 0;
    block->arrived = 0;
    block->phase++;
    for (unsigned i = 0; i < block->threads; i++)
        fiber_wake(block->fiber[in_order(i, block->threads)]);
}

/* What is wrong with a mask before anybody else came. */
static void mask_check(const struct fiber *fiber, const struct warp *warp, unsigned lane)
{
    place here = fiber->here;
    if (!(fiber->mask >> lane & 1))
        found("%s:%d: mask %08x leaves out lane %u, which calls", here.file, here.line, fiber->mask,
              lane);
    if (fiber->mask & ~warp->lanes)
        found("%s:%d: mask %08x names lanes that the block does not have (it has %08x)", here.file,
              here.line, fiber->mask, warp->lanes);
    if (fiber->mask & warp->returned)
        found("%s:%d: mask %08x names lanes that have returned (%08x)", here.file, here.line,
              fiber->mask, warp->returned);
}

/* True: the other lane waits at the same collective. Two that wait for each other elsewhere are a found
 * bug; a lane that waits for others first will come later. */
static bool is_partner(const struct fiber *fiber, const struct fiber *other)
{
    if (other->mask == fiber->mask && other->run == fiber->run &&
        same_place(other->here, fiber->here))
        return true;
    if (other->mask >> fiber->index % 32 & 1)
        found(
            "lanes of one warp at different collectives: lane %u at %s:%d with mask %08x, lane %u "
            "at %s:%d with mask %08x",
            fiber->index % 32, fiber->here.file, fiber->here.line, fiber->mask, other->index % 32,
            other->here.file, other->here.line, other->mask);
    return false;
}

/* All lanes of the mask wait: if it is here, their exchange runs, and they go on. */
static void warp_release(struct fiber *const *lanes, struct warp *warp, const struct fiber *last)
{
    unsigned mask = last->mask;
    void *operand[32];
    for (unsigned left = mask; left; left &= left - 1) {
        unsigned lane = (unsigned)__builtin_ctz(left);
        if (!is_partner(last, lanes[lane]))
            return;
        operand[lane] = lanes[lane]->operand;
    }
    if (last->run)
        last->run(operand, mask);
    warp->waiting &= ~mask;
    warp->phase += mask == warp->lanes;
    for (unsigned i = 0; i < 32; i++)
        if (mask >> in_order(i, 32) & 1)
            fiber_wake(lanes[in_order(i, 32)]);
}

void warp_arrive(struct fiber *fiber)
{
    unsigned first = fiber->index / 32 * 32, lane = fiber->index % 32, mask = fiber->mask;
    struct fiber *const *lanes = &fiber->block->fiber[first];
    struct warp *warp = &fiber->block->warp[first / 32];

    mask_check(fiber, warp, lane);
    unsigned here = warp->waiting & mask;
    warp->waiting |= 1u << lane;
    if (here) /* one is enough to look at until all are here */
        is_partner(fiber, lanes[__builtin_ctz(here)]);
    if ((warp->waiting & mask) == mask)
        warp_release(lanes, warp, fiber);
}

/* A found bug is told where this thread stands. */
static void stand_at(struct fiber *fiber)
{
    running = fiber;
}

void thread_return(struct fiber *fiber)
{
    struct block *block = fiber->block;
    struct warp *warp = &block->warp[fiber->index / 32];
    warp->returned |= 1u << fiber->index % 32;
    block->returned++;
    if (fiber->copies->count > 0) {
        stand_at(fiber);
        found("a thread returned with %d asynchronous copies under way", fiber->copies->count);
    }
    for (unsigned left = warp->waiting; left; left &= left - 1) {
        struct fiber *other = block->fiber[fiber->index / 32 * 32 + (unsigned)__builtin_ctz(left)];
        if (other->mask >> fiber->index % 32 & 1) {
            stand_at(other);
            found("%s:%d: mask %08x names lane %u, which has returned", other->here.file,
                  other->here.line, other->mask, fiber->index % 32);
        }
    }
}

void position(char *text, size_t bytes)
{
    const struct fiber *at = running;
    text[0] = 0;
    if (at->block)
        snprintf(text, bytes, " [block (%u, %u, %u), thread (%u, %u, %u)]", at->block_index.x,
                 at->block_index.y, at->block_index.z, at->thread.x, at->thread.y, at->thread.z);
}

/* Threads that wait for the same, as one line of the table. */
static void print_waiting(const struct block *block, bool *told, unsigned first)
{
    static const char *const doing[] = {"are ready", "wait at __syncthreads",
                                        "wait at a warp's collective", "have returned"};
    const struct fiber *like = block->fiber[first];
    unsigned count = 0;
    for (unsigned i = first; i < block->threads; i++) {
        const struct fiber *fiber = block->fiber[i];
        bool waits = like->state == FIBER_AT_BLOCK || like->state == FIBER_AT_WARP;
        if (told[i] || fiber->state != like->state ||
            (waits && !same_place(fiber->here, like->here)) ||
            (like->state == FIBER_AT_WARP && fiber->mask != like->mask))
            continue;
        told[i] = true;
        count++;
    }
    fprintf(stderr, "cuemu:   block (%u, %u, %u): %u threads, the first of them %u, %s",
            block->index.x, block->index.y, block->index.z, count, first, doing[like->state]);
    if (like->state == FIBER_AT_BLOCK || like->state == FIBER_AT_WARP)
        fprintf(stderr, " at %s:%d", like->here.file, like->here.line);
    if (like->state == FIBER_AT_WARP)
        fprintf(stderr, " with mask %08x", like->mask);
    fprintf(stderr, "\n");
}

void deadlock(const struct grid *grid)
{
    fprintf(stderr, "cuemu: deadlock: no thread can go on\n");
    for (unsigned i = 0; i < grid->resident; i++) {
        const struct block *block = &grid->block[i];
        bool told[THREADS_MOST] = {};
        for (unsigned j = 0; block->live && j < block->threads; j++)
            if (!told[j])
                print_waiting(block, told, j);
    }
    fflush(nullptr);
    _exit(98);
}

} // namespace cuemu
