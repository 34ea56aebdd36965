/* codec.h - bytes that must be believed: models and saved fits.
 *
 *     0   8  magic
 *     8   4  format version
 *    12   4  0
 *    16   8  bytes of payload
 *    24   4  crc32c of bytes 0 to 23
 *    28      blocks: up to 1 MiB of payload and the crc32c of these, the last one shorter
 *
 * Numbers are little-endian. One function lists the fields of a thing for writing, reading and
 * counting alike, so what is read can never differ from what is written. */
#ifndef BARY_HOST_CLUSTER_CODEC_H
#define BARY_HOST_CLUSTER_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/base/error.h"

enum { CODEC_HEADER_BYTES = 28, CODEC_BLOCK_BYTES = 1 << 20 };

struct codec {
    enum { CODEC_COUNT, CODEC_WRITE, CODEC_READ } mode;
    const char *what; /* for errors */
    unsigned char *out;
    const unsigned char *in;
    size_t at, payload;  /* bytes of payload so far, and in all (READ) */
    const char *mistake; /* why the payload is not believed; NULL: so far so good */
    size_t mistake_at;
};

/* The next `bytes` of payload, from `data` or into it. Past the end: a mistake, *data is zeroed. */
void codec_bytes(struct codec *codec, void *data, size_t bytes);
void codec_i32(struct codec *codec, int32_t *value);
void codec_i64(struct codec *codec, int64_t *value);
void codec_u64(struct codec *codec, uint64_t *value);
void codec_f64(struct codec *codec, double *value);

/* Room for `count` things of `size` bytes that come next: when reading memory_zeroed, after a check
 * that the payload holds them; else *data as it is. False: a mistake, or no memory (`oom`). */
void *codec_array(struct codec *codec, void *data, int64_t count, size_t size, bool *oom);

/* Notes the first mistake when reading: `why` outlives the codec. */
void codec_refuse(struct codec *codec, const char *why);
bool codec_in(struct codec *codec, int64_t value, int64_t least, int64_t most, const char *why);

/* Writes what `fields` lists: counts, takes memory_new'ed memory, fills it. OUT_OF_MEMORY. */
enum status codec_encode(const char *what, const char magic[8], uint32_t format,
                         void (*fields)(struct codec *codec, void *thing), void *thing,
                         void **bytes, size_t *count, struct error *error);

/* Checks magic, format, every length and crc; then `codec` reads. DAMAGED, UNSUPPORTED. */
enum status codec_open(struct codec *codec, const char *what, const char magic[8], uint32_t format,
                       const void *bytes, size_t count, struct error *error);
/* All fields were read: no mistake, nothing left. DAMAGED. */
enum status codec_done(struct codec *codec, struct error *error);

#endif
