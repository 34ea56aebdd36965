/* check_fixed.c - devices compute the integers of kernels/grid.h and the bits of kernels/philox.h. */
#include "kernels/grid.h"
#include "kernels/philox.h"
#include "tests/check.h"
#include "tests/cuda/fixed.h"

enum { COUNT = 2000 };
static double x[COUNT], w[COUNT];
static int128 got[COUNT];

/* Values within 2^L: normal ones, ties at half a unit of the grid, the limits, tiny ones, zeros. */
static double value_at(uint64_t *state, int i, int32_t L)
{
    int64_t whole = (int64_t)check_random(state) >> 12; /* 52 bits and a sign */

    switch (i % 8) {
    case 0:
        return ldexp(2 * check_uniform(state) - 1, L);
    case 1:
        return ldexp((double)(whole | 1), L - 81); /* a tie */
    case 2:
        return ldexp(whole < 0 ? -1 : 1, L);
    case 3:
        return ldexp(2 * check_uniform(state) - 1, L - (int)(check_random(state) % 120));
    case 4:
        return ldexp((double)whole, L - 52);
    case 5:
        return (double)(float)ldexp(2 * check_uniform(state) - 1, L > 120 ? 120 : L);
    case 6:
        return whole < 0 ? 0x1p-1074 : -0x1p-1030;
    default:
        return 0;
    }
}

/* The float of case 5 may round beyond a small L. */
static void fill(uint64_t *state, int32_t L)
{
    for (int i = 0; i < COUNT; i++) {
        x[i] = value_at(state, i, L);
        if (!(fabs(x[i]) <= ldexp(1, L)))
            x[i] = 0;
    }
}

static void a_coordinate_is_the_grids_integer(struct check *check)
{
    static const int32_t exponents[] = {-900, -140, -3, 0, 1, 20, 127, 500};
    uint64_t state = 1;

    for (int e = 0; e < 8; e++) {
        int32_t L = exponents[e];
        fill(&state, L);
        check_note(check, "L=%d", L);
        check_true(check, device_fixed_scaled(x, COUNT, L, got));
        for (int i = 0; i < COUNT; i++)
            check_true(check, got[i] == grid_fixed(x[i], L));
    }
}

static void a_weighted_coordinate_is_the_exact_product(struct check *check)
{
    static const int32_t exponents[] = {-900, -20, 0, 3, 127, 500};
    uint64_t state = 2;

    for (int e = 0; e < 6; e++)
        for (int32_t L_w = -30; L_w <= 30; L_w += 15) {
            int32_t L = exponents[e];
            fill(&state, L);
            for (int i = 0; i < COUNT; i++)
                w[i] = ldexp(i % 5 ? 1 - check_uniform(&state) : 1, L_w - i % 3 * 20);
            check_note(check, "L=%d L_w=%d", L, L_w);
            check_true(check, device_fixed_weighted(x, w, COUNT, L, L_w, got));
            for (int i = 0; i < COUNT; i++)
                check_true(check, got[i] == grid_weighted(x[i], L, w[i], L_w));
        }
}

/* Any L that a largest term may have, also where powers of two of a scale would overflow. */
static void a_term_is_the_grids_integer_for_every_exponent(struct check *check)
{
    uint64_t state = 3;

    for (int32_t L = -1073; L <= 1024; L += 233) {
        fill(&state, L < 1024 ? L : 1023);
        for (int i = 0; i < COUNT; i++)
            x[i] = fabs(x[i]);
        check_note(check, "L=%d", L);
        check_true(check, device_fixed_term(x, COUNT, L, got));
        for (int i = 0; i < COUNT; i++)
            check_true(check, got[i] == grid_fixed(x[i], L));
    }
}

static void a_fingerprint_is_philox(struct check *check)
{
    static int32_t labels[COUNT];
    static uint128 bits[COUNT];
    uint64_t state = 4;

    for (int i = 0; i < COUNT; i++)
        labels[i] = (int32_t)(check_random(&state) >> 33);
    for (int64_t first = 0; first < (int64_t)1 << 41; first = first * 70000 + 4294967000) {
        check_note(check, "first=%" PRId64, first);
        check_true(check, device_fingerprints(first, labels, COUNT, bits));
        for (int i = 0; i < COUNT; i++)
            check_true(check, bits[i] == philox_fingerprint(first + i, labels[i]));
    }
}

static void blocks_of_any_size_reduce_and_scan(struct check *check)
{
    static int64_t value[BLOCK_THREADS_MOST];
    static struct block_results results;
    uint64_t state = 5;

    for (int threads = 32; threads <= BLOCK_THREADS_MOST; threads += 32 + threads / 2 / 32 * 32) {
        int64_t sum = 0, most = INT64_MIN, least = INT64_MAX;
        for (int i = 0; i < threads; i++)
            value[i] = (int64_t)check_random(&state) >> 20;
        check_note(check, "threads=%d", threads);
        if (!check_true(check, device_block(value, threads, &results)))
            continue;
        for (int i = 0; i < threads; i++) {
            check_equal_i64(check, results.before[i], sum);
            sum += value[i];
            most = value[i] > most ? value[i] : most;
            least = value[i] < least ? value[i] : least;
        }
        check_equal_i64(check, results.sum, sum);
        check_equal_i64(check, results.whole, sum);
        check_equal_i64(check, results.most, most);
        check_equal_i64(check, results.least, least);
        check_equal_bits(check, results.farthest, (double)most);
    }
}

CHECKS(CLAIM(a_coordinate_is_the_grids_integer), CLAIM(a_weighted_coordinate_is_the_exact_product),
       CLAIM(a_term_is_the_grids_integer_for_every_exponent), CLAIM(a_fingerprint_is_philox),
       CLAIM(blocks_of_any_size_reduce_and_scan))
