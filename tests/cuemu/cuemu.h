/* cuemu.h - what the shadow headers ask of the emulator's runtime.
 *
 * A CUDA thread is a fiber; all fibers run on the host thread that launched them. A fiber that must
 * wait records what it waits for and hands over to one that can run. Functions that run in a fiber take
 * no memory and call no library.
 *
 * A bug that the emulator finds ends the process: exit code 97 with a sentence, 98 with the table of a
 * deadlock. That is what it is for; nothing else of it exits. */
#ifndef BARY_TESTS_CUEMU_CUEMU_H
#define BARY_TESTS_CUEMU_CUEMU_H

#include <stddef.h>
#include <stdint.h>

/* What the runtime does by these functions must not look like an access of the kernel. */
#define CUEMU_UNSEEN __attribute__((no_sanitize("thread")))

namespace cuemu
{

/* A line of the kernel's source: lanes of one collective must stand at the same. */
struct place {
    const char *file;
    int line;
};
/* As a last parameter it is the caller's place. */
#define CUEMU_HERE ::cuemu::place here = {__builtin_FILE(), __builtin_LINE()}

enum fold { FOLD_COUNT, FOLD_AND, FOLD_OR };

/* Runs once, when the last lane of `mask` came; lane[i] is what lane i brought. */
using exchange = void (*)(void *const *lane, unsigned mask);

/* Waits for all threads of the block; the fold of what they brought. */
int block_barrier(int predicate, enum fold fold, place here);
/* Waits for the lanes of `mask`. run may be NULL. orders_memory: __syncwarp does, shuffles do not. */
void warp_collective(unsigned mask, void *operand, exchange run, bool orders_memory, place here);
/* Before each atomic: it tells others of this thread's last fence, and with CUEMU_YIELD another thread may
 * go first. */
void atomic_point();
void fence_device();
void fence_block();
int lane_of_thread();
/* The block's dynamic shared memory: at least `bytes`, aligned, else a found bug. */
void *dynamic_shared(size_t bytes, size_t alignment, const char *type);

/* cp.async: `copy` is queued by the thread in its open group; commit closes the group; take hands out
 * the copies of all but the newest `keep` groups, one a call, false at the end. */
struct copy {
    void *to;
    const void *from;
};
void copy_queue(struct copy copy, place here);
void copy_commit();
bool copy_take(int keep, struct copy *out);

/* A kernel's call with its arguments bound. Owned by the runtime once it is launched. */
struct call {
    virtual void run() = 0;
    virtual ~call() = default;
};

[[noreturn]] __attribute__((format(printf, 1, 2))) void found(const char *format, ...);

} // namespace cuemu

#endif
