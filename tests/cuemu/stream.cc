/* stream.cc - streams, and the copies and sets that are queued on them. */
#include <stdlib.h>

#include "tests/cuemu/stream.h"

using namespace cuemu;

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
