/* check_exact.c - devices round exact integers to the bits of kernels/grid.c. */
#include "kernels/grid.h"
#include "tests/check.h"
#include "tests/cuda/exact.h"

enum { COUNT = 4000 };
static struct exact_input in[COUNT];
static struct exact_output out[COUNT];

/* A whole number of up to `bits` bits: any, a power of two, one beside it, or a tie of 53 bits. */
static uint128 whole(uint64_t *state, int bits)
{
    uint128 any = (uint128)check_random(state) << 64 | check_random(state);
    int shift = (int)(check_random(state) % (uint64_t)bits);
    uint128 power = (uint128)1 << shift;

    switch (check_random(state) % 6) {
    case 0:
        return power;
    case 1:
        return power - 1;
    case 2:
        return power + 1;
    case 3: /* an odd number of 54 bits with zeros behind, or a little more */
        return shift < bits - 54
                   ? ((any >> 74 | (uint128)1 << 53 | 1) << shift) + check_random(state) % 2
                   : any >> (128 - bits);
    default:
        return any >> (128 - 1 - shift);
    }
}

static void fill(uint64_t *state)
{
    for (int i = 0; i < COUNT; i++) {
        int128 S = (int128)whole(state, 95), W = (int128)whole(state, 95) + 1;
        in[i] = (struct exact_input){.S = check_random(state) % 2 ? -S : S,
                                     .W = W,
                                     .n = 1 + (int32_t)(check_random(state) % 32767),
                                     .L = (int32_t)(check_random(state) % 1402) - 900,
                                     .divisor = 1 + check_random(state) % ((1u << 31) - 1),
                                     .exponent = (int32_t)(check_random(state) % 3148) - 2348};
        for (int l = 0; l < EXACT_LIMBS; l++)
            in[i].limb[l] = i % 5 < l                      ? 0
                            : check_random(state) % 3 == 0 ? 0
                                                           : (uint64_t)whole(state, 64);
        if (i % 3 == 0) { /* a tie, and one by a bit that lies far below */
            in[i].divisor = 1 + check_random(state) % 7 * 2;
            uint128 tie =
                (uint128)in[i].divisor * ((uint64_t)1 << 53 | check_random(state) >> 11 | 1);
            in[i].limb[3] = (uint64_t)(tie >> 64);
            in[i].limb[2] = (uint64_t)tie;
            in[i].limb[1] = 0;
            in[i].limb[0] = check_random(state) % 2;
        }
        in[i].x = ldexp(1 + check_uniform(state) * (double)(i % 2),
                        (int)(check_random(state) % 2000) - 1073);
    }
}

static void exact_integers_round_as_on_the_host(struct check *check)
{
    uint64_t state = 6;

    for (int turn = 0; turn < 4; turn++) {
        fill(&state);
        if (!check_true(check, device_exact(in, COUNT, out)))
            return;
        for (int i = 0; i < COUNT; i++) {
            int128 size = in[i].S < 0 ? -in[i].S : in[i].S;
            check_note(check, "turn=%d value=%d n=%d L=%d exponent=%d", turn, i, in[i].n, in[i].L,
                       in[i].exponent);
            check_equal_bits(check, out[i].mean, grid_mean(in[i].S, in[i].n, in[i].L));
            check_equal_bits(check, out[i].mean_weighted,
                             grid_mean_weighted(in[i].S, in[i].W, in[i].L));
            check_equal_bits(check, out[i].total, grid_double(size, in[i].L));
            check_equal_bits(check, out[i].quotient,
                             grid_quotient(in[i].limb, EXACT_LIMBS, in[i].divisor, in[i].exponent));
            check_equal_i64(check, out[i].exponent, grid_exponent(in[i].x));
            check_equal_i64(check, out[i].above, grid_weight_exponent(in[i].x));
            check_equal_bits(check, out[i].scaled, ldexp(in[i].x, -grid_exponent(in[i].x)));
        }
    }
}

CHECKS(CLAIM(exact_integers_round_as_on_the_host))
