/* fiber.h - one CUDA thread: a stack, and what it waits for. */
#ifndef BARY_TESTS_CUEMU_FIBER_H
#define BARY_TESTS_CUEMU_FIBER_H

#include "tests/cuemu/state.h"

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace cuemu
{

enum fiber_state { FIBER_READY, FIBER_AT_BLOCK, FIBER_AT_WARP, FIBER_DONE };

/* Copies under way, oldest first; group[i] is how many of them group i has. The last group is open. */
enum { COPIES_MOST = 512, GROUPS_MOST = 64 };
struct copies {
    struct copy copy[COPIES_MOST];
    int first, count; /* a ring */
    int group[GROUPS_MOST];
    int group_first, groups; /* a ring: closed groups */
    int open;                /* copies of the open group */
};

struct block;

/* A stack belongs to one (stream, set, thread) for good: handed to a thread that is not ordered behind
 * its last user, its old frames would look like a race. Stream lifetime. */
struct fiber {
#if !defined(__x86_64__)
    ucontext_t machine;
#endif
    void *stack_pointer;
    char *stack; /* its low end; a guard page lies below it */
    size_t stack_bytes;
    void *context;    /* of the race detector */
    void *fake_stack; /* of the address sanitizer */
    struct copies *copies;
    unsigned fences;   /* of the device, so far */
    bool fence_untold; /* no atomic has come behind the last fence */

    struct block *block; /* NULL: the scheduler */
    uint3 thread, block_index;
    unsigned index; /* of the thread in its block */
    enum fiber_state state;
    place here;
    unsigned mask;
    void *operand;
    exchange run;
    int predicate;
    enum fold fold;
};

/* The fiber that runs; the scheduler outside kernels. */
extern struct fiber *running;
extern struct fiber scheduler;

struct fiber *fiber_new();
void fiber_free(struct fiber *fiber);
/* From the running fiber to another. */
void fiber_switch(struct fiber *to);
/* In a fiber, its state says what it waits for: others run until that is there. In schedule.cc. */
void fiber_wait();

/* What each fiber runs, over and over: one kernel's call a time. In schedule.cc. */
void fiber_body();

} // namespace cuemu

#endif
