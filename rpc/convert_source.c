/* convert_source.c - where rows come from: inline matrices and tables, datasets, weights. */
#include <stdio.h>
#include <string.h>

#include "rpc/convert.h"
#include "rpc/names.h"

enum { ALIGNMENT = 64, RETRY_MS = 1000 };

static enum status no_memory(struct error *error, const char *what, size_t bytes)
{
    return FAIL(error, OUT_OF_MEMORY, TEXT("what", what), INT("needed", bytes),
                INT("retry_ms", RETRY_MS));
}

static enum status bytes_mismatch(struct error *error, const char *what, size_t found,
                                  size_t expected, int64_t rows, int64_t width, size_t size)
{
    char have[64], want[128];

    snprintf(have, sizeof have, "%zu bytes", found);
    snprintf(want, sizeof want, "%zu bytes (%lld rows of %lld values of %zu bytes)", expected,
             (long long)rows, (long long)width, size);
    return FAIL(error, SHAPE_MISMATCH, TEXT("what", what), TEXT("found", have),
                TEXT("expected", want));
}

static enum status inline_size_check(const char *what, size_t bytes, struct error *error)
{
    char name[160];

    if (bytes <= INLINE_BYTES_MAX)
        return STATUS_OK;
    snprintf(name, sizeof name, "the size of %s", what);
    return FAIL(error, OUT_OF_RANGE, TEXT("what", name), INT("value", bytes),
                TEXT("limit", "at most 3145728 bytes; more goes into a dataset"));
}

/* rows x width values of that type must be the bytes there are. */
static enum status block_check(const char *what, int64_t rows, int64_t width, size_t size,
                               size_t bytes, struct error *error)
{
    size_t values, needed;
    char name[128];

    if (rows < 1 || rows > ROWS_MAX) {
        snprintf(name, sizeof name, "%s.rows", what);
        return FAIL(error, OUT_OF_RANGE, TEXT("what", name), INT("value", rows),
                    TEXT("limit", "1 to 1099511627776"));
    }
    if (width < 1 || width > COLUMNS_MAX) {
        snprintf(name, sizeof name, "%s.columns", what);
        return FAIL(error, OUT_OF_RANGE, TEXT("what", name), INT("value", width),
                    TEXT("limit", "1 to 65536 (0: one)"));
    }
    if (!size_mul((size_t)rows, (size_t)width, &values) || !size_mul(values, size, &needed))
        needed = SIZE_MAX;
    snprintf(name, sizeof name, "%s.data", what);
    if (needed != bytes)
        return bytes_mismatch(error, name, bytes, needed, rows, width, size);
    return inline_size_check(name, bytes, error);
}

static enum status dtype_check(const char *what, Bary__V1__DType dtype, struct error *error)
{
    char name[128];

    snprintf(name, sizeof name, "%s.dtype", what);
    return enum_check(name, &bary__v1__dtype__descriptor, (int)dtype, false, error);
}

enum status matrix_check(const char *what, const Bary__V1__Matrix *matrix, struct error *error)
{
    int64_t columns = matrix->columns == 0 ? 1 : matrix->columns;
    enum status status = dtype_check(what, matrix->dtype, error);

    if (status != STATUS_OK)
        return status;
    return block_check(what, matrix->rows, columns, dtype_bytes((enum dtype)matrix->dtype),
                       matrix->data.len, error);
}

enum status matrix_doubles(const char *what, const Bary__V1__Matrix *matrix, double **out,
                           struct error *error)
{
    enum status status = matrix_check(what, matrix, error);
    char name[128];
    size_t count;
    double *values;

    if (status != STATUS_OK)
        return status;
    if (matrix->dtype != BARY__V1__DTYPE__DTYPE_F32 &&
        matrix->dtype != BARY__V1__DTYPE__DTYPE_F64) {
        snprintf(name, sizeof name, "%s.dtype", what);
        return FAIL(error, UNKNOWN_VALUE, TEXT("what", name), INT("value", matrix->dtype),
                    TEXT("known", "DTYPE_F32, DTYPE_F64"));
    }
    count = matrix->data.len / dtype_bytes((enum dtype)matrix->dtype);
    values = memory_new(count, sizeof *values);
    if (!values)
        return no_memory(error, what, count * sizeof *values);
    if (matrix->dtype == BARY__V1__DTYPE__DTYPE_F64)
        memcpy(values, matrix->data.data, count * sizeof *values);
    for (size_t i = 0; matrix->dtype == BARY__V1__DTYPE__DTYPE_F32 && i < count; i++) {
        float value;
        memcpy(&value, matrix->data.data + i * sizeof value, sizeof value);
        values[i] = (double)value;
    }
    *out = values;
    return STATUS_OK;
}

static enum status take_matrix(const char *what, const Bary__V1__Matrix *matrix, struct table **out,
                               struct error *error)
{
    enum status status = matrix_check(what, matrix, error);
    void *values;

    if (status != STATUS_OK)
        return status;
    values = memory_new(matrix->data.len, 1);
    if (!values)
        return no_memory(error, what, matrix->data.len);
    memcpy(values, matrix->data.data, matrix->data.len);
    status = table_of_matrix((enum dtype)matrix->dtype, matrix->rows,
                             matrix->columns ? matrix->columns : 1, values, memory_free, values,
                             out, error);
    if (status != STATUS_OK)
        memory_free(values);
    return status;
}

/* One block for all columns, each at a multiple of 64 bytes. */
struct table_parts {
    struct column *column;
    const void **data;
    unsigned char *values;
};

static enum status column_take(const Bary__V1__Table *table, size_t c, struct table_parts *parts,
                               size_t *used, struct error *error)
{
    const Bary__V1__Column *from = table->schema->columns[c];
    struct column *column = &parts->column[c];
    char what[96];
    enum status status;

    snprintf(what, sizeof what, "source.table column %zu", c);
    TRY(text_take(what, from->name, column->name, sizeof column->name, error));
    TRY(dtype_check(what, from->dtype, error));
    column->dtype = (enum dtype)from->dtype;
    column->width = from->width == 0 ? 1 : from->width;
    TRY(block_check(what, table->rows, column->width, dtype_bytes(column->dtype),
                    table->data[c].len, error));
    parts->data[c] = parts->values + *used;
    memcpy(parts->values + *used, table->data[c].data, table->data[c].len);
    *used += (table->data[c].len + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
out:
    return status;
}

static enum status table_check(const Bary__V1__Table *table, size_t *bytes, struct error *error)
{
    size_t columns = table->schema ? table->schema->n_columns : 0;
    char found[64], expected[64];

    if (columns < 1 || columns > COLUMNS_MAX)
        return FAIL(error, OUT_OF_RANGE, TEXT("what", "the number of source.table.schema.columns"),
                    INT("value", columns), TEXT("limit", "1 to 65536"));
    if (table->n_data != columns) {
        snprintf(found, sizeof found, "%zu blocks", table->n_data);
        snprintf(expected, sizeof expected, "%zu (one a column)", columns);
        return FAIL(error, SHAPE_MISMATCH, TEXT("what", "source.table.data"), TEXT("found", found),
                    TEXT("expected", expected));
    }
    *bytes = 0;
    for (size_t c = 0; c < columns; c++)
        *bytes += (table->data[c].len + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return STATUS_OK;
}

static enum status take_table(const Bary__V1__Table *table, struct table **out, struct error *error)
{
    struct table_parts parts = {0};
    size_t bytes = 0, columns, used = 0;
    enum status status;

    TRY(table_check(table, &bytes, error));
    columns = table->schema->n_columns;
    parts.column = memory_zeroed(columns, sizeof *parts.column);
    parts.data = memory_zeroed(columns, sizeof *parts.data);
    parts.values = memory_new(bytes, 1);
    if (!parts.column || !parts.data || !parts.values)
        TRY(no_memory(error, "source.table", bytes));
    for (size_t c = 0; c < columns; c++)
        TRY(column_take(table, c, &parts, &used, error));
    TRY(table_of_columns((int)columns, parts.column, table->rows, parts.data, memory_free,
                         parts.values, out, error));
    parts.values = NULL;
out:
    memory_free(parts.column);
    memory_free(parts.data);
    memory_free(parts.values);
    return status;
}

static enum status columns_take(const Bary__V1__DatasetRef *reference, struct job_request *request,
                                struct error *error)
{
    size_t count = reference->n_columns;

    if (count == 0)
        return STATUS_OK;
    if (count > COLUMNS_MAX)
        return FAIL(error, OUT_OF_RANGE, TEXT("what", "the number of source.dataset.columns"),
                    INT("value", count), TEXT("limit", "at most 65536"));
    request->column = memory_zeroed(count, sizeof *request->column);
    if (!request->column)
        return no_memory(error, "source.dataset.columns", count * sizeof *request->column);
    for (size_t c = 0; c < count; c++) {
        request->column[c] = text_copy(reference->columns[c]);
        if (!request->column[c])
            return no_memory(error, "source.dataset.columns", STRING_BYTES_MAX);
        request->column_count++;
    }
    return STATUS_OK;
}

static enum status rows_take(const char *what, const Bary__V1__RowRange *rows, int64_t *first,
                             int64_t *count, struct error *error)
{
    *first = *count = 0;
    if (!rows)
        return STATUS_OK;
    if (rows->first < 0 || rows->count < 0)
        return FAIL(error, OUT_OF_RANGE, TEXT("what", what),
                    INT("value", rows->first < 0 ? rows->first : rows->count),
                    TEXT("limit", "at least 0, as first row and as count"));
    *first = rows->first;
    *count = rows->count;
    return STATUS_OK;
}

static enum status take_dataset(struct service *service, const struct principal *principal,
                                const Bary__V1__DatasetRef *reference, struct job_request *request,
                                struct error *error)
{
    enum status status;

    TRY(name_parse(principal, THING_DATASET, reference->name, request->dataset, NULL, error));
    TRY(columns_take(reference, request, error));
    TRY(rows_take("source.dataset.rows", reference->rows, &request->first_row, &request->rows,
                  error));
    TRY(dataset_pin(service->catalog, request->dataset, &request->table, error));
    snprintf(request->source_name, sizeof request->source_name, "dataset '%s'", request->dataset);
out:
    return status;
}

bool is_inline(const Bary__V1__Source *source)
{
    return source && (source->source_case == BARY__V1__SOURCE__SOURCE_MATRIX ||
                      source->source_case == BARY__V1__SOURCE__SOURCE_TABLE);
}

enum status source_take(struct service *service, const struct principal *principal,
                        const Bary__V1__Source *source, struct job_request *request, bool *inline_,
                        struct error *error)
{
    *inline_ = is_inline(source);
    if (source && source->source_case == BARY__V1__SOURCE__SOURCE_MATRIX) {
        snprintf(request->source_name, sizeof request->source_name, "the inline matrix");
        return take_matrix("source.matrix", source->matrix, &request->table, error);
    }
    if (source && source->source_case == BARY__V1__SOURCE__SOURCE_TABLE) {
        snprintf(request->source_name, sizeof request->source_name, "the inline table");
        return take_table(source->table, &request->table, error);
    }
    if (source && source->source_case == BARY__V1__SOURCE__SOURCE_DATASET)
        return take_dataset(service, principal, source->dataset, request, error);
    return FAIL(error, MISSING, TEXT("what", "source"),
                TEXT("why", "it is one of matrix, table and dataset"));
}

enum status weights_take(const Bary__V1__Weights *weights, struct job_request *request,
                         struct error *error)
{
    struct table *table = NULL;
    enum status status;

    if (!weights || weights->weights_case == BARY__V1__WEIGHTS__WEIGHTS__NOT_SET)
        return STATUS_OK;
    if (weights->weights_case == BARY__V1__WEIGHTS__WEIGHTS_COLUMN)
        return text_take("sample_weight.column", weights->column, request->weight_column,
                         sizeof request->weight_column, error);
    if (weights->values->columns > 1)
        return FAIL(error, OUT_OF_RANGE, TEXT("what", "sample_weight.values.columns"),
                    INT("value", weights->values->columns), TEXT("limit", "0 or 1"));
    TRY(take_matrix("sample_weight.values", weights->values, &table, error));
    TRY(table_doubles(table, "", 0, table->rows, &request->weight, error));
    request->weight_count = table->rows;
out:
    table_unpin(&table);
    return status;
}

static enum status copy_doubles(const char *what, const struct matrix *matrix, double **out,
                                struct error *error)
{
    size_t count, done = 0;
    double *values = NULL;

    if (size_mul((size_t)matrix->rows, (size_t)matrix->columns, &count))
        values = memory_new(count, sizeof *values);
    if (!values)
        return no_memory(error, what, SIZE_MAX);
    for (int i = 0; i < matrix->chunks; i++) {
        const struct rows *rows = &matrix->chunk[i];
        size_t here = (size_t)rows->count * (size_t)matrix->columns;
        if (matrix->number == NUMBER_F64)
            memcpy(values + done, rows->values, here * sizeof *values);
        for (size_t v = 0; matrix->number == NUMBER_F32 && v < here; v++)
            values[done + v] = (double)((const float *)rows->values)[v];
        done += here;
    }
    *out = values;
    return STATUS_OK;
}

enum status dataset_doubles(struct service *service, const struct principal *principal,
                            const char *what, const Bary__V1__DatasetRef *reference, double **out,
                            int64_t *rows, int64_t *columns, enum number *number,
                            struct error *error)
{
    struct selection selection = {.names = (const char *const *)reference->columns,
                                  .count = (int)reference->n_columns};
    struct table *table = NULL;
    struct matrix matrix = {0};
    char name[64] = "", field[96];
    enum status status;

    if (reference->n_columns == 0)
        selection.names = NULL;
    snprintf(field, sizeof field, "%s.rows", what);
    TRY(name_parse(principal, THING_DATASET, reference->name, name, NULL, error));
    TRY(rows_take(field, reference->rows, &selection.first, &selection.rows, error));
    TRY(dataset_pin(service->catalog, name, &table, error));
    TRY(matrix_select(table, &selection, &matrix, error));
    TRY(copy_doubles(what, &matrix, out, error));
    *rows = matrix.rows;
    *columns = matrix.columns;
    *number = matrix.number;
out:
    matrix_release(&matrix);
    if (table)
        dataset_unpin(service->catalog, name, &table);
    return status;
}

int64_t source_width(const struct job_request *request)
{
    const struct table *table = request->table;
    int64_t width = 0;

    for (int c = 0; c < table->columns; c++) {
        bool taken = request->column_count == 0;
        for (int i = 0; i < request->column_count && !taken; i++)
            taken = strcmp(request->column[i], table->column[c].name) == 0;
        if (taken && (!request->weight_column[0] ||
                      strcmp(request->weight_column, table->column[c].name) != 0))
            width += table->column[c].width;
    }
    return width;
}
