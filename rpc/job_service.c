/* job_service.c - Get, List, Cancel, Wait, Watch of jobs; Read is in job_read.c. */
#include <stdio.h>
#include <string.h>

#include "bary/v1/job_service.pb-c.h"
#include "host/base/clock.h"
#include "rpc/answer.h"
#include "rpc/convert.h"
#include "rpc/method.h"
#include "rpc/names.h"

/* Get, Cancel and Wait: a question, its answer, the reply. */
static void answered(struct call *call)
{
    struct answer *answer = call_state(call);

    if (!answer_ready(answer))
        return;
    if (answer->view)
        answer_job(call, &answer->view);
    else
        call_fail(call, &answer->error);
}

static void answer_end(struct call *call)
{
    answer_deinit(call_state(call));
}

static bool job_name(struct call *call, const char *given, char id[64])
{
    struct error error;

    if (name_parse(call_principal(call), THING_JOB, given, id, NULL, &error) == STATUS_OK)
        return true;
    call_fail(call, &error);
    return false;
}

static void get(struct call *call, const void *in)
{
    const Bary__V1__GetJobRequest *request = in;
    struct answer *answer = call_state(call);
    char id[64];

    if (!job_name(call, request->name, id))
        return;
    answer_expect(answer, call);
    job_get(call_service(call)->dispatcher, id, answer_take, answer);
}

const struct handler job_get_handler = {
    .state_bytes = sizeof(struct answer), .message = get, .wake = answered, .end = answer_end};

static void cancel(struct call *call, const void *in)
{
    const Bary__V1__CancelJobRequest *request = in;
    struct dispatcher *dispatcher = call_service(call)->dispatcher;
    struct answer *answer = call_state(call);
    struct error error;
    char id[64];

    if (request->which_case == BARY__V1__CANCEL_JOB_REQUEST__WHICH_TAG && request->tag[0]) {
        answer_expect(answer, call);
        job_cancel(dispatcher, NULL, request->tag, "asked for", answer_take, answer);
    } else if (request->which_case == BARY__V1__CANCEL_JOB_REQUEST__WHICH_NAME) {
        if (!job_name(call, request->name, id))
            return;
        answer_expect(answer, call);
        job_cancel(dispatcher, id, NULL, "asked for", answer_take, answer);
    } else {
        FAIL(&error, MISSING, TEXT("what", "name"), TEXT("why", "it is one of name and tag"));
        call_fail(call, &error);
    }
}

static void cancelled(struct call *call)
{
    struct answer *answer = call_state(call);
    Bary__V1__CancelJobResponse reply = BARY__V1__CANCEL_JOB_RESPONSE__INIT;
    struct arena arena;

    if (!answer_ready(answer))
        return;
    if (!answer->view) {
        call_fail(call, &answer->error);
        return;
    }
    arena_init(&arena, REPLY_ARENA_BYTES);
    reply.job = job_new_message(&arena, call_principal(call), answer->view, false);
    if (reply.job)
        call_reply(call, &reply.base, NULL);
    else
        fail_memory(call, "a reply");
    arena_deinit(&arena);
}

const struct handler job_cancel_handler = {
    .state_bytes = sizeof(struct answer), .message = cancel, .wake = cancelled, .end = answer_end};

static void wait_for(struct call *call, const void *in)
{
    const Bary__V1__WaitJobRequest *request = in;
    struct answer *answer = call_state(call);
    int64_t timeout_ns, now_ns = clock_ns(), until_ns = answer_until_ns(call, now_ns);
    struct error error;
    char id[64];

    if (duration_ns("timeout", request->timeout, &timeout_ns, &error) != STATUS_OK) {
        call_fail(call, &error);
        return;
    }
    if (!job_name(call, request->name, id))
        return;
    if (request->timeout && timeout_ns < until_ns - now_ns)
        until_ns = now_ns + timeout_ns;
    answer_expect(answer, call);
    job_wait(call_service(call)->dispatcher, id, until_ns, answer_take, answer);
}

const struct handler job_wait_handler = {
    .state_bytes = sizeof(struct answer), .message = wait_for, .wake = answered, .end = answer_end};

/* List: views without results, as many as 3 MiB hold. */
struct list {
    struct call *call;
    char filter[128];
    struct job_view **view;
    int count;
    bool more;
    struct error error;
    _Atomic bool arrived;
};

static void list_take(void *list_, struct job_view **views, int count, bool more,
                      const struct error *error)
{
    struct list *list = list_;
    struct call *call = list->call;

    list->more = more;
    if (error)
        list->error = *error;
    else
        list->view = memory_new((size_t)count, sizeof(struct job_view *));
    for (int i = 0; i < count; i++)
        if (list->view)
            list->view[list->count++] = views[i];
        else
            job_view_unpin(&views[i]);
    if (!error && !list->view)
        FAIL(&list->error, OUT_OF_MEMORY, TEXT("what", "a list of jobs"), INT("needed", count),
             INT("retry_ms", 1000));
    atomic_store(&list->arrived, true);
    call_wake(call);
    call_drop(call);
}

static enum status list_begin(struct call *call, const Bary__V1__ListJobsRequest *request,
                              struct error *error)
{
    struct list *list = call_state(call);
    char after[TOKEN_PLACE_BYTES], tag[64];
    enum status status;
    int most;

    TRY(page_size_check(request->page_size, PAGE_SIZE_MAX, &most, error));
    TRY(text_take("tag", request->tag, tag, sizeof tag, error));
    TRY(enum_check("state", &bary__v1__job_state__descriptor, (int)request->state, true, error));
    snprintf(list->filter, sizeof list->filter, "jobs state=%d tag=%s", (int)request->state, tag);
    TRY(token_parse(call_principal(call), list->filter, request->page_token, after, error));
    list->call = call;
    call_hold(call);
    job_list(call_service(call)->dispatcher, after[0] ? after : NULL, tag[0] ? tag : NULL,
             (enum job_state)request->state, most, list_take, list);
out:
    return status;
}

static void list_message(struct call *call, const void *in)
{
    struct error error;

    if (list_begin(call, in, &error) != STATUS_OK)
        call_fail(call, &error);
}

static bool list_fill(struct call *call, struct arena *arena, Bary__V1__ListJobsResponse *reply,
                      char token[TOKEN_BYTES])
{
    struct list *list = call_state(call);
    size_t bytes = 0;

    reply->jobs = array_new(arena, (size_t)list->count, sizeof *reply->jobs);
    for (int i = 0; reply->jobs && i < list->count && bytes <= INLINE_BYTES_MAX; i++) {
        Bary__V1__Job *job = job_new_message(arena, call_principal(call), list->view[i], false);
        if (!job)
            return false;
        bytes += protobuf_c_message_get_packed_size(&job->base);
        reply->jobs[reply->n_jobs++] = job;
    }
    if (reply->n_jobs > 0 && (list->more || (int)reply->n_jobs < list->count))
        reply->next_page_token = token_print(call_principal(call), list->filter,
                                             list->view[reply->n_jobs - 1]->name, token);
    return reply->jobs != NULL;
}

static void list_wake(struct call *call)
{
    struct list *list = call_state(call);
    Bary__V1__ListJobsResponse reply = BARY__V1__LIST_JOBS_RESPONSE__INIT;
    char token[TOKEN_BYTES];
    struct arena arena;

    if (!atomic_load(&list->arrived) || call_over(call))
        return;
    if (!list->view) {
        call_fail(call, &list->error);
        return;
    }
    arena_init(&arena, REPLY_ARENA_BYTES);
    if (list_fill(call, &arena, &reply, token))
        call_reply(call, &reply.base, NULL);
    else
        fail_memory(call, "a reply");
    arena_deinit(&arena);
}

static void list_end(struct call *call)
{
    struct list *list = call_state(call);

    for (int i = 0; i < list->count; i++)
        job_view_unpin(&list->view[i]);
    memory_free(list->view);
}

const struct handler job_list_handler = {.state_bytes = sizeof(struct list),
                                         .message = list_message,
                                         .wake = list_wake,
                                         .end = list_end};
