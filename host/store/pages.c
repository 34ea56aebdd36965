#include "host/store/pages.h"

#include <sys/mman.h>

#include "host/base/fault.h"
#include "host/base/memory.h"

enum { HUGE_BYTES = 2 << 20 };

struct pages *pages_new(size_t bytes)
{
    struct pages *region = memory_zeroed(1, sizeof *region);

    if (!region)
        return NULL;
    region->bytes = bytes;
    region->data = fault_here("region") ? MAP_FAILED
                                        : mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (region->data == MAP_FAILED) {
        memory_free(region);
        return NULL;
    }
    if (bytes >= HUGE_BYTES) /* fewer page faults while it fills, fewer TLB misses in every pass */
        madvise(region->data, bytes, MADV_HUGEPAGE);
    return region;
}

void pages_seal(struct pages *region)
{
    mprotect(region->data, region->bytes, PROT_READ);
}

void pages_free(void *opaque)
{
    struct pages *region = opaque;

    if (!region)
        return;
    munmap(region->data, region->bytes);
    memory_free(region);
}
