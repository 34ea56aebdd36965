/* fits_seed.c - the first centers of one small problem, all candidates on lanes.
 *
 * The potentials' digits are added up once a step, row after row, so that a draw is a search among
 * running sums, and a candidate's own distances become the next step's when it wins. */
#include "kernels/cpu/fits.h"
#include "kernels/philox.h"

double small_potentials(const struct small *small, const double *m, double *p)
{
    quad largest = quad_set1(0);

    for (int64_t i = 0; i < small->whole; i += QUAD) {
        quad term = quad_load(small->w + i) * quad_load(m + i);
        quad_store(p + i, term);
        largest = quad_max(term, largest);
    }
    return quad_largest(largest);
}

/* Grids whose powers of two are doubles; else the digits come from the integer. */
static bool grid_is_plain(int32_t L)
{
    return L >= -900;
}

static void digits_by_integer(const double *p, int64_t count, int32_t L, double *hi, double *lo)
{
    for (int64_t i = 0; i < count; i++) {
        int128 fixed = grid_fixed(p[i], L);
        hi[i] = (double)(int64_t)(fixed >> GRID_SPLIT);
        lo[i] = (double)(int64_t)(fixed & (((int64_t)1 << GRID_SPLIT) - 1));
    }
}

void small_digits(const double *p, int64_t count, int32_t L, double *hi, double *lo)
{
    if (!grid_is_plain(L)) {
        digits_by_integer(p, count, L, hi, lo);
        return;
    }
    quad up40 = quad_set1(ldexp(1, GRID_SPLIT - L)), down40 = quad_set1(ldexp(1, L - GRID_SPLIT));
    quad up80 = quad_set1(ldexp(1, GRID_BITS - L));
    for (int64_t i = 0; i < count; i += QUAD) {
        quad x = quad_load(p + i), high = quad_round(x * up40);
        quad_store(hi + i, high);
        quad_store(lo + i, quad_round((x - high * down40) * up80));
    }
}

/* The present P of all rows as running sums. */
struct potential {
    int32_t L;
    int128 total;
};

static struct potential potential_of(struct small *small, const double *m)
{
    struct potential out = {.L = grid_exponent(small_potentials(small, m, small->p))};
    double hi = 0, lo = 0;

    small_digits(small->p, small->whole, out.L, small->p_hi, small->p_lo);
    for (int64_t i = 0; i < small->rows; i++) {
        small->p_hi[i] = hi += small->p_hi[i];
        small->p_lo[i] = lo += small->p_lo[i];
    }
    out.total = small_integer(hi, lo);
    return out;
}

static uint64_t draw_bits(const struct small *small, int64_t index)
{
    return philox_u64(small->random_state, (uint64_t)index, PHILOX_DRAW, (uint32_t)small->run);
}

/* The first row whose running sum exceeds the rest. */
static int64_t draw(const struct small *small, const struct potential *potential, int64_t index)
{
    int128 rest = seed_scaled(draw_bits(small, index), potential->total);
    int64_t low = 0, high = small->rows - 1;

    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (small_integer(small->p_hi[middle], small->p_lo[middle]) > rest)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static int64_t draw_first(struct small *small)
{
    if (!small->weights.present)
        return (int64_t)seed_scaled(draw_bits(small, 0), small->rows);
    for (int64_t i = 0; i < small->whole; i++)
        small->m[i] = 1;
    struct potential potential = potential_of(small, small->m);
    return draw(small, &potential, 0);
}

static void center_set(const struct small *small, int64_t j, int64_t row)
{
    memcpy(small->centers + j * small->wide, small->values + row * small->wide,
           (size_t)small->wide * sizeof(double));
}

/* Distances to the candidate, the nearer of them and m into `nearer`, and what they come to. */
static int128 try_row(const struct small *small, int64_t row, int32_t L, double *nearer)
{
    quad hi = quad_set1(0), lo = hi;

    small_distances(small, small->values + row * small->wide, nearer);
    for (int64_t i = 0; i < small->whole; i += QUAD)
        quad_store(nearer + i, quad_min(quad_load(nearer + i), quad_load(small->m + i)));
    small_potentials(small, nearer, small->p);
    small_digits(small->p, small->whole, L, small->p, small->distance);
    for (int64_t i = 0; i < small->whole; i += QUAD) {
        hi += quad_load(small->p + i);
        lo += quad_load(small->distance + i);
    }
    return small_integer(quad_sum(hi), quad_sum(lo));
}

/* Draws the candidates of this step and keeps the one with the lowest total, with its distances. */
static void greedy_step(struct small *small, const struct potential *potential, int64_t chosen)
{
    int count = seed_candidates(small->clusters);
    int128 least = 0;
    int64_t best = -1;

    for (int c = 0; c < count; c++) {
        int64_t row = draw(small, potential, 1 + (chosen - 1) * count + c);
        int128 total = try_row(small, row, potential->L, small->trial[0]);
        if (best >= 0 && total >= least)
            continue;
        double *kept = small->trial[1];
        small->trial[1] = small->trial[0];
        small->trial[0] = kept;
        least = total;
        best = row;
    }
    double *old = small->m;
    small->m = small->trial[1];
    small->trial[1] = old;
    center_set(small, chosen, best);
}

static void plus_plus(struct small *small)
{
    center_set(small, 0, draw_first(small));
    small_distances(small, small->centers, small->m);
    for (int64_t chosen = 1; chosen < small->clusters; chosen++) {
        struct potential potential = potential_of(small, small->m);
        if (potential.total > 0) {
            greedy_step(small, &potential, chosen);
            continue;
        }
        small->distinct_below = true;
        for (; chosen < small->clusters; chosen++)
            memcpy(small->centers + chosen * small->wide, small->centers,
                   (size_t)small->wide * sizeof(double));
    }
}

static void random_rows(struct small *small)
{
    smallest_keys(small->random_state, small->run,
                  small->weights.present ? small->weights.weight : NULL, small->rows,
                  small->clusters, small->keys);
    for (int64_t j = 0; j < small->clusters; j++)
        center_set(small, j, small->keys[j].row);
}

static void given_centers(struct small *small, const double *given)
{
    for (int64_t j = 0; j < small->clusters; j++)
        for (int64_t d = 0; d < small->wide; d++)
            small->centers[j * small->wide + d] =
                d < small->columns ? given[j * small->columns + d] : 0;
}

bool small_seed(struct small *small)
{
    small->distinct_below = false;
    if (small->fits->init == FITS_CENTERS)
        given_centers(small, small->solver.given);
    else if (small->fits->init == FITS_PLUS_PLUS)
        plus_plus(small);
    else if (small->weights.equal)
        random_rows(small);
    else
        return false;
    return true;
}
