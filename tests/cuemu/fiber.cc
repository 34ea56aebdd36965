/* fiber.cc - stacks and the switch between them, told to the sanitizers. */
#include "tests/cuemu/fiber.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef CUEMU_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace cuemu
{

struct fiber scheduler, *running = &scheduler;

namespace
{

enum { STACK_BYTES = 256 << 10, GUARD_BYTES = 4096 };

struct fiber *came_from;

/* After a switch arrived. Coming from the scheduler tells the bounds of its stack, which is that of
 * whichever host thread launched. */
void arrived(void *fake_stack)
{
#ifdef CUEMU_ASAN
    const void *bottom;
    size_t bytes;
    __sanitizer_finish_switch_fiber(fake_stack, &bottom, &bytes);
    if (came_from == &scheduler) {
        scheduler.stack = static_cast<char *>(const_cast<void *>(bottom));
        scheduler.stack_bytes = bytes;
    }
#else
    (void)fake_stack;
#endif
}

void fiber_main()
{
    arrived(nullptr);
    fiber_body();
}

} // namespace

#if defined(__x86_64__)
/* Saves what a call must keep, changes stacks, restores: 5 times faster than swapcontext, which also
 * asks the kernel for the signal mask. */
extern "C" void cuemu_switch_stack(void **save, void *load);
asm(R"(.text
.type cuemu_switch_stack,@function
cuemu_switch_stack:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size cuemu_switch_stack, .-cuemu_switch_stack
)");

static void stack_prepare(struct fiber *fiber)
{
    void **top = reinterpret_cast<void **>(fiber->stack + fiber->stack_bytes);
    *--top = nullptr; /* a return address that ends backtraces, and the alignment of a call */
    *--top = reinterpret_cast<void *>(fiber_main);
    for (int i = 0; i < 6; i++)
        *--top = nullptr;
    fiber->stack_pointer = top;
}
static void stack_switch(struct fiber *from, struct fiber *to)
{
    cuemu_switch_stack(&from->stack_pointer, to->stack_pointer);
}
#else
static void stack_prepare(struct fiber *fiber)
{
    getcontext(&fiber->machine);
    fiber->machine.uc_stack.ss_sp = fiber->stack;
    fiber->machine.uc_stack.ss_size = fiber->stack_bytes;
    fiber->machine.uc_link = nullptr;
    makecontext(&fiber->machine, fiber_main, 0);
}
static void stack_switch(struct fiber *from, struct fiber *to)
{
    swapcontext(&from->machine, &to->machine);
}
#endif

struct fiber *fiber_new()
{
    size_t bytes = GUARD_BYTES + STACK_BYTES + (sizeof(struct copies) + 4095) / 4096 * 4096;
    struct fiber *fiber = static_cast<struct fiber *>(calloc(1, sizeof *fiber));
    void *mapped = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (!fiber || mapped == MAP_FAILED)
        found("no memory for the stack of one more thread");
    mprotect(mapped, GUARD_BYTES, PROT_NONE);
    fiber->stack = static_cast<char *>(mapped) + GUARD_BYTES;
    fiber->stack_bytes = STACK_BYTES;
    fiber->copies = reinterpret_cast<struct copies *>(fiber->stack + STACK_BYTES);
    fiber->state = FIBER_DONE;
    stack_prepare(fiber);
    return fiber;
}

void fiber_free(struct fiber *fiber)
{
    CUEMU_UNPOISON(fiber->stack, fiber->stack_bytes);
    munmap(fiber->stack - GUARD_BYTES,
           GUARD_BYTES + STACK_BYTES + (sizeof(struct copies) + 4095) / 4096 * 4096);
    free(fiber);
}

void fiber_switch(struct fiber *to)
{
    struct fiber *from = running;
#ifdef CUEMU_ASAN
    __sanitizer_start_switch_fiber(&from->fake_stack, to->stack, to->stack_bytes);
#endif
#ifdef CUEMU_TSAN
    __tsan_switch_to_fiber(to->context, 1 /* a switch orders nothing; barriers do */);
#endif
    running = to;
    came_from = from;
    if (to->block) {
        threadIdx = to->thread;
        blockIdx = to->block_index;
    }
    stack_switch(from, to);
    arrived(from->fake_stack);
}

} // namespace cuemu
