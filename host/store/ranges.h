/* ranges.h - which units of an upload have arrived: ascending ranges that never touch.
 *
 * Not locked: its owner's lock guards it. */
#ifndef BARY_HOST_STORE_RANGES_H
#define BARY_HOST_STORE_RANGES_H

#include <stdbool.h>

#include "host/store/object.h"

/* Chunks sent in a hostile order leave a gap each: more than this many are refused. */
enum { RANGES_MAX = 65536 };

struct ranges {
    struct range *range;
    int count, room;
};

/* Adds [first, first + count), merging. False: no memory, or RANGES_MAX would be passed; unchanged. */
bool ranges_add(struct ranges *ranges, int64_t first, int64_t count);
/* True if all of [first, first + count) is held. */
bool ranges_hold(const struct ranges *ranges, int64_t first, int64_t count);
/* How many units from `first` on (at most `count`) share the state of `first`, and which: *held. */
int64_t ranges_run(const struct ranges *ranges, int64_t first, int64_t count, bool *held);
int64_t ranges_total(const struct ranges *ranges);
void ranges_deinit(struct ranges *ranges);

#endif
