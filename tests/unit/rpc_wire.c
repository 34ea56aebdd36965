/* rpc_wire.c - the wire format in pieces of any size gives what it gives in one. */
#include "rpc/wire.h"
#include "tests/check.h"

enum { MESSAGE_MAX = 4096, SPANS_MAX = 4096 };

/* A message being written. */
struct bytes {
    uint8_t at[MESSAGE_MAX];
    size_t count;
};

static void put_varint(struct bytes *out, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        out->at[out->count++] = (uint8_t)(value | 0x80);
    out->at[out->count++] = (uint8_t)value;
}

static void put_bytes(struct bytes *out, unsigned field, const void *data, size_t count)
{
    put_varint(out, field << 3 | WIRE_BYTES);
    put_varint(out, count);
    memcpy(out->at + out->count, data, count);
    out->count += count;
}

static struct bytes chunk_message(const void *payload, size_t count)
{
    struct bytes out = {.count = 0};
    const uint32_t crc = 0x89abcdef;

    put_varint(&out, 2 << 3 | WIRE_VARINT);
    put_varint(&out, 1234567890123);
    put_varint(&out, 19 << 3 | WIRE_VARINT); /* of a newer client */
    put_varint(&out, UINT64_MAX);
    put_bytes(&out, 3, payload, count);
    put_varint(&out, 4 << 3 | WIRE_FIXED32);
    memcpy(out.at + out.count, &crc, sizeof crc);
    out.count += sizeof crc;
    return out;
}

/* Cuts into spans of `step` bytes, each in memory of its own so that a read too far is seen. */
static size_t cut(const struct bytes *message, size_t bytes, size_t step,
                  struct span span[SPANS_MAX])
{
    size_t count = 0;

    for (size_t at = 0; at < bytes; at += step) {
        size_t here = bytes - at < step ? bytes - at : step;
        uint8_t *copy = malloc(here);
        memcpy(copy, message->at + at, here);
        span[count++] = (struct span){copy, here};
    }
    return count;
}

static void spans_free(struct span *span, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free((void *)(uintptr_t)span[i].data);
}

static void a_chunk_in_pieces_is_the_chunk(struct check *check)
{
    uint8_t payload[1000], got[1000];
    struct span span[SPANS_MAX];
    struct upload_chunk chunk;

    for (size_t i = 0; i < sizeof payload; i++)
        payload[i] = (uint8_t)(i * 7);
    struct bytes message = chunk_message(payload, sizeof payload);
    for (size_t step = 1; step <= 17; step++) {
        size_t count = cut(&message, message.count, step, span);
        check_note(check, "step=%zu", step);
        check_equal_i64(check, upload_chunk_scan(span, count, &chunk, NULL), STATUS_OK);
        check_equal_i64(check, chunk.offset, 1234567890123);
        check_equal_u64(check, chunk.crc, 0x89abcdef);
        check_equal_u64(check, chunk.payload_bytes, sizeof payload);
        check_true(check, cursor_copy(&chunk.payload, got, sizeof got));
        check_equal_bytes(check, got, payload, sizeof got);
        check_equal_text(check, chunk.upload_id, "");
        spans_free(span, count);
    }
}

static void a_chunk_cut_anywhere_is_refused_or_shorter_by_whole_fields(struct check *check)
{
    struct bytes message = chunk_message("payload", 7);
    struct span span[SPANS_MAX];
    struct upload_chunk chunk;
    struct error error;
    int good = 0;

    for (size_t bytes = 0; bytes < message.count; bytes++) {
        size_t count = cut(&message, bytes, 3, span);
        if (upload_chunk_scan(span, count, &chunk, &error) == STATUS_OK)
            good++;
        else
            check_equal_i64(check, error.status, STATUS_MALFORMED);
        spans_free(span, count);
    }
    check_equal_i64(check, good, 4); /* nothing, and after each of the first three fields */
}

static void a_field_given_twice_is_refused(struct check *check)
{
    struct bytes message = chunk_message("payload", 7);
    struct upload_chunk chunk;
    struct error error;

    put_varint(&message, 2 << 3 | WIRE_VARINT);
    put_varint(&message, 5);
    const struct span span = {message.at, message.count};
    check_equal_i64(check, upload_chunk_scan(&span, 1, &chunk, &error), STATUS_MALFORMED);
    check_equal_text(check, error_value(&error, "why"), "a field is given twice");
}

static void an_upload_id_is_printable_and_short(struct check *check)
{
    const char *const bad[] = {"a b", "a\n", "\xc3\xa9",
                               "0123456789012345678901234567890123456789012345678901234567890123"};
    struct upload_chunk chunk;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct bytes message = {.count = 0};
        put_bytes(&message, 1, bad[i], strlen(bad[i]));
        const struct span span = {message.at, message.count};
        check_equal_i64(check, upload_chunk_scan(&span, 1, &chunk, NULL), STATUS_MALFORMED);
    }
    struct bytes message = {.count = 0};
    put_bytes(&message, 1, "u-0af3", 6);
    const struct span span = {message.at, message.count};
    check_equal_i64(check, upload_chunk_scan(&span, 1, &chunk, NULL), STATUS_OK);
    check_equal_text(check, chunk.upload_id, "u-0af3");
}

static void varints_end_after_ten_bytes(struct check *check)
{
    const uint8_t most[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01};
    const uint8_t over[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02};
    const struct span good = {most, sizeof most}, bad = {over, sizeof over};
    struct cursor cursor = cursor_over(&good, 1);
    uint64_t value;

    check_true(check, cursor_varint(&cursor, &value));
    check_equal_u64(check, value, UINT64_MAX);
    cursor = cursor_over(&bad, 1);
    check_true(check, !cursor_varint(&cursor, &value));
}

CHECKS(CLAIM(a_chunk_in_pieces_is_the_chunk),
       CLAIM(a_chunk_cut_anywhere_is_refused_or_shorter_by_whole_fields),
       CLAIM(a_field_given_twice_is_refused), CLAIM(an_upload_id_is_printable_and_short),
       CLAIM(varints_end_after_ten_bytes))
