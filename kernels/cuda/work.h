/* work.h - what the CUDA plug-in knows of a device, a work and a block, and how a pass is written.
 *
 * Two lanes (streams) of the device carry everything: `compute` in order, `copy` for the tiles of works
 * whose rows stay with the host. A pass cuts its rows into tiles; each tile gets a view of its rows and
 * a slot for what it finds, queues its kernels on `compute`, and is folded into the caller's outputs
 * when it is done: at a later tile, or in wait. At most TILES_AHEAD tiles wait behind the one at work.
 *
 *  1. An entry is one pass_run (or several), and nothing else touches a stream.
 *  2. A slot starts as zeros, on the device; maxima are of bits that order like numbers, minima are
 *     maxima of the inverted bits.
 *  3. A fold runs on the host, once for each tile that ended well, in the order of the tiles.
 *  4. Memory of a work is carved: the same functions count for plan and hand out in work_open. */
#ifndef BARY_KERNELS_CUDA_WORK_H
#define BARY_KERNELS_CUDA_WORK_H

#include <cuda_runtime.h>

#include <stdint.h>
#include <sys/types.h>

#include "kernels/backend.h"
#include "kernels/cuda/assign_state.h"
#include "kernels/cuda/fixed.h"
#include "kernels/cuda/seed_state.h"
#include "kernels/cuda/tuning.h"

enum { SLOTS = TILES_AHEAD + 1 };

/* In front of each slot's results, and brought back with them. */
struct slot_head {
    unsigned wrong; /* not 0: a kernel met an index that no kernel writes */
    unsigned unused[3];
};

/* Rows of a tile as a kernel sees them; part of a kernel's arguments. */
struct view {
    const void *values;   /* count x columns, on a 16-byte line if a row is; NULL: not asked for */
    const double *weight; /* NULL: all ones */
    int32_t *label;
    double *seed; /* m_i; NULL without candidates */
    int64_t row;  /* number of the first row in the whole data */
    int64_t count, columns;
    int32_t clusters;
    unsigned *wrong; /* the slot's: index_holds raises it */
};

/* A pinned buffer that an upload goes through, and when it may be filled again. */
struct piece {
    char *bytes;
    cudaEvent_t sent;
    bool busy;
};

/* Process lifetime: from open to close. */
struct device {
    struct device_info info;
    struct refusal failure; /* REASON_NONE, or why it is lost: then no call touches CUDA again */
    int index;
    pid_t owner; /* a process forked later may not use the device */
    int processors;
    bool sync; /* BARY_CUDA_SYNC: wait after each launch, name the kernel that failed */
    int64_t tile_rows_most; /* BARY_CUDA_TILE_ROWS, or TILE_ROWS_MOST */
    double pair_ns;         /* expected time of one column of a (row, center) pair in fp64 */
    double byte_ns;         /* and of bringing a byte to the device */
    int64_t shared_most;    /* bytes of shared memory that a block can have, when asked for */
    cudaStream_t compute, copy;
    struct piece piece[2];
    int piece_at;
    struct gemm_library *gemm; /* cuBLASLt, once a plan wants it */
};

struct work;
struct block;

/* What a finished tile adds to the caller's outputs. `result`: the slot's bytes, on the host. */
struct folded {
    void *out[2];
    struct block *block;
    int64_t first, count; /* the tile, in the block */
};
/* Of numbers that cannot be it says device_wrong. */
typedef void fold(struct work *work, const void *result, const struct folded *to);

struct slot {
    struct slot_head *device, *host; /* work->slot_bytes each, results behind; host is pinned */
    cudaEvent_t done;
    bool busy;
    size_t bytes;
    fold *fn; /* NULL: nothing to fold */
    struct folded to;
};

/* One of two tiles of a STREAMED work. */
struct staging {
    void *values;
    cudaEvent_t full, done; /* its copy; the kernels that read it */
};

/* Hands out pieces of one region, each on a 256-byte line. base NULL: only counts. */
struct carver {
    char *base;
    size_t used;
    bool overflow;
};
void *carve_bytes(struct carver *carver, int64_t count, int64_t each, size_t size);
template <class T>
void carve(struct carver *carver, T **at, int64_t count, int64_t each)
{
    *at = static_cast<T *>(carve_bytes(carver, count, each, sizeof(T)));
}

/* The canonical sums, on the device; between tiles they are complete. */
struct device_sums {
    int128 *sum;    /* clusters x columns */
    int128 *weight; /* clusters */
    int64_t *count; /* clusters */
    uint128 *fingerprint;
};

/* Job lifetime: from work_open to work_close. All pointers but `pinned` and `host_scale` are the device's. */
struct work {
    struct device *device;
    struct shape shape;
    int64_t tile_rows; /* most rows of a tile: of scratch and staging */
    char *region, *pinned;
    size_t region_bytes, pinned_bytes, slot_bytes;
    double *centers; /* clusters x columns, row-major: those of begin */
    struct device_sums sums;
    struct column_scale *scale, *host_scale; /* columns: of the grid */
    int32_t *exponent;                       /* columns: L */
    int32_t weight_exponent;                 /* L_w */
    struct assigned assigned;                /* on the host: folds of assign enter it */
    struct slot slot[SLOTS];
    struct staging staging[2];
    int slot_at, staging_at;
    struct assign_state assign; /* scratch of assign and what belongs to it */
    struct seed_state seed;     /* of the seeding passes and farthest */
};

/* Job lifetime: from load to unload. */
struct block {
    struct rows rows; /* .values and .weight: the host's, read only by STREAMED works after load */
    char *region;
    size_t region_bytes;
    void *values;   /* NULL in a STREAMED work */
    double *weight; /* NULL: all ones */
    double *seed;   /* NULL without candidates */
    int32_t *label;
};

/* 0: fp32, 1: fp64: the index of a pass's kernels. */
static inline int number_index(const struct work *work)
{
    return work->shape.number == NUMBER_F64;
}
static inline size_t value_bytes(const struct shape *shape)
{
    return shape->number == NUMBER_F64 ? sizeof(double) : sizeof(float);
}

/* ---- kernels ---- */

/* A value of a view as the passes see it: a double, -0 as +0. */
template <class T>
static __device__ __forceinline__ double view_value(const struct view &view, int64_t row,
                                                    int64_t column)
{
    return (double)static_cast<const T *>(view.values)[row * view.columns + column] + 0.0;
}
static __device__ __forceinline__ double view_weight(const struct view &view, int64_t row)
{
    return view.weight ? view.weight[row] : 1.0;
}

/* What an earlier kernel left in memory is checked before it leads anywhere. False: no kernel writes such
 * an index, so the card computes wrongly; the host hears of it with the tile, and the caller goes on
 * without. */
static __device__ __forceinline__ bool index_holds(const struct view &view, int64_t index,
                                                   int64_t count)
{
    bool holds = index >= 0 && index < count;

    if (!holds)
        atomicExch(view.wrong, 1u);
    return holds;
}
/* A row's label as an index of clusters; -1: none. */
static __device__ __forceinline__ int32_t view_label(const struct view &view, int64_t row)
{
    int32_t label = view.label[row];

    return label >= 0 && index_holds(view, label, view.clusters) ? label : -1;
}

/* A kernel takes one struct by value: template <class T> __global__ void
 * __launch_bounds__(THREADS, BLOCKS) name_kernel(const __grid_constant__ struct name_arguments a). */
template <class Arguments>
struct kernel {
    const char *name;
    void (*function)(const Arguments);
    int threads, blocks; /* of __launch_bounds__ */
    size_t shared;       /* sizeof of its block_shared struct, at most SHARED_BYTES_MOST; 0: none */
};

/* Every kernel is listed, so that open loads it and the resources file names it. */
struct kernel_row {
    const char *name;
    const void *function;
    int threads, blocks;
    size_t shared;
};
enum { KERNELS_MOST = 128 };
struct kernel_list {
    struct kernel_row row[KERNELS_MOST];
    int count;
};
void kernel_list_row(struct kernel_list *list, const struct kernel_row &row);
template <class Arguments, int N>
void kernel_list_add(struct kernel_list *list, const struct kernel<Arguments> (&kernels)[N])
{
    for (const struct kernel<Arguments> &kernel : kernels)
        kernel_list_row(list, {kernel.name, reinterpret_cast<const void *>(kernel.function),
                               kernel.threads, kernel.blocks, kernel.shared});
}

/* Each file with kernels tells them. */
void facts_kernels(struct kernel_list *list);
void moments_kernels(struct kernel_list *list);
void labels_kernels(struct kernel_list *list);
void assign_kernels(struct kernel_list *list);   /* assign.cu, accumulate.cu */
void inertia_kernels(struct kernel_list *list);  /* inertia.cu, distances.cu */
void seed_kernels(struct kernel_list *list);     /* seed.cu */
void farthest_kernels(struct kernel_list *list); /* farthest.cu */
void fits_kernels(struct kernel_list *list);

/* The most bytes that a tile of a file's passes puts into its slot. */
int64_t facts_slot_bytes(const struct shape *shape);
int64_t moments_slot_bytes(const struct shape *shape);
int64_t labels_slot_bytes(const struct shape *shape);

/* ---- errors ---- */

/* STATUS_OK; or what a code of CUDA means: OUT_OF_MEMORY, BUG (our arguments; harmless), DEVICE_LOST (the
 * device keeps call, code and words, and is never touched again). */
enum status cuda_check(struct device *device, cudaError_t code, const char *call);
/* The card gave what no kernel gives: DEVICE_LOST from here on, for the reason DEVICE_WRONG. */
enum status device_wrong(struct device *device, const char *what);
/* DEVICE_LOST if it is lost or the process is a fork; else makes it this thread's device. */
enum status device_enter(struct device *device);
/* The same before something is given back: a card that is lost for its results alone still takes it. */
enum status device_leave(struct device *device);

#define TRY(call)                \
    do {                         \
        status = (call);         \
        if (status != STATUS_OK) \
            goto out;            \
    } while (0)
/* Every CUDA call that can fail goes through this. */
#define CUDA_TRY(device, call) TRY(cuda_check((device), (call), #call))

/* ---- launching ---- */

/* grid = min(tiles, processors x resident blocks), at least 1: the kernel loops while its tile < tiles. */
unsigned launch_grid(const struct device *device, int64_t tiles, int blocks);
/* After a launch: its own return; with `sync` also its end. */
enum status launch_check(struct device *device, cudaError_t code, const char *kernel);

template <class Arguments>
enum status launch(struct work *work, const struct kernel<Arguments> &kernel, int64_t tiles,
                   const Arguments &arguments)
{
    cudaLaunchConfig_t config = {};

    config.gridDim = dim3(launch_grid(work->device, tiles, kernel.blocks));
    config.blockDim = dim3((unsigned)kernel.threads);
    config.dynamicSmemBytes = kernel.shared;
    config.stream = work->device->compute;
    return launch_check(work->device, cudaLaunchKernelEx(&config, kernel.function, arguments),
                        kernel.name);
}

/* How many tiles of `each` there are in `count`. */
static inline int64_t tiles_of(int64_t count, int64_t each)
{
    return count / each + (count % each != 0);
}

/* ---- passes ---- */

/* What a pass is, beside what it launches. */
struct pass {
    bool values;       /* reads X: a STREAMED work copies the tile */
    int64_t rows_most; /* tiles are cut to so many rows; 0: to work->tile_rows */
    size_t slot_bytes; /* results of a tile, at most work->slot_bytes */
    fold *fn;          /* NULL: nothing comes back */
    void *out[2];      /* the caller's, for the fold */
};

/* A tile under way. */
struct tile_turn {
    struct view view;
    struct slot *slot; /* its device bytes are zeros */
    struct staging *staging;
    int64_t first; /* in the block */
};

/* Waits for the tile before the last two, folds it, makes a view of rows [first, first + count), copies
 * them if the work is STREAMED, clears the slot. */
enum status tile_open(struct work *work, struct block *block, const struct pass *pass,
                      int64_t first, int64_t count, struct tile_turn *out);
/* Queues the way back of the slot and marks the end. Takes the status of what was queued; with another
 * than OK the tile folds nothing. Gives that status, or its own. */
enum status tile_close(struct work *work, struct block *block, const struct pass *pass,
                       struct tile_turn *turn, enum status status);

/* Runs `queue(view, slot)` for each tile of the rows; it launches and returns a status. */
template <class Queue>
enum status pass_run(struct work *work, struct block *block, int64_t first, int64_t count,
                     const struct pass &pass, const Queue &queue)
{
    int64_t most =
        pass.rows_most > 0 && pass.rows_most < work->tile_rows ? pass.rows_most : work->tile_rows;
    enum status status = device_enter(work->device);

    for (int64_t end = first + count; status == STATUS_OK && first < end; first += most) {
        struct tile_turn turn;
        status =
            tile_open(work, block, &pass, first, end - first < most ? end - first : most, &turn);
        if (status == STATUS_OK)
            status = tile_close(work, block, &pass, &turn, queue(turn.view, turn.slot->device + 1));
    }
    return status;
}

/* Waits for everything queued and folds it: what wait does, and what a pass calls first whose input is
 * an earlier pass's output (seed_find, farthest). */
enum status work_settle(struct work *work);

/* Copies host memory behind what `stream` holds; the source may change when this returns. */
enum status upload(struct device *device, cudaStream_t stream, void *to, const void *from,
                   size_t bytes);
/* Copies device memory to the host and waits for it: for canonical sums and the like, between passes. */
enum status download(struct device *device, void *to, const void *from, size_t bytes);

/* Zeros over device memory that held a user's values, then back to the device. Memory that could not be
 * cleared is not given back, so nobody finds what it held. NULL is fine. */
enum status region_give(struct device *device, char *region, size_t bytes);

/* ---- the entries of the table, promised in backend.h ---- */

int cuda_devices(struct device_info *info, int most, struct refusal *why);
enum status cuda_open(int index, const struct device_options *options, struct device **out,
                      struct refusal *why);
void cuda_close(struct device **device);
void cuda_describe(const struct device *device, struct device_info *out);
void cuda_failure(const struct device *device, struct refusal *out);
enum status cuda_plan(const struct device *device, const struct shape *shape, struct plan *out);
enum status cuda_work_open(struct device *device, const struct shape *shape, struct work **out);
void cuda_work_close(struct work **work);
enum status cuda_load(struct work *work, const struct rows *rows, struct block **out);
void cuda_unload(struct work *work, struct block **block);
enum status cuda_wait(struct work *work);
enum status cuda_facts(struct work *work, struct block *block, int64_t first, int64_t count,
                       struct facts *out);
enum status cuda_moments(struct work *work, struct block *block, int64_t first, int64_t count,
                         int64_t column, int64_t columns, struct moments *out);
enum status cuda_grid_set(struct work *work, const struct grid *grid);
enum status cuda_begin(struct work *work, const double *centers);
enum status cuda_assigned(struct work *work, struct assigned *out);
enum status cuda_labels_read(struct work *work, struct block *block, int64_t first, int64_t count,
                             int32_t *out);
enum status cuda_labels_write(struct work *work, struct block *block, int64_t first, int64_t count,
                              const int32_t *labels);
enum status cuda_sums_read(struct work *work, struct sums *out);
enum status cuda_sums_write(struct work *work, const struct sums *in);
/* Each is -1 or a cluster. */
bool labels_hold(const int32_t *label, int64_t count, int64_t clusters);
enum status cuda_seed_reset(struct work *work, struct block *block, double value);
enum status cuda_seed_mark(struct work *work, struct block *block, int64_t row, double value);
enum status cuda_gather(struct work *work, struct block *block, int64_t row, double *out);

/* assign.cu and its neighbors */
enum status cuda_assign(struct work *work, struct block *block, int64_t first, int64_t count,
                        bool sums);
enum status cuda_inertia(struct work *work, struct block *block, int64_t first, int64_t count,
                         int32_t L, int128 *total, int128 *per_cluster);
enum status cuda_distances(struct work *work, struct block *block, int64_t first, int64_t count,
                           double *out);

/* seed.cu and its neighbors */
enum status cuda_seed_take(struct work *work, struct block *block, int64_t first, int64_t count,
                           const double *center, bool first_center, double *largest);
enum status cuda_seed_largest(struct work *work, struct block *block, int64_t first, int64_t count,
                              double *largest);
enum status cuda_seed_total(struct work *work, struct block *block, int64_t first, int64_t count,
                            int32_t L, int128 *total);
enum status cuda_seed_find(struct work *work, struct block *block, int64_t first, int64_t count,
                           int32_t L, int128 *rest, int64_t *row);
enum status cuda_seed_try(struct work *work, struct block *block, int64_t first, int64_t count,
                          const double *candidates, int candidates_count, bool first_center,
                          int32_t L, int128 *totals);
enum status cuda_farthest(struct work *work, struct block *block, int64_t first, int64_t count,
                          int most, struct far_row *list, double *values, int *held);

/* fits.cu */
enum status cuda_fits_plan(const struct device *device, const struct fits *fits, int64_t rows,
                           int64_t clusters, struct fits_plan *out);
enum status cuda_fits(struct device *device, const struct fits *fits, struct fits_out *out);

#endif
