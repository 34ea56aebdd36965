/* lanes_neon.c - 2 lanes of arm64. */
#include "kernels/cpu/lanes.h"

#if defined(__aarch64__)
#include <arm_neon.h>

enum { LANES = 2, ROWS = 8 };
#define LEVEL neon
#define vec float64x2_t
#define vec_mask uint64x2_t

static inline vec vec_set1(double x)
{
    return vdupq_n_f64(x);
}
static inline vec vec_load(const double *from)
{
    return vld1q_f64(from);
}
static inline void vec_store(double *to, vec x)
{
    vst1q_f64(to, x);
}
static inline vec vec_sub(vec a, vec b)
{
    return vsubq_f64(a, b);
}
static inline vec vec_fma(vec a, vec b, vec c)
{
    return vfmaq_f64(c, a, b);
}
static inline vec_mask vec_less(vec a, vec b)
{
    return vcltq_f64(a, b);
}
static inline vec vec_blend(vec otherwise, vec then, vec_mask mask)
{
    return vbslq_f64(mask, then, otherwise);
}
static inline vec vec_sqrt(vec x)
{
    return vsqrtq_f64(x);
}

#include "kernels/cpu/lanes_tmpl.h"

#else

const struct lanes *lanes_neon(void)
{
    return 0;
}

#endif
