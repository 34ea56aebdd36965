/* unpack.h - a message from bytes: gate first, then protobuf-c inside a budget.
 *
 * Small messages can grow a hundredfold when unpacked, so a request may take 32 times its wire length
 * and 64 KiB, and all requests together what the limit unpack_bytes says. Lifetime: a request's, that
 * is until request_free. */
#ifndef BARY_RPC_UNPACK_H
#define BARY_RPC_UNPACK_H

#include <protobuf-c/protobuf-c.h>
#include <stdatomic.h>

#include "host/base/error.h"
#include "host/base/memory.h"

/* What all requests share. */
struct unpack_budget {
    _Atomic int64_t used, most;
};

struct request {
    ProtobufCMessage *message;
    struct arena arena;
    struct unpack_budget *budget;
    int64_t counted; /* of the budget */
    enum status why; /* what stopped the last allocation */
};

/* MALFORMED (also when it grows beyond 32 times its length), MEMORY_PRESSURE, OUT_OF_MEMORY. On
 * failure there is nothing to free. */
enum status request_unpack(struct unpack_budget *budget,
                           const ProtobufCMessageDescriptor *descriptor, const uint8_t *data,
                           size_t bytes, struct request *out, struct error *error);
void request_free(struct request *request);

#endif
