/* fit_inputs.h - what a fit and a batch of this process read, as the engine wants it. */
#ifndef BARY_CLIENTS_CLI_FIT_INPUTS_H
#define BARY_CLIENTS_CLI_FIT_INPUTS_H

#include "clients/cli/fit.h"
#include "clients/cli/local.h"

struct inputs {
    struct matrix x;
    double *weight; /* NULL: none */
    double *init;   /* NULL: none */
};

/* inputs_release is owed, also after a failure. */
enum status inputs_read(struct fit_order *order, struct inputs *out, struct error *error);
void inputs_release(struct inputs *inputs);
/* Parameters of the order; a seed is drawn where it names none. */
void inputs_params(const struct fit_order *order, const struct inputs *inputs,
                   struct kmeans_params *out);
/* What it costs, taking a loop that ends by itself for thirty rounds. */
struct embedded_work inputs_work(const struct inputs *inputs, const struct kmeans_params *params);

/* A message of its own out of one that borrows: packed and unpacked. NULL: no memory. */
Bary__V1__Job *copy_job(const Bary__V1__Job *job);
/* malloc'ed. NULL: no memory. */
void *copy_array(const void *values, size_t count, size_t size);

#endif
