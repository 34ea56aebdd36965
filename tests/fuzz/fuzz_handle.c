/* Any text as a handle, a page token and a request id: what they give is of our own pattern. */
#include <assert.h>
#include <string.h>

#include "rpc/names.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct principal local = principal_local();
    char text[512], id[64], place[TOKEN_PLACE_BYTES], request[64];
    struct error error = {0};
    int64_t version = 0;

    if (size >= sizeof text)
        return 0;
    memcpy(text, data, size);
    text[size] = 0;
    for (enum thing thing = THING_DATASET; thing <= THING_JOB; thing++)
        if (name_parse(&local, thing, text, id, &version, &error) == STATUS_OK) {
            assert(id[0] && strlen(id) < sizeof id && version >= 0);
            assert(strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789._-") == strlen(id));
        }
    if (token_parse(&local, "datasets", text, place, &error) == STATUS_OK)
        assert(strlen(place) < sizeof place);
    (void)request_id_check(text, request, &error);
    return 0;
}
