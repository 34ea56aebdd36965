/* layout.h - where the bytes of an upload lie: one region, a buffer for each column.
 *
 *     region:  | column 0: rows x width x size |pad| column 1 ... |pad|      pad: to 64 bytes
 *     chunk:   | rows r..s of column 0 | rows r..s of column 1 | ...         no pad
 *
 * An NPY upload has one buffer, the file, whose unit is a byte. Pure arithmetic, no memory but the
 * array of buffers. */
#ifndef BARY_HOST_STORE_LAYOUT_H
#define BARY_HOST_STORE_LAYOUT_H

#include "host/store/object.h"

enum { HASH_BLOCK_BYTES = 1 << 20 };

struct buffer {
    int64_t offset;      /* in the region */
    int64_t unit_bytes;  /* of one row */
    int64_t bytes;       /* units * unit_bytes */
    int64_t first_block; /* number of its first block of HASH_BLOCK_BYTES among all */
};

struct layout {
    int buffers;
    struct buffer *buffer;
    int64_t units;        /* rows, or bytes of a file */
    int64_t unit_bytes;   /* of a row in all buffers */
    int64_t bytes;        /* of all values */
    int64_t region_bytes; /* with padding, rounded up to pages */
    int64_t blocks;       /* of HASH_BLOCK_BYTES, the last one of each buffer may be short */
};

/* Checks the schema and lays it out. SHAPE_MISMATCH, OUT_OF_RANGE, UNKNOWN_VALUE, MISSING, OUT_OF_MEMORY. */
enum status layout_init(struct layout *layout, const struct dataset_create *create,
                        struct error *error);
void layout_deinit(struct layout *layout);

/* Bytes of block `block` of a buffer, and where they begin in it. */
int64_t layout_block_bytes(const struct buffer *buffer, int64_t block);

#endif
