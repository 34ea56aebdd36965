/* buffer.c - see buffer.h. */
#include "rpc/buffer.h"

#include <grpc/slice.h>
#include <string.h>

#include "host/base/memory.h"
#include "rpc/tag.h"

enum { ALONE_BYTES = 4096, SLICES_FEW = 8, RETRY_MS = 1000 };

static enum status no_memory(struct error *error, const char *what, size_t bytes)
{
    return FAIL(error, OUT_OF_MEMORY, TEXT("what", what), INT("needed", bytes),
                INT("retry_ms", RETRY_MS));
}

enum status spans_of(grpc_byte_buffer *received, struct spans *out, struct error *error)
{
    grpc_slice_buffer *slices = &received->data.raw.slice_buffer;
    size_t few = sizeof out->few / sizeof *out->few;

    *out = (struct spans){.count = slices->count, .bytes = slices->length};
    out->span = out->few;
    if (slices->count > few) {
        out->span = memory_new(slices->count, sizeof *out->span);
        if (!out->span)
            return no_memory(error, "reading a message", slices->count * sizeof *out->span);
    }
    for (size_t i = 0; i < slices->count; i++)
        out->span[i] = (struct span){GRPC_SLICE_START_PTR(slices->slices[i]),
                                     GRPC_SLICE_LENGTH(slices->slices[i])};
    return STATUS_OK;
}

void spans_deinit(struct spans *spans)
{
    if (spans->span != spans->few)
        memory_free(spans->span);
    spans->span = NULL;
}

struct keeper *keeper_new(void (*release)(void *owner), void *owner)
{
    struct keeper *keeper = memory_new(1, sizeof *keeper);

    if (!keeper)
        return NULL;
    *keeper = (struct keeper){.release = release, .owner = owner};
    atomic_init(&keeper->refs, 1);
    return keeper;
}

static void keeper_unref(void *data)
{
    struct keeper *keeper = data;

    tag_acquire(keeper);
    tag_release(keeper);
    if (atomic_fetch_sub(&keeper->refs, 1) != 1)
        return;
    keeper->release(keeper->owner);
    memory_free(keeper);
}

void keeper_drop(struct keeper **keeper)
{
    if (*keeper)
        keeper_unref(*keeper);
    *keeper = NULL;
}

/* What protobuf-c packs into. Copied bytes gather in `small`, cut into a slice where a big field
 * comes between. */
struct packer {
    ProtobufCBuffer base;
    struct keeper *keeper;
    grpc_slice small;   /* room for all that is copied */
    size_t used, begun; /* of `small`: written; where its next slice begins */
    grpc_slice *slice, few[SLICES_FEW];
    size_t count, room;
    bool failed;
};

static void packer_slice(struct packer *packer, grpc_slice slice)
{
    if (packer->count == packer->room) {
        grpc_slice *more = memory_new(packer->room * 2, sizeof *more);
        if (!more) {
            packer->failed = true;
            grpc_slice_unref(slice);
            return;
        }
        memcpy(more, packer->slice, packer->count * sizeof *more);
        if (packer->slice != packer->few)
            memory_free(packer->slice);
        packer->slice = more;
        packer->room *= 2;
    }
    packer->slice[packer->count++] = slice;
}

static void packer_cut(struct packer *packer)
{
    if (packer->used > packer->begun)
        packer_slice(packer, grpc_slice_sub(packer->small, packer->begun, packer->used));
    packer->begun = packer->used;
}

static void packer_append(ProtobufCBuffer *base, size_t bytes, const uint8_t *data)
{
    struct packer *packer = (struct packer *)(void *)base;

    if (bytes == 0)
        return;
    if (!packer->keeper || bytes < ALONE_BYTES) {
        memcpy(GRPC_SLICE_START_PTR(packer->small) + packer->used, data, bytes);
        packer->used += bytes;
        return;
    }
    packer_cut(packer);
    atomic_fetch_add(&packer->keeper->refs, 1);
    tag_release(packer->keeper);
    packer_slice(packer, grpc_slice_new_with_user_data((void *)(uintptr_t)data, bytes, keeper_unref,
                                                       packer->keeper));
}

/* Counts what packer_append will copy. */
struct measure {
    ProtobufCBuffer base;
    size_t bytes;
    bool kept;
};

static void measure_append(ProtobufCBuffer *base, size_t bytes, const uint8_t *data)
{
    struct measure *measure = (struct measure *)(void *)base;

    (void)data;
    if (!measure->kept || bytes < ALONE_BYTES)
        measure->bytes += bytes;
}

enum status buffer_pack(const ProtobufCMessage *message, struct keeper *keeper,
                        grpc_byte_buffer **out, struct error *error)
{
    struct measure measure = {.base = {measure_append}, .kept = keeper != NULL};
    struct packer packer = {.base = {packer_append}, .keeper = keeper, .room = SLICES_FEW};

    protobuf_c_message_pack_to_buffer(message, &measure.base);
    packer.small = grpc_slice_malloc(measure.bytes);
    packer.slice = packer.few;
    protobuf_c_message_pack_to_buffer(message, &packer.base);
    packer_cut(&packer);
    if (!packer.failed)
        *out = grpc_raw_byte_buffer_create(packer.slice, packer.count);
    for (size_t i = 0; i < packer.count; i++)
        grpc_slice_unref(packer.slice[i]);
    grpc_slice_unref(packer.small);
    if (packer.slice != packer.few)
        memory_free(packer.slice);
    return packer.failed ? no_memory(error, "packing a message", measure.bytes) : STATUS_OK;
}
