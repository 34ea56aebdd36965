/* state.h - what the parts of the runtime share: one lock, the settings, fibers, memory, streams.
 *
 *  1. The lock is held by every entry of the API from its first line to its last, launches included, so
 *     any thread may call. It is a futex of our own: a race detector must not take it for an order that
 *     CUDA promises.
 *  2. These files, all but seen.cc, are compiled without -fsanitize=thread, and hold no container of the
 *     standard library, whose code a linker would merge with an instrumented copy. */
#ifndef BARY_TESTS_CUEMU_STATE_H
#define BARY_TESTS_CUEMU_STATE_H

#include "tests/cuemu/host.h"
#include "tests/cuemu/settings.h"

#ifdef CUEMU_TSAN
extern "C" {
void *__tsan_get_current_fiber(void);
void *__tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void *fiber);
void __tsan_switch_to_fiber(void *fiber, unsigned flags);
void __tsan_acquire(void *at);
void __tsan_release(void *at);
}
#define CUEMU_ACQUIRE(at) __tsan_acquire(at)
#define CUEMU_RELEASE(at) __tsan_release(at)
#else
#define CUEMU_ACQUIRE(at) (void)(at)
#define CUEMU_RELEASE(at) (void)(at)
#endif

#if defined(__SANITIZE_ADDRESS__)
#define CUEMU_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CUEMU_ASAN 1
#endif
#endif
#ifdef CUEMU_ASAN
#include <sanitizer/asan_interface.h>
#define CUEMU_POISON(at, bytes) __asan_poison_memory_region(at, bytes)
#define CUEMU_UNPOISON(at, bytes) __asan_unpoison_memory_region(at, bytes)
#else
#define CUEMU_POISON(at, bytes) ((void)(at), (void)(bytes))
#define CUEMU_UNPOISON(at, bytes) ((void)(at), (void)(bytes))
#endif

namespace cuemu
{

/* A happens-before object of the race detector: only its address counts. */
struct order_point {
    uint64_t address;
};

enum {
    POISON = 0xff, /* fresh memory: NaN as a float, -1 as an integer */
    GUARD = 0xa5,  /* what lies around an allocation */
    THREADS_MOST = 1024,
    SHARED_DEFAULT = 48 << 10, /* what a kernel may have without asking */
    SHARED_MOST = 227 << 10,
    GRID_MOST = 0x7fffffff
};

extern struct settings settings;

/* ---- entry.cc: the lock, failures on purpose ---- */

/* Made first in each function of the API: takes the lock, counts the call, and says whether it is to
 * fail. Leaves the lock at its end. */
struct entry {
    cudaError_t refused;

    explicit entry(enum call_kind kind);
    ~entry();
    entry(const entry &) = delete;
    entry &operator=(const entry &) = delete;
    /* Remembers an error for cudaGetLastError and gives it back. */
    cudaError_t answer(cudaError_t code);
};
/* True after a launch or copy that failed on purpose: what is queued is not done any more. */
bool device_is_dead();
/* The device answers to queries as one that hangs. */
bool device_hangs();
/* Once, when a launch runs: its output is to be spoiled. */
bool launch_is_wrong();

/* ---- random.cc ---- */

/* 0 <= result < below. */
uint64_t random_below(uint64_t below);
void random_seed(uint64_t seed);
/* The ith of count, in the order asked for; at random is left to whoever picks. */
static inline unsigned in_order(unsigned i, unsigned count)
{
    return settings.order == ORDER_DOWN ? count - 1 - i : i;
}
template <class T>
static inline void shuffled(T *list, size_t count)
{
    for (size_t i = count; i > 1; i--) {
        size_t j = random_below(i);
        T kept = list[i - 1];
        list[i - 1] = list[j];
        list[j] = kept;
    }
}

/* ---- memory.cc ---- */

/* Fills by plain stores that neither sanitizer sees. */
void fill(void *at, int value, size_t bytes);
/* A found bug unless [at, at + bytes) lies within one device allocation. */
void device_range_check(const char *call, const void *at, size_t bytes);
/* A found bug if any byte of it is device memory. */
void host_range_check(const char *call, const void *at, size_t bytes);
bool is_device_memory(const void *at);
/* Device memory may be touched between these two. */
void memory_show();
void memory_hide();
/* A found bug if something wrote around an allocation. */
void guards_check(const char *when);
/* Flips a bit of what a launch wrote: spoil_begin before it, spoil_end after it. */
void spoil_begin();
void spoil_end();
int current_device();
void current_device_set(int device);

/* ---- seen.cc: compiled with the sanitizers, for they are to judge it ---- */

void seen_copy(char *to, const char *from, size_t bytes);
void seen_set(char *to, int value, size_t bytes);

/* ---- schedule.cc ---- */

struct pool;
struct pool *pool_new();
void pool_free(struct pool *pool);

/* Runs a grid to its end in the calling context. */
void grid_run(const struct cudaLaunchConfig_t *config, const void *kernel, struct call *call,
              struct pool *pool);
/* Where the fiber that runs stands, into text; empty outside kernels. */
void position(char *text, size_t bytes);

/* ---- queue.cc ---- */

void *context_current();
cudaError_t stream_launch(const struct cudaLaunchConfig_t *config, const void *kernel,
                          struct call *call);
/* All streams: done, and the host ordered behind them. */
void streams_finish();

} // namespace cuemu

#endif
