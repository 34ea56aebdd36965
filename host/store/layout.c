#include "host/store/layout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/memory.h"

enum { BUFFER_ALIGN = 64, PAGE_BYTES = 4096 };

static enum status out_of_range(struct error *error, const char *what, int64_t value,
                                const char *limit)
{
    return FAIL(error, OUT_OF_RANGE, TEXT("what", what), INT("value", value), TEXT("limit", limit));
}

static enum status column_check(const struct column *column, int number, struct error *error)
{
    char what[128];

    if (memchr(column->name, '\0', sizeof column->name) == NULL)
        return out_of_range(error, "length of a column name", sizeof column->name, "at most 63");
    snprintf(what, sizeof what, "column %d ('%s')", number, column->name);
    if (dtype_bytes(column->dtype) == 0)
        return FAIL(error, UNKNOWN_VALUE, TEXT("what", what), INT("value", column->dtype),
                    TEXT("known", "the dtypes F32 to BOOL, 1 to 13"));
    if (column->width < 1 || column->width > COLUMNS_MAX) {
        snprintf(what, sizeof what, "width of column %d ('%s')", number, column->name);
        return out_of_range(error, what, column->width, "1 to 65536");
    }
    return STATUS_OK;
}

static int names_compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* No two columns may share a name. */
static enum status names_check(const struct dataset_create *create, struct error *error)
{
    const char **names = memory_new((size_t)create->columns, sizeof *names);
    enum status status = STATUS_OK;

    if (!names)
        return FAIL(error, OUT_OF_MEMORY, TEXT("what", "a schema"),
                    INT("needed", (size_t)create->columns * sizeof *names), INT("retry_ms", 1000));
    for (int c = 0; c < create->columns; c++)
        names[c] = create->column[c].name;
    qsort(names, (size_t)create->columns, sizeof *names, names_compare);
    for (int c = 1; c < create->columns && status == STATUS_OK; c++)
        if (strcmp(names[c - 1], names[c]) == 0)
            status = FAIL(error, NAME_TAKEN, TEXT("what", "column"), TEXT("name", names[c]));
    memory_free(names);
    return status;
}

static enum status schema_check(const struct dataset_create *create, struct error *error)
{
    int64_t width = 0;

    if (create->columns < 1 || create->columns > COLUMNS_MAX)
        return out_of_range(error, "count of columns", create->columns, "1 to 65536");
    if (create->rows < 1 || create->rows > ROWS_MAX)
        return out_of_range(error, "rows", create->rows, "1 to 2^40");
    for (int c = 0; c < create->columns; c++) {
        enum status status = column_check(&create->column[c], c, error);
        if (status != STATUS_OK)
            return status;
        width += create->column[c].width;
    }
    if (width > COLUMNS_MAX)
        return out_of_range(error, "sum of the widths of all columns", width, "at most 65536");
    return names_check(create, error);
}

static int64_t round_up(int64_t bytes, int64_t to)
{
    return (bytes + to - 1) / to * to;
}

int64_t layout_block_bytes(const struct buffer *buffer, int64_t block)
{
    int64_t left = buffer->bytes - block * HASH_BLOCK_BYTES;

    return left < HASH_BLOCK_BYTES ? left : HASH_BLOCK_BYTES;
}

/* rows <= 2^40 and a row <= 2^19 bytes, so no product here passes 2^60. */
static void buffer_add(struct layout *layout, int number, int64_t unit_bytes)
{
    struct buffer *buffer = &layout->buffer[number];

    *buffer = (struct buffer){.offset = layout->region_bytes,
                              .unit_bytes = unit_bytes,
                              .bytes = layout->units * unit_bytes,
                              .first_block = layout->blocks};
    layout->unit_bytes += unit_bytes;
    layout->bytes += buffer->bytes;
    layout->blocks += (buffer->bytes + HASH_BLOCK_BYTES - 1) / HASH_BLOCK_BYTES;
    layout->region_bytes += round_up(buffer->bytes, BUFFER_ALIGN);
}

static enum status layout_check_bytes(const struct layout *layout,
                                      const struct dataset_create *create, struct error *error)
{
    char found[48], expected[64];

    if (create->bytes == 0 || create->bytes == layout->bytes)
        return STATUS_OK;
    snprintf(found, sizeof found, "%lld bytes", (long long)create->bytes);
    snprintf(expected, sizeof expected, "%lld, rows x bytes of a row", (long long)layout->bytes);
    return FAIL(error, SHAPE_MISMATCH, TEXT("what", "the dataset"), TEXT("found", found),
                TEXT("expected", expected));
}

enum status layout_init(struct layout *layout, const struct dataset_create *create,
                        struct error *error)
{
    bool blocks = create->encoding == ENCODING_BLOCKS;
    enum status status;

    *layout = (struct layout){0};
    if (!blocks && create->encoding != ENCODING_NPY)
        return FAIL(error, UNKNOWN_VALUE, TEXT("what", "encoding"), INT("value", create->encoding),
                    TEXT("known", "BLOCKS (1), NPY (2)"));
    if (!blocks && (create->bytes < 1 || create->bytes > ROWS_MAX * 8))
        return out_of_range(error, "total bytes of a NPY dataset", create->bytes, "1 to 2^43");
    if (blocks && (status = schema_check(create, error)) != STATUS_OK)
        return status;
    layout->buffers = blocks ? create->columns : 1;
    layout->units = blocks ? create->rows : create->bytes;
    layout->buffer = memory_zeroed((size_t)layout->buffers, sizeof *layout->buffer);
    if (!layout->buffer)
        return FAIL(error, OUT_OF_MEMORY, TEXT("what", "a schema"),
                    INT("needed", (size_t)layout->buffers * sizeof *layout->buffer),
                    INT("retry_ms", 1000));
    for (int i = 0; i < layout->buffers; i++)
        buffer_add(layout, i,
                   blocks ? create->column[i].width * (int64_t)dtype_bytes(create->column[i].dtype)
                          : 1);
    layout->region_bytes = round_up(layout->region_bytes, PAGE_BYTES);
    status = blocks ? layout_check_bytes(layout, create, error) : STATUS_OK;
    if (status != STATUS_OK)
        layout_deinit(layout);
    return status;
}

void layout_deinit(struct layout *layout)
{
    memory_free(layout->buffer);
    *layout = (struct layout){0};
}
