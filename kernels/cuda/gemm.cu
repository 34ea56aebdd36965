/* gemm.cu - the product of matrices that proposes nearest centers: sizes, cuBLASLt's objects, tiles.
 *
 * A tile is cut so that its scores stay in L2. Every product is one of `rows` rows, so that one choice of
 * algorithm serves them all; rows of the last one that are nobody's hold whatever was there. */
#include <assert.h>
#include <stdlib.h>

#include "kernels/cuda/gemm_library.h"
#include "kernels/cuda/gemm_probe.h"
#include "kernels/cuda/settle.h"

enum { EIGHTH = 8, CHOICES = 16 };

/* S = Y D^T, row-major, is D Y^T column-major: m = clusters, n = rows, k = columns. */
struct gemm_matmul {
    struct lt_operation *operation;
    struct lt_layout *centers, *shadow, *score;
    struct lt_algorithm algorithm;
};

static int64_t eighths(int64_t count)
{
    return (count + EIGHTH - 1) / EIGHTH * EIGHTH;
}

/* Worst of what NVIDIA's chips are known to do with fp16 operands: products of 8 columns and the sum so
 * far, aligned to the largest and cut at 24 fraction bits. Plain FMA chains stay below it. */
double gemm_gamma(int64_t columns)
{
    return 5.5 * 0x1p-23 * (double)(eighths(columns) / EIGHTH) * (1 + 0x1p-10);
}

/* Against fp64: the product, what a proof reads of a score, and a row's own conversion and chain. */
double gemm_row_ns(const struct device *device, const struct shape *shape)
{
    double columns = (double)shape->columns, clusters = (double)shape->clusters;

    return device->pair_ns * (clusters * (columns / GEMM_RATE + GEMM_PROOF_COLUMNS) + 2 * columns);
}

void gemm_design(const struct device *device, struct work *work)
{
    struct gemm_state *gemm = &work->assign.gemm;
    int64_t most;

    gemm->rows = 0;
    if (!gemm_ready(device, &work->shape))
        return;
    gemm->columns = eighths(work->shape.columns);
    gemm->clusters = eighths(work->shape.clusters);
    most = GEMM_SCORE_BYTES / (gemm->clusters * (int64_t)sizeof(float));
    if (most < GEMM_ROWS_LEAST || work->shape.residency == RESIDENT_SMALL)
        most = GEMM_ROWS_LEAST;
    most = eighths(most);
    gemm->rows = eighths(work->tile_rows) < most ? eighths(work->tile_rows) : most;
    gemm->pairs_most = gemm->rows * GEMM_PAIRS;
}

void gemm_carve(struct carver *carver, struct work *work)
{
    struct gemm_state *gemm = &work->assign.gemm;

    if (gemm->rows == 0)
        return;
    carve(carver, &gemm->pivot, work->shape.columns, 1);
    carve(carver, &gemm->centers, gemm->clusters, gemm->columns);
    carve(carver, &gemm->shadow, gemm->rows, gemm->columns);
    carve(carver, &gemm->center, gemm->clusters, 1);
    carve(carver, &gemm->row, gemm->rows, 1);
    carve(carver, &gemm->score, gemm->rows, gemm->clusters);
    carve(carver, &gemm->open, gemm->rows, 1);
    carve(carver, &gemm->pair, gemm->pairs_most, 1);
    carve(carver, &gemm->distance, gemm->pairs_most, 1);
    carve(carver, &gemm->count, 1, 1);
    carve(carver, &gemm->workspace, GEMM_WORKSPACE_BYTES, 1);
}

/* Whole sums in fp32: no algorithm that cuts the columns and adds the parts in some other way. */
static bool choice_serves(const struct cublaslt *call, const struct lt_choice *choice)
{
    int32_t parts = 0, reduction = -1;
    size_t written;

    return choice->status == LT_SUCCESS && choice->workspace_bytes <= GEMM_WORKSPACE_BYTES &&
           call->algorithm_get(&choice->algorithm, LT_CONFIG_SPLIT_K, &parts, sizeof parts,
                               &written) == LT_SUCCESS &&
           call->algorithm_get(&choice->algorithm, LT_CONFIG_REDUCTION, &reduction,
                               sizeof reduction, &written) == LT_SUCCESS &&
           parts <= 1 && reduction == LT_REDUCTION_NONE;
}

static bool algorithm_choose(const struct gemm_library *library, struct gemm_matmul *matmul,
                             struct lt_preference *preference)
{
    const struct cublaslt *call = &library->call;
    const uint64_t workspace = GEMM_WORKSPACE_BYTES;
    const uint32_t reductions = LT_REDUCTION_NONE;
    struct lt_choice choice[CHOICES];
    int count = 0;

    if (call->preference_set(preference, LT_PREFERENCE_WORKSPACE_BYTES, &workspace,
                             sizeof workspace) != LT_SUCCESS ||
        call->preference_set(preference, LT_PREFERENCE_REDUCTION_MASK, &reductions,
                             sizeof reductions) != LT_SUCCESS ||
        call->heuristic(library->context, matmul->operation, matmul->centers, matmul->shadow,
                        matmul->score, matmul->score, preference, CHOICES, choice,
                        &count) != LT_SUCCESS)
        return false;
    for (int i = 0; i < count; i++)
        if (choice_serves(call, &choice[i])) {
            matmul->algorithm = choice[i].algorithm;
            return true;
        }
    return false;
}

static bool algorithm_find(const struct gemm_library *library, struct gemm_matmul *matmul)
{
    struct lt_preference *preference = NULL;
    bool found = library->call.preference_create(&preference) == LT_SUCCESS &&
                 algorithm_choose(library, matmul, preference);

    if (preference)
        library->call.preference_destroy(preference);
    return found;
}

static bool matmul_describe(const struct gemm_library *library, const struct gemm_state *gemm,
                            struct gemm_matmul *out)
{
    const struct cublaslt *call = &library->call;
    const int32_t transposed = LT_OP_T;
    uint64_t columns = (uint64_t)gemm->columns, clusters = (uint64_t)gemm->clusters;

    return call->operation_create(&out->operation, LT_COMPUTE_32F, LT_R_32F) == LT_SUCCESS &&
           call->operation_set(out->operation, LT_DESC_TRANSA, &transposed, sizeof transposed) ==
               LT_SUCCESS &&
           call->layout_create(&out->centers, LT_R_16F, columns, clusters, gemm->columns) ==
               LT_SUCCESS &&
           call->layout_create(&out->shadow, LT_R_16F, columns, (uint64_t)gemm->rows,
                               gemm->columns) == LT_SUCCESS &&
           call->layout_create(&out->score, LT_R_32F, clusters, (uint64_t)gemm->rows,
                               gemm->clusters) == LT_SUCCESS;
}

/* False: cuBLASLt cannot. */
static bool matmul_make(struct gemm_library *library, const struct gemm_state *gemm,
                        struct gemm_matmul *out)
{
    if (!library->context && library->call.create(&library->context) != LT_SUCCESS) {
        library->context = NULL;
        return false;
    }
    return matmul_describe(library, gemm, out) && algorithm_find(library, out);
}

enum status gemm_open(struct work *work)
{
    struct gemm_state *gemm = &work->assign.gemm;
    struct device *device = work->device;
    enum status status = STATUS_OK;
    bool accurate = false;

    if (gemm->rows == 0)
        return STATUS_OK;
    gemm->matmul = (struct gemm_matmul *)calloc(1, sizeof *gemm->matmul);
    if (!gemm->matmul)
        return STATUS_OUT_OF_MEMORY;
    if (matmul_make(device->gemm, gemm, gemm->matmul))
        TRY(gemm_probe(work, &accurate));
    if (!accurate) {
        CUDA_TRY(device,
                 cudaGetLastError()); /* what made it refuse may have been the device's end */
        gemm_refuse(device);
        gemm->rows = 0;
    }
out:
    return status;
}

void gemm_close(struct work *work)
{
    struct gemm_matmul *matmul = work->assign.gemm.matmul;
    const struct cublaslt *call = &work->device->gemm->call;

    if (!matmul)
        return;
    if (matmul->score)
        call->layout_destroy(matmul->score);
    if (matmul->shadow)
        call->layout_destroy(matmul->shadow);
    if (matmul->centers)
        call->layout_destroy(matmul->centers);
    if (matmul->operation)
        call->operation_destroy(matmul->operation);
    free(matmul);
    work->assign.gemm.matmul = NULL;
}

bool gemm_multiply(struct work *work)
{
    const struct gemm_library *library = work->device->gemm;
    const struct gemm_state *gemm = &work->assign.gemm;
    const struct gemm_matmul *matmul = gemm->matmul;
    const float one = 1, nothing = 0;

    return library->call.matmul(library->context, matmul->operation, &one, gemm->centers,
                                matmul->centers, gemm->shadow, matmul->shadow, &nothing,
                                gemm->score, matmul->score, gemm->score, matmul->score,
                                &matmul->algorithm, gemm->workspace, GEMM_WORKSPACE_BYTES,
                                work->device->compute) == LT_SUCCESS;
}

/* One product's rows. Where cuBLASLt refuses, or more pairs stay open than there is room for, the
 * canonical kernel does them: it is queued in any case and looks at count->full first. */
static enum status product_assign(struct work *work, const struct settle &to, int64_t first,
                                  int64_t count)
{
    const struct gemm_state *gemm = &work->assign.gemm;
    struct device *device = work->device;
    enum status status;

    CUDA_TRY(device, cudaMemsetAsync(gemm->count, 0, sizeof *gemm->count, device->compute));
    TRY(shadow_rows(work, to, first, count));
    if (!gemm_multiply(work)) {
        CUDA_TRY(device, cudaGetLastError());
        return canonical_assign(work, to, first, count, NULL);
    }
    TRY(certify(work, count));
    TRY(refine(work, to, first, count));
    TRY(canonical_assign(work, to, first, count, &gemm->count->full));
out:
    return status;
}

enum status gemm_assign(struct work *work, const struct settle &to)
{
    int64_t most = work->assign.gemm.rows, left;
    enum status status = STATUS_OK;

    for (int64_t first = 0; status == STATUS_OK && first < to.view.count; first += most) {
        left = to.view.count - first;
        status = product_assign(work, to, first, left < most ? left : most);
    }
    return status;
}
