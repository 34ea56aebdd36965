/* npy.c - what lies behind an npy header, and writing one. npy_header.c reads the header itself. */
#include "host/data/npy.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "host/base/file.h"
#include "host/base/memory.h"
#include "host/data/npy_dtype.h"

enum {
    TRANSPOSE_TILE = 32, /* both sides of a tile stay in the first cache */
    PREAMBLE_BYTES = 10, /* magic, version 1.0, length */
    HEADER_ALIGNMENT = 64
};

/* Fortran order to row-major order; `from` may be unaligned. */
#define TRANSPOSE(name, type)                                                               \
    static void name(const unsigned char *from, void *to, int64_t rows, int64_t columns)    \
    {                                                                                       \
        type *out = to;                                                                     \
        for (int64_t r0 = 0; r0 < rows; r0 += TRANSPOSE_TILE)                               \
            for (int64_t c0 = 0; c0 < columns; c0 += TRANSPOSE_TILE)                        \
                for (int64_t r = r0; r < rows && r < r0 + TRANSPOSE_TILE; r++)              \
                    for (int64_t c = c0; c < columns && c < c0 + TRANSPOSE_TILE; c++)       \
                        memcpy(&out[r * columns + c],                                       \
                               from + (size_t)(c * rows + r) * sizeof(type), sizeof(type)); \
    }
TRANSPOSE(transpose_1, uint8_t)
TRANSPOSE(transpose_2, uint16_t)
TRANSPOSE(transpose_4, uint32_t)
TRANSPOSE(transpose_8, uint64_t)

static void transpose(size_t value_bytes, const unsigned char *from, void *to, int64_t rows,
                      int64_t columns)
{
    static void (*const functions[])(const unsigned char *, void *, int64_t, int64_t) = {
        [1] = transpose_1, [2] = transpose_2, [4] = transpose_4, [8] = transpose_8};

    functions[value_bytes](from, to, rows, columns);
}

/* The values in memory of our own: row-major and aligned. NULL: no memory. */
static void *values_copy(const struct npy_header *header, const unsigned char *values)
{
    size_t value_bytes = dtype_bytes(header->dtype);
    size_t count = (size_t)header->rows * (size_t)header->columns; /* npy_parse: within the file */
    void *copy = memory_new(count, value_bytes);

    if (!copy)
        return NULL;
    if (header->fortran)
        transpose(value_bytes, values, copy, header->rows, header->columns);
    else
        memcpy(copy, values, count * value_bytes);
    return copy;
}

static bool needs_copy(const struct npy_header *header, const unsigned char *values)
{
    bool same_order = header->rows <= 1 || header->columns == 1;

    return (header->fortran && !same_order) || (uintptr_t)values % dtype_bytes(header->dtype) != 0;
}

/* The values leave the file's bytes, which are given back at once. */
static enum status table_of_copy(const char *what, const struct npy_header *header,
                                 const unsigned char *values, void (*release)(void *), void *owner,
                                 struct table **out, struct error *error)
{
    void *copy = values_copy(header, values);
    enum status status;

    if (!copy)
        return FAIL(
            error, OUT_OF_MEMORY, TEXT("what", what),
            INT("needed", header->rows * header->columns * (int64_t)dtype_bytes(header->dtype)),
            INT("retry_ms", 1000));
    status = table_of_matrix(header->dtype, header->rows, header->columns, copy, memory_free, copy,
                             out, error);
    if (status != STATUS_OK)
        memory_free(copy);
    else if (release)
        release(owner);
    return status;
}

enum status npy_table(const char *what, const void *data, size_t bytes, void (*release)(void *),
                      void *owner, struct table **out, struct error *error)
{
    struct npy_header header;
    const unsigned char *values;
    enum status status = npy_parse(what, data, bytes, &header, error);

    if (status != STATUS_OK)
        return status;
    values = (const unsigned char *)data + header.data_offset;
    if (needs_copy(&header, values))
        return table_of_copy(what, &header, values, release, owner, out, error);
    return table_of_matrix(header.dtype, header.rows, header.columns, values, release, owner, out,
                           error);
}

static void mapping_release(void *owner)
{
    file_unmap(owner);
    memory_free(owner);
}

enum status npy_open(const char *path, struct table **out, struct error *error)
{
    struct mapping *mapping = memory_zeroed(1, sizeof *mapping);
    enum status status;

    if (!mapping)
        return FAIL(error, OUT_OF_MEMORY, TEXT("what", path), INT("needed", sizeof *mapping),
                    INT("retry_ms", 1000));
    TRY(file_map(path, mapping, error));
    TRY(npy_table(path, mapping->data, mapping->bytes, mapping_release, mapping, out, error));
out:
    if (status != STATUS_OK)
        mapping_release(mapping);
    return status;
}

/* The header as numpy writes it, byte for byte; returns its length. */
static size_t header_print(const char *descr, int64_t rows, int64_t columns, char text[256])
{
    char shape[64], *dict = text + PREAMBLE_BYTES;
    int first = snprintf(shape, sizeof shape, "%" PRId64, rows);
    int length, whole;

    if (columns > 0)
        snprintf(shape + first, sizeof shape - (size_t)first, ", %" PRId64, columns);
    else
        snprintf(shape + first, sizeof shape - (size_t)first, ",");
    length = snprintf(dict, 256 - PREAMBLE_BYTES,
                      "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", descr, shape);
    whole = PREAMBLE_BYTES + length + 1;
    whole += -whole & (HEADER_ALIGNMENT - 1);
    memset(dict + length, ' ', (size_t)(whole - PREAMBLE_BYTES - length - 1));
    text[whole - 1] = '\n';
    memcpy(text, "\x93NUMPY\x01\x00", 8);
    text[8] = (char)((whole - PREAMBLE_BYTES) & 0xff);
    text[9] = (char)((whole - PREAMBLE_BYTES) >> 8);
    return (size_t)whole;
}

enum status npy_write(const char *path, enum dtype dtype, int64_t rows, int64_t columns,
                      const void *data, struct error *error)
{
    const char *descr = npy_descr(dtype);
    struct file *file = NULL;
    char header[256];
    size_t bytes;
    enum status status;

    if (!dtype_name(dtype))
        return FAIL(error, UNKNOWN_VALUE, TEXT("what", "dtype"), INT("value", dtype),
                    TEXT("known", "1 (float32) to 13 (bool)"));
    if (!descr)
        return FAIL(error, UNSUPPORTED, TEXT("what", "writing bfloat16 as npy"),
                    TEXT("why", "the format has no such dtype"));
    if (rows < 0 || columns < 0 ||
        !size_mul((size_t)rows, columns > 0 ? (size_t)columns : 1, &bytes) ||
        !size_mul(bytes, dtype_bytes(dtype), &bytes) || bytes > PTRDIFF_MAX)
        return FAIL(error, OUT_OF_RANGE, TEXT("what", "the number of rows"), INT("value", rows),
                    TEXT("limit", "at least 0, and all values within 2^63 bytes"));
    TRY(file_create(path, &file, error));
    TRY(file_write(file, header, header_print(descr, rows, columns, header), error));
    TRY(file_write(file, data, bytes, error));
    TRY(file_adopt(&file, error));
out:
    file_discard(&file);
    return status;
}
