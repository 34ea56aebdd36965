/* ptx.h - twins of kernels/cuda/ptx.h: the same names and signatures, done by the emulator.
 *
 * Asynchronous copies are strict: the target holds NaN from issue to wait, so a wait for a group too
 * few shows, and to a race detector they write at issue and at wait. */
#ifndef BARY_TESTS_CUEMU_SHADOW_KERNELS_CUDA_PTX_H
#define BARY_TESTS_CUEMU_SHADOW_KERNELS_CUDA_PTX_H

#include <cuda_runtime.h>

#include <stdint.h>

/* The dynamic shared memory of the launch as a T. */
template <class T>
static inline T *block_shared()
{
    return static_cast<T *>(cuemu::dynamic_shared(sizeof(T), alignof(T), __PRETTY_FUNCTION__));
}

/* 16 bytes from global to shared memory, both aligned, in the thread's open group. */
static inline void cp_async16(void *shared, const void *global, CUEMU_HERE)
{
    if ((reinterpret_cast<uintptr_t>(shared) | reinterpret_cast<uintptr_t>(global)) % 16 != 0)
        cuemu::found("%s:%d: cp.async of 16 bytes from %p to %p: not aligned", here.file, here.line,
                     global, shared);
    cuemu::copy_queue({shared, global}, here);
    for (int i = 0; i < 4; i++)
        static_cast<uint32_t *>(shared)[i] = UINT32_MAX;
}

/* The same; where not `valid` it writes zeros and reads nothing. */
static inline void cp_async16_or_zero(void *shared, const void *global, bool valid, CUEMU_HERE)
{
    alignas(16) static const uint32_t zeros[4] = {};
    cp_async16(shared, valid ? global : zeros, here);
}

/* Closes the open group. */
static inline void cp_async_commit()
{
    cuemu::copy_commit();
}

/* Until all but the newest N groups of this thread have arrived. */
template <int N>
static inline void cp_async_wait()
{
    struct cuemu::copy copy;
    while (cuemu::copy_take(N, &copy))
        for (int i = 0; i < 4; i++)
            static_cast<uint32_t *>(copy.to)[i] = static_cast<const uint32_t *>(copy.from)[i];
}

#endif
