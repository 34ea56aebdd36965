/* fits.h - one problem of many on its way: for the files of ref's fits, and what of it cpu keeps.
 *
 * The loop of host/cluster in small: one block, one thread, no turn. Its decisions must be those of
 * that loop, word for word, because the bits of a problem may not tell which of the two made them. */
#ifndef BARY_KERNELS_REF_FITS_H
#define BARY_KERNELS_REF_FITS_H

#include "kernels/draw.h"
#include "kernels/ref/work.h"

enum {
    FITS_PROBLEM_BYTES = 1 << 20, /* values and state of one problem: beyond, it is no small one */
    FITS_SPARE_ROWS = 64,         /* of a list of far rows, beyond two for each empty cluster */
    FITS_ROUNDS = 30 /* that an estimate of time assumes when the loop ends by itself */
};

/* No turn is asked while a problem runs. It is expected to take no more than a call may, and takes no
 * more than the other, come what may. */
#define FITS_CALL_NS 15e6
#define FITS_WORST_NS 250e6

/* A row and its random bits. */
struct row_key {
    uint64_t key;
    int64_t row;
};

/* The weights of one problem, ready for the passes. */
struct problem_weights {
    double *weight; /* rows; the caller's memory */
    bool present;   /* false: all ones, and no vector */
    bool equal;     /* all rows that take part weigh the same */
    int64_t taking_part, skipped;
    double largest; /* 1 without weights */
    int64_t largest_row;
};

/* One problem. The arrays are carved once, for the largest problem of a call. */
struct solver {
    const struct fits *fits;
    struct work work;
    struct block block;
    struct problem_weights weights;
    const double *given; /* its centers, with FITS_CENTERS */
    struct facts facts;
    int32_t *L;
    double shift_limit;
    struct moments *moments; /* one */
    uint64_t random_state;
    int64_t run, round;
    bool distinct_below;
    double *centers, *next; /* clusters x columns: of the round, of the round after */
    double *candidates;     /* CANDIDATES_MAX x columns */
    struct row_key *keys;   /* clusters */
    struct sums sums;       /* a copy that relocation may change */
    struct far_row *far;    /* clusters' list of far rows */
    double *far_values;
    int64_t *far_cluster; /* which cluster takes it; -1: none */
};

/* Weights as given (NULL: none) and skipped rows become the vector of the passes. */
void problem_weights_make(const struct fits *fits, const void *values, const double *given,
                          int64_t rows, struct problem_weights *out);
/* False: a value of the row is NaN or Inf. */
bool row_is_finite(const struct fits *fits, const void *values, int64_t row);
/* The `clusters` rows of smallest random bits, ascending, among those that take part. */
void smallest_keys(uint64_t random_state, int64_t run, const double *weight, int64_t rows,
                   int64_t clusters, struct row_key *keys);
/* What facts and weights say against a problem, in the order of the checks; centers: those given, or
 * NULL. OK fills nothing. */
enum status problem_check(const struct fits *fits, const struct facts *facts,
                          const struct problem_weights *weights, const double *centers,
                          int64_t clusters, struct fits_result *result);
/* Rows of a list of far rows. */
int64_t far_rows_most(int64_t rows, int64_t clusters);
/* Outputs of a problem that failed with `result`. */
void problem_failed(const struct fits *fits, int64_t problem, const struct fits_result *result,
                    const struct fits_out *out);
/* Expected time of a problem; a column of a (row, centroid) pair takes pair_ns. UNSUPPORTED: beyond
 * FITS_WORST_NS at its worst. */
enum status problem_ns(const struct fits *fits, int64_t rows, int64_t clusters, double pair_ns,
                       double *out);

/* The largest of what a call brings: one piece of memory serves all its problems. */
struct largest {
    int64_t rows, clusters;
};
struct largest fits_largest(const struct fits *fits);
/* The arrays of a solver for problems up to that; solver->fits is set. */
void carve_solver(struct carver *carver, struct solver *solver, struct largest most);
/* One problem from its facts to its outputs. */
void solver_fit(struct solver *solver, int64_t problem, const struct fits_out *out);
/* Seeds solver->centers for its run. */
void solver_seed(struct solver *solver);

#endif
