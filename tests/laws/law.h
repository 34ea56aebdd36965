/* law.h - what the laws share: every way to run a fit on this machine, data that look for trouble,
 * and one comparison of results to the last byte. */
#ifndef BARY_TESTS_LAWS_LAW_H
#define BARY_TESTS_LAWS_LAW_H

#include "host/cluster/fit.h"
#include "host/cluster/score.h"
#include "tests/check.h"

/* A device as this machine offers it: ref, and cpu on each ISA and number of threads; or, where
 * BARY_TESTED_PLUGIN names a plug-in, ref, one cpu, and the plug-in down the ladder of residencies. */
struct machine {
    const struct backend *backend;
    struct device *device;
    enum residency residency;
    bool stays;    /* open until the program ends */
    char name[48]; /* "cpu avx2 3" */
};
enum { MACHINES_MAX = 16 };
struct machines {
    int count;
    struct machine machine[MACHINES_MAX]; /* the first is ref */
};

/* threads: a list that ends with 0; ISAs that the machine lacks are left out. */
struct machines machines_open(struct check *check, const int *threads);
void machines_close(struct machines *machines);
/* For a claim that one machine proves: the plug-in's first, or a cpu. */
const struct machine *machine_tested(const struct machines *machines);

/* The emulator takes a millisecond for what a card does in microseconds. Where it is the tested plug-in a
 * case has a size of its own: smaller, but with several tiles, chunks and whatever the claim is about. */
bool law_emulated(void);
int64_t law_size(int64_t full, int64_t emulated);

/* Rows and weights, owned. */
struct data {
    enum number number;
    int64_t rows, columns;
    void *values;
    double *weight; /* or NULL */
};
struct data data_new(enum number number, int64_t rows, int64_t columns);
void data_free(struct data *data);
void data_set(struct data *data, int64_t row, int64_t column, double value);
double data_at(const struct data *data, int64_t row, int64_t column);
struct data data_copy(const struct data *data);
/* Gaussian blobs, centers uniform in +-10. */
struct data data_blobs(enum number number, int64_t rows, int64_t columns, int64_t blobs,
                       double width, uint64_t seed);
/* Weights in (0, 3], every seventh 0. */
void data_weigh(struct data *data, uint64_t seed);
/* Doubles of `count` rows, in the given order (NULL: the first ones); free() them. */
double *data_rows(const struct data *data, const int64_t *row, int64_t count);

/* A matrix over the data in chunks of `chunk_rows` (0: one). */
struct view {
    struct table *table;
    struct matrix matrix;
};
bool view_open(struct check *check, const struct data *data, int64_t chunk_rows, struct view *view);
void view_close(struct view *view);

/* Fits that must end well; false: a check failed. */
bool law_fit(struct check *check, const struct machine *machine, const struct data *data,
             int64_t chunk_rows, const struct kmeans_params *params, struct kmeans_result *out);
/* Fits that must end otherwise: the status. */
enum status law_fit_status(const struct machine *machine, const struct data *data,
                           const struct kmeans_params *params, struct error *error);
/* Every byte that is promised. */
bool results_equal(struct check *check, const struct kmeans_result *got,
                   const struct kmeans_result *want);
bool law_predict(struct check *check, const struct machine *machine, const struct data *data,
                 int64_t chunk_rows, const double *centers, int64_t clusters, int32_t *labels,
                 double *distances);

/* Part 1.2 of the contract once more, written for the test alone. */
double law_canonical(const double *x, const double *c, int64_t columns);
/* Labels by scanning all centers. */
void law_labels(const struct data *data, const double *centers, int64_t clusters, int32_t *labels);
/* fixed(x; L) by shifting the mantissa, and powers of two. */
int128 law_fixed(double x, int32_t L);

#endif
