/* computing.c - see computing.h. */
#include "rpc/computing.h"

#include <string.h>

#include "rpc/convert.h"

enum { TICKET_NEW, TICKET_NAMED, TICKET_LEFT, TICKET_DONE };

static void nobody_asks(void *context, struct job_view *view, const struct error *error)
{
    (void)context;
    (void)error;
    job_view_unpin(&view);
}

void computing_cancel(struct dispatcher *dispatcher, const char *name, const char *why)
{
    job_cancel(dispatcher, name, NULL, why, nobody_asks, NULL);
}

static void ticket_cancel(struct ticket *ticket)
{
    computing_cancel(ticket->dispatcher, ticket->name, "the client went away");
}

void ticket_named(struct ticket *ticket, const char *name)
{
    int old = TICKET_NEW;

    strncpy(ticket->name, name, sizeof ticket->name - 1);
    if (!atomic_compare_exchange_strong(&ticket->state, &old, TICKET_NAMED) && old == TICKET_LEFT)
        ticket_cancel(ticket);
}

void ticket_left(struct ticket *ticket)
{
    int old = TICKET_NEW;

    if (atomic_compare_exchange_strong(&ticket->state, &old, TICKET_LEFT))
        return;
    if (old == TICKET_NAMED && atomic_compare_exchange_strong(&ticket->state, &old, TICKET_LEFT))
        ticket_cancel(ticket);
}

void ticket_done(struct ticket *ticket)
{
    atomic_store(&ticket->state, TICKET_DONE);
}

struct job_request *computing_request(struct call *call, enum job_kind kind)
{
    struct job_request *request = memory_zeroed(1, sizeof *request);
    const struct principal *principal = call_principal(call);

    if (!request) {
        fail_memory(call, "a request");
        return NULL;
    }
    request->kind = kind;
    request->placement.device = -1;
    memcpy(request->principal, principal->name, sizeof request->principal);
    return request;
}

int64_t request_rows(const struct job_request *request)
{
    return request->rows ? request->rows : request->table->rows - request->first_row;
}

int64_t predict_row_bytes(const struct job_request *request)
{
    return (request->want_labels ? (int64_t)sizeof(int32_t) : 0) +
           (request->want_distances ? request->model->n_clusters * (int64_t)sizeof(double) : 0);
}

enum status predict_take(struct call *call, const Bary__V1__PredictRequest *predict,
                         struct job_request *request, struct error *error)
{
    enum status status;

    TRY(enum_check("non_finite", &bary__v1__non_finite__descriptor, (int)predict->non_finite, true,
                   error));
    TRY(placement_take(predict->placement, request, error));
    TRY(model_take(call_service(call), call_principal(call), predict->model, &request->model,
                   error));
    request->non_finite = (enum non_finite)predict->non_finite;
    request->want_labels = !predict->no_labels;
    request->want_distances = predict->distances != 0;
out:
    return status;
}

bool predict_fill(struct arena *arena, const struct job_view *view, bool no_labels,
                  Bary__V1__PredictResponse *reply)
{
    const struct job_result *result = view->result;

    reply->rows = result->rows;
    if (result->labels && !no_labels) {
        reply->labels =
            matrix_new(arena, BARY__V1__DTYPE__DTYPE_I32, result->rows, 0, result->labels);
        if (!reply->labels)
            return false;
    }
    if (result->distances) {
        reply->distances = matrix_new(arena, BARY__V1__DTYPE__DTYPE_F64, result->rows,
                                      result->n_clusters, result->distances);
        if (!reply->distances)
            return false;
    }
    return true;
}
