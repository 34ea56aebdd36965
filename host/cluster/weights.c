/* weights.c - the checks of the data, and the vector of rows that take part. */
#include "host/cluster/weights.h"

#include <math.h>
#include <stdio.h>

#include "host/base/memory.h"
#include "kernels/grid.h"

#define VALUE_LIMIT "within +-2^500 (3.27e150)"
#define EXTENT_MAX 0x1p1020

enum status weight_refused(int64_t row, double value, const char *limit, struct error *error)
{
    char what[64];

    snprintf(what, sizeof what, "sample_weight of row %lld", (long long)row);
    return FAIL(error, OUT_OF_RANGE, TEXT("what", what), REAL("value", value),
                TEXT("limit", limit));
}

static enum status weights_check(const double *sample_weight, int64_t rows, struct error *error)
{
    for (int64_t i = 0; i < rows; i++)
        if (!(sample_weight[i] >= 0 && sample_weight[i] <= WEIGHT_MAX))
            return weight_refused(i, sample_weight[i], WEIGHT_LIMIT, error);
    return STATUS_OK;
}

/* All bits of the exponent set: NaN or Inf. Integers, so that the loop fills vector lanes. */
static bool f32_finite(const uint32_t *value, int64_t columns)
{
    uint32_t bad = 0;

    for (int64_t d = 0; d < columns; d++)
        bad |= (value[d] & 0x7f800000u) == 0x7f800000u;
    return !bad;
}

static bool f64_finite(const uint64_t *value, int64_t columns)
{
    const uint64_t exponent = (uint64_t)0x7ff << 52;
    uint64_t bad = 0;

    for (int64_t d = 0; d < columns; d++)
        bad |= (value[d] & exponent) == exponent;
    return !bad;
}

static bool row_finite(const struct matrix *matrix, const struct rows *rows, int64_t row)
{
    if (matrix->number == NUMBER_F32)
        return f32_finite((const uint32_t *)rows->values + row * matrix->columns, matrix->columns);
    return f64_finite((const uint64_t *)rows->values + row * matrix->columns, matrix->columns);
}

/* Calls for weight[i] = -1 at each row with NaN or Inf; weight NULL: only counts. */
static int64_t skip_mark(const struct matrix *matrix, double *weight)
{
    int64_t skipped = 0;

    for (int i = 0; i < matrix->chunks; i++) {
        const struct rows *rows = &matrix->chunk[i];
        for (int64_t row = 0; row < rows->count; row++) {
            if (row_finite(matrix, rows, row))
                continue;
            skipped++;
            if (weight)
                weight[rows->first + row] = -1;
        }
    }
    return skipped;
}

/* Tiny weights become 0, then what is left is counted. */
static void weights_settle(struct weights *weights, int64_t rows)
{
    double *weight = weights->weight, least = INFINITY;

    weights->largest = 0;
    for (int64_t i = 0; i < rows; i++)
        if (weight[i] > weights->largest) {
            weights->largest = weight[i];
            weights->largest_row = i;
        }
    weights->taking_part = 0;
    for (int64_t i = 0; i < rows; i++) {
        if (weight[i] >= 0 && weight[i] * 0x1p80 < weights->largest)
            weight[i] = 0;
        if (weight[i] <= 0)
            continue;
        weights->taking_part++;
        least = weight[i] < least ? weight[i] : least;
    }
    weights->equal = weights->taking_part == 0 || least == weights->largest;
    if (weights->taking_part == 0)
        weights->largest = 1;
}

enum status weights_make(const struct fit_input *input, enum non_finite non_finite,
                         struct weights *out, struct error *error)
{
    enum status status = STATUS_OK;
    const struct matrix *matrix = input->matrix;
    const double *given = input->sample_weight;
    struct weights made = {.taking_part = matrix->rows, .largest = 1, .equal = true};

    if (given)
        TRY(weights_check(given, matrix->rows, error));
    if (non_finite == NON_FINITE_SKIP)
        made.skipped = skip_mark(matrix, NULL);
    if (given || made.skipped > 0) {
        made.weight = memory_new((size_t)matrix->rows, sizeof *made.weight);
        if (!made.weight)
            return FAIL(error, OUT_OF_MEMORY, TEXT("what", "sample weights"),
                        INT("needed", matrix->rows * (int64_t)sizeof *made.weight),
                        INT("retry_ms", 1000));
        for (int64_t i = 0; i < matrix->rows; i++)
            made.weight[i] = given ? given[i] + 0.0 : 1;
        if (made.skipped > 0)
            skip_mark(matrix, made.weight);
        weights_settle(&made, matrix->rows);
    }
    *out = made;
out:
    return status;
}

void weights_free(struct weights *weights)
{
    memory_free(weights->weight);
    *weights = (struct weights){0};
}

static void extent_widen(double *lo, double *hi, double value)
{
    *lo = value < *lo ? value : *lo;
    *hi = value > *hi ? value : *hi;
}

enum status weights_check_extent(const struct weights *weights, const struct facts *facts,
                                 const double *centers, int64_t clusters, int64_t columns,
                                 struct error *error)
{
    double sum = 0;

    for (int64_t d = 0; d < columns; d++) {
        double lo = facts->column[d].lo, hi = facts->column[d].hi;
        for (int64_t j = 0; centers && j < clusters; j++)
            extent_widen(&lo, &hi, centers[j * columns + d]);
        if (lo < hi)
            sum += (hi - lo) * (hi - lo);
    }
    if (weights->largest * sum <= EXTENT_MAX)
        return STATUS_OK;
    return weight_refused(weights->largest_row, weights->largest, EXTENT_LIMIT, error);
}

enum status facts_check(const char *name, const struct facts *facts, struct error *error)
{
    if (facts->non_finite > 0)
        return FAIL(error, NON_FINITE, TEXT("what", name), INT("count", facts->non_finite),
                    REAL("value", facts->non_finite_value), INT("row", facts->non_finite_row),
                    INT("column", facts->non_finite_column));
    if (facts->beyond_row >= 0)
        return FAIL(error, ROW_OUT_OF_RANGE, TEXT("what", name), INT("row", facts->beyond_row),
                    INT("column", facts->beyond_column), REAL("value", facts->beyond_value),
                    TEXT("limit", VALUE_LIMIT));
    return STATUS_OK;
}

enum status centers_check(const char *what, double *centers, int64_t clusters, int64_t columns,
                          struct error *error)
{
    struct facts facts = {.non_finite_row = -1, .beyond_row = -1};

    for (int64_t i = 0; i < clusters * columns; i++) {
        double value = centers[i] += 0.0; /* -0 becomes +0 */
        if (!isfinite(value) && facts.non_finite++ == 0) {
            facts.non_finite_row = i / columns;
            facts.non_finite_column = i % columns;
            facts.non_finite_value = value;
        } else if (isfinite(value) && fabs(value) > VALUE_MAX && facts.beyond_row < 0) {
            facts.beyond_row = i / columns;
            facts.beyond_column = i % columns;
            facts.beyond_value = value;
        }
    }
    return facts_check(what, &facts, error);
}

void grid_of_facts(const struct facts *facts, int64_t columns, int32_t *L)
{
    for (int64_t d = 0; d < columns; d++) {
        int32_t exponent = grid_exponent(facts->column[d].largest);
        L[d] = exponent > GRID_COLUMN_LEAST ? exponent : GRID_COLUMN_LEAST;
    }
}
