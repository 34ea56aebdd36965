/* codec.c - framing with checksums, and one cursor for writing, reading and counting. */
#include "host/cluster/codec.h"

#include <stdio.h>
#include <string.h>

#include "host/base/checksum.h"
#include "host/base/memory.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "numbers are copied as they lie");

enum { CRC_BYTES = 4 };

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Where byte `at` of the payload lies. */
static size_t place(size_t at)
{
    return CODEC_HEADER_BYTES + at + at / CODEC_BLOCK_BYTES * CRC_BYTES;
}

/* Bytes of all; false: they overflow. */
static bool framed(size_t payload, size_t *out)
{
    size_t blocks = payload / CODEC_BLOCK_BYTES + (payload % CODEC_BLOCK_BYTES != 0), crcs;

    return size_mul(blocks, CRC_BYTES, &crcs) && size_add(payload, crcs, out) &&
           size_add(*out, CODEC_HEADER_BYTES, out);
}

void codec_refuse(struct codec *codec, const char *why)
{
    if (codec->mode != CODEC_READ || codec->mistake)
        return; /* what is written comes from us */
    codec->mistake = why;
    codec->mistake_at = place(codec->at);
}

bool codec_in(struct codec *codec, int64_t value, int64_t low, int64_t high, const char *why)
{
    if (value < low || value > high)
        codec_refuse(codec, why);
    return !codec->mistake;
}

void codec_bytes(struct codec *codec, void *data, size_t bytes)
{
    unsigned char *byte = data;

    if (codec->mode == CODEC_READ && bytes > codec->payload - codec->at)
        codec_refuse(codec, "it ends early");
    if (codec->mistake) {
        memset(data, 0, bytes);
        return;
    }
    while (bytes > 0) {
        size_t part = least(bytes, CODEC_BLOCK_BYTES - codec->at % CODEC_BLOCK_BYTES);
        if (codec->mode == CODEC_WRITE)
            memcpy(codec->out + place(codec->at), byte, part);
        else if (codec->mode == CODEC_READ)
            memcpy(byte, codec->in + place(codec->at), part);
        codec->at += part;
        byte += part;
        bytes -= part;
    }
}

void codec_i32(struct codec *codec, int32_t *value)
{
    codec_bytes(codec, value, sizeof *value);
}

void codec_i64(struct codec *codec, int64_t *value)
{
    codec_bytes(codec, value, sizeof *value);
}

void codec_u64(struct codec *codec, uint64_t *value)
{
    codec_bytes(codec, value, sizeof *value);
}

void codec_f64(struct codec *codec, double *value)
{
    codec_bytes(codec, value, sizeof *value);
}

void *codec_array(struct codec *codec, void *data, int64_t count, size_t size, bool *oom)
{
    size_t bytes;

    if (codec->mode != CODEC_READ)
        return data;
    if (count < 0 || !size_mul((size_t)count, size, &bytes) || bytes > codec->payload - codec->at)
        codec_refuse(codec, "a length is beyond its end");
    if (codec->mistake)
        return NULL;
    void *block = memory_zeroed((size_t)count, size);
    *oom = *oom || !block;
    return block;
}

static void put_u32(unsigned char *out, uint32_t value)
{
    memcpy(out, &value, sizeof value);
}

static uint32_t get_u32(const unsigned char *in)
{
    uint32_t value;
    memcpy(&value, in, sizeof value);
    return value;
}

static void header_write(unsigned char *out, const char magic[8], uint32_t format, uint64_t payload)
{
    memcpy(out, magic, 8);
    put_u32(out + 8, format);
    put_u32(out + 12, 0);
    memcpy(out + 16, &payload, sizeof payload);
    put_u32(out + 24, crc32c(0, out, 24));
}

static void crcs_write(unsigned char *out, size_t payload)
{
    for (size_t at = 0; at < payload; at += CODEC_BLOCK_BYTES) {
        size_t bytes = least(payload - at, CODEC_BLOCK_BYTES);
        unsigned char *block = out + place(at);
        put_u32(block + bytes, crc32c(0, block, bytes));
    }
}

enum status codec_encode(const char *what, const char magic[8], uint32_t format,
                         void (*fields)(struct codec *codec, void *thing), void *thing,
                         void **bytes, size_t *count, struct error *error)
{
    struct codec codec = {.mode = CODEC_COUNT, .what = what};
    size_t all;

    fields(&codec, thing);
    size_t payload = codec.at;
    unsigned char *out = framed(payload, &all) ? memory_new(all, 1) : NULL;
    if (!out)
        return FAIL(error, OUT_OF_MEMORY, TEXT("what", what), INT("needed", payload),
                    INT("retry_ms", 1000));
    codec = (struct codec){.mode = CODEC_WRITE, .what = what, .out = out};
    fields(&codec, thing);
    header_write(out, magic, format, payload);
    crcs_write(out, payload);
    *bytes = out;
    *count = all;
    return STATUS_OK;
}

static enum status damaged(const char *what, size_t byte, const char *why, struct error *error)
{
    return FAIL(error, DAMAGED, TEXT("what", what), INT("byte", byte), TEXT("why", why));
}

static enum status header_check(const char *what, const char magic[8], uint32_t format,
                                const unsigned char *in, size_t count, struct error *error)
{
    char why[96];

    if (count < CODEC_HEADER_BYTES)
        return damaged(what, count, "it ends inside its header", error);
    if (memcmp(in, magic, 8) != 0)
        return damaged(what, 0, "it does not begin with the bytes of its kind", error);
    if (get_u32(in + 24) != crc32c(0, in, 24))
        return damaged(what, 24, "the checksum of its header differs", error);
    if (get_u32(in + 8) == format && get_u32(in + 12) == 0)
        return STATUS_OK;
    snprintf(why, sizeof why, "it has format %lu, this program reads %lu",
             (unsigned long)get_u32(in + 8), (unsigned long)format);
    return FAIL(error, UNSUPPORTED, TEXT("what", what), TEXT("why", why));
}

static enum status blocks_check(const char *what, const unsigned char *in, size_t payload,
                                struct error *error)
{
    for (size_t at = 0; at < payload; at += CODEC_BLOCK_BYTES) {
        size_t bytes = least(payload - at, CODEC_BLOCK_BYTES);
        const unsigned char *block = in + place(at);
        if (get_u32(block + bytes) != crc32c(0, block, bytes))
            return damaged(what, place(at), "the checksum of the block there differs", error);
    }
    return STATUS_OK;
}

enum status codec_open(struct codec *codec, const char *what, const char magic[8], uint32_t format,
                       const void *bytes, size_t count, struct error *error)
{
    enum status status;
    const unsigned char *in = bytes;
    uint64_t payload;
    size_t all;

    TRY(header_check(what, magic, format, in, count, error));
    memcpy(&payload, in + 16, sizeof payload);
    if (payload > count || !framed((size_t)payload, &all) || all != count)
        return damaged(what, 16, "its length is not the one it states", error);
    TRY(blocks_check(what, in, (size_t)payload, error));
    *codec = (struct codec){.mode = CODEC_READ, .what = what, .in = in, .payload = (size_t)payload};
out:
    return status;
}

enum status codec_done(struct codec *codec, struct error *error)
{
    if (codec->at != codec->payload)
        codec_refuse(codec, "bytes are left behind its last field");
    if (codec->mistake)
        return damaged(codec->what, codec->mistake_at, codec->mistake, error);
    return STATUS_OK;
}
