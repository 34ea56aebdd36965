/* fits_assign.c - a round of one small problem: labels, sums that follow the rows, means. */
#include "kernels/cpu/fits.h"
#include "kernels/philox.h"

enum { STEP_QUADS = SMALL_STEP / QUAD };
#if defined(__clang__)
#define EACH(i, n) _Pragma("clang loop unroll(full)") for (int i = 0; i < (n); i++)
#else
#define EACH(i, n) _Pragma("GCC unroll 16") for (int i = 0; i < (n); i++)
#endif

/* t = x - c; s = fma(t, t, s), column after column, for SMALL_STEP rows and `count` centers. */
QUAD_INLINE void step_distances(const struct small *small, int64_t row, const double *center,
                                int count, quad *s)
{
    EACH(i, count * STEP_QUADS)
    {
        s[i] = quad_set1(0);
    }
    for (int64_t d = 0; d < small->columns; d++) {
        const double *x = small->x + d * small->whole + row;
        EACH(j, count)
        {
            quad c = quad_set1(center[j * small->wide + d]);
            EACH(r, STEP_QUADS)
            {
                quad t = quad_load(x + r * QUAD) - c;
                s[j * STEP_QUADS + r] = quad_fma(t, t, s[j * STEP_QUADS + r]);
            }
        }
    }
}

void small_distances(const struct small *small, const double *center, double *out)
{
    for (int64_t row = 0; row < small->whole; row += SMALL_STEP) {
        quad s[STEP_QUADS];
        step_distances(small, row, center, 1, s);
        EACH(r, STEP_QUADS)
        {
            quad_store(out + row + r * QUAD, s[r]);
        }
    }
}

/* Strictly less, centers ascending: a tie stays with the lower index. */
QUAD_INLINE void keep_nearest(const quad *s, double j, quad *best, quad *where)
{
    EACH(r, STEP_QUADS)
    {
        quad_mask less = s[r] < best[r];
        best[r] = quad_blend(best[r], s[r], less);
        where[r] = quad_blend(where[r], quad_set1(j), less);
    }
}

QUAD_INLINE void step_nearest(const struct small *small, int64_t row, quad *best, quad *where)
{
    int64_t j = 0;
    quad s[2 * STEP_QUADS];

    EACH(r, STEP_QUADS)
    {
        best[r] = quad_set1(INFINITY);
        where[r] = quad_set1(0);
    }
    for (; j + 2 <= small->clusters; j += 2) {
        step_distances(small, row, small->centers + j * small->wide, 2, s);
        keep_nearest(s, (double)j, best, where);
        keep_nearest(s + STEP_QUADS, (double)(j + 1), best, where);
    }
    if (j < small->clusters) {
        step_distances(small, row, small->centers + j * small->wide, 1, s);
        keep_nearest(s, (double)j, best, where);
    }
}

QUAD_INLINE void digits_enter(const struct small *small, int64_t row, int64_t j)
{
    const double *hi = small->hi + row * small->wide, *lo = small->lo + row * small->wide;
    double *sum_hi = small->sum_hi + j * small->wide, *sum_lo = small->sum_lo + j * small->wide;

    for (int64_t d = 0; d < small->wide; d += QUAD) {
        quad_store(sum_hi + d, quad_load(sum_hi + d) + quad_load(hi + d));
        quad_store(sum_lo + d, quad_load(sum_lo + d) + quad_load(lo + d));
    }
    small->count[j]++;
    if (small->weights.present) {
        small->weight_hi[j] += small->w_hi[row];
        small->weight_lo[j] += small->w_lo[row];
    }
}

QUAD_INLINE void digits_leave(const struct small *small, int64_t row, int64_t j)
{
    const double *hi = small->hi + row * small->wide, *lo = small->lo + row * small->wide;
    double *sum_hi = small->sum_hi + j * small->wide, *sum_lo = small->sum_lo + j * small->wide;

    for (int64_t d = 0; d < small->wide; d += QUAD) {
        quad_store(sum_hi + d, quad_load(sum_hi + d) - quad_load(hi + d));
        quad_store(sum_lo + d, quad_load(sum_lo + d) - quad_load(lo + d));
    }
    small->count[j]--;
    if (small->weights.present) {
        small->weight_hi[j] -= small->w_hi[row];
        small->weight_lo[j] -= small->w_lo[row];
    }
}

static void row_moved(const struct small *small, int64_t row, double old, double label)
{
    if (old >= 0)
        digits_leave(small, row, (int64_t)old);
    digits_enter(small, row, (int64_t)label);
}

int64_t small_assign(struct small *small)
{
    int64_t moved = 0;

    for (int64_t row = 0; row < small->whole; row += SMALL_STEP) {
        quad best[STEP_QUADS], where[STEP_QUADS];
        step_nearest(small, row, best, where);
        EACH(r, STEP_QUADS)
        {
            int64_t at = row + r * QUAD;
            quad old = quad_load(small->label + at), w = quad_load(small->w + at);
            unsigned bits = quad_bits((where[r] != old) & (w > quad_set1(0)));
            quad_store(small->distance + at, best[r]);
            quad_store(small->label + at, where[r]);
            moved += __builtin_popcount(bits);
            for (; bits; bits &= bits - 1) {
                int lane = __builtin_ctz(bits);
                row_moved(small, at + lane, old[lane], where[r][lane]);
            }
        }
    }
    return moved;
}

/* hi 2^40 + lo as its rounding and the rest, which a double holds. */
struct split {
    quad hi, lo;
};
QUAD_INLINE struct split split(quad hi, quad lo)
{
    quad a = hi * quad_set1(0x1p40), sum = a + lo;

    return (struct split){sum, lo - (sum - a)}; /* |a| < |lo| < 2^52: the sum is exact */
}

/* grid_mean of four columns. */
QUAD_INLINE quad mean(struct split s, quad n, quad back)
{
    quad q = s.hi / n;

    return (q + (quad_fma(-q, n, s.hi) + s.lo) / n) * back;
}

/* grid_mean_weighted of four columns. */
QUAD_INLINE quad mean_weighted(struct split s, struct split w, quad back)
{
    quad q = s.hi / w.hi;

    return (q + (quad_fma(-q, w.lo, quad_fma(-q, w.hi, s.hi)) + s.lo) / w.hi) * back;
}

void small_move(struct small *small)
{
    for (int64_t j = 0; j < small->clusters; j++) {
        double *next = small->next + j * small->wide;
        if (small->count[j] == 0) {
            memcpy(next, small->centers + j * small->wide, (size_t)small->wide * sizeof(double));
            continue;
        }
        quad n = quad_set1((double)small->count[j]);
        struct split w = {n, quad_set1(0)};
        if (small->weights.present)
            w = split(quad_set1(small->weight_hi[j]), quad_set1(small->weight_lo[j]));
        for (int64_t d = 0; d < small->wide; d += QUAD) {
            int64_t at = j * small->wide + d;
            struct split s = split(quad_load(small->sum_hi + at), quad_load(small->sum_lo + at));
            quad back = quad_load(small->grid.back + d);
            quad_store(next + d,
                       small->weights.present ? mean_weighted(s, w, back) : mean(s, n, back));
        }
    }
}

/* Ten rounds of Philox over four counters (row, 0, stage, label), key 0. */
QUAD_INLINE void philox_quad(quad_u64 *c)
{
    const quad_u64 m0 = {0xD2511F53u, 0xD2511F53u, 0xD2511F53u, 0xD2511F53u};
    const quad_u64 m2 = {0xCD9E8D57u, 0xCD9E8D57u, 0xCD9E8D57u, 0xCD9E8D57u};
    const quad_u64 half = {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX};
    uint32_t k0 = 0, k1 = 0;

    EACH(round, 10)
    {
        quad_u64 a = quad_multiply_u32(c[0], m0), b = quad_multiply_u32(c[2], m2);
        c[0] = (b >> 32) ^ c[1] ^ (quad_u64) { k0, k0, k0, k0 };
        c[1] = b & half;
        c[2] = (a >> 32) ^ c[3] ^ (quad_u64) { k1, k1, k1, k1 };
        c[3] = a & half;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}

/* Sums of the four words: 2^12 rows leave them below 2^44. */
uint128 small_fingerprint(const struct small *small)
{
    const quad_u64 half = {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX}, zero = {0, 0, 0, 0};
    const quad_u64 stage = zero + PHILOX_FINGERPRINT;
    quad_u64 sum[4] = {zero, zero, zero, zero};
    uint128 out = 0;

    for (int64_t i = 0; i < small->whole; i += QUAD) {
        quad_u64 row = {(uint64_t)i, (uint64_t)i + 1, (uint64_t)i + 2, (uint64_t)i + 3};
        quad_mask counts = quad_load(small->w + i) > quad_set1(0);
        quad_u64 label = (quad_u64)(quad_load(small->label + i) + quad_set1(0x1p52)); /* low bits */
        quad_u64 c[4] = {row, zero, stage, label & half};
        philox_quad(c);
        EACH(word, 4)
        {
            sum[word] += c[word] & (quad_u64)counts;
        }
    }
    for (int word = 0; word < 4; word++)
        for (int lane = 0; lane < QUAD; lane++)
            out += (uint128)sum[word][lane] << (32 * word);
    return out;
}
