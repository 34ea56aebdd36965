/* backend.h - the seam between algorithms and devices.
 *
 * One table of functions per kind of device. kernels/ref fills it in plain C and so defines what is
 * right; kernels/cpu and kernels/cuda overlay it and must give the same bytes.
 *
 *  1. One thread owns a device and makes every call on what came from it. Only plan is for any thread.
 *  2. A call does its work or queues it behind at most TILES_AHEAD tiles; only wait waits for the end.
 *     What a pass computes may be read after wait, and its outputs must stay until then.
 *  3. Memory is taken in open, work_open and load. No pass allocates.
 *  4. A call that fails leaves the work as it was, except DEVICE_LOST, after which only the close
 *     functions may be called.
 *  5. Arithmetic is IEEE with rounding to nearest, no contraction, no reassociation. Wanted FMAs are
 *     written out. -0 counts as +0.
 *  6. The answer is a function of data and parameters: never of tile sizes, block cuts, threads or ISA.
 *
 * A fit:  plan, open, work_open, load each chunk of rows as a block, then passes over tiles of blocks:
 *         facts, moments; grid_set; seed passes; per round begin, assign, wait, sums_read; last inertia.
 */
#ifndef BARY_KERNELS_BACKEND_H
#define BARY_KERNELS_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/device_reason.h"
#include "proto/status.h"

enum {
    BACKEND_ABI = 2,      /* raised by any change to the structs below */
    NUMERICS_VERSION = 1, /* raised by any change to an answer's bits */
    TILES_AHEAD = 2
};

typedef __int128 int128;
typedef unsigned __int128 uint128;

enum number { NUMBER_F32 = 1, NUMBER_F64 = 2 };

/* Rows that lie together: count x columns values of the work's number type, row-major. Borrowed.
 * weight: NULL (all ones) or one double a row: w > 0 takes part; 0: gets a label and otherwise does
 * not exist; -1: skipped, label -1. */
struct rows {
    const void *values;
    const double *weight;
    int64_t first; /* number of the first row in the whole of the data */
    int64_t count;
};

/* How a device holds the rows of a work: a ladder, from the top. UNSUPPORTED by plan: not that rung. */
enum residency {
    RESIDENT,       /* rows on the device, scratch for tiles as large as it likes */
    RESIDENT_SMALL, /* rows on the device, scratch for the smallest tiles */
    STREAMED        /* rows stay with the host; a pass copies its tiles, two of them in turn */
};

struct shape {
    int64_t rows, columns, clusters;
    enum number number;
    bool weighted;
    int candidates; /* most candidates of one seed_try; 0: no seeding */
    int farthest;   /* most rows of one farthest list; 0: none */
    enum residency residency;
};

/* What a shape costs on a device. */
struct plan {
    int64_t work_bytes; /* host memory: packed centers, sums, scratch, for the whole work */
    int64_t
        row_bytes; /* host memory: what hangs on one row beside its values: label, seeding distance */
    int64_t device_work_bytes,
        device_row_bytes; /* the same on a GPU, with the row's values; else 0 */
    int64_t pinned_bytes; /* of work_bytes: cannot be paged, for copies */
    int64_t tile_rows;    /* rows of an assign tile: at most 15 ms of work, at least 1 */
    double row_ns;        /* expected time of assign a row */
    double tile_ns;       /* and of a tile whatever its rows: launch and wait */
    double copy_ns; /* to bring a row to the device: once, in every pass if STREAMED; 0 on a CPU */
    const char *method; /* what assign runs, for reports: "canonical-avx2" */
};

struct device_info {
    char name[64]; /* "cpu" or the card's name */
    int threads;   /* CPU threads it uses; 0 on a GPU */
    int64_t memory_bytes;
    int64_t free_bytes; /* what a GPU can give now; 0 on a CPU */
    char isa[32];       /* "avx512", "avx2", "neon", "plain", "sm_90" */
};

/* Why a device is not there, or failed: a row of device_reason.def and a sentence. */
struct refusal {
    enum device_reason reason; /* REASON_NONE: nothing is wrong */
    char text[192];
};

struct device_options {
    int threads; /* 0: what the machine offers */
    const char *
        isa; /* NULL: the best the machine has; else a ceiling by name: "plain", "avx2", "avx512" */
};

/* The grid of the sums: what the data choose, never the path. L is an exponent: |x| <= 2^L. */
struct grid {
    const int32_t *column; /* L of each column, at least -900 */
    int32_t weight;        /* L_w: the smallest integer with w_max <= 2^L_w; 0 without weights */
};

/* Facts of columns, over rows that take part or have weight 0; skipped rows (-1) do not count.
 * Non-finite and out-of-range values are recorded and do not enter lo, hi, largest. */
struct column_facts {
    double lo, hi;  /* least and greatest value, +0 for -0; of no rows: +inf, -inf */
    double largest; /* largest |x| over the rows that take part */
};
struct facts {
    struct column_facts *column;               /* shape.columns of them, the caller's memory */
    int64_t non_finite;                        /* values NaN or Inf */
    int64_t non_finite_row, non_finite_column; /* the first in row-major order; -1: none */
    double non_finite_value;
    int64_t beyond_row, beyond_column; /* first value with |x| > 2^500; -1: none */
    double beyond_value;
    int64_t taking_part; /* rows of weight > 0 */
    double weight_max;   /* 1 without weights */
};

/* Exact sums of a column: two's complement integers in units of 2^-1074 (S1) and 2^-2148 (S2),
 * little-endian limbs. Adding two of them limb by limb is exact. */
enum { MOMENT_LIMBS_1 = 36, MOMENT_LIMBS_2 = 70 };
struct moments {
    uint64_t s1[MOMENT_LIMBS_1]; /* sum of x */
    uint64_t s2[MOMENT_LIMBS_2]; /* sum of x^2 */
    int64_t count;               /* rows that take part */
};

/* The canonical sums of a round: what a checkpoint, a wire state and an MPI buffer hold. */
struct sums {
    int128 *sum;         /* clusters x columns, on the grid */
    int128 *weight;      /* clusters: sum of fixed(w'; 0); n * 2^80 without weights */
    int64_t *count;      /* clusters: rows that take part */
    uint128 fingerprint; /* of the labels: sum mod 2^128 over the rows that take part */
};

/* What one assign over tiles found since begin. */
struct assigned {
    int64_t moved;       /* rows that take part and whose label changed */
    double largest_term; /* largest RN(w_i * s_i) over the rows that take part, 0 of none */
};

/* A row far from its centroid. */
struct far_row {
    double distance; /* canonical squared distance to its own centroid */
    int64_t row;
    int32_t label;
    double weight;
};

/* Many small fits, each whole and by itself: facts, seeding, rounds, relocation, last assignment. The
 * bits are those of a fit of its own over the passes below, rows numbered from 0 in each problem. */
enum fits_init { FITS_CENTERS, FITS_PLUS_PLUS, FITS_RANDOM };
enum fits_empty { FITS_RELOCATE, FITS_KEEP, FITS_ERROR };
enum fits_stop { FITS_LABELS_EQUAL = 1, FITS_TOLERANCE, FITS_MAX_ITER, FITS_FIXED_ROUNDS };
struct fits {
    enum number number;
    int64_t columns, problems;
    const int64_t *row; /* problems + 1: problem p has rows row[p] .. row[p + 1] - 1 */
    const int64_t
        *center;        /* problems + 1: and centers center[p] .. center[p + 1] - 1, at least one */
    const void *values; /* row 0's: rows that no problem has are not touched */
    const double *weight;  /* row 0's, as the user gave them, finite, >= 0, <= 2^500; or NULL */
    const double *centers; /* center 0's, finite, |c| <= 2^500, no -0; with FITS_CENTERS */
    const uint8_t
        *refused; /* problems, 1: was refused already, left alone with its outputs; or NULL */
    enum fits_init init;
    enum fits_empty empty;
    bool skip_non_finite, fixed_rounds;
    int64_t n_init, max_iter; /* resolved, at least 1 */
    double tol;
    const uint64_t *random_state; /* problems */
};
/* Of a failed problem the members that name the cause, and the rest zeros. In the order of the checks:
 *   TOO_FEW_ROWS      taking_part
 *   NON_FINITE        row, column, value of the first; count of them
 *   ROW_OUT_OF_RANGE  row, column, value of the first |x| > 2^500
 *   OUT_OF_RANGE      w_max * sum of squared column ranges > 2^1020: row and value of the first w_max
 *   EMPTY_CLUSTER     under FITS_ERROR: row = the round, from 1; column = the first empty cluster */
struct fits_result {
    enum status status;
    int64_t row, column, count;
    double value;
    int64_t n_iter, run, empty, skipped, taking_part;
    enum fits_stop stop;
    bool distinct_below;
    double inertia;
    uint128 fingerprint;
};
struct fits_out {
    struct fits_result *result; /* problems */
    double *centers;            /* as in fits.center; of a failed problem: zeros */
    int32_t *labels;            /* as in fits.row; of a failed problem: -1 */
    int64_t *sizes;             /* a count a center; of a failed problem: zeros */
};
/* What a batch of problems of up to so many rows and clusters costs. */
struct fits_plan {
    int64_t
        device_bytes; /* beside rows, centers and labels, for any number of problems; 0 on a CPU */
    int64_t host_bytes; /* beside what struct fits and fits_out point to, in the same way */
    double problem_ns;  /* expected time of one, the device full; the caller cuts calls to 15 ms */
};

struct device; /* opaque, one owner thread */
struct work;   /* the state of one fit or predict on a device */
struct block;  /* rows as the device holds them, with what hangs on them */

struct backend {
    uint32_t abi;      /* BACKEND_ABI */
    uint32_t bytes;    /* sizeof(struct backend): a second guard */
    const char *name;  /* "ref", "cpu", "cuda" */
    const char *build; /* compiler, flags, targets: for GetServer */

    /* Devices. devices: how many; 0 with the reason. Describes up to `most` into info. why may be NULL. One
     * that is busy or broken counts: open says so, and each that is busy is tried again by itself. */
    int (*devices)(struct device_info *info, int most, struct refusal *why);
    enum status (*open)(int index, const struct device_options *options, struct device **out,
                        struct refusal *why);
    void (*close)(struct device **device); /* NULL is fine */
    void (*describe)(const struct device *device, struct device_info *out);
    /* What DEVICE_LOST was: the call, the code, the driver's words. REASON_NONE: nothing happened. */
    void (*failure)(const struct device *device, struct refusal *out);

    /* Pure, for any thread. UNSUPPORTED is said here and nowhere later. */
    enum status (*plan)(const struct device *device, const struct shape *shape, struct plan *out);

    /* The work takes all its memory now. OUT_OF_MEMORY. */
    enum status (*work_open)(struct device *device, const struct shape *shape, struct work **out);
    void (*work_close)(struct work **work); /* after its blocks; NULL is fine */

    /* A chunk of rows becomes a block: labels -1, seeding distance 1. On a CPU it borrows the rows,
     * which must stay. `rows.first` counts in the whole data. */
    enum status (*load)(struct work *work, const struct rows *rows, struct block **out);
    void (*unload)(struct work *work, struct block **block);

    /* Waits until all that was queued on this work is done and says how it went. */
    enum status (*wait)(struct work *work);

    /* Every pass below takes a tile: rows first .. first + count - 1 of the block, counted from the
     * block's first row. Results fold into `out` (which the caller initialised), in any order. */

    /* facts_init'ed by the caller. */
    enum status (*facts)(struct work *work, struct block *block, int64_t first, int64_t count,
                         struct facts *out);
    /* Columns [column, column + columns) of the rows that take part; unweighted. out: `columns` of them. */
    enum status (*moments)(struct work *work, struct block *block, int64_t first, int64_t count,
                           int64_t column, int64_t columns, struct moments *out);

    /* Fixes the grid of this work; before the first assign with sums, seed, inertia or
     * farthest. Copied. */
    enum status (*grid_set)(struct work *work, const struct grid *grid);

    /* Packs centers (shape.clusters x columns, fp64) for the passes of a round; resets `assigned`. */
    enum status (*begin)(struct work *work, const double *centers);
    /* Labels by the canonical distance, ties to the lowest index. `sums`: rows whose label changed
     * leave their old cluster's sums and enter their new one's, and the fingerprint follows. */
    enum status (*assign)(struct work *work, struct block *block, int64_t first, int64_t count,
                          bool sums);
    enum status (*assigned)(struct work *work, struct assigned *out); /* after wait */

    /* Labels of a tile, to and from host memory. labels_write also tells which rows the sums hold. */
    enum status (*labels_read)(struct work *work, struct block *block, int64_t first, int64_t count,
                               int32_t *out);
    enum status (*labels_write)(struct work *work, struct block *block, int64_t first,
                                int64_t count, const int32_t *labels);

    /* The canonical sums: a copy out; a copy in (zeros start a rebuild). */
    enum status (*sums_read)(struct work *work, struct sums *out);
    enum status (*sums_write)(struct work *work, const struct sums *in);

    /* Adds fixed(RN(w_i s_i); L) of the rows that take part, s_i canonical to the row's own centroid
     * by its present label and the centers of begin. per_cluster (NULL: not asked): the same per label. */
    enum status (*inertia)(struct work *work, struct block *block, int64_t first, int64_t count,
                           int32_t L, int128 *total, int128 *per_cluster);
    /* sqrt(canonical) of every (row, centroid): count x clusters doubles. Skipped rows: NaN. */
    enum status (*distances)(struct work *work, struct block *block, int64_t first, int64_t count,
                             double *out);

    /* Seeding. m_i is the block's seeding distance, P_i = fixed(RN(w_i m_i); L); rows that do not take
     * part have P_i = 0. */
    /* m_i = value for all rows. */
    enum status (*seed_reset)(struct work *work, struct block *block, double value);
    /* m_row = value, row counted in the block. */
    enum status (*seed_mark)(struct work *work, struct block *block, int64_t row, double value);
    /* m_i = min(m_i, canonical(x_i, center)), or = it when `first_center`; folds max RN(w_i m_i) into *largest. */
    enum status (*seed_take)(struct work *work, struct block *block, int64_t first, int64_t count,
                             const double *center, bool first_center, double *largest);
    /* Folds max RN(w_i m_i) alone. */
    enum status (*seed_largest)(struct work *work, struct block *block, int64_t first,
                                int64_t count, double *largest);
    /* Adds sum of P_i to *total. */
    enum status (*seed_total)(struct work *work, struct block *block, int64_t first, int64_t count,
                              int32_t L, int128 *total);
    /* The first row of the tile (counted in the block) whose running sum of P exceeds *rest; -1 and *rest
     * reduced by the tile's total when there is none. */
    enum status (*seed_find)(struct work *work, struct block *block, int64_t first, int64_t count,
                             int32_t L, int128 *rest, int64_t *row);
    /* totals[c] += sum of fixed(RN(w_i min(m_i, canonical(x_i, candidate_c))); L); with `first_center`
     * m_i does not count. candidates: count_c x columns. */
    enum status (*seed_try)(struct work *work, struct block *block, int64_t first, int64_t count,
                            const double *candidates, int candidates_count, bool first_center,
                            int32_t L, int128 *totals);

    /* Merges the tile's farthest rows into list[0 .. *held), sorted by distance descending, then row;
     * keeps at most `most` <= shape.farthest. values: most x columns doubles beside it. Left out: distance 0,
     * rows that do not take part, rows whose values equal those of a row already listed before it. */
    enum status (*farthest)(struct work *work, struct block *block, int64_t first, int64_t count,
                            int most, struct far_row *list, double *values, int *held);

    /* One row's values as doubles (row counted in the block). */
    enum status (*gather)(struct work *work, struct block *block, int64_t row, double *out);

    /* Many small fits; no work is open for them. NULL: this backend has none. fits_plan is pure, for any
     * thread, and reads no pointer of `fits`; UNSUPPORTED: a problem of so many rows and clusters is too
     * large, or its rounds could take too long. fits waits, and takes its memory at its start. A problem
     * that fails is its result's status alone. OUT_OF_MEMORY, DEVICE_LOST: nothing was written. */
    enum status (*fits_plan)(const struct device *device, const struct fits *fits, int64_t rows,
                             int64_t clusters, struct fits_plan *out);
    enum status (*fits)(struct device *device, const struct fits *fits, struct fits_out *out);
};

/* The one symbol of a plug-in: its table, or NULL if it was built for another ABI. */
#define BACKEND_PLUGIN_SYMBOL "bary_plugin"
typedef const struct backend *backend_plugin(uint32_t abi);

/* The backends compiled in, best first; NULL ends it. ref is always last. */
const struct backend *const *backend_list(void);
const struct backend *backend_named(const char *name); /* NULL: no such */

/* facts of no rows; column[0 .. columns) is the caller's. */
void facts_init(struct facts *facts, struct column_facts *column, int64_t columns);

/* Cuts blocks into tiles, in row order. */
struct tile_cursor {
    struct block *const *block;
    const struct rows *rows; /* of each block */
    int blocks;
    int64_t tile_rows;
    int at;       /* present block */
    int64_t next; /* its first row that was not handed out */
};
struct tile {
    struct block *block;
    int index;            /* of the block */
    int64_t first, count; /* in the block */
    int64_t row;          /* number of the first row in the whole data */
};
static inline struct tile_cursor tile_cursor(struct block *const *block, const struct rows *rows,
                                             int blocks, int64_t tile_rows)
{
    return (struct tile_cursor){
        .block = block, .rows = rows, .blocks = blocks, .tile_rows = tile_rows};
}
/* False: all were handed out. */
static inline bool tile_next(struct tile_cursor *cursor, struct tile *out)
{
    while (cursor->at < cursor->blocks && cursor->next >= cursor->rows[cursor->at].count) {
        cursor->at++;
        cursor->next = 0;
    }
    if (cursor->at >= cursor->blocks)
        return false;
    const struct rows *rows = &cursor->rows[cursor->at];
    int64_t left = rows->count - cursor->next;
    *out = (struct tile){.block = cursor->block[cursor->at],
                         .index = cursor->at,
                         .first = cursor->next,
                         .count = left < cursor->tile_rows ? left : cursor->tile_rows,
                         .row = rows->first + cursor->next};
    cursor->next += out->count;
    return true;
}

#endif
