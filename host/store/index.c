#include "host/store/index.h"

#include <assert.h>
#include <string.h>

#include "host/base/memory.h"

bool index_reserve(struct index *index)
{
    if (index->count < index->room)
        return true;
    size_t room = index->room ? index->room * 2 : 64;
    void **item = memory_new(room, sizeof *item);

    if (!item)
        return false;
    if (index->count)
        memcpy(item, index->item, index->count * sizeof *item);
    memory_free(index->item);
    index->item = item;
    index->room = room;
    return true;
}

/* The first position whose item is not less than the key (or, with `beyond`, greater). */
static size_t index_bound(const struct index *index, const void *key, bool beyond)
{
    size_t low = 0, high = index->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = index->compare(key, index->item[middle]);
        if (order > 0 || (beyond && order == 0))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void *index_find(const struct index *index, const void *key)
{
    size_t at = index_bound(index, key, false);

    return at < index->count && index->compare(key, index->item[at]) == 0 ? index->item[at] : NULL;
}

size_t index_after(const struct index *index, const void *key)
{
    return index_bound(index, key, true);
}

void index_insert(struct index *index, const void *key, void *item)
{
    size_t at = index_bound(index, key, true);

    assert(index->count < index->room && !index_find(index, key));
    memmove(index->item + at + 1, index->item + at, (index->count - at) * sizeof *index->item);
    index->item[at] = item;
    index->count++;
}

void *index_remove(struct index *index, const void *key)
{
    size_t at = index_bound(index, key, false);

    if (at >= index->count || index->compare(key, index->item[at]) != 0)
        return NULL;
    void *item = index->item[at];
    memmove(index->item + at, index->item + at + 1, (index->count - at - 1) * sizeof *index->item);
    index->count--;
    return item;
}

void index_deinit(struct index *index)
{
    memory_free(index->item);
    index->item = NULL;
    index->count = index->room = 0;
}
