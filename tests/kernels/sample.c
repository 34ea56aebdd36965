/* sample.c - making rows. */
#include "tests/kernels/sample.h"

const char *const data_names[DATA_KINDS] = {"normal", "offset", "uniform",  "blobs", "repeats",
                                            "whole",  "equal",  "mirrored", "mixed", "outlier",
                                            "small",  "large",  "extreme",  "zeros"};

enum { GUARD_BYTES = 64, GUARD_BYTE = 0xa5 };

void *guarded_new(size_t bytes)
{
    size_t whole = (bytes + GUARD_BYTES + 63) / 64 * 64;
    unsigned char *memory = aligned_alloc(64, whole);

    if (!memory)
        abort();
    memset(memory, 0, bytes);
    memset(memory + bytes, GUARD_BYTE, whole - bytes);
    return memory;
}

bool guarded_intact(const void *memory, size_t bytes)
{
    const unsigned char *guard = (const unsigned char *)memory + bytes;

    for (int i = 0; i < GUARD_BYTES; i++)
        if (guard[i] != GUARD_BYTE)
            return false;
    return true;
}

void guarded_free(void *memory)
{
    free(memory);
}

/* One value as the kind wants it; blobs and bisectors are made from the centers beforehand. */
static double value_of(const struct layout *layout, const double *centers, int64_t row,
                       int64_t column, uint64_t *state)
{
    int64_t d = layout->shape.columns, k = layout->shape.clusters;
    const double *one = centers + row % k * d, *other = centers + row / 3 % k * d;

    switch (layout->data) {
    case DATA_OFFSET:
        return 1e4 + check_normal(state);
    case DATA_UNIFORM:
        return check_uniform(state);
    case DATA_BLOBS:
        return one[column] + check_normal(state);
    case DATA_WHOLE:
        return (double)(check_random(state) % 3);
    case DATA_EQUAL:
        return 0.1 * (double)(column + 1);
    case DATA_MIRRORED:
        return (one[column] + other[column]) / 2;
    case DATA_MIXED:
        return ldexp(check_normal(state), (int)(check_random(state) % 40) - 20);
    case DATA_OUTLIER:
        return row % 97 == 5 ? 1e5 * check_normal(state) : check_normal(state);
    case DATA_SMALL:
        return ldexp(check_normal(state), -140);
    case DATA_LARGE:
        return ldexp(check_normal(state), 120);
    case DATA_EXTREME:
        return check_normal(state) * (layout->seed % 3 == 0   ? 1e140
                                      : layout->seed % 3 == 1 ? 1e-300
                                                              : 1e-157);
    case DATA_ZEROS:
        return check_random(state) & 1 ? 0.0 : -0.0;
    default:
        return check_normal(state);
    }
}

static void put(struct sample *sample, int64_t at, double value)
{
    if (sample->layout.shape.number == NUMBER_F32)
        ((float *)sample->values)[at] = (float)value;
    else
        ((double *)sample->values)[at] = value;
}

double sample_value(const struct sample *sample, int64_t row, int64_t column)
{
    int64_t at = row * sample->layout.shape.columns + column;

    return sample->layout.shape.number == NUMBER_F32 ? (double)((float *)sample->values)[at]
                                                     : ((double *)sample->values)[at];
}

static void fill_centers(struct sample *sample, uint64_t *state)
{
    const struct layout *layout = &sample->layout;
    int64_t d = layout->shape.columns, k = layout->shape.clusters;
    double unit = layout->data == DATA_BLOBS ? 10 : layout->data == DATA_MIRRORED ? 4 : 1;

    for (int64_t i = 0; i < k * d; i++)
        sample->centers[0][i] = layout->data == DATA_MIRRORED
                                    ? floor(unit * check_normal(state)) /* halves are exact */
                                    : unit * check_normal(state);
}

/* For most kinds: the first set are rows, the second means of two, one of them a copy. */
static void centers_from_rows(struct sample *sample, uint64_t *state)
{
    const struct shape *shape = &sample->layout.shape;
    int64_t d = shape->columns;
    bool keep = sample->layout.data == DATA_BLOBS || sample->layout.data == DATA_MIRRORED;

    for (int64_t j = 0; j < shape->clusters; j++) {
        int64_t a = (int64_t)(check_random(state) % (uint64_t)shape->rows);
        int64_t b = (int64_t)(check_random(state) % (uint64_t)shape->rows);
        for (int64_t i = 0; i < d; i++) {
            double x = sample_value(sample, a, i), y = sample_value(sample, b, i);
            if (!keep)
                sample->centers[0][j * d + i] = x;
            sample->centers[1][j * d + i] =
                j % 5 == 4 ? sample->centers[1][(j - 1) * d + i] : x / 2 + y / 2;
        }
    }
}

static void fill_weights(struct sample *sample, uint64_t *state)
{
    for (int64_t i = 0; i < sample->layout.shape.rows; i++) {
        uint64_t bits = check_random(state);
        double w = bits % 11 == 0   ? 0
                   : bits % 13 == 0 ? -1
                   : bits % 3 == 0  ? 1
                                    : 0.25 + check_uniform(state) * 3;
        sample->weight[i] = w;
        for (int64_t d = 0; w < 0 && d < sample->layout.shape.columns; d += 3)
            put(sample, i * sample->layout.shape.columns + d, d % 2 ? (double)NAN : INFINITY);
    }
}

void sample_grid(struct sample *sample)
{
    const struct shape *shape = &sample->layout.shape;
    double heaviest = 0;

    for (int64_t d = 0; d < shape->columns; d++) {
        double largest = 0;
        for (int64_t i = 0; i < shape->rows; i++)
            if (!sample->weight || sample->weight[i] > 0)
                largest = fmax(largest, fabs(sample_value(sample, i, d)));
        int32_t L = largest > 0 ? grid_exponent(largest) : GRID_COLUMN_LEAST;
        sample->exponent[d] = L > GRID_COLUMN_LEAST ? L : GRID_COLUMN_LEAST;
    }
    for (int64_t i = 0; sample->weight && i < shape->rows; i++)
        heaviest = fmax(heaviest, sample->weight[i]);
    sample->grid = (struct grid){.column = sample->exponent,
                                 .weight = heaviest > 0 ? grid_weight_exponent(heaviest) : 0};
}

void sample_init(struct sample *sample, const struct layout *layout)
{
    const struct shape *shape = &layout->shape;
    size_t values = (size_t)(shape->rows * shape->columns);
    size_t centers = (size_t)(shape->clusters * shape->columns) * sizeof(double);
    uint64_t state = layout->seed * 1000003 + (uint64_t)layout->data;

    *sample = (struct sample){.layout = *layout};
    sample->values = guarded_new(values * (shape->number == NUMBER_F32 ? 4 : 8));
    sample->centers[0] = guarded_new(centers);
    sample->centers[1] = guarded_new(centers);
    sample->exponent = guarded_new((size_t)shape->columns * sizeof(int32_t));
    fill_centers(sample, &state);
    for (int64_t i = 0; i < shape->rows; i++) {
        int64_t from = layout->data == DATA_REPEATS ? i / 8 * 8 : i;
        for (int64_t d = 0; d < shape->columns; d++)
            put(sample, i * shape->columns + d,
                from < i ? sample_value(sample, from, d)
                         : value_of(layout, sample->centers[0], i, d, &state));
    }
    centers_from_rows(sample, &state);
    if (shape->weighted) {
        sample->weight = guarded_new((size_t)shape->rows * sizeof(double));
        fill_weights(sample, &state);
    }
    sample_grid(sample);
}

void sample_deinit(struct sample *sample)
{
    guarded_free(sample->values);
    guarded_free(sample->weight);
    guarded_free(sample->centers[0]);
    guarded_free(sample->centers[1]);
    guarded_free(sample->exponent);
}
