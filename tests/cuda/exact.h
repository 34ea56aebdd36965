/* exact.h - the device's roundings of exact integers, called from C. */
#ifndef BARY_TESTS_CUDA_EXACT_H
#define BARY_TESTS_CUDA_EXACT_H

#include "kernels/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { EXACT_VALUES_MOST = 4096, EXACT_LIMBS = 4 };

struct exact_input {
    int128 S, W;
    uint64_t limb[EXACT_LIMBS]; /* of a numerator */
    uint64_t divisor;
    double x;
    int32_t n, L, exponent;
};
struct exact_output {
    double mean, mean_weighted, total, quotient, scaled;
    int32_t exponent, above;
};

/* One thread a value. False: a call of CUDA failed. */
bool device_exact(const struct exact_input *in, int count, struct exact_output *out);

#ifdef __cplusplus
}
#endif

#endif
