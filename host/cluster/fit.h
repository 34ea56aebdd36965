/* fit.h - the state of a fit: opened on a device, run with turns, saved, loaded, closed.
 *
 * fit_run is the loop of k-means over the backend's passes, blind to the kind of device. After every
 * tile it calls turn(): cancel, deadline, preemption and the fast lane live there and nowhere else.
 * Everything that a fit decides hangs on data and parameters alone, so a fit that was saved, loaded
 * (on any device) and run on gives the bits of an undisturbed one. */
#ifndef BARY_HOST_CLUSTER_FIT_H
#define BARY_HOST_CLUSTER_FIT_H

#include "host/cluster/kmeans.h"
#include "host/data/table.h"

enum fit_stage { FIT_FACTS, FIT_SEEDING, FIT_ROUNDS, FIT_FINISH, FIT_DONE };

struct fit_progress {
    enum fit_stage stage;
    int64_t run, n_init;
    int64_t round, max_iter; /* of this run, from 1 */
    int64_t rows_done, rows; /* of this pass */
    double inertia;          /* of the best run so far; NaN: none yet */
    double shift;            /* squared center shift of the last round; NaN: none yet */
    int64_t moved;           /* labels changed in the last round; -1: none yet */
    double fraction;         /* 0..1 of the most there may be to do; may jump to 1 at the end */
};

/* Called after every tile. Anything but STATUS_OK ends fit_run with that status (and the error the
 * turn filled); the fit can then be saved, and run on later from its last whole round. NULL fn: never called. */
struct turn {
    enum status (*fn)(void *context, const struct fit_progress *progress, struct error *error);
    void *context;
};

struct fit;

/* Data of a fit; borrowed until fit_close. */
struct fit_input {
    const char *name; /* for errors: "dataset 'iris'" or "X" */
    const struct matrix *matrix;
    const double *sample_weight; /* matrix->rows, or NULL */
    enum residency residency;    /* the rung of the device's ladder */
};

/* What a fit or a score takes beside the matrix, on the rung of its shape: for admission, and to
 * choose between devices. */
struct cost {
    int64_t host_bytes; /* pinned ones among them */
    int64_t device_bytes, pinned_bytes;
    double expected_ns; /* copies to the device, then every pass over all rows */
    double
        quiet_ns; /* the longest that a device may let nothing be heard: a tile, or loading all */
};
enum status fit_plan(const struct backend *backend, const struct device *device,
                     const struct shape *shape, const struct kmeans_params *params,
                     struct cost *out, struct error *error);

/* Takes all memory, loads the rows. Copies params and the init centers. */
enum status fit_open(const struct backend *backend, struct device *device,
                     const struct fit_input *input, const struct kmeans_params *params,
                     struct fit **out, struct error *error);

/* Runs to the end, or to what turn says. May be called again after a turn stopped it. */
enum status fit_run(struct fit *fit, const struct turn *turn, struct error *error);

/* The result of a fit that ran to its end; moves ownership to *out. Once. */
enum status fit_take_result(struct fit *fit, struct kmeans_result *out, struct error *error);

/* All that is needed to go on with the same bits, as bytes (memory_new'ed): checksummed, versioned.
 * It is the state after the last whole round (or seeding step). */
enum status fit_save(const struct fit *fit, void **bytes, size_t *count, struct error *error);
/* Into a freshly opened fit over the same data and parameters; DAMAGED, SHAPE_MISMATCH, UNSUPPORTED
 * (another numerics version). */
enum status fit_load(struct fit *fit, const void *bytes, size_t count, struct error *error);

void fit_close(struct fit **fit); /* NULL is fine */

/* Opens, runs, takes the result, closes. */
enum status kmeans_fit(const struct backend *backend, struct device *device,
                       const struct fit_input *input, const struct kmeans_params *params,
                       const struct turn *turn, struct kmeans_result *out, struct error *error);

#endif
