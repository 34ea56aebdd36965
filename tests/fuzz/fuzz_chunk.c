/* Any bytes, cut into any pieces, as a chunk of an upload: the payload lies inside the message. The first
 * byte is the length of the pieces. */
#include <assert.h>
#include <stdlib.h>

#include "rpc/wire.h"

enum { SPANS_MAX = 1 << 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct span span[SPANS_MAX];
    struct upload_chunk chunk = {0};
    struct error error = {0};
    size_t spans = 0, piece;

    if (size == 0)
        return 0;
    piece = data[0] % 64 + 1;
    for (size_t at = 1; at < size && spans < SPANS_MAX; at += piece)
        span[spans++] = (struct span){data + at, size - at < piece ? size - at : piece};
    if (upload_chunk_scan(span, spans, &chunk, &error) == STATUS_OK) {
        uint8_t *payload = malloc(chunk.payload_bytes + 1);
        if (payload && chunk.payload_bytes)
            assert(cursor_copy(&chunk.payload, payload, chunk.payload_bytes));
        free(payload);
    }
    return 0;
}
