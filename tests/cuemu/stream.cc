/* stream.cc - streams and events: what is queued, when it runs, what it is ordered behind.
 *
 * Eagerly a call runs what it queues. Lazily (CUEMU_LAZY) it stays queued until the host waits or asks;
 * then streams take turns at random, so that a dependency that was not declared breaks.
 * To a race detector a stream is a thread: a call is ordered behind the host's past, and the host behind
 * the stream only where it waits. */
#include <stdlib.h>
#include <time.h>

#include "tests/cuemu/state.h"

namespace cuemu
{
namespace
{

enum op_kind { OP_LAUNCH, OP_COPY, OP_SET, OP_RECORD, OP_WAIT };

/* A queued call. Its address is the order point between host and stream; it lives until the host is
 * ordered behind it. */
struct op {
    struct order_point order;
    enum op_kind kind;
    struct op *next;
    uint64_t number; /* in its stream, from 1 */
    struct cudaLaunchConfig_t config;
    const void *kernel;
    struct call *call;
    char *to;
    const char *from;
    size_t to_pitch, from_pitch, width, height;
    int value;
    cudaEvent_t event;
    uint64_t record; /* which of the event's records */
};

} // namespace
} // namespace cuemu

using namespace cuemu;

struct CUstream_st {
    struct order_point done;
    struct op *first, *last; /* queued */
    struct op *ran, *ran_last;
    uint64_t numbers, ran_number;
    void *context;
    struct pool *pool;
    int device;
    struct CUstream_st *next;
};

struct CUevent_st {
    struct order_point done;
    uint64_t asked, reached; /* records: queued, run */
    cudaStream_t stream;     /* of the newest record */
    uint64_t number;         /* of the stream's ops: those before it are behind it */
    double ms;
    bool timed;
};

namespace cuemu
{
namespace
{

struct CUstream_st *streams;

double now_ms()
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

void stream_check(const char *call, cudaStream_t stream)
{
    if (!stream)
        found("%s: stream 0, the default stream, is not used", call);
    for (struct CUstream_st *each = streams; each; each = each->next)
        if (each == stream)
            return;
    found("%s: %p is not a stream, or was destroyed", call, (void *)stream);
}

void launch_run(struct op *op, struct pool *pool)
{
    bool wrong = launch_is_wrong();
    memory_show();
    if (wrong)
        spoil_begin();
    grid_run(&op->config, op->kernel, op->call, pool);
    if (wrong)
        spoil_end();
    memory_hide();
    guards_check("after a launch");
}

void copy_run(const struct op *op)
{
    memory_show();
    for (size_t row = 0; row < op->height; row++) {
        char *to = op->to + row * op->to_pitch;
        if (op->kind == OP_SET)
            seen_set(to, op->value, op->width);
        else
            seen_copy(to, op->from + row * op->from_pitch, op->width);
    }
    memory_hide();
}

void record_run(struct CUstream_st *stream, const struct op *op)
{
    struct CUevent_st *event = op->event;
    event->reached = op->record;
    event->stream = stream;
    event->number = op->number;
    event->ms = now_ms();
    CUEMU_RELEASE(&event->done);
}

/* A device that failed does nothing any more, but waits end. */
void op_work(struct CUstream_st *stream, struct op *op)
{
    if (op->kind == OP_RECORD)
        record_run(stream, op);
    else if (op->kind == OP_WAIT)
        CUEMU_ACQUIRE(&op->event->done);
    else if (device_is_dead())
        return;
    else if (op->kind == OP_LAUNCH)
        launch_run(op, stream->pool);
    else
        copy_run(op);
}

/* Runs the first of a stream's queue, in the stream's context. */
void op_run(struct CUstream_st *stream)
{
    struct op *op = stream->first;
#ifdef CUEMU_TSAN
    void *host = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(stream->context, 1);
#endif
    CUEMU_ACQUIRE(&op->order);
    op_work(stream, op);
    CUEMU_RELEASE(&stream->done);
#ifdef CUEMU_TSAN
    __tsan_switch_to_fiber(host, 1);
#endif
    stream->first = op->next;
    if (!stream->first)
        stream->last = nullptr;
    stream->ran_number = op->number;
    op->next = nullptr;
    if (stream->ran_last)
        stream->ran_last->next = op;
    else
        stream->ran = op;
    stream->ran_last = op;
}

bool can_run(const struct CUstream_st *stream)
{
    const struct op *op = stream->first;
    return op && (op->kind != OP_WAIT || op->event->reached >= op->record);
}

/* One queued call of any stream; false: none is left. */
bool any_run()
{
    struct CUstream_st *chosen = nullptr;
    uint64_t seen = 0;
    for (struct CUstream_st *each = streams; each; each = each->next)
        if (can_run(each) && random_below(++seen) == 0)
            chosen = each;
    if (chosen)
        op_run(chosen);
    return chosen;
}

/* The host is ordered behind the stream up to `number`: what those calls held is given back. */
void ops_free(struct CUstream_st *stream, uint64_t number)
{
    while (stream->ran && stream->ran->number <= number) {
        struct op *op = stream->ran;
        stream->ran = op->next;
        delete op->call;
        free(op);
    }
    if (!stream->ran)
        stream->ran_last = nullptr;
}

void stream_finish(struct CUstream_st *stream)
{
    while (stream->first)
        any_run();
    CUEMU_ACQUIRE(&stream->done);
    ops_free(stream, stream->ran_number);
}

struct op *op_new(enum op_kind kind)
{
    struct op *op = static_cast<struct op *>(calloc(1, sizeof *op));
    if (!op)
        found("no memory for a queued call");
    op->kind = kind;
    return op;
}

void op_queue(struct CUstream_st *stream, struct op *op)
{
    op->number = ++stream->numbers;
    CUEMU_RELEASE(&op->order);
    if (stream->last)
        stream->last->next = op;
    else
        stream->first = op;
    stream->last = op;
    while (!settings.lazy && stream->first)
        op_run(stream);
}

bool stream_is_known(cudaStream_t stream)
{
    for (struct CUstream_st *each = streams; each; each = each->next)
        if (each == stream)
            return true;
    return false;
}

/* The host is ordered behind an event's newest record. */
void event_acquire(cudaEvent_t event)
{
    CUEMU_ACQUIRE(&event->done);
    if (event->stream && stream_is_known(event->stream))
        ops_free(event->stream, event->number);
}

} // namespace

void *context_current()
{
#ifdef CUEMU_TSAN
    return __tsan_get_current_fiber();
#else
    return nullptr;
#endif
}

void streams_finish()
{
    for (struct CUstream_st *each = streams; each; each = each->next)
        stream_finish(each);
}

cudaError_t stream_launch(const struct cudaLaunchConfig_t *config, const void *kernel,
                          struct call *call)
{
    stream_check("cudaLaunchKernelEx", config->stream);
    struct op *op = op_new(OP_LAUNCH);
    op->config = *config;
    op->kernel = kernel;
    op->call = call;
    op_queue(config->stream, op);
    return cudaSuccess;
}

/* Checks what a copy's ends are against what it says they are. */
static void copy_check(const char *call, const void *to, const void *from, size_t to_bytes,
                       size_t from_bytes, enum cudaMemcpyKind kind)
{
    bool device_to = kind == cudaMemcpyDefault
                         ? is_device_memory(to)
                         : kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
    bool device_from = kind == cudaMemcpyDefault
                           ? is_device_memory(from)
                           : kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
    (device_to ? device_range_check : host_range_check)(call, to, to_bytes);
    (device_from ? device_range_check : host_range_check)(call, from, from_bytes);
}

} // namespace cuemu

cudaError_t cudaMemcpy2DAsync(void *to, size_t to_pitch, const void *from, size_t from_pitch,
                              size_t width, size_t height, enum cudaMemcpyKind kind,
                              cudaStream_t stream)
{
    struct entry entry(CALL_COPY);
    if (entry.refused)
        return entry.refused;
    stream_check("cudaMemcpyAsync", stream);
    if (width > to_pitch || width > from_pitch)
        return entry.answer(cudaErrorInvalidValue);
    if (width == 0 || height == 0)
        return cudaSuccess;
    copy_check("cudaMemcpyAsync", to, from, to_pitch * (height - 1) + width,
               from_pitch * (height - 1) + width, kind);
    struct op *op = op_new(OP_COPY);
    op->to = static_cast<char *>(to);
    op->from = static_cast<const char *>(from);
    op->to_pitch = to_pitch;
    op->from_pitch = from_pitch;
    op->width = width;
    op->height = height;
    op_queue(stream, op);
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind,
                            cudaStream_t stream)
{
    return cudaMemcpy2DAsync(to, bytes, from, bytes, bytes, 1, kind, stream);
}

cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t stream)
{
    struct entry entry(CALL_COPY);
    if (entry.refused)
        return entry.refused;
    stream_check("cudaMemsetAsync", stream);
    if (bytes == 0)
        return cudaSuccess;
    device_range_check("cudaMemsetAsync", to, bytes);
    struct op *op = op_new(OP_SET);
    op->to = static_cast<char *>(to);
    op->value = value;
    op->width = bytes;
    op->height = 1;
    op_queue(stream, op);
    return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *out, unsigned flags)
{
    struct entry entry(CALL_STREAM);
    if (entry.refused)
        return entry.refused;
    if (flags != cudaStreamNonBlocking)
        found("cudaStreamCreateWithFlags: a stream that waits for stream 0; cudaStreamNonBlocking "
              "is wanted");
    struct CUstream_st *made = static_cast<struct CUstream_st *>(calloc(1, sizeof *made));
    if (!made)
        return entry.answer(cudaErrorMemoryAllocation);
#ifdef CUEMU_TSAN
    made->context = __tsan_create_fiber(0);
#endif
    made->pool = pool_new();
    made->device = current_device();
    made->next = streams;
    streams = made;
    *out = made;
    return cudaSuccess;
}
cudaError_t cudaStreamCreateWithPriority(cudaStream_t *out, unsigned flags, int)
{
    return cudaStreamCreateWithFlags(out, flags);
}
cudaError_t cudaDeviceGetStreamPriorityRange(int *least, int *greatest)
{
    struct entry entry(CALL_STREAM);
    if (!entry.refused) {
        *least = 0;
        *greatest = -5;
    }
    return entry.refused;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    struct entry entry(CALL_STREAM);
    if (entry.refused)
        return entry.refused;
    stream_check("cudaStreamDestroy", stream);
    stream_finish(stream);
    struct CUstream_st **link = &streams;
    while (*link != stream)
        link = &(*link)->next;
    *link = stream->next;
    pool_free(stream->pool);
#ifdef CUEMU_TSAN
    __tsan_destroy_fiber(stream->context);
#endif
    free(stream);
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    struct entry entry(CALL_SYNC);
    if (entry.refused)
        return entry.refused;
    stream_check("cudaStreamSynchronize", stream);
    stream_finish(stream);
    return cudaSuccess;
}

cudaError_t cudaStreamQuery(cudaStream_t stream)
{
    struct entry entry(CALL_QUERY);
    if (entry.refused)
        return entry.refused;
    stream_check("cudaStreamQuery", stream);
    if (device_hangs())
        return cudaErrorNotReady;
    any_run();
    if (stream->first)
        return cudaErrorNotReady;
    stream_finish(stream);
    return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned)
{
    struct entry entry(CALL_STREAM);
    if (entry.refused)
        return entry.refused;
    stream_check("cudaStreamWaitEvent", stream);
    struct op *op = op_new(OP_WAIT);
    op->event = event;
    op->record = event->asked;
    op_queue(stream, op);
    return cudaSuccess;
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
    while (event->reached < event->asked && any_run())
        ;
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
