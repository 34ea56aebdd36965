/* kmeans.h - what a k-means fit is asked for and what it leaves.
 *
 * Names, defaults and meanings are scikit-learn's KMeans (Lloyd, "Least squares quantization in
 * PCM", 1982; Arthur and Vassilvitskii, "k-means++", 2007), made exact: the answer is a function of
 * data and parameters, to the last bit, on every device and schedule. */
#ifndef BARY_HOST_CLUSTER_KMEANS_H
#define BARY_HOST_CLUSTER_KMEANS_H

#include <stdbool.h>
#include <stdint.h>

#include "host/base/error.h"
#include "kernels/backend.h"

/* The numbers of these enums are those of bary.v1. */
enum init { INIT_AUTO = 0, INIT_KMEANS_PLUS_PLUS = 1, INIT_RANDOM = 2, INIT_CENTERS = 3 };
enum algorithm { ALGORITHM_AUTO = 0, ALGORITHM_LLOYD = 1 };
enum non_finite { NON_FINITE_REJECT = 0, NON_FINITE_SKIP = 1 };
enum empty_clusters { EMPTY_RELOCATE = 0, EMPTY_KEEP = 1, EMPTY_ERROR = 2 };
enum stop_reason {
    STOP_NONE = 0,
    STOP_LABELS_EQUAL = 1, /* no label changed */
    STOP_TOLERANCE = 2,    /* the centers moved less than tol asks */
    STOP_MAX_ITER = 3,
    STOP_FIXED_ROUNDS = 4
};

struct kmeans_params {
    int64_t n_clusters;         /* 1 .. CLUSTERS_MAX */
    enum init init;             /* AUTO: centers if given, else k-means++ */
    const double *init_centers; /* n_clusters x columns, borrowed; with INIT_CENTERS */
    int64_t n_init;             /* 0: auto (1; with RANDOM 10); centers: 1 */
    int64_t max_iter;           /* 1 .. ITERATIONS_MAX */
    double tol;                 /* >= 0, relative to the mean variance of the columns */
    bool fixed_rounds;          /* exactly max_iter rounds, no test */
    uint64_t random_state;
    enum algorithm algorithm;
    enum non_finite non_finite;
    enum empty_clusters empty_clusters;
    bool history; /* keep the inertia of each round of the best run */
};

/* n_clusters 8, k-means++, n_init auto, max_iter 300, tol 1e-4, random_state 0. */
struct kmeans_params kmeans_params_default(void);

/* Checks what needs no data: ranges, enums. OUT_OF_RANGE, UNKNOWN_VALUE, MISSING. */
enum status kmeans_check(const struct kmeans_params *params, struct error *error);

/* What a fit leaves. Owned by whoever has it; kmeans_result_free gives all of it back. */
struct kmeans_result {
    enum number number; /* of the data */
    int64_t rows, columns, n_clusters;
    double *centers; /* n_clusters x columns, the fp64 masters */
    int32_t *labels; /* rows; -1: skipped */
    int64_t *sizes;  /* n_clusters: rows that take part */
    double inertia;
    int64_t n_iter; /* rounds of the best run */
    int64_t run;    /* which of the n_init runs it was, from 0 */
    int64_t n_init; /* resolved */
    enum init init; /* resolved */
    enum stop_reason stop;
    uint64_t random_state;
    uint128 fingerprint;    /* of the labels */
    double *history;        /* n_iter inertias, or NULL */
    int64_t empty;          /* clusters left without rows */
    int64_t distinct_below; /* 1: seeding ran out of distinct rows, some centers repeat */
    int64_t skipped;        /* rows with label -1 */
};
void kmeans_result_free(struct kmeans_result *result); /* its members, not itself; zeroes it */

#endif
