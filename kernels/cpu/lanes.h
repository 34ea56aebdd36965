/* lanes.h - the canonical distance on vector lanes, one table of functions per instruction set.
 *
 * A lane holds one (row, centroid) pair and goes through its columns in order, so no sum is ever
 * split and every level gives the bits of ref. lanes_tmpl.h is the one source; a level is a file
 * that names its vector type and its handful of operations, and includes it. */
#ifndef BARY_KERNELS_CPU_LANES_H
#define BARY_KERNELS_CPU_LANES_H

#include <stdbool.h>
#include <stdint.h>

/* Rows as doubles, row-major. The memory behind holds whole steps of rows: what lies there beyond
 * `rows` is computed along and dropped. */
struct strip {
    const double *values;
    int64_t rows, columns;
};

/* Centers as panels [panel][column][lane]. The lanes beyond `clusters` hold +inf: their distance is
 * +inf or NaN and never wins. */
struct panels {
    double *packed;
    int64_t clusters, columns;
};

/* What a thread needs beside; sizes in doubles a row of a strip: `width`, `width`, 2 * `width`. */
struct lane_scratch {
    double *best, *where, *partial;
};

enum { LANE_PANELS = 2 }; /* panels that one register tile spans */

struct lanes {
    const char *isa;    /* "avx2" */
    const char *method; /* "canonical-avx2" */
    int width;          /* lanes of a vector */
    int step;           /* a strip's memory is a multiple of this many rows */

    /* The nearest center of each row, ties to the lowest index. */
    void (*nearest)(const struct strip *rows, const struct panels *centers,
                    const struct lane_scratch *scratch, double *distance, int32_t *label);
    /* out[row * stride + center], squared or (root) as distances. */
    void (*table)(const struct strip *rows, const struct panels *centers,
                  const struct lane_scratch *scratch, double *out, int64_t stride, bool root);
};

/* Each NULL where the compiler's target lacks it. `wide` is plain C of 8 lanes: it takes the paths of
 * avx512 on every machine, for tests. */
const struct lanes *lanes_plain(void);
const struct lanes *lanes_wide(void);
const struct lanes *lanes_avx2(void);
const struct lanes *lanes_avx512(void);
const struct lanes *lanes_neon(void);

#endif
