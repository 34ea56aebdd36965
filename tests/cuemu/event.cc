/* event.cc - events: points of a stream to wait for, ask about, and measure between. */
#include <stdlib.h>

#include "tests/cuemu/stream.h"

using namespace cuemu;

static struct CUevent_st *events;

static void event_list(struct CUevent_st *event)
{
    event->next = events;
    if (events)
        events->before = event;
    events = event;
}
static void event_unlist(struct CUevent_st *event)
{
    *(event->before ? &event->before->next : &events) = event->next;
    if (event->next)
        event->next->before = event->before;
}

/* A queued record or wait of it is still to come. */
static bool event_is_queued(cudaEvent_t event)
{
    for (struct CUstream_st *stream = streams; stream; stream = stream->next)
        for (struct op *op = stream->first; op; op = op->next)
            if (op->event == event)
                return true;
    return false;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *out, unsigned flags)
{
    struct entry entry(CALL_EVENT);
    if (entry.refused)
        return entry.refused;
    struct CUevent_st *made = static_cast<struct CUevent_st *>(calloc(1, sizeof *made));
    if (!made)
        return entry.answer(cudaErrorMemoryAllocation);
    made->timed = !(flags & cudaEventDisableTiming);
    event_list(made);
    *out = made;
    return cudaSuccess;
}
cudaError_t cudaEventCreate(cudaEvent_t *out)
{
    return cudaEventCreateWithFlags(out, cudaEventDefault);
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    struct entry entry(CALL_EVENT);
    if (entry.refused)
        return entry.refused;
    if (!event)
        return entry.answer(cudaErrorInvalidResourceHandle);
    while (event_is_queued(event) && any_run())
        ;
    event_unlist(event);
    free(event);
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    struct entry entry(CALL_EVENT);
    if (entry.refused)
        return entry.refused;
    stream_check("cudaEventRecord", stream);
    struct op *op = op_new(OP_RECORD);
    op->event = event;
    op->record = ++event->asked;
    op_queue(stream, op);
    return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t event)
{
    struct entry entry(CALL_QUERY);
    if (entry.refused)
        return entry.refused;
    if (device_hangs())
        return cudaErrorNotReady;
    any_run();
    if (event->reached < event->asked)
        return cudaErrorNotReady;
    event_acquire(event);
    return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    struct entry entry(CALL_SYNC);
    if (entry.refused)
        return entry.refused;
    while (event->reached < event->asked && any_run())
        ;
    event_acquire(event);
    return cudaSuccess;
}

cudaError_t cudaEventElapsedTime(float *out_ms, cudaEvent_t start, cudaEvent_t end)
{
    struct entry entry(CALL_EVENT);
    if (entry.refused)
        return entry.refused;
    if (!start->timed || !end->timed || start->asked == 0 || end->asked == 0)
        return entry.answer(cudaErrorInvalidResourceHandle);
    if (start->reached < start->asked || end->reached < end->asked)
        return entry.answer(cudaErrorNotReady);
    *out_ms = (float)(end->ms - start->ms);
    return cudaSuccess;
}
