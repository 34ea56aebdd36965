/* dataset_upload.c - Upload: chunks go from gRPC's slices straight to where they lie in the dataset.
 *
 * The next message is asked for when the one before is in its place: a slow disk or checksum slows
 * the client, and nothing piles up. A stream that fails costs its last chunk alone. */
#include <string.h>

#include "host/store/object.h"
#include "rpc/answer.h"
#include "rpc/convert.h"
#include "rpc/method.h"

enum { RANGES_MAX = 1000 };

struct uploading {
    struct upload *upload; /* NULL: the header has not come */
};

static enum status header_in(struct call *call, const struct upload_chunk *chunk,
                             struct error *error)
{
    struct uploading *uploading = call_state(call);

    if (chunk->upload_id[0] == '\0')
        return FAIL(error, MISSING, TEXT("what", "upload_id"),
                    TEXT("why", "the first message of an upload says which"));
    if (chunk->payload_bytes > 0)
        return FAIL(error, MALFORMED, TEXT("what", "UploadRequest"), INT("byte", 0),
                    TEXT("why", "the first message holds upload_id alone"));
    return upload_open(call_service(call)->catalog, chunk->upload_id, &uploading->upload, error);
}

static enum status chunk_in(struct call *call, struct upload_chunk *chunk, struct error *error)
{
    struct uploading *uploading = call_state(call);
    void *staging;
    enum status status;

    if (chunk->upload_id[0] != '\0')
        return FAIL(error, MALFORMED, TEXT("what", "UploadRequest"), INT("byte", 0),
                    TEXT("why", "only the first message holds upload_id"));
    TRY(upload_chunk_begin(uploading->upload, chunk->offset, (int64_t)chunk->payload_bytes,
                           &staging, error));
    cursor_copy(&chunk->payload, staging, chunk->payload_bytes);
    TRY(upload_chunk_end(uploading->upload, chunk->crc, error));
out:
    return status;
}

static void reply_ranges(struct call *call)
{
    struct uploading *uploading = call_state(call);
    Bary__V1__UploadResponse reply = BARY__V1__UPLOAD_RESPONSE__INIT;
    struct range *range;
    Bary__V1__RowRange *message;
    struct arena arena;
    int count, shown;

    arena_init(&arena, REPLY_ARENA_BYTES);
    range = array_new(&arena, RANGES_MAX, sizeof *range);
    reply.held = array_new(&arena, RANGES_MAX, sizeof *reply.held);
    message = array_new(&arena, RANGES_MAX, sizeof *message);
    if (!range || !reply.held || !message) {
        fail_memory(call, "a reply");
        arena_deinit(&arena);
        return;
    }
    count = upload_ranges(uploading->upload, range, RANGES_MAX);
    shown = count < RANGES_MAX ? count : RANGES_MAX;
    for (int i = 0; i < shown; i++) {
        bary__v1__row_range__init(&message[i]);
        message[i].first = range[i].first;
        message[i].count = range[i].count;
        reply.held[reply.n_held++] = &message[i];
    }
    reply.held_total = upload_held(uploading->upload);
    reply.ranges = count;
    upload_close(&uploading->upload);
    call_reply(call, &reply.base, NULL);
    arena_deinit(&arena);
}

static void stream_ended(struct call *call)
{
    struct uploading *uploading = call_state(call);
    struct error error;

    if (uploading->upload) {
        reply_ranges(call);
        return;
    }
    FAIL(&error, MISSING, TEXT("what", "upload_id"),
         TEXT("why", "the stream ended before its first message"));
    call_fail(call, &error);
}

static void bytes(struct call *call, const struct spans *in)
{
    struct uploading *uploading = call_state(call);
    struct upload_chunk chunk;
    struct error error;
    enum status status;

    if (!in) {
        stream_ended(call);
        return;
    }
    status = upload_chunk_scan(in->span, in->count, &chunk, &error);
    if (status == STATUS_OK)
        status =
            uploading->upload ? chunk_in(call, &chunk, &error) : header_in(call, &chunk, &error);
    if (status == STATUS_OK) {
        call_read(call);
        return;
    }
    upload_close(&uploading->upload); /* its seat is free before the client hears of it */
    call_fail(call, &error);
}

static void closed(struct call *call)
{
    struct uploading *uploading = call_state(call);

    upload_close(&uploading->upload);
}

const struct handler dataset_upload_handler = {
    .state_bytes = sizeof(struct uploading), .bytes = bytes, .closed = closed, .end = closed};
