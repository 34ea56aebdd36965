/* wire.h - protobuf's wire format, read where it lies.
 *
 * A received message lies in pieces: its spans. A cursor walks over them without a copy, and every
 * step says false when the message ends too early. Knows neither gRPC nor protobuf-c. */
#ifndef BARY_RPC_WIRE_H
#define BARY_RPC_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/base/error.h"

/* Borrowed bytes. */
struct span {
    const uint8_t *data;
    size_t bytes;
};

struct cursor {
    const struct span *span;
    size_t spans, index, at; /* present span, and the place in it */
    size_t left, offset;     /* bytes to the end; bytes from the start */
};
struct cursor cursor_over(const struct span *span, size_t spans);

bool cursor_byte(struct cursor *cursor, uint8_t *out);
bool cursor_varint(struct cursor *cursor, uint64_t *out); /* at most ten bytes */
bool cursor_fixed32(struct cursor *cursor, uint32_t *out);
bool cursor_skip(struct cursor *cursor, size_t bytes);
bool cursor_copy(struct cursor *cursor, void *to, size_t bytes);

enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };
/* A field's number, 1 .. 2^29-1, and its type; groups and types that do not exist are refused. */
bool cursor_tag(struct cursor *cursor, uint32_t *number, enum wire_type *type);
/* Passes over the value of a field of that type. */
bool cursor_skip_value(struct cursor *cursor, enum wire_type type);

/* One message of DatasetService.Upload. The payload stays where it is: `payload` stands at its
 * first byte. */
struct upload_chunk {
    char upload_id[64]; /* "": none */
    int64_t offset;
    struct cursor payload;
    size_t payload_bytes;
    uint32_t crc;
};
/* MALFORMED with the byte; a field given twice, too. */
enum status upload_chunk_scan(const struct span *span, size_t spans, struct upload_chunk *out,
                              struct error *error);

#endif
