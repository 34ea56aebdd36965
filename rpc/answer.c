/* answer.c - see answer.h. */
#include "rpc/answer.h"

#include "host/base/clock.h"
#include "rpc/convert.h"

static const int64_t MARGIN_NS_MAX = 500000000;

void answer_expect(struct answer *answer, struct call *call)
{
    answer->call = call;
    call_hold(call);
}

void answer_take(void *answer_, struct job_view *view, const struct error *error)
{
    struct answer *answer = answer_;
    struct call *call = answer->call;

    answer->view = view;
    if (error)
        answer->error = *error;
    atomic_store(&answer->arrived, true);
    call_wake(call);
    call_drop(call);
}

bool answer_ready(struct answer *answer)
{
    if (answer->used || !atomic_load(&answer->arrived))
        return false;
    answer->used = true;
    return true;
}

void answer_deinit(struct answer *answer)
{
    job_view_unpin(&answer->view);
}

int64_t answer_until_ns(struct call *call, int64_t now_ns)
{
    int64_t deadline_ns = call_deadline_ns(call), margin;

    if (deadline_ns == INT64_MAX)
        return INT64_MAX;
    margin = (deadline_ns - now_ns) / 10;
    if (margin > MARGIN_NS_MAX)
        margin = MARGIN_NS_MAX;
    return deadline_ns - (margin > 0 ? margin : 0);
}

void fail_memory(struct call *call, const char *what)
{
    struct error error;

    FAIL(&error, OUT_OF_MEMORY, TEXT("what", what), INT("needed", REPLY_ARENA_BYTES),
         INT("retry_ms", 1000));
    call_fail(call, &error);
}

static void view_release(void *view_)
{
    struct job_view *view = view_;

    job_view_unpin(&view);
}

struct keeper *view_keeper(struct job_view *view)
{
    return keeper_new(view_release, view);
}

void answer_job(struct call *call, struct job_view **view)
{
    struct keeper *keeper = view_keeper(*view);
    struct arena arena;
    Bary__V1__Job *job;

    arena_init(&arena, REPLY_ARENA_BYTES);
    job = keeper ? job_new_message(&arena, call_principal(call), *view, true) : NULL;
    if (job) {
        call_reply(call, &job->base, keeper);
        *view = NULL;
    } else {
        if (keeper)
            *view = NULL; /* the keeper has the pin */
        keeper_drop(&keeper);
        fail_memory(call, "a reply");
    }
    arena_deinit(&arena);
}
