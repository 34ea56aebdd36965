/* unpack.c - see unpack.h. */
#include "rpc/unpack.h"

#include "rpc/gate.h"

enum { GROWTH = 32, SPARE_BYTES = 64 << 10, RETRY_MS = 200 };

/* Counts what the arena took from the heap, not what was asked of it. False: over the budget. */
static bool budget_take(struct request *request)
{
    int64_t more = (int64_t)request->arena.taken - request->counted;
    int64_t used = atomic_fetch_add(&request->budget->used, more) + more;

    request->counted += more;
    return more == 0 || used <= atomic_load(&request->budget->most);
}

static void *request_alloc(void *data, size_t bytes)
{
    struct request *request = data;
    void *block = arena_take(&request->arena, bytes ? bytes : 1);

    if (!block) {
        bool spent = bytes > request->arena.budget - request->arena.taken;
        request->why = spent ? STATUS_MALFORMED : STATUS_OUT_OF_MEMORY;
        return NULL;
    }
    if (!budget_take(request)) {
        request->why = STATUS_MEMORY_PRESSURE;
        return NULL;
    }
    return block;
}

static void request_give(void *data, void *block) /* all at once, in request_free */
{
    (void)data;
    (void)block;
}

static enum status unpack_failed(const struct request *request, const char *what, size_t bytes,
                                 struct error *error)
{
    int64_t most = atomic_load(&request->budget->most);
    int64_t free_bytes = most - atomic_load(&request->budget->used) + request->counted;

    if (request->why == STATUS_MEMORY_PRESSURE)
        return FAIL(error, MEMORY_PRESSURE, TEXT("what", "unpacking a request"),
                    INT("needed", request->arena.taken),
                    INT("free", free_bytes < 0 ? 0 : free_bytes), INT("budget", most),
                    INT("retry_ms", RETRY_MS));
    if (request->why == STATUS_OUT_OF_MEMORY)
        return FAIL(error, OUT_OF_MEMORY, TEXT("what", "unpacking a request"),
                    INT("needed", request->arena.taken), INT("retry_ms", RETRY_MS));
    return FAIL(error, MALFORMED, TEXT("what", what), INT("byte", bytes),
                TEXT("why", request->why == STATUS_MALFORMED
                                ? "it unpacks to more than 32 times its length"
                                : "it is no such message"));
}

enum status request_unpack(struct unpack_budget *budget,
                           const ProtobufCMessageDescriptor *descriptor, const uint8_t *data,
                           size_t bytes, struct request *out, struct error *error)
{
    struct request request = {.budget = budget, .why = STATUS_OK};
    enum status status = gate_check(descriptor, data, bytes, error);

    if (status != STATUS_OK)
        return status;
    *out = request;
    arena_init(&out->arena, GROWTH * bytes + SPARE_BYTES);
    ProtobufCAllocator allocator = {request_alloc, request_give, out};
    out->message = protobuf_c_message_unpack(descriptor, &allocator, bytes, data);
    if (!out->message) {
        status = unpack_failed(out, descriptor->short_name, bytes, error);
        request_free(out);
    }
    return status;
}

void request_free(struct request *request)
{
    arena_deinit(&request->arena);
    if (request->budget)
        atomic_fetch_sub(&request->budget->used, request->counted);
    *request = (struct request){0};
}
