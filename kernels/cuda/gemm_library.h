/* gemm_library.h - cuBLASLt as a device knows it. */
#ifndef BARY_KERNELS_CUDA_GEMM_LIBRARY_H
#define BARY_KERNELS_CUDA_GEMM_LIBRARY_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "kernels/cuda/cublaslt.h"
#include "kernels/cuda/gemm.h"

/* Process lifetime. `lock` guards asked and usable, since plan is for any thread; what was found before
 * usable turned true does not change again. */
struct gemm_library {
    pthread_mutex_t lock;
    bool asked, usable;
    int64_t columns_least, clusters_least;
    struct cublaslt call;
    struct lt_context *context; /* the owner thread's; NULL until the first work needs it */
};

#endif
