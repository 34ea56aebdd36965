/* cublaslt.cu - in place of NVIDIA's cuBLASLt where kernels run in the emulator: the same entry points,
 * for the one product that the plug-in asks for, checked strictly.
 *
 * Each score is the exact sum rounded once. What a tensor core may do on its way there is not imitated
 * but bounded: CUEMU_MMA_ERROR=f moves each score by up to f Gamma of the product of the norms, either
 * way. Of the algorithms that the heuristic proposes only the last adds whole sums in fp32; the others
 * cut the columns, and their scores are worth nothing.
 * CUEMU_CUBLASLT: "create" refuses a context; "matmul" every product but the first. */
#include <stdlib.h>
#include <string.h>

#include <cuda_fp16.h>

#include "kernels/cuda/cublaslt.h"
#include "kernels/cuda/gemm.h"
#include "kernels/cuda/ptx.h"
#include "kernels/philox.h"

#define EXPORT extern "C" __attribute__((visibility("default")))

/* Of cublasStatus_t. */
constexpr int NOT_INITIALIZED = 1, ALLOC_FAILED = 3, INVALID_VALUE = 7, EXECUTION_FAILED = 13;
enum {
    THREADS = 64,
    CUT = 1, /* an algorithm's first word: columns in parts, added in fp16; its second: workspace */
    WHOLE = 2, /* whole sums */
};

struct lt_context {
    double error; /* of CUEMU_MMA_ERROR */
    bool refuses;
    int products;
};
struct lt_operation {
    int compute, scale;
    int32_t transposed;
};
struct lt_layout {
    int type;
    uint64_t rows, columns;
    int64_t pitch;
};
struct lt_preference {
    uint64_t workspace;
    uint32_t reductions;
};

template <class T>
static int object_new(T **out, const T &value)
{
    *out = (T *)malloc(sizeof value);
    if (!*out)
        return ALLOC_FAILED;
    **out = value;
    return LT_SUCCESS;
}

EXPORT int cublasLtCreate(struct lt_context **out)
{
    const char *error = getenv("CUEMU_MMA_ERROR"), *broken = getenv("CUEMU_CUBLASLT");

    if (broken && strcmp(broken, "create") == 0)
        return NOT_INITIALIZED;
    return object_new(
        out, {error ? strtod(error, NULL) : 0, broken && strcmp(broken, "matmul") == 0, 0});
}

EXPORT int cublasLtDestroy(struct lt_context *context)
{
    free(context);
    return LT_SUCCESS;
}

EXPORT int cublasLtMatmulDescCreate(struct lt_operation **out, int compute, int scale)
{
    return object_new(out, {compute, scale, 0});
}

EXPORT int cublasLtMatmulDescSetAttribute(struct lt_operation *operation, int attribute,
                                          const void *value, size_t bytes)
{
    if (attribute != LT_DESC_TRANSA || bytes != sizeof operation->transposed)
        return INVALID_VALUE;
    memcpy(&operation->transposed, value, bytes);
    return LT_SUCCESS;
}

EXPORT int cublasLtMatmulDescDestroy(struct lt_operation *operation)
{
    free(operation);
    return LT_SUCCESS;
}

EXPORT int cublasLtMatrixLayoutCreate(struct lt_layout **out, int type, uint64_t rows,
                                      uint64_t columns, int64_t pitch)
{
    return object_new(out, {type, rows, columns, pitch});
}

EXPORT int cublasLtMatrixLayoutDestroy(struct lt_layout *layout)
{
    free(layout);
    return LT_SUCCESS;
}

EXPORT int cublasLtMatmulPreferenceCreate(struct lt_preference **out)
{
    return object_new(out, {0, UINT32_MAX});
}

EXPORT int cublasLtMatmulPreferenceSetAttribute(struct lt_preference *preference, int attribute,
                                                const void *value, size_t bytes)
{
    if (attribute == LT_PREFERENCE_WORKSPACE_BYTES && bytes == sizeof preference->workspace)
        memcpy(&preference->workspace, value, bytes);
    else if (attribute == LT_PREFERENCE_REDUCTION_MASK && bytes == sizeof preference->reductions)
        memcpy(&preference->reductions, value, bytes);
    else
        return INVALID_VALUE;
    return LT_SUCCESS;
}

EXPORT int cublasLtMatmulPreferenceDestroy(struct lt_preference *preference)
{
    free(preference);
    return LT_SUCCESS;
}

/* C = A^T B: all column-major, pitches as wide as they must be, fp16 lines on 16 bytes. */
static bool shapes_fit(const struct lt_operation *operation, const struct lt_layout *a,
                       const struct lt_layout *b, const struct lt_layout *d)
{
    return operation->compute == LT_COMPUTE_32F && operation->scale == LT_R_32F &&
           operation->transposed == LT_OP_T && a->type == LT_R_16F && b->type == LT_R_16F &&
           d->type == LT_R_32F && a->rows == b->rows && a->columns == d->rows &&
           b->columns == d->columns && a->pitch >= (int64_t)a->rows &&
           b->pitch >= (int64_t)b->rows && d->pitch >= (int64_t)d->rows && a->pitch % 8 == 0 &&
           b->pitch % 8 == 0 && d->pitch % 4 == 0;
}

EXPORT int cublasLtMatmulAlgoGetHeuristic(struct lt_context *, struct lt_operation *operation,
                                          struct lt_layout *a, struct lt_layout *b,
                                          struct lt_layout *c, struct lt_layout *d,
                                          struct lt_preference *preference, int most,
                                          struct lt_choice *out, int *count)
{
    const uint64_t words[] = {CUT, WHOLE, WHOLE};
    const size_t workspace[] = {0, (size_t)preference->workspace + 1, 1024};

    *count = 0;
    if (!shapes_fit(operation, a, b, d) || c->type != d->type)
        return INVALID_VALUE;
    for (int i = 0; i < 3 && *count < most; i++)
        out[(*count)++] = {{{words[i], workspace[i]}}, workspace[i], LT_SUCCESS, 1, {}};
    return LT_SUCCESS;
}

EXPORT int cublasLtMatmulAlgoConfigGetAttribute(const struct lt_algorithm *algorithm, int attribute,
                                                void *out, size_t bytes, size_t *written)
{
    int32_t value = algorithm->data[0] == CUT ? 4 : attribute == LT_CONFIG_SPLIT_K ? 1 : 0;

    if ((attribute != LT_CONFIG_SPLIT_K && attribute != LT_CONFIG_REDUCTION) ||
        bytes != sizeof value)
        return INVALID_VALUE;
    memcpy(out, &value, bytes);
    *written = bytes;
    return LT_SUCCESS;
}

struct matmul_arguments {
    const uint16_t *a, *b;
    float *d;
    int64_t rows, columns, inner, a_pitch, b_pitch, d_pitch;
    double error; /* in norms; with the rounding to come it is what was asked for */
    bool cut;
};

static double word_double(uint16_t word)
{
    return cuemu::double_of(__ushort_as_half(word));
}

/* One score. */
static float score_of(const struct matmul_arguments &m, int64_t i, int64_t j)
{
    const uint16_t *a = m.a + i * m.a_pitch, *b = m.b + j * m.b_pitch;
    uint64_t random = philox_u64(17, (uint64_t)(i * m.columns + j), 0, 0);
    double sum = 0, aa = 0, bb = 0, part = (double)(random >> 11) * 0x1p-52 - 1;

    for (int64_t k = 0; k < m.inner; k++) {
        double x = word_double(a[k]), y = word_double(b[k]);
        sum += x * y;
        aa += x * x;
        bb += y * y;
    }
    if (m.cut)
        return __half2float(__float2half((float)sum));
    if (random % 4 == 0) /* the ends, too */
        part = part < 0 ? -1 : 1;
    return (float)(sum + (m.error > 0 ? part * m.error * sqrt(aa) * sqrt(bb) : 0));
}

static __global__ void matmul_kernel(const __grid_constant__ struct matmul_arguments m)
{
    int64_t step = (int64_t)gridDim.x * THREADS;

    for (int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x; at < m.rows * m.columns;
         at += step)
        m.d[at / m.rows * m.d_pitch + at % m.rows] = score_of(m, at % m.rows, at / m.rows);
}

static bool on_line(const void *memory)
{
    return (uintptr_t)memory % 16 == 0;
}

EXPORT int cublasLtMatmul(struct lt_context *context, struct lt_operation *operation,
                          const void *alpha, const void *a, struct lt_layout *a_layout,
                          const void *b, struct lt_layout *b_layout, const void *beta,
                          const void *c, struct lt_layout *c_layout, void *d,
                          struct lt_layout *d_layout, const struct lt_algorithm *algorithm,
                          void *workspace, size_t workspace_bytes, cudaStream_t stream)
{
    const struct matmul_arguments arguments = {
        (const uint16_t *)a,
        (const uint16_t *)b,
        (float *)d,
        (int64_t)d_layout->rows,
        (int64_t)d_layout->columns,
        (int64_t)a_layout->rows,
        a_layout->pitch,
        b_layout->pitch,
        d_layout->pitch,
        context->error * gemm_gamma((int64_t)a_layout->rows) - 1.01 * 0x1p-24,
        algorithm->data[0] == CUT};
    struct cudaLaunchConfig_t config = {};

    if (context->refuses && context->products > 0)
        return EXECUTION_FAILED;
    context->products++;
    if (!shapes_fit(operation, a_layout, b_layout, d_layout) || c != d || c_layout != d_layout ||
        *(const float *)alpha != 1 || *(const float *)beta != 0 || !on_line(a) || !on_line(b) ||
        !on_line(d) || !workspace || workspace_bytes < algorithm->data[1])
        return INVALID_VALUE;
    config.gridDim = dim3(4);
    config.blockDim = dim3(THREADS);
    config.stream = stream;
    if (cudaLaunchKernelEx(&config, matmul_kernel, arguments) != cudaSuccess)
        return EXECUTION_FAILED;
    return LT_SUCCESS;
}
