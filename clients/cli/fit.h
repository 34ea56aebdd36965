/* fit.h - a fit as it was asked for, and what came of it, wherever it is computed. */
#ifndef BARY_CLIENTS_CLI_FIT_H
#define BARY_CLIENTS_CLI_FIT_H

#include "clients/cli/commands.h"
#include "clients/cli/files.h"
#include "clients/cli/say.h"

/* Lives in command_fit. The request holds every parameter, also for --local; its parts lie here. */
struct fit_order {
    const struct arguments *arguments;
    struct array x, weight, init; /* path NULL: not given */
    Bary__V1__FitRequest request;
    Bary__V1__Source source;
    Bary__V1__Matrix x_values, init_values, weight_values;
    Bary__V1__DatasetRef x_dataset, init_dataset;
    Bary__V1__Weights weights;
    Bary__V1__Placement placement;
    Bary__V1__RunOptions options;
    Google__Protobuf__DoubleValue tol;
    Google__Protobuf__UInt64Value random_state;
    Google__Protobuf__Duration max_runtime;
    struct progress_line progress;
    /* fit-batch */
    int64_t problems; /* 0: a single fit */
    struct array offsets;
    int64_t *row; /* problems + 1, malloc'ed; NULL: equal parts */
};

/* What a fit put on the server. */
struct placed {
    char *x, *init; /* names of datasets to delete afterwards, or NULL */
};

/* Fills the request and opens the files that the flags name. */
int fit_order_open(struct fit_order *order, struct baryc_error *error);
void fit_order_close(struct fit_order *order);
/* Where rows, weights and centers go: into the request, or onto the server as datasets. */
int fit_place(struct fit_order *order, struct baryc *connection, struct placed *placed,
              struct baryc_error *error);
/* Tells the progress of the order that is the context; true: Ctrl-C was pressed. */
bool fit_progress(void *context, const Bary__V1__Job *job);

/* Owned by command_fit. The arrays are malloc'ed, and NULL where no file asks for them. */
struct fitted {
    Bary__V1__Job *job; /* whenever there is one, also a failed one */
    double *centers;
    int32_t *labels;
};

int fit_remote(struct fit_order *order, struct fitted *out, struct baryc_error *error);
int fit_local(struct fit_order *order, struct fitted *out, struct baryc_error *error);
int fit_batch_remote(struct fit_order *order, struct fitted *out, struct baryc_error *error);
int fit_batch_local(struct fit_order *order, struct fitted *out, struct baryc_error *error);

/* For people: what the job of a fit or a batch says. */
void say_fit(const Bary__V1__Job *job);
const char *say_state(Bary__V1__JobState state); /* "SUCCEEDED" */

/* The arrays of a fit or a batch that went well. centers: how many, of all problems. */
struct job_arrays {
    int64_t rows, centers, columns;
    const Bary__V1__Matrix *labels, *values; /* NULL: left out of the message */
};
/* False: the job has no such result. */
bool job_arrays(const Bary__V1__Job *job, struct job_arrays *out);

/* A job's arrays, out of its message or by Read. malloc'ed; labels of no rows are a valid block. */
int fetch_labels(struct baryc *connection, const Bary__V1__Job *job, int32_t **out,
                 struct baryc_error *error);
int fetch_centers(struct baryc *connection, const Bary__V1__Job *job, double **out,
                  struct baryc_error *error);

#endif
