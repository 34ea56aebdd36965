/* fits_check.c - what one small problem is before its fit: weights, refusals, cost. */
#include <string.h>

#include "kernels/ref/fits.h"

bool row_is_finite(const struct fits *fits, const void *values, int64_t row)
{
    const float *f32 = values;
    const double *f64 = values;

    for (int64_t d = row * fits->columns; d < (row + 1) * fits->columns; d++)
        if (!isfinite(fits->number == NUMBER_F32 ? (double)f32[d] : f64[d]))
            return false;
    return true;
}

/* Weights below 2^-80 of the largest become 0, then what is left is counted. */
static void settle(struct problem_weights *out, int64_t rows)
{
    double *weight = out->weight, least = INFINITY;

    out->largest = 0;
    for (int64_t i = 0; i < rows; i++)
        if (weight[i] > out->largest) {
            out->largest = weight[i];
            out->largest_row = i;
        }
    out->taking_part = 0;
    for (int64_t i = 0; i < rows; i++) {
        if (weight[i] >= 0 && weight[i] * 0x1p80 < out->largest)
            weight[i] = 0;
        if (weight[i] <= 0)
            continue;
        out->taking_part++;
        least = weight[i] < least ? weight[i] : least;
    }
    out->equal = least == out->largest;
}

void problem_weights_make(const struct fits *fits, const void *values, const double *given,
                          int64_t rows, struct problem_weights *out)
{
    *out = (struct problem_weights){
        .weight = out->weight, .equal = true, .taking_part = rows, .largest = 1};
    for (int64_t i = 0; i < rows; i++)
        out->weight[i] = given ? given[i] + 0.0 : 1;
    for (int64_t i = 0; fits->skip_non_finite && i < rows; i++)
        if (!row_is_finite(fits, values, i)) {
            out->weight[i] = -1;
            out->skipped++;
        }
    out->present = given || out->skipped > 0;
    if (out->present)
        settle(out, rows);
}

/* w_max * sum over columns of (hi - lo)^2, [lo, hi] covering rows and given centers. */
static double extent(const struct fits *fits, const struct facts *facts, double largest,
                     const double *centers, int64_t clusters)
{
    double sum = 0;

    for (int64_t d = 0; d < fits->columns; d++) {
        double lo = facts->column[d].lo, hi = facts->column[d].hi;
        for (int64_t j = 0; centers && j < clusters; j++) {
            double c = centers[j * fits->columns + d];
            lo = c < lo ? c : lo;
            hi = c > hi ? c : hi;
        }
        if (lo < hi)
            sum += (hi - lo) * (hi - lo);
    }
    return largest * sum;
}

enum status problem_check(const struct fits *fits, const struct facts *facts,
                          const struct problem_weights *weights, const double *centers,
                          int64_t clusters, struct fits_result *result)
{
    if (facts->non_finite > 0) {
        result->row = facts->non_finite_row;
        result->column = facts->non_finite_column;
        result->value = facts->non_finite_value;
        result->count = facts->non_finite;
        return STATUS_NON_FINITE;
    }
    if (facts->beyond_row >= 0) {
        result->row = facts->beyond_row;
        result->column = facts->beyond_column;
        result->value = facts->beyond_value;
        return STATUS_ROW_OUT_OF_RANGE;
    }
    if (!(extent(fits, facts, weights->largest, centers, clusters) <= 0x1p1020)) {
        result->row = weights->largest_row;
        result->value = weights->largest;
        return STATUS_OUT_OF_RANGE;
    }
    return STATUS_OK;
}

int64_t far_rows_most(int64_t rows, int64_t clusters)
{
    int64_t most = 2 * (clusters - 1) + FITS_SPARE_ROWS;

    return most < rows ? most : rows;
}

void problem_failed(const struct fits *fits, int64_t problem, const struct fits_result *result,
                    const struct fits_out *out)
{
    int64_t row = fits->row[problem], rows = fits->row[problem + 1] - row;
    int64_t center = fits->center[problem], clusters = fits->center[problem + 1] - center;

    out->result[problem] = *result;
    for (int64_t i = 0; i < rows; i++)
        out->labels[row + i] = -1;
    memset(out->sizes + center, 0, (size_t)clusters * sizeof *out->sizes);
    memset(out->centers + center * fits->columns, 0,
           (size_t)(clusters * fits->columns) * sizeof *out->centers);
}

enum status problem_ns(const struct fits *fits, int64_t rows, int64_t clusters, double pair_ns,
                       double *out)
{
    double pass = pair_ns * (double)rows * (double)clusters * (double)fits->columns;
    double most = (double)fits->max_iter, runs = (double)fits->n_init, seeding = 1;
    double rounds = fits->fixed_rounds || most < FITS_ROUNDS ? most : FITS_ROUNDS;

    if (fits->init == FITS_PLUS_PLUS)
        seeding = 1 + seed_candidates(clusters);
    *out = pass * (1 + runs * (seeding + rounds + 1));
    return pass * runs * (seeding + most + 1) <= FITS_WORST_NS ? STATUS_OK : STATUS_UNSUPPORTED;
}
