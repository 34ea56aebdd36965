/* fits_rows.c - the rows of one small problem: columns, facts, digits. */
#include "kernels/cpu/fits.h"

/* Four columns of a row, -0 as +0; beyond the last column zeros. */
QUAD_INLINE quad values_load(const struct small *small, const void *values, int64_t row,
                             int64_t column)
{
    int64_t at = row * small->columns + column, left = small->columns - column;
    bool f32 = small->fits->number == NUMBER_F32;
    quad out = quad_set1(0);

    if (left >= QUAD)
        out = f32 ? quad_widen((const float *)values + at) : quad_load((const double *)values + at);
    for (int64_t i = 0; left < QUAD && i < left; i++)
        out[i] = f32 ? (double)((const float *)values)[at + i] : ((const double *)values)[at + i];
    return out + quad_set1(0);
}

/* Facts of four columns, and the values into their rows. False: one is not finite or beyond 2^500. */
static bool facts_quad(struct small *small, const void *values, int64_t column)
{
    quad lo = quad_set1(INFINITY), hi = -lo, largest = quad_set1(0), smallest = lo;
    quad_mask good = {-1, -1, -1, -1};

    for (int64_t i = 0; i < small->rows; i++) {
        double w = small->weights.present ? small->weights.weight[i] : 1;
        quad value = w < 0 ? quad_set1(0) : values_load(small, values, i, column);
        quad size = quad_abs(value);
        quad_store(small->values + i * small->wide + column, value);
        if (w < 0)
            continue;
        good &= size <= quad_set1(0x1p500);
        lo = quad_min(value, lo);
        hi = quad_max(value, hi);
        if (w == 0)
            continue;
        largest = quad_max(size, largest);
        smallest = quad_min(quad_blend(quad_set1(INFINITY), size, size > quad_set1(0)), smallest);
    }
    quad_store(small->lowest + column, lo);
    quad_store(small->highest + column, hi);
    quad_store(small->largest + column, largest);
    quad_store(small->smallest + column, smallest);
    return quad_bits(good) == 0xf;
}

static bool facts_find(struct small *small, const void *values)
{
    bool good = true;

    for (int64_t column = 0; good && column < small->wide; column += QUAD)
        good = facts_quad(small, values, column);
    for (int64_t d = 0; d < small->columns; d++)
        small->column[d] =
            (struct column_facts){small->lowest[d], small->highest[d], small->largest[d]};
    return good;
}

/* Rows become columns. Rows beyond the last are zeros. */
static void columns_make(struct small *small)
{
    size_t rest = (size_t)(small->whole - small->rows) * sizeof(double);

    for (int64_t d = 0; d < small->columns; d++) {
        const double *from = small->values + d;
        double *to = small->x + d * small->whole;
        for (int64_t i = 0; i < small->rows; i++)
            to[i] = from[i * small->wide];
        memset(to + small->rows, 0, rest);
    }
}

static void weights_make(struct small *small)
{
    const double *given = small->weights.weight;

    for (int64_t i = 0; i < small->whole; i++)
        small->w[i] = i < small->rows ? 1 : 0;
    for (int64_t i = 0; small->weights.present && i < small->rows; i++)
        small->w[i] = given[i] > 0 ? given[i] : 0;
}

static double power(int exponent) /* -1022 .. 1023 */
{
    assert(exponent >= -1022 && exponent <= 1023);
    uint64_t bits = (uint64_t)(exponent + 1023) << 52;
    double out;
    memcpy(&out, &bits, sizeof out);
    return out;
}

void small_grid_make(struct small *small)
{
    const struct small_grid *grid = &small->grid;

    for (int64_t d = 0; d < small->columns; d++) {
        int32_t exponent = grid_exponent(small->largest[d]);
        int32_t L = exponent > GRID_COLUMN_LEAST ? exponent : GRID_COLUMN_LEAST;
        small->L[d] = L;
        grid->up40[d] = power(GRID_SPLIT - L);
        grid->down40[d] = power(L - GRID_SPLIT);
        grid->up80[d] = power(GRID_BITS - L);
        grid->down[d] = power(-L);
        grid->back[d] = power(small->weights.present ? L : L - GRID_BITS);
    }
    for (int64_t d = small->columns; d < small->wide; d++)
        grid->up40[d] = grid->down40[d] = grid->up80[d] = grid->down[d] = grid->back[d] = 0;
}

static void digits_plain(struct small *small, int64_t column)
{
    quad up40 = quad_load(small->grid.up40 + column), up80 = quad_load(small->grid.up80 + column);
    quad down40 = quad_load(small->grid.down40 + column);

    for (int64_t at = column; at < small->rows * small->wide; at += small->wide) {
        quad x = quad_load(small->values + at), hi = quad_round(x * up40);
        quad_store(small->hi + at, hi);
        quad_store(small->lo + at, quad_round((x - hi * down40) * up80));
    }
}

/* fixed(p; 0) + fixed(e; 0): p + e = w' x' exactly. */
static void digits_weighted(struct small *small, int64_t column, int32_t L_weight)
{
    quad down = quad_load(small->grid.down + column);

    for (int64_t i = 0; i < small->rows; i++) {
        int64_t at = i * small->wide + column;
        quad weight = quad_set1(ldexp(small->w[i], -L_weight));
        quad scaled = quad_load(small->values + at) * down, p = weight * scaled;
        quad e = quad_fma(weight, scaled, -p), hi = quad_round(p * quad_set1(0x1p40));
        quad lo = quad_round((p - hi * quad_set1(0x1p-40)) * quad_set1(0x1p80));
        quad_store(small->hi + at, hi);
        quad_store(small->lo + at, lo + quad_round(e * quad_set1(0x1p80)));
    }
}

static void weight_digits(struct small *small, int32_t L_weight)
{
    for (int64_t i = 0; i < small->rows; i++) {
        double weight = ldexp(small->w[i], -L_weight);
        struct digits digits = grid_digits(weight, 0x1p40, 0x1p-40, 0x1p80);
        small->w_hi[i] = digits.hi;
        small->w_lo[i] = digits.lo;
    }
}

static void digits_make(struct small *small)
{
    int32_t L_weight = small->weights.present ? grid_weight_exponent(small->weights.largest) : 0;

    for (int64_t column = 0; column < small->wide; column += QUAD)
        if (small->weights.present)
            digits_weighted(small, column, L_weight);
        else
            digits_plain(small, column);
    if (small->weights.present)
        weight_digits(small, L_weight);
}

static void problem_set(struct small *small, int64_t problem)
{
    const struct fits *fits = small->fits;

    small->rows = fits->row[problem + 1] - fits->row[problem];
    small->whole = (small->rows + SMALL_STEP - 1) / SMALL_STEP * SMALL_STEP;
    small->columns = fits->columns;
    small->wide = (fits->columns + QUAD - 1) / QUAD * QUAD;
    small->clusters = fits->center[problem + 1] - fits->center[problem];
}

/* Weights, where there can be any; else all ones. */
static void weights_settle(struct small *small, const void *values, const double *given)
{
    const struct fits *fits = small->fits;

    if (given || fits->skip_non_finite) {
        problem_weights_make(fits, values, given, small->rows, &small->weights);
        return;
    }
    small->weights = (struct problem_weights){
        .weight = small->weights.weight, .equal = true, .taking_part = small->rows, .largest = 1};
}

bool small_load(struct small *small, int64_t problem)
{
    const struct fits *fits = small->fits;
    int64_t row = fits->row[problem];
    size_t size = fits->number == NUMBER_F32 ? sizeof(float) : sizeof(double);
    const void *values = (const char *)fits->values + (size_t)(row * fits->columns) * size;
    const double *centers =
        fits->init == FITS_CENTERS ? fits->centers + fits->center[problem] * fits->columns : NULL;
    struct facts facts = {.column = small->column, .beyond_row = -1};
    struct fits_result refused;

    problem_set(small, problem);
    weights_settle(small, values, fits->weight ? fits->weight + row : NULL);
    if (small->weights.taking_part < small->clusters || !facts_find(small, values) ||
        problem_check(fits, &facts, &small->weights, centers, small->clusters, &refused) !=
            STATUS_OK)
        return false;
    columns_make(small);
    weights_make(small);
    small_grid_make(small);
    digits_make(small);
    small->random_state = fits->random_state[problem];
    small->shift_limit = small_shift_limit(small);
    return true;
}
