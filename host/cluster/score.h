/* score.h - labels, distances and inertia of rows under given centers. */
#ifndef BARY_HOST_CLUSTER_SCORE_H
#define BARY_HOST_CLUSTER_SCORE_H

#include "host/cluster/fit.h"
#include "host/cluster/model.h"

/* The weights of a prediction's input are not looked at. labels: rows int32, or NULL. distances: rows x n_clusters Euclidean distances (doubles), or NULL.
 * With REJECT a non-finite value is NON_FINITE; with SKIP its row gets label -1 and NaN distances.
 * SHAPE_MISMATCH when the matrix has other columns than the model. */
enum status score_predict(const struct backend *backend, struct device *device,
                          const struct fit_input *input, const struct model *model,
                          enum non_finite non_finite, const struct turn *turn, int32_t *labels,
                          double *distances, struct error *error);

/* Inertia under the model's centers. Both arrays: n_clusters, or NULL. */
struct inertia_result {
    double inertia;
    double *per_cluster;
    int64_t *sizes; /* rows that take part */
};
enum status score_inertia(const struct backend *backend, struct device *device,
                          const struct fit_input *input, const struct model *model,
                          enum non_finite non_finite, const struct turn *turn,
                          struct inertia_result *out, struct error *error);

/* For admission, like fit_plan. */
enum status score_plan(const struct backend *backend, const struct device *device,
                       const struct shape *shape, struct cost *out, struct error *error);

#endif
