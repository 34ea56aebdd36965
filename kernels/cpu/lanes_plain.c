/* lanes_plain.c - one lane, any machine. */
#include <math.h>
#include <stdbool.h>

enum { LANES = 1, ROWS = 4 };
#define LEVEL plain
#define vec double
#define vec_mask bool

static inline vec vec_set1(double x)
{
    return x;
}
static inline vec vec_load(const double *from)
{
    return *from;
}
static inline void vec_store(double *to, vec x)
{
    *to = x;
}
static inline vec vec_sub(vec a, vec b)
{
    return a - b;
}
static inline vec vec_fma(vec a, vec b, vec c)
{
    return fma(a, b, c);
}
static inline vec_mask vec_less(vec a, vec b)
{
    return a < b;
}
static inline vec vec_blend(vec otherwise, vec then, vec_mask mask)
{
    return mask ? then : otherwise;
}
static inline vec vec_sqrt(vec x)
{
    return sqrt(x);
}

#include "kernels/cpu/lanes_tmpl.h"
