/* pages.h - the memory of a dataset: whole pages, given back to the machine at once when it goes.
 *
 * A sealed region is read-only for the process too: a stray write is a crash here, not a wrong
 * answer later. */
#ifndef BARY_HOST_STORE_PAGES_H
#define BARY_HOST_STORE_PAGES_H

#include <stddef.h>

struct pages {
    unsigned char *data;
    size_t bytes;
};

/* NULL: no memory. Zeroed; pages are taken as they are written. */
struct pages *pages_new(size_t bytes);
void pages_seal(struct pages *region);
void pages_free(void *region); /* a struct pages; the type is that of a table's release */

#endif
