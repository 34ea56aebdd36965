/* words.h - CUDA's qualifiers, vector types and built-in variables, for a C++17 compiler. */
#ifndef BARY_TESTS_CUEMU_WORDS_H
#define BARY_TESTS_CUEMU_WORDS_H

#define __global__
#define __device__
#define __host__
/* nvcc gives such a table internal linkage; `static` would be said twice where the kernel says it. */
#define __constant__ __attribute__((unused, visibility("hidden")))
/* Several blocks live at once and memory must start poisoned, so a static variable will not do. */
#define __shared__ static_assert(false, "shared memory only by block_shared<struct ...>()");
#define __grid_constant__
#define __launch_bounds__(...)
#define __align__(bytes) __attribute__((aligned(bytes)))
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))

#define CUEMU_VECTOR_2(name, type, alignment)                \
    struct alignas(alignment) name {                         \
        type x, y;                                           \
    };                                                       \
    static inline constexpr name make_##name(type x, type y) \
    {                                                        \
        return {x, y};                                       \
    }
#define CUEMU_VECTOR_3(name, type)                                   \
    struct name {                                                    \
        type x, y, z;                                                \
    };                                                               \
    static inline constexpr name make_##name(type x, type y, type z) \
    {                                                                \
        return {x, y, z};                                            \
    }
#define CUEMU_VECTOR_4(name, type, alignment)                                \
    struct alignas(alignment) name {                                         \
        type x, y, z, w;                                                     \
    };                                                                       \
    static inline constexpr name make_##name(type x, type y, type z, type w) \
    {                                                                        \
        return {x, y, z, w};                                                 \
    }

CUEMU_VECTOR_2(char2, signed char, 2)
CUEMU_VECTOR_2(uchar2, unsigned char, 2)
CUEMU_VECTOR_2(short2, short, 4)
CUEMU_VECTOR_2(ushort2, unsigned short, 4)
CUEMU_VECTOR_2(int2, int, 8)
CUEMU_VECTOR_2(uint2, unsigned, 8)
CUEMU_VECTOR_2(long2, long, 16)
CUEMU_VECTOR_2(ulong2, unsigned long, 16)
CUEMU_VECTOR_2(longlong2, long long, 16)
CUEMU_VECTOR_2(ulonglong2, unsigned long long, 16)
CUEMU_VECTOR_2(float2, float, 8)
CUEMU_VECTOR_2(double2, double, 16)
CUEMU_VECTOR_3(int3, int)
CUEMU_VECTOR_3(uint3, unsigned)
CUEMU_VECTOR_3(float3, float)
CUEMU_VECTOR_3(double3, double)
CUEMU_VECTOR_4(char4, signed char, 4)
CUEMU_VECTOR_4(uchar4, unsigned char, 4)
CUEMU_VECTOR_4(short4, short, 8)
CUEMU_VECTOR_4(ushort4, unsigned short, 8)
CUEMU_VECTOR_4(int4, int, 16)
CUEMU_VECTOR_4(uint4, unsigned, 16)
CUEMU_VECTOR_4(longlong4, long long, 16)
CUEMU_VECTOR_4(ulonglong4, unsigned long long, 16)
CUEMU_VECTOR_4(float4, float, 16)
CUEMU_VECTOR_4(double4, double, 16)

struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z)
    {
    }
};

/* The runtime sets them at each switch, so they are right for the fiber that runs. */
extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;
enum { warpSize = 32 };

#endif
