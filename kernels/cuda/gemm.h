/* gemm.h - assign for many columns: a product of matrices proposes, the canonical distance decides.
 *
 * Rows and centers, each less the pivot and scaled by a power of two of its own, are rounded to fp16;
 * cuBLASLt multiplies them into a tile of scores; a proof (certify.cu) leaves each row the centers that
 * can still be nearest, mostly one; the canonical chain of these pairs settles label and distance. So
 * the bytes are those of the canonical kernel, whatever the product lost. */
#ifndef BARY_KERNELS_CUDA_GEMM_H
#define BARY_KERNELS_CUDA_GEMM_H

#include <stdint.h>

#include "kernels/backend.h"

struct device;
struct work;
struct carver;
struct settle;
struct kernel_list;
struct cublaslt;
struct lt_algorithm;
struct lt_layout;
struct lt_operation;

/* What is known of a vector y and its fp16 words y': y' = words * unit. All but unit are rounded up. */
struct row_bound {
    double stored; /* |y'| */
    double rest;   /* |y - y'| */
    double square; /* |y|^2 */
    double unit;   /* -1: the row is skipped */
};
/* Of a center d: what certify.cu multiplies by a row's. */
struct center_bound {
    double half;   /* |d|^2 / 2, to within its 2^-30th */
    double stored; /* by |y'|: |d - d'| + (2 Gamma + 2^-30) |d'| */
    double whole;  /* by |y - y'|: |d| */
    double unit;
};

/* A row and a center that may be its nearest. */
struct pair {
    int32_t row, center;
};
/* A row's pairs: they lie together. */
struct open_row {
    int32_t first, count;
};
struct gemm_count {
    unsigned pairs, full; /* full: a row's pairs did not fit; the tile is the canonical kernel's */
};

/* Job lifetime; rows 0: the work has no product of matrices. All but `matmul` is device memory. */
struct gemm_state {
    int64_t rows;              /* of a product */
    int64_t columns, clusters; /* as stored: multiples of 8 */
    int64_t pairs_most;
    double *pivot;               /* shape.columns */
    uint16_t *centers, *shadow;  /* clusters x columns, rows x columns: fp16 */
    struct center_bound *center; /* clusters */
    struct row_bound *row;       /* rows */
    float *score;                /* rows x clusters */
    struct open_row *open;       /* rows */
    struct pair *pair;           /* pairs_most */
    double *distance;            /* pairs_most */
    struct gemm_count *count;    /* of this product */
    char *workspace;             /* GEMM_WORKSPACE_BYTES */
    struct gemm_matmul *matmul;  /* how it is done; NULL before gemm_open */
};

/* Process lifetime, of a device. NULL: no memory. The environment is read here. */
struct gemm_library *gemm_library_new(void);
/* alive: CUDA may be called. */
void gemm_library_free(struct gemm_library **library, bool alive);

/* True: a work of this shape would take this path. Opens cuBLASLt when first asked; for any thread. */
bool gemm_ready(const struct device *device, const struct shape *shape);
/* Every later work takes the canonical kernel. */
void gemm_refuse(struct device *device);

/* Expected ns of a row. */
double gemm_row_ns(const struct device *device, const struct shape *shape);
/* Sizes, once; then memory by them. */
void gemm_design(const struct device *device, struct work *work);
void gemm_carve(struct carver *carver, struct work *work);
/* What a product needs beside memory, and a probe of its accuracy. If it cannot be had, or is not what
 * the proof needs, the work has rows 0 from here on. */
enum status gemm_open(struct work *work);
void gemm_close(struct work *work);

/* Centers to fp16, with their bounds. */
enum status gemm_begin(struct work *work);
/* Scores of work->assign.gemm.rows shadow rows: queued. False: cuBLASLt refused, nothing was queued. */
bool gemm_multiply(struct work *work);
/* Labels, moved rows and largest term of a tile. */
enum status gemm_assign(struct work *work, const struct settle &to);

/* Gamma: |score - exact product of the stored words| <= Gamma |y'| |d'|, by the worst way a card may take. */
double gemm_gamma(int64_t columns);

void shadow_kernels(struct kernel_list *list);  /* shadow.cu */
void certify_kernels(struct kernel_list *list); /* certify.cu */
void refine_kernels(struct kernel_list *list);  /* refine.cu */

/* shadow.cu: `count` rows from row `first` of the tile to fp16. */
enum status shadow_rows(struct work *work, const struct settle &to, int64_t first, int64_t count);
/* certify.cu: the pairs that the scores leave open. */
enum status certify(struct work *work, int64_t count);
/* refine.cu: their canonical distances, then labels. */
enum status refine(struct work *work, const struct settle &to, int64_t first, int64_t count);

#endif
