/* gate.c - see gate.h. One walk, driven by protobuf-c's own descriptors. */
#include "rpc/gate.h"

#include <assert.h>
#include <stdbool.h>

#include "proto/limits.h"
#include "rpc/wire.h"

/* Where the walk is; one for the whole message. */
struct gate {
    struct cursor cursor;
    const char *what; /* the outermost message */
    int64_t fields, elements;
    struct error *error;
};

static enum status refuse(const struct gate *gate, size_t byte, const char *why)
{
    return FAIL(gate->error, MALFORMED, TEXT("what", gate->what), INT("byte", byte),
                TEXT("why", why));
}

/* Length of the character at `text`, 0 if there is none: RFC 3629, no surrogates, nothing overlong. */
static size_t character_bytes(const uint8_t *text, size_t left)
{
    uint32_t lead = text[0], code, least;
    size_t bytes = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;

    if (bytes == 0 || bytes > left || lead > 0xf4)
        return 0;
    if (bytes == 1)
        return lead < 0x20 || lead == 0x7f ? 0 : 1;
    code = lead & (0x7fu >> bytes);
    for (size_t i = 1; i < bytes; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (text[i] & 0x3fu);
    }
    least = bytes == 2 ? 0x80 : bytes == 3 ? 0x800 : 0x10000;
    if (code < least || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
        return 0;
    return code < 0xa0 ? 0 : bytes; /* C1 controls */
}

bool gate_text(const uint8_t *text, size_t bytes, size_t *bad)
{
    size_t at = 0;

    while (at < bytes) {
        size_t step = character_bytes(text + at, bytes - at);
        if (step == 0) {
            *bad = at;
            return false;
        }
        at += step;
    }
    return true;
}

/* The descriptor's row of a field number, or -1: binary search, rows are sorted by number. */
static int field_index(const ProtobufCMessageDescriptor *descriptor, uint32_t number)
{
    int low = 0, high = (int)descriptor->n_fields - 1;

    while (low <= high) {
        int middle = (low + high) / 2;
        uint32_t here = descriptor->fields[middle].id;
        if (here == number)
            return middle;
        if (here < number)
            low = middle + 1;
        else
            high = middle - 1;
    }
    return -1;
}

static enum wire_type type_of(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        return WIRE_FIXED32;
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return WIRE_FIXED64;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return WIRE_BYTES;
    default:
        return WIRE_VARINT;
    }
}

/* A packed field's numbers, which must fill its `bytes` exactly. */
static enum status packed_check(struct gate *gate, enum wire_type type, size_t bytes)
{
    size_t start = gate->cursor.offset;
    struct cursor part = gate->cursor;

    part.left = bytes;
    while (part.left > 0) {
        if (++gate->elements > GATE_ELEMENTS_MAX)
            return refuse(gate, part.offset, "too many elements");
        if (!cursor_skip_value(&part, type))
            return refuse(gate, start, "a packed field does not end with a number");
    }
    cursor_skip(&gate->cursor, bytes);
    return STATUS_OK;
}

static enum status text_check(struct gate *gate, size_t bytes)
{
    const uint8_t *text = gate->cursor.span->data + gate->cursor.offset;
    size_t bad;

    if (bytes > STRING_BYTES_MAX)
        return refuse(gate, gate->cursor.offset, "text longer than 4096 bytes");
    if (!gate_text(text, bytes, &bad))
        return refuse(gate, gate->cursor.offset + bad,
                      "text that is not UTF-8 without control characters");
    cursor_skip(&gate->cursor, bytes);
    return STATUS_OK;
}

static enum status message_check(struct gate *gate, const ProtobufCMessageDescriptor *descriptor,
                                 size_t bytes, int depth);

static enum status bytes_check(struct gate *gate, const ProtobufCFieldDescriptor *field, int depth)
{
    size_t start = gate->cursor.offset;
    uint64_t bytes;

    if (!cursor_varint(&gate->cursor, &bytes) || bytes > gate->cursor.left)
        return refuse(gate, start, "a length that passes the end");
    if (field->type == PROTOBUF_C_TYPE_MESSAGE)
        return message_check(gate, field->descriptor, bytes, depth + 1);
    if (field->type == PROTOBUF_C_TYPE_STRING)
        return text_check(gate, bytes);
    if (field->type != PROTOBUF_C_TYPE_BYTES)
        return packed_check(gate, type_of(field->type), bytes);
    cursor_skip(&gate->cursor, bytes);
    return STATUS_OK;
}

/* A field that the message knows. `seen`: the rows of its singular sub-messages so far. */
static enum status known_check(struct gate *gate, const ProtobufCMessageDescriptor *descriptor,
                               int index, enum wire_type type, uint64_t *seen, int depth)
{
    const ProtobufCFieldDescriptor *field = &descriptor->fields[index];
    bool repeated = field->label == PROTOBUF_C_LABEL_REPEATED;
    enum wire_type own = type_of(field->type);
    bool packed = repeated && own != WIRE_BYTES && type == WIRE_BYTES;
    size_t start = gate->cursor.offset;

    if (type != own && !packed)
        return refuse(gate, start, "a field of another type than the message says");
    if (repeated && !packed && ++gate->elements > GATE_ELEMENTS_MAX)
        return refuse(gate, start, "too many elements");
    if (!repeated && field->type == PROTOBUF_C_TYPE_MESSAGE) {
        if (*seen & UINT64_C(1) << index)
            return refuse(gate, start, "a sub-message is given twice");
        *seen |= UINT64_C(1) << index;
    }
    if (type == WIRE_BYTES)
        return bytes_check(gate, field, depth);
    if (!cursor_skip_value(&gate->cursor, type))
        return refuse(gate, start, "a value that passes the end");
    return STATUS_OK;
}

/* The next `bytes` bytes are one message. */
static enum status message_check(struct gate *gate, const ProtobufCMessageDescriptor *descriptor,
                                 size_t bytes, int depth)
{
    size_t end = gate->cursor.offset + bytes, behind = gate->cursor.left - bytes;
    enum status status = STATUS_OK;
    uint64_t seen = 0;

    assert(descriptor->n_fields <= 64);
    if (depth > GATE_DEPTH_MAX)
        return refuse(gate, gate->cursor.offset, "messages nested deeper than 16");
    gate->cursor.left = bytes; /* nothing inside may look past it */
    while (gate->cursor.offset < end) {
        size_t start = gate->cursor.offset;
        enum wire_type type;
        uint32_t number;
        int index;
        if (!cursor_tag(&gate->cursor, &number, &type))
            return refuse(gate, start, "no field starts here");
        if (++gate->fields > GATE_FIELDS_MAX)
            return refuse(gate, start, "too many fields");
        index = field_index(descriptor, number);
        if (index >= 0)
            TRY(known_check(gate, descriptor, index, type, &seen, depth));
        else if (!cursor_skip_value(&gate->cursor, type))
            return refuse(gate, start, "a field that passes the end");
    }
    gate->cursor.left = behind;
out:
    return status;
}

enum status gate_check(const ProtobufCMessageDescriptor *descriptor, const uint8_t *data,
                       size_t bytes, struct error *error)
{
    const struct span span = {data, bytes};
    struct gate gate = {
        .cursor = cursor_over(&span, 1), .what = descriptor->short_name, .error = error};

    return message_check(&gate, descriptor, bytes, 1);
}
