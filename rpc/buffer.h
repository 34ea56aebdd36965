/* buffer.h - messages on their way between protobuf-c and gRPC, without copying what is big.
 *
 * Received: spans over the slices as they came. Sent: small fields are copied into one slice, and a
 * `bytes` field of 4 KiB or more becomes a slice of its own over the caller's memory, held by a
 * keeper until gRPC has written it. */
#ifndef BARY_RPC_BUFFER_H
#define BARY_RPC_BUFFER_H

#include <grpc/byte_buffer.h>
#include <protobuf-c/protobuf-c.h>
#include <stdatomic.h>

#include "rpc/wire.h"

/* The slices of a received message as spans. The message must outlive them. */
struct spans {
    struct span *span, few[16];
    size_t count, bytes;
};
enum status spans_of(grpc_byte_buffer *received, struct spans *out, struct error *error);
void spans_deinit(struct spans *spans);

/* Holds memory that slices point into; `release(owner)` with the last reference, on any thread. */
struct keeper {
    _Atomic int refs;
    void (*release)(void *owner);
    void *owner;
};
/* One reference, the caller's. NULL: no memory; then release was not called. */
struct keeper *keeper_new(void (*release)(void *owner), void *owner);
void keeper_drop(struct keeper **keeper); /* NULL is fine */

/* The message as gRPC sends it. keeper NULL: everything is copied. OUT_OF_MEMORY. */
enum status buffer_pack(const ProtobufCMessage *message, struct keeper *keeper,
                        grpc_byte_buffer **out, struct error *error);

#endif
