/* fit.c - jobs followed to their end: Fit, Watch, Cancel, and the arrays they leave. */
#include <grpc/grpc.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "clients/c/call.h"

enum {
    WATCHER_MS = 100,    /* the watcher is asked so often */
    FIRST_WAIT_MS = 250, /* a small fit comes back in its first reply; a cancel waits no longer */
    POLL_WAIT_MS = 1000, /* of each Wait, when the server has no room for a watcher */
    REATTACH_MAX = 3
};

static bool ended(const Bary__V1__Job *job)
{
    return job->state == BARY__V1__JOB_STATE__JOB_STATE_SUCCEEDED ||
           job->state == BARY__V1__JOB_STATE__JOB_STATE_FAILED ||
           job->state == BARY__V1__JOB_STATE__JOB_STATE_CANCELLED;
}

/* Following one job; lives on the stack of who follows it. */
struct follow {
    struct baryc *connection;
    const struct baryc_options *options;
    baryc_watcher *watcher;
    void *context;
    Bary__V1__Job *job; /* the newest state */
    bool cancelled;     /* cancel was asked for and sent */
};

static void take_newest(struct follow *follow, Bary__V1__Job *job)
{
    baryc_free(follow->job);
    follow->job = job;
}

/* Asks the watcher; when it says so, cancels once. A cancel that fails is tried at the next turn. */
static void ask_watcher(struct follow *follow)
{
    Bary__V1__CancelJobRequest request = BARY__V1__CANCEL_JOB_REQUEST__INIT;
    Bary__V1__CancelJobResponse *response = NULL;
    struct baryc_options options = {.timeout_ms = 5000, .attempts = 1};

    if (!follow->watcher || !follow->watcher(follow->context, follow->job) || follow->cancelled ||
        ended(follow->job))
        return;
    request.which_case = BARY__V1__CANCEL_JOB_REQUEST__WHICH_NAME;
    request.name = follow->job->name;
    follow->cancelled =
        baryc_job_cancel(follow->connection, &request, &options, &response, NULL) == 0;
    baryc_free(response);
}

/* Receives states until the job's end or the stream's. */
static void drink(struct follow *follow, struct baryc_call *call)
{
    baryc_call_receive(call);
    while (call->pending & BARYC_RECEIVED) {
        enum baryc_event event = baryc_call_next(call, WATCHER_MS);
        if (event == BARYC_RECEIVED) {
            if (!call->received)
                return;
            Bary__V1__Job *job = baryc_unpack(&bary__v1__job__descriptor, call->received);
            call->received = NULL;
            if (!job)
                return;
            take_newest(follow, job);
            if (!ended(job))
                baryc_call_receive(call);
        }
        if (event == BARYC_RECEIVED || event == BARYC_NOTHING)
            ask_watcher(follow);
    }
}

static int watch_once(struct follow *follow, struct baryc_error *error)
{
    Bary__V1__WatchJobRequest request = BARY__V1__WATCH_JOB_REQUEST__INIT;
    struct baryc_call call;

    request.name = follow->job->name;
    request.after_sequence = follow->job->sequence;
    baryc_call_open(follow->connection, "/bary.v1.JobService/Watch", 0, &call);
    baryc_call_send(&call, baryc_pack(&request.base));
    baryc_call_send_end(&call);
    drink(follow, &call);
    if (ended(follow->job))
        baryc_call_cancel(&call); /* nothing more comes; the status is of no interest */
    return baryc_call_close(&call, NULL, error);
}

/* Without a watcher's seat: one Wait after the other. */
static int poll_once(struct follow *follow, struct baryc_error *error)
{
    Bary__V1__WaitJobRequest request = BARY__V1__WAIT_JOB_REQUEST__INIT;
    Google__Protobuf__Duration timeout = GOOGLE__PROTOBUF__DURATION__INIT;
    Bary__V1__Job *job = NULL;

    timeout.seconds = POLL_WAIT_MS / 1000;
    request.name = follow->job->name;
    request.timeout = &timeout;
    int code = baryc_job_wait(follow->connection, &request, follow->options, &job, error);
    if (code == 0) {
        take_newest(follow, job);
        ask_watcher(follow);
    }
    return code;
}

/* A last state that came without its result is asked for whole. */
static int complete(struct follow *follow, struct baryc_error *error)
{
    Bary__V1__GetJobRequest request = BARY__V1__GET_JOB_REQUEST__INIT;
    Bary__V1__Job *job = NULL;

    if (follow->job->state != BARY__V1__JOB_STATE__JOB_STATE_SUCCEEDED ||
        follow->job->result_case != BARY__V1__JOB__RESULT__NOT_SET)
        return 0;
    request.name = follow->job->name;
    int code = baryc_job_get(follow->connection, &request, follow->options, &job, error);
    if (code == 0)
        take_newest(follow, job);
    return code;
}

static int follow_to_end(struct follow *follow, struct baryc_error *error)
{
    struct baryc_error first = {0}, last = {0};
    bool polling = false;
    int code = 0;

    for (int failures = 0; !ended(follow->job);) {
        code = polling ? poll_once(follow, &last) : watch_once(follow, &last);
        if (code == 0 || ended(follow->job))
            continue;
        if (failures++ == 0)
            first = last;
        if (code == GRPC_STATUS_RESOURCE_EXHAUSTED)
            polling = true;
        else if (!baryc_worth_repeating(&last) || failures > REATTACH_MAX)
            break;
        baryc_pause(follow->connection, &last, failures, follow->options);
    }
    if (ended(follow->job))
        return complete(follow, error);
    /* A server that went away and came back does not know the job: going away is what happened. */
    if (error)
        *error = first;
    return first.code;
}

/* A job's bad end as the error of the call that waited for it. */
static int job_error(const Bary__V1__Job *job, struct baryc_error *error)
{
    if (job->state == BARY__V1__JOB_STATE__JOB_STATE_SUCCEEDED)
        return 0;
    if (!job->error)
        return job->state == BARY__V1__JOB_STATE__JOB_STATE_CANCELLED
                   ? BARYC_FAIL(error, CANCELLED, "why", "the job was cancelled")
                   : BARYC_FAIL(error, BUG, "error_id", job->name);
    int code = baryc_code_number(job->error->code);
    if (code <= 0)
        code = GRPC_STATUS_UNKNOWN;
    if (!error)
        return code;
    *error = (struct baryc_error){.code = code, .retry_ms = -1};
    snprintf(error->reason, sizeof error->reason, "%s", job->error->reason);
    snprintf(error->message, sizeof error->message, "%s", job->error->message);
    for (size_t i = 0; i < job->error->n_metadata && i < BARYC_FIELDS_MAX; i++, error->fields++) {
        snprintf(error->field[i].name, sizeof error->field[i].name, "%s",
                 job->error->metadata[i]->key);
        snprintf(error->field[i].value, sizeof error->field[i].value, "%s",
                 job->error->metadata[i]->value);
    }
    return code;
}

static int follow_and_judge(struct follow *follow, Bary__V1__Job **out, struct baryc_error *error)
{
    ask_watcher(follow);
    int code = follow_to_end(follow, error);
    if (code == 0)
        code = job_error(follow->job, error);
    *out = follow->job;
    return code;
}

/* Options of a request that is waited for: those given, with a request id and a first wait. */
struct waiting {
    Bary__V1__RunOptions run;
    Google__Protobuf__Duration wait;
    char id[37];
};

static void waiting_fill(struct waiting *waiting, const Bary__V1__RunOptions *given)
{
    waiting->run = (Bary__V1__RunOptions)BARY__V1__RUN_OPTIONS__INIT;
    if (given)
        waiting->run = *given;
    if (!waiting->run.request_id[0]) {
        baryc_uuid(waiting->id);
        waiting->run.request_id = waiting->id;
    }
    if (!waiting->run.wait) {
        waiting->wait = (Google__Protobuf__Duration)GOOGLE__PROTOBUF__DURATION__INIT;
        waiting->wait.nanos = FIRST_WAIT_MS * 1000000;
        waiting->run.wait = &waiting->wait;
    }
}

int baryc_fit_batch_wait(struct baryc *connection, const Bary__V1__FitBatchRequest *request,
                         const struct baryc_options *options, baryc_watcher *watcher, void *context,
                         Bary__V1__Job **out, struct baryc_error *error)
{
    struct follow follow = {connection, options, watcher, context, NULL, false};
    Bary__V1__FitBatchRequest whole = *request;
    struct waiting waiting;

    waiting_fill(&waiting, request->options);
    whole.options = &waiting.run;
    int code = baryc_fit_batch(connection, &whole, options, &follow.job, error);
    return code != 0 ? code : follow_and_judge(&follow, out, error);
}

int baryc_fit_wait(struct baryc *connection, const Bary__V1__FitRequest *request,
                   const struct baryc_options *options, baryc_watcher *watcher, void *context,
                   Bary__V1__Job **out, struct baryc_error *error)
{
    struct follow follow = {connection, options, watcher, context, NULL, false};
    Bary__V1__FitRequest whole = *request;
    struct waiting waiting;

    waiting_fill(&waiting, request->options);
    whole.options = &waiting.run;
    int code = baryc_fit(connection, &whole, options, &follow.job, error);
    return code != 0 ? code : follow_and_judge(&follow, out, error);
}

int baryc_job_watch(struct baryc *connection, const char *name, const struct baryc_options *options,
                    baryc_watcher *watcher, void *context, Bary__V1__Job **out,
                    struct baryc_error *error)
{
    struct follow follow = {connection, options, watcher, context, NULL, false};
    Bary__V1__GetJobRequest request = BARY__V1__GET_JOB_REQUEST__INIT;

    request.name = baryc_borrow(name);
    int code = baryc_job_get(connection, &request, options, &follow.job, error);
    return code != 0 ? code : follow_and_judge(&follow, out, error);
}
