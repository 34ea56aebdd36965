/* batch.h - many small independent problems in one call, each with the bits of its fit alone.
 *
 * Problems lie one behind the other in one matrix: problem p has rows row[p] .. row[p + 1] - 1, which
 * count from 0 in it. What the backend's `fits` takes goes there, in calls of at most 15 ms with a turn
 * after each; a problem that is too large for it, or lies across two chunks of the matrix, is an
 * ordinary fit. The answer cannot tell which it was. A problem that fails, fails alone. */
#ifndef BARY_HOST_CLUSTER_BATCH_H
#define BARY_HOST_CLUSTER_BATCH_H

#include "host/cluster/fit.h"

struct batch_input {
    const char *name; /* for errors: "X"; problem 3 is "X[3]" */
    const struct matrix *matrix;
    const double *sample_weight; /* matrix->rows, or NULL */
    enum residency residency;    /* of an ordinary fit */
    int64_t problems;
    const int64_t *row;           /* problems + 1, ascending from 0 to matrix->rows */
    const int64_t *n_clusters;    /* problems, or NULL: params.n_clusters for all */
    const uint64_t *random_state; /* problems, or NULL: params.random_state for all */
    /* Of params.init_centers: those of all problems, one behind the other; -1: nobody counted. */
    int64_t init_rows;
};

/* What a result of `fits` does not say of a failure: which of the inputs is to blame. */
enum batch_cause { CAUSE_ROWS, CAUSE_WEIGHT, CAUSE_EXTENT, CAUSE_CENTERS, CAUSE_CLUSTERS };

/* Arrays one problem behind the other. Owned by whoever has it. A problem with fewer rows than clusters
 * has no centers, unless they were given. */
struct batch_result {
    enum number number; /* of the data */
    int64_t rows, columns, problems;
    int64_t failed;   /* problems whose status is not OK */
    int64_t ordinary; /* problems that were not for `fits` */
    enum init init;   /* resolved */
    int64_t n_init;
    int64_t *row, *center;       /* problems + 1: where rows and centers of each begin */
    int64_t *n_clusters;         /* problems: as asked for */
    struct fits_result *problem; /* problems */
    uint8_t *cause;              /* problems, enum batch_cause of the failed ones */
    uint64_t *random_state;      /* problems */
    double *inertia;             /* problems: those of `problem`, side by side */
    uint128 *fingerprint;        /* likewise */
    double *centers;             /* center[problems] x columns; zeros where the problem failed */
    int32_t *labels;             /* rows; -1: skipped, or the problem failed */
    int64_t *sizes;              /* center[problems] */
};
void batch_result_free(struct batch_result *result); /* its members, not itself; zeroes it */

/* Checks what all problems share, runs each. Fails as a whole for shared parameters and arrays that do
 * not fit together (OUT_OF_RANGE, SHAPE_MISMATCH, UNSUPPORTED: history), for what the turn says, and for
 * the device: OUT_OF_MEMORY, DEVICE_LOST. *out is then untouched. */
enum status batch_fit(const struct backend *backend, struct device *device,
                      const struct batch_input *input, const struct kmeans_params *params,
                      const struct turn *turn, struct batch_result *out, struct error *error);

/* The error that problem p failed with: the status, the words of its fit alone. `name` as in the input. */
enum status batch_error(const struct batch_result *result, const char *name, int64_t problem,
                        struct error *error);

/* Whether input->row ascends from 0 to the matrix's rows. OUT_OF_RANGE names the first that does not. */
enum status batch_offsets_check(const struct batch_input *input, struct error *error);

/* The checks of batch_fit that need no values, and what it costs. input->matrix counts by its number,
 * rows and columns alone. */
enum status batch_plan(const struct backend *backend, const struct device *device,
                       const struct batch_input *input, const struct kmeans_params *params,
                       struct cost *out, struct error *error);

#endif
