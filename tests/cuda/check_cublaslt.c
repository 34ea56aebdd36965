/* check_cublaslt.c - kernels/cuda/cublaslt.h says what NVIDIA's cublasLt.h says. It compiles, or the
 * build fails: numbers, sizes, places of members, and the parameters of each function in their order.
 * Where that header is not, there is nothing to compare. */
#if __has_include(<cublasLt.h>)
#include <cublasLt.h>

#include "kernels/cuda/cublaslt.h"

#define SAME(ours, theirs) _Static_assert((int)(ours) == (int)(theirs), #theirs)
#define SIGNATURE(name, ...) \
    _Static_assert(          \
        __builtin_types_compatible_p(__typeof__(&name), cublasStatus_t (*)(__VA_ARGS__)), #name)

SAME(LT_SUCCESS, CUBLAS_STATUS_SUCCESS);
SAME(LT_R_32F, CUDA_R_32F);
SAME(LT_R_16F, CUDA_R_16F);
SAME(LT_COMPUTE_32F, CUBLAS_COMPUTE_32F);
SAME(LT_OP_T, CUBLAS_OP_T);
SAME(LT_DESC_TRANSA, CUBLASLT_MATMUL_DESC_TRANSA);
SAME(LT_PREFERENCE_WORKSPACE_BYTES, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES);
SAME(LT_PREFERENCE_REDUCTION_MASK, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK);
SAME(LT_REDUCTION_NONE, CUBLASLT_REDUCTION_SCHEME_NONE);
SAME(LT_CONFIG_SPLIT_K, CUBLASLT_ALGO_CONFIG_SPLITK_NUM);
SAME(LT_CONFIG_REDUCTION, CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME);

SAME(sizeof(struct lt_algorithm), sizeof(cublasLtMatmulAlgo_t));
SAME(sizeof(struct lt_choice), sizeof(cublasLtMatmulHeuristicResult_t));
SAME(offsetof(struct lt_choice, algorithm), offsetof(cublasLtMatmulHeuristicResult_t, algo));
SAME(offsetof(struct lt_choice, workspace_bytes),
     offsetof(cublasLtMatmulHeuristicResult_t, workspaceSize));
SAME(offsetof(struct lt_choice, status), offsetof(cublasLtMatmulHeuristicResult_t, state));
SAME(sizeof(cublasStatus_t), sizeof(int));
SAME(sizeof(cublasComputeType_t), sizeof(int));
SAME(sizeof(cudaDataType_t), sizeof(int));

SIGNATURE(cublasLtCreate, cublasLtHandle_t *);
SIGNATURE(cublasLtDestroy, cublasLtHandle_t);
SIGNATURE(cublasLtMatmulDescCreate, cublasLtMatmulDesc_t *, cublasComputeType_t, cudaDataType_t);
SIGNATURE(cublasLtMatmulDescSetAttribute, cublasLtMatmulDesc_t, cublasLtMatmulDescAttributes_t,
          const void *, size_t);
SIGNATURE(cublasLtMatmulDescDestroy, cublasLtMatmulDesc_t);
SIGNATURE(cublasLtMatrixLayoutCreate, cublasLtMatrixLayout_t *, cudaDataType_t, uint64_t, uint64_t,
          int64_t);
SIGNATURE(cublasLtMatrixLayoutDestroy, cublasLtMatrixLayout_t);
SIGNATURE(cublasLtMatmulPreferenceCreate, cublasLtMatmulPreference_t *);
SIGNATURE(cublasLtMatmulPreferenceSetAttribute, cublasLtMatmulPreference_t,
          cublasLtMatmulPreferenceAttributes_t, const void *, size_t);
SIGNATURE(cublasLtMatmulPreferenceDestroy, cublasLtMatmulPreference_t);
SIGNATURE(cublasLtMatmulAlgoGetHeuristic, cublasLtHandle_t, cublasLtMatmulDesc_t,
          cublasLtMatrixLayout_t, cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
          cublasLtMatrixLayout_t, cublasLtMatmulPreference_t, int,
          cublasLtMatmulHeuristicResult_t *, int *);
SIGNATURE(cublasLtMatmulAlgoConfigGetAttribute, const cublasLtMatmulAlgo_t *,
          cublasLtMatmulAlgoConfigAttributes_t, void *, size_t, size_t *);
SIGNATURE(cublasLtMatmul, cublasLtHandle_t, cublasLtMatmulDesc_t, const void *, const void *,
          cublasLtMatrixLayout_t, const void *, cublasLtMatrixLayout_t, const void *, const void *,
          cublasLtMatrixLayout_t, void *, cublasLtMatrixLayout_t, const cublasLtMatmulAlgo_t *,
          void *, size_t, cudaStream_t);

#endif
