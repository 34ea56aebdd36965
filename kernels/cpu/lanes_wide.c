/* lanes_wide.c - 8 lanes of plain C: the shape of avx512 where there is none. For tests. */
#include <math.h>
#include <string.h>

enum { LANES = 8, ROWS = 8 };
#define LEVEL wide
struct wide {
    double lane[LANES];
};
struct wide_mask {
    _Bool lane[LANES];
};
#define vec struct wide
#define vec_mask struct wide_mask
#define EACH_LANE for (int i = 0; i < LANES; i++)

static inline vec vec_set1(double x)
{
    vec out;
    EACH_LANE out.lane[i] = x;
    return out;
}
static inline vec vec_load(const double *from)
{
    vec out;
    memcpy(&out, from, sizeof out);
    return out;
}
static inline void vec_store(double *to, vec x)
{
    memcpy(to, &x, sizeof x);
}
static inline vec vec_sub(vec a, vec b)
{
    EACH_LANE a.lane[i] -= b.lane[i];
    return a;
}
static inline vec vec_fma(vec a, vec b, vec c)
{
    EACH_LANE c.lane[i] = fma(a.lane[i], b.lane[i], c.lane[i]);
    return c;
}
static inline vec_mask vec_less(vec a, vec b)
{
    vec_mask out;
    EACH_LANE out.lane[i] = a.lane[i] < b.lane[i];
    return out;
}
static inline vec vec_blend(vec otherwise, vec then, vec_mask mask)
{
    EACH_LANE otherwise.lane[i] = mask.lane[i] ? then.lane[i] : otherwise.lane[i];
    return otherwise;
}
static inline vec vec_sqrt(vec x)
{
    EACH_LANE x.lane[i] = sqrt(x.lane[i]);
    return x;
}

#include "kernels/cpu/lanes_tmpl.h"
