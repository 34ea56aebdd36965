/* stream.h - streams and events: what is queued, and what it is ordered behind. */
#ifndef BARY_TESTS_CUEMU_STREAM_H
#define BARY_TESTS_CUEMU_STREAM_H

#include "tests/cuemu/state.h"

namespace cuemu
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

} // namespace cuemu

struct CUstream_st {
    struct cuemu::order_point done;
    struct cuemu::op *first, *last; /* queued */
    struct cuemu::op *ran, *ran_last;
    uint64_t numbers, ran_number;
    void *context;
    struct cuemu::pool *pool;
    int device;
    struct CUstream_st *next;
};

struct CUevent_st {
    struct CUevent_st *next, *before; /* of all that live: a lost device forgets its own */
    struct cuemu::order_point done;
    uint64_t asked, reached; /* records: queued, run */
    cudaStream_t stream;     /* of the newest record */
    uint64_t number;         /* of the stream's ops: those before it are behind it */
    double ms;
    bool timed;
};

namespace cuemu
{

extern struct CUstream_st *streams;

/* A found bug unless it is a stream that lives. */
void stream_check(const char *call, cudaStream_t stream);
struct op *op_new(enum op_kind kind);
/* Takes the op; eagerly it also runs. */
void op_queue(struct CUstream_st *stream, struct op *op);
/* One queued call of any stream; false: none can run. */
bool any_run();
/* Runs what is queued on it, and orders the host behind it. */
void stream_finish(struct CUstream_st *stream);
/* Orders the host behind an event's newest record. */
void event_acquire(cudaEvent_t event);

} // namespace cuemu

#endif
