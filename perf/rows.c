/* rows.c - see rows.h. */
#include "perf/rows.h"

#include <math.h>
#include <omp.h>

#include "kernels/philox.h"

enum { BLOBS = 64, TWINS = 8 };

const char *const rows_names[ROWS_KINDS] = {"normal", "blobs", "offset", "twins"};

/* Box and Muller (1958): a normal number of two uniform ones. */
static double normal(uint64_t seed, uint64_t index)
{
    uint64_t bits = philox_u64(seed, index, PHILOX_SAMPLE, 0);
    double u = ((double)(uint32_t)bits + 1) * 0x1p-32, v = (double)(bits >> 32) * 0x1p-32;

    return sqrt(-2 * log(u)) * cos(2 * M_PI * v);
}

static double value(enum rows_kind kind, uint64_t seed, int64_t row, int64_t column,
                    int64_t columns)
{
    if (kind == ROWS_TWINS)
        row /= TWINS;
    double x = normal(seed, (uint64_t)(row * columns + column));
    if (kind == ROWS_OFFSET)
        return x + 1e4;
    if (kind != ROWS_BLOBS)
        return x;
    uint64_t blob = philox_u64(seed, (uint64_t)row, PHILOX_SAMPLE, 1) % BLOBS;
    return 4 * normal(~seed, blob * (uint64_t)columns + (uint64_t)column) + x;
}

void rows_fill(enum rows_kind kind, uint64_t seed, enum number number, int64_t rows,
               int64_t columns, void *out)
{
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < rows; i++)
        for (int64_t d = 0; d < columns; d++) {
            double x = value(kind, seed, i, d, columns);
            if (number == NUMBER_F32)
                ((float *)out)[i * columns + d] = (float)x;
            else
                ((double *)out)[i * columns + d] = x;
        }
}

void rows_one(enum number number, const void *values, int64_t row, int64_t columns, double *out)
{
    for (int64_t d = 0; d < columns; d++)
        out[d] = number == NUMBER_F32 ? (double)((const float *)values)[row * columns + d]
                                      : ((const double *)values)[row * columns + d];
}
