/* ptx.h - the only place with PTX: one small function an instruction, each with a twin of the same name
 * and signature for the emulator in tests/cuemu/shadow/kernels/cuda/ptx.h. */
#ifndef BARY_KERNELS_CUDA_PTX_H
#define BARY_KERNELS_CUDA_PTX_H

#include <cuda_runtime.h>

#include <stdint.h>

/* All of a block's shared memory as one struct of real arrays. A launch takes sizeof(T) bytes for it. */
template <class T>
static __device__ __forceinline__ T *block_shared()
{
    extern __shared__ __align__(128) unsigned char shared_memory[];
    return reinterpret_cast<T *>(shared_memory);
}

static __device__ __forceinline__ unsigned shared_address(const void *shared)
{
    return static_cast<unsigned>(__cvta_generic_to_shared(shared));
}

/* 16 bytes from global to shared memory, both on 16-byte lines, behind the thread's back: there only
 * after commit, wait and a barrier. */
static __device__ __forceinline__ void cp_async16(void *shared, const void *global)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared_address(shared)),
                 "l"(global)
                 : "memory");
}

/* The same; where not `valid` it writes zeros and reads nothing. */
static __device__ __forceinline__ void cp_async16_or_zero(void *shared, const void *global,
                                                          bool valid)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(shared)),
                 "l"(global), "r"(valid ? 16 : 0)
                 : "memory");
}

/* Closes the group of this thread's copies since the last commit. */
static __device__ __forceinline__ void cp_async_commit()
{
    asm volatile("cp.async.commit_group;" ::: "memory");
}

/* Until at most N of this thread's newest groups are under way. */
template <int N>
static __device__ __forceinline__ void cp_async_wait()
{
    asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}

#endif
