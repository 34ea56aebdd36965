/* batch_case.h - batches of small problems that look for trouble, and the fits of their problems alone. */
#ifndef BARY_TESTS_LAWS_BATCH_CASE_H
#define BARY_TESTS_LAWS_BATCH_CASE_H

#include "tests/laws/law.h"

/* A batch and all its memory. */
struct batch_case {
    struct fits fits;
    int64_t *row, *center;
    void *values;
    double *weight, *centers;
    uint64_t *random_state;
    uint64_t seed;
};

/* Everything is drawn from the seed: parameters, shapes, values that tie, repeat, overflow or are none. */
struct batch_case case_new(uint64_t seed, int64_t most_rows, int64_t most_clusters);
/* One-column problems of `rows` rows and `clusters` given centers each, values to be set. */
struct batch_case case_small(int64_t problems, int64_t rows, int64_t clusters);
void case_free(struct batch_case *batch);

/* Parameters of problem p. */
struct kmeans_params case_params(const struct batch_case *batch, int64_t p);
/* The problem by itself, by the ordinary loop. */
enum status case_alone(const struct machine *machine, const struct batch_case *batch, int64_t p,
                       const char *name, struct kmeans_result *out, struct error *error);

#endif
