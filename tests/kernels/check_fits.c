/* check_fits.c - the narrow integers of a small problem against the wide ones of a fit. */
#include "kernels/cpu/fits.h"
#include "tests/kernels/claims.h"

enum { ROWS = 48, KINDS = 7 };

static double value_of(int kind, uint64_t *seed)
{
    double normal = check_normal(seed);

    switch (kind) {
    case 0:
        return normal;
    case 1:
        return (double)(float)normal;
    case 2:
        return ldexp(normal,
                     (int)(check_random(seed) % 34)); /* up to the widest span, and over it */
    case 3:
        return ldexp(normal, -1040 - (int)(check_random(seed) % 30)); /* subnormal */
    case 4:
        return check_random(seed) % 2 ? 0.0 : 3.0;
    case 5:
        return 1e15 + (double)(check_random(seed) % 7);
    default:
        return (check_random(seed) % 2 ? 1 : -1) *
               ldexp(1 - 0x1p-53, (int)(check_random(seed) % 2) * 27);
    }
}

/* One column as small_load leaves it, three of nothing beside it. */
static void column_set(struct small *small, int kind, uint64_t *seed)
{
    small->weights.taking_part = 0;
    small->largest[0] = 0;
    small->smallest[0] = INFINITY;
    for (int64_t i = 0; i < small->rows; i++) {
        double size = fabs(small->values[i * small->wide] = value_of(kind, seed));
        small->w[i] = check_random(seed) % 6 ? 1 : 0;
        if (small->w[i] == 0)
            continue;
        small->weights.taking_part++;
        small->largest[0] = size > small->largest[0] ? size : small->largest[0];
        if (size > 0 && size < small->smallest[0])
            small->smallest[0] = size;
    }
    small_grid_make(small);
}

void a_narrow_variance_is_the_wide_one(struct check *check)
{
    double values[ROWS * QUAD] = {0}, w[ROWS], bound[2 * QUAD] = {0}, powers[5 * QUAD];
    int32_t L[QUAD];
    struct small small = {
        .wide = QUAD,
        .columns = 1,
        .values = values,
        .w = w,
        .L = L,
        .largest = bound,
        .smallest = bound + QUAD,
        .grid = {powers, powers + QUAD, powers + 2 * QUAD, powers + 3 * QUAD, powers + 4 * QUAD}};
    uint64_t seed = 3;

    for (int turn = 0; turn < 7000; turn++) {
        struct moments wide = {0};
        small.rows = 1 + (int64_t)(check_random(&seed) % ROWS);
        column_set(&small, turn % KINDS, &seed);
        for (int64_t i = 0; i < small.rows; i++)
            if (w[i] > 0)
                moments_add_value(&wide, values[i * QUAD]);
        check_note(check, "turn=%d kind=%d rows=%" PRId64, turn, turn % KINDS, small.rows);
        check_equal_bits(check, small_variances(&small), moments_variance(&wide));
    }
}

/* The sums of digits at the most rows and the greatest values there are. */
void a_narrow_variance_holds_the_most_rows(struct check *check)
{
    const size_t bytes = SMALL_ROWS * QUAD * sizeof(double);
    double bound[2 * QUAD] = {0}, powers[5 * QUAD], *values = calloc(1, bytes), *w = malloc(bytes);
    int32_t L[QUAD];
    struct small small = {
        .rows = SMALL_ROWS,
        .wide = QUAD,
        .columns = 1,
        .values = values,
        .w = w,
        .L = L,
        .largest = bound,
        .smallest = bound + QUAD,
        .grid = {powers, powers + QUAD, powers + 2 * QUAD, powers + 3 * QUAD, powers + 4 * QUAD}};

    for (int sign = -1; sign <= 1; sign++) {
        struct moments wide = {0};
        for (int64_t i = 0; i < SMALL_ROWS; i++) {
            values[i * QUAD] =
                (sign < 0 || (sign == 0 && i % 2) ? -1 : 1) * (2 - 0x1p-52 * (double)(1 + i % 2));
            w[i] = 1;
            moments_add_value(&wide, values[i * QUAD]);
        }
        bound[0] = bound[QUAD] = 2 - 0x1p-52;
        small.weights.taking_part = SMALL_ROWS;
        small_grid_make(&small);
        check_note(check, "sign=%d", sign);
        check_equal_bits(check, small_variances(&small), moments_variance(&wide));
    }
    free(values);
    free(w);
}

/* Halves go to even, unless what lies far below says otherwise. */
void a_quotient_is_rounded_once(struct check *check)
{
    const uint64_t half[4] = {0, 0, (uint64_t)1 << 63, 1},
                   more[4] = {1, 0, 0, (uint64_t)1 << 53 | 1};
    const uint64_t tie[4] = {0, 0, 0, (uint64_t)1 << 53 | 1}, zero[4] = {0};

    check_equal_bits(check, grid_quotient(half, 4, 1, -192), 1.5);
    check_equal_bits(check, grid_quotient(half, 4, 3, -192), 0.5);
    check_equal_bits(check, grid_quotient(tie, 4, 1, -192), 0x1p53);
    check_equal_bits(check, grid_quotient(more, 4, 1, -192), 0x1p53 + 2);
    check_equal_bits(check, grid_quotient((const uint64_t[]){3 << 11 | 1, 3}, 2, 3, 0),
                     0x1p64 + 0x1p12);
    check_equal_bits(check, grid_quotient(half, 1, 1, 0), 0);
    check_equal_bits(check, grid_quotient(zero, 4, 7, 5), 0);
    check_equal_bits(check, grid_quotient((const uint64_t[]){1}, 1, 10, 0), 0.1);
    check_equal_bits(check, grid_quotient((const uint64_t[]){3}, 1, 2, -1074), 0x1p-1073);
}
