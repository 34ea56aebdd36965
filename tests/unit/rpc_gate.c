/* rpc_gate.c - what strangers send: nothing that would hurt the unpacker gets to it. */
#include "bary/v1/clustering_service.pb-c.h"
#include "google/protobuf/descriptor.pb-c.h"
#include "host/base/clock.h"
#include "rpc/gate.h"
#include "rpc/unpack.h"
#include "tests/check.h"

struct bytes {
    uint8_t *at;
    size_t count, room;
};

static void put(struct bytes *out, const void *data, size_t count)
{
    if (out->count + count > out->room) {
        out->room = 2 * out->room + count;
        out->at = realloc(out->at, out->room);
    }
    memcpy(out->at + out->count, data, count);
    out->count += count;
}

static void put_varint(struct bytes *out, uint64_t value)
{
    uint8_t byte;

    for (; value >= 0x80; value >>= 7) {
        byte = (uint8_t)(value | 0x80);
        put(out, &byte, 1);
    }
    byte = (uint8_t)value;
    put(out, &byte, 1);
}

static void put_field(struct bytes *out, unsigned field, const void *data, size_t count)
{
    put_varint(out, field << 3 | 2);
    put_varint(out, count);
    if (count)
        put(out, data, count);
}

/* The status of a FitRequest of these bytes, and its error; what was taken is given back. */
static enum status unpack_fit(const struct bytes *bytes, int64_t most, struct error *error)
{
    struct unpack_budget budget = {.most = most};
    struct request request;
    uint8_t *exact = malloc(bytes->count ? bytes->count : 1); /* a read too far is seen */
    enum status status;

    if (bytes->count)
        memcpy(exact, bytes->at, bytes->count);
    status = request_unpack(&budget, &bary__v1__fit_request__descriptor, exact, bytes->count,
                            &request, error);
    if (status == STATUS_OK)
        request_free(&request);
    free(exact);
    return budget.used == 0 ? status : STATUS_BUG;
}

static const int64_t PLENTY = (int64_t)1 << 30;

static struct bytes good_fit(void)
{
    Bary__V1__FitRequest fit = BARY__V1__FIT_REQUEST__INIT;
    Bary__V1__Source source = BARY__V1__SOURCE__INIT;
    Bary__V1__Matrix matrix = BARY__V1__MATRIX__INIT;
    Bary__V1__RunOptions options = BARY__V1__RUN_OPTIONS__INIT;
    static char model[] = "m\xc3\xa9", tag[] = "a tag";
    char *tags[] = {tag, tag};
    static uint8_t values[64];
    struct bytes out = {0};

    matrix.dtype = BARY__V1__DTYPE__DTYPE_F64;
    matrix.rows = 4;
    matrix.columns = 2;
    matrix.data = (ProtobufCBinaryData){sizeof values, values};
    source.source_case = BARY__V1__SOURCE__SOURCE_MATRIX;
    source.matrix = &matrix;
    options.n_tags = 2;
    options.tags = tags;
    fit.source = &source;
    fit.n_clusters = 300;
    fit.model = model;
    fit.options = &options;
    out.room = out.count = bary__v1__fit_request__get_packed_size(&fit);
    out.at = malloc(out.room);
    bary__v1__fit_request__pack(&fit, out.at);
    return out;
}

static void a_good_message_passes(struct check *check)
{
    struct bytes message = good_fit();

    check_equal_i64(check, unpack_fit(&message, PLENTY, NULL), STATUS_OK);
    free(message.at);
}

static void a_message_cut_at_any_byte_is_refused_or_whole(struct check *check)
{
    struct bytes message = good_fit();
    size_t whole = message.count;

    for (size_t bytes = 0; bytes < whole; bytes++) {
        struct error error;
        message.count = bytes;
        check_note(check, "bytes=%zu of %zu", bytes, whole);
        if (unpack_fit(&message, PLENTY, &error) != STATUS_OK) {
            check_equal_i64(check, error.status, STATUS_MALFORMED);
            check_true(check, strtoull(error_value(&error, "byte"), NULL, 10) <= bytes);
        }
    }
    free(message.at);
}

static void a_message_with_any_byte_changed_harms_nobody(struct check *check)
{
    struct bytes message = good_fit();
    uint64_t state = 1;

    for (size_t at = 0; at < message.count; at++)
        for (int i = 0; i < 8; i++) {
            uint8_t before = message.at[at];
            message.at[at] = (uint8_t)check_random(&state);
            enum status status = unpack_fit(&message, PLENTY, NULL);
            check_note(check, "byte %zu is %d", at, message.at[at]);
            check_true(check, status == STATUS_OK || status == STATUS_MALFORMED);
            message.at[at] = before;
        }
    free(message.at);
}

/* What must be refused, and the words. */
static void refuse(struct check *check, const struct bytes *message, const char *why)
{
    struct error error;

    check_note(check, "%s", why);
    check_equal_i64(check, unpack_fit(message, PLENTY, &error), STATUS_MALFORMED);
    check_equal_text(check, error_value(&error, "why"), why);
}

static void words_name_what_is_wrong(struct check *check)
{
    static const struct {
        const char *bytes;
        size_t count;
        const char *why;
    } rows[] = {
        {"\x02\x00", 2, "no field starts here"}, /* number 0 */
        {"\x0b\x0c", 2, "no field starts here"}, /* a group */
        {"\x0f", 1, "no field starts here"},     /* type 7 */
        {"\x08\x01", 2, "a field of another type than the message says"},
        {"\x0a\x00\x0a\x00", 4, "a sub-message is given twice"},
        {"\x72\x02\xff\xfe", 4, "text that is not UTF-8 without control characters"},
        {"\x72\x02\xc0\x80", 4, "text that is not UTF-8 without control characters"},
        {"\x72\x03\xed\xa0\x80", 5, "text that is not UTF-8 without control characters"},
        {"\x72\x03"
         "a\0b",
         5, "text that is not UTF-8 without control characters"},
        {"\x72\x02\xc2\x80", 4, "text that is not UTF-8 without control characters"},
        {"\x72\x05"
         "abc",
         5, "a length that passes the end"},
        {"\x10\x80", 2, "a value that passes the end"},
        {"\xf8\x07\x80", 3, "a field that passes the end"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct bytes message = {0};
        put(&message, rows[i].bytes, rows[i].count);
        refuse(check, &message, rows[i].why);
        free(message.at);
    }
}

static void long_text_is_refused(struct check *check)
{
    char text[5000];
    struct bytes message = {0};

    memset(text, 'a', sizeof text);
    put_field(&message, 14, text, 4096);
    check_equal_i64(check, unpack_fit(&message, PLENTY, NULL), STATUS_OK);
    message.count = 0;
    put_field(&message, 14, text, 4097);
    refuse(check, &message, "text longer than 4096 bytes");
    free(message.at);
}

/* DescriptorProto.nested_type is recursive, as none of ours is. */
static void deep_messages_are_refused(struct check *check)
{
    const ProtobufCMessageDescriptor *descriptor = &google__protobuf__descriptor_proto__descriptor;
    struct bytes inner = {0};
    struct error error;

    for (int depth = 2; depth < 4000; depth++) {
        struct bytes outer = {0};
        put_field(&outer, 3, inner.at, inner.count);
        free(inner.at);
        inner = outer;
        if (depth == 16 || depth == 17)
            check_equal_i64(check, gate_check(descriptor, inner.at, inner.count, NULL),
                            depth == 16 ? STATUS_OK : STATUS_MALFORMED);
    }
    check_equal_i64(check, gate_check(descriptor, inner.at, inner.count, &error), STATUS_MALFORMED);
    check_equal_text(check, error_value(&error, "why"), "messages nested deeper than 16");
    free(inner.at);
}

/* 4 MiB of tags, of unknown fields, of empty columns, of one sub-message again and again: each is
 * answered in milliseconds and takes no more than its budget. */
static void small_messages_that_grow_are_refused_fast(struct check *check)
{
    enum { BYTES = 4 << 20 };
    struct bytes bombs[4] = {0};
    int64_t begun = clock_ns();

    while (bombs[0].count < BYTES)
        put(&bombs[0], "\x22\x00", 2); /* options.tags */
    while (bombs[1].count < BYTES)
        put(&bombs[1], "\xf8\x07\x01", 3);
    while (bombs[2].count < BYTES)
        put(&bombs[2], "\x0a\x02\x08\x02", 4); /* source { matrix {} } */
    while (bombs[3].count < BYTES)
        put(&bombs[3], "\x1a\x00", 2); /* source.table.data */
    for (int i = 0; i < 4; i++) {
        struct bytes message = {0};
        if (i == 0)
            put_field(&message, 18, bombs[0].at, bombs[0].count);
        else if (i == 3) {
            struct bytes table = {0};
            put_field(&table, 2, bombs[3].at, bombs[3].count);
            put_field(&message, 1, table.at, table.count);
            free(table.at);
        } else
            put(&message, bombs[i].at, bombs[i].count);
        check_note(check, "bomb %d", i);
        check_equal_i64(check, unpack_fit(&message, PLENTY, NULL), STATUS_MALFORMED);
        free(message.at);
        free(bombs[i].at);
    }
    check_true(check, clock_ns() - begun < INT64_C(2000000000));
}

static void a_message_may_take_32_times_its_length_and_no_more(struct check *check)
{
    struct bytes tags = {0}, message = {0};
    struct error error;

    for (int i = 0; i < 200000; i++) /* under the gate's counts, 48 times as large unpacked */
        put(&tags, "\x22\x00", 2);
    put_field(&message, 18, tags.at, tags.count);
    check_equal_i64(check, unpack_fit(&message, PLENTY, &error), STATUS_MALFORMED);
    check_equal_text(check, error_value(&error, "why"),
                     "it unpacks to more than 32 times its length");
    free(tags.at);
    free(message.at);
}

static void the_budget_of_all_requests_is_kept(struct check *check)
{
    struct bytes message = {0};
    static const uint8_t zeros[100000];
    struct error error;

    put_field(&message, 20, zeros, sizeof zeros);
    message.count = 0;
    struct bytes matrix = {0};
    put_field(&matrix, 4, zeros, sizeof zeros);
    put_field(&message, 4, matrix.at, matrix.count); /* init_centers */
    check_equal_i64(check, unpack_fit(&message, 90000, &error), STATUS_MEMORY_PRESSURE);
    check_equal_text(check, error_value(&error, "budget"), "90000");
    check_equal_i64(check, unpack_fit(&message, 400000, NULL), STATUS_OK);
    free(matrix.at);
    free(message.at);
}

CHECKS(CLAIM(a_good_message_passes), CLAIM(a_message_cut_at_any_byte_is_refused_or_whole),
       CLAIM(a_message_with_any_byte_changed_harms_nobody), CLAIM(words_name_what_is_wrong),
       CLAIM(long_text_is_refused), CLAIM(deep_messages_are_refused),
       CLAIM(small_messages_that_grow_are_refused_fast),
       CLAIM(a_message_may_take_32_times_its_length_and_no_more),
       CLAIM(the_budget_of_all_requests_is_kept))
