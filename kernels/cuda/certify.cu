/* certify.cu - which centers can still be a row's nearest, and the proof that no other can.
 *
 * Of a row y and a center d (both less the pivot) the half score is s = |d|^2/2 - y.d, so that
 * |y - d|^2 = |y|^2 + 2 s. A score p from fp16 words y', d' obeys
 *     |p - y.d| <= |y'| |d - d'| + |y - y'| |d| + Gamma |y'| |d'|      (Cauchy and Schwarz)
 * with Gamma taken twice, since part of it rests on what others measured. The slack E is that and
 * 2^-30 (|d|^2/2 + |y'| |d'|), which covers how |d|^2 was summed and the few fp64 operations here, and
 * 2^-1000 for what underflows. T, the least s + E of a row, bounds its nearest half score from above.
 * The canonical distance errs by g = (columns + 2) u of itself, so a center whose s - E exceeds
 * T + 2 g (|y|^2 + 2 T) loses canonically too, and strictly: it is dropped. Comparisons drop only what
 * is proven, so equality, infinity and NaN keep a center.
 *
 * A warp owns CERTIFY_ROWS rows, its lanes the centers, whose bounds serve all of its rows. It reads the
 * scores twice, from L2: for T, then for the centers kept; a third time where more than one is. Bound by
 * FP64 and L2, about ten instructions and twelve bytes a score. */
#include "kernels/cuda/gemm.h"
#include "kernels/cuda/settle.h"

struct certify_arguments {
    const float *score;
    int64_t count, clusters, pitch;
    const struct row_bound *row;
    const struct center_bound *center;
    double canonical; /* 2 g, rounded up */
    struct open_row *open;
    struct pair *pair;
    int64_t pairs_most;
    struct gemm_count *found;
};

#define SMALLEST 0x1p-1000
#define INFINITE __longlong_as_double(0x7ff0000000000000)

/* A half score lies within `slack` of `middle`. */
struct interval {
    double middle, slack;
};
static __device__ __forceinline__ struct interval
half_score(const struct row_bound &row, const struct center_bound &center, float score)
{
    double slack =
        __fma_rn(row.stored, center.stored,
                 __fma_rn(row.rest, center.whole, __fma_rn(0x1p-30, center.half, SMALLEST)));

    return {center.half - (double)score * row.unit * center.unit, slack};
}

struct group {
    struct row_bound row[CERTIFY_ROWS];
    const float *score[CERTIFY_ROWS]; /* NULL: no row, or a skipped one */
};

static __device__ __forceinline__ struct group group_load(const struct certify_arguments &a,
                                                          int64_t first)
{
    struct group group;

    UNROLL
    for (int i = 0; i < CERTIFY_ROWS; i++) {
        bool here = first + i < a.count;
        group.row[i] = here ? a.row[first + i] : row_bound{0, 0, 0, -1};
        group.score[i] = group.row[i].unit > 0 ? a.score + (first + i) * a.pitch : NULL;
    }
    return group;
}

/* limit[i]: a center whose half score is surely above it is not row i's nearest. */
static __device__ __forceinline__ void limits_find(const struct certify_arguments &a,
                                                   const struct group &group,
                                                   double (&limit)[CERTIFY_ROWS])
{
    UNROLL
    for (int i = 0; i < CERTIFY_ROWS; i++)
        limit[i] = INFINITE;
    for (int64_t j = lane_index(); j < a.clusters; j += WARP) {
        const struct center_bound center = a.center[j];
        UNROLL
        for (int i = 0; i < CERTIFY_ROWS; i++) {
            if (!group.score[i])
                continue;
            const struct interval s = half_score(group.row[i], center, group.score[i][j]);
            limit[i] = least::of(limit[i], s.middle + s.slack);
        }
    }
    UNROLL
    for (int i = 0; i < CERTIFY_ROWS; i++) {
        double T = warp_reduce<struct least>(limit[i]), whole = group.row[i].square + 2 * T;
        whole = largest::of(whole, 0.0) + 0x1p-40 * (group.row[i].square + 2 * fabs(T));
        limit[i] = T + __fma_rn(a.canonical, whole, SMALLEST);
    }
}

static __device__ __forceinline__ bool kept(const struct interval &s, double limit)
{
    return !(s.middle - s.slack > limit);
}

/* How many centers each row keeps, and the lowest of them. */
static __device__ __forceinline__ void kept_count(const struct certify_arguments &a,
                                                  const struct group &group,
                                                  const double (&limit)[CERTIFY_ROWS],
                                                  int (&count)[CERTIFY_ROWS],
                                                  int (&lowest)[CERTIFY_ROWS])
{
    UNROLL
    for (int i = 0; i < CERTIFY_ROWS; i++) {
        count[i] = 0;
        lowest[i] = INT32_MAX;
    }
    for (int64_t j = lane_index(); j < a.clusters; j += WARP) {
        const struct center_bound center = a.center[j];
        UNROLL
        for (int i = 0; i < CERTIFY_ROWS; i++) {
            if (!group.score[i] ||
                !kept(half_score(group.row[i], center, group.score[i][j]), limit[i]))
                continue;
            lowest[i] = count[i] == 0 ? (int)j : lowest[i];
            count[i]++;
        }
    }
    UNROLL
    for (int i = 0; i < CERTIFY_ROWS; i++) {
        count[i] = warp_reduce<struct add>(count[i]);
        lowest[i] = warp_reduce<struct least>(lowest[i]);
    }
}

/* Room for `count` pairs, or -1 and found->full. All lanes get the same. */
static __device__ __forceinline__ int64_t room_take(const struct certify_arguments &a, int count)
{
    unsigned at = 0;

    if (lane_index() == 0 && count > 0)
        at = atomicAdd(&a.found->pairs, (unsigned)count);
    at = __shfl_sync((unsigned)FULL_WARP, at, 0);
    if ((int64_t)at + count <= a.pairs_most)
        return (int64_t)at;
    if (lane_index() == 0)
        atomicExch(&a.found->full, 1u);
    return -1;
}

/* The pairs of a row that keeps more than one center, in ascending order. All lanes call. */
static __device__ __forceinline__ void pairs_list(const struct certify_arguments &a, int32_t row,
                                                  const struct row_bound &bound, const float *score,
                                                  double limit, int64_t at)
{
    unsigned below = (1u << lane_index()) - 1;

    for (int64_t first = 0; first < a.clusters; first += WARP) {
        int64_t j = first + lane_index();
        bool keep = j < a.clusters && kept(half_score(bound, a.center[j], score[j]), limit);
        unsigned mask = __ballot_sync((unsigned)FULL_WARP, keep);
        if (keep)
            a.pair[at + __popc(mask & below)] = {row, (int32_t)j};
        at += __popc(mask);
    }
}

static __global__ void __launch_bounds__(CERTIFY_THREADS, CERTIFY_BLOCKS)
    certify_kernel(const __grid_constant__ struct certify_arguments a)
{
    int64_t step = (int64_t)gridDim.x * warp_count() * CERTIFY_ROWS;
    int64_t from = ((int64_t)blockIdx.x * warp_count() + warp_index()) * CERTIFY_ROWS;

    for (int64_t first = from; first < a.count; first += step) {
        const struct group group = group_load(a, first);
        double limit[CERTIFY_ROWS];
        int count[CERTIFY_ROWS], lowest[CERTIFY_ROWS];

        limits_find(a, group, limit);
        kept_count(a, group, limit, count, lowest);
        UNROLL
        for (int i = 0; i < CERTIFY_ROWS; i++) {
            int64_t row = first + i, at = room_take(a, count[i]);
            if (row < a.count && lane_index() == 0)
                a.open[row] = {(int32_t)at, at < 0 ? 0 : count[i]};
            if (at >= 0 && count[i] == 1 && lane_index() == 0)
                a.pair[at] = {(int32_t)row, lowest[i]};
            if (at >= 0 && count[i] > 1)
                pairs_list(a, (int32_t)row, group.row[i], group.score[i], limit[i], at);
        }
    }
}

static const struct kernel<struct certify_arguments> certify_table[] = {
    {"certify", certify_kernel, CERTIFY_THREADS, CERTIFY_BLOCKS, 0},
};

void certify_kernels(struct kernel_list *list)
{
    kernel_list_add(list, certify_table);
}

enum status certify(struct work *work, int64_t count)
{
    const struct gemm_state *gemm = &work->assign.gemm;
    double g = (double)(work->shape.columns + 3) * 0x1p-53;
    const struct certify_arguments arguments = {
        gemm->score, count,      work->shape.clusters, gemm->clusters,   gemm->row,  gemm->center,
        2.001 * g,   gemm->open, gemm->pair,           gemm->pairs_most, gemm->count};

    return launch(work, certify_table[0], tiles_of(count, CERTIFY_THREADS / WARP * CERTIFY_ROWS),
                  arguments);
}
