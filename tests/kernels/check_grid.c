/* check_grid.c - sums on one grid: terms, digits, carries, and the one rounding back. */
#include "kernels/cpu/cpu.h"
#include "kernels/grid.h"
#include "kernels/philox.h"
#include "tests/kernels/claims.h"
#include "tests/kernels/exact.h"
#include "tests/kernels/sample.h"

static void equal_int128(struct check *check, int128 got, int128 want)
{
    check_equal_u64(check, (uint64_t)((uint128)got >> 64), (uint64_t)((uint128)want >> 64));
    check_equal_u64(check, (uint64_t)got, (uint64_t)want);
}

void fixed_rounds_halves_to_even(struct check *check)
{
    static const struct {
        double units; /* of the grid */
        int64_t want;
    } rows[] = {{0.5, 0},   {1.5, 2},   {2.5, 2},           {-0.5, 0},
                {-1.5, -2}, {-2.5, -2}, {0.5 + 0x1p-52, 1}, {0x1p52 + 1, (1LL << 52) + 1},
                {-0.0, 0},  {0.25, 0},  {0.75, 1},          {1e-300, 0},
                {3, 3}};

    for (int L = -900; L <= 500; L += 100)
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
            double x = ldexp(rows[i].units, L - 80);
            check_note(check, "L=%d units=%g", L, rows[i].units);
            if (ldexp(x, 80 - L) == rows[i].units) /* not where it underflowed */
                equal_int128(check, grid_fixed(x, L), rows[i].want);
        }
    equal_int128(check, grid_fixed(0x1p-900, -900), (int128)1 << 80);
    equal_int128(check, grid_fixed(-0x1p500, 500), -((int128)1 << 80));
    double below = nextafter(1, 0); /* just under 2^L */
    equal_int128(check, grid_fixed(below, 0), ((int128)1 << 80) - ((int128)1 << 27));
    equal_int128(check, grid_fixed(0x1p-1074, -1073), (int128)1 << 79);
}

static void digits_equal(struct check *check, double x, int32_t L)
{
    struct digits digits = grid_digits(x, ldexp(1, 40 - L), ldexp(1, L - 40), ldexp(1, 80 - L));
    int128 joined = (int128)digits.hi * ((int64_t)1 << 40) + (int128)digits.lo;

    check_note(check, "x=%a L=%d", x, L);
    check_true(check, joined == grid_fixed(x, L));
    check_true(check, fabs(digits.hi) <= 0x1p40 && fabs(digits.lo) <= 0x1p39);
}

void two_digits_are_the_fixed_integer(struct check *check)
{
    uint64_t state = 1;

    for (int i = 0; i < 400000; i++) {
        int32_t L = (int32_t)(check_random(&state) % 1400) - 900;
        int down = (int)(check_random(&state) % 90);
        double part = (double)(int64_t)check_random(&state) * 0x1p-63; /* to both signs */
        double x = ldexp(i & 1 ? (double)(float)part : part, L - down);
        digits_equal(check, x, L);
        /* few bits set: halves of both digits */
        double few = (double)((int64_t)(check_random(&state) % 16) - 8) / 2;
        digits_equal(check, ldexp(few, L - 79), L);
        digits_equal(check, ldexp(few, L - 39) + ldexp(few, L - 80), L);
        digits_equal(check, ldexp(nextafter(1, 0), L), L);
        digits_equal(check, -ldexp(1, L), L);
    }
}

/* Every slot takes the largest term that there is, 2^22 times, and is carried before it takes more. */
void slots_hold_four_million_rows_at_the_maximum(struct check *check)
{
    enum { ROWS = GRID_CARRY_ROWS, TIMES = 3 };
    static const double at[] = {1.0, -1.0};
    static const int32_t L[1] = {0};
    const struct shape shape = {ROWS, 1, 1, NUMBER_F64, false, 0, 0, RESIDENT};
    const struct grid grid = {.column = L};
    const double center = 0;
    double *values = guarded_new(ROWS * sizeof *values);
    int32_t *none = guarded_new(ROWS * sizeof *none);
    struct device *device = device_of_cpu(NULL, 1);
    struct sums sums = sums_new(&shape);

    for (int sign = 0; sign < 2; sign++) {
        struct rows rows = {.values = values, .count = ROWS};
        struct work *work;
        struct block *block;
        for (int64_t i = 0; i < ROWS; i++)
            values[i] = at[sign], none[i] = -1;
        backend_cpu.work_open(device, &shape, &work);
        backend_cpu.load(work, &rows, &block);
        backend_cpu.grid_set(work, &grid);
        backend_cpu.begin(work, &center);
        for (int time = 0; time < TIMES; time++) {
            backend_cpu.labels_write(work, block, 0, ROWS, none);
            backend_cpu.assign(work, block, 0, ROWS, true);
        }
        backend_cpu.sums_read(work, &sums);
        check_note(check, "sign=%g", at[sign]);
        equal_int128(check, sums.sum[0], (int128)at[sign] * TIMES * ((int128)ROWS << 80));
        equal_int128(check, sums.weight[0], TIMES * ((int128)ROWS << 80));
        backend_cpu.unload(work, &block);
        backend_cpu.work_close(&work);
    }
    sums_free(&sums);
    backend_cpu.close(&device);
    guarded_free(values);
    guarded_free(none);
}

void a_weighted_term_is_the_exact_product(struct check *check)
{
    uint64_t state = 2;

    for (int i = 0; i < 100000; i++) {
        /* 24 x 24 bits, on the grid down to 2^-80: the product has no rounding to lose */
        int64_t x = (int64_t)(check_random(&state) >> 40) - (1 << 23);
        int64_t w = (int64_t)(check_random(&state) >> 40) + 1;
        int32_t L = 3 + i % 20, L_w = (int32_t)(i % 7) - 3;
        double value = ldexp((double)x, L - 24), weight = ldexp((double)w, L_w - 24);

        check_note(check, "x=%a w=%a", value, weight);
        equal_int128(check, grid_weighted(value, L, weight, L_w),
                     (int128)x * w * ((int128)1 << 32));
        equal_int128(check, grid_weighted(value, L, 1.0, 0), grid_fixed(value, L));
    }
    /* p alone would round: 53 x 53 bits, term within one unit of the exact product */
    for (int i = 0; i < 100000; i++) {
        double x = check_uniform(&state) * 2 - 1, w = check_uniform(&state);
        quad exact = (quad)x * (quad)w * 0x1p80, got = quad_of(grid_weighted(x, 0, w, 0));
        quad off = got - exact;
        check_note(check, "x=%a w=%a", x, w);
        check_true(check, off <= 1 && off >= -1);
    }
}

void exponents_bound_what_they_name(struct check *check)
{
    static const double values[] = {1, 0.75, 3, 0x1p-1074, 0x1.8p-1060, 0x1p500, 1e-300, 7e77};

    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        double x = values[i];
        int32_t e = grid_exponent(x), w = grid_weight_exponent(x);
        check_note(check, "x=%a", x);
        check_true(check, x < ldexp(1, e) && x >= ldexp(0.5, e));
        check_equal_i64(check, grid_exponent(-x), e);
        check_true(check, ldexp(x, -w) <= 1 && ldexp(x, -w) > 0.5);
    }
    check_equal_i64(check, grid_exponent(0), 0);
    check_equal_i64(check, grid_weight_exponent(1), 0);
    check_equal_i64(check, grid_weight_exponent(8), 3);
    check_equal_i64(check, grid_weight_exponent(9), 4);
}

static int128 random_sum(uint64_t *state)
{
    uint128 bits = (uint128)check_random(state) << 64 | check_random(state);

    return (int128)bits >> (2 + check_random(state) % 120);
}

void a_mean_is_rounded_once(struct check *check)
{
    uint64_t state = 3;

    for (int i = 0; i < 200000; i++) {
        int128 S = random_sum(&state);
        int64_t n = 1 + (int64_t)(check_random(&state) >> (18 + check_random(&state) % 46));
        int32_t L = (int32_t)(check_random(&state) % 200) - 100;
        check_note(check, "n=%lld L=%d case=%d", (long long)n, L, i);
        check_equal_bits(check, grid_mean(S, n, L), exact_quotient(S, n, L - 80));
    }
    check_equal_bits(check, grid_mean(0, 5, 3), 0.0);
}

void a_weighted_mean_is_rounded_once(struct check *check)
{
    uint64_t state = 4;

    for (int i = 0; i < 200000; i++) {
        int128 S = random_sum(&state), W = random_sum(&state);
        int64_t n = 1 + (int64_t)(check_random(&state) >> (18 + check_random(&state) % 46));
        W = W < 0 ? -W + 1 : W + 1;
        check_note(check, "case=%d", i);
        if (S / W < (int128)1 << 100) {
            check_equal_bits(check, grid_mean_weighted(S, W, 7), exact_quotient(S, W, 7));
            check_equal_bits(check, grid_mean_weighted(S, (int128)n << 80, 7), grid_mean(S, n, 7));
        }
    }
}

void equal_rows_stay_put(struct check *check)
{
    uint64_t state = 5;

    for (int i = 0; i < 100000; i++) {
        float x = (float)ldexp(check_normal(&state), (int)(check_random(&state) % 40) - 20);
        double d = (double)x;
        int64_t n = 1 + (int64_t)(check_random(&state) >> (18 + check_random(&state) % 46));
        int32_t L = grid_exponent(d) + (int32_t)(check_random(&state) % 56);
        check_note(check, "x=%a n=%lld", d, (long long)n);
        check_equal_bits(check, grid_mean(n * grid_fixed(d, L), n, L), d);
        double w = 0.5 + check_uniform(&state), heavy = 1 + check_uniform(&state);
        int32_t near = grid_exponent(d) + (int32_t)(check_random(&state) % 20);
        int32_t L_w = grid_weight_exponent(heavy);
        int128 W = n * grid_fixed(ldexp(w, -L_w), 0), S = n * grid_weighted(d, near, w, L_w);
        check_equal_bits(check, grid_mean_weighted(S, W, near), d);
    }
    /* 0.1f beside a sentinel of 1e12 */
    double tenth = (double)0.1f;
    check_equal_bits(check, grid_mean(3 * grid_fixed(tenth, 40), 3, 40), tenth);
}

void a_total_is_rounded_once(struct check *check)
{
    uint64_t state = 6;

    for (int i = 0; i < 100000; i++) {
        int128 S = random_sum(&state);
        check_equal_bits(check, grid_double(S, 80), (double)S); /* the compiler rounds once, too */
        check_equal_bits(check, grid_double(S, -500), ldexp((double)S, -580));
    }
    /* into the subnormals in one step: 2^53 + 1 halves of the least, rounded to 53 bits first, would
     * become even and lose its way */
    int128 odd = ((int128)1 << 60) + ((int128)1 << 7) + 1;
    check_equal_bits(check, grid_double(odd, -1074 - 8 + 80), 0x1p-1022 + 0x1p-1074);
    check_equal_bits(check, grid_double(-odd, -1074 - 8 + 80), -0x1p-1022 - 0x1p-1074);
    check_equal_bits(check, grid_double(3, -1075 + 80), 0x1p-1073); /* 1.5 goes to the even 2 */
    check_equal_bits(check, grid_double(1, -1075 + 80), 0.0);       /* and 0.5 to 0 */
    check_equal_bits(check, grid_double(1, -1076 + 80), 0.0);
    check_equal_bits(check, grid_double((int128)1 << 80, 1024), INFINITY);
    check_equal_bits(check, grid_double(0, 12), 0.0);
}

void philox_gives_the_known_answers(struct check *check)
{
    static const struct {
        uint32_t word;
        uint32_t out[4];
    } rows[] = {{0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
                {0xffffffff, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}}};

    for (int i = 0; i < 2; i++) {
        uint32_t w = rows[i].word, counter[4] = {w, w, w, w}, key[2] = {w, w}, out[4];
        philox(counter, key, out);
        check_equal_bytes(check, out, rows[i].out, sizeof out);
    }
    /* words in their places: index and seed low first, U = word 0 + 2^32 word 1 */
    uint32_t counter[4] = {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, out[4];
    uint32_t key[2] = {0xa4093822, 0x299f31d0};
    philox(counter, key, out);
    check_equal_u64(check,
                    philox_u64(0x299f31d0a4093822, 0x85a308d3243f6a88, 0x13198a2e, 0x03707344),
                    (uint64_t)out[1] << 32 | out[0]);
    check_equal_u64(check, out[0], 0xd16cfe09); /* the authors' third answer */
    uint128 bits = philox_fingerprint((int64_t)1 << 33 | 5, 9);
    const uint32_t at[4] = {5, 2, 7, 9}, none[2] = {0, 0};
    philox(at, none, out);
    check_equal_u64(check, (uint64_t)bits, (uint64_t)out[1] << 32 | out[0]);
    check_equal_u64(check, (uint64_t)(bits >> 64), (uint64_t)out[3] << 32 | out[2]);
}
