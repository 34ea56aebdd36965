/* table.h - typed columns in chunks of rows; sealed once, then unchanged.
 *
 * A matrix is a table of one vector column. A column's values lie row-major: row r of a column of
 * width w is w values at data + r * w * size. Whoever has a sealed table reads it without a lock;
 * table_pin / table_unpin count those who do, and the memory goes with the last. */
#ifndef BARY_HOST_DATA_TABLE_H
#define BARY_HOST_DATA_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "host/data/dtype.h"

struct column {
    char name[64]; /* "" for the one column of a bare matrix */
    enum dtype dtype;
    int64_t width; /* values a row; 1: a scalar column */
};

/* Rows that lie together: data[c] is column c's block of `rows` rows. */
struct chunk {
    int64_t first, rows;
    const void **data;
};

struct table {
    int columns;
    struct column *column;
    int64_t rows;
    int chunks;
    struct chunk *chunk;     /* ascending, without gaps */
    int64_t bytes;           /* of all values */
    void (*release)(void *); /* gives the values' memory back, with `owner`; NULL: borrowed */
    void *owner;
    int pins; /* changed by table_pin and table_unpin alone, atomically */
};

/* A table over memory of the caller's: one chunk, `release(owner)` when the last pin goes (NULL:
 * never). The table starts with one pin. SHAPE_MISMATCH, OUT_OF_RANGE, OUT_OF_MEMORY; on failure
 * release is not called. */
enum status table_of_matrix(enum dtype dtype, int64_t rows, int64_t columns, const void *data,
                            void (*release)(void *), void *owner, struct table **out,
                            struct error *error);
/* data[c] holds column c whole. */
enum status table_of_columns(int columns, const struct column *column, int64_t rows,
                             const void *const *data, void (*release)(void *), void *owner,
                             struct table **out, struct error *error);
/* The same values cut into chunks of `chunk_rows` rows (views; pins `table`). For tests and streaming. */
enum { CHUNKS_MAX = 1 << 24 };
enum status table_rechunk(struct table *table, int64_t chunk_rows, struct table **out,
                          struct error *error);

void table_pin(struct table *table);
void table_unpin(struct table **table); /* sets *table to NULL; NULL is fine */

/* The index of a column by its name; -1: there is none. */
int table_column(const struct table *table, const char *name);

/* Which columns and rows of a table a method reads. names NULL: all numeric columns, in order.
 * rows 0: to the end. A NULL selection is the whole table. */
struct selection {
    const char *const *names;
    int count;
    int64_t first, rows;
};

/* The selected rows as one row-major matrix of F32 or F64 (`number`: the wider of what the columns
 * convert to). No copy when the selection is one column of that very type; else packed
 * memory of its own. -0 stays -0: kernels treat it as +0. MISSING names an unknown column,
 * OUT_OF_RANGE a bad range, ROW_OUT_OF_RANGE an integer beyond 2^53. On failure *out is untouched;
 * matrix_release gives it back. */
struct matrix {
    struct table *table; /* pinned: what the chunks below borrow from */
    enum number number;
    int64_t rows, columns;
    int64_t first; /* the table's row number of row 0 */
    int chunks;
    struct rows *chunk; /* kernels' view, ascending; chunk[i].first counts from 0 */
    void *packed;       /* own memory, or NULL */
};
enum status matrix_select(struct table *table, const struct selection *selection,
                          struct matrix *out, struct error *error);
/* Bytes that matrix_select would allocate. */
enum status matrix_bytes(const struct table *table, const struct selection *selection, int64_t *out,
                         struct error *error);
void matrix_release(struct matrix *matrix);

/* One scalar column as doubles in memory_new'ed memory (weights). rows 0: to the end. Errors as
 * matrix_select; SHAPE_MISMATCH: not one value a row. */
enum status table_doubles(const struct table *table, const char *column, int64_t first,
                          int64_t rows, double **out, struct error *error);

#endif
