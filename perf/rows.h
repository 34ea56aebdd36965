/* rows.h - rows to measure with: random, of a kind that suits or defeats a shortcut, never zeros.
 *
 * NORMAL never lets a bound prune; BLOBS make near ties of near centroids; OFFSET hides small
 * differences behind 1e4; TWINS repeat every row eight times. The same seed gives the same rows. */
#ifndef BARY_PERF_ROWS_H
#define BARY_PERF_ROWS_H

#include "kernels/backend.h"

enum rows_kind { ROWS_NORMAL, ROWS_BLOBS, ROWS_OFFSET, ROWS_TWINS, ROWS_KINDS };
extern const char *const rows_names[ROWS_KINDS];

/* rows x columns values of the number type into memory of the caller's. */
void rows_fill(enum rows_kind kind, uint64_t seed, enum number number, int64_t rows,
               int64_t columns, void *out);
/* Values [0, columns) of row `row` as doubles. */
void rows_one(enum number number, const void *values, int64_t row, int64_t columns, double *out);

#endif
