/* weights.h - which rows take part, and with which weight.
 *
 * A backend knows three kinds of rows: w > 0 takes part; 0 gets a label and otherwise does not
 * exist; -1 is skipped. This makes that vector from what a caller gave. */
#ifndef BARY_HOST_CLUSTER_WEIGHTS_H
#define BARY_HOST_CLUSTER_WEIGHTS_H

#include "host/cluster/fit.h"

#define VALUE_MAX 0x1p500 /* of a value or a given center */
#define WEIGHT_MAX 0x1p500
#define WEIGHT_LIMIT "finite, >= 0 and at most 2^500 (3.27e150)"
#define EXTENT_LIMIT                                                         \
    "so small that its product with the sum of squared column ranges stays " \
    "within 2^1020 (1.1e307)"

struct weights {
    double *weight;      /* a double a row, memory_new'ed, or NULL: all ones */
    int64_t taking_part; /* rows */
    int64_t skipped;     /* rows with NaN or Inf, under SKIP */
    double largest;      /* of the rows that take part; 1 without weights */
    int64_t largest_row;
    bool equal; /* all rows that take part weigh the same */
};

/* Checks sample_weight (finite, >= 0, <= 2^500; the first bad row is named), marks skipped rows,
 * and sets weights below 2^-80 of the largest to 0. OUT_OF_RANGE, OUT_OF_MEMORY. */
enum status weights_make(const struct fit_input *input, enum non_finite non_finite,
                         struct weights *out, struct error *error);
void weights_free(struct weights *weights);
/* OUT_OF_RANGE of a row's weight; limit: WEIGHT_LIMIT or EXTENT_LIMIT. */
enum status weight_refused(int64_t row, double value, const char *limit, struct error *error);

/* w_max * sum over columns of (hi - lo)^2 must stay within 2^1020, so that no term of a sum
 * overflows. [lo, hi] covers rows and centers (NULL: rows alone). OUT_OF_RANGE names the row. */
enum status weights_check_extent(const struct weights *weights, const struct facts *facts,
                                 const double *centers, int64_t clusters, int64_t columns,
                                 struct error *error);

/* What the facts of rows say against them: NON_FINITE, ROW_OUT_OF_RANGE. */
enum status facts_check(const char *name, const struct facts *facts, struct error *error);

/* Centers must be finite and within +-2^500: NON_FINITE, ROW_OUT_OF_RANGE. -0 becomes +0. */
enum status centers_check(const char *what, double *centers, int64_t clusters, int64_t columns,
                          struct error *error);

/* L of each column from its facts. */
void grid_of_facts(const struct facts *facts, int64_t columns, int32_t *L);

#endif
