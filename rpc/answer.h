/* answer.h - a callback of the dispatcher, brought back to the call that waits for it.
 *
 * The callback comes on the dispatcher's thread, which must not be kept: it leaves view and error
 * here and wakes the call, whose step `wake` looks which answers have arrived. The call is held
 * until the callback came, so a client that left costs nothing but this wait. */
#ifndef BARY_RPC_ANSWER_H
#define BARY_RPC_ANSWER_H

#include <stdatomic.h>

#include "host/jobs/dispatcher.h"
#include "rpc/call.h"

struct answer {
    struct call *call;
    struct job_view *view; /* pinned; NULL exactly when there is an error */
    struct error error;
    _Atomic bool arrived;
    bool used; /* by the call's own steps */
};

/* Before the question is put. */
void answer_expect(struct answer *answer, struct call *call);
/* The job_callback; its context is the answer. */
void answer_take(void *answer, struct job_view *view, const struct error *error);
/* True once, when it has arrived. */
bool answer_ready(struct answer *answer);
void answer_deinit(struct answer *answer);

/* When a reply must leave so that it comes before the deadline: a tenth of the time that is left, at
 * most half a second, earlier. */
int64_t answer_until_ns(struct call *call, int64_t now_ns);

/* Replies with the job as it is; its arrays leave without a copy. Takes the view's pin. */
void answer_job(struct call *call, struct job_view **view);
struct keeper *
view_keeper(struct job_view *view); /* takes over a pin; NULL: no memory, not taken */
void fail_memory(struct call *call, const char *what);

#endif
