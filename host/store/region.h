/* region.h - the memory of a dataset: whole pages, given back to the machine at once when it goes.
 *
 * A sealed region is read-only for the process too: a stray write is a crash here, not a wrong
 * answer later. */
#ifndef BARY_HOST_STORE_REGION_H
#define BARY_HOST_STORE_REGION_H

#include <stddef.h>

struct region {
    unsigned char *data;
    size_t bytes;
};

/* NULL: no memory. Zeroed; pages are taken as they are written. */
struct region *region_new(size_t bytes);
void region_seal(struct region *region);
void region_free(void *region); /* a struct region; the type is that of a table's release */

#endif
