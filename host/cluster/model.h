/* model.h - what a fit leaves: immutable, the same bytes in a file, an export and a pickle.
 *
 * Bytes: magic "BARYMODL", format version, length, payload in blocks of 1 MiB, each with its crc32c.
 * All numbers little-endian; the layout is drawn in model.c. */
#ifndef BARY_HOST_CLUSTER_MODEL_H
#define BARY_HOST_CLUSTER_MODEL_H

#include "host/cluster/kmeans.h"

enum { MODEL_FORMAT = 1 };

struct model {
    int32_t numerics; /* NUMERICS_VERSION of the fit */
    enum algorithm algorithm;
    enum init init;
    enum number number;
    int64_t n_clusters, columns, rows;
    int64_t n_iter, n_init, max_iter;
    double tol, inertia;
    uint64_t random_state;
    enum stop_reason stop;
    enum non_finite non_finite;
    uint128 fingerprint;
    double *centers; /* n_clusters x columns */
    int64_t *sizes;  /* n_clusters */
    int64_t history_count;
    double *history;
    char **column_names; /* columns of them, or NULL */
    int64_t created_wall_ns;
    int pins;
};

/* A model of a result; copies what it needs. column_names: `columns` of them, or NULL. One pin. */
enum status model_of_result(const struct kmeans_result *result, const struct kmeans_params *params,
                            const char *const *column_names, struct model **out,
                            struct error *error);
/* A model of bare centers, for predict without a fit. */
enum status model_of_centers(const double *centers, int64_t n_clusters, int64_t columns,
                             enum number number, struct model **out, struct error *error);

void model_pin(struct model *model);
void model_unpin(struct model **model);

/* memory_new'ed bytes. */
enum status model_encode(const struct model *model, void **bytes, size_t *count,
                         struct error *error);
/* Checks every length and crc before it believes one: DAMAGED with `what` and the byte, UNSUPPORTED for a newer format. */
enum status model_decode(const char *what, const void *bytes, size_t count, struct model **out,
                         struct error *error);

enum status model_write_file(const struct model *model, const char *path, struct error *error);
enum status model_read_file(const char *path, struct model **out, struct error *error);

#endif
