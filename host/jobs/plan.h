/* plan.h - what a request reads, needs and takes, before anything is reserved.
 *
 * Pure but for the device's plan; any thread. Everything about shapes is found wrong here, in
 * words that name the thing. */
#ifndef BARY_HOST_JOBS_PLAN_H
#define BARY_HOST_JOBS_PLAN_H

#include "host/jobs/job.h"

struct job_plan {
    int64_t rows, columns;
    enum number number;
    int64_t held_bytes;   /* what the request brought along: it lies in memory while it waits */
    int64_t run_bytes;    /* what running it takes beside that */
    int64_t pinned_bytes; /* of the dataset it reads: they are in the ledger already */
    int64_t device_bytes, device_pinned_bytes; /* the latter among run_bytes */
    double expected_ns;
    double quiet_ns; /* the longest that nothing need be heard of it; see struct cost */
};

/* On one rung of one device. UNSUPPORTED: not that rung. */
enum status plan_request(const struct backend *backend, const struct device *device,
                         enum residency residency, const struct job_request *request,
                         struct job_plan *out, struct error *error);

/* The columns and rows that a request reads: not its weight column, unless it was asked for. The names
 * borrow from request and table; selection_free gives the list back. */
enum status request_selection(const struct job_request *request, struct selection *out,
                              struct error *error);
void selection_free(struct selection *selection);

/* The problems of a FIT_BATCH over the rows that it reads: borrows from both. */
struct batch_input request_batch(const struct job_request *request, const struct matrix *matrix);

#endif
