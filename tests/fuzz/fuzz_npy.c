/* Any bytes as a .npy file: a sealed table of just these bytes, or a status. */
#include <assert.h>

#include "host/base/memory.h"
#include "host/data/npy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void keep(void *owner)
{
    (void)owner;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct npy_header header;
    struct table *table = NULL;
    struct error error = {0};

    if (npy_parse("fuzz", data, size, &header, &error) == STATUS_OK) {
        assert(header.rows >= 0 && header.columns >= 0 && header.data_offset <= size);
        if (npy_table("fuzz", data, size, keep, NULL, &table, &error) == STATUS_OK)
            table_unpin(&table);
    }
    return 0;
}
