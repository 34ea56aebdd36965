/* wire.c - see wire.h. A payload is not touched here: it is copied once, by who knows where to. */
#include "rpc/wire.h"

#include <string.h>

struct cursor cursor_over(const struct span *span, size_t spans)
{
    struct cursor cursor = {.span = span, .spans = spans};

    for (size_t i = 0; i < spans; i++)
        cursor.left += span[i].bytes;
    return cursor;
}

/* Stands on a byte afterwards; there is one. */
static void cursor_settle(struct cursor *cursor)
{
    while (cursor->at == cursor->span[cursor->index].bytes) {
        cursor->index++;
        cursor->at = 0;
    }
}

static void cursor_step(struct cursor *cursor, size_t bytes)
{
    cursor->at += bytes;
    cursor->left -= bytes;
    cursor->offset += bytes;
}

bool cursor_byte(struct cursor *cursor, uint8_t *out)
{
    if (cursor->left == 0)
        return false;
    cursor_settle(cursor);
    *out = cursor->span[cursor->index].data[cursor->at];
    cursor_step(cursor, 1);
    return true;
}

bool cursor_varint(struct cursor *cursor, uint64_t *out)
{
    uint64_t value = 0;
    uint8_t byte;

    for (unsigned shift = 0; shift < 70; shift += 7) {
        if (!cursor_byte(cursor, &byte) || (shift == 63 && byte > 1))
            return false;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *out = value;
            return true;
        }
    }
    return false;
}

bool cursor_copy(struct cursor *cursor, void *to, size_t bytes)
{
    uint8_t *next = to;

    if (bytes > cursor->left)
        return false;
    while (bytes > 0) {
        cursor_settle(cursor);
        const struct span *span = &cursor->span[cursor->index];
        size_t here = span->bytes - cursor->at;
        if (here > bytes)
            here = bytes;
        if (next) {
            memcpy(next, span->data + cursor->at, here);
            next += here;
        }
        cursor_step(cursor, here);
        bytes -= here;
    }
    return true;
}

bool cursor_skip(struct cursor *cursor, size_t bytes)
{
    return cursor_copy(cursor, NULL, bytes);
}

bool cursor_fixed32(struct cursor *cursor, uint32_t *out)
{
    uint8_t byte[4];

    if (!cursor_copy(cursor, byte, sizeof byte))
        return false;
    *out = (uint32_t)byte[0] | (uint32_t)byte[1] << 8 | (uint32_t)byte[2] << 16 |
           (uint32_t)byte[3] << 24;
    return true;
}

bool cursor_tag(struct cursor *cursor, uint32_t *number, enum wire_type *type)
{
    uint64_t tag;

    if (!cursor_varint(cursor, &tag) || tag >> 3 == 0 || tag >> 3 > 0x1fffffff)
        return false;
    *number = (uint32_t)(tag >> 3);
    *type = (enum wire_type)(tag & 7);
    return *type == WIRE_VARINT || *type == WIRE_FIXED64 || *type == WIRE_BYTES ||
           *type == WIRE_FIXED32;
}

bool cursor_skip_value(struct cursor *cursor, enum wire_type type)
{
    uint64_t value;

    if (type == WIRE_VARINT)
        return cursor_varint(cursor, &value);
    if (type == WIRE_FIXED64)
        return cursor_skip(cursor, 8);
    if (type == WIRE_FIXED32)
        return cursor_skip(cursor, 4);
    return cursor_varint(cursor, &value) && value <= cursor->left && cursor_skip(cursor, value);
}

enum { CHUNK_ID = 1, CHUNK_OFFSET = 2, CHUNK_PAYLOAD = 3, CHUNK_CRC = 4 };

static enum status chunk_malformed(struct error *error, size_t byte, const char *why)
{
    return FAIL(error, MALFORMED, TEXT("what", "UploadRequest"), INT("byte", byte),
                TEXT("why", why));
}

/* Our own ids hold printable ASCII alone. */
static bool chunk_id(struct cursor *cursor, char id[64])
{
    uint64_t bytes;

    if (!cursor_varint(cursor, &bytes) || bytes >= 64 || !cursor_copy(cursor, id, bytes))
        return false;
    id[bytes] = '\0';
    for (size_t i = 0; i < bytes; i++)
        if (id[i] <= ' ' || id[i] > '~')
            return false;
    return true;
}

static bool chunk_payload(struct cursor *cursor, struct upload_chunk *chunk)
{
    uint64_t bytes;

    if (!cursor_varint(cursor, &bytes) || bytes > cursor->left)
        return false;
    chunk->payload = *cursor;
    chunk->payload_bytes = bytes;
    return cursor_skip(cursor, bytes);
}

static bool chunk_field(struct cursor *cursor, uint32_t number, enum wire_type type,
                        struct upload_chunk *chunk)
{
    uint64_t value;

    if (number == CHUNK_ID)
        return type == WIRE_BYTES && chunk_id(cursor, chunk->upload_id);
    if (number == CHUNK_PAYLOAD)
        return type == WIRE_BYTES && chunk_payload(cursor, chunk);
    if (number == CHUNK_CRC)
        return type == WIRE_FIXED32 && cursor_fixed32(cursor, &chunk->crc);
    if (number != CHUNK_OFFSET)
        return cursor_skip_value(cursor, type);
    if (type != WIRE_VARINT || !cursor_varint(cursor, &value))
        return false;
    chunk->offset = (int64_t)value;
    return true;
}

enum status upload_chunk_scan(const struct span *span, size_t spans, struct upload_chunk *out,
                              struct error *error)
{
    struct upload_chunk chunk = {.payload = {.span = span}};
    struct cursor cursor = cursor_over(span, spans);
    unsigned seen = 0;

    while (cursor.left > 0) {
        size_t start = cursor.offset;
        enum wire_type type;
        uint32_t number;
        if (!cursor_tag(&cursor, &number, &type))
            return chunk_malformed(error, start, "no field starts here");
        if (number <= CHUNK_CRC && (seen & 1u << number))
            return chunk_malformed(error, start, "a field is given twice");
        if (!chunk_field(&cursor, number, type, &chunk))
            return chunk_malformed(error, start, "this field cannot be read");
        if (number <= CHUNK_CRC)
            seen |= 1u << number;
    }
    *out = chunk;
    return STATUS_OK;
}
