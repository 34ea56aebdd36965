/* planted.h - what the programs of this folder share: built with BARY_PLANT=n they have bug n, with 0 none. */
#ifndef BARY_TESTS_CUEMU_PLANTED_PLANTED_H
#define BARY_TESTS_CUEMU_PLANTED_PLANTED_H

#include "kernels/cuda/ptx.h"
#include "tests/cuemu/sample.h"

#ifndef BARY_PLANT
#define BARY_PLANT 0
#endif

/* Ends the program: 0 right, 1 wrong. */
static inline int judged(const char *what, size_t at, double got, double want)
{
    if (got == want)
        return 0;
    printf("wrong: %s[%zu] is %g, not %g\n", what, at, got, want);
    return 1;
}

#endif
