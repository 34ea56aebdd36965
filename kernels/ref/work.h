/* work.h - what ref and cpu know of a device, a work and a block, and what of ref cpu keeps.
 *
 * ref uses these structs as they are; cpu puts its own fields behind them. A work is one region of
 * memory, carved in one place, so that what plan says and what work_open takes cannot differ. */
#ifndef BARY_KERNELS_REF_WORK_H
#define BARY_KERNELS_REF_WORK_H

#include <assert.h>
#include <math.h>

#include "kernels/backend.h"
#include "kernels/far.h"
#include "kernels/grid.h"

#if defined(__clang__)
#define BACKEND_COMPILER "clang " __clang_version__
#else
#define BACKEND_COMPILER "gcc " __VERSION__
#endif
#if defined(__x86_64__)
#define BACKEND_TARGET "x86-64-v3"
#elif defined(__aarch64__)
#define BACKEND_TARGET "arm64"
#else
#define BACKEND_TARGET "other"
#endif
#define BACKEND_BUILD BACKEND_COMPILER ", " BACKEND_TARGET ", -ffp-contract=off"

enum { TILE_ROWS_MAX = 1 << 22, TILE_MS_MAX = 15 };

/* Process lifetime: from open to close. */
struct device {
    struct device_info info;
    double pair_ns; /* expected time of one column of one (row, centroid) pair, all threads busy */
};

/* Job lifetime: from work_open to work_close. */
struct work {
    struct device *device;
    struct shape shape;
    struct grid grid; /* .column points into this work; NULL until grid_set */
    struct assigned assigned;
    uint128 fingerprint;
    int32_t *exponent; /* columns: where grid.column points once it is set */
    double *centers;   /* clusters x columns, those of begin */
    int128 *sum;       /* clusters x columns */
    int128 *weight;    /* clusters */
    int64_t *count;    /* clusters */
    double *row;       /* columns: one row's values while farthest compares them */
};

/* Job lifetime: from load to unload. */
struct block {
    struct rows rows;
    double *seed;   /* m_i; NULL when the shape has no candidates */
    int32_t *label; /* -1: none yet, or skipped */
    int32_t *old;   /* cpu: the label before this tile; else NULL */
};

/* Hands out pieces of one region, each on a 64-byte line. base NULL: only counts. */
struct carver {
    char *base;
    size_t used;
    bool overflow;
};
void *carve(struct carver *carver, int64_t count, int64_t each, size_t size);
/* The arrays of a work. */
void carve_work(struct carver *carver, struct work *work);
/* The whole region, zeroed; NULL: no memory. free() returns it. */
void *region_new(size_t bytes);

/* A block with labels -1 and seeding distances 1. OUT_OF_MEMORY. */
enum status block_new(struct work *work, const struct rows *rows, bool with_old,
                      struct block **out);

/* Fills *why (NULL: nobody asks) and returns the status. */
enum status refuse(struct refusal *why, enum status status, enum device_reason reason,
                   const char *text);
/* UNSUPPORTED: no backend here can hold this shape. */
enum status shape_check(const struct shape *shape);
/* Rows of a tile by the cost of one. */
int64_t tile_rows_for(double row_ns);

static inline double row_weight(const struct block *block, int64_t row)
{
    return block->rows.weight ? block->rows.weight[row] : 1.0;
}

/* One value, -0 as +0. */
static inline double row_value(const struct work *work, const struct block *block, int64_t row,
                               int64_t column)
{
    int64_t at = row * work->shape.columns + column;
    double value = work->shape.number == NUMBER_F32
                       ? (double)((const float *)block->rows.values)[at]
                       : ((const double *)block->rows.values)[at];
    return value + 0.0;
}

static inline void tile_check(const struct block *block, int64_t first, int64_t count)
{
    assert(first >= 0 && count >= 0 && first <= block->rows.count - count);
    (void)block, (void)first, (void)count;
}

/* The canonical distance of a row and a center: the definition of every distance here. */
double ref_canonical(const struct work *work, const struct block *block, int64_t row,
                     const double *center);

/* Adds one finite x to the exact sums. */
void moments_add_value(struct moments *into, double x);

/* Enters a row into the sums of `label`, or takes it out (sign -1). */
void ref_sums_add(struct work *work, const struct block *block, int64_t row, int32_t label,
                  int sign);

/* The passes of ref, promised in backend.h. */
void ref_failure(const struct device *device, struct refusal *out);
enum status ref_load(struct work *work, const struct rows *rows, struct block **out);
void ref_unload(struct work *work, struct block **block);
enum status ref_wait(struct work *work);
enum status ref_facts(struct work *work, struct block *block, int64_t first, int64_t count,
                      struct facts *out);
enum status ref_moments(struct work *work, struct block *block, int64_t first, int64_t count,
                        int64_t column, int64_t columns, struct moments *out);
enum status ref_grid_set(struct work *work, const struct grid *grid);
enum status ref_begin(struct work *work, const double *centers);
enum status ref_assign(struct work *work, struct block *block, int64_t first, int64_t count,
                       bool sums);
enum status ref_assigned(struct work *work, struct assigned *out);
enum status ref_labels_read(struct work *work, struct block *block, int64_t first, int64_t count,
                            int32_t *out);
enum status ref_labels_write(struct work *work, struct block *block, int64_t first, int64_t count,
                             const int32_t *labels);
enum status ref_sums_read(struct work *work, struct sums *out);
enum status ref_sums_write(struct work *work, const struct sums *in);
enum status ref_inertia(struct work *work, struct block *block, int64_t first, int64_t count,
                        int32_t L, int128 *total, int128 *per_cluster);
enum status ref_distances(struct work *work, struct block *block, int64_t first, int64_t count,
                          double *out);
enum status ref_seed_reset(struct work *work, struct block *block, double value);
enum status ref_seed_mark(struct work *work, struct block *block, int64_t row, double value);
enum status ref_seed_take(struct work *work, struct block *block, int64_t first, int64_t count,
                          const double *center, bool first_center, double *largest);
enum status ref_seed_largest(struct work *work, struct block *block, int64_t first, int64_t count,
                             double *largest);
enum status ref_seed_total(struct work *work, struct block *block, int64_t first, int64_t count,
                           int32_t L, int128 *total);
enum status ref_seed_find(struct work *work, struct block *block, int64_t first, int64_t count,
                          int32_t L, int128 *rest, int64_t *row);
enum status ref_seed_try(struct work *work, struct block *block, int64_t first, int64_t count,
                         const double *candidates, int candidates_count, bool first_center,
                         int32_t L, int128 *totals);
enum status ref_farthest(struct work *work, struct block *block, int64_t first, int64_t count,
                         int most, struct far_row *list, double *values, int *held);
enum status ref_gather(struct work *work, struct block *block, int64_t row, double *out);
enum status ref_fits_plan(const struct device *device, const struct fits *fits, int64_t rows,
                          int64_t clusters, struct fits_plan *out);
enum status ref_fits(struct device *device, const struct fits *fits, struct fits_out *out);

extern const struct backend backend_ref;
extern const struct backend backend_cpu;

#endif
