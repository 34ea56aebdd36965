/* upload.c - chunks of several streams become the bytes of one dataset.
 *
 *  1. A unit (row or byte) that is held never changes again, so it can be read without a lock.
 *  2. A stream that writes has claimed its range under the dataset's lock; another that wants
 *     part of it waits until the copy is done (at most 3 MiB, under a millisecond).
 *  3. A chunk goes straight into place when it lies there in one piece and nothing of it is held
 *     or claimed: its crc is checked there, and a wrong one leaves the range unheld. Every other
 *     chunk waits in the stream's staging memory. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "host/base/checksum.h"
#include "host/base/clock.h"
#include "host/base/memory.h"
#include "host/jobs/ledger.h"
#include "host/store/catalog.h"

enum { RETRY_MS = 1000 };

enum status upload_find(struct catalog *catalog, const char *upload_id, struct dataset **out,
                        struct error *error)
{
    pthread_mutex_lock(&catalog->lock);
    struct dataset *dataset = index_find(&catalog->uploads, upload_id);
    if (dataset) {
        dataset_hold(dataset);
        dataset->used_ns = clock_ns();
    }
    pthread_mutex_unlock(&catalog->lock);
    if (!dataset)
        return FAIL(error, UPLOAD_NOT_FOUND, TEXT("name", upload_id));
    *out = dataset;
    return STATUS_OK;
}

/* Under catalog.lock. */
static enum status stream_count(struct catalog *catalog, struct error *error)
{
    if (catalog->upload_streams >= catalog->limits.upload_streams)
        return FAIL(error, TOO_MANY, INT("count", catalog->upload_streams),
                    TEXT("what", "upload streams"), INT("retry_ms", RETRY_MS));
    catalog->upload_streams++;
    return STATUS_OK;
}

enum status upload_open(struct catalog *catalog, const char *upload_id, struct upload **out,
                        struct error *error)
{
    struct upload *upload = memory_zeroed(1, sizeof *upload);
    struct dataset *dataset = NULL;
    enum status status;

    if (!upload)
        return no_memory(error, "an upload stream", sizeof *upload);
    TRY(upload_find(catalog, upload_id, &dataset, error));
    pthread_mutex_lock(&catalog->lock);
    status = dataset->state == DATASET_OPEN ? stream_count(catalog, error)
                                            : FAIL(error, ALREADY_SEALED, TEXT("name", upload_id));
    pthread_mutex_unlock(&catalog->lock);
    if (status != STATUS_OK)
        goto out;
    upload->catalog = catalog;
    upload->dataset = dataset;
    pthread_mutex_lock(&dataset->lock);
    upload->next = dataset->streams;
    dataset->streams = upload;
    pthread_mutex_unlock(&dataset->lock);
    *out = upload;
    return STATUS_OK;
out:
    dataset_drop(&dataset);
    memory_free(upload);
    return status;
}

/* Under dataset.lock. */
static bool claimed_by_other(const struct upload *upload, int64_t first, int64_t count)
{
    for (const struct upload *other = upload->dataset->streams; other; other = other->next)
        if (other != upload && other->claim_count && other->claim_first < first + count &&
            first < other->claim_first + other->claim_count)
            return true;
    return false;
}

/* Takes the range as ours when it is free to write in one piece: not held, not claimed. */
static bool claim_empty(struct upload *upload)
{
    struct dataset *dataset = upload->dataset;
    bool held = true;

    pthread_mutex_lock(&dataset->lock);
    bool empty =
        !dataset->closed &&
        ranges_run(&dataset->held, upload->offset, upload->units, &held) == upload->units &&
        !held && !claimed_by_other(upload, upload->offset, upload->units);
    if (empty) {
        upload->claim_first = upload->offset;
        upload->claim_count = upload->units;
    }
    pthread_mutex_unlock(&dataset->lock);
    return empty;
}

/* False: a Commit has closed the upload. */
static bool claim_wait(struct upload *upload)
{
    struct dataset *dataset = upload->dataset;

    pthread_mutex_lock(&dataset->lock);
    while (!dataset->closed && claimed_by_other(upload, upload->offset, upload->units))
        pthread_cond_wait(&dataset->written, &dataset->lock);
    bool open = !dataset->closed;
    if (open) {
        upload->claim_first = upload->offset;
        upload->claim_count = upload->units;
    }
    pthread_mutex_unlock(&dataset->lock);
    return open;
}

/* Gives the claim back; `hold`: its units are there now. False: no room for one more range. */
static bool claim_end(struct upload *upload, bool hold)
{
    struct dataset *dataset = upload->dataset;
    bool done = true;

    pthread_mutex_lock(&dataset->lock);
    if (hold)
        done = ranges_add(&dataset->held, upload->claim_first, upload->claim_count);
    upload->claim_count = 0;
    pthread_cond_broadcast(&dataset->written);
    pthread_mutex_unlock(&dataset->lock);
    return done;
}

static enum status chunk_malformed(const struct upload *upload, int64_t offset, const char *why,
                                   struct error *error)
{
    char what[128];

    snprintf(what, sizeof what, "the chunk at offset %lld of upload '%s'", (long long)offset,
             upload->dataset->upload);
    return FAIL(error, MALFORMED, TEXT("what", what), INT("byte", 0), TEXT("why", why));
}

static enum status chunk_check(struct upload *upload, int64_t offset, int64_t bytes,
                               struct error *error)
{
    const struct layout *layout = &upload->dataset->layout;
    char text[128];

    if (bytes < 1 || bytes > CHUNK_BYTES_MAX)
        return FAIL(error, OUT_OF_RANGE, TEXT("what", "the size of a chunk"), INT("value", bytes),
                    TEXT("limit", "1 to 3145728 bytes"));
    if (bytes % layout->unit_bytes != 0) {
        snprintf(text, sizeof text, "its %lld bytes are no whole number of rows of %lld bytes",
                 (long long)bytes, (long long)layout->unit_bytes);
        return chunk_malformed(upload, offset, text, error);
    }
    if (offset < 0 || offset >= layout->units ||
        bytes / layout->unit_bytes > layout->units - offset) {
        snprintf(text, sizeof text, "so that the chunk ends by %lld, the end of the upload",
                 (long long)layout->units);
        return FAIL(error, OUT_OF_RANGE, TEXT("what", "the offset of a chunk"),
                    INT("value", offset), TEXT("limit", text));
    }
    return STATUS_OK;
}

/* The upload must still be open; being used keeps it from idling. */
static enum status upload_touch(struct upload *upload, struct error *error)
{
    struct dataset *dataset = upload->dataset;

    pthread_mutex_lock(&upload->catalog->lock);
    enum dataset_state state = dataset->state;
    dataset->used_ns = clock_ns();
    pthread_mutex_unlock(&upload->catalog->lock);
    if (state == DATASET_DELETED)
        return FAIL(error, UPLOAD_NOT_FOUND, TEXT("name", dataset->upload));
    if (state != DATASET_OPEN)
        return FAIL(error, ALREADY_SEALED, TEXT("name", dataset->upload));
    return STATUS_OK;
}

static enum status staging_take(struct upload *upload, struct error *error)
{
    enum status status;

    if (upload->staging)
        return STATUS_OK;
    status = ledger_reserve(upload->catalog->ledger, "an upload stream", CHUNK_BYTES_MAX, error);
    if (status != STATUS_OK)
        return status;
    upload->staging = memory_new(CHUNK_BYTES_MAX, 1);
    if (upload->staging)
        return STATUS_OK;
    ledger_return(upload->catalog->ledger, CHUNK_BYTES_MAX);
    return no_memory(error, "an upload stream", CHUNK_BYTES_MAX);
}

enum status upload_chunk_begin(struct upload *upload, int64_t offset, int64_t bytes, void **staging,
                               struct error *error)
{
    struct dataset *dataset = upload->dataset;
    enum status status;

    assert(!upload->active);
    TRY(upload_touch(upload, error));
    TRY(chunk_check(upload, offset, bytes, error));
    upload->offset = offset;
    upload->bytes = bytes;
    upload->units = bytes / dataset->layout.unit_bytes;
    upload->direct = dataset->layout.buffers == 1 && claim_empty(upload);
    if (!upload->direct)
        TRY(staging_take(upload, error));
    upload->active = true;
    *staging = upload->direct ? dataset->region->data + offset * dataset->layout.unit_bytes
                              : upload->staging;
out:
    return status;
}

/* Copies units [first, first + count) of the staged chunk into place, or (compare) says whether
 * they equal what is there. A chunk is one block of each buffer in turn. */
static bool chunk_place(struct upload *upload, int64_t first, int64_t count, bool compare)
{
    const struct layout *layout = &upload->dataset->layout;
    const unsigned char *from = upload->staging;

    for (int b = 0; b < layout->buffers; b++) {
        const struct buffer *buffer = &layout->buffer[b];
        unsigned char *to =
            upload->dataset->region->data + buffer->offset + first * buffer->unit_bytes;
        const unsigned char *part = from + (first - upload->offset) * buffer->unit_bytes;
        size_t bytes = (size_t)(count * buffer->unit_bytes);
        if (!compare)
            memcpy(to, part, bytes);
        else if (memcmp(to, part, bytes) != 0)
            return false;
        from += upload->units * buffer->unit_bytes;
    }
    return true;
}

/* Walks the chunk's runs of held and missing units: compares the held ones, or writes the missing. */
static bool chunk_runs(struct upload *upload, bool compare)
{
    struct dataset *dataset = upload->dataset;
    int64_t at = upload->offset, end = at + upload->units, count;
    bool held, equal = true;

    for (; at < end && equal; at += count) {
        pthread_mutex_lock(&dataset->lock);
        count = ranges_run(&dataset->held, at, end - at, &held);
        pthread_mutex_unlock(&dataset->lock);
        if (held == compare)
            equal = chunk_place(upload, at, count, compare);
    }
    return equal;
}

static enum status crc_failed(struct upload *upload, uint32_t found, uint32_t expected,
                              struct error *error)
{
    char what[128], text[2][16];

    atomic_fetch_add(&upload->catalog->upload_crc_failures_total, 1);
    snprintf(what, sizeof what, "the chunk at offset %lld of upload '%s'",
             (long long)upload->offset, upload->dataset->upload);
    snprintf(text[0], sizeof text[0], "0x%08x", found);
    snprintf(text[1], sizeof text[1], "0x%08x", expected);
    return FAIL(error, CHECKSUM, TEXT("what", what), TEXT("found", text[0]),
                TEXT("expected", text[1]));
}

/* No room for one more range: the chunks leave too many gaps, or there is no memory. */
static enum status ranges_failed(struct upload *upload, struct error *error)
{
    pthread_mutex_lock(&upload->dataset->lock);
    int count = upload->dataset->held.count;
    pthread_mutex_unlock(&upload->dataset->lock);
    if (count < RANGES_MAX)
        return no_memory(error, "an upload", sizeof(struct range));
    return FAIL(error, TOO_MANY, INT("count", count), TEXT("what", "gaps in this upload"),
                INT("retry_ms", RETRY_MS));
}

static enum status chunk_settle(struct upload *upload, struct error *error)
{
    struct dataset *dataset = upload->dataset;

    if (!upload->direct) {
        if (!claim_wait(upload))
            return FAIL(error, ALREADY_SEALED, TEXT("name", dataset->upload));
        if (!chunk_runs(upload, true)) {
            claim_end(upload, false);
            return FAIL(error, UPLOAD_CONFLICT, TEXT("name", dataset->upload),
                        INT("offset", upload->offset));
        }
        chunk_runs(upload, false);
    }
    return claim_end(upload, true) ? STATUS_OK : ranges_failed(upload, error);
}

enum status upload_chunk_end(struct upload *upload, uint32_t crc, struct error *error)
{
    struct dataset *dataset = upload->dataset;
    const struct layout *layout = &dataset->layout;
    const unsigned char *bytes = upload->direct
                                     ? dataset->region->data + upload->offset * layout->unit_bytes
                                     : upload->staging;
    uint32_t found;
    enum status status;

    assert(upload->active);
    found = crc32c(0, bytes, (size_t)upload->bytes);
    if (found != crc) {
        upload_chunk_drop(upload);
        return crc_failed(upload, found, crc, error);
    }
    status = upload_touch(upload, error);
    if (status != STATUS_OK) {
        upload_chunk_drop(upload);
        return status;
    }
    upload->active = false;
    TRY(chunk_settle(upload, error));
    atomic_fetch_add(&upload->catalog->upload_bytes_total, upload->bytes);
    dataset_hash(dataset, upload->offset, upload->units); /* what fails is done again by Commit */
out:
    return status;
}

void upload_chunk_drop(struct upload *upload)
{
    if (upload->active && upload->direct)
        claim_end(upload, false);
    upload->active = false;
}

int upload_ranges(struct upload *upload, struct range *out, int most)
{
    struct dataset *dataset = upload->dataset;

    pthread_mutex_lock(&dataset->lock);
    int count = dataset->held.count;
    for (int i = 0; i < count && i < most; i++)
        out[i] = dataset->held.range[i];
    pthread_mutex_unlock(&dataset->lock);
    return count;
}

int64_t upload_held(struct upload *upload)
{
    pthread_mutex_lock(&upload->dataset->lock);
    int64_t held = ranges_total(&upload->dataset->held);
    pthread_mutex_unlock(&upload->dataset->lock);
    return held;
}

void upload_close(struct upload **upload)
{
    struct upload *it = *upload;

    if (!it)
        return;
    upload_chunk_drop(it);
    pthread_mutex_lock(&it->dataset->lock);
    struct upload **link = &it->dataset->streams;
    while (*link != it)
        link = &(*link)->next;
    *link = it->next;
    pthread_mutex_unlock(&it->dataset->lock);
    pthread_mutex_lock(&it->catalog->lock);
    it->catalog->upload_streams--;
    pthread_mutex_unlock(&it->catalog->lock);
    if (it->staging)
        ledger_return(it->catalog->ledger, CHUNK_BYTES_MAX);
    memory_free(it->staging);
    dataset_drop(&it->dataset);
    memory_free(it);
    *upload = NULL;
}
