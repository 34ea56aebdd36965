/* matrix.c - the rows and columns that a method reads, as kernels want them. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "host/base/memory.h"
#include "host/data/convert.h"
#include "host/data/table.h"
#include "proto/limits.h"

/* Columns are packed in turn over this many rows, so that what one wrote is still in the cache when
 * the next writes beside it. */
enum { PACK_ROWS = 512 };

/* A selection with names and ends found. */
struct picked {
    const struct table *table;
    int *column; /* indices into the table's */
    int count;
    int64_t first, rows, width;
    enum number number;
    bool borrowed; /* one column of the very type: nothing to pack */
};

static enum status memory_failed(struct error *error, size_t bytes)
{
    return FAIL(error, OUT_OF_MEMORY, TEXT("what", "the selected rows"), INT("needed", bytes),
                INT("retry_ms", 1000));
}

/* rows 0: to the end. */
static enum status range_find(const struct table *table, int64_t first, int64_t *rows,
                              struct error *error)
{
    char value[64], limit[48];

    if (first >= 0 && first <= table->rows && *rows >= 0 && *rows <= table->rows - first) {
        if (*rows == 0)
            *rows = table->rows - first;
        return STATUS_OK;
    }
    snprintf(value, sizeof value, "%" PRId64 " rows from row %" PRId64, *rows, first);
    snprintf(limit, sizeof limit, "within the table's %" PRId64 " rows", table->rows);
    return FAIL(error, OUT_OF_RANGE, TEXT("what", "the range"), TEXT("value", value),
                TEXT("limit", limit));
}

static enum status column_missing(const struct table *table, const char *name, struct error *error)
{
    char what[96], why[200] = "the columns are", *end = why + strlen(why);

    snprintf(what, sizeof what, "column '%.63s'", name);
    for (int c = 0; c < table->columns && end < why + 100; c++)
        end += snprintf(end, 80, "%s '%s'", c > 0 ? "," : "", table->column[c].name);
    return FAIL(error, MISSING, TEXT("what", what), TEXT("why", why));
}

static enum status columns_find(const struct selection *selection, struct picked *picked,
                                struct error *error)
{
    for (int i = 0; i < picked->count; i++) {
        int c = selection->names ? table_column(picked->table, selection->names[i]) : i;
        if (c < 0)
            return column_missing(picked->table, selection->names[i], error);
        picked->column[i] = c;
        picked->width += picked->table->column[c].width;
        if (dtype_number(picked->table->column[c].dtype) > picked->number)
            picked->number = dtype_number(picked->table->column[c].dtype);
    }
    if (picked->width > COLUMNS_MAX)
        return FAIL(error, OUT_OF_RANGE, TEXT("what", "the number of selected values in a row"),
                    INT("value", picked->width), TEXT("limit", "at most 65536"));
    return STATUS_OK;
}

static bool is_number(enum dtype dtype)
{
    return dtype == DTYPE_F32 || dtype == DTYPE_F64;
}

/* On success the caller owes memory_free(out->column). */
static enum status selection_find(const struct table *table, const struct selection *selection,
                                  struct picked *out, struct error *error)
{
    static const struct selection all;
    struct picked picked = {.table = table, .number = NUMBER_F32};
    enum status status;

    if (!selection)
        selection = &all;
    picked.first = selection->first;
    picked.rows = selection->rows;
    picked.count = selection->names ? selection->count : table->columns;
    if (picked.count < 1 || picked.count > COLUMNS_MAX)
        return FAIL(error, OUT_OF_RANGE, TEXT("what", "the number of selected columns"),
                    INT("value", picked.count), TEXT("limit", "1 to 65536"));
    picked.column = memory_new((size_t)picked.count, sizeof *picked.column);
    if (!picked.column)
        return memory_failed(error, (size_t)picked.count * sizeof *picked.column);
    TRY(range_find(table, picked.first, &picked.rows, error));
    TRY(columns_find(selection, &picked, error));
    picked.borrowed = picked.count == 1 && is_number(table->column[picked.column[0]].dtype);
    *out = picked;
out:
    if (status != STATUS_OK)
        memory_free(picked.column);
    return status;
}

/* The part of a chunk that lies in [first, first + rows): its first row in the chunk, and how many. */
static int64_t chunk_part(const struct chunk *chunk, int64_t first, int64_t rows, int64_t *skip)
{
    int64_t from = first > chunk->first ? first : chunk->first;
    int64_t to = chunk->first + chunk->rows;

    if (to > first + rows)
        to = first + rows;
    *skip = from - chunk->first;
    return to > from ? to - from : 0;
}

static const void *chunk_values(const struct table *table, const struct chunk *chunk, int column,
                                int64_t row)
{
    const struct column *about = &table->column[column];

    return (const unsigned char *)chunk->data[column] +
           row * about->width * (int64_t)dtype_bytes(about->dtype);
}

static size_t number_bytes(enum number number)
{
    return number == NUMBER_F32 ? sizeof(float) : sizeof(double);
}

/* The integer at `index` of a block of I64 or U64, in decimal. */
static void integer_print(enum dtype dtype, const void *values, int64_t index, char text[32])
{
    if (dtype == DTYPE_I64)
        snprintf(text, 32, "%" PRId64, ((const int64_t *)values)[index]);
    else
        snprintf(text, 32, "%" PRIu64, ((const uint64_t *)values)[index]);
}

static enum status integer_refused(const struct column *column, const void *values, int64_t index,
                                   int64_t row, struct error *error)
{
    char what[64], value[32], where[96];
    int64_t at = index % column->width;

    snprintf(what, sizeof what, "the %s value", dtype_name(column->dtype));
    integer_print(column->dtype, values, index, value);
    if (column->name[0] == 0)
        snprintf(where, sizeof where, "%" PRId64, at);
    else if (column->width == 1)
        snprintf(where, sizeof where, "'%s'", column->name);
    else
        snprintf(where, sizeof where, "'%s'[%" PRId64 "]", column->name, at);
    return FAIL(error, ROW_OUT_OF_RANGE, TEXT("what", what),
                INT("row", row + index / column->width), TEXT("column", where),
                TEXT("value", value), TEXT("limit", "within +-2^53, where doubles are exact"));
}

/* Rows skip .. skip + rows - 1 of a chunk, all picked columns beside each other, to `out`. */
static enum status rows_pack(const struct picked *picked, const struct chunk *chunk, int64_t skip,
                             int64_t rows, unsigned char *out, struct error *error)
{
    for (int i = 0; i < picked->count; i++) {
        const struct column *column = &picked->table->column[picked->column[i]];
        const void *values = chunk_values(picked->table, chunk, picked->column[i], skip);
        int64_t bad = convert_values(column->dtype, values, rows, column->width, picked->number,
                                     out, picked->width);
        if (bad >= 0)
            return integer_refused(column, values, bad, chunk->first + skip, error);
        out += (size_t)column->width * number_bytes(picked->number);
    }
    return STATUS_OK;
}

static enum status picked_pack(const struct picked *picked, unsigned char *out, struct error *error)
{
    size_t row_bytes = (size_t)picked->width * number_bytes(picked->number);
    enum status status;

    for (int i = 0; i < picked->table->chunks; i++) {
        const struct chunk *chunk = &picked->table->chunk[i];
        int64_t skip, rows = chunk_part(chunk, picked->first, picked->rows, &skip);
        while (rows > 0) {
            int64_t here = rows < PACK_ROWS ? rows : PACK_ROWS;
            status = rows_pack(picked, chunk, skip, here, out, error);
            if (status != STATUS_OK)
                return status;
            out += (size_t)here * row_bytes;
            skip += here;
            rows -= here;
        }
    }
    return STATUS_OK;
}

/* How many chunks the matrix has: one if packed. */
static int picked_chunks(const struct picked *picked)
{
    int count = 0;
    int64_t skip;

    if (!picked->borrowed)
        return 1;
    for (int i = 0; i < picked->table->chunks; i++)
        count += chunk_part(&picked->table->chunk[i], picked->first, picked->rows, &skip) > 0;
    return count;
}

static void picked_view(const struct picked *picked, struct rows *out)
{
    for (int i = 0; i < picked->table->chunks; i++) {
        const struct chunk *chunk = &picked->table->chunk[i];
        int64_t skip, rows = chunk_part(chunk, picked->first, picked->rows, &skip);
        if (rows > 0)
            *out++ = (struct rows){
                .values = chunk_values(picked->table, chunk, picked->column[0], skip),
                .first = chunk->first + skip - picked->first,
                .count = rows,
            };
    }
}

/* Bytes of the packed values; 0 where they are borrowed. False: more than a size holds. */
static bool packed_bytes(const struct picked *picked, size_t *out)
{
    *out = 0;
    return picked->borrowed || (size_mul((size_t)picked->rows, (size_t)picked->width, out) &&
                                size_mul(*out, number_bytes(picked->number), out));
}

static enum status picked_fill(const struct picked *picked, struct matrix *matrix,
                               struct error *error)
{
    size_t bytes = 0;

    matrix->chunk = memory_zeroed((size_t)matrix->chunks, sizeof *matrix->chunk);
    if (!matrix->chunk)
        return memory_failed(error, (size_t)matrix->chunks * sizeof *matrix->chunk);
    if (picked->borrowed) {
        picked_view(picked, matrix->chunk);
        return STATUS_OK;
    }
    if (packed_bytes(picked, &bytes))
        matrix->packed = memory_new(bytes, 1);
    if (!matrix->packed)
        return memory_failed(error, bytes);
    matrix->chunk[0] = (struct rows){.values = matrix->packed, .count = picked->rows};
    return picked_pack(picked, matrix->packed, error);
}

enum status matrix_select(struct table *table, const struct selection *selection,
                          struct matrix *out, struct error *error)
{
    struct picked picked;
    struct matrix matrix;
    enum status status;

    status = selection_find(table, selection, &picked, error);
    if (status != STATUS_OK)
        return status;
    matrix = (struct matrix){
        .table = table,
        .number = picked.number,
        .rows = picked.rows,
        .columns = picked.width,
        .first = picked.first,
        .chunks = picked_chunks(&picked),
    };
    table_pin(table);
    status = picked_fill(&picked, &matrix, error);
    memory_free(picked.column);
    if (status == STATUS_OK)
        *out = matrix;
    else
        matrix_release(&matrix);
    return status;
}

enum status matrix_bytes(const struct table *table, const struct selection *selection, int64_t *out,
                         struct error *error)
{
    struct picked picked;
    size_t bytes = 0;
    enum status status = selection_find(table, selection, &picked, error);

    if (status != STATUS_OK)
        return status;
    memory_free(picked.column);
    if (!packed_bytes(&picked, &bytes))
        return memory_failed(error, SIZE_MAX);
    *out = (int64_t)bytes + picked_chunks(&picked) * (int64_t)sizeof(struct rows);
    return STATUS_OK;
}

void matrix_release(struct matrix *matrix)
{
    memory_free(matrix->chunk);
    memory_free(matrix->packed);
    table_unpin(&matrix->table);
    *matrix = (struct matrix){.table = NULL};
}

enum status table_doubles(const struct table *table, const char *column, int64_t first,
                          int64_t rows, double **out, struct error *error)
{
    struct selection selection = {.names = &column, .count = 1, .first = first, .rows = rows};
    struct picked picked;
    double *values = NULL;
    enum status status;

    status = selection_find(table, &selection, &picked, error);
    if (status != STATUS_OK)
        return status;
    if (picked.width != 1) {
        char what[96], found[48];
        snprintf(what, sizeof what, "column '%s'", column);
        snprintf(found, sizeof found, "%" PRId64 " values a row", picked.width);
        status = FAIL(error, SHAPE_MISMATCH, TEXT("what", what), TEXT("found", found),
                      TEXT("expected", "one"));
        goto out;
    }
    picked.number = NUMBER_F64;
    values = memory_new((size_t)picked.rows, sizeof *values);
    status = values ? picked_pack(&picked, (unsigned char *)values, error)
                    : memory_failed(error, (size_t)picked.rows * sizeof *values);
    if (status == STATUS_OK)
        *out = values;
    else
        memory_free(values);
out:
    memory_free(picked.column);
    return status;
}
