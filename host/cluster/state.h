/* state.h - what a fit holds between its steps. For the files of a fit alone.
 *
 * A fit is a row of steps: the facts, each seeding step, each round, the end of each run. A step
 * reads the state and commits to it in its last lines, so one that a turn stopped left the state as
 * it was and is run again from its beginning. That costs a part of one step and nothing else:
 * an assignment over rows that have their labels already moves nothing.
 *
 * Labels and sums on the device are a function of the centers, because sums are exact and know no
 * order. So they are no part of the state, and a saved fit is as small as its centers. */
#ifndef BARY_HOST_CLUSTER_STATE_H
#define BARY_HOST_CLUSTER_STATE_H

#include "host/cluster/fit.h"
#include "host/cluster/tiles.h"
#include "host/cluster/weights.h"

enum {
    FARTHEST_SPARE = 64,   /* rows of a list beyond two for each empty cluster */
    MOMENTS_COLUMNS = 1024 /* columns of one moments pass: 0.9 MiB of limbs */
};

/* A row and its random bits, for init = random. */
struct row_key {
    uint64_t key;
    int64_t row;
};

/* What a run left. */
struct outcome {
    bool present;
    int64_t run, n_iter;
    enum stop_reason stop;
    double inertia;
    int64_t empty, distinct_below;
    uint128 fingerprint;
    double *centers;
    int64_t *sizes;
    double *history;   /* max_iter of them, or NULL */
    int32_t *labels;   /* rows */
    bool labels_known; /* false after fit_load: one assignment makes them again */
};

/* What fit_save writes. */
struct state {
    enum fit_stage stage;
    int64_t run, round; /* rounds done in this run */
    int64_t chosen;     /* centers seeded in this run */
    int64_t distinct_below;
    enum stop_reason stop;
    double shift;        /* of the last round */
    int64_t moved;       /* in the last round; -1: none yet */
    uint128 fingerprint; /* of the labels of the last round */
    double *centers;     /* clusters x columns: of the next round, or those seeded so far */
    int64_t *seed_row;   /* clusters: the row of each seeded center; -1: none */
    double *history;     /* of this run, or NULL */
};

struct fit {
    struct fit_input input;
    struct kmeans_params params; /* init, n_init resolved; init_centers owned */
    double *init_centers;        /* or NULL */
    struct weights weights;
    struct tiles tiles;
    struct course course;

    struct state state;
    struct outcome best;

    bool prepared; /* facts, grid and shift_limit are known */
    struct facts facts;
    int32_t *L;
    int32_t L_weight;
    double shift_limit;
    struct moments *moments; /* of up to MOMENTS_COLUMNS columns; NULL: tol = 0 */
    uint32_t facts_expected; /* digest of a loaded state's facts */
    bool loaded;

    int64_t marked;        /* seeded centers that the device's seeding distances know */
    double marked_largest; /* the largest w m that they leave */
    int128 *tile_total;
    double *candidates;
    struct row_key *keys;

    struct sums sums; /* a copy of the device's */
    struct assigned assigned;
    bool belong;         /* the device's labels, sums and `assigned` are those of state.centers */
    double *next;        /* centers of the round after */
    struct far_row *far; /* NULL: nothing is relocated */
    double *far_values;
    int64_t *far_cluster; /* which cluster takes it; -1: none */
    int threads;
    bool taken;
};

/* One step of whatever stage the fit is in. */
enum status fit_step(struct fit *fit, struct error *error);
/* The steps after the facts. */
enum status seed_step(struct fit *fit, struct error *error);
enum status round_step(struct fit *fit, struct error *error);
enum status finish_step(struct fit *fit, struct error *error);

/* Facts, grid and the limit of the shift; of a loaded fit they must be those it was saved with. */
enum status fit_prepare(struct fit *fit, struct error *error);
uint32_t facts_digest(const struct facts *facts, int64_t columns);

/* Labels and sums of state.centers: begin, assign, wait, the sums into fit->sums. */
enum status fit_assign(struct fit *fit, double share, struct error *error);
/* The inertia of the labels that fit_assign left. */
enum status fit_inertia(struct fit *fit, double *out, struct error *error);
/* One assignment to best.centers, the labels into best.labels. */
enum status fit_relabel(struct fit *fit, struct error *error);

/* Chooses far rows for the clusters that fit->sums has empty, takes them out of their donors' sums in
 * that copy, and notes them in far_cluster; *count of them. EMPTY_CLUSTER under EMPTY_ERROR. */
enum status empty_choose(struct fit *fit, int *listed, int *count, struct error *error);
/* Puts the chosen rows into the new centers. */
void empty_place(const struct fit *fit, int listed, double *centers);
/* EMPTY_CLUSTER when the request forbids empty clusters and fit->sums has one. */
enum status empty_check(const struct fit *fit, struct error *error);
int farthest_most(const struct shape *shape, int64_t empty);

/* The new centers: means of the sums; a cluster without rows keeps its old one. */
void centers_move(const struct fit *fit, const double *old, double *out);
/* Sum over ascending clusters of canonical(a_j, b_j). */
double centers_shift(const double *a, const double *b, int64_t clusters, int64_t columns);

/* Where the fit stands, in assignments, and what its present step costs. */
void course_set(struct fit *fit);

/* All memory of a fit beside its matrix and weights. */
struct want {
    void *at; /* of a pointer: it is copied there, whatever it points to */
    int64_t count;
    size_t size;
    const char *what;
};
enum { WANTS_MAX = 24 };
int fit_wants(struct fit *fit, int64_t tiles, struct want *out);
/* The shape with what a fit of these parameters adds to it: candidates, farthest. */
struct shape fit_shape(const struct shape *shape, const struct kmeans_params *params);
/* init and n_init as they will be. */
struct kmeans_params kmeans_resolved(const struct kmeans_params *params);

#endif
