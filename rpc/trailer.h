/* trailer.h - an error as gRPC carries it: code, text, and google.rpc.Status in a trailer.
 *
 * The details hold exactly one ErrorInfo (domain "bary", the reason's name, every value of the text),
 * RetryInfo where trying again may help, and BadRequest or QuotaFailure where they fit. Text is at
 * most 1 KiB and details 4 KiB, because trailers over 8 KiB hide the error itself. */
#ifndef BARY_RPC_TRAILER_H
#define BARY_RPC_TRAILER_H

#include "host/base/error.h"
#include "proto/limits.h"

enum { DETAILS_BYTES_MAX = 4096 };

struct trailer {
    int code; /* gRPC's number */
    char text[ERROR_TEXT_BYTES_MAX + 1];
    unsigned char details[DETAILS_BYTES_MAX];
    size_t details_bytes;
    int64_t pushback_ms; /* for grpc-retry-pushback-ms; -1: none */
};
/* Allocates nothing and cannot fail. */
void trailer_make(const struct error *error, struct trailer *out);

#endif
