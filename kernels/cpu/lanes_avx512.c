/* lanes_avx512.c - 8 lanes of x86-64-v4. Compiled for that target: nothing here runs before open has
 * asked the CPU. */
#include "kernels/cpu/lanes.h"

#if defined(__AVX512F__)
#include <immintrin.h>

enum { LANES = 8, ROWS = 8 };
#define LEVEL avx512
#define vec __m512d
#define vec_mask __mmask8

static inline vec vec_set1(double x)
{
    return _mm512_set1_pd(x);
}
static inline vec vec_load(const double *from)
{
    return _mm512_loadu_pd(from);
}
static inline void vec_store(double *to, vec x)
{
    _mm512_storeu_pd(to, x);
}
static inline vec vec_sub(vec a, vec b)
{
    return _mm512_sub_pd(a, b);
}
static inline vec vec_fma(vec a, vec b, vec c)
{
    return _mm512_fmadd_pd(a, b, c);
}
static inline vec_mask vec_less(vec a, vec b)
{
    return _mm512_cmp_pd_mask(a, b, _CMP_LT_OQ);
}
static inline vec vec_blend(vec otherwise, vec then, vec_mask mask)
{
    return _mm512_mask_blend_pd(mask, otherwise, then);
}
static inline vec vec_sqrt(vec x)
{
    return _mm512_sqrt_pd(x);
}

#include "kernels/cpu/lanes_tmpl.h"

#else

const struct lanes *lanes_avx512(void)
{
    return 0;
}

#endif
