/* check_moments.c - exact sums of powers and the variance from them. */
#include "kernels/cpu/cpu.h"
#include "tests/kernels/claims.h"
#include "tests/kernels/exact.h"
#include "tests/kernels/sample.h"

/* A column of doubles through a backend, one block, one tile. */
static void moments_of(struct check *check, const struct backend *backend, struct device *device,
                       double *values, int64_t count, struct moments *out)
{
    const struct shape shape = {count, 1, 1, NUMBER_F64, false, 0, 0, RESIDENT};
    const struct rows rows = {.values = values, .count = count};
    struct work *work;
    struct block *block;

    memset(out, 0, sizeof *out);
    backend->work_open(device, &shape, &work);
    backend->load(work, &rows, &block);
    backend->moments(work, block, 0, count, 0, 1, out);
    settle(check, backend, work);
    backend->unload(work, &block);
    backend->work_close(&work);
}

static void moments_by_ref(struct check *check, double *values, int64_t count, struct moments *out)
{
    struct device *device = device_of_ref();

    moments_of(check, &backend_ref, device, values, count, out);
    backend_ref.close(&device);
}

/* limbs at bit `shift`, as int128: what lies beyond must be the sign. */
static int128 limbs_at(struct check *check, const uint64_t *limb, int count, int shift)
{
    int at = shift / 64, bit = shift % 64;
    uint128 low = 0;

    for (int i = 0; i < 3 && at + i < count; i++) {
        uint128 part = limb[at + i];
        int place = 64 * i - bit;
        low |= place >= 0 ? (place < 128 ? part << place : 0) : part >> -place;
    }
    for (int i = at + 3; i < count; i++)
        check_equal_u64(check, limb[i], (int128)low < 0 ? UINT64_MAX : 0);
    return (int128)low;
}

void sums_of_powers_are_exact_integers(struct check *check)
{
    enum { COUNT = 3000 };
    static double values[COUNT];
    uint64_t state = 11;

    for (int scale = -1074; scale <= 900; scale += 47) {
        int128 s1 = 0, s2 = 0;
        struct moments got;
        for (int i = 0; i < COUNT; i++) {
            int64_t whole = (int64_t)check_random(&state) >> (24 + check_random(&state) % 40);
            values[i] = ldexp((double)whole, scale);
            s1 += whole;
            s2 += (int128)whole * whole;
        }
        check_note(check, "scale=2^%d", scale);
        moments_by_ref(check, values, COUNT, &got);
        check_true(check, limbs_at(check, got.s1, MOMENT_LIMBS_1, scale + 1074) == s1);
        check_true(check, limbs_at(check, got.s2, MOMENT_LIMBS_2, 2 * scale + 2148) == s2);
        check_equal_i64(check, got.count, COUNT);
    }
}

void moments_merge_by_adding(struct check *check)
{
    enum { COUNT = 1000 };
    static double values[COUNT];
    struct moments whole, parts, part;
    uint64_t state = 12;

    for (int i = 0; i < COUNT; i++)
        values[i] = ldexp(check_normal(&state), (int)(check_random(&state) % 2000) - 1050);
    moments_by_ref(check, values, COUNT, &whole);
    for (int i = 1; i < sides(); i++) {
        struct device *device;
        const struct backend *backend = side(i, &device);
        check_note(check, "%s", backend->name);
        for (int cut = 1; cut < COUNT; cut += 333) {
            moments_of(check, backend, device, values, cut, &parts);
            moments_of(check, backend, device, values + cut, COUNT - cut, &part);
            moments_add(&parts, &part);
            check_equal_bytes(check, &parts, &whole, sizeof whole);
        }
        side_close(i, &device);
    }
}

/* Small whole numbers times a power of two: the rational fits 128 bits. */
void a_variance_is_rounded_once(struct check *check)
{
    static double values[64];
    uint64_t state = 13;

    for (int round = 0; round < 20000; round++) {
        int64_t n = 1 + (int64_t)(check_random(&state) % 64);
        int scale = (int)(check_random(&state) % 900) - 450, bits = 3 + round % 40;
        int128 s1 = 0, s2 = 0;
        struct moments moments;
        memset(&moments, 0, sizeof moments);
        for (int64_t i = 0; i < n; i++) {
            int64_t whole = (int64_t)check_random(&state) >> (63 - bits);
            values[i] = ldexp((double)whole, scale);
            moments_add_value(&moments, values[i]);
            s1 += whole;
            s2 += (int128)whole * whole;
        }
        check_note(check, "round=%d n=%d", round, (int)n);
        check_equal_bits(check, moments_variance(&moments),
                         exact_quotient(n * s2 - s1 * s1, n * n, 2 * scale));
    }
}

static double variance_of(struct check *check, double *values, int64_t count)
{
    struct moments moments;

    moments_by_ref(check, values, count, &moments);
    return moments_variance(&moments);
}

void a_variance_survives_offsets_and_extremes(struct check *check)
{
    double offset9[] = {1e9 + 4, 1e9 + 7, 1e9 + 13, 1e9 + 16};
    double offset15[] = {1e15 + 4, 1e15 + 7, 1e15 + 13, 1e15 + 16};
    double limits[] = {0x1p500, -0x1p500}, constant[] = {0.1, 0.1, 0.1};
    double least[] = {0x1p-1074, -0x1p-1074}, mixed[] = {0x1p500, 0x1p-1074};
    double half[] = {0x1p-537, -0x1p-537}, outlier[] = {1e12, 0.1, 0.1, 0.1};

    check_equal_bits(check, variance_of(check, offset9, 4), 22.5);
    check_equal_bits(check, variance_of(check, offset15, 4), 22.5);
    check_equal_bits(check, variance_of(check, limits, 2), 0x1p1000);
    check_equal_bits(check, variance_of(check, constant, 3), 0.0);
    check_equal_bits(check, variance_of(check, least, 2), 0.0); /* 2^-2148 */
    check_equal_bits(check, variance_of(check, half, 2), 0x1p-1074);
    check_equal_bits(check, variance_of(check, mixed, 2), 0x1p998);
    check_equal_bits(check, variance_of(check, mixed, 1), 0.0);
    check_equal_bits(check, variance_of(check, mixed, 0), 0.0);
    quad apart = (quad)1e12 - (quad)0.1; /* 3/16 of its square */
    check_equal_bits(check, variance_of(check, outlier, 4), (double)(3 * apart * apart / 16));
}

void the_mean_variance_adds_ascending(struct check *check)
{
    struct moments column[3];
    static const double spread[3] = {0x1p30, 0x1.8p-20, 0x1.4p-23};
    double want = 0;

    memset(column, 0, sizeof column);
    for (int d = 0; d < 3; d++) {
        moments_add_value(&column[d], spread[d]);
        moments_add_value(&column[d], -spread[d]);
        check_equal_bits(check, moments_variance(&column[d]), spread[d] * spread[d]);
        want += spread[d] * spread[d];
    }
    check_equal_bits(check, moments_mean_variance(column, 3), want / 3);
}

/* Doubling the rows doubles count and sums, and leaves the exact quotient as it is. */
void a_variance_does_not_change_when_rows_repeat(struct check *check)
{
    uint64_t seed = 17;

    for (int turn = 0; turn < 200; turn++) {
        struct moments moments = {0};
        int scale = (int)(check_random(&seed) % 1200) - 600;
        for (int i = 0; i < 1 + turn % 9; i++)
            moments_add_value(&moments, ldexp(check_normal(&seed), scale));
        double want = moments_variance(&moments);
        for (int doubled = 0; doubled < 58; doubled++) {
            struct moments same = moments;
            moments_add(&moments, &same);
            check_note(check, "turn=%d doubled=%d", turn, doubled + 1);
            check_equal_bits(check, moments_variance(&moments), want);
        }
    }
}
