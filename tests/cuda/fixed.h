/* fixed.h - the device's grid arithmetic and reductions, called from C. */
#ifndef BARY_TESTS_CUDA_FIXED_H
#define BARY_TESTS_CUDA_FIXED_H

#include "kernels/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { FIXED_VALUES_MOST = 4096, FIXED_WORDS = 4, BLOCK_THREADS_MOST = 1024 };

/* Each over `count` values, one thread a value. False: a call of CUDA failed. */
bool device_fixed_scaled(const double *x, int count, int32_t L, int128 *out);
bool device_fixed_weighted(const double *x, const double *w, int count, int32_t L, int32_t L_w,
                           int128 *out);
bool device_fixed_term(const double *t, int count, int32_t L, int128 *out);
/* Of (first + i, labels[i]). */
bool device_fingerprints(int64_t first, const int32_t *labels, int count, uint128 *out);

/* Sum, extremes and sums of lower threads of one block; false also if threads disagree. */
struct block_results {
    int64_t sum, most, least, whole;
    double farthest;
    int64_t before[BLOCK_THREADS_MOST];
};
bool device_block(const int64_t *value, int threads, struct block_results *out);

#ifdef __cplusplus
}
#endif

#endif
