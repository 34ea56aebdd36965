/* convert_basic.c - enums, durations, texts, times; messages in an arena. */
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "rpc/convert.h"

static const int64_t DURATION_MAX_S = 315360000; /* 10 years */

/* "F32, F64, ..." without the prefix that all names share up to the last '_' of the first. */
static void known_values(const ProtobufCEnumDescriptor *descriptor, char *out, size_t bytes)
{
    size_t used = 0;

    out[0] = '\0';
    for (unsigned i = 0; i < descriptor->n_values && used + 2 < bytes; i++) {
        const char *name = descriptor->values[i].name;
        if (strstr(name, "UNSPECIFIED"))
            continue;
        used += (size_t)snprintf(out + used, bytes - used, "%s%s", used ? ", " : "", name);
    }
}

enum status enum_check(const char *what, const ProtobufCEnumDescriptor *descriptor, int value,
                       bool zero, struct error *error)
{
    const ProtobufCEnumValue *row = protobuf_c_enum_descriptor_get_value(descriptor, value);
    char known[ERROR_VALUE_BYTES];

    if (row && (value != 0 || zero))
        return STATUS_OK;
    known_values(descriptor, known, sizeof known);
    if (row)
        return FAIL(error, UNKNOWN_VALUE, TEXT("what", what), TEXT("value", row->name),
                    TEXT("known", known));
    return FAIL(error, UNKNOWN_VALUE, TEXT("what", what), INT("value", value),
                TEXT("known", known));
}

enum status duration_ns(const char *what, const Google__Protobuf__Duration *duration, int64_t *out,
                        struct error *error)
{
    char value[64];

    *out = 0;
    if (!duration)
        return STATUS_OK;
    if (duration->seconds < 0 || duration->seconds > DURATION_MAX_S || duration->nanos < 0 ||
        duration->nanos > 999999999) {
        snprintf(value, sizeof value, "%lld s and %d ns", (long long)duration->seconds,
                 duration->nanos);
        return FAIL(error, OUT_OF_RANGE, TEXT("what", what), TEXT("value", value),
                    TEXT("limit", "0 to 10 years, its nanos 0 to 999999999"));
    }
    *out = duration->seconds * 1000000000 + duration->nanos;
    return STATUS_OK;
}

enum status text_take(const char *what, const char *given, char *out, size_t room,
                      struct error *error)
{
    size_t bytes = strlen(given);
    char name[128], limit[64];

    if (bytes >= room) {
        snprintf(name, sizeof name, "the length of %s", what);
        snprintf(limit, sizeof limit, "at most %zu bytes", room - 1);
        return FAIL(error, OUT_OF_RANGE, TEXT("what", name), INT("value", bytes),
                    TEXT("limit", limit));
    }
    memcpy(out, given, bytes + 1);
    return STATUS_OK;
}

/* protobuf-c packs into the digest: no copy of a large request. */
struct digest {
    ProtobufCBuffer base;
    EVP_MD_CTX *context;
    bool good;
};

static void digest_append(ProtobufCBuffer *base, size_t bytes, const uint8_t *data)
{
    struct digest *digest = (struct digest *)(void *)base;

    digest->good &= EVP_DigestUpdate(digest->context, data, bytes) == 1;
}

enum status body_hash(const ProtobufCMessage *message, uint8_t out[32], struct error *error)
{
    struct digest digest = {.base = {digest_append}, .context = EVP_MD_CTX_new()};

    digest.good = digest.context && EVP_DigestInit_ex(digest.context, EVP_sha256(), NULL) == 1;
    if (digest.good)
        protobuf_c_message_pack_to_buffer(message, &digest.base);
    digest.good &= digest.context && EVP_DigestFinal_ex(digest.context, out, NULL) == 1;
    EVP_MD_CTX_free(digest.context);
    if (!digest.good)
        return FAIL(error, OUT_OF_MEMORY, TEXT("what", "the hash of a request"), INT("needed", 32),
                    INT("retry_ms", 1000));
    return STATUS_OK;
}

void *array_new(struct arena *arena, size_t count, size_t size)
{
    size_t bytes;
    void *block = size_mul(count, size, &bytes) ? arena_take(arena, bytes ? bytes : 1) : NULL;

    return block ? memset(block, 0, bytes) : NULL;
}

void *message_new(struct arena *arena, const ProtobufCMessageDescriptor *descriptor)
{
    void *message = arena_take(arena, descriptor->sizeof_message);

    if (message)
        descriptor->message_init(message);
    return message;
}

char *arena_text(struct arena *arena, const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *copy = arena_take(arena, bytes);

    return copy ? memcpy(copy, text, bytes) : NULL;
}

Google__Protobuf__Timestamp *timestamp_new(struct arena *arena, int64_t wall_ns)
{
    Google__Protobuf__Timestamp *out = NULL;

    if (wall_ns != 0)
        out = message_new(arena, &google__protobuf__timestamp__descriptor);
    if (out) {
        out->seconds = wall_ns / 1000000000;
        out->nanos = (int32_t)(wall_ns % 1000000000);
    }
    return out;
}

Bary__V1__Matrix *matrix_new(struct arena *arena, Bary__V1__DType dtype, int64_t rows,
                             int64_t columns, const void *data)
{
    Bary__V1__Matrix *out = message_new(arena, &bary__v1__matrix__descriptor);

    if (!out)
        return NULL;
    out->dtype = dtype;
    out->rows = rows;
    out->columns = columns;
    out->data.len = (size_t)(rows * (columns ? columns : 1)) * dtype_bytes((enum dtype)dtype);
    out->data.data = (uint8_t *)(uintptr_t)data;
    return out;
}
