/* queue.cc - when a queued call runs, and in whose context.
 *
 * Eagerly a call runs what it queues. Lazily (CUEMU_LAZY) it stays queued until the host waits or asks;
 * then streams take turns at random, so that a dependency that was not declared breaks.
 * To a race detector a stream is a thread: a call is ordered behind the host's past, and the host behind
 * the stream only where it waits. */
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "tests/cuemu/stream.h"

namespace cuemu
{

struct CUstream_st *streams;

/* By the system call: a race detector takes clock_gettime's own for a write of the stream, on a stack
 * that is the host's. */
static double now_ms()
{
    struct timespec now;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
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

static void launch_run(struct op *op, struct pool *pool)
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

static void copy_run(const struct op *op)
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

static void record_run(struct CUstream_st *stream, const struct op *op)
{
    struct CUevent_st *event = op->event;
    event->reached = op->record;
    event->stream = stream;
    event->number = op->number;
    event->ms = now_ms();
    CUEMU_RELEASE(&event->done);
}

/* A device that failed does nothing any more, but waits end. */
static void op_work(struct CUstream_st *stream, struct op *op)
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
static void op_run(struct CUstream_st *stream)
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

static bool can_run(const struct CUstream_st *stream)
{
    const struct op *op = stream->first;
    return op && (op->kind != OP_WAIT || op->event->reached >= op->record);
}

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
static void ops_free(struct CUstream_st *stream, uint64_t number)
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

static bool stream_is_known(cudaStream_t stream)
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

} // namespace cuemu
