/* bary_call.h - what the functions of bary.h share: errors out, data in, a device for a call. */
#ifndef BARY_HOST_BARY_CALL_H
#define BARY_HOST_BARY_CALL_H

#include "host/bary.h"
#include "host/cluster/fit.h"
#include "host/cluster/model.h"
#include "host/embedded.h"

struct bary_device {
    struct embedded embedded;
};

/* Turns how a call ended into what the caller sees. Returns `status`. */
int call_end(enum status status, const struct error *error, struct bary_error *out);

/* Checks the data and makes them a matrix; on success matrix_release is owed. */
enum status call_matrix(const struct bary_data *data, struct matrix *out, struct error *error);
const char *call_name(const struct bary_data *data);
struct kmeans_params call_params(const struct bary_data *data,
                                 const struct bary_kmeans_options *options);

/* Does `body` on the device of `run`, or on one opened for it; see embedded_run. */
enum status call_run(const struct bary_run *run, const struct embedded_work *work,
                     enum status (*body)(const struct embedded *device, void *context,
                                         struct error *error),
                     void *context, struct error *error);
/* What the work on a matrix costs: so many passes with so many clusters. */
struct embedded_work call_work(const struct matrix *matrix, const double *weight,
                               int64_t n_clusters, double passes);

/* The turn that asks run's progress function; `context` must outlive it. */
struct turn call_turn(const struct bary_run *run);

/* A model is a struct model: the public name only hides what it is made of. */
static inline const struct model *call_model(const struct bary_model *model)
{
    return (const struct model *)(const void *)model;
}

#endif
