/* lanes_avx2.c - 4 lanes of x86-64-v3. */
#include "kernels/cpu/lanes.h"

#if defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>

enum { LANES = 4, ROWS = 4 };
#define LEVEL avx2
#define vec __m256d
#define vec_mask __m256d

static inline vec vec_set1(double x)
{
    return _mm256_set1_pd(x);
}
static inline vec vec_load(const double *from)
{
    return _mm256_loadu_pd(from);
}
static inline void vec_store(double *to, vec x)
{
    _mm256_storeu_pd(to, x);
}
static inline vec vec_sub(vec a, vec b)
{
    return _mm256_sub_pd(a, b);
}
static inline vec vec_fma(vec a, vec b, vec c)
{
    return _mm256_fmadd_pd(a, b, c);
}
static inline vec_mask vec_less(vec a, vec b)
{
    return _mm256_cmp_pd(a, b, _CMP_LT_OQ);
}
static inline vec vec_blend(vec otherwise, vec then, vec_mask mask)
{
    return _mm256_blendv_pd(otherwise, then, mask);
}
static inline vec vec_sqrt(vec x)
{
    return _mm256_sqrt_pd(x);
}

#include "kernels/cpu/lanes_tmpl.h"

#else

const struct lanes *lanes_avx2(void)
{
    return 0;
}

#endif
