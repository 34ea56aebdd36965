/* lanes.cu - the two queues of a device: uploads through pinned buffers, tiles on their way, waiting. */
#include <assert.h>
#include <string.h>
#include <unistd.h>

#include "kernels/cuda/work.h"

unsigned launch_grid(const struct device *device, int64_t tiles, int blocks)
{
    int64_t most = (int64_t)device->processors * blocks;

    return (unsigned)(tiles < 1 ? 1 : tiles < most ? tiles : most);
}

enum status launch_check(struct device *device, cudaError_t code, const char *kernel)
{
    enum status status = cuda_check(device, code, kernel);

    if (status == STATUS_OK && device->sync)
        status = cuda_check(device, cudaStreamSynchronize(device->compute), kernel);
    return status;
}

/* The pinned buffer whose turn it is, once its last copy has left it. */
static enum status piece_take(struct device *device, struct piece **out)
{
    struct piece *piece = &device->piece[device->piece_at];
    enum status status = STATUS_OK;

    if (piece->busy)
        CUDA_TRY(device, cudaEventSynchronize(piece->sent));
    piece->busy = false;
    device->piece_at = 1 - device->piece_at;
    *out = piece;
out:
    return status;
}

static enum status piece_upload(struct device *device, cudaStream_t stream, char *to,
                                const char *from, size_t bytes)
{
    struct piece *piece;
    enum status status;

    TRY(piece_take(device, &piece));
    memcpy(piece->bytes, from, bytes);
    CUDA_TRY(device, cudaMemcpyAsync(to, piece->bytes, bytes, cudaMemcpyHostToDevice, stream));
    CUDA_TRY(device, cudaEventRecord(piece->sent, stream));
    piece->busy = true;
out:
    return status;
}

enum status upload(struct device *device, cudaStream_t stream, void *to, const void *from,
                   size_t bytes)
{
    enum status status = STATUS_OK;

    for (size_t at = 0, here; status == STATUS_OK && at < bytes; at += here) {
        here = bytes - at < PIECE_BYTES ? bytes - at : PIECE_BYTES;
        status = piece_upload(device, stream, (char *)to + at, (const char *)from + at, here);
    }
    return status;
}

static enum status piece_download(struct device *device, char *to, const char *from, size_t bytes)
{
    struct piece *piece;
    enum status status;

    TRY(piece_take(device, &piece));
    CUDA_TRY(device,
             cudaMemcpyAsync(piece->bytes, from, bytes, cudaMemcpyDeviceToHost, device->compute));
    CUDA_TRY(device, cudaStreamSynchronize(device->compute));
    memcpy(to, piece->bytes, bytes);
out:
    return status;
}

enum status download(struct device *device, void *to, const void *from, size_t bytes)
{
    enum status status = STATUS_OK;

    for (size_t at = 0, here; status == STATUS_OK && at < bytes; at += here) {
        here = bytes - at < PIECE_BYTES ? bytes - at : PIECE_BYTES;
        status = piece_download(device, (char *)to + at, (const char *)from + at, here);
    }
    return status;
}

/* Waits for the slot's tile and folds it. */
static enum status slot_settle(struct work *work, struct slot *slot)
{
    enum status status = STATUS_OK;

    if (!slot->busy)
        return STATUS_OK;
    CUDA_TRY(work->device, cudaEventSynchronize(slot->done));
    slot->busy = false;
    if (!slot->fn)
        return STATUS_OK;
    if (slot->host->wrong)
        return device_wrong(work->device, "a kernel met an index that no kernel writes");
    slot->fn(work, slot->host + 1, &slot->to);
    if (work->device->failure.reason != REASON_NONE) /* the fold says so */
        return STATUS_DEVICE_LOST;
out:
    return status;
}

enum status work_settle(struct work *work)
{
    enum status status = device_enter(work->device);

    for (int i = 0; status == STATUS_OK && i < SLOTS; i++) /* the oldest first */
        status = slot_settle(work, &work->slot[(work->slot_at + i) % SLOTS]);
    return status;
}

enum status cuda_wait(struct work *work)
{
    enum status status;

    TRY(work_settle(work));
    CUDA_TRY(work->device, cudaStreamSynchronize(work->device->compute));
out:
    return status;
}

/* Queues the copy of a tile's rows; kernels wait for it, it waits for the kernels of the tile before the
 * last. */
static enum status stage(struct work *work, const struct block *block, int64_t first, int64_t count,
                         struct staging **out)
{
    struct device *device = work->device;
    struct staging *staging = &work->staging[work->staging_at];
    size_t row = (size_t)work->shape.columns * value_bytes(&work->shape);
    const char *from = (const char *)block->rows.values + (size_t)first * row;
    enum status status;

    CUDA_TRY(device, cudaStreamWaitEvent(device->copy, staging->done, 0));
    TRY(upload(device, device->copy, staging->values, from, (size_t)count * row));
    CUDA_TRY(device, cudaEventRecord(staging->full, device->copy));
    CUDA_TRY(device, cudaStreamWaitEvent(device->compute, staging->full, 0));
    work->staging_at = 1 - work->staging_at;
    *out = staging;
out:
    return status;
}

static struct view view_of(const struct work *work, const struct block *block, int64_t first,
                           int64_t count)
{
    size_t row = (size_t)work->shape.columns * value_bytes(&work->shape);
    struct view view = {};

    view.values = block->values ? (const char *)block->values + (size_t)first * row : NULL;
    view.weight = block->weight ? block->weight + first : NULL;
    view.label = block->label + first;
    view.seed = block->seed ? block->seed + first : NULL;
    view.row = block->rows.first + first;
    view.count = count;
    view.columns = work->shape.columns;
    view.clusters = (int32_t)work->shape.clusters;
    return view;
}

enum status tile_open(struct work *work, struct block *block, const struct pass *pass,
                      int64_t first, int64_t count, struct tile_turn *out)
{
    struct device *device = work->device;
    struct tile_turn turn = {};
    enum status status;

    assert(first >= 0 && count > 0 && first <= block->rows.count - count);
    assert(count <= work->tile_rows);
    assert(sizeof(struct slot_head) + pass->slot_bytes <= work->slot_bytes);
    turn.slot = &work->slot[work->slot_at];
    turn.first = first;
    turn.view = view_of(work, block, first, count);
    turn.view.wrong = &turn.slot->device->wrong;
    TRY(slot_settle(work, turn.slot));
    if (pass->slot_bytes > 0)
        CUDA_TRY(device,
                 cudaMemsetAsync(turn.slot->device, 0, sizeof(struct slot_head) + pass->slot_bytes,
                                 device->compute));
    if (pass->values && work->shape.residency == STREAMED) {
        TRY(stage(work, block, first, count, &turn.staging));
        turn.view.values = turn.staging->values;
    }
    *out = turn;
out:
    return status;
}

enum status tile_close(struct work *work, struct block *block, const struct pass *pass,
                       struct tile_turn *turn, enum status queued)
{
    struct device *device = work->device;
    struct slot *slot = turn->slot;
    enum status status = queued;

    if (status == STATUS_DEVICE_LOST)
        return status;
    if (status == STATUS_OK && pass->slot_bytes > 0)
        CUDA_TRY(device, cudaMemcpyAsync(slot->host, slot->device,
                                         sizeof(struct slot_head) + pass->slot_bytes,
                                         cudaMemcpyDeviceToHost, device->compute));
    if (turn->staging)
        CUDA_TRY(device, cudaEventRecord(turn->staging->done, device->compute));
    CUDA_TRY(device, cudaEventRecord(slot->done, device->compute));
    slot->fn = queued == STATUS_OK ? pass->fn : NULL;
    slot->to = {{pass->out[0], pass->out[1]}, block, turn->first, turn->view.count};
    slot->busy = true;
    work->slot_at = (work->slot_at + 1) % SLOTS;
    status = queued;
out:
    return status;
}
