/* index.h - pointers in the order of their keys: what the catalog looks names up in.
 *
 * Not locked: its owner's lock guards it. Room is reserved first, so that inserting cannot fail. */
#ifndef BARY_HOST_STORE_INDEX_H
#define BARY_HOST_STORE_INDEX_H

#include <stdbool.h>
#include <stddef.h>

struct index {
    void **item;
    size_t count, room;
    int (*compare)(const void *key, const void *item); /* as strcmp */
};

/* Room for one more. False: no memory. */
bool index_reserve(struct index *index);
/* The item of that key, or NULL. */
void *index_find(const struct index *index, const void *key);
/* Position of the first item greater than `key`; count when there is none. */
size_t index_after(const struct index *index, const void *key);
/* The key must be absent and room reserved. */
void index_insert(struct index *index, const void *key, void *item);
/* The item of that key, taken out; NULL: it was not there. */
void *index_remove(struct index *index, const void *key);
void index_deinit(struct index *index); /* the array, not the items */

#endif
