/* cublaslt.h - the few entry points of cuBLASLt that are used, looked up in the library by name.
 *
 * The plug-in does not link cuBLASLt: that would cost 50 ms and 200 MB where nobody needs it, and a
 * build needs no header of it. Numbers and structs here are those of cublasLt.h, 12 and 13;
 * tests/cuda/check_cublaslt.c compares them where that header is. */
#ifndef BARY_KERNELS_CUDA_CUBLASLT_H
#define BARY_KERNELS_CUDA_CUBLASLT_H

#include <cuda_runtime.h>

#include <stddef.h>
#include <stdint.h>

enum {
    LT_SUCCESS = 0,
    LT_R_32F = 0,
    LT_R_16F = 2,
    LT_COMPUTE_32F = 68,
    LT_OP_T = 1,
    LT_DESC_TRANSA = 3,
    LT_PREFERENCE_WORKSPACE_BYTES = 1,
    LT_PREFERENCE_REDUCTION_MASK = 3,
    LT_REDUCTION_NONE = 0,
    LT_CONFIG_SPLIT_K = 2,
    LT_CONFIG_REDUCTION = 3
};

struct lt_context;
struct lt_operation;
struct lt_layout;
struct lt_preference;

struct lt_algorithm {
    uint64_t data[8];
};
/* What the heuristic proposes. */
struct lt_choice {
    struct lt_algorithm algorithm;
    size_t workspace_bytes;
    int status;
    float waves;
    int reserved[4];
};

/* A cublasStatus_t each. */
struct cublaslt {
    int (*create)(struct lt_context **out);
    int (*destroy)(struct lt_context *context);
    int (*operation_create)(struct lt_operation **out, int compute, int scale);
    int (*operation_set)(struct lt_operation *operation, int attribute, const void *value,
                         size_t bytes);
    int (*operation_destroy)(struct lt_operation *operation);
    int (*layout_create)(struct lt_layout **out, int type, uint64_t rows, uint64_t columns,
                         int64_t pitch);
    int (*layout_destroy)(struct lt_layout *layout);
    int (*preference_create)(struct lt_preference **out);
    int (*preference_set)(struct lt_preference *preference, int attribute, const void *value,
                          size_t bytes);
    int (*preference_destroy)(struct lt_preference *preference);
    int (*heuristic)(struct lt_context *context, struct lt_operation *operation,
                     struct lt_layout *a, struct lt_layout *b, struct lt_layout *c,
                     struct lt_layout *d, struct lt_preference *preference, int most,
                     struct lt_choice *out, int *count);
    int (*algorithm_get)(const struct lt_algorithm *algorithm, int attribute, void *out,
                         size_t bytes, size_t *written);
    int (*matmul)(struct lt_context *context, struct lt_operation *operation, const void *alpha,
                  const void *a, struct lt_layout *a_layout, const void *b,
                  struct lt_layout *b_layout, const void *beta, const void *c,
                  struct lt_layout *c_layout, void *d, struct lt_layout *d_layout,
                  const struct lt_algorithm *algorithm, void *workspace, size_t workspace_bytes,
                  cudaStream_t stream);
};

#endif
