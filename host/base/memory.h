/* memory.h - the one door to the heap.
 *
 * Sizes are multiplied with overflow checks, blocks are aligned to 64 bytes, and every allocation
 * of ours passes here, so that a test can make the n-th one fail. Nothing allocates inside a pass
 * over rows. */
#ifndef BARY_HOST_BASE_MEMORY_H
#define BARY_HOST_BASE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* False on overflow; *out is then untouched. */
bool size_mul(size_t a, size_t b, size_t *out);
bool size_add(size_t a, size_t b, size_t *out);

/* count * size bytes, aligned to 64, zeroed (memory_zeroed) or not. NULL: overflow or no memory.
 * A count or size of 0 gives a valid block that must be freed. Blocks of 2 MiB and more ask for
 * huge pages. */
void *memory_new(size_t count, size_t size);
void *memory_zeroed(size_t count, size_t size);

/* NULL is fine. */
void memory_free(void *block);

/* A copy of a string, for memory_free. NULL: no memory. */
char *text_copy(const char *text);

/* A bump allocator with a budget: everything is given back at once. */
struct arena {
    unsigned char *block; /* newest block; its first word links to the one before */
    size_t used, size;    /* of the newest block */
    size_t taken, budget; /* bytes over all blocks; the most there may be */
};
void arena_init(struct arena *arena, size_t budget);
void *arena_take(struct arena *arena,
                 size_t bytes); /* aligned to 16; NULL: over budget or no memory */
void arena_deinit(struct arena *arena);

#endif
