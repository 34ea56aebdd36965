/* lanes_tmpl.h - the register tile of the canonical distance, for any vector type.
 *
 * A tile is ROWS rows x 2 panels, or 2 * ROWS rows x 1 panel where one is left: that many running
 * sums hide the latency of an FMA, and a column costs 2 loads and ROWS broadcasts. Panels go over a
 * strip of rows one after the other, in chunks of columns that stay in the first-level cache; between
 * chunks the running sums rest in memory, which changes no bit. Bound by the two arithmetic
 * instructions a pair costs.
 *
 * The including file defines: LANES, ROWS, LEVEL (a word), vec, vec_mask, and
 * vec_set1 vec_load vec_store vec_sub vec_fma vec_less vec_blend vec_sqrt. Alone it holds nothing. */
#ifndef BARY_KERNELS_CPU_LANES_TMPL_H
#define BARY_KERNELS_CPU_LANES_TMPL_H

#include <math.h>
#include <stddef.h>

#include "kernels/cpu/lanes.h"

#ifdef LEVEL

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define TEXT_(a) #a
#define TEXT(a) TEXT_(a)
#define INLINE static inline __attribute__((always_inline))
/* Unrolled in full, or the running sums would not live in registers. */
#if defined(__clang__)
#define EACH(i, n) _Pragma("clang loop unroll(full)") for (int i = 0; i < (n); i++)
#else
#define EACH(i, n) _Pragma("GCC unroll 16") for (int i = 0; i < (n); i++)
#endif

enum {
    SUMS = ROWS * LANE_PANELS,
    CHUNK_BYTES = 16 << 10, /* half of a first-level cache */
    CHUNK_COLUMNS = CHUNK_BYTES / (LANES * LANE_PANELS * 8)
};

/* One tile's place in a pass. */
struct tile_at {
    int64_t row, panel;
    int64_t from, to; /* columns of this chunk */
};

INLINE void sums_resume(vec *sums, const struct lane_scratch *scratch, struct tile_at at, int rows,
                        int panels)
{
    const double *rest = scratch->partial + at.row * LANES * LANE_PANELS;

    EACH(i, rows * panels)
    {
        sums[i] = at.from == 0 ? vec_set1(0) : vec_load(rest + i * LANES);
    }
}

INLINE void sums_rest(const vec *sums, const struct lane_scratch *scratch, struct tile_at at,
                      int rows, int panels)
{
    double *rest = scratch->partial + at.row * LANES * LANE_PANELS;

    EACH(i, rows * panels)
    {
        vec_store(rest + i * LANES, sums[i]);
    }
}

/* t = x - c; s = fma(t, t, s), column after column. */
INLINE void accumulate(vec *sums, const struct strip *strip, const struct panels *centers,
                       struct tile_at at, int rows, int panels)
{
    const int64_t stride = strip->columns;
    const double *x = strip->values + at.row * stride;
    const double *c = centers->packed + at.panel * stride * LANES;

    for (int64_t d = at.from; d < at.to; d++) {
        vec center[LANE_PANELS];
        EACH(p, panels)
        {
            center[p] = vec_load(c + (p * stride + d) * LANES);
        }
        EACH(r, rows)
        {
            vec value = vec_set1(x[r * stride + d]);
            EACH(p, panels)
            {
                vec t = vec_sub(value, center[p]);
                sums[r * panels + p] = vec_fma(t, t, sums[r * panels + p]);
            }
        }
    }
}

/* Strictly less, panels ascending: within a lane a tie stays with the lower index. */
INLINE void keep_nearest(const vec *sums, const struct lane_scratch *scratch, struct tile_at at,
                         int rows, int panels)
{
    EACH(r, rows)
    {
        double *best_at = scratch->best + (at.row + r) * LANES;
        double *where_at = scratch->where + (at.row + r) * LANES;
        vec best = vec_load(best_at), where = vec_load(where_at);
        EACH(p, panels)
        {
            vec_mask less = vec_less(sums[r * panels + p], best);
            best = vec_blend(best, sums[r * panels + p], less);
            where = vec_blend(where, vec_set1((double)(at.panel + p)), less);
        }
        vec_store(best_at, best);
        vec_store(where_at, where);
    }
}

/* Where a table's numbers go. */
struct table_out {
    double *out;
    int64_t stride;
    bool root;
};

INLINE void write_table(const vec *sums, const struct strip *strip, const struct panels *centers,
                        const struct table_out *to, struct tile_at at, int rows, int panels)
{
    EACH(r, rows)
    {
        if (at.row + r >= strip->rows)
            return;
        EACH(p, panels)
        {
            int64_t first = (at.panel + p) * LANES, left = centers->clusters - first;
            double *out = to->out + (at.row + r) * to->stride + first;
            vec s = sums[r * panels + p];
            double part[LANES];
            if (to->root)
                s = vec_sqrt(s);
            if (left >= LANES) {
                vec_store(out, s);
                continue;
            }
            vec_store(part, s);
            for (int64_t lane = 0; lane < left; lane++)
                out[lane] = part[lane];
        }
    }
}

/* All rows of the strip against `panels` panels from at.panel on. to NULL: the nearest is asked. */
INLINE void sweep(const struct strip *strip, const struct panels *centers,
                  const struct lane_scratch *scratch, const struct table_out *to, struct tile_at at,
                  int rows, int panels)
{
    for (at.from = 0; at.from < strip->columns; at.from = at.to) {
        int64_t left = strip->columns - at.from;
        at.to = at.from + (left < CHUNK_COLUMNS * 3 / 2 ? left : CHUNK_COLUMNS);
        for (at.row = 0; at.row < strip->rows; at.row += rows) {
            vec sums[SUMS];
            sums_resume(sums, scratch, at, rows, panels);
            accumulate(sums, strip, centers, at, rows, panels);
            if (at.to < strip->columns)
                sums_rest(sums, scratch, at, rows, panels);
            else if (to)
                write_table(sums, strip, centers, to, at, rows, panels);
            else
                keep_nearest(sums, scratch, at, rows, panels);
        }
    }
}

INLINE void all_panels(const struct strip *strip, const struct panels *centers,
                       const struct lane_scratch *scratch, const struct table_out *to)
{
    const int64_t count = (centers->clusters + LANES - 1) / LANES;
    struct tile_at at = {0};

    for (; at.panel + LANE_PANELS <= count; at.panel += LANE_PANELS)
        sweep(strip, centers, scratch, to, at, ROWS, LANE_PANELS);
    for (; at.panel < count; at.panel++)
        sweep(strip, centers, scratch, to, at, SUMS, 1);
}

static void nearest(const struct strip *strip, const struct panels *centers,
                    const struct lane_scratch *scratch, double *distance, int32_t *label)
{
    const int64_t whole = (strip->rows + SUMS - 1) / SUMS * SUMS;

    for (int64_t i = 0; i < whole; i++) {
        vec_store(scratch->best + i * LANES, vec_set1(INFINITY));
        vec_store(scratch->where + i * LANES, vec_set1(0));
    }
    all_panels(strip, centers, scratch, NULL);
    for (int64_t i = 0; i < strip->rows; i++) {
        const double *best = scratch->best + i * LANES, *where = scratch->where + i * LANES;
        double least = best[0], at = where[0] * LANES;
        EACH(lane, LANES)
        {
            double index = where[lane] * LANES + lane;
            bool better = best[lane] < least || (best[lane] == least && index < at);
            least = better ? best[lane] : least;
            at = better ? index : at;
        }
        distance[i] = least;
        label[i] = (int32_t)at;
    }
}

static void table(const struct strip *strip, const struct panels *centers,
                  const struct lane_scratch *scratch, double *out, int64_t stride, bool root)
{
    const struct table_out to = {.out = out, .stride = stride, .root = root};

    all_panels(strip, centers, scratch, &to);
}

static const struct lanes level = {.isa = TEXT(LEVEL),
                                   .method = "canonical-" TEXT(LEVEL),
                                   .width = LANES,
                                   .step = SUMS,
                                   .nearest = nearest,
                                   .table = table};

const struct lanes *JOIN(lanes_, LEVEL)(void)
{
    return &level;
}

#endif
#endif
