#include "host/store/ranges.h"

#include <string.h>

#include "host/base/memory.h"

static int64_t range_end(const struct range *range)
{
    return range->first + range->count;
}

/* The first range that ends at or beyond `unit`. */
static int ranges_find(const struct ranges *ranges, int64_t unit)
{
    int low = 0, high = ranges->count;

    while (low < high) {
        int middle = low + (high - low) / 2;
        if (range_end(&ranges->range[middle]) < unit)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool ranges_reserve(struct ranges *ranges)
{
    if (ranges->count < ranges->room)
        return true;
    int room = ranges->room ? ranges->room * 2 : 16;
    struct range *range =
        ranges->count < RANGES_MAX ? memory_new((size_t)room, sizeof *range) : NULL;

    if (!range)
        return false;
    if (ranges->count)
        memcpy(range, ranges->range, (size_t)ranges->count * sizeof *range);
    memory_free(ranges->range);
    ranges->range = range;
    ranges->room = room;
    return true;
}

bool ranges_add(struct ranges *ranges, int64_t first, int64_t count)
{
    int at = ranges_find(ranges, first), last = at;
    int64_t end = first + count;

    while (last < ranges->count && ranges->range[last].first <= end)
        last++;
    if (at == last && !ranges_reserve(ranges)) /* touches none: one more */
        return false;
    if (at < last) {
        if (ranges->range[at].first < first)
            first = ranges->range[at].first;
        if (range_end(&ranges->range[last - 1]) > end)
            end = range_end(&ranges->range[last - 1]);
    }
    memmove(ranges->range + at + 1, ranges->range + last,
            (size_t)(ranges->count - last) * sizeof *ranges->range);
    ranges->range[at] = (struct range){.first = first, .count = end - first};
    ranges->count += 1 - (last - at);
    return true;
}

int64_t ranges_run(const struct ranges *ranges, int64_t first, int64_t count, bool *held)
{
    int at = ranges_find(ranges, first + 1);
    int64_t end = first + count, edge = end;

    *held = at < ranges->count && ranges->range[at].first <= first;
    if (at < ranges->count)
        edge = *held ? range_end(&ranges->range[at]) : ranges->range[at].first;
    return (edge < end ? edge : end) - first;
}

bool ranges_hold(const struct ranges *ranges, int64_t first, int64_t count)
{
    bool held = true;

    return count == 0 || (ranges_run(ranges, first, count, &held) == count && held);
}

int64_t ranges_total(const struct ranges *ranges)
{
    int64_t total = 0;

    for (int i = 0; i < ranges->count; i++)
        total += ranges->range[i].count;
    return total;
}

void ranges_deinit(struct ranges *ranges)
{
    memory_free(ranges->range);
    *ranges = (struct ranges){0};
}
