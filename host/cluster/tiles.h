/* tiles.h - rows on a device, and passes over them tile by tile.
 *
 * What a fit and a score share: blocks loaded from a matrix, one loop over their tiles, and the turn
 * after each of them. A pass that a turn stops has done some tiles and not others; whoever runs it
 * must be able to run it again from its first tile. */
#ifndef BARY_HOST_CLUSTER_TILES_H
#define BARY_HOST_CLUSTER_TILES_H

#include "host/cluster/fit.h"

struct tiles {
    const struct backend *backend;
    struct device *device;
    const char *name; /* of the data, for errors */
    struct shape shape;
    struct plan plan;
    struct work *work;
    struct rows *rows;    /* of each block */
    struct block **block; /* blocks without rows are left out */
    int blocks;
    int64_t count; /* tiles of a pass */
};

/* Plans, opens the work and loads every chunk. weight: a double a row, borrowed like the matrix, or
 * NULL. On failure nothing stays open. UNSUPPORTED, OUT_OF_MEMORY, DEVICE_LOST. */
enum status tiles_open(struct tiles *tiles, const struct backend *backend, struct device *device,
                       const char *name, const struct matrix *matrix, const double *weight,
                       const struct shape *shape, struct error *error);
void tiles_close(struct tiles *tiles); /* after a failed open, and twice, is fine */

/* Where the whole stands: the turn to ask and the fraction that the next pass moves. */
struct course {
    const struct turn *turn; /* NULL: nobody is asked */
    struct fit_progress progress;
    double from, to; /* fractions; a pass with share 1 goes all the way */
};

struct pass {
    const char *what; /* "assign", for errors */
    /* What it does with one tile; `number` counts tiles from 0. */
    enum status (*tile)(const struct tiles *tiles, const struct tile *tile, int64_t number,
                        void *context);
    void *context;
    double share; /* of what is left of the course */
};

/* Every tile, the turn after each, then wait. What the turn says ends the pass, the device idle. */
enum status tiles_pass(const struct tiles *tiles, const struct pass *pass, struct course *course,
                       struct error *error);

/* The block that holds `row` of the whole data. */
int tiles_block(const struct tiles *tiles, int64_t row);

/* Values of row `row` of the whole data, -0 as +0. Waits. */
enum status tiles_gather(const struct tiles *tiles, int64_t row, double *out, struct error *error);

/* Passes that both need. */
enum status tiles_facts(const struct tiles *tiles, struct facts *facts, double share,
                        struct course *course, struct error *error);
/* begin(centers), then assign of every tile. */
enum status tiles_assign(const struct tiles *tiles, const double *centers, bool sums,
                         struct assigned *out, double share, struct course *course,
                         struct error *error);
/* Labels into labels[0 .. rows). */
enum status tiles_labels(const struct tiles *tiles, int32_t *labels, struct course *course,
                         struct error *error);
/* The exact total on grid L; per_cluster: NULL or shape.clusters of them. */
enum status tiles_inertia(const struct tiles *tiles, int32_t L, int128 *total, int128 *per_cluster,
                          double share, struct course *course, struct error *error);

/* Bytes, time and longest silence of `passes` assignments over all rows of the shape, into *out.
 * False: they overflow. */
bool plan_cost(const struct plan *plan, const struct shape *shape, double passes, struct cost *out);

/* The sentence of a status that a call to the device ended with. `bytes`: what it was to take. */
enum status device_failed(const struct backend *backend, enum status status, const char *what,
                          int64_t bytes, struct error *error);

#endif
