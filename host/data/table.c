/* table.c - how tables come to be, are shared, and go.
 *
 * A table is one block of memory, beside its values:
 *
 *     struct table | columns x struct column | chunks x struct chunk | chunks x columns pointers
 */
#include "host/data/table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/memory.h"
#include "proto/limits.h"

static enum status memory_failed(struct error *error, int64_t bytes)
{
    return FAIL(error, OUT_OF_MEMORY, TEXT("what", "a table"), INT("needed", bytes),
                INT("retry_ms", 1000));
}

/* The block above, laid out, with one pin and nothing filled in. */
static enum status table_new(int columns, int chunks, struct table **out, struct error *error)
{
    size_t pointers, column_bytes, chunk_bytes, pointer_bytes, bytes = sizeof(struct table);
    struct table *table = NULL;
    const void **data;

    if (size_mul((size_t)columns, sizeof(struct column), &column_bytes) &&
        size_mul((size_t)chunks, sizeof(struct chunk), &chunk_bytes) &&
        size_mul((size_t)chunks, (size_t)columns, &pointers) &&
        size_mul(pointers, sizeof(void *), &pointer_bytes) &&
        size_add(bytes, column_bytes, &bytes) && size_add(bytes, chunk_bytes, &bytes) &&
        size_add(bytes, pointer_bytes, &bytes))
        table = memory_zeroed(bytes, 1);
    if (!table)
        return memory_failed(error, (int64_t)bytes);
    table->columns = columns;
    table->column = (struct column *)(table + 1);
    table->chunks = chunks;
    table->chunk = (struct chunk *)(table->column + columns);
    table->pins = 1;
    data = (const void **)(table->chunk + chunks);
    for (int i = 0; i < chunks; i++, data += columns)
        table->chunk[i].data = data;
    *out = table;
    return STATUS_OK;
}

static enum status out_of_range(struct error *error, const char *what, int64_t value,
                                const char *limit)
{
    return FAIL(error, OUT_OF_RANGE, TEXT("what", what), INT("value", value), TEXT("limit", limit));
}

/* Adds a column's width and bytes to the row's. */
static enum status column_check(const struct column *column, const void *data, int64_t rows,
                                int64_t *width, int64_t *row_bytes, struct error *error)
{
    size_t bytes = dtype_bytes(column->dtype);

    if (bytes == 0)
        return FAIL(error, UNKNOWN_VALUE, TEXT("what", "dtype"), INT("value", column->dtype),
                    TEXT("known", "1 (float32) to 13 (bool)"));
    if (!memchr(column->name, 0, sizeof column->name))
        return FAIL(error, OUT_OF_RANGE, TEXT("what", "the length of a column's name"),
                    INT("value", sizeof column->name), TEXT("limit", "at most 63 bytes"));
    if (column->width < 1 || column->width > COLUMNS_MAX - *width)
        return out_of_range(error, "the number of values in a row", column->width, "1 to 65536");
    if (!data && rows > 0)
        return FAIL(error, MISSING, TEXT("what", "the address of the values"),
                    TEXT("why", "there are rows"));
    if ((uintptr_t)data % bytes != 0)
        return FAIL(error, OUT_OF_RANGE, TEXT("what", "the address of the values"),
                    INT("value", (uintptr_t)data), TEXT("limit", "a multiple of their size"));
    *width += column->width;
    *row_bytes += column->width * (int64_t)bytes;
    return STATUS_OK;
}

static int name_order(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Names of several columns must tell them apart. */
static enum status names_check(int columns, const struct column *column, struct error *error)
{
    const char **names;
    enum status status = STATUS_OK;

    if (columns == 1)
        return STATUS_OK;
    names = memory_new((size_t)columns, sizeof *names);
    if (!names)
        return memory_failed(error, columns * (int64_t)sizeof *names);
    for (int c = 0; c < columns; c++)
        names[c] = column[c].name;
    qsort(names, (size_t)columns, sizeof *names, name_order);
    if (names[0][0] == 0)
        status = FAIL(error, MISSING, TEXT("what", "a column's name"),
                      TEXT("why", "the table has several columns"));
    for (int c = 1; c < columns && status == STATUS_OK; c++)
        if (strcmp(names[c - 1], names[c]) == 0)
            status = FAIL(error, NAME_TAKEN, TEXT("what", "column"), TEXT("name", names[c]));
    memory_free(names);
    return status;
}

static enum status shape_check(int columns, const struct column *column, int64_t rows,
                               const void *const *data, int64_t *bytes, struct error *error)
{
    int64_t width = 0, row_bytes = 0;
    enum status status;

    if (rows < 0 || rows > ROWS_MAX)
        return out_of_range(error, "the number of rows", rows, "0 to 2^40");
    if (columns < 1 || columns > COLUMNS_MAX)
        return out_of_range(error, "the number of columns", columns, "1 to 65536");
    for (int c = 0; c < columns; c++) {
        status = column_check(&column[c], data[c], rows, &width, &row_bytes, error);
        if (status != STATUS_OK)
            return status;
    }
    *bytes = rows * row_bytes; /* at most 2^40 * 2^16 * 8 */
    return names_check(columns, column, error);
}

enum status table_of_columns(int columns, const struct column *column, int64_t rows,
                             const void *const *data, void (*release)(void *), void *owner,
                             struct table **out, struct error *error)
{
    struct table *table = NULL;
    int64_t bytes = 0;
    enum status status;

    TRY(shape_check(columns, column, rows, data, &bytes, error));
    TRY(table_new(columns, 1, &table, error));
    memcpy(table->column, column, (size_t)columns * sizeof *column);
    memcpy(table->chunk[0].data, data, (size_t)columns * sizeof *data);
    table->chunk[0].rows = rows;
    table->rows = rows;
    table->bytes = bytes;
    table->release = release;
    table->owner = owner;
    *out = table;
out:
    return status;
}

enum status table_of_matrix(enum dtype dtype, int64_t rows, int64_t columns, const void *data,
                            void (*release)(void *), void *owner, struct table **out,
                            struct error *error)
{
    struct column column = {.dtype = dtype, .width = columns};

    return table_of_columns(1, &column, rows, &data, release, owner, out, error);
}

/* Into how many chunks `table` falls; a chunk never holds rows of two of the old ones. */
static int64_t chunks_count(const struct table *table, int64_t chunk_rows)
{
    int64_t count = 0;

    for (int i = 0; i < table->chunks; i++)
        count += (table->chunk[i].rows + chunk_rows - 1) / chunk_rows;
    return count;
}

/* `rows` rows of the old chunk from its row `skip` on. */
static void chunk_view(const struct table *table, const struct chunk *old, int64_t skip,
                       int64_t rows, struct chunk *out)
{
    out->first = old->first + skip;
    out->rows = rows;
    for (int c = 0; c < table->columns; c++) {
        int64_t stride = table->column[c].width * (int64_t)dtype_bytes(table->column[c].dtype);
        out->data[c] = (const unsigned char *)old->data[c] + skip * stride;
    }
}

static void table_unpin_owner(void *owner)
{
    struct table *table = owner;

    table_unpin(&table);
}

enum status table_rechunk(struct table *table, int64_t chunk_rows, struct table **out,
                          struct error *error)
{
    struct table *views = NULL;
    int64_t count;
    int at = 0;
    enum status status;

    if (chunk_rows < 1)
        return out_of_range(error, "chunk_rows", chunk_rows, "at least 1");
    count = chunks_count(table, chunk_rows);
    if (count > CHUNKS_MAX)
        return out_of_range(error, "the number of chunks", count, "at most 2^24");
    TRY(table_new(table->columns, (int)count, &views, error));
    memcpy(views->column, table->column, (size_t)table->columns * sizeof *table->column);
    for (int i = 0; i < table->chunks; i++) {
        const struct chunk *old = &table->chunk[i];
        for (int64_t skip = 0; skip < old->rows; skip += chunk_rows) {
            int64_t rest = old->rows - skip;
            chunk_view(table, old, skip, rest < chunk_rows ? rest : chunk_rows,
                       &views->chunk[at++]);
        }
    }
    views->rows = table->rows;
    views->bytes = table->bytes;
    views->release = table_unpin_owner;
    views->owner = table;
    table_pin(table);
    *out = views;
out:
    return status;
}

void table_pin(struct table *table)
{
    __atomic_add_fetch(&table->pins, 1, __ATOMIC_RELAXED);
}

void table_unpin(struct table **table)
{
    struct table *it = *table;

    *table = NULL;
    if (!it)
        return;
    assert(__atomic_load_n(&it->pins, __ATOMIC_RELAXED) > 0);
    if (__atomic_sub_fetch(&it->pins, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    if (it->release)
        it->release(it->owner);
    memory_free(it);
}

int table_column(const struct table *table, const char *name)
{
    for (int c = 0; c < table->columns; c++)
        if (strcmp(table->column[c].name, name) == 0)
            return c;
    return -1;
}
