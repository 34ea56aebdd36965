/* clustering_service.c - Fit, FitBatch and Evaluate: a job is made, perhaps waited for, and the call answered
 * with it. Predict is in predict.c, PredictStream in predict_stream.c.
 *
 * A client that leaves cancels an ephemeral fit or batch and a fast evaluation; a job goes on. */
#include <string.h>

#include "host/base/clock.h"
#include "rpc/computing.h"
#include "rpc/convert.h"
#include "rpc/method.h"

struct fitting {
    struct answer accepted, finished;
    struct ticket ticket;
    int64_t until_ns; /* 0: the reply does not wait */
    bool ephemeral;   /* or fast: its client's leaving ends it */
};

/* The same id with another body is another request: it is hashed without the id. */
static enum status hash_take(const ProtobufCMessage *message, Bary__V1__RunOptions *options,
                             struct job_request *request, struct error *error)
{
    char *id;
    enum status status;

    if (request->request_id[0] == '\0')
        return STATUS_OK;
    id = options->request_id;
    options->request_id = (char *)(uintptr_t) "";
    status = body_hash(message, request->body_hash, error);
    options->request_id = id;
    return status;
}

static int64_t until(struct call *call, int64_t wait_ns)
{
    int64_t now_ns = clock_ns(), margin_ns = answer_until_ns(call, now_ns);

    if (wait_ns == 0)
        return 0;
    return wait_ns < margin_ns - now_ns ? now_ns + wait_ns : margin_ns;
}

/* Of the call, for what ends with it. */
static int64_t request_deadline_ns(struct call *call)
{
    return call_deadline_ns(call) == INT64_MAX ? 0 : call_deadline_ns(call);
}

static void submit(struct call *call, struct job_request *request)
{
    struct fitting *fitting = call_state(call);

    fitting->ticket.dispatcher = call_service(call)->dispatcher;
    answer_expect(&fitting->accepted, call);
    job_submit(call_service(call)->dispatcher, request, answer_take, NULL, &fitting->accepted);
}

/* A request for a fit or a batch becomes a job. */
static void fitting_submit(struct call *call, struct job_request *request, int64_t wait_ns)
{
    struct fitting *fitting = call_state(call);

    fitting->until_ns = until(call, wait_ns);
    fitting->ephemeral = request->ephemeral;
    if (request->ephemeral)
        request->deadline_ns = request_deadline_ns(call);
    submit(call, request);
}

static void fit_batch(struct call *call, const void *in)
{
    const Bary__V1__FitBatchRequest *message = in;
    struct job_request *request = computing_request(call, JOB_FIT_BATCH);
    int64_t wait_ns;
    struct error error;
    enum status status;

    if (!request)
        return;
    TRY(fit_batch_take(call_service(call), call_principal(call), message, request, &wait_ns,
                       &error));
    TRY(hash_take(&message->base, message->options, request, &error));
    fitting_submit(call, request, wait_ns);
    return;
out:
    job_request_free(&request);
    call_fail(call, &error);
}

static void fit(struct call *call, const void *in)
{
    const Bary__V1__FitRequest *message = in;
    struct job_request *request = computing_request(call, JOB_FIT);
    int64_t wait_ns;
    struct error error;
    enum status status;

    if (!request)
        return;
    TRY(fit_take(call_service(call), call_principal(call), message, request, &wait_ns, &error));
    TRY(hash_take(&message->base, message->options, request, &error));
    fitting_submit(call, request, wait_ns);
    return;
out:
    job_request_free(&request);
    call_fail(call, &error);
}

/* The job is known: wait for its end, or answer. True: there is something to answer. */
static bool accepted(struct call *call)
{
    struct fitting *fitting = call_state(call);
    struct job_view *view = fitting->accepted.view;

    if (!view) {
        call_fail(call, &fitting->accepted.error);
        return false;
    }
    if (fitting->ephemeral)
        ticket_named(&fitting->ticket, view->name);
    if (fitting->until_ns == 0 || job_state_final(view->state))
        return true;
    answer_expect(&fitting->finished, call);
    job_wait(call_service(call)->dispatcher, view->name, fitting->until_ns, answer_take,
             &fitting->finished);
    return false;
}

/* The view to answer with, once: NULL: not yet, or an error was answered. */
static struct job_view **outcome(struct call *call)
{
    struct fitting *fitting = call_state(call);

    if (answer_ready(&fitting->accepted) && accepted(call))
        return &fitting->accepted.view;
    if (!answer_ready(&fitting->finished))
        return NULL;
    if (fitting->finished.view)
        return &fitting->finished.view;
    call_fail(call, &fitting->finished.error);
    return NULL;
}

static void fit_wake(struct call *call)
{
    struct fitting *fitting = call_state(call);
    struct job_view **view = outcome(call);

    if (!view)
        return;
    if (!call_over(call))
        ticket_done(&fitting->ticket);
    answer_job(call, view);
}

static void closed(struct call *call)
{
    struct fitting *fitting = call_state(call);

    if (fitting->ephemeral)
        ticket_left(&fitting->ticket);
}

static void end(struct call *call)
{
    struct fitting *fitting = call_state(call);

    answer_deinit(&fitting->accepted);
    answer_deinit(&fitting->finished);
}

const struct handler fit_handler = {.state_bytes = sizeof(struct fitting),
                                    .message = fit,
                                    .wake = fit_wake,
                                    .closed = closed,
                                    .end = end};

const struct handler fit_batch_handler = {.state_bytes = sizeof(struct fitting),
                                          .message = fit_batch,
                                          .wake = fit_wake,
                                          .closed = closed,
                                          .end = end};

static enum status evaluate_take(struct call *call, const Bary__V1__EvaluateRequest *message,
                                 struct job_request *request, int64_t *wait_ns, struct error *error)
{
    struct service *service = call_service(call);
    const struct principal *principal = call_principal(call);
    bool inline_;
    enum status status;

    TRY(options_take(message->options, request, wait_ns, error));
    TRY(placement_take(message->placement, request, error));
    TRY(enum_check("non_finite", &bary__v1__non_finite__descriptor, (int)message->non_finite, true,
                   error));
    for (size_t i = 0; i < message->n_scores; i++)
        TRY(enum_check("scores", &bary__v1__score__descriptor, (int)message->scores[i], false,
                       error));
    TRY(model_take(service, principal, message->model, &request->model, error));
    TRY(weights_take(message->sample_weight, request, error));
    TRY(source_take(service, principal, message->source, request, &inline_, error));
    request->non_finite = (enum non_finite)message->non_finite;
out:
    return status;
}

static void evaluate(struct call *call, const void *in)
{
    const Bary__V1__EvaluateRequest *message = in;
    struct job_request *request = computing_request(call, JOB_EVALUATE);
    struct fitting *fitting = call_state(call);
    struct job_estimate estimate;
    int64_t wait_ns;
    struct error error;
    enum status status;

    if (!request)
        return;
    TRY(evaluate_take(call, message, request, &wait_ns, &error));
    TRY(hash_take(&message->base, message->options, request, &error));
    TRY(job_estimate(call_service(call)->dispatcher, request, &estimate, &error));
    fitting->ephemeral = estimate.lane == LANE_FAST;
    fitting->until_ns = until(call, wait_ns ? wait_ns : INT64_MAX);
    if (fitting->ephemeral)
        request->deadline_ns = request_deadline_ns(call);
    submit(call, request);
    return;
out:
    job_request_free(&request);
    call_fail(call, &error);
}

static bool evaluate_fill(struct call *call, struct arena *arena, const struct job_view *view,
                          Bary__V1__EvaluateResponse *reply)
{
    Bary__V1__Job *job = job_new_message(arena, call_principal(call), view, true);

    if (!job)
        return false;
    reply->report = job->report;
    if (view->state == JOB_SUCCEEDED) {
        reply->outcome_case = BARY__V1__EVALUATE_RESPONSE__OUTCOME_RESULT;
        reply->result = job->evaluate;
    } else {
        reply->outcome_case = BARY__V1__EVALUATE_RESPONSE__OUTCOME_JOB;
        reply->job = job;
    }
    return true;
}

static void evaluate_wake(struct call *call)
{
    struct fitting *fitting = call_state(call);
    struct job_view **view = outcome(call);
    Bary__V1__EvaluateResponse reply = BARY__V1__EVALUATE_RESPONSE__INIT;
    struct arena arena;

    if (!view)
        return;
    if (!call_over(call))
        ticket_done(&fitting->ticket);
    if ((*view)->state == JOB_FAILED || (*view)->state == JOB_CANCELLED) {
        call_fail(call, &(*view)->error);
        return;
    }
    arena_init(&arena, REPLY_ARENA_BYTES);
    if (evaluate_fill(call, &arena, *view, &reply))
        call_reply(call, &reply.base, NULL);
    else
        fail_memory(call, "a reply");
    arena_deinit(&arena);
}

const struct handler evaluate_handler = {.state_bytes = sizeof(struct fitting),
                                         .message = evaluate,
                                         .wake = evaluate_wake,
                                         .closed = closed,
                                         .end = end};
