/* fits.h - one small problem on the CPU: for the files of cpu's fits.
 *
 * A thread takes a problem whole, so what counts is the time of one. Columns of rows lie side by side
 * for the distances (a lane is a row), rows lie side by side for the sums (a lane is a column).
 *
 * With at most SMALL_ROWS rows the two digits of a sum stay below 2^53, so they are doubles: they add
 * exactly on lanes, and S = hi 2^40 + lo is one addition that rounds once.
 *
 * What is out of the ordinary (a refusal, an empty cluster, weighted random rows) goes to ref's
 * solver: small_fit says false and has decided nothing. */
#ifndef BARY_KERNELS_CPU_FITS_H
#define BARY_KERNELS_CPU_FITS_H

#include "kernels/cpu/cpu.h"
#include "kernels/cpu/quad.h"
#include "kernels/ref/fits.h"

enum {
    SMALL_ROWS = 1 << 12, /* 2^12 digits of 2^40 are 2^52 */
    SMALL_STEP = 16       /* rows that a register tile spans */
};

/* A grid L in powers of two: fixed(x; L) = hi 2^40 + lo. */
struct small_grid {
    double *up40, *down40, *up80; /* columns in whole quads; the rest zeros */
    double *down;                 /* 2^-L, for weighted terms */
    double *back;                 /* 2^(L - 80), 2^L with weights: from a mean to its value */
};

/* A thread's memory for one problem at a time. Rows are counted to `whole`, columns to `wide`; what is
 * beyond the problem is 0 and has weight 0. */
struct small {
    const struct fits *fits;
    int64_t rows, whole, columns, wide, clusters;
    struct problem_weights weights;
    double *values;      /* whole x wide */
    double *x;           /* columns x whole */
    double *hi, *lo;     /* whole x wide: digits of what enters a sum */
    double *w;           /* whole; 0: does not count */
    double *w_hi, *w_lo; /* whole: digits of w', with weights */
    struct column_facts *column;
    double *lowest, *highest, *largest, *smallest; /* wide; smallest |x| > 0 */
    int32_t *L;
    struct small_grid grid;
    double shift_limit;

    double *m, *trial[2];    /* whole: seeding distances, those of a candidate, of the best one */
    double *p, *p_hi, *p_lo; /* whole: potentials or terms, running sums of their digits */
    struct row_key *keys;    /* clusters */

    uint64_t random_state;
    int64_t run, round;
    bool distinct_below;
    double *centers, *next;  /* clusters x wide */
    double *sum_hi, *sum_lo; /* clusters x wide */
    double *weight_hi, *weight_lo;
    int64_t *count;           /* clusters */
    double *distance, *label; /* whole; label -1: none yet */

    struct solver solver; /* the plain way */
};

/* Rows of problem p become columns, facts, digits. False: something speaks against them. */
bool small_load(struct small *small, int64_t problem);
/* L of each column from its largest value, and its powers of two. */
void small_grid_make(struct small *small);
/* Sum of the columns' variances over the rows that take part, ascending, each rounded once. */
double small_variances(const struct small *small);
/* tol times the mean variance; tol = 0 needs no variance. */
double small_shift_limit(const struct small *small);
/* The first centers of the run. False: not by this file. */
bool small_seed(struct small *small);
/* Distances of all rows to one center, `wide` values. */
void small_distances(const struct small *small, const double *center, double *out);
/* Labels and distances; rows that moved take their digits along. Returns how many. */
int64_t small_assign(struct small *small);
/* Means of the sums into `next`. */
void small_move(struct small *small);
/* hi 2^40 + lo of w m, and the largest of them. */
double small_potentials(const struct small *small, const double *m, double *p);
void small_digits(const double *p, int64_t count, int32_t L, double *hi, double *lo);
/* The sum over the rows that take part, of the labels in small->label. */
uint128 small_fingerprint(const struct small *small);

/* The integer that two digits are. */
static inline int128 small_integer(double hi, double lo)
{
    return (int128)(int64_t)hi * ((int64_t)1 << GRID_SPLIT) + (int64_t)lo;
}

#endif
