/* block.h - reductions and scans over a warp and a block. Integers, and maxima of doubles: no order shows.
 *
 * Every thread of the block calls, none has returned; blockDim.x is a multiple of 32, at most 1024.
 * `scratch` is shared memory, 32 of T; a call starts with a barrier, so the same scratch may be used again.*/
#ifndef BARY_KERNELS_CUDA_BLOCK_H
#define BARY_KERNELS_CUDA_BLOCK_H

#include "kernels/cuda/ptx.h"
#include "kernels/cuda/tuning.h"

static __device__ __forceinline__ int lane_index()
{
    return (int)(threadIdx.x % WARP);
}
static __device__ __forceinline__ int warp_index()
{
    return (int)(threadIdx.x / WARP);
}
static __device__ __forceinline__ int warp_count()
{
    return (int)(blockDim.x / WARP);
}

struct add {
    template <class T>
    static __device__ __forceinline__ T of(T a, T b)
    {
        return a + b;
    }
};
struct largest {
    template <class T>
    static __device__ __forceinline__ T of(T a, T b)
    {
        return b > a ? b : a;
    }
};
struct least {
    template <class T>
    static __device__ __forceinline__ T of(T a, T b)
    {
        return b < a ? b : a;
    }
};

/* Op over the warp's values, in every lane. */
template <class Op, class T>
static __device__ __forceinline__ T warp_reduce(T value)
{
    UNROLL
    for (int step = WARP / 2; step > 0; step /= 2)
        value = Op::of(value, __shfl_xor_sync((unsigned)FULL_WARP, value, step));
    return value;
}

/* Op over the block's values, in every thread. */
template <class Op, class T>
static __device__ __forceinline__ T block_reduce(T value, T *scratch)
{
    value = warp_reduce<Op>(value);
    __syncthreads();
    if (lane_index() == 0)
        scratch[warp_index()] = value;
    __syncthreads();
    T whole = scratch[0];
    for (int i = 1; i < warp_count(); i++)
        whole = Op::of(whole, scratch[i]);
    return whole;
}

/* The sum of the values of lower lanes and this one. */
template <class T>
static __device__ __forceinline__ T warp_scan(T value)
{
    UNROLL
    for (int step = 1; step < WARP; step *= 2) {
        T below = __shfl_up_sync((unsigned)FULL_WARP, value, (unsigned)step);
        if (lane_index() >= step)
            value += below;
    }
    return value;
}

/* The sum of the values of lower threads, this one left out; *whole: of all. */
template <class T>
static __device__ __forceinline__ T block_scan(T value, T *scratch, T *whole)
{
    T through = warp_scan(value), before = 0, all = 0;

    __syncthreads();
    if (lane_index() == WARP - 1)
        scratch[warp_index()] = through;
    __syncthreads();
    for (int i = 0; i < warp_count(); i++) {
        before += i < warp_index() ? scratch[i] : 0;
        all += scratch[i];
    }
    *whole = all;
    return before + through - value;
}

/* 128-bit sums as two words. */
struct wide {
    unsigned long long low, high;
};
static __device__ __forceinline__ struct wide wide_add(struct wide a, struct wide b)
{
    unsigned long long low = a.low + b.low;

    return {low, a.high + b.high + (low < a.low)};
}
static __device__ __forceinline__ struct wide warp_sum_wide(struct wide value)
{
    UNROLL
    for (int step = WARP / 2; step > 0; step /= 2)
        value = wide_add(value, {__shfl_xor_sync((unsigned)FULL_WARP, value.low, step),
                                 __shfl_xor_sync((unsigned)FULL_WARP, value.high, step)});
    return value;
}

/* A pair of value and index: the lower value, then the lower index. */
struct nearest {
    double value;
    int index;
};
static __device__ __forceinline__ struct nearest nearer(struct nearest a, struct nearest b)
{
    return b.value < a.value || (b.value == a.value && b.index < a.index) ? b : a;
}

/* atomics on 64-bit integers kept as two's complement; a non-negative double orders like its bits. */
static __device__ __forceinline__ void atomic_add_i64(long long *at, long long value)
{
    atomicAdd(reinterpret_cast<unsigned long long *>(at), (unsigned long long)value);
}
static __device__ __forceinline__ void atomic_max_positive(double *at, double value)
{
    atomicMax(reinterpret_cast<unsigned long long *>(at),
              (unsigned long long)__double_as_longlong(value));
}

#endif
