/* seed.c - the passes of k-means++: all candidates of a step in one read of the rows. */
#include <string.h>

#include "kernels/cpu/cpu.h"

#define MAGIC 0x1.8p52
#define MAGIC_BITS INT64_C(0x4338000000000000)

enum { PLAIN_ROW_PAIRS = 16 }; /* what a pass over m_i alone costs a row, in pairs */

struct seed_settings {
    const double *center;
    int count;
    bool first_center;
    int32_t L;
};

/* RN(w_i m), 0 for a row that does not take part. */
static inline double potential(const struct block *block, int64_t row, double m)
{
    double w = row_weight(block, row);

    return w > 0 ? w * m : 0;
}

static void largest_rows(const struct pass *pass, struct thread *thread, int64_t first,
                         int64_t count)
{
    const struct block *block = pass->block;

    for (int64_t i = first; i < first + count; i++) {
        double p = potential(block, i, block->seed[i]);
        if (p > thread->largest_term)
            thread->largest_term = p;
    }
}

static void fold_largest(const struct cpu_work *work, double *largest)
{
    for (int i = 0; i < work->threads; i++)
        if (work->thread[i].largest_term > *largest)
            *largest = work->thread[i].largest_term;
}

enum status cpu_seed_largest(struct work *base, struct block *block, int64_t first, int64_t count,
                             double *largest)
{
    struct cpu_work *work = cpu_of(base);
    const struct pass pass = {work, block, NULL, largest_rows};

    over_rows(&pass, first, count, PLAIN_ROW_PAIRS);
    fold_largest(work, largest);
    return STATUS_OK;
}

static void take_rows(const struct pass *pass, struct thread *thread, int64_t first, int64_t count)
{
    const struct seed_settings *settings = pass->settings;
    struct block *block = pass->block;
    int64_t columns = pass->work->base.shape.columns;
    const double *center[STRIP_ROWS];

    for (int i = 0; i < STRIP_ROWS; i++)
        center[i] = settings->center;
    for (int64_t end = first + count; first < end; first += pass->work->strip_rows) {
        int64_t left = end - first, most = pass->work->strip_rows;
        int64_t here = left < most ? left : most;
        fill_strip(pass->work, block, first, here, thread->strip);
        own_distances(thread->strip, columns, here, center, thread->distance);
        for (int64_t i = 0; i < here; i++) {
            double s = thread->distance[i];
            if (row_weight(block, first + i) < 0)
                continue;
            if (settings->first_center || s < block->seed[first + i])
                block->seed[first + i] = s;
        }
        largest_rows(pass, thread, first, here);
    }
}

enum status cpu_seed_take(struct work *base, struct block *block, int64_t first, int64_t count,
                          const double *center, bool first_center, double *largest)
{
    struct cpu_work *work = cpu_of(base);
    const struct seed_settings settings = {.center = center, .first_center = first_center};
    const struct pass pass = {work, block, &settings, take_rows};

    over_rows(&pass, first, count, 8.0 * (double)base->shape.columns);
    fold_largest(work, largest);
    return STATUS_OK;
}

static int128 total_of(const struct block *block, int64_t first, int64_t count, int32_t L)
{
    int128 total = 0;

    for (int64_t i = first; i < first + count; i++)
        total += grid_fixed(potential(block, i, block->seed[i]), L);
    return total;
}

static void total_rows(const struct pass *pass, struct thread *thread, int64_t first, int64_t count)
{
    const struct seed_settings *settings = pass->settings;

    thread->total += total_of(pass->block, first, count, settings->L);
}

enum status cpu_seed_total(struct work *base, struct block *block, int64_t first, int64_t count,
                           int32_t L, int128 *total)
{
    struct cpu_work *work = cpu_of(base);
    const struct seed_settings settings = {.L = L};
    const struct pass pass = {work, block, &settings, total_rows};

    over_rows(&pass, first, count, PLAIN_ROW_PAIRS);
    for (int i = 0; i < work->threads; i++)
        *total += work->thread[i].total;
    return STATUS_OK;
}

enum status cpu_seed_find(struct work *base, struct block *block, int64_t first, int64_t count,
                          int32_t L, int128 *rest, int64_t *row)
{
    struct cpu_work *work = cpu_of(base);
    int threads = threads_for(work, (double)count * PLAIN_ROW_PAIRS);
    int segments = threads > 1 ? SEED_SEGMENTS : 1;

    tile_check(block, first, count);
    if (segments == 1)
        return ref_seed_find(base, block, first, count, L, rest, row);
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int i = 0; i < segments; i++) {
        int64_t from = part_start(count, i, segments), to = part_start(count, i + 1, segments);
        work->segment[i] = total_of(block, first + from, to - from, L);
    }
    *row = -1;
    for (int i = 0; i < segments && *row < 0; i++) {
        int64_t from = part_start(count, i, segments), to = part_start(count, i + 1, segments);
        if (work->segment[i] <= *rest) /* no running sum in it exceeds the rest */
            *rest -= work->segment[i];
        else
            ref_seed_find(base, block, first + from, to - from, L, rest, row);
    }
    return STATUS_OK;
}

/* Terms of one row as two digits (grid.h), all candidates side by side. */
struct digit_scale {
    double up40, down40, up80;
};

static inline int64_t integer(double with_magic)
{
    int64_t bits;

    memcpy(&bits, &with_magic, sizeof bits);
    return bits - MAGIC_BITS;
}

static void add_terms(const double *restrict s, int count, double w, double m,
                      struct digit_scale scale, int64_t *restrict hi, int64_t *restrict lo)
{
    for (int c = 0; c < count; c++) {
        double p = w * (s[c] < m ? s[c] : m);
        double high = p * scale.up40 + MAGIC;
        double low = (p - (high - MAGIC) * scale.down40) * scale.up80 + MAGIC;
        hi[c] += integer(high);
        lo[c] += integer(low);
    }
}

/* Below this L a power of two overflows; terms that small go by grid_fixed. */
enum { DIGITS_L_LEAST = -940 };

static struct digit_scale scale_of(int32_t L)
{
    return (struct digit_scale){ldexp(1, GRID_SPLIT - L), ldexp(1, L - GRID_SPLIT),
                                ldexp(1, GRID_BITS - L)};
}

static void try_strip(const struct pass *pass, struct thread *thread, int64_t first, int64_t count)
{
    const struct seed_settings *settings = pass->settings;
    const struct block *block = pass->block;
    struct digit_scale scale = scale_of(settings->L);
    int candidates = settings->count;

    for (int64_t i = 0; i < count; i++) {
        const double *s = thread->tried + i * candidates;
        double w = row_weight(block, first + i);
        double m = settings->first_center ? INFINITY : block->seed[first + i];
        if (w <= 0)
            continue;
        if (settings->L >= DIGITS_L_LEAST) {
            add_terms(s, candidates, w, m, scale, thread->try_hi, thread->try_lo);
            continue;
        }
        for (int c = 0; c < candidates; c++)
            thread->totals[c] += grid_fixed(w * (s[c] < m ? s[c] : m), settings->L);
    }
}

static void carry_tried(struct thread *thread, int count)
{
    for (int c = 0; c < count; c++) {
        thread->totals[c] += (int128)thread->try_hi[c] * ((int64_t)1 << GRID_SPLIT);
        thread->totals[c] += thread->try_lo[c];
        thread->try_hi[c] = thread->try_lo[c] = 0;
    }
}

static void try_rows(const struct pass *pass, struct thread *thread, int64_t first, int64_t count)
{
    const struct seed_settings *settings = pass->settings;
    struct cpu_work *work = pass->work;
    int64_t since = 0;

    for (int64_t end = first + count; first < end; first += work->strip_rows) {
        int64_t here = end - first < work->strip_rows ? end - first : work->strip_rows;
        struct strip strip = {thread->strip, here, work->base.shape.columns};
        fill_strip(work, pass->block, first, here, thread->strip);
        work->lanes->table(&strip, &work->candidates, &thread->scratch, thread->tried,
                           settings->count, false);
        try_strip(pass, thread, first, here);
        since += here;
        if (since > GRID_CARRY_ROWS - STRIP_ROWS) {
            carry_tried(thread, settings->count);
            since = 0;
        }
    }
    carry_tried(thread, settings->count);
}

enum status cpu_seed_try(struct work *base, struct block *block, int64_t first, int64_t count,
                         const double *candidates, int candidates_count, bool first_center,
                         int32_t L, int128 *totals)
{
    struct cpu_work *work = cpu_of(base);
    const struct seed_settings settings = {
        .count = candidates_count, .first_center = first_center, .L = L};
    const struct pass pass = {work, block, &settings, try_rows};

    assert(candidates_count >= 0 && candidates_count <= base->shape.candidates);
    work->candidates.clusters = candidates_count;
    pack_panels(&work->candidates, work->lanes->width, candidates);
    for (int i = 0; i < work->threads; i++)
        memset(work->thread[i].totals, 0, (size_t)candidates_count * sizeof *totals);
    over_rows(&pass, first, count, (double)candidates_count * (double)base->shape.columns);
    for (int i = 0; i < work->threads; i++)
        for (int c = 0; c < candidates_count; c++)
            totals[c] += work->thread[i].totals[c];
    return STATUS_OK;
}
