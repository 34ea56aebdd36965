/* cpu.h - what the CPU backend adds to a device, a work and a block of ref.
 *
 * Rows are split among threads in contiguous ranges. A thread writes only its own `struct thread`
 * and its rows' labels and distances; the owner folds the threads after the region. What is folded
 * are maxima and integers, so the number of threads cannot show. */
#ifndef BARY_KERNELS_CPU_CPU_H
#define BARY_KERNELS_CPU_CPU_H

#include "kernels/cpu/lanes.h"
#include "kernels/ref/work.h"

enum {
    THREADS_MAX = 1024,
    STRIP_ROWS = 64,
    FAR_ROWS = 1 << 14,      /* rows whose distances farthest looks through at a time */
    SEED_SEGMENTS = 1 << 10, /* pieces of a tile that seed_find sums in parallel */
    MOMENT_COLUMNS = 64,     /* four lines of fp32 a row: fewer, and each line waits for memory */
    MOMENT_DIGITS_1 = 68,    /* 32-bit digits of S1 and S2 that add_digits can reach */
    MOMENT_DIGITS_2 = 132
};

/* Numbers that cost time and never bits. Tests turn them to take every path on small data. */
struct cpu_tuning {
    double parallel_pairs;  /* (row, centroid, column) pairs below which a region costs more */
    double thread_pairs;    /* the least that is worth a thread */
    int64_t strip_bytes;    /* half of a second-level cache: a strip of wide rows is shorter */
    int64_t slot_bytes_max; /* all threads' tables of sums; above, threads share one */
    int64_t carry_rows;     /* rows between two carries of the slots, at most GRID_CARRY_ROWS */
};

struct cpu_device {
    struct device base;
    const struct lanes *lanes;
    struct cpu_tuning tuning;
};

/* Sums on their way: two digits a (cluster, column), carried into the int128 of the work. */
struct slots {
    int64_t *hi, *lo; /* clusters x columns */
    int64_t *count;   /* clusters */
    int64_t *touched; /* clusters: rows added or taken out; 0: nothing to carry */
    int128 *weight;   /* clusters; used by weighted blocks */
};

/* fp32: sums of mantissas and of their squares, one pair an exponent; 4 more than there are, so that
 * the columns' tables do not share the lines of a cache. Squares have 48 bits, hence the rows. */
enum { MOMENT_BUCKETS = 256 + 4, MOMENT_BUCKET_ROWS = 1 << 16 };
struct moment_buckets {
    struct {
        int64_t s1;
        uint64_t s2;
    } at[MOMENT_BUCKETS];
};

/* Digits of exact sums, without carries. */
struct moment_digits {
    int64_t s1[MOMENT_DIGITS_1], s2[MOMENT_DIGITS_2];
    int64_t count;
};

/* What one thread holds and finds in a pass. */
struct thread {
    _Alignas(64) double *strip; /* strip rows x columns */
    struct lane_scratch scratch;
    double *distance;               /* a strip's */
    int32_t *label;                 /* a strip's */
    double *tried;                  /* strip rows x candidates */
    int64_t *try_hi, *try_lo;       /* candidates */
    int128 *totals;                 /* candidates */
    int128 *per_cluster;            /* clusters */
    struct column_facts *column;    /* columns: of a run of rows, then folded */
    double *lo, *hi, *largest;      /* columns */
    int64_t *odd;                   /* columns: whether a run met something not plain */
    struct moment_digits *digits;   /* MOMENT_COLUMNS */
    struct moment_buckets *buckets; /* MOMENT_COLUMNS; NULL for fp64 */
    struct facts facts;
    int64_t moved;
    double largest_term;
    uint128 fingerprint;
    int128 total;
};

struct cpu_work {
    struct work base;
    const struct lanes *lanes;
    struct cpu_tuning tuning;
    int threads;
    int64_t strip_rows;
    bool shared_slots; /* one table; a thread owns a range of clusters */
    int64_t slot_rows; /* most rows that any slot took since the last carry */
    struct panels panels, candidates;
    double *up40, *down40, *up80, *down; /* columns: powers of two of the grid */
    double *far;                         /* FAR_ROWS */
    int128 *segment;                     /* SEED_SEGMENTS */
    struct slots *slots;                 /* `threads` of them, or one */
    struct thread *thread;               /* `threads` */
};

static inline struct cpu_work *cpu_of(struct work *work)
{
    return (struct cpu_work *)work;
}

/* The arrays of a cpu work, behind those of ref. */
void carve_cpu(struct carver *carver, struct cpu_work *work);

/* What a pass does with rows [first, first + count) of a block, in one thread. */
struct pass {
    struct cpu_work *work;
    struct block *block;
    const void *settings; /* the pass's own */
    void (*rows)(const struct pass *pass, struct thread *thread, int64_t first, int64_t count);
};

/* Resets what threads find, runs the pass over the tile, in parallel where `row_pairs`, the cost of a
 * row in pairs, makes it worth while. */
void over_rows(const struct pass *pass, int64_t first, int64_t count, double row_pairs);
/* The same split over [0, count) things that are not rows. Threads may be idle. */
int threads_for(const struct cpu_work *work, double pairs);

/* The i-th of n nearly equal parts of `count` starts here. */
static inline int64_t part_start(int64_t count, int64_t i, int64_t n)
{
    return (int64_t)((int128)count * i / n);
}

/* Rows as doubles. */
void fill_strip(const struct cpu_work *work, const struct block *block, int64_t first,
                int64_t count, double *strip);
/* The canonical distance of each row of a strip to a center of its own; NULL: not computed. */
void own_distances(const double *strip, int64_t columns, int64_t count, const double *const *center,
                   double *distance);
void pack_panels(struct panels *panels, int width, const double *centers);
/* Panels' doubles for so many clusters, whatever the width of the lanes. */
int64_t panel_columns(int64_t clusters);

/* Adds a row to the slots, or takes it out (sign -1). */
void slots_add(const struct cpu_work *work, const struct slots *slots, const struct block *block,
               int64_t row, const double *values, int32_t label, int sign);
/* Empties the slots into the sums of the work. */
void slots_carry(struct cpu_work *work);

/* The best level of this machine, lowered by `asked` (NULL: not) and by BARY_ISA. NULL: a name is
 * unknown or not on this machine; why[128] says which. */
const struct lanes *lanes_choose(const char *asked, char *why);
/* NULL, or one sentence why this CPU is too old. */
const char *cpu_refusal(void);

/* The functions of the table, promised in backend.h. */
int cpu_devices(struct device_info *info, int most, struct refusal *why);
enum status cpu_open(int index, const struct device_options *options, struct device **out,
                     struct refusal *why);
void cpu_close(struct device **device);
void cpu_describe(const struct device *device, struct device_info *out);
enum status cpu_plan(const struct device *device, const struct shape *shape, struct plan *out);
enum status cpu_work_open(struct device *device, const struct shape *shape, struct work **out);
void cpu_work_close(struct work **work);
enum status cpu_load(struct work *work, const struct rows *rows, struct block **out);
enum status cpu_facts(struct work *work, struct block *block, int64_t first, int64_t count,
                      struct facts *out);
enum status cpu_moments(struct work *work, struct block *block, int64_t first, int64_t count,
                        int64_t column, int64_t columns, struct moments *out);
enum status cpu_grid_set(struct work *work, const struct grid *grid);
enum status cpu_begin(struct work *work, const double *centers);
enum status cpu_assign(struct work *work, struct block *block, int64_t first, int64_t count,
                       bool sums);
enum status cpu_sums_read(struct work *work, struct sums *out);
enum status cpu_sums_write(struct work *work, const struct sums *in);
enum status cpu_inertia(struct work *work, struct block *block, int64_t first, int64_t count,
                        int32_t L, int128 *total, int128 *per_cluster);
enum status cpu_distances(struct work *work, struct block *block, int64_t first, int64_t count,
                          double *out);
enum status cpu_seed_take(struct work *work, struct block *block, int64_t first, int64_t count,
                          const double *center, bool first_center, double *largest);
enum status cpu_seed_largest(struct work *work, struct block *block, int64_t first, int64_t count,
                             double *largest);
enum status cpu_seed_total(struct work *work, struct block *block, int64_t first, int64_t count,
                           int32_t L, int128 *total);
enum status cpu_seed_find(struct work *work, struct block *block, int64_t first, int64_t count,
                          int32_t L, int128 *rest, int64_t *row);
enum status cpu_seed_try(struct work *work, struct block *block, int64_t first, int64_t count,
                         const double *candidates, int candidates_count, bool first_center,
                         int32_t L, int128 *totals);
enum status cpu_farthest(struct work *work, struct block *block, int64_t first, int64_t count,
                         int most, struct far_row *list, double *values, int *held);
enum status cpu_fits_plan(const struct device *device, const struct fits *fits, int64_t rows,
                          int64_t clusters, struct fits_plan *out);
enum status cpu_fits(struct device *device, const struct fits *fits, struct fits_out *out);

#endif
