/* sample.h - rows that look for trouble, and one program of passes that both backends run.
 *
 * A case names its data by a few words and numbers, so that a failure can be run again. trial() takes
 * a backend through every pass of the seam on one sample and keeps all that came out; two outcomes are
 * then compared by bytes. Memory that a pass fills has guard words behind it. */
#ifndef BARY_TESTS_KERNELS_SAMPLE_H
#define BARY_TESTS_KERNELS_SAMPLE_H

#include "kernels/backend.h"
#include "kernels/grid.h"
#include "tests/check.h"

enum data {
    DATA_NORMAL, /* mean 0 */
    DATA_OFFSET, /* mean 1e4 standard deviations away */
    DATA_UNIFORM,
    DATA_BLOBS,    /* as many as clusters, centers near them */
    DATA_REPEATS,  /* every row 8 times */
    DATA_WHOLE,    /* 0, 1, 2: exact ties */
    DATA_EQUAL,    /* one row again and again */
    DATA_MIRRORED, /* rows on the bisectors of pairs of centers */
    DATA_MIXED,    /* magnitudes 2^-20 .. 2^19 by value */
    DATA_OUTLIER,  /* one row in 97 at 1e5 */
    DATA_SMALL,    /* normal * 2^-140: subnormal in fp32 */
    DATA_LARGE,    /* normal * 2^120 */
    DATA_EXTREME,  /* fp64: normal * 1e140, 1e-300, or 1e-157, whose squares are subnormal */
    DATA_ZEROS,    /* 0 and -0 */
    DATA_KINDS
};
extern const char *const data_names[DATA_KINDS];

struct layout {
    enum data data;
    struct shape shape;
    uint64_t seed;
};

/* Rows, weights, two sets of centers, the grid that the data choose. */
struct sample {
    struct layout layout;
    void *values;
    double *weight; /* NULL: none */
    double *centers[2];
    int32_t *exponent;
    struct grid grid;
};
void sample_init(struct sample *sample, const struct layout *layout);
/* The grid that the data choose; again, after they were changed. */
void sample_grid(struct sample *sample);
void sample_deinit(struct sample *sample);
double sample_value(const struct sample *sample, int64_t row, int64_t column);

/* Guarded memory: zeroed, with words behind that nobody may touch. */
void *guarded_new(size_t bytes);
bool guarded_intact(const void *memory, size_t bytes);
void guarded_free(void *memory);

/* What is compared: one buffer a name. */
struct piece {
    const char *name;
    void *bytes;
    size_t count;
};
struct outcome {
    struct piece piece[64];
    int pieces;
};
void outcome_deinit(struct outcome *outcome);

/* An open work with the sample's rows loaded in blocks of `cut`, walked in tiles of `tile`. */
struct bench {
    struct check *check;
    const struct backend *backend;
    struct device *device;
    const struct sample *sample;
    struct work *work;
    struct block **block;
    struct rows *rows;
    int blocks;
    int64_t cut, tile;
};
bool bench_open(struct check *check, struct bench *bench, const struct backend *backend,
                struct device *device, const struct sample *sample, int64_t cut, int64_t tile);
void bench_close(struct bench *bench);
struct tile_cursor bench_tiles(const struct bench *bench);

/* The passes on whole data. */
void bench_settle(const struct bench *bench);
void bench_assign(const struct bench *bench, const double *centers, bool sums);
struct sums sums_new(const struct shape *shape);
void sums_free(struct sums *sums);
void bench_labels(const struct bench *bench, int32_t *out);

/* Every pass, in the order of a fit; outcome: all that came out. */
void trial(struct check *check, const struct backend *backend, struct device *device,
           const struct sample *sample, int64_t cut, int64_t tile, struct outcome *out);
/* Each piece equal; guards intact. */
void outcomes_equal(struct check *check, const struct outcome *got, const struct outcome *want);

/* The first row's number in the whole of the data. */
#define FIRST_ROW 1000000007

/* ref's device, and cpu's at a level; tests turn its tuning. The levels of this machine, NULL-ended. */
struct device *device_of_ref(void);
struct device *device_of_cpu(const char *isa, int threads);
const char *const *levels_here(void);

/* The backends that every promise is asked of: ref, cpu, and the plug-in that BARY_TESTED_PLUGIN names. */
int sides(void);
const struct backend *side(int i, struct device **device);
void side_close(int i, struct device **device);
/* The plug-in alone, cutting tiles to so many rows (0: as it likes); NULL: none is named. */
const struct backend *tested_side(int tile_rows, struct device **device);

/* All that was queued is done, and went well. */
void settle(struct check *check, const struct backend *backend, struct work *work);

#endif
