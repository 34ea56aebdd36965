/* exact.h - arithmetic that tests compare with: 113-bit floats and quotients rounded once. */
#ifndef BARY_TESTS_KERNELS_EXACT_H
#define BARY_TESTS_KERNELS_EXACT_H

#include <math.h>

#include "kernels/backend.h"

#if defined(__x86_64__)
#define quad __float128
#else
#define quad long double
#endif

__attribute__((unused)) static quad quad_of(int128 value)
{
    int64_t high = (int64_t)(value >> 64);

    return (quad)high * 0x1p64 + (quad)(uint64_t)value;
}

/* RN(a / b * 2^exponent) for b > 0, where the result is normal: long division to 64 bits and a flag,
 * then one rounding by hand. */
__attribute__((unused)) static double exact_quotient(int128 a, int128 b, int exponent)
{
    uint128 rest = a < 0 ? -(uint128)a : (uint128)a, divisor = (uint128)b, quotient;

    if (a == 0)
        return 0;
    quotient = rest / divisor;
    rest %= divisor;
    while (quotient >> 63 == 0) { /* rest < divisor < 2^126: doubling fits */
        rest <<= 1;
        quotient = quotient << 1 | (rest >= divisor);
        rest -= rest >= divisor ? divisor : 0;
        exponent--;
    }
    bool more = rest != 0;
    while (quotient >> 55) { /* to 53 bits, a half and what is below */
        more |= quotient & 1;
        quotient >>= 1;
        exponent++;
    }
    uint64_t kept = (uint64_t)(quotient >> 2), tail = (uint64_t)quotient & 3;
    kept += tail == 3 || (tail == 2 && (more || (kept & 1)));
    double result = ldexp((double)kept, exponent + 2);
    return a < 0 ? -result : result;
}

#endif
