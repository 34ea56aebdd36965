/* computing.h - what Fit, Predict and Evaluate share: a request, its job, and the client's leaving. */
#ifndef BARY_RPC_COMPUTING_H
#define BARY_RPC_COMPUTING_H

#include "bary/v1/clustering_service.pb-c.h"
#include "host/base/memory.h"
#include "rpc/answer.h"

/* The name of a job that is cancelled when its client leaves; the two may come in either order. */
struct ticket {
    struct dispatcher *dispatcher;
    char name[64];
    _Atomic int state; /* TICKET_* */
};
void ticket_named(struct ticket *ticket, const char *name);
void ticket_left(
    struct ticket *ticket); /* the client; harmless when there is no job yet, or ever */
void ticket_done(struct ticket *ticket); /* from here on nothing is cancelled */

/* A zeroed request of the call's principal; NULL: no memory, the call has been failed. */
struct job_request *computing_request(struct call *call, enum job_kind kind);

/* Cancels a job by name; nobody waits for the answer. */
void computing_cancel(struct dispatcher *dispatcher, const char *name, const char *why);

/* Rows that a request selects of its table. */
int64_t request_rows(const struct job_request *request);
/* Bytes a row of a prediction's reply takes. */
int64_t predict_row_bytes(const struct job_request *request);

/* Model, source and switches of a prediction. `source`: without one MISSING. */
enum status predict_take(struct call *call, const Bary__V1__PredictRequest *predict,
                         struct job_request *request, struct error *error);
/* Labels and distances of a finished prediction, for a reply; they lie in the view. */
bool predict_fill(struct arena *arena, const struct job_view *view, bool no_labels,
                  Bary__V1__PredictResponse *reply);

#endif
