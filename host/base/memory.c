/* memory.c - blocks with a header that says where they came from.
 *
 * A block is 64 bytes of header and then what the caller sees. Small blocks come from the C
 * library, large ones are mapped: fresh pages are zero already, huge pages save page faults, and
 * what is freed goes back to the machine at once instead of staying in a fragmented heap. */
#include "host/base/memory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "host/base/fault.h"

enum { ALIGNMENT = 64, PAGE_BYTES = 4096, ARENA_BLOCK_MIN = 4096, ARENA_BLOCK_MAX = 65536 };

/* AddressSanitizer sees writes past a block of the C library, not past a mapping of ours. */
#if defined(__SANITIZE_ADDRESS__)
#define MAPPED_FROM SIZE_MAX
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MAPPED_FROM SIZE_MAX
#endif
#endif
#ifndef MAPPED_FROM
#define MAPPED_FROM ((size_t)2 << 20)
#endif

static const size_t MARK = (size_t)0x6d656d6f7279u; /* "memory": a foreign pointer lacks it */

struct header {
    size_t mapped; /* bytes of the mapping; 0: from the C library */
    size_t mark;
};

bool size_mul(size_t a, size_t b, size_t *out)
{
    size_t product;

    if (__builtin_mul_overflow(a, b, &product))
        return false;
    *out = product;
    return true;
}

bool size_add(size_t a, size_t b, size_t *out)
{
    size_t sum;

    if (__builtin_add_overflow(a, b, &sum))
        return false;
    *out = sum;
    return true;
}

static void *block_mapped(size_t bytes)
{
    void *start = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (start == MAP_FAILED)
        return NULL;
    madvise(start, bytes, MADV_HUGEPAGE); /* a wish: small pages are right too */
    return start;
}

static void *block_new(size_t count, size_t size, bool zeroed)
{
    size_t bytes, whole;
    struct header *header;
    bool mapped;

    if (!size_mul(count, size, &bytes) || !size_add(bytes, ALIGNMENT + PAGE_BYTES, &whole) ||
        whole > PTRDIFF_MAX || fault_here("memory"))
        return NULL;
    mapped = bytes >= MAPPED_FROM;
    whole = bytes + ALIGNMENT;
    whole += -whole & ((mapped ? (size_t)PAGE_BYTES : (size_t)ALIGNMENT) - 1);
    header = mapped ? block_mapped(whole) : aligned_alloc(ALIGNMENT, whole);
    if (!header)
        return NULL;
    if (zeroed && !mapped)
        memset(header, 0, whole);
    *header = (struct header){.mapped = mapped ? whole : 0, .mark = MARK};
    return (unsigned char *)header + ALIGNMENT;
}

void *memory_new(size_t count, size_t size)
{
    return block_new(count, size, false);
}

void *memory_zeroed(size_t count, size_t size)
{
    return block_new(count, size, true);
}

void memory_free(void *block)
{
    struct header *header;

    if (!block)
        return;
    header = (struct header *)(void *)((unsigned char *)block - ALIGNMENT);
    assert(header->mark == MARK);
    header->mark = 0; /* a second free of a small block stops here */
    if (header->mapped)
        munmap(header, header->mapped);
    else
        free(header);
}

char *text_copy(const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *copy = memory_new(bytes, 1);

    if (copy)
        memcpy(copy, text, bytes);
    return copy;
}

/* A block begins with a pointer to the one before it; 16 bytes keep what follows aligned. */
enum { ARENA_LINK = 16 };

void arena_init(struct arena *arena, size_t budget)
{
    *arena = (struct arena){.budget = budget};
}

/* Blocks grow with what was taken, so that a small request stays small. */
static bool arena_grow(struct arena *arena, size_t bytes)
{
    size_t left = arena->budget - arena->taken;
    size_t size = arena->taken < ARENA_BLOCK_MIN   ? ARENA_BLOCK_MIN
                  : arena->taken > ARENA_BLOCK_MAX ? ARENA_BLOCK_MAX
                                                   : arena->taken;
    unsigned char *block;

    if (bytes > left || left - bytes < ARENA_LINK)
        return false;
    if (size < bytes + ARENA_LINK)
        size = bytes + ARENA_LINK;
    if (size > left)
        size = left;
    block = memory_new(size, 1);
    if (!block)
        return false;
    memcpy(block, &arena->block, sizeof arena->block);
    arena->block = block;
    arena->used = ARENA_LINK;
    arena->size = size;
    arena->taken += size;
    return true;
}

void *arena_take(struct arena *arena, size_t bytes)
{
    size_t rounded;

    if (!size_add(bytes, 15, &rounded))
        return NULL;
    rounded &= ~(size_t)15;
    if (!arena->block || rounded > arena->size - arena->used) {
        if (!arena_grow(arena, rounded))
            return NULL;
    }
    arena->used += rounded;
    return arena->block + arena->used - rounded;
}

void arena_deinit(struct arena *arena)
{
    while (arena->block) {
        unsigned char *before;
        memcpy(&before, arena->block, sizeof before);
        memory_free(arena->block);
        arena->block = before;
    }
    arena_init(arena, arena->budget);
}
