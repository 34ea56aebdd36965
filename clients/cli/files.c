/* files.c - .npy files and models in the engine's own readers and writers. */
#include "clients/cli/files.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "host/base/memory.h"

int error_of_host(const struct error *from, struct baryc_error *to)
{
    const struct status_row *row = status_row(from->status);

    if (from->status == STATUS_OK)
        return 0;
    if (!to)
        return row->code_number;
    *to = (struct baryc_error){.code = row->code_number, .retry_ms = row->retry_later ? 1000 : -1};
    snprintf(to->reason, sizeof to->reason, "%s", row->name);
    error_message(from, to->message, sizeof to->message);
    for (int i = 0; i < from->count && i < BARYC_FIELDS_MAX; i++, to->fields++) {
        snprintf(to->field[i].name, sizeof to->field[i].name, "%s", from->fields[i].name);
        snprintf(to->field[i].value, sizeof to->field[i].value, "%s", from->fields[i].value);
    }
    return row->code_number;
}

int array_open(const char *path, struct array *out, struct baryc_error *error)
{
    struct array array = {.path = path};
    struct error why = {0};
    enum status status = file_map(path, &array.file, &why);

    if (status != STATUS_OK)
        return error_of_host(&why, error);
    status = npy_parse(path, array.file.data, array.file.bytes, &array.header, &why);
    if (status != STATUS_OK) {
        file_unmap(&array.file);
        return error_of_host(&why, error);
    }
    *out = array;
    return 0;
}

int array_load(struct array *array, struct baryc_error *error)
{
    struct error why = {0};

    if (array->table)
        return 0;
    enum status status = npy_table(array->path, array->file.data, array->file.bytes, NULL, NULL,
                                   &array->table, &why);
    return status == STATUS_OK ? 0 : error_of_host(&why, error);
}

void array_close(struct array *array)
{
    if (!array->path)
        return;
    table_unpin(&array->table);
    file_unmap(&array->file);
    array->path = NULL;
}

int64_t array_rows(const struct array *array)
{
    return array->header.rows;
}

size_t array_bytes(const struct array *array)
{
    if (!array->path)
        return 0;
    return (size_t)array->header.rows * (size_t)array->header.columns *
           dtype_bytes(array->header.dtype); /* npy_parse saw that many bytes */
}

const void *array_values(const struct array *array)
{
    return array->table->chunks > 0 ? array->table->chunk[0].data[0] : "";
}

void array_message(const struct array *array, Bary__V1__Matrix *out)
{
    *out = (Bary__V1__Matrix)BARY__V1__MATRIX__INIT;
    out->dtype = (Bary__V1__DType)array->header.dtype; /* the numbers are the same */
    out->rows = array->header.rows;
    out->columns = array->header.columns;
    out->data.data = (uint8_t *)(uintptr_t)array_values(array);
    out->data.len = array_bytes(array);
}

int output_check(const char *path, struct baryc_error *error)
{
    char folder[4096];
    struct error why = {0};

    if (!path)
        return 0;
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path + 1) : 1,
             slash ? path : ".");
    if (access(folder, W_OK | X_OK) == 0)
        return 0;
    FAIL(&why, FILE_NOT_FOUND, TEXT("path", path), TEXT("why", "its folder cannot be written to"));
    return error_of_host(&why, error);
}

int output_write(const char *path, enum dtype dtype, int64_t rows, int64_t columns,
                 const void *data, struct baryc_error *error)
{
    struct error why = {0};
    enum status status = npy_write(path, dtype, rows, columns, data, &why);

    return status == STATUS_OK ? 0 : error_of_host(&why, error);
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length > tail && strcmp(text + length - tail, end) == 0;
}

bool model_is_file(const char *text)
{
    return text[0] == '/' || text[0] == '.' || ends_with(text, ".bary") || ends_with(text, ".npy");
}

static int model_of_npy(const char *path, struct model **out, struct baryc_error *error)
{
    struct array array = {0};
    struct matrix centers = {0};
    struct selection all = {0};
    struct error why = {0};
    enum status status;
    double *values = NULL;
    int code = array_open(path, &array, error);

    if (code == 0)
        code = array_load(&array, error);
    if (code != 0) {
        array_close(&array);
        return code;
    }
    TRY(matrix_select(array.table, &all, &centers, &why));
    values = memory_new((size_t)centers.rows, (size_t)centers.columns * sizeof *values);
    if (!values)
        TRY(FAIL(&why, OUT_OF_MEMORY, TEXT("what", path), INT("needed", array_bytes(&array)),
                 INT("retry_ms", 1000)));
    for (int c = 0; c < centers.chunks; c++) {
        const struct rows *rows = &centers.chunk[c];
        for (int64_t i = 0; i < rows->count * centers.columns; i++)
            values[rows->first * centers.columns + i] =
                centers.number == NUMBER_F32 ? (double)((const float *)rows->values)[i]
                                             : ((const double *)rows->values)[i];
    }
    TRY(model_of_centers(values, centers.rows, centers.columns, centers.number, out, &why));
out:
    memory_free(values);
    matrix_release(&centers);
    array_close(&array);
    return status == STATUS_OK ? 0 : error_of_host(&why, error);
}

int model_open(const char *path, struct model **out, struct baryc_error *error)
{
    struct error why = {0};

    if (ends_with(path, ".npy"))
        return model_of_npy(path, out, error);
    enum status status = model_read_file(path, out, &why);
    return status == STATUS_OK ? 0 : error_of_host(&why, error);
}
