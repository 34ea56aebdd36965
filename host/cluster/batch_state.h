/* batch_state.h - a batch on its way. For the files of a batch alone. */
#ifndef BARY_HOST_CLUSTER_BATCH_STATE_H
#define BARY_HOST_CLUSTER_BATCH_STATE_H

#include "host/cluster/batch.h"

#define BATCH_CALL_NS 15e6 /* of one call of `fits`: the turn comes after it */

/* What problems of one shape cost; asked again only when the shape changes. */
struct shape_cost {
    int64_t rows, clusters; /* -1: none yet */
    bool small;             /* for `fits` */
    struct fits_plan plan;
};

struct batch {
    const struct backend *backend;
    struct device *device;
    const struct batch_input *input;
    struct kmeans_params params; /* resolved; init_centers those below */
    const struct turn *turn;
    struct batch_result result;
    double *init_centers; /* a copy, -0 as +0; NULL: not given */
    int64_t *local;       /* problems + 1: rows of a call, counted in its chunk */
    uint8_t *refused;     /* problems: failed before `fits` */
    struct fits fits;     /* what all calls share */
    struct shape_cost cost;
    struct fit_progress progress;
};

/* Shared parameters and arrays; fills offsets, n_clusters and fits of the result. */
enum status batch_check(const struct batch_input *input, const struct kmeans_params *params,
                        struct error *error);
/* What `fits` is told of all problems. */
struct fits batch_fits(const struct batch_input *input, const struct kmeans_params *resolved);
int64_t batch_clusters(const struct batch_input *input, const struct kmeans_params *params,
                       int64_t problem);
/* Centers that the problem has in the result. */
int64_t batch_centers(const struct batch_input *input, const struct kmeans_params *params,
                      int64_t problem);
/* Whether problems of this shape are for `fits`, and what one costs. */
const struct shape_cost *batch_shape(const struct backend *backend, const struct device *device,
                                     const struct fits *fits, int64_t rows, int64_t clusters,
                                     struct shape_cost *cost);

/* Notes what an ordinary fit failed with. False: it is not the problem's fault. */
bool batch_note(struct batch_result *result, int64_t problem, const struct error *error);

#endif
