/* Any bytes as a model, and the same bytes with their checksums mended, since a change seldom guesses a
 * checksum: what decodes encodes to the same bytes. */
#include <assert.h>
#include <string.h>

#include "host/base/checksum.h"
#include "host/base/memory.h"
#include "host/cluster/codec.h"
#include "host/cluster/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode(const uint8_t *data, size_t size)
{
    struct model *model = NULL;
    struct error error = {0};
    void *again = NULL;
    size_t bytes = 0;

    if (model_decode("fuzz", data, size, &model, &error) != STATUS_OK)
        return;
    if (model_encode(model, &again, &bytes, &error) == STATUS_OK)
        assert(bytes == size && memcmp(again, data, size) == 0);
    memory_free(again);
    model_unpin(&model);
}

/* Length and crc of the header, crc of the one block. */
static void mend(uint8_t *data, size_t size)
{
    uint64_t payload = size - CODEC_HEADER_BYTES - 4;
    uint32_t crc;

    memcpy(data + 16, &payload, sizeof payload);
    crc = crc32c(0, data, 24);
    memcpy(data + 24, &crc, sizeof crc);
    crc = crc32c(0, data + CODEC_HEADER_BYTES, payload);
    memcpy(data + size - 4, &crc, sizeof crc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    decode(data, size);
    if (size > CODEC_HEADER_BYTES + 4 && size < CODEC_BLOCK_BYTES) {
        uint8_t *mended = memory_new(size, 1);
        if (!mended)
            return 0;
        memcpy(mended, data, size);
        mend(mended, size);
        decode(mended, size);
        memory_free(mended);
    }
    return 0;
}
