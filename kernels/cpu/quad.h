/* quad.h - four lanes in the compiler's own vectors: what the small fits compute with.
 *
 * Arithmetic is the operators' and so IEEE, lane by lane; a machine with narrower vectors gets two of
 * them. Only what C has no operator for is spelled out per target. */
#ifndef BARY_KERNELS_CPU_QUAD_H
#define BARY_KERNELS_CPU_QUAD_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>
#define QUAD_X86 1
#else
#define QUAD_X86 0
#endif

enum { QUAD = 4 };
typedef double quad __attribute__((vector_size(32)));
typedef int64_t quad_mask __attribute__((vector_size(32))); /* a lane is all ones, or zero */
typedef uint64_t quad_u64 __attribute__((vector_size(32)));
typedef float quad_f32 __attribute__((vector_size(16)));

#define QUAD_INLINE static inline __attribute__((always_inline))

QUAD_INLINE quad quad_set1(double x)
{
    return (quad){x, x, x, x};
}
QUAD_INLINE quad quad_load(const double *from)
{
    quad out;
    memcpy(&out, from, sizeof out);
    return out;
}
QUAD_INLINE void quad_store(double *to, quad x)
{
    memcpy(to, &x, sizeof x);
}
/* Four floats as doubles. */
QUAD_INLINE quad quad_widen(const float *from)
{
    quad_f32 part;
    memcpy(&part, from, sizeof part);
    return __builtin_convertvector(part, quad);
}
/* otherwise where the mask is zero, then where it is ones. */
QUAD_INLINE quad quad_blend(quad otherwise, quad then, quad_mask mask)
{
#if QUAD_X86
    return (quad)_mm256_blendv_pd((__m256d)otherwise, (__m256d)then, (__m256d)mask);
#else
    return (quad)(((quad_mask)then & mask) | ((quad_mask)otherwise & ~mask));
#endif
}
QUAD_INLINE quad quad_min(quad a, quad b)
{
    return quad_blend(b, a, a < b);
}
QUAD_INLINE quad quad_max(quad a, quad b)
{
    return quad_blend(b, a, a > b);
}
QUAD_INLINE quad quad_abs(quad x)
{
    const int64_t size = INT64_MAX;
    return (quad)((quad_mask)x & (quad_mask){size, size, size, size});
}
QUAD_INLINE quad quad_fma(quad a, quad b, quad c)
{
#if QUAD_X86
    return (quad)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#else
    for (int i = 0; i < QUAD; i++)
        c[i] = fma(a[i], b[i], c[i]);
    return c;
#endif
}
/* Bit i: lane i of the mask is ones. */
QUAD_INLINE unsigned quad_bits(quad_mask mask)
{
#if QUAD_X86
    return (unsigned)_mm256_movemask_pd((__m256d)mask);
#else
    return (unsigned)((mask[0] & 1) | (mask[1] & 2) | (mask[2] & 4) | (mask[3] & 8));
#endif
}
/* Products of the low halves of the lanes. */
QUAD_INLINE quad_u64 quad_multiply_u32(quad_u64 a, quad_u64 b)
{
#if QUAD_X86
    return (quad_u64)_mm256_mul_epu32((__m256i)a, (__m256i)b);
#else
    const uint64_t low = UINT32_MAX;
    const quad_u64 half = {low, low, low, low};
    return (a & half) * (b & half);
#endif
}
/* To an integer, ties to even, for |x| < 2^51. */
QUAD_INLINE quad quad_round(quad x)
{
    const quad magic = {0x1.8p52, 0x1.8p52, 0x1.8p52, 0x1.8p52};
    return (x + magic) - magic;
}
QUAD_INLINE double quad_largest(quad x)
{
    double a = x[0] > x[1] ? x[0] : x[1], b = x[2] > x[3] ? x[2] : x[3];
    return a > b ? a : b;
}
/* The lanes' sum, for integers whose sums stay below 2^53. */
QUAD_INLINE double quad_sum(quad x)
{
    return x[0] + x[1] + (x[2] + x[3]);
}

#endif
